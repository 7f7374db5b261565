/**
 * Where messages wait until they are settled. It owns the bound and the count: what is accepted here stays here until
 * it is settled, delivered or dropped, and everything that is not settled counts, grouped and in flight included.
 *
 * `layerMemory` is a bounded Effect `Queue`; what it holds is lost with the process.
 */
import * as Arr from "effect/Array"
import type * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import {
  Closed,
  DeliveryError,
  type InvalidSetting,
  type OutboxFull,
  type OutboxUnavailable,
  QueueFull
} from "./AnalyticsError.ts"
import type { Message } from "./Message.ts"
import * as Outcome from "./Outcome.ts"
import * as Settings from "./Settings.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Service interface
// ---------------------------------------------------------------------------------------------------------------------

/** What became of the messages that a flush or a close waited for. */
export interface Flushed {
  readonly delivered: number
  readonly dropped: number
}

/** Messages since the outbox was made. */
export interface Counts {
  readonly accepted: number
  /** Accepted and not settled: waiting, grouped or in flight. */
  readonly pending: number
  /** UTF-8 bytes of those pending. */
  readonly pendingBytes: number
  /** Of those pending: taken by the delivery, grouped or in flight. */
  readonly taken: number
  readonly delivered: number
  readonly dropped: number
}

/** Why a message was not accepted. */
export type OfferError = QueueFull | OutboxFull | OutboxUnavailable | Closed

/** What stands in the way of deliveries. */
export interface Trouble {
  /** Failures in a row. */
  readonly retries: number
  /** No attempt before this time of day, in milliseconds. */
  readonly resumeAt: number
}

/** What an outbox that outlives the process adds: its messages are tried for as long as it takes. */
export interface Lasting {
  /** Makes the outbox one of this destination; fails if it belongs to another one. */
  readonly bind: (destination: Redacted.Redacted<string>) => Effect.Effect<void, InvalidSetting>
  /** Those of these messages that are still to be delivered: what is too old is dropped, what was erased is gone. */
  readonly dueOf: (messages: ReadonlyArray<Message>) => Effect.Effect<ReadonlyArray<Message>>
  /** Keeps what is in the way for the next life, or forgets it. */
  readonly remember: (trouble: Trouble | undefined) => Effect.Effect<void>
  /** What was in the way when this outbox was last used. */
  readonly recall: Effect.Effect<Trouble | undefined>
}

export class Outbox extends Context.Service<
  Outbox,
  {
    /**
     * Accepts a message, or says why not. With `overflow: "wait"` it suspends until there is room; an outbox that
     * outlives the process takes until the message is committed.
     */
    readonly offer: (message: Message) => Effect.Effect<void, OfferError>
    /**
     * Accepts a message at once, without a fiber. Answers with an error when it is not accepted, with what has to be
     * told when older messages had to go for it, else with nothing. Where accepting takes time it is always refused.
     */
    readonly offerUnsafe: (message: Message) => OfferError | Outcome.Dropped | undefined
    /** The oldest messages, at most `max`; waits for the first. Ends when the outbox is closed and empty. */
    readonly take: (max: number) => Effect.Effect<Arr.NonEmptyArray<Message>, Cause.Done>
    /** Whether nothing waits to be taken. */
    readonly isEmpty: () => boolean
    /** Ends the life of messages that were taken: makes room, tells the observer, moves flushes on. */
    readonly settle: (outcome: Outcome.Settled) => Effect.Effect<void>
    /** Resolves when everything accepted before it is settled. Any number may overlap. */
    readonly flush: Effect.Effect<Flushed>
    /** Resolves at once while somebody waits for a flush, else as soon as somebody does. */
    readonly hurried: Effect.Effect<void>
    /** Takes no more offers, and refuses those who wait for room. What was accepted stays. */
    readonly close: Effect.Effect<void>
    /** Gives up everything that is not settled: drops it for this reason, or leaves it to the next life. */
    readonly abandon: (error: DeliveryError) => Effect.Effect<void>
    readonly counts: Effect.Effect<Counts>
    /** There if messages outlive the process. */
    readonly lasting?: Lasting | undefined
  }
>()("effect-analytics/Outbox") {}

// ---------------------------------------------------------------------------------------------------------------------
// Options
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What happens to a call when the bound is reached.
 * - `"refuse"`: the call fails with `QueueFull`.
 * - `"drop-oldest"`: the oldest waiting messages make room, and are reported as dropped. What is in flight stays: when
 *   nothing else is left, the call fails with `QueueFull`.
 * - `"wait"`: the call suspends until there is room.
 */
export type Overflow = "refuse" | "drop-oldest" | "wait"

export interface Options {
  /** Messages accepted and not settled, at most. @default 10_000 */
  readonly maxQueueSize?: number | undefined
  /** UTF-8 bytes of them, at most; at least the size of one message, 32,768. @default 33_554_432 (32 MiB) */
  readonly maxQueueBytes?: number | undefined
  /** What happens to a call when the bound is reached. @default "refuse" */
  readonly overflow?: Overflow | undefined
}

/** What `overflow` is set to, or is when it is left out. */
export const overflow = (options: Options): Overflow =>
  Settings.oneOf("overflow", options.overflow, Settings.defaults.overflow, ["refuse", "drop-oldest", "wait"])

const settings = (options: Options) =>
  Settings.read(() => ({
    maxQueueSize: Settings.integer("maxQueueSize", options.maxQueueSize, 1),
    maxQueueBytes: Settings.integer("maxQueueBytes", options.maxQueueBytes, Settings.limits.messageBytes),
    overflow: overflow(options)
  }))

// ---------------------------------------------------------------------------------------------------------------------
// Memory
// ---------------------------------------------------------------------------------------------------------------------

/** A call that waits for room. */
interface Waiter {
  readonly message: Message
  readonly resume: (answer: Effect.Effect<void, Closed>) => void
}

/** A flush on its way: counts down the messages that were unsettled when it was asked for. */
interface Barrier {
  /** Waits for the messages with a lower ticket. */
  readonly before: number
  readonly done: Deferred.Deferred<Flushed>
  remaining: number
  delivered: number
  dropped: number
}

/** A bounded queue in memory. */
export const makeMemory = Effect.fnUntraced(function* (
  options: Options = {}
): Effect.fn.Return<Outbox["Service"], InvalidSetting, Scope.Scope> {
  const { maxQueueBytes, maxQueueSize, overflow } = yield* settings(options)
  const tell = yield* Outcome.makeTell
  const queue = yield* Queue.bounded<Message, Cause.Done>(maxQueueSize)
  /** Taken and not settled, each with its ticket: how many had left the queue before it. */
  const taken = new Map<Message, number>()
  const waiters = new Set<Waiter>()
  const barriers = new Set<Barrier>()
  const hurry = Latch.makeUnsafe()
  const counts = { accepted: 0, pending: 0, pendingBytes: 0, delivered: 0, dropped: 0 }
  let closed = false
  let tickets = 0
  let takenBytes = 0

  yield* Outcome.watchDepth(() => counts.pending)

  // The queue has a capacity of its own, but what was taken from it and is not settled counts as well.
  const hasRoom = (message: Message) =>
    counts.pending < maxQueueSize && counts.pendingBytes + message.bytes <= maxQueueBytes

  const accept = (message: Message) => {
    counts.accepted++
    counts.pending++
    counts.pendingBytes += message.bytes
    Queue.offerUnsafe(queue, message)
  }

  const forget = (message: Message, ticket: number, end: "delivered" | "dropped") => {
    counts.pending--
    counts.pendingBytes -= message.bytes
    counts[end]++
    for (const barrier of barriers) {
      if (ticket >= barrier.before) continue
      barrier.remaining--
      barrier[end]++
    }
  }

  const admitWaiters = () => {
    for (const waiter of waiters) {
      if (!hasRoom(waiter.message)) return
      waiters.delete(waiter)
      accept(waiter.message)
      waiter.resume(Effect.void)
    }
  }

  const resolveFlushes = () => {
    for (const barrier of barriers) {
      if (barrier.remaining > 0) continue
      barriers.delete(barrier)
      Deferred.doneUnsafe(barrier.done, Exit.succeed({ delivered: barrier.delivered, dropped: barrier.dropped }))
    }
    if (barriers.size === 0) hurry.closeUnsafe()
  }

  /** Takes the oldest out of the queue until there is room. What the delivery has taken can't be called back. */
  const evictFor = (message: Message): Outcome.Dropped | undefined => {
    if (taken.size >= maxQueueSize || takenBytes + message.bytes > maxQueueBytes) return undefined
    const evicted: Array<Message> = []
    while (!hasRoom(message)) {
      const oldest = Queue.takeUnsafe(queue)
      if (oldest === undefined || Exit.isFailure(oldest)) break
      forget(oldest.value, tickets++, "dropped")
      evicted.push(oldest.value)
    }
    resolveFlushes()
    return Arr.isArrayNonEmpty(evicted)
      ? Outcome.Outcome.Dropped({ messages: evicted, error: new DeliveryError({ reason: "evicted", attempts: 0 }) })
      : undefined
  }

  const offerUnsafe: Outbox["Service"]["offerUnsafe"] = (message) => {
    if (closed) return new Closed()
    const evicted = overflow === "drop-oldest" && !hasRoom(message) ? evictFor(message) : undefined
    // Nobody overtakes those who wait.
    if (waiters.size > 0 || !hasRoom(message)) {
      return counts.pending >= maxQueueSize
        ? new QueueFull({ bound: "maxQueueSize", limit: maxQueueSize })
        : new QueueFull({ bound: "maxQueueBytes", limit: maxQueueBytes })
    }
    accept(message)
    return evicted
  }

  // The only part of a call that takes time, and so the only one that may be interrupted.
  const waitForRoom = (message: Message) =>
    Effect.callback<void, Closed>((resume) => {
      const waiter: Waiter = { message, resume }
      waiters.add(waiter)
      return Effect.sync(() => {
        waiters.delete(waiter)
        admitWaiters()
      })
    }).pipe(Effect.interruptible)

  const offer: Outbox["Service"]["offer"] = (message) =>
    Effect.suspend(() => {
      if (overflow === "wait" && !closed && (waiters.size > 0 || !hasRoom(message))) return waitForRoom(message)
      const answer = offerUnsafe(message)
      if (answer === undefined) return Effect.void
      return answer._tag === "Dropped" ? tell(answer) : Effect.fail(answer)
    })

  const leave = (messages: ReadonlyArray<Message>) => {
    for (const message of messages) {
      taken.set(message, tickets++)
      takenBytes += message.bytes
    }
  }

  const take: Outbox["Service"]["take"] = (max) =>
    // What has left the queue is taken: nothing may come between.
    Effect.uninterruptibleMask((restore) =>
      Effect.map(restore(Queue.takeBetween(queue, 1, max)), (messages) => {
        leave(messages)
        return messages as Arr.NonEmptyArray<Message>
      })
    )

  const settle: Outbox["Service"]["settle"] = (outcome) =>
    Effect.uninterruptible(
      Effect.suspend(() => {
        const messages = outcome.messages.filter((message) => taken.has(message))
        if (!Arr.isArrayNonEmpty(messages)) return Effect.void
        const end = outcome._tag === "Delivered" ? "delivered" : "dropped"
        for (const message of messages) {
          forget(message, taken.get(message) as number, end)
          taken.delete(message)
          takenBytes -= message.bytes
        }
        admitWaiters()
        return Effect.andThen(tell({ ...outcome, messages }), Effect.sync(resolveFlushes))
      })
    )

  const flush = Effect.suspend(() => {
    if (counts.pending === 0) return Effect.succeed<Flushed>({ delivered: 0, dropped: 0 })
    const barrier: Barrier = {
      before: tickets + Queue.sizeUnsafe(queue),
      done: Deferred.makeUnsafe(),
      remaining: counts.pending,
      delivered: 0,
      dropped: 0
    }
    barriers.add(barrier)
    hurry.openUnsafe()
    return Effect.onInterrupt(Deferred.await(barrier.done), () =>
      Effect.sync(() => {
        barriers.delete(barrier)
        resolveFlushes()
      })
    )
  })

  const close = Effect.suspend(() => {
    closed = true
    for (const waiter of waiters) waiter.resume(Effect.fail(new Closed()))
    waiters.clear()
    return Effect.asVoid(Queue.end(queue))
  })

  const abandon: Outbox["Service"]["abandon"] = (error) =>
    Effect.suspend(() => {
      for (
        let next = Queue.takeUnsafe(queue);
        next !== undefined && Exit.isSuccess(next);
        next = Queue.takeUnsafe(queue)
      ) {
        leave([next.value])
      }
      const messages = Array.from(taken.keys())
      return Arr.isArrayNonEmpty(messages) ? settle(Outcome.Outcome.Dropped({ messages, error })) : Effect.void
    })

  return Outbox.of({
    offer,
    offerUnsafe,
    take,
    isEmpty: () => Queue.sizeUnsafe(queue) === 0,
    settle,
    flush,
    hurried: hurry.await,
    close,
    abandon,
    counts: Effect.sync(() => ({ ...counts, taken: taken.size }))
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// Layers
// ---------------------------------------------------------------------------------------------------------------------

/** A bounded queue in memory: what it holds is lost with the process. */
export const layerMemory = (options?: Options): Layer.Layer<Outbox, InvalidSetting> =>
  Layer.effect(Outbox, makeMemory(options))

/** An outbox that outlives the process, ready to be given to `createAnalytics`: see `SqlOutbox.sqlite`. */
export interface Durable {
  readonly layer: Layer.Layer<Outbox, InvalidSetting | OutboxFull | OutboxUnavailable>
}
