/**
 * The rows of the fault table that take hours and days, on a false clock. What takes seconds is told where the room is
 * that survives it (`Attempts.test.ts`, `Transport.test.ts`, `Outbox.test.ts`); this is the client as a whole.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/testing/TestClock"
import * as Analytics from "../src/Analytics.ts"
import * as AnalyticsTest from "../src/AnalyticsTest.ts"
import {
  attemptedAt,
  breathe,
  chance,
  elapse,
  events,
  Judged,
  layerJudged,
  losses,
  lossesOf,
  numbered,
  pass,
  trackMany
} from "./support.ts"

const hour = 3_600_000
const day = 24 * hour

const again = <A>(times: number, answer: A): Array<A> => Array.from({ length: times }, () => answer)

const limited = (seconds: string, status = 429) => ({ status, headers: { "retry-after": seconds } })

/** How many requests left in each hour. */
const requestsPerHour = Effect.map(attemptedAt, (times) =>
  times.reduce<Array<number>>((counts, time) => {
    const at = Math.floor(time / hour)
    while (counts.length <= at) counts.push(0)
    counts[at] = (counts[at] ?? 0) + 1
    return counts
  }, [])
)

/** A message a minute, for so many hours. */
const trackFor = Effect.fnUntraced(function* (hours: number, from = 1) {
  for (let minute = from; minute < from + hours * 60; minute++) {
    yield* trackMany(minute, minute)
    yield* TestClock.adjust("1 minutes")
  }
})

/** The law, at this moment. */
const account = Effect.gen(function* () {
  const analytics = yield* Analytics.Analytics
  const { delivered, dropped, offered, pending, rejected } = yield* analytics.stats
  assert.strictEqual(offered, delivered + dropped + pending + rejected)
  return { delivered, dropped, pending, rejected }
})

describe("an outage of hours", () => {
  it.effect.each([
    { maxInFlight: 3, luck: 0.5, perHour: 600 },
    // Chance at its worst: no wait at all between two attempts.
    { maxInFlight: 1, luck: 0, perHour: 60 * 11 }
  ])("H2 never becomes a storm, with maxInFlight $maxInFlight and luck $luck", ({ luck, maxInFlight, perHour }) =>
    Effect.gen(function* () {
      const sent = yield* AnalyticsTest.Sent
      yield* sent.respond(...again(20_000, 503))
      yield* trackFor(8)
      const counts = yield* requestsPerHour
      assert.isAtLeast(counts.length, 8)
      assert.isTrue(
        counts.slice(0, 8).every((count) => count >= 1 && count <= perHour),
        JSON.stringify(counts)
      )
      const { delivered, dropped, pending } = yield* account
      assert.deepStrictEqual([delivered, dropped + pending], [0, 8 * 60])
      assert.isTrue((yield* losses).every(([reason]) => reason === "retries-exhausted"))
    }).pipe(Effect.provide(AnalyticsTest.layer({ maxInFlight }).pipe(Layer.provide(chance(luck)))))
  )

  it.effect("H2 whoever may retry for ever is dropped after 12 hours, for that reason", () =>
    Effect.gen(function* () {
      const sent = yield* AnalyticsTest.Sent
      yield* sent.respond(...again(20_000, 503))
      yield* trackMany(1, 100)
      yield* elapse("12 hours", "1 minutes")
      assert.deepStrictEqual(yield* losses, [])
      yield* elapse("2 minutes", "1 minutes")
      assert.deepStrictEqual(yield* losses, [["retry-timeout", 100]])
      assert.isAtMost(Math.max(...(yield* requestsPerHour)), 200)
    }).pipe(
      Effect.provide(AnalyticsTest.layer({ maxRetries: 1_000, maxInFlight: 1 }).pipe(Layer.provide(chance(0.984375))))
    )
  )

  let up = false
  const down = () => (up ? 200 : 503)

  it.effect.each(["refuse", "drop-oldest"] as const)(
    "P17 with %s the bound holds, and every loss has its reason",
    (overflow) =>
      Effect.gen(function* () {
        up = false
        const judged = yield* Judged
        for (let minute = 1; minute <= 12 * 60; minute++) {
          yield* Effect.ignore(trackMany(2 * minute - 1, 2 * minute - 1))
          yield* Effect.ignore(trackMany(2 * minute, 2 * minute))
          yield* pass("1 minutes")
          assert.isAtMost((yield* account).pending, 20)
        }
        const { dropped, pending, rejected } = yield* account
        const reasons = new Set(lossesOf(judged.outcomes).map(([reason]) => reason))
        if (overflow === "refuse") assert.isAbove(rejected, 0)
        else assert.isTrue(reasons.has("evicted"))
        reasons.delete("evicted")
        assert.deepStrictEqual([...reasons], ["retries-exhausted"])
        assert.strictEqual(pending + dropped + rejected, 24 * 60)
        up = true
        yield* pass("1 minutes")
        yield* pass("1 minutes")
        const after = yield* account
        assert.deepStrictEqual([after.pending, after.delivered], [0, pending])
      }).pipe(
        Effect.provide(
          layerJudged(down, { overflow, maxQueueSize: 20, batchSize: 5 }).pipe(Layer.provide(chance(0.75)))
        )
      )
  )

  it.effect("P17 with wait the callers wait, and are all accepted when it is over, in their order", () =>
    Effect.gen(function* () {
      up = false
      const judged = yield* Judged
      yield* trackMany(1, 10)
      const callers = yield* Effect.forEach([11, 21, 31], (from) => Effect.forkChild(trackMany(from, from + 9)))
      yield* elapse("30 minutes", "1 minutes")
      assert.isTrue(callers.every((caller) => caller.pollUnsafe() === undefined))
      assert.isAtMost((yield* account).pending, 10)
      up = true
      yield* elapse("10 minutes", "1 minutes")
      for (const caller of callers) yield* Fiber.join(caller)
      assert.deepStrictEqual(yield* account, { delivered: 40, dropped: 0, pending: 0, rejected: 0 })
      const taken = judged.taken()
      for (const from of [1, 11, 21, 31]) {
        const own = numbered(from, from + 9)
        assert.deepStrictEqual(
          taken.filter((event) => own.includes(event)),
          own
        )
      }
    }).pipe(
      Effect.provide(
        layerJudged(down, { overflow: "wait", maxQueueSize: 10, maxRetries: 1_000 }).pipe(Layer.provide(chance(0.75)))
      )
    )
  )
})

describe("a limit that never ends", () => {
  it.effect.each([
    ["of five minutes", "300", 13],
    ["of a day", "86400", 13],
    ["of a second", "0", 3_601]
  ] as const)("H1 %s: no storm, and nothing lost unsaid in a day", ([, value, perHour]) =>
    Effect.gen(function* () {
      const sent = yield* AnalyticsTest.Sent
      yield* sent.respond(...again(40_000, limited(value)))
      yield* trackFor(3)
      const counts = yield* requestsPerHour
      assert.isTrue(
        counts.every((count) => count >= 1 && count <= perHour),
        JSON.stringify(counts)
      )
      const { delivered, dropped, pending } = yield* account
      assert.deepStrictEqual([delivered, dropped + pending], [0, 180])
      assert.isTrue((yield* losses).every(([reason]) => reason === "limited"))
      yield* elapse("24 hours", "5 minutes")
      assert.deepStrictEqual(yield* account, { delivered: 0, dropped: 180, pending: 0, rejected: 0 })
      assert.isTrue((yield* losses).every(([reason]) => reason === "limited"))
    }).pipe(Effect.provide(AnalyticsTest.layer().pipe(Layer.provide(chance(0.5)))))
  )
})

describe("P18: the clock of the system jumps, time goes on", () => {
  const start = Date.UTC(2026, 0, 2)
  let jumped = 0

  /** What the system says the time is; timers go on as they did. */
  const jumping = Layer.effect(
    Clock.Clock,
    Effect.map(
      TestClock.testClockWith((clock) => Effect.as(clock.setTime(start), clock)),
      (clock): Clock.Clock => {
        jumped = 0
        const millis = () => clock.currentTimeMillisUnsafe() + jumped
        const nanos = () => clock.currentTimeNanosUnsafe() + BigInt(jumped) * 1_000_000n
        return {
          ...clock,
          currentTimeMillisUnsafe: millis,
          currentTimeMillis: Effect.sync(millis),
          currentTimeNanosUnsafe: nanos,
          currentTimeNanos: Effect.sync(nanos)
        }
      }
    )
  )

  const jump = (millis: number) =>
    Effect.sync(() => {
      jumped += millis
    })

  const layer = (options: AnalyticsTest.Options = {}) =>
    AnalyticsTest.layer(options).pipe(Layer.provide(chance(0.5)), Layer.provide(jumping))

  for (const [name, by] of [
    ["a day ahead", day],
    ["a day back", -day]
  ] as const) {
    it.effect(`${name} in a limit: it ends when it would have, without a storm`, () =>
      Effect.gen(function* () {
        const sent = yield* AnalyticsTest.Sent
        yield* sent.respond(limited("10"))
        yield* trackMany(1, 1)
        yield* pass("5 seconds")
        yield* jump(by)
        yield* trackMany(2, 5)
        yield* elapse("10 seconds", "1 seconds")
        assert.deepStrictEqual(yield* events, numbered(1, 5))
        assert.strictEqual((yield* sent.requests).length, 3)
      }).pipe(Effect.provide(layer()))
    )

    it.effect(`${name} between two attempts: no retry is skipped, none is hurried, nothing expires`, () =>
      Effect.gen(function* () {
        const sent = yield* AnalyticsTest.Sent
        yield* sent.respond(...again(5, 503))
        yield* trackMany(1, 1)
        yield* pass(100)
        yield* jump(by)
        // 250 + 500 + 1,000 + 2,000 + 4,000 ms.
        yield* elapse(7_600, 50)
        assert.deepStrictEqual(yield* losses, [])
        assert.strictEqual((yield* sent.requests).length, 5)
        yield* elapse(200, 50)
        assert.deepStrictEqual(yield* events, ["event 1"])
      }).pipe(Effect.provide(layer()))
    )

    it.effect(`${name} again and again in an outage: as many attempts as without`, () =>
      Effect.gen(function* () {
        const sent = yield* AnalyticsTest.Sent
        yield* sent.respond(...again(50, 503))
        yield* trackMany(1, 1)
        for (let n = 0; n < 10; n++) {
          yield* elapse("10 seconds", "1 seconds")
          yield* jump(n % 2 === 0 ? by : -by)
        }
        yield* elapse("1 hours", "10 seconds")
        assert.deepStrictEqual(yield* losses, [["retries-exhausted", 1]])
        assert.strictEqual((yield* sent.requests).length, 11)
      }).pipe(Effect.provide(layer()))
    )

    it.effect(`${name} in an open window: it closes when it would have`, () =>
      Effect.gen(function* () {
        yield* trackMany(1, 2)
        yield* pass("5 seconds")
        yield* jump(by)
        yield* trackMany(3, 3)
        yield* pass(4_999)
        assert.deepStrictEqual(yield* events, [])
        yield* pass(1)
        assert.deepStrictEqual(yield* events, numbered(1, 3))
      }).pipe(Effect.provide(layer({ flushInterval: "10 seconds" })))
    )

    it.effect(`${name} in a close: it ends in its time`, () =>
      Effect.gen(function* () {
        const analytics = yield* Analytics.Analytics
        const sent = yield* AnalyticsTest.Sent
        yield* sent.respond("never", limited("60"))
        yield* trackMany(1, 2)
        const close = yield* Effect.forkChild(analytics.close)
        yield* pass("1 seconds")
        yield* jump(by)
        yield* elapse("4 seconds", "1 seconds")
        assert.deepStrictEqual(yield* Fiber.join(close), { delivered: 0, dropped: 2, rejected: 0, pending: 0 })
      }).pipe(Effect.provide(layer({ closeTimeout: "5 seconds" })))
    )

    it.effect(`${name} while the body of an answer stalls: the attempt ends in its time`, () => {
      const wire = HttpClient.make((request) =>
        Effect.map(Effect.sleep("2 seconds"), () => {
          const response = HttpClientResponse.fromWeb(
            request,
            new Response(null, { headers: { "content-length": "9" } })
          )
          return Object.defineProperty(response, "text", { value: Effect.never })
        })
      )
      return Effect.gen(function* () {
        const analytics = yield* Analytics.Analytics
        yield* trackMany(1, 1)
        yield* pass("1 seconds")
        yield* jump(by)
        yield* elapse("10 seconds", "1 seconds")
        assert.strictEqual((yield* analytics.stats).delivered, 1)
      }).pipe(
        Effect.provide(
          Analytics.layer({ writeKey: Redacted.make("test-write-key"), closeTimeout: 0 }).pipe(
            Layer.provide([Layer.succeed(HttpClient.HttpClient, wire), jumping])
          )
        )
      )
    })
  }

  it.effect("messages say the time that the system says, and have ids of it", () =>
    Effect.gen(function* () {
      const sent = yield* AnalyticsTest.Sent
      for (const by of [0, day, -2 * day]) {
        yield* jump(by)
        yield* trackMany(1, 1)
        yield* breathe
      }
      const messages = yield* sent.messages
      const dates = ["2026-01-02", "2026-01-03", "2026-01-01"]
      assert.deepStrictEqual(
        messages.map(({ timestamp }) => timestamp.slice(0, 10)),
        dates
      )
      assert.deepStrictEqual(
        messages.map(({ messageId }) => Number.parseInt(messageId.replace("-", "").slice(0, 12), 16)),
        dates.map((date) => Date.parse(date))
      )
    }).pipe(Effect.provide(layer()))
  )
})
