import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Analytics from "../src/Analytics.ts"
import * as AnalyticsTest from "../src/AnalyticsTest.ts"
import { breathe, events, numbered, pass, sizes, trackMany } from "./support.ts"

describe("Delivery", () => {
  it.effect("sends the first message at once when idle, and what arrives during its request as the next batch", () =>
    Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      const sent = yield* AnalyticsTest.Sent
      yield* sent.respond({ status: 200, after: 1_000 })
      yield* trackMany(1, 1)
      yield* breathe
      yield* trackMany(2, 51)
      yield* pass(500)
      yield* trackMany(52, 61)
      yield* pass(500)
      yield* analytics.flush
      assert.deepStrictEqual(yield* sizes, [1, 60])
    }).pipe(Effect.provide(AnalyticsTest.layer()))
  )

  it.effect("delivers what is waiting when the window closes", () =>
    Effect.gen(function* () {
      yield* trackMany(1, 3)
      yield* pass("4 seconds")
      yield* trackMany(4, 5)
      yield* pass("5999 millis")
      assert.deepStrictEqual(yield* sizes, [])
      yield* pass("1 millis")
      assert.deepStrictEqual(yield* sizes, [5])
    }).pipe(Effect.provide(AnalyticsTest.layer({ flushInterval: "10 seconds" })))
  )

  it.effect("a flush hurries the open group", () =>
    Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      yield* trackMany(1, 3)
      yield* pass("4 seconds")
      assert.deepStrictEqual(yield* sizes, [])
      assert.deepStrictEqual(yield* analytics.flush, { delivered: 3, dropped: 0 })
      assert.deepStrictEqual(yield* sizes, [3])
      yield* trackMany(4, 5)
      yield* pass("9999 millis")
      assert.deepStrictEqual(yield* sizes, [3])
      yield* pass("1 millis")
      assert.deepStrictEqual(yield* sizes, [3, 2])
    }).pipe(Effect.provide(AnalyticsTest.layer({ flushInterval: "10 seconds" })))
  )

  it.effect("keeps the order in which calls were accepted", () =>
    Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      yield* trackMany(1, 1234)
      yield* analytics.flush
      assert.deepStrictEqual(yield* events, numbered(1, 1234))
    }).pipe(Effect.provide(AnalyticsTest.layer()))
  )

  it.effect("has no more than maxInFlight requests on their way", () =>
    Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      const sent = yield* AnalyticsTest.Sent
      yield* sent.respond(...Array.from({ length: 10 }, () => ({ status: 200, after: 1_000 })))
      yield* trackMany(1, 1000)
      const flush = yield* Effect.forkChild(analytics.flush)
      for (const requests of [3, 6, 9, 10]) {
        yield* breathe
        assert.strictEqual((yield* sent.requests).length, requests)
        yield* pass(1_000)
      }
      assert.deepStrictEqual(yield* Fiber.join(flush), { delivered: 1000, dropped: 0 })
    }).pipe(Effect.provide(AnalyticsTest.layer({ maxInFlight: 3 })))
  )

  it.effect("a close drops what it can't deliver in time, and says so", () =>
    Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      const sent = yield* AnalyticsTest.Sent
      yield* sent.respond(200, "never")
      yield* trackMany(1, 250)
      const close = yield* Effect.forkChild(analytics.close)
      yield* pass("2 seconds")
      assert.deepStrictEqual(yield* Fiber.join(close), { delivered: 100, dropped: 150 })
      assert.deepStrictEqual(yield* analytics.close, { delivered: 100, dropped: 150 })
      assert.strictEqual((yield* Effect.flip(analytics.track({ userId: "u1", event: "late" })))._tag, "Closed")
    }).pipe(Effect.provide(AnalyticsTest.layer({ closeTimeout: "2 seconds" })))
  )
})
