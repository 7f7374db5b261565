/**
 * The two times of a client: the time of day, which may be set back, and the monotonic time.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

/** Monotonic milliseconds: for waits and durations, whatever is done to the clock. */
export const monotonicMillis: Effect.Effect<number> = Effect.map(
  Clock.monotonicTimeNanos,
  (nanos) => Number(nanos / 1_000n) / 1_000
)

/** Writes a time of day as ISO text, once for each millisecond: making it costs as much as the rest of a stamp. */
export const makeIso = (): ((now: number) => string) => {
  let last = Number.NaN
  let text = ""
  return (now) => {
    if (now !== last) {
      last = now
      text = new Date(now).toISOString()
    }
    return text
  }
}

const isoDate = /^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d(:?\d\d)?)?)?$/i

/** Whether it is a time as ISO 8601 writes it, in the calendar. */
export const isIso = (text: unknown): boolean => {
  if (typeof text !== "string" || !isoDate.test(text) || Number.isNaN(Date.parse(text))) return false
  // `Date.parse` takes the 30th of February for the 2nd of March.
  const lastOfMonth = new Date(Date.UTC(Number(text.slice(0, 4)), Number(text.slice(5, 7)), 0))
  return Number(text.slice(8, 10)) <= lastOfMonth.getUTCDate()
}

const real = /* @__PURE__ */ Context.get(/* @__PURE__ */ Context.empty(), Clock.Clock)

/** The real clock with timers that keep no process alive. */
const unrefClock: Clock.Clock = /* @__PURE__ */ Object.assign(/* @__PURE__ */ Object.create(real) as Clock.Clock, {
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
export const withUnrefTimers = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.updateService(effect, Clock.Clock, (clock) => (clock === real ? unrefClock : clock))
