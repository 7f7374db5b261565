/**
 * The two times that a client needs: the one of day, which people set, and the one that only goes on.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

/** Milliseconds that have passed since some beginning: for waits and durations, whatever is done to the clock. */
export const elapsed: Effect.Effect<number> = Effect.map(
  Clock.monotonicTimeNanos,
  (nanos) => Number(nanos / 1_000n) / 1_000
)

/** The time of day as ISO text, made once for each millisecond: making it costs as much as the rest of a stamp. */
export const isoClock = (clock: Clock.Clock): (() => string) => {
  let last = Number.NaN
  let text = ""
  return () => {
    const now = clock.currentTimeMillisUnsafe()
    if (now !== last) {
      last = now
      text = new Date(now).toISOString()
    }
    return text
  }
}
