import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/testing/TestClock"
import * as AnalyticsTest from "../src/AnalyticsTest.ts"
import * as MessageId from "../src/MessageId.ts"
import { sent } from "./calls.ts"

const uuid7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

const timeOf = (id: string) => Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)

describe("MessageId", () => {
  it("makes UUIDs of version 7, which begin with the time", () => {
    const make = MessageId.makeUuids()
    for (const now of [0, 1, 1_700_000_000_000, Date.UTC(2100, 0, 1), 2 ** 48 - 1]) {
      const id = make(now)
      assert.match(id, uuid7)
      assert.strictEqual(timeOf(id), now)
    }
  })

  it("makes a valid id of a clock that stands before 1970", () => {
    const id = MessageId.makeUuids()(-1)
    assert.match(id, uuid7)
    assert.strictEqual(timeOf(id), 0)
  })

  it("makes a valid id of a clock that is finer than milliseconds", () => {
    const id = MessageId.makeUuids()(1_234.5678)
    assert.match(id, uuid7)
    assert.strictEqual(timeOf(id), 1_234)
  })

  it("makes ids that sort by time", () => {
    const make = MessageId.makeUuids()
    const ids = Array.from({ length: 1_000 }, (_, n) => make(1_700_000_000_000 + n * 7))
    assert.deepStrictEqual([...ids].sort(), ids)
  })

  it("never makes an id twice, within a millisecond and over two makers", () => {
    const makers = [MessageId.makeUuids(), MessageId.makeUuids()]
    const ids = new Set(makers.flatMap((make) => Array.from({ length: 20_000 }, () => make(1_700_000_000_000))))
    assert.strictEqual(ids.size, 40_000)
  })

  it("leaves every digit that is neither time, version nor variant to chance", () => {
    const make = MessageId.makeUuids()
    const seen = Array.from({ length: 36 }, () => new Set<string>())
    for (let n = 0; n < 2_000; n++) {
      for (const [at, digit] of [...make(1_700_000_000_000)].entries()) seen[at]?.add(digit)
    }
    assert.deepStrictEqual(
      seen.map(({ size }) => size),
      [...Array(8).fill(1), 1, ...Array(4).fill(1), 1, 1, 16, 16, 16, 1, 4, 16, 16, 16, 1, ...Array(12).fill(16)]
    )
  })

  it.effect("is what a message without an id gets, from the clock of the program", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(1_700_000_000_123)
      const { messageId } = yield* sent("track", { userId: "u1", event: "e" })
      assert.match(messageId, uuid7)
      assert.strictEqual(timeOf(messageId), 1_700_000_000_123)
    }).pipe(Effect.provide(AnalyticsTest.layer()))
  )

  it.effect("can come from elsewhere, so that a test knows the ids beforehand", () =>
    Effect.gen(function* () {
      let count = 0
      const known = Layer.succeed(MessageId.MessageIds, (now) => `${now}/${++count}`)
      yield* Effect.gen(function* () {
        yield* TestClock.setTime(5_000)
        assert.strictEqual((yield* sent("identify", { userId: "u1" })).messageId, "5000/1")
        assert.strictEqual((yield* sent("identify", { userId: "u1", messageId: "mine" })).messageId, "mine")
        assert.strictEqual((yield* sent("identify", { userId: "u1" })).messageId, "5000/2")
      }).pipe(Effect.provide(Layer.provide(AnalyticsTest.layer(), known)))
    })
  )

  it.effect("I8: two calls with one id are sent with that id, so that the API can remove the second", () =>
    Effect.gen(function* () {
      const call = { userId: "u1", event: "e", messageId: "once" }
      const ids = [yield* sent("track", call), yield* sent("track", call)].map(({ messageId }) => messageId)
      assert.deepStrictEqual(ids, ["once", "once"])
    }).pipe(Effect.provide(AnalyticsTest.layer()))
  )
})
