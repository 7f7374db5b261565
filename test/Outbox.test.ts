import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scheduler from "effect/Scheduler"
import * as MemoryOutbox from "../src/MemoryOutbox.ts"
import * as Message from "../src/Message.ts"
import * as Outbox from "../src/Outbox.ts"
import * as Outcome from "../src/Outcome.ts"
import { outboxSuite } from "./outboxSuite.ts"
import { breathe, message, messages } from "./support.ts"

outboxSuite("memory", MemoryOutbox.layer)

describe("MemoryOutbox.layer", () => {
  const settle = (batch: Outcome.Delivered["messages"]) =>
    Outbox.Outbox.use((outbox) =>
      outbox.settle(Outcome.Outcome.Delivered({ messages: batch, status: 200, attempts: 1 }))
    )

  it.effect("holds 10,000 messages, if nothing else is said", () =>
    Effect.gen(function* () {
      const outbox = yield* Outbox.Outbox
      for (const one of messages(1, 10_000)) assert.isUndefined(outbox.offerUnsafe(one))
      assert.strictEqual(outbox.offerUnsafe(message("one too many"))?.error?._tag, "QueueFull")
    }).pipe(Effect.provide(MemoryOutbox.layer()))
  )

  it.effect("holds 32 MiB, if nothing else is said", () =>
    Effect.gen(function* () {
      const outbox = yield* Outbox.Outbox
      for (let n = 1; n <= 1_024; n++) assert.isUndefined(outbox.offerUnsafe(message(`event ${n}`, 32_768)))
      assert.include(
        { ...outbox.offerUnsafe(message("one too many"))?.error },
        { bound: "maxQueueBytes", limit: 33_554_432 }
      )
    }).pipe(Effect.provide(MemoryOutbox.layer()))
  )

  // A fiber may be suspended between any two steps of a call.
  it.effect.each([3, 4, 5, 6, 7, 8])(
    "an offer that waits ends with the close, though its fiber is suspended every %s steps",
    (steps) =>
      Effect.gen(function* () {
        const outbox = yield* MemoryOutbox.make({ maxQueueSize: 1, overflow: "wait" })
        yield* outbox.offer(message("event 1"))
        const [first] = yield* outbox.take(10)
        const offer = Effect.exit(outbox.offer(message("event 2")))
        const waiting = yield* Effect.forkChild(Effect.provideService(offer, Scheduler.MaxOpsBeforeYield, steps))
        yield* Effect.yieldNow
        yield* outbox.close
        yield* breathe
        assert.isTrue(Exit.isFailure(yield* Fiber.join(waiting)))
        yield* outbox.settle(Outcome.Outcome.Delivered({ messages: [first], status: 200, attempts: 1 }))
        assert.include(yield* outbox.counts, { accepted: 1, delivered: 1, pending: 0 })
      })
  )

  it.effect.each([3, 4, 5, 6, 7, 8])(
    "an offer that waits has the room that comes, though its fiber is suspended every %s steps",
    (steps) =>
      Effect.gen(function* () {
        const outbox = yield* MemoryOutbox.make({ maxQueueSize: 1, overflow: "wait" })
        yield* outbox.offer(message("event 1"))
        const [first] = yield* outbox.take(10)
        const offer = outbox.offer(message("event 2"))
        const waiting = yield* Effect.forkChild(Effect.provideService(offer, Scheduler.MaxOpsBeforeYield, steps))
        yield* Effect.yieldNow
        yield* outbox.settle(Outcome.Outcome.Delivered({ messages: [first], status: 200, attempts: 1 }))
        yield* Fiber.join(waiting)
        assert.include(yield* outbox.counts, { accepted: 2, pending: 1 })
      })
  )

  it.effect("an offer that waits, and is interrupted while the outbox closes, was not accepted", () =>
    Effect.gen(function* () {
      const outbox = yield* Outbox.Outbox
      yield* outbox.offer(message("first"))
      const waiting = yield* Effect.forkChild(outbox.offer(message("second")))
      yield* breathe
      yield* outbox.close
      waiting.interruptUnsafe()
      yield* breathe
      assert(Exit.isFailure(yield* Effect.fromNullishOr(waiting.pollUnsafe())))
      assert.strictEqual((yield* outbox.counts).accepted, 1)
    }).pipe(Effect.provide(MemoryOutbox.layer({ maxQueueSize: 1, overflow: "wait" })))
  )

  it.effect("knows the time of the oldest call that is not settled, taken or not", () =>
    Effect.gen(function* () {
      const outbox = yield* Outbox.Outbox
      const oldest = Effect.map(outbox.counts, (counts) => counts.oldestPendingAt)
      for (const madeAt of [1_000, 2_000]) {
        yield* outbox.offer(new Message.Message("track", `id ${madeAt}`, "{}", 2, 0, madeAt))
      }
      assert.strictEqual(yield* oldest, 1_000)
      const first = yield* outbox.take(1)
      assert.strictEqual(yield* oldest, 1_000)
      yield* settle(first)
      assert.strictEqual(yield* oldest, 2_000)
      yield* settle(yield* outbox.take(1))
      assert.notProperty(yield* outbox.counts, "oldestPendingAt")
      // One that was made in another process has no time.
      yield* outbox.offer(message("first"))
      assert.notProperty(yield* outbox.counts, "oldestPendingAt")
    }).pipe(Effect.provide(MemoryOutbox.layer()))
  )

  it.effect(
    "drop-oldest uses the bytes that are not taken to the last one, and has them back when they are settled",
    () =>
      Effect.gen(function* () {
        const outbox = yield* Outbox.Outbox
        const half = (event: string) => outbox.offer(message(event, 20_000))
        yield* half("first")
        yield* half("second")
        const first = yield* outbox.take(1)
        yield* half("third")
        assert.strictEqual((yield* outbox.counts).dropped, 1)
        yield* settle(first)
        yield* half("fourth")
        yield* half("fifth")
        assert.include(yield* outbox.counts, { dropped: 2, pending: 2, pendingBytes: 40_000 })
      }).pipe(Effect.provide(MemoryOutbox.layer({ maxQueueBytes: 40_000, overflow: "drop-oldest" })))
  )

  it.effect(
    "a flush waits for the messages before it, if the first of them is evicted and a later one is settled",
    () =>
      Effect.gen(function* () {
        const outbox = yield* Outbox.Outbox
        yield* outbox.offer(message("first"))
        yield* outbox.offer(message("second"))
        const flush = yield* Effect.forkChild(outbox.flush())
        yield* breathe
        yield* outbox.offer(message("third"))
        const [second] = yield* outbox.take(1)
        const third = yield* outbox.take(1)
        yield* settle(third)
        yield* breathe
        assert.isUndefined(flush.pollUnsafe())
        yield* settle([second])
        assert.deepStrictEqual(yield* Fiber.join(flush), { delivered: 1, dropped: 1, pending: 0 })
      }).pipe(Effect.provide(MemoryOutbox.layer({ maxQueueSize: 2, overflow: "drop-oldest" })))
  )

  it.effect.each([
    ["maxQueueSize", { maxQueueSize: 1 }],
    ["maxQueueBytes", { maxQueueBytes: 32_768 }]
  ] as const)(
    "a call that would overtake those that wait is refused by the bound that they wait for: %s",
    ([bound, options]) =>
      Effect.gen(function* () {
        const outbox = yield* Outbox.Outbox
        yield* outbox.offer(message("first", 32_768))
        yield* Effect.forkChild(outbox.offer(message("second", 32_768), "wait"))
        yield* breathe
        assert.include({ ...outbox.offerUnsafe(message("third"))?.error }, { _tag: "QueueFull", bound })
      }).pipe(Effect.provide(MemoryOutbox.layer(options)))
  )
})
