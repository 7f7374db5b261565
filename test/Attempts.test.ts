import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/testing/TestClock"
import * as Analytics from "../src/Analytics.ts"
import * as AnalyticsTest from "../src/AnalyticsTest.ts"
import * as MemoryOutbox from "../src/MemoryOutbox.ts"
import * as Observer from "../src/Observer.ts"
import * as Outbox from "../src/Outbox.ts"
import * as Transport from "../src/Transport.ts"
import {
  attemptedAt,
  breathe,
  chance,
  elapse,
  events,
  Judged,
  type Line,
  layerJudged,
  layerLog,
  losses,
  lossesOf,
  numbered,
  pass,
  sizes,
  trackMany
} from "./support.ts"

const again = <A>(times: number, answer: A): Array<A> => Array.from({ length: times }, () => answer)

const limited = (seconds: string, status = 429) => ({ status, headers: { "retry-after": seconds } })

const layer = (options: AnalyticsTest.Options = {}, luck = 0.5) =>
  AnalyticsTest.layer(options).pipe(Layer.provide(chance(luck)))

describe("Attempts: what may go well the next time", () => {
  it.effect.each([0, 0.25, 0.5, 0.984375])(
    "H2 waits a part of 500 ms · 2^n, at most of 60 s, before each retry: %s of it",
    (luck) =>
      Effect.gen(function* () {
        const sent = yield* AnalyticsTest.Sent
        yield* sent.respond(...again(10, 503))
        yield* trackMany(1, 1)
        yield* breathe
        const expected = [0]
        for (let n = 0; n < 10; n++) {
          const wait = luck * Math.min(60_000, 500 * 2 ** n)
          yield* pass(wait)
          expected.push((expected.at(-1) ?? 0) + wait)
        }
        assert.deepStrictEqual(yield* attemptedAt, expected.map(Math.floor))
        assert.deepStrictEqual(yield* events, ["event 1"])
      }).pipe(Effect.provide(layer({}, luck)))
  )

  it.effect.each([0, 1, 3])("gives up after %i retries, and says with which status", (maxRetries) =>
    Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      const sent = yield* AnalyticsTest.Sent
      yield* sent.respond(...again(20, 503))
      yield* trackMany(1, 2)
      yield* elapse("1 minutes", "250 millis")
      assert.deepStrictEqual(yield* analytics.flush, { delivered: 0, dropped: 0, rejected: 0, pending: 0 })
      const outcomes = yield* sent.outcomes
      assert.strictEqual(outcomes.length, 1)
      const [outcome] = outcomes
      assert(outcome?._tag === "Dropped")
      const { attempts, reason, status } = outcome.error
      assert.deepStrictEqual(
        { attempts, reason, status },
        { attempts: maxRetries + 1, reason: "retries-exhausted", status: 503 }
      )
      assert.isTrue(outcome.error.retryable)
      assert.strictEqual((yield* sent.requests).length, maxRetries + 1)
    }).pipe(Effect.provide(layer({ maxRetries, flushInterval: 10 })))
  )

  it.effect.each(["100 millis", "1 seconds"] as const)(
    "H2 waits as long as that with a closeTimeout of %s",
    (closeTimeout) =>
      Effect.gen(function* () {
        yield* pass("5 seconds")
        const sent = yield* AnalyticsTest.Sent
        yield* sent.respond(503, 503, limited("7"))
        yield* trackMany(1, 1)
        yield* elapse("20 seconds", "50 millis")
        assert.deepStrictEqual(yield* attemptedAt, [5_000, 5_250, 5_750, 12_750])
      }).pipe(Effect.provide(layer({ closeTimeout })))
  )

  it.effect("counts in X-Retry-Count the attempts made before, waits included, and says nothing on the first", () =>
    Effect.gen(function* () {
      const sent = yield* AnalyticsTest.Sent
      yield* sent.respond(503, limited("1"), 503)
      yield* trackMany(1, 1)
      yield* elapse("10 seconds", "250 millis")
      const requests = yield* sent.requests
      assert.deepStrictEqual(
        requests.map(({ headers }) => headers["x-retry-count"]),
        [undefined, "1", "2", "3"]
      )
    }).pipe(Effect.provide(layer()))
  )

  it.effect("tries a network error and a timeout again, and tells them apart at the end", () =>
    Effect.gen(function* () {
      const sent = yield* AnalyticsTest.Sent
      yield* sent.respond("network error", "never", "never", "network error")
      yield* trackMany(1, 1)
      yield* elapse("30 seconds", "250 millis")
      yield* trackMany(2, 2)
      yield* elapse("30 seconds", "250 millis")
      const details = (yield* sent.outcomes).map((outcome) => outcome._tag === "Dropped" && outcome.error.detail)
      assert.deepStrictEqual(details, ["timeout", "network"])
    }).pipe(Effect.provide(layer({ maxRetries: 1 })))
  )

  it.effect("sends the same messageIds and the same text again, with a sentAt of its own", () =>
    Effect.gen(function* () {
      const sent = yield* AnalyticsTest.Sent
      yield* sent.respond("network error", 503)
      yield* trackMany(1, 3)
      yield* elapse("5 seconds", "250 millis")
      const requests = yield* sent.requests
      assert.strictEqual(requests.length, 3)
      assert.strictEqual(new Set(requests.map(({ text }) => text.replace(/"sentAt":.*/, ""))).size, 1)
      assert.strictEqual(new Set(requests.map(({ body }) => body.sentAt)).size, 3)
    }).pipe(Effect.provide(layer()))
  )

  it.effect("keeps the order of the batches while one is tried again", () =>
    Effect.gen(function* () {
      const sent = yield* AnalyticsTest.Sent
      yield* sent.respond(503, 200, "network error", limited("2"), 200, 500)
      yield* trackMany(1, 55)
      yield* elapse("1 minutes", "250 millis")
      assert.deepStrictEqual(yield* events, numbered(1, 55))
    }).pipe(Effect.provide(layer({ batchSize: 10 })))
  )

  it.effect("H2 gives up after 12 hours of failures, however many retries are left", () =>
    Effect.gen(function* () {
      const sent = yield* AnalyticsTest.Sent
      yield* sent.respond(...again(2_000, 503))
      yield* trackMany(1, 1)
      yield* elapse("11 hours", "30 seconds")
      assert.deepStrictEqual(yield* losses, [])
      yield* elapse("65 minutes", "30 seconds")
      assert.deepStrictEqual(yield* losses, [["retry-timeout", 1]])
      const times = yield* attemptedAt
      assert.isAbove(times.at(-1) ?? 0, 12 * 3_600_000)
      assert.isAtMost(times.at(-2) ?? 0, 12 * 3_600_000)
    }).pipe(Effect.provide(layer({ maxRetries: 1_000 }, 0.984375)))
  )

  it.effect("H2 gives up after maxRetryDuration", () =>
    Effect.gen(function* () {
      const sent = yield* AnalyticsTest.Sent
      yield* sent.respond(...again(100, 503))
      yield* trackMany(1, 1)
      yield* elapse("9 seconds", "100 millis")
      assert.deepStrictEqual(yield* losses, [])
      yield* elapse("40 seconds", "100 millis")
      assert.deepStrictEqual(yield* losses, [["retry-timeout", 1]])
    }).pipe(Effect.provide(layer({ maxRetries: 1_000, maxRetryDuration: "10 seconds" })))
  )

  let up = false

  it.effect("H2 24 hours of outage: neither a storm nor a silent loss, and afterwards all is well", () =>
    Effect.gen(function* () {
      up = false
      const analytics = yield* Analytics.Analytics
      const judged = yield* Judged
      const minutes = 24 * 60
      for (let minute = 1; minute <= minutes; minute++) {
        yield* trackMany(minute, minute)
        yield* pass("1 minutes")
      }
      assert.isAtLeast(judged.requests.length, 24)
      assert.isAtMost(judged.requests.length, 2 * minutes)
      const { delivered, dropped, pending } = yield* analytics.stats
      assert.deepStrictEqual([delivered, dropped + pending], [0, minutes])
      assert.isTrue(
        lossesOf(judged.outcomes).every(([reason]) => reason === "retries-exhausted" || reason === "retry-timeout")
      )
      up = true
      yield* trackMany(minutes + 1, minutes + 100)
      yield* pass("1 minutes")
      assert.deepStrictEqual(yield* analytics.stats.pipe(Effect.map(({ pending }) => pending)), 0)
      assert.deepStrictEqual(judged.taken().slice(-100), numbered(minutes + 1, minutes + 100))
    }).pipe(Effect.provide(layerJudged(() => (up ? 200 : 503)).pipe(Layer.provide(chance(0.984375)))))
  )
})

describe("Attempts: Retry-After", () => {
  const now = Date.UTC(2026, 0, 2, 3, 4, 5)
  const backoff = 250

  it.effect.each([
    ["seconds", "7", 7_000],
    ["an HTTP date", "Fri, 02 Jan 2026 03:05:35 GMT", 90_000],
    ["a date that is past", "Fri, 02 Jan 2026 03:00:00 GMT", 1_000],
    ["a date far ahead", "Sat, 02 Jan 2027 03:00:00 GMT", 300_000],
    ["zero", "0", 1_000],
    ["a day", "86400", 300_000],
    ["more digits than a number has", "9".repeat(30), 300_000],
    ["a negative number, which is none", "-5", backoff],
    ["garbage, which is none", "soon", backoff],
    ["nothing, which is none", "", backoff]
  ] as const)("H1 as %s", ([, value, wait]) =>
    Effect.gen(function* () {
      yield* TestClock.setTime(now)
      const sent = yield* AnalyticsTest.Sent
      yield* sent.respond(limited(value))
      yield* trackMany(1, 1)
      yield* pass(wait - 1)
      assert.deepStrictEqual(yield* attemptedAt, [now])
      yield* pass(1)
      assert.deepStrictEqual(yield* attemptedAt, [now, now + wait])
      assert.deepStrictEqual(yield* events, ["event 1"])
    }).pipe(Effect.provide(layer()))
  )

  it.effect("H1 missing: a retry with backoff", () =>
    Effect.gen(function* () {
      const sent = yield* AnalyticsTest.Sent
      yield* sent.respond(429)
      yield* trackMany(1, 1)
      yield* pass(backoff)
      assert.deepStrictEqual(yield* attemptedAt, [0, backoff])
    }).pipe(Effect.provide(layer()))
  )

  it.effect("H1 a limit uses up no retries", () =>
    Effect.gen(function* () {
      const sent = yield* AnalyticsTest.Sent
      yield* sent.respond(...again(5, limited("2", 503)))
      yield* trackMany(1, 1)
      yield* elapse("10 seconds", "1 seconds")
      assert.deepStrictEqual(yield* events, ["event 1"])
      assert.strictEqual((yield* sent.requests).length, 6)
    }).pipe(Effect.provide(layer({ maxRetries: 0 })))
  )

  it.effect("H1 stops all requests of the client, and not only the one that was answered", () =>
    Effect.gen(function* () {
      const sent = yield* AnalyticsTest.Sent
      yield* sent.respond({ status: 503, delay: 2_000 }, { status: 503, delay: 3_000 }, limited("10"))
      yield* trackMany(1, 60)
      yield* breathe
      assert.deepStrictEqual(yield* attemptedAt, [0, 0, 0])
      yield* elapse("9 seconds", "1 seconds")
      yield* pass(999)
      assert.deepStrictEqual(yield* attemptedAt, [0, 0, 0])
      yield* pass(1)
      assert.deepStrictEqual(yield* attemptedAt, [0, 0, 0, 10_000, 10_000, 10_000, 10_000, 10_000, 10_000])
      assert.deepStrictEqual((yield* events).toSorted(), numbered(1, 60).toSorted())
    }).pipe(Effect.provide(layer({ batchSize: 10, maxInFlight: 3 })))
  )

  it.effect("H1 an endless one ends after maxRetries + 20 waits", () =>
    Effect.gen(function* () {
      const sent = yield* AnalyticsTest.Sent
      yield* sent.respond(...again(100, limited("1")))
      yield* trackMany(1, 1)
      yield* elapse("40 seconds", "1 seconds")
      assert.deepStrictEqual(yield* losses, [["limited", 1]])
      assert.strictEqual((yield* sent.requests).length, 31)
    }).pipe(Effect.provide(layer({ maxRetries: 10 })))
  )

  it.effect.each(["13 hours", "3 days"] as const)(
    "H1 one that was over %s ago is not the beginning of the next",
    (idle) =>
      Effect.gen(function* () {
        const sent = yield* AnalyticsTest.Sent
        yield* sent.respond(limited("1"), 400, limited("1"), 200)
        yield* trackMany(1, 1)
        yield* elapse("10 seconds", "250 millis")
        assert.deepStrictEqual(yield* losses, [["rejected", 1]])
        yield* pass(idle)
        yield* trackMany(2, 2)
        yield* elapse("10 seconds", "250 millis")
        assert.deepStrictEqual(yield* losses, [["rejected", 1]])
        assert.deepStrictEqual(yield* events, ["event 2"])
      }).pipe(Effect.provide(layer()))
  )

  it.effect("H1 one that was over before an outage is not the beginning of the next", () =>
    Effect.gen(function* () {
      const sent = yield* AnalyticsTest.Sent
      yield* sent.respond(limited("1"), 503, limited("1"), 401, limited("1"), 200)
      yield* trackMany(1, 1)
      yield* elapse("1 minutes", "250 millis")
      assert.deepStrictEqual(yield* losses, [["misconfigured", 1]])
      yield* pass("13 hours")
      yield* trackMany(2, 2)
      yield* elapse("10 seconds", "250 millis")
      assert.deepStrictEqual(yield* events, ["event 2"])
    }).pipe(Effect.provide(layer()))
  )

  it.effect("H1 one that was given up is not the beginning of the next", () =>
    Effect.gen(function* () {
      const sent = yield* AnalyticsTest.Sent
      yield* sent.respond(...again(21, limited("1")))
      yield* trackMany(1, 1)
      yield* elapse("30 seconds", "1 seconds")
      assert.deepStrictEqual(yield* losses, [["limited", 1]])
      yield* pass("13 hours")
      yield* sent.respond(limited("1"))
      yield* trackMany(2, 2)
      yield* elapse("10 seconds", "1 seconds")
      assert.deepStrictEqual(yield* events, ["event 2"])
    }).pipe(Effect.provide(layer({ maxRetries: 0 })))
  )

  const lines: Array<Line> = []
  const limits = () => lines.flatMap(({ text }) => /^rate limited for [^;]*/.exec(text) ?? [])
  const logged = (options: AnalyticsTest.Options) => Effect.provide(layer(options).pipe(Layer.provide(layerLog(lines))))

  it.effect("H1 one that was over with a delivery is not the beginning of the next", () =>
    Effect.gen(function* () {
      lines.length = 0
      const sent = yield* AnalyticsTest.Sent
      yield* sent.respond(limited("20"))
      yield* trackMany(1, 1)
      yield* elapse("1 minutes", "1 seconds")
      yield* sent.respond(limited("20"))
      yield* trackMany(2, 2)
      yield* elapse("1 minutes", "1 seconds")
      assert.deepStrictEqual(yield* events, ["event 1", "event 2"])
      assert.deepStrictEqual(limits(), [])
      yield* sent.respond(...again(3, limited("20")))
      yield* trackMany(3, 3)
      yield* elapse("61 seconds", "1 seconds")
      assert.deepStrictEqual(limits(), ["rate limited for 40.0 s"])
    }).pipe(logged({}))
  )

  it.effect("H1 one goes on while the answers of earlier requests come in", () =>
    Effect.gen(function* () {
      lines.length = 0
      const sent = yield* AnalyticsTest.Sent
      yield* sent.respond({ status: 200, delay: 5_000 }, limited("15"), limited("15"), limited("15"))
      yield* trackMany(1, 2)
      yield* elapse("31 seconds", "1 seconds")
      assert.deepStrictEqual(limits(), ["rate limited for 30.0 s"])
    }).pipe(logged({ batchSize: 1, maxInFlight: 2 }))
  )

  it.effect("H1 an endless one ends after 12 hours", () =>
    Effect.gen(function* () {
      const sent = yield* AnalyticsTest.Sent
      yield* sent.respond(...again(200, limited("300")))
      yield* trackMany(1, 1)
      yield* elapse("12 hours", "5 minutes")
      assert.deepStrictEqual(yield* losses, [])
      yield* pass("5 minutes")
      assert.deepStrictEqual(yield* losses, [["limited", 1]])
    }).pipe(Effect.provide(layer({ maxRetries: 1_000 })))
  )

  it.effect(
    "H1 a longer one than maxRateLimitDuration ends a batch without an attempt; the next one waits for its end",
    () =>
      Effect.gen(function* () {
        const sent = yield* AnalyticsTest.Sent
        yield* sent.respond(limited("60"))
        yield* trackMany(1, 1)
        yield* pass("40 seconds")
        assert.deepStrictEqual(yield* losses, [])
        yield* pass("1 seconds")
        assert.deepStrictEqual(yield* losses, [["limited", 1]])
        yield* trackMany(2, 2)
        yield* pass("18 seconds")
        assert.strictEqual((yield* sent.requests).length, 1)
        yield* pass("2 seconds")
        assert.deepStrictEqual(yield* events, ["event 2"])
      }).pipe(Effect.provide(layer({ maxRateLimitDuration: "40 seconds" })))
  )
})

/** Whether every request is smaller than all that were refused before it. */
const isNoneAsLargeAsOneRefused = (requests: Judged["Service"]["requests"]) => {
  let limit = Number.POSITIVE_INFINITY
  return requests.every(({ bytes, status }) => {
    const isSmaller = bytes < limit
    if (status === 413) limit = bytes
    return isSmaller
  })
}

describe("Attempts: what is refused", () => {
  it.effect("H8 413 halves the batch until it fits, loses nothing, and asks with no larger one again", () =>
    Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      const judged = yield* Judged
      yield* trackMany(1, 100)
      assert.deepStrictEqual(yield* analytics.flush, { delivered: 100, dropped: 0, rejected: 0, pending: 0 })
      assert.deepStrictEqual(judged.taken(), numbered(1, 100))
      const refused = judged.requests.filter(({ status }) => status === 413)
      assert.isAtLeast(refused.length, 1)
      const learned = judged.requests.length
      yield* trackMany(101, 500)
      assert.deepStrictEqual(yield* analytics.flush, { delivered: 400, dropped: 0, rejected: 0, pending: 0 })
      assert.isTrue(judged.requests.slice(learned).every(({ status }) => status === 200))
      assert.deepStrictEqual(judged.taken(), numbered(1, 500))
      assert.isTrue(isNoneAsLargeAsOneRefused(judged.requests))
    }).pipe(Effect.provide(layerJudged((_, bytes) => (bytes > 4_000 ? 413 : 200), { flushInterval: 10 })))
  )

  it.effect("H8 413 for a single message drops it, and only it", () =>
    Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      const judged = yield* Judged
      yield* trackMany(1, 8)
      assert.deepStrictEqual(yield* analytics.flush, { delivered: 7, dropped: 1, rejected: 0, pending: 0 })
      assert.deepStrictEqual(
        judged.taken(),
        numbered(1, 8).filter((event) => event !== "event 5")
      )
      const lost = judged.outcomes.find((outcome) => outcome._tag === "Dropped")
      assert(lost?._tag === "Dropped")
      const { attempts, reason, status } = lost.error
      assert.deepStrictEqual({ reason, status }, { reason: "rejected", status: 413 })
      assert.isAtMost(attempts, 1 + Math.log2(8))
      assert.isFalse(lost.error.retryable)
    }).pipe(Effect.provide(layerJudged((events) => (events.includes("event 5") ? 413 : 200), { flushInterval: 10 })))
  )

  for (const status of [400, 422]) {
    it.effect.each([1, 2, 37, 50, 51, 99, 100])(
      `H9 finds one poison in 100 within 2 · log2 n requests more, and delivers the rest (${status}, at %i)`,
      (at) => {
        const poison = `event ${at}`
        return Effect.gen(function* () {
          const analytics = yield* Analytics.Analytics
          const judged = yield* Judged
          yield* trackMany(1, 100)
          assert.deepStrictEqual(yield* analytics.flush, { delivered: 99, dropped: 1, rejected: 0, pending: 0 })
          assert.isAtMost(judged.requests.length - 1, 2 * Math.ceil(Math.log2(100)))
          assert.deepStrictEqual(
            judged.taken(),
            numbered(1, 100).filter((event) => event !== poison)
          )
          assert.deepStrictEqual(lossesOf(judged.outcomes), [["rejected", 1]])
        }).pipe(
          Effect.provide(layerJudged((events) => (events.includes(poison) ? status : 200), { flushInterval: 10 }))
        )
      }
    )
  }

  it.effect("H9 finds two poisons side by side, and two far apart", () =>
    Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      const judged = yield* Judged
      yield* trackMany(1, 100)
      assert.deepStrictEqual(yield* analytics.flush, { delivered: 98, dropped: 2, rejected: 0, pending: 0 })
      yield* trackMany(101, 200)
      assert.deepStrictEqual(yield* analytics.flush, { delivered: 98, dropped: 2, rejected: 0, pending: 0 })
      assert.deepStrictEqual(judged.taken().length, 196)
    }).pipe(
      Effect.provide(
        layerJudged((events) => (events.some((event) => / (40|41|103|188)$/.test(event)) ? 400 : 200), {
          flushInterval: 10
        })
      )
    )
  )

  it.effect("H9 many poisons: none is delivered, no good one is lost unsaid, and the search has an end", () =>
    Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      const judged = yield* Judged
      yield* trackMany(1, 100)
      const { delivered, dropped } = yield* analytics.flush
      assert.strictEqual(delivered + dropped, 100)
      assert.isAtLeast(dropped, 10)
      assert.isAtLeast(delivered, 1)
      assert.isAtMost(judged.requests.length, 33)
      assert.isFalse(judged.taken().some((event) => event.endsWith("7")))
    }).pipe(
      Effect.provide(
        layerJudged((events) => (events.some((event) => event.endsWith("7")) ? 400 : 200), { flushInterval: 10 })
      )
    )
  )

  it.effect("H10 400 for everything costs 32 requests more, then 8 a batch, and every loss is told", () =>
    Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      const judged = yield* Judged
      yield* trackMany(1, 100)
      assert.deepStrictEqual(yield* analytics.flush, { delivered: 0, dropped: 100, rejected: 0, pending: 0 })
      assert.strictEqual(judged.requests.length, 33)
      yield* trackMany(101, 200)
      assert.deepStrictEqual(yield* analytics.flush, { delivered: 0, dropped: 100, rejected: 0, pending: 0 })
      assert.strictEqual(judged.requests.length, 33 + 9)
      assert.isTrue(lossesOf(judged.outcomes).every(([reason]) => reason === "rejected"))
    }).pipe(Effect.provide(layerJudged(() => 400, { flushInterval: 10 })))
  )

  it.effect(
    "H10 after a hopeless search the good ones are delivered still, and the next search is thorough again",
    () =>
      Effect.gen(function* () {
        const analytics = yield* Analytics.Analytics
        const judged = yield* Judged
        yield* trackMany(1, 100)
        assert.deepStrictEqual(yield* analytics.flush, { delivered: 0, dropped: 100, rejected: 0, pending: 0 })
        yield* trackMany(101, 200)
        const second = yield* analytics.flush
        assert.isAtLeast(second.delivered, 90)
        assert.isFalse(judged.taken().includes("event 150"))
        yield* trackMany(201, 300)
        assert.deepStrictEqual(yield* analytics.flush, { delivered: 99, dropped: 1, rejected: 0, pending: 0 })
      }).pipe(
        Effect.provide(
          layerJudged(
            (events) =>
              events.some((event) => /^event (\d|\d\d|100)$/.test(event) || / (150|250)$/.test(event)) ? 400 : 200,
            { flushInterval: 10 }
          )
        )
      )
  )

  it.effect("H8 413 for everything costs 32 requests more, then 8 a batch, as 400 does, and every loss is told", () =>
    Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      const judged = yield* Judged
      yield* trackMany(1, 100)
      assert.deepStrictEqual(yield* analytics.flush, { delivered: 0, dropped: 100, rejected: 0, pending: 0 })
      assert.isAtMost(judged.requests.length, 33)
      for (const batch of [1, 2, 3]) {
        const before = judged.requests.length
        yield* trackMany(100 * batch + 1, 100 * batch + 100)
        assert.deepStrictEqual(yield* analytics.flush, { delivered: 0, dropped: 100, rejected: 0, pending: 0 })
        assert.isAtMost(judged.requests.length - before, 9)
      }
      assert.isTrue(lossesOf(judged.outcomes).every(([reason]) => reason === "rejected"))
    }).pipe(Effect.provide(layerJudged(() => 413, { flushInterval: 10 })))
  )

  it.effect.each([100, 1_300])(
    "H8 413 of a server that takes but a message or two at a time: all of %i arrive, in their order",
    (count) =>
      Effect.gen(function* () {
        const analytics = yield* Analytics.Analytics
        const judged = yield* Judged
        yield* trackMany(1, count)
        assert.deepStrictEqual(yield* analytics.flush, { delivered: count, dropped: 0, rejected: 0, pending: 0 })
        assert.deepStrictEqual(judged.taken(), numbered(1, count))
        assert.isTrue(isNoneAsLargeAsOneRefused(judged.requests))
      }).pipe(
        Effect.provide(layerJudged((_, bytes) => (bytes > 700 ? 413 : 200), { flushInterval: 10, batchSize: 2_500 }))
      )
  )

  it.effect.each([1, 2, 50, 51, 100])(
    "H8 413 for one large message among small ones (at %i) shrinks nothing for good",
    (at) =>
      Effect.gen(function* () {
        const analytics = yield* Analytics.Analytics
        const judged = yield* Judged
        yield* trackMany(1, 100)
        assert.deepStrictEqual(yield* analytics.flush, { delivered: 99, dropped: 1, rejected: 0, pending: 0 })
        assert.deepStrictEqual(
          judged.taken(),
          numbered(1, 100).filter((event) => event !== `event ${at}`)
        )
        const before = judged.requests.length
        yield* trackMany(101, 200)
        assert.deepStrictEqual(yield* analytics.flush, { delivered: 100, dropped: 0, rejected: 0, pending: 0 })
        assert.deepStrictEqual(
          judged.requests.slice(before).map(({ events }) => events.length),
          [100]
        )
      }).pipe(
        Effect.provide(layerJudged((events) => (events.includes(`event ${at}`) ? 413 : 200), { flushInterval: 10 }))
      )
  )

  it.effect("H8 413 reveals a limit, and later requests use it to the byte", () =>
    Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      const sent = yield* AnalyticsTest.Sent
      const call = (event: string, length = 0) =>
        analytics.track({ userId: "u1", messageId: event, event, properties: { text: "x".repeat(length) } })
      // One to learn what a message and an envelope weigh.
      yield* call("event 00")
      yield* analytics.flush
      const [request] = yield* sent.requests
      const message = JSON.stringify(request?.body.batch[0]).length
      const envelope = (request?.text.length ?? 0) - message
      yield* sent.respond(413)
      for (let n = 10; n < 30; n++) yield* call(`event ${n}`)
      yield* analytics.flush
      // Two that fill a request of that size, then two that are one byte too many.
      const limit = envelope + 10 * message + 9
      const before = (yield* sizes).length
      for (const extra of [0, 1]) {
        yield* call("event 30")
        yield* call("event 31", limit - envelope - 2 * message - 1 + extra)
        yield* analytics.flush
      }
      assert.deepStrictEqual((yield* sizes).slice(before), [2, 1, 1])
      assert.strictEqual((yield* sent.requests).at(-3)?.text.length, limit)
    }).pipe(Effect.provide(layer({ flushInterval: 10 })))
  )

  it.effect.each([100, 77])(
    "H8 413 for a batch of %i whose halves fit costs the request that was refused, and no more",
    (count) =>
      Effect.gen(function* () {
        const analytics = yield* Analytics.Analytics
        const sent = yield* AnalyticsTest.Sent
        yield* sent.respond(413)
        yield* trackMany(101, 100 + count)
        yield* analytics.flush
        assert.deepStrictEqual(yield* sizes, [Math.ceil(count / 2), Math.floor(count / 2)])
      }).pipe(Effect.provide(layer({ flushInterval: 10 })))
  )

  it.effect("H8 413 for two messages that pass one by one: the next two are sent one by one at once", () =>
    Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      const judged = yield* Judged
      for (const from of [1, 3]) {
        yield* trackMany(from, from + 1)
        assert.deepStrictEqual(yield* analytics.flush, { delivered: 2, dropped: 0, rejected: 0, pending: 0 })
      }
      assert.deepStrictEqual(
        judged.requests.map(({ events }) => events.length),
        [2, 1, 1, 1, 1]
      )
    }).pipe(Effect.provide(layerJudged((events) => (events.length > 1 ? 413 : 200), { flushInterval: 10 })))
  )

  it.effect("H8 413 of a server that takes one message at a time: the small ones after the large ones arrive too", () =>
    Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      const judged = yield* Judged
      for (let n = 1; n <= 100; n++) {
        const properties = { padding: "x".repeat(n <= 80 ? 2_000 : 0) }
        yield* analytics.track({ userId: "u1", event: `event ${n}`, properties })
      }
      assert.deepStrictEqual(yield* analytics.flush, { delivered: 100, dropped: 0, rejected: 0, pending: 0 })
      assert.deepStrictEqual(judged.taken(), numbered(1, 100))
    }).pipe(Effect.provide(layerJudged((events) => (events.length > 1 ? 413 : 200), { flushInterval: 10 })))
  )

  it.effect("H8 413 for a batch whose halves are refused for another reason: its limit stays", () =>
    Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      const sent = yield* AnalyticsTest.Sent
      yield* sent.respond(413, 401, 401)
      yield* trackMany(1, 20)
      yield* analytics.flush
      yield* trackMany(21, 40)
      yield* analytics.flush
      assert.deepStrictEqual(yield* sizes, [10, 10])
    }).pipe(Effect.provide(layer({ flushInterval: 10 })))
  )

  it.effect("H12 success: false is a refusal: the batch is searched, the culprit dropped", () =>
    Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      const sent = yield* AnalyticsTest.Sent
      const no = { status: 200, body: `{"success":false}` }
      yield* sent.respond(no, 200, no)
      yield* trackMany(1, 2)
      assert.deepStrictEqual(yield* analytics.flush, { delivered: 1, dropped: 1, rejected: 0, pending: 0 })
      assert.deepStrictEqual(yield* losses, [["rejected", 1]])
    }).pipe(Effect.provide(layer({ flushInterval: 10 })))
  )

  const lines: Array<Line> = []

  it.effect.each([301, 302, 303, 307, 308, 401, 403, 404, 409, 418, 501, 505, 511])(
    "H3 H13 %i: one attempt for each batch, every message dropped, one loud error for all",
    (status) =>
      Effect.gen(function* () {
        lines.length = 0
        const analytics = yield* Analytics.Analytics
        const sent = yield* AnalyticsTest.Sent
        yield* sent.respond(...again(3, status))
        yield* trackMany(1, 30)
        assert.deepStrictEqual(yield* analytics.flush, { delivered: 0, dropped: 30, rejected: 0, pending: 0 })
        assert.strictEqual((yield* sent.requests).length, 3)
        assert.deepStrictEqual(yield* losses, again(3, ["misconfigured", 10] as const))
        assert.strictEqual(lines.filter(({ level }) => level === "Error").length, 1)
        assert.strictEqual(lines.find(({ level }) => level === "Error")?.annotations.status, status)
      }).pipe(Effect.provide(layer({ batchSize: 10, flushInterval: 10 }).pipe(Layer.provide(layerLog(lines)))))
  )

  it.effect("H10 says it again once a delivery has gone well in between", () =>
    Effect.gen(function* () {
      lines.length = 0
      const analytics = yield* Analytics.Analytics
      const sent = yield* AnalyticsTest.Sent
      yield* sent.respond(401, 401, 200, 401, 401)
      yield* trackMany(1, 50)
      yield* analytics.flush
      assert.deepStrictEqual(yield* sizes, [10])
      assert.strictEqual(lines.filter(({ level }) => level === "Error").length, 2)
    }).pipe(Effect.provide(layer({ batchSize: 10, flushInterval: 10 }).pipe(Layer.provide(layerLog(lines)))))
  )

  it.effect("a part of a split batch that fails otherwise is tried again by itself", () =>
    Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      const sent = yield* AnalyticsTest.Sent
      yield* sent.respond(400, 503, 200, 400)
      yield* trackMany(1, 2)
      const flush = yield* Effect.forkChild(analytics.flush)
      yield* elapse("1 seconds", "250 millis")
      assert.deepStrictEqual(yield* Fiber.join(flush), { delivered: 1, dropped: 1, rejected: 0, pending: 0 })
      assert.deepStrictEqual(yield* events, ["event 1"])
    }).pipe(Effect.provide(layer({ flushInterval: 10 })))
  )
})

describe("Attempts: what is known of an outage", () => {
  const stats = Analytics.Analytics.use((analytics) =>
    Effect.map(analytics.stats, ({ lastFailure, limitedUntil }) => ({ lastFailure, limitedUntil }))
  )
  const nothing = { lastFailure: undefined, limitedUntil: undefined }

  it.effect("stats have the last failure and the end of a limit until they are over", () =>
    Effect.gen(function* () {
      yield* pass("5 seconds")
      const sent = yield* AnalyticsTest.Sent
      yield* sent.respond(503, "network error", limited("7"))
      assert.deepStrictEqual(yield* stats, nothing)
      yield* trackMany(1, 1)
      yield* breathe
      assert.deepStrictEqual(yield* stats, { ...nothing, lastFailure: { status: 503, at: 5_000 } })
      yield* pass("250 millis")
      assert.deepStrictEqual(yield* stats, { ...nothing, lastFailure: { detail: "network", at: 5_250 } })
      yield* pass("500 millis")
      const limitedUntil = 5_750 + 7_000
      assert.deepStrictEqual(yield* stats, { lastFailure: { status: 429, at: 5_750 }, limitedUntil })
      yield* pass("7 seconds")
      assert.deepStrictEqual(yield* stats, nothing)
      assert.deepStrictEqual(yield* events, ["event 1"])
    }).pipe(Effect.provide(layer()))
  )

  it.effect("a rejection is no failure: the API was reached", () =>
    Effect.gen(function* () {
      const sent = yield* AnalyticsTest.Sent
      yield* sent.respond(400)
      yield* trackMany(1, 1)
      yield* breathe
      assert.deepStrictEqual(yield* losses, [["rejected", 1]])
      assert.deepStrictEqual(yield* stats, nothing)
    }).pipe(Effect.provide(layer()))
  )

  it.effect("what a close drops says the last failure", () =>
    Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      const sent = yield* AnalyticsTest.Sent
      yield* sent.respond(503, 500)
      yield* trackMany(1, 1)
      yield* elapse("250 millis", "50 millis")
      yield* analytics.close
      const [outcome] = yield* sent.outcomes
      assert(outcome?._tag === "Dropped")
      assert.include({ ...outcome.error }, { reason: "closed", status: 500 })
    }).pipe(Effect.provide(layer()))
  )

  const lines: Array<Line> = []

  it.effect("its end is logged with its length, from the first failure on", () =>
    Effect.gen(function* () {
      lines.length = 0
      yield* pass("5 seconds")
      const sent = yield* AnalyticsTest.Sent
      yield* sent.respond(503, 503, 503, 503)
      yield* trackMany(1, 1)
      // 0.25 + 0.5 + 1 + 2 s
      yield* elapse("10 seconds", "50 millis")
      const recoveries = lines.filter(({ text }) => text.startsWith("delivering again"))
      assert.deepStrictEqual(
        recoveries.map(({ annotations, level, text }) => [level, text, annotations.destination]),
        [["Warn", "delivering again, after 3.8 s", "https://api.segment.io/v1/batch"]]
      )
    }).pipe(Effect.provide(layer().pipe(Layer.provide(layerLog(lines)))))
  )
})

describe("Attempts: a durable outbox", () => {
  type Backoff = Outbox.BackoffState | undefined

  /** A client that starts with this backoff, and what it did: when it made attempts, and which backoffs it stored. */
  const start = Effect.fnUntraced(function* (stored: Backoff, ...results: Array<Transport.SendResult>) {
    const attempts: Array<number> = []
    const saved: Array<Backoff> = []
    const transport = Layer.succeed(Transport.Transport, {
      send: () =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          attempts.push(now)
          return results.shift() ?? Transport.SendResult.Delivered({ status: 200 })
        }),
      envelopeBytes: 0
    })
    const durable: Outbox.Durable = {
      maxInFlight: 1,
      bind: () => Effect.void,
      dropExpired: Effect.succeed,
      stateOf: () => Effect.succeed("pending"),
      saveBackoff: (state) => Effect.sync(() => void saved.push(state)),
      loadBackoff: Effect.succeed(stored)
    }
    const outbox = Layer.effect(
      Outbox.Outbox,
      Effect.map(MemoryOutbox.make(), (outbox) => ({ ...outbox, durable }))
    )
    const context = yield* Layer.build(
      Analytics.layerNoDeps({ closeTimeout: 0, maxRetries: 2 }).pipe(Layer.provide([outbox, transport, chance(0.5)]))
    )
    return { attempts, saved, track: (n: number) => Effect.provide(trackMany(n, n), context) }
  })

  const transient = Transport.SendResult.Transient({ status: 503 })
  const limit = Transport.SendResult.Limited({ status: 429, delay: 7_000 })

  it.effect("is told every backoff, and once that there is none any more", () =>
    Effect.gen(function* () {
      const { saved, track } = yield* start(
        undefined,
        Transport.SendResult.Delivered({ status: 200 }),
        transient,
        limit
      )
      yield* track(1)
      yield* breathe
      assert.deepStrictEqual(saved, [])
      yield* track(2)
      yield* elapse("10 seconds", "50 millis")
      yield* track(3)
      yield* breathe
      assert.deepStrictEqual(saved, [{ retries: 0, resumeAt: 250 }, { retries: 0, resumeAt: 7_250 }, undefined])
    })
  )

  it.effect("goes on where the backoff was that is stored, and clears it when it is over", () =>
    Effect.gen(function* () {
      const { attempts, saved, track } = yield* start({ retries: 4, resumeAt: 90_000 }, transient)
      yield* track(1)
      yield* elapse("2 minutes", "500 millis")
      assert.deepStrictEqual(attempts, [90_000, 94_000])
      assert.deepStrictEqual(saved, [{ retries: 4, resumeAt: 94_000 }, undefined])
    })
  )

  it.effect.each([
    ["that is past", 0, 100_000],
    ["an hour ahead, as after a change of the clock", 3_700_000, 400_000]
  ] as const)("waits 5 minutes at most for a stored backoff %s", ([, resumeAt, at]) =>
    Effect.gen(function* () {
      yield* TestClock.setTime(100_000)
      const { attempts, saved, track } = yield* start({ retries: 4, resumeAt })
      yield* track(1)
      yield* elapse("10 minutes", "1 seconds")
      assert.deepStrictEqual(attempts, [at])
      assert.deepStrictEqual(saved, [undefined])
    })
  )

  it.effect.each([
    ["fails", transient],
    ["is refused", Transport.SendResult.Misconfigured({ status: 401 })]
  ] as const)("a batch that %s is tried again and again, further and further apart", ([, result]) =>
    Effect.gen(function* () {
      const { attempts, track } = yield* start(undefined, ...again(5, result))
      yield* track(1)
      yield* elapse("1 minutes", "250 millis")
      assert.deepStrictEqual(attempts, [0, 250, 750, 1_750, 3_750, 7_750])
    })
  )
})

describe("Attempts: a wire that breaks its promises", () => {
  const thrown = (): never => {
    throw new Error("boom")
  }

  const ways: ReadonlyArray<readonly [string, () => Effect.Effect<never>]> = [
    ["dies", () => Effect.die("boom")],
    ["interrupts itself", () => Effect.interrupt],
    ["throws", thrown]
  ]

  /** The real client over a wire that breaks two times, answers, and breaks two times again. */
  const clients = (breaks: () => Effect.Effect<never>) => {
    const settings = { maxRetries: 2, flushInterval: 10, closeTimeout: 0 }
    let asked = 0
    const answerOr = <A>(answer: () => A) =>
      Effect.suspend(() => (asked++ % 3 < 2 ? breaks() : Effect.succeed(answer())))
    const http = HttpClient.make((request) =>
      answerOr(() => HttpClientResponse.fromWeb(request, new Response(null, { status: 200 })))
    )
    const send = () => answerOr(() => Transport.SendResult.Delivered({ status: 200 }))
    return {
      "an HttpClient": Analytics.layer({ writeKey: Redacted.make("k"), ...settings }).pipe(
        Layer.provide([Layer.succeed(HttpClient.HttpClient, http), chance(0.5)])
      ),
      "a transport": Analytics.layerNoDeps(settings).pipe(
        Layer.provide([
          MemoryOutbox.layer(),
          Layer.succeed(Transport.Transport, { send, envelopeBytes: 0 }),
          chance(0.5)
        ])
      )
    } as const
  }

  for (const where of ["an HttpClient", "a transport"] as const) {
    it.effect.each(ways)(`${where} that %s is tried again, and nothing hangs`, ([, breaks]) =>
      Effect.gen(function* () {
        const analytics = yield* Analytics.Analytics
        for (const from of [1, 4]) {
          yield* trackMany(from, from + 2)
          const flush = yield* Effect.forkChild(analytics.flush)
          yield* elapse("10 seconds", "250 millis")
          assert.deepStrictEqual(
            flush.pollUnsafe(),
            Exit.succeed({ delivered: 3, dropped: 0, rejected: 0, pending: 0 })
          )
        }
      }).pipe(Effect.provide(clients(breaks)[where]))
    )
  }

  it.effect.each(ways)("a transport that %s for ever: the batch is dropped, and it is said why", ([, breaks]) => {
    const details: Array<unknown> = []
    const observer = Observer.layer((outcome) =>
      Effect.sync(() => {
        if (outcome._tag === "Dropped") details.push([outcome.error.reason, outcome.error.detail])
      })
    )
    const transport = Layer.succeed(Transport.Transport, { send: () => breaks(), envelopeBytes: 0 })
    const client = Analytics.layerNoDeps({ maxRetries: 1, closeTimeout: 0 }).pipe(
      Layer.provide([MemoryOutbox.layer(), transport, chance(0.5)]),
      Layer.provide(observer)
    )
    return Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      yield* trackMany(1, 1)
      const flush = yield* Effect.forkChild(analytics.flush)
      yield* elapse("10 seconds", "250 millis")
      assert.deepStrictEqual(flush.pollUnsafe(), Exit.succeed({ delivered: 0, dropped: 1, rejected: 0, pending: 0 }))
      assert.deepStrictEqual(details, [["retries-exhausted", "the transport threw"]])
    }).pipe(Effect.provide(client))
  })
})
