/** What several test files say. */
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import * as Analytics from "../src/Analytics.ts"
import * as AnalyticsTest from "../src/AnalyticsTest.ts"

/** Lets every fiber go on until it waits for something: time, an answer, a message. Takes no time. */
export const breathe = Effect.repeat(Effect.yieldNow, { times: 100 })

/** Lets time pass, and everything happen that was waiting for it. */
export const pass = (time: Parameters<typeof TestClock.adjust>[0]) =>
  Effect.andThen(Effect.andThen(breathe, TestClock.adjust(time)), breathe)

/** Tracks "event 1", "event 2", … for one user. */
export const trackMany = Effect.fnUntraced(function* (from: number, to: number) {
  const analytics = yield* Analytics.Analytics
  for (let n = from; n <= to; n++) yield* analytics.track({ userId: "u1", event: `event ${n}` })
})

export const numbered = (from: number, to: number): Array<string> =>
  Array.from({ length: to - from + 1 }, (_, n) => `event ${from + n}`)

/** How many messages each delivered batch had. */
export const sizes = AnalyticsTest.Sent.use((sent) => Effect.map(sent.batches, (all) => all.map((one) => one.length)))

/** The events of the delivered messages. */
export const events = AnalyticsTest.Sent.use((sent) =>
  Effect.map(sent.messages, (all) => all.map((one) => (one.type === "track" ? one.event : one.type)))
)
