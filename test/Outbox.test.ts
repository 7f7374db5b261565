import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as MemoryOutbox from "../src/MemoryOutbox.ts"
import * as Message from "../src/Message.ts"
import * as Outbox from "../src/Outbox.ts"
import * as Outcome from "../src/Outcome.ts"
import { outboxSuite } from "./outboxSuite.ts"
import { breathe, message, messages } from "./support.ts"

outboxSuite("memory", MemoryOutbox.layer)

describe("MemoryOutbox.layer", () => {
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
      const settle = (batch: Outcome.Delivered["messages"]) =>
        outbox.settle(Outcome.Outcome.Delivered({ messages: batch, status: 200, attempts: 1 }))
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
})
