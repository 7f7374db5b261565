/**
 * The two times that a client needs: the one of day, which people set, and the one that only goes on.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
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

const real = Context.get(Context.empty(), Clock.Clock)

/** The real clock, but for one thing: nobody has to wait for its sleepers. */
const unattendedClock: Clock.Clock = Object.assign(Object.create(real) as Clock.Clock, {
  sleep: (duration: Duration.Duration) =>
    Effect.callback<void>((resume) => {
      // This is the clock.
      // @effect-diagnostics-next-line globalTimersInEffect:off
      const timer: unknown = setTimeout(() => resume(Effect.void), Duration.toMillis(duration))
      if (typeof timer === "object" && timer !== null && "unref" in timer && typeof timer.unref === "function")
        timer.unref()
      return Effect.sync(() => clearTimeout(timer as number))
    })
})

/** What sleeps inside keeps no process alive. A clock that is not the real one, such as a test's, stays as it is. */
export const unattended = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.updateService(effect, Clock.Clock, (clock) => (clock === real ? unattendedClock : clock))
