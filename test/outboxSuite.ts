/**
 * What every outbox promises, as one suite that runs on each: the bound, the order, the flush, the end of every message.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { DeliveryError } from "../src/AnalyticsError.ts"
import type { Message } from "../src/Message.ts"
import * as Observer from "../src/Observer.ts"
import * as Outbox from "../src/Outbox.ts"
import * as Outcome from "../src/Outcome.ts"
import { breathe as breatheHere, message, messages } from "./support.ts"

type Batch = Outcome.Delivered["messages"]

/** Gives a test an outbox with these options, and the outcomes that its observer was told. */
type Run = (
  options: Outbox.Options,
  test: (
    outbox: Outbox.Outbox["Service"],
    outcomes: Array<Outcome.Outcome>
  ) => Effect.Effect<void, unknown, Outbox.Outbox>,
  /** What the observer does before it knows of an outcome. */
  observing?: (outcome: Outcome.Outcome) => Effect.Effect<void>
) => Effect.Effect<void, unknown>

const eventsOf = (batch: ReadonlyArray<Message>) => batch.map(({ messageId }) => messageId.slice("id of ".length))

const closed = new DeliveryError({ reason: "closed", attempts: 0 })

const delivered = (batch: Batch) => Outcome.Outcome.Delivered({ messages: batch, status: 200, attempts: 1 })

const dropped = (batch: Batch) =>
  Outcome.Outcome.Dropped({
    messages: batch,
    error: new DeliveryError({ reason: "rejected", status: 400, attempts: 1 })
  })

export interface Kind {
  /** How a full one says so. */
  readonly full: "QueueFull" | "OutboxFull"
  /** Whether what is left at the end is there for the next life, and accepting takes time. */
  readonly lasting: boolean
  /** Lets everything happen that can. */
  readonly breathe: Effect.Effect<void, never, Outbox.Outbox>
}

const memory: Kind = { full: "QueueFull", lasting: false, breathe: breatheHere }

export const outboxSuite = <E>(
  name: string,
  layer: (options?: Outbox.Options) => Layer.Layer<Outbox.Outbox, E>,
  { breathe, full, lasting }: Kind = memory
): void => {
  /** What becomes of so many messages that are abandoned. */
  const ends = (count: number) => ({ delivered: 0, dropped: lasting ? 0 : count, pending: lasting ? count : 0 })

  const run: Run = (options, test, observing = () => Effect.void) => {
    const outcomes: Array<Outcome.Outcome> = []
    const observer = Observer.layer((outcome) =>
      Effect.andThen(
        observing(outcome),
        Effect.sync(() => void outcomes.push(outcome))
      )
    )
    return Effect.gen(function* () {
      const outbox = yield* Outbox.Outbox
      yield* test(outbox, outcomes)
      // However a test ended: what was accepted is settled or there, and what was settled was told, once.
      const { accepted, delivered, dropped, pending } = yield* outbox.counts
      assert.strictEqual(accepted, delivered + dropped + pending)
      const told = outcomes.flatMap((outcome) => ("messages" in outcome ? outcome.messages : []))
      assert.strictEqual(told.length, delivered + dropped)
      assert.strictEqual(new Set(told.map(({ messageId }) => messageId)).size, told.length)
    }).pipe(Effect.provide(layer(options).pipe(Layer.provide(observer))))
  }

  const offerAll = (outbox: Outbox.Outbox["Service"], from: number, to: number) =>
    Effect.forEach(messages(from, to), (message) => outbox.offer(message), { discard: true })

  describe(`Outbox, ${name}: what waits`, () => {
    it.effect("is handed out first in, first out, as many as are asked for", () =>
      run({}, (outbox) =>
        Effect.gen(function* () {
          yield* offerAll(outbox, 1, 5)
          assert.deepStrictEqual(eventsOf(yield* outbox.take(3)), ["event 1", "event 2", "event 3"])
          yield* offerAll(outbox, 6, 6)
          assert.deepStrictEqual(eventsOf(yield* outbox.take(10)), ["event 4", "event 5", "event 6"])
        })
      )
    )

    it.effect("is waited for when nothing is there", () =>
      run({}, (outbox) =>
        Effect.gen(function* () {
          const taking = yield* Effect.forkChild(outbox.take(10))
          yield* breathe
          assert.isUndefined(taking.pollUnsafe())
          yield* offerAll(outbox, 1, 1)
          assert.deepStrictEqual(eventsOf(yield* Fiber.join(taking)), ["event 1"])
        })
      )
    )

    it.effect("is counted, taken or not, until it is settled", () =>
      run({}, (outbox) =>
        Effect.gen(function* () {
          yield* offerAll(outbox, 1, 5)
          const bytes = messages(1, 5).reduce((sum, one) => sum + one.bytes, 0)
          const start = { accepted: 5, pending: 5, pendingBytes: bytes, taken: 0, delivered: 0, dropped: 0 }
          assert.deepStrictEqual(yield* outbox.counts, start)
          const batch = yield* outbox.take(4)
          assert.deepStrictEqual(yield* outbox.counts, { ...start, taken: 4 })
          const [first, second, ...others] = batch
          assert(second !== undefined)
          yield* outbox.settle(delivered([first]))
          yield* outbox.settle(dropped([second]))
          const pendingBytes = bytes - first.bytes - second.bytes
          const after = { accepted: 5, pending: 3, pendingBytes, taken: 2, delivered: 1, dropped: 1 }
          assert.deepStrictEqual(yield* outbox.counts, after)
          assert.strictEqual(others.length, 2)
        })
      )
    )
  })

  describe(`Outbox, ${name}: the end of a message`, () => {
    it.effect("is told once, with how it ended", () =>
      run({}, (outbox, outcomes) =>
        Effect.gen(function* () {
          yield* offerAll(outbox, 1, 3)
          const [first, ...others] = yield* outbox.take(3)
          yield* outbox.settle(delivered([first]))
          yield* outbox.settle(dropped(others as unknown as Batch))
          const ends = outcomes.map((outcome) => [
            outcome._tag,
            "messages" in outcome ? eventsOf(outcome.messages) : []
          ])
          assert.deepStrictEqual(ends, [
            ["Delivered", ["event 1"]],
            ["Dropped", ["event 2", "event 3"]]
          ])
        })
      )
    )

    it.effect("comes once, whoever says it again", () =>
      run({}, (outbox, outcomes) =>
        Effect.gen(function* () {
          yield* offerAll(outbox, 1, 3)
          const batch = yield* outbox.take(3)
          yield* outbox.settle(delivered([batch[0]]))
          yield* outbox.settle(dropped(batch))
          yield* outbox.settle(delivered(batch))
          yield* outbox.abandon(closed)
          assert.strictEqual(outcomes.length, 2)
          assert.deepStrictEqual((yield* outbox.counts).delivered, 1)
          assert.deepStrictEqual((yield* outbox.counts).dropped, 2)
        })
      )
    )

    it.effect.runIf(lasting)("an abandon leaves what waits and what is taken as it is", () =>
      run({}, (outbox, outcomes) =>
        Effect.gen(function* () {
          yield* offerAll(outbox, 1, 5)
          const [first, second] = yield* outbox.take(2)
          assert(second !== undefined)
          yield* outbox.settle(delivered([first]))
          yield* outbox.abandon(closed)
          assert.strictEqual((yield* outbox.counts).pending, 4)
          yield* outbox.settle(delivered([second]))
          assert.strictEqual((yield* outbox.counts).pending, 4)
          assert.strictEqual(outcomes.length, 1)
        })
      )
    )

    it.effect.runIf(!lasting)("an abandon drops what waits and what is taken, for its reason", () =>
      run({}, (outbox, outcomes) =>
        Effect.gen(function* () {
          yield* offerAll(outbox, 1, 5)
          const [first] = yield* outbox.take(2)
          yield* outbox.settle(delivered([first]))
          yield* outbox.abandon(closed)
          assert.strictEqual((yield* outbox.counts).pending, 0)
          const lost = outcomes.flatMap((outcome) =>
            outcome._tag === "Dropped" ? eventsOf(outcome.messages).map((event) => [event, outcome.error.reason]) : []
          )
          assert.deepStrictEqual(
            lost.toSorted(),
            [2, 3, 4, 5].map((n) => [`event ${n}`, "closed"])
          )
          yield* outbox.abandon(closed)
          assert.strictEqual(outcomes.filter(({ _tag }) => _tag === "Dropped").length, 1)
        })
      )
    )
  })

  describe(`Outbox, ${name}: a flush`, () => {
    it.effect("of nothing is over at once", () =>
      run({}, (outbox) =>
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* outbox.flush(), { delivered: 0, dropped: 0, pending: 0 })
        })
      )
    )

    it.effect("waits for what was accepted before it, taken or not, and sums it up", () =>
      run({}, (outbox) =>
        Effect.gen(function* () {
          yield* offerAll(outbox, 1, 4)
          const first = yield* outbox.take(2)
          const flush = yield* Effect.forkChild(outbox.flush())
          yield* breathe
          yield* outbox.settle(dropped(first))
          yield* breathe
          assert.isUndefined(flush.pollUnsafe())
          yield* outbox.settle(delivered(yield* outbox.take(2)))
          assert.deepStrictEqual(yield* Fiber.join(flush), { delivered: 2, dropped: 2, pending: 0 })
        })
      )
    )

    it.effect("does not wait for what came later, whatever is settled first", () =>
      run({}, (outbox) =>
        Effect.gen(function* () {
          yield* offerAll(outbox, 1, 2)
          const flush = yield* Effect.forkChild(outbox.flush())
          yield* breathe
          yield* offerAll(outbox, 3, 4)
          const [one, two, three] = yield* outbox.take(4)
          assert(two !== undefined && three !== undefined)
          yield* outbox.settle(delivered([three]))
          yield* outbox.settle(delivered([two]))
          yield* breathe
          assert.isUndefined(flush.pollUnsafe())
          yield* outbox.settle(delivered([one]))
          assert.deepStrictEqual(yield* Fiber.join(flush), { delivered: 2, dropped: 0, pending: 0 })
          assert.strictEqual((yield* outbox.counts).pending, 1)
        })
      )
    )

    it.effect("overlaps with others, each with a sum of its own", () =>
      run({}, (outbox) =>
        Effect.gen(function* () {
          yield* offerAll(outbox, 1, 1)
          const first = yield* Effect.forkChild(outbox.flush())
          yield* breathe
          yield* offerAll(outbox, 2, 2)
          const [second, third] = [yield* Effect.forkChild(outbox.flush()), yield* Effect.forkChild(outbox.flush())]
          yield* breathe
          yield* outbox.settle(delivered(yield* outbox.take(1)))
          assert.deepStrictEqual(yield* Fiber.join(first), { delivered: 1, dropped: 0, pending: 0 })
          yield* breathe
          assert.isUndefined(second.pollUnsafe())
          yield* outbox.settle(dropped(yield* outbox.take(1)))
          assert.deepStrictEqual(yield* Fiber.join(second), { delivered: 1, dropped: 1, pending: 0 })
          assert.deepStrictEqual(yield* Fiber.join(third), { delivered: 1, dropped: 1, pending: 0 })
        })
      )
    )

    it.effect("is over only when the observer was told of all", () =>
      run({}, (outbox, outcomes) =>
        Effect.gen(function* () {
          yield* offerAll(outbox, 1, 2)
          const flush = yield* Effect.forkChild(Effect.map(outbox.flush(), () => outcomes.length))
          yield* breathe
          yield* outbox.settle(delivered(yield* outbox.take(1)))
          yield* outbox.settle(delivered(yield* outbox.take(1)))
          assert.strictEqual(yield* Fiber.join(flush), 2)
        })
      )
    )

    it.effect("is over only when the observer was told of all, whichever it was told of last", () => {
      const slow = Deferred.makeUnsafe<void>()
      const isFirst = (outcome: Outcome.Outcome) =>
        "messages" in outcome && eventsOf(outcome.messages).includes("event 1")
      return run(
        {},
        (outbox, outcomes) =>
          Effect.gen(function* () {
            yield* offerAll(outbox, 1, 2)
            const flush = yield* Effect.forkChild(Effect.map(outbox.flush(), () => outcomes.length))
            yield* breathe
            const [first, second] = [yield* outbox.take(1), yield* outbox.take(1)]
            const settling = yield* Effect.forkChild(outbox.settle(delivered(first)))
            yield* breathe
            yield* outbox.settle(delivered(second))
            yield* breathe
            assert.isUndefined(flush.pollUnsafe())
            yield* Deferred.succeed(slow, undefined)
            yield* Fiber.join(settling)
            assert.strictEqual(yield* Fiber.join(flush), 2)
          }),
        (outcome) => (isFirst(outcome) ? Deferred.await(slow) : Effect.void)
      )
    })

    it.effect("is requested, as long as one waits", () =>
      run({}, (outbox) =>
        Effect.gen(function* () {
          yield* offerAll(outbox, 1, 1)
          const requested = yield* Effect.forkChild(outbox.flushRequested)
          yield* breathe
          assert.isUndefined(requested.pollUnsafe())
          const flush = yield* Effect.forkChild(outbox.flush())
          yield* Fiber.join(requested)
          yield* outbox.flushRequested
          yield* outbox.settle(delivered(yield* outbox.take(1)))
          yield* Fiber.join(flush)
          const again = yield* Effect.forkChild(outbox.flushRequested)
          yield* breathe
          assert.isUndefined(again.pollUnsafe())
        })
      )
    )

    it.effect("that is interrupted is requested no more, and the others go on", () =>
      run({}, (outbox) =>
        Effect.gen(function* () {
          yield* offerAll(outbox, 1, 1)
          const [first, second] = [yield* Effect.forkChild(outbox.flush()), yield* Effect.forkChild(outbox.flush())]
          yield* breathe
          yield* Fiber.interrupt(first)
          yield* outbox.flushRequested
          yield* Fiber.interrupt(second)
          const requested = yield* Effect.forkChild(outbox.flushRequested)
          yield* breathe
          assert.isUndefined(requested.pollUnsafe())
        })
      )
    )

    it.effect("that is interrupted, at whatever moment, is requested no more", () =>
      run({}, (outbox) =>
        Effect.gen(function* () {
          yield* offerAll(outbox, 1, 1)
          for (let turns = 0; turns < 100; turns++) {
            const flush = yield* Effect.forkChild(outbox.flush())
            yield* Effect.repeat(Effect.yieldNow, { times: turns })
            yield* Fiber.interrupt(flush)
            const requested = yield* Effect.forkChild(outbox.flushRequested)
            yield* Effect.yieldNow
            assert.isUndefined(requested.pollUnsafe(), `after ${turns} turns`)
            yield* Fiber.interrupt(requested)
          }
        })
      )
    )

    it.effect("is over when the rest is abandoned", () =>
      run({}, (outbox) =>
        Effect.gen(function* () {
          yield* offerAll(outbox, 1, 3)
          yield* outbox.take(1)
          const flush = yield* Effect.forkChild(outbox.flush())
          yield* breathe
          yield* outbox.abandon(closed)
          assert.deepStrictEqual(yield* Fiber.join(flush), ends(3))
        })
      )
    )
  })

  describe(`Outbox, ${name}: a close`, () => {
    it.effect("takes no more, hands out what is there, and then ends", () =>
      run({}, (outbox) =>
        Effect.gen(function* () {
          yield* offerAll(outbox, 1, 3)
          yield* outbox.close
          yield* outbox.close
          assert.strictEqual((yield* Effect.flip(outbox.offer(message("late"))))._tag, "Closed")
          assert.strictEqual(outbox.offerUnsafe(message("late"))?.error?._tag, "Closed")
          assert.deepStrictEqual(eventsOf(yield* outbox.take(2)), ["event 1", "event 2"])
          const rest = yield* outbox.take(2)
          assert.deepStrictEqual(eventsOf(rest), ["event 3"])
          assert.isTrue(Exit.isFailure(yield* Effect.exit(outbox.take(1))))
          assert.strictEqual((yield* outbox.counts).accepted, 3)
          const flush = yield* Effect.forkChild(outbox.flush())
          yield* breathe
          yield* outbox.abandon(closed)
          assert.deepStrictEqual(yield* Fiber.join(flush), ends(3))
        })
      )
    )

    it.effect("ends the wait of an empty outbox", () =>
      run({}, (outbox) =>
        Effect.gen(function* () {
          const taking = yield* Effect.forkChild(Effect.exit(outbox.take(1)))
          yield* breathe
          yield* outbox.close
          assert.isTrue(Exit.isFailure(yield* Fiber.join(taking)))
        })
      )
    )
  })

  describe(`Outbox, ${name}: the bound`, () => {
    it.effect("counts messages, those that are taken included", () =>
      run({ maxQueueSize: 3 }, (outbox) =>
        Effect.gen(function* () {
          yield* offerAll(outbox, 1, 3)
          const batch = yield* outbox.take(2)
          const { bound, limit } = (yield* Effect.flip(outbox.offer(message("too many")))) as {
            readonly bound?: string
            readonly limit?: number
          }
          assert.deepStrictEqual([bound, limit], ["maxQueueSize", 3])
          if (!lasting) assert.strictEqual(outbox.offerUnsafe(message("too many"))?.error?._tag, full)
          yield* outbox.settle(delivered([batch[0]]))
          yield* outbox.offer(message("again"))
          assert.strictEqual((yield* Effect.flip(outbox.offer(message("too many"))))._tag, full)
        })
      )
    )

    it.effect("counts bytes, those that are taken included", () =>
      run({ maxQueueBytes: 32_768 }, (outbox) =>
        Effect.gen(function* () {
          yield* outbox.offer(message("large", 30_000))
          const batch = yield* outbox.take(1)
          yield* outbox.offer(message("fits", 2_768))
          const { bound, limit } = (yield* Effect.flip(outbox.offer(message("small")))) as {
            readonly bound?: string
            readonly limit?: number
          }
          assert.deepStrictEqual([bound, limit], ["maxQueueBytes", 32_768])
          yield* outbox.settle(dropped(batch))
          yield* outbox.offer(message("small"))
        })
      )
    )
  })

  describe(`Outbox, ${name}: drop-oldest`, () => {
    const overflow = "drop-oldest"

    const evictions = (outcomes: ReadonlyArray<Outcome.Outcome>) =>
      outcomes.flatMap((outcome) =>
        outcome._tag === "Dropped" && outcome.error.reason === "evicted" ? eventsOf(outcome.messages) : []
      )

    it.effect("evicts the oldest that wait, and reports them", () =>
      run({ maxQueueSize: 3, overflow }, (outbox, outcomes) =>
        Effect.gen(function* () {
          yield* offerAll(outbox, 1, 5)
          assert.deepStrictEqual(evictions(outcomes), ["event 1", "event 2"])
          assert.deepStrictEqual(eventsOf(yield* outbox.take(9)), ["event 3", "event 4", "event 5"])
        })
      )
    )

    it.effect("never evicts what is taken: then the newest is refused", () =>
      run({ maxQueueSize: 3, overflow }, (outbox, outcomes) =>
        Effect.gen(function* () {
          yield* offerAll(outbox, 1, 2)
          yield* outbox.take(2)
          yield* offerAll(outbox, 3, 4)
          assert.deepStrictEqual(evictions(outcomes), ["event 3"])
          yield* outbox.take(1)
          assert.strictEqual((yield* Effect.flip(outbox.offer(message("event 5"))))._tag, full)
          assert.deepStrictEqual(evictions(outcomes), ["event 3"])
        })
      )
    )

    it.effect("evicts as many as the bytes of the newest ask for, and nothing in vain", () =>
      run({ maxQueueBytes: 32_768, overflow }, (outbox, outcomes) =>
        Effect.gen(function* () {
          yield* outbox.offer(message("taken", 10_000))
          yield* outbox.take(1)
          for (const event of ["a", "b", "c"]) yield* outbox.offer(message(event, 7_000))
          yield* outbox.offer(message("d", 12_000))
          assert.deepStrictEqual(evictions(outcomes), ["a", "b"])
          assert.strictEqual((yield* Effect.flip(outbox.offer(message("e", 22_769))))._tag, full)
          assert.deepStrictEqual(evictions(outcomes), ["a", "b"])
          assert.deepStrictEqual(eventsOf(yield* outbox.take(9)), ["c", "d"])
        })
      )
    )

    it.effect.runIf(!lasting)(
      "without a fiber answers with what an observer has left to do, and then flushes end",
      () =>
        run({ maxQueueSize: 1, overflow }, (outbox, outcomes) =>
          Effect.gen(function* () {
            assert.isUndefined(outbox.offerUnsafe(message("event 1")))
            const flush = yield* Effect.forkChild(outbox.flush())
            yield* breathe
            const offered = outbox.offerUnsafe(message("event 2"))
            assert(offered !== undefined)
            assert.isUndefined(offered.error)
            assert.strictEqual((yield* outbox.counts).dropped, 1)
            yield* breathe
            assert.strictEqual(outcomes.length, 0)
            assert.isUndefined(flush.pollUnsafe())
            yield* offered.notification ?? Effect.void
            assert.deepStrictEqual(yield* Fiber.join(flush), { delivered: 0, dropped: 1, pending: 0 })
            const told = outcomes.map((outcome) => (outcome._tag === "Dropped" ? eventsOf(outcome.messages) : []))
            assert.deepStrictEqual(told, [["event 1"]])
          })
        )
    )

    it.effect("moves a flush on that waits for what is evicted, and for nothing later", () =>
      run({ maxQueueSize: 2, overflow }, (outbox) =>
        Effect.gen(function* () {
          yield* offerAll(outbox, 1, 2)
          const flush = yield* Effect.forkChild(outbox.flush())
          yield* breathe
          yield* offerAll(outbox, 3, 3)
          yield* breathe
          assert.isUndefined(flush.pollUnsafe())
          yield* offerAll(outbox, 4, 4)
          assert.deepStrictEqual(yield* Fiber.join(flush), { delivered: 0, dropped: 2, pending: 0 })
        })
      )
    )

    it.effect("a flush after an eviction waits for what is there", () =>
      run({ maxQueueSize: 2, overflow }, (outbox) =>
        Effect.gen(function* () {
          yield* offerAll(outbox, 1, 4)
          const flush = yield* Effect.forkChild(outbox.flush())
          yield* breathe
          yield* outbox.settle(delivered(yield* outbox.take(1)))
          yield* breathe
          assert.isUndefined(flush.pollUnsafe())
          yield* outbox.settle(delivered(yield* outbox.take(1)))
          assert.deepStrictEqual(yield* Fiber.join(flush), { delivered: 2, dropped: 0, pending: 0 })
        })
      )
    )
  })

  describe(`Outbox, ${name}: wait`, () => {
    const overflow = "wait"

    it.effect("suspends those who come, and lets them in in their order", () =>
      run({ maxQueueSize: 2, overflow }, (outbox) =>
        Effect.gen(function* () {
          yield* offerAll(outbox, 1, 2)
          const waiting = yield* Effect.forEach(messages(3, 5), (one) => Effect.forkChild(outbox.offer(one)))
          yield* breathe
          assert.deepStrictEqual(
            waiting.map((one) => one.pollUnsafe()),
            [undefined, undefined, undefined]
          )
          assert.strictEqual((yield* outbox.counts).accepted, 2)
          // Taken is not settled: no room yet.
          const batch = yield* outbox.take(2)
          yield* breathe
          assert.strictEqual((yield* outbox.counts).accepted, 2)
          yield* outbox.settle(delivered(batch))
          yield* breathe
          assert.deepStrictEqual(
            waiting.map((one) => one.pollUnsafe()?._tag),
            ["Success", "Success", undefined]
          )
          const next = yield* outbox.take(9)
          assert.deepStrictEqual(eventsOf(next), ["event 3", "event 4"])
          yield* outbox.settle(delivered(next))
          assert.deepStrictEqual(eventsOf(yield* outbox.take(9)), ["event 5"])
        })
      )
    )

    it.effect("nobody overtakes: a small message waits behind a large one", () =>
      run({ maxQueueBytes: 32_768, overflow }, (outbox) =>
        Effect.gen(function* () {
          yield* outbox.offer(message("first", 20_000))
          const large = yield* Effect.forkChild(outbox.offer(message("large", 20_000)))
          yield* breathe
          const small = yield* Effect.forkChild(outbox.offer(message("small", 1_000)))
          yield* breathe
          assert.isUndefined(small.pollUnsafe())
          yield* outbox.settle(delivered(yield* outbox.take(1)))
          yield* Fiber.join(large)
          yield* Fiber.join(small)
          assert.deepStrictEqual(eventsOf(yield* outbox.take(9)), ["large", "small"])
        })
      )
    )

    it.effect.runIf(!lasting)("nobody overtakes without a fiber either: such a call is refused", () =>
      run({ maxQueueBytes: 32_768, overflow }, (outbox) =>
        Effect.gen(function* () {
          yield* outbox.offer(message("first", 20_000))
          const large = yield* Effect.forkChild(outbox.offer(message("large", 20_000)))
          yield* breathe
          assert.strictEqual(outbox.offerUnsafe(message("small", 1_000))?.error?._tag, full)
          yield* Fiber.interrupt(large)
        })
      )
    )

    it.effect("who stops waiting leaves nothing behind, and blocks nobody", () =>
      run({ maxQueueBytes: 32_768, overflow }, (outbox) =>
        Effect.gen(function* () {
          yield* outbox.offer(message("first", 20_000))
          const large = yield* Effect.forkChild(outbox.offer(message("large", 20_000)))
          yield* breathe
          const small = yield* Effect.forkChild(outbox.offer(message("small", 1_000)))
          yield* breathe
          yield* Fiber.interrupt(large)
          yield* Fiber.join(small)
          assert.deepStrictEqual(eventsOf(yield* outbox.take(9)), ["first", "small"])
          assert.strictEqual((yield* outbox.counts).accepted, 2)
        })
      )
    )

    it.effect("a close refuses those who wait", () =>
      run({ maxQueueSize: 1, overflow }, (outbox) =>
        Effect.gen(function* () {
          yield* offerAll(outbox, 1, 1)
          const waiting = yield* Effect.forEach(messages(2, 3), (one) =>
            Effect.forkChild(Effect.flip(outbox.offer(one)))
          )
          yield* breathe
          yield* outbox.close
          for (const one of waiting) assert.strictEqual((yield* Fiber.join(one))._tag, "Closed")
          assert.strictEqual((yield* outbox.counts).accepted, 1)
          assert.strictEqual((yield* Effect.flip(outbox.offer(message("late"))))._tag, "Closed")
        })
      )
    )

    it.effect("a flush does not wait for those who wait", () =>
      run({ maxQueueSize: 1, overflow }, (outbox) =>
        Effect.gen(function* () {
          yield* offerAll(outbox, 1, 1)
          const waiting = yield* Effect.forkChild(offerAll(outbox, 2, 2))
          yield* breathe
          const flush = yield* Effect.forkChild(outbox.flush())
          yield* breathe
          yield* outbox.settle(delivered(yield* outbox.take(1)))
          assert.deepStrictEqual(yield* Fiber.join(flush), { delivered: 1, dropped: 0, pending: 0 })
          yield* Fiber.join(waiting)
          assert.strictEqual((yield* outbox.counts).pending, 1)
        })
      )
    )
  })
}
