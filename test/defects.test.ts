/**
 * Defects in the parts that a client is made of: one that a single message causes costs that message; one that ends a fiber of
 * the pipeline ends the client, loudly, and everything that waits is answered.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Analytics from "../src/Analytics.ts"
import * as MemoryOutbox from "../src/MemoryOutbox.ts"
import type { Message } from "../src/Message.ts"
import { MessageIds } from "../src/MessageId.ts"
import * as Observer from "../src/Observer.ts"
import * as Outbox from "../src/Outbox.ts"
import type * as Outcome from "../src/Outcome.ts"
import * as Transport from "../src/Transport.ts"
import { reasonOf } from "./errors.ts"
import { type Line, layerLog, lossesOf, pass, trackMany } from "./support.ts"

type Queue = Outbox.Outbox["Service"]

const boom = Effect.die(new Error("boom"))

interface Parts {
  readonly options?: Parameters<typeof Analytics.layerNoDeps>[0]
  readonly queue?: Outbox.Options
  /** Breaks an outbox. */
  readonly outbox?: (outbox: Queue) => Partial<Queue>
  readonly transport?: Partial<Transport.Transport["Service"]>
}

/** A client with a defect in a part of it, its outcomes and its log. */
const client = ({ options = {}, outbox = () => ({}), queue, transport }: Parts) => {
  const outcomes: Array<Outcome.Outcome> = []
  const lines: Array<Line> = []
  const layer = Analytics.layerNoDeps({ closeTimeout: "5 seconds", ...options }).pipe(
    Layer.provide([
      Layer.effect(
        Outbox.Outbox,
        Effect.map(MemoryOutbox.make(queue), (whole) => ({ ...whole, ...outbox(whole) }))
      ),
      Layer.succeed(Transport.Transport, {
        send: () => Effect.succeed(Transport.SendResult.Delivered({ status: 200 })),
        envelopeBytes: 100,
        ...transport
      })
    ]),
    Layer.provide([Observer.layer((outcome) => Effect.sync(() => void outcomes.push(outcome))), layerLog(lines)])
  )
  const errors = () => lines.filter(({ level }) => level === "Error")
  return { layer, outcomes, errors }
}

/** Breaks the first message that an outbox gives: it throws once when its size is read. */
const withoutSize = (outbox: Queue): Partial<Queue> => ({
  take: (max) =>
    Effect.tap(outbox.take(max), ([message]) => {
      const { bytes } = message
      let reads = 0
      const get = () => {
        if (reads++ === 0) throw new Error("boom")
        return bytes
      }
      return Effect.sync(() => Object.defineProperty(message, "bytes", { get }))
    })
})

describe("a defect that ends a fiber of the pipeline", () => {
  const fibers: Readonly<Record<string, Parts>> = {
    "the one that takes messages": {
      outbox: (outbox) => ({ take: (max) => Effect.andThen(outbox.take(max), boom) })
    },
    "the one that takes messages, by an interruption": {
      outbox: (outbox) => ({ take: (max) => Effect.andThen(outbox.take(max), Effect.interrupt) })
    },
    "the one that waits for the window": {
      options: { flushInterval: "1 second" },
      outbox: () => ({ flushRequested: boom })
    },
    "the one that forms batches": { outbox: withoutSize },
    "the one that delivers a batch": { outbox: () => ({ settle: () => boom }) },
    "one of those that deliver batches": {
      options: { maxInFlight: 3, batchSize: 2 },
      outbox: () => ({ settle: () => boom })
    }
  }

  it.effect.each(Object.entries(fibers))(
    "%s: everything is accounted for, and everyone who waits is answered",
    ([, parts]) => {
      const { errors, layer, outcomes } = client({ ...parts, queue: { maxQueueSize: 5, overflow: "wait" } })
      return Effect.gen(function* () {
        const analytics = yield* Analytics.Analytics
        yield* trackMany(1, 5)
        const waiting = yield* Effect.forkChild(Effect.exit(analytics.track({ userId: "u1", event: "Waits" })), {
          startImmediately: true
        })
        const flushing = yield* Effect.forkChild(analytics.flush, { startImmediately: true })
        yield* pass("2 seconds")
        assert.deepStrictEqual(yield* Fiber.join(flushing), { delivered: 0, dropped: 5, rejected: 0, pending: 0 })
        const answer = yield* Fiber.join(waiting)
        assert.strictEqual(answer._tag, "Failure")
        const late = yield* reasonOf(analytics.track({ userId: "u1", event: "Late" }))
        assert.strictEqual(late._tag, "Closed")
        assert.deepInclude(yield* analytics.stats, { offered: 7, delivered: 0, pending: 0, dropped: 5, rejected: 2 })
        assert.deepStrictEqual(lossesOf(outcomes), [["broken", 5]])
        assert.strictEqual(outcomes.filter(({ _tag }) => _tag === "Refused").length, 2)
        assert.strictEqual(errors().length, 1)
        assert.match(errors()[0]?.text ?? "", /the delivery failed, and the client ends/)
        assert.deepInclude(yield* analytics.close, { delivered: 0, dropped: 0, pending: 0 })
        assert.deepStrictEqual(yield* analytics.flush, { delivered: 0, dropped: 0, rejected: 0, pending: 0 })
      }).pipe(Effect.provide(layer))
    }
  )

  it.effect("while a batch is on its way: that batch is accounted for as well", () => {
    let takes = 0
    const { errors, layer, outcomes } = client({
      options: { maxInFlight: 2, batchSize: 2 },
      outbox: (outbox) => ({ take: (max) => Effect.suspend(() => (takes++ === 1 ? boom : outbox.take(max))) }),
      transport: { send: () => Effect.never }
    })
    return Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      yield* trackMany(1, 2)
      const flushing = yield* Effect.forkChild(analytics.flush, { startImmediately: true })
      yield* pass("2 seconds")
      assert.deepStrictEqual(yield* Fiber.join(flushing), { delivered: 0, dropped: 2, rejected: 0, pending: 0 })
      assert.deepStrictEqual(lossesOf(outcomes), [["broken", 2]])
      assert.strictEqual(errors().length, 1)
    }).pipe(Effect.provide(layer))
  })
})

describe("a defect that one message causes", () => {
  it.effect("in its delivery: its batch is dropped, the client goes on", () => {
    let settled = 0
    const { errors, layer, outcomes } = client({
      outbox: (outbox) => ({
        settle: (outcome) => (outcome._tag === "Delivered" && settled++ === 0 ? boom : outbox.settle(outcome))
      })
    })
    return Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      yield* trackMany(1, 2)
      assert.deepInclude(yield* analytics.flush, { delivered: 0, dropped: 2 })
      yield* trackMany(3, 5)
      assert.deepInclude(yield* analytics.flush, { delivered: 3, dropped: 0 })
      assert.deepStrictEqual(lossesOf(outcomes), [["broken", 2]])
      assert.deepStrictEqual(errors(), [])
    }).pipe(Effect.provide(layer))
  })

  it.effect("in the transport: the batch is tried again", () => {
    let attempts = 0
    const { layer } = client({
      transport: {
        send: () => {
          if (attempts++ === 0) throw new Error("boom")
          return attempts === 2 ? boom : Effect.succeed(Transport.SendResult.Delivered({ status: 200 }))
        }
      }
    })
    return Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      yield* trackMany(1, 2)
      const flushing = yield* Effect.forkChild(analytics.flush, { startImmediately: true })
      yield* pass("10 seconds")
      assert.deepInclude(yield* Fiber.join(flushing), { delivered: 2, dropped: 0 })
      assert.strictEqual(attempts, 3)
    }).pipe(Effect.provide(layer))
  })

  it.effect("in its making: the call is refused, and only a message is ever enqueued", () => {
    const offered: Array<Message> = []
    const ids: ReadonlyArray<unknown> = ["a", 42, undefined, {}, Symbol("id"), "b"]
    let made = 0
    const { layer, outcomes } = client({
      outbox: (outbox) => ({
        offerUnsafe: (message) => {
          offered.push(message)
          return outbox.offerUnsafe(message)
        }
      })
    })
    return Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      const exits = yield* Effect.forEach(ids, () => Effect.exit(analytics.track({ userId: "u1", event: "Made" })))
      assert.deepStrictEqual(
        exits.map(({ _tag }) => _tag),
        ["Success", "Failure", "Failure", "Failure", "Failure", "Success"]
      )
      assert.deepStrictEqual(
        offered.map(({ messageId }) => messageId),
        ["a", "b"]
      )
      assert.deepInclude(yield* analytics.close, { delivered: 2, dropped: 0, rejected: 4 })
      const refused = outcomes.flatMap((outcome) => (outcome._tag === "Refused" ? [outcome.error._tag] : []))
      assert.deepStrictEqual(refused, Array(4).fill("InvalidCall"))
    }).pipe(
      Effect.provide(
        Layer.provide(
          layer,
          Layer.succeed(MessageIds, () => ids[made++] as string)
        )
      )
    )
  })
})
