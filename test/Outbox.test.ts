import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as MemoryOutbox from "../src/MemoryOutbox.ts"
import * as Outbox from "../src/Outbox.ts"
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
})
