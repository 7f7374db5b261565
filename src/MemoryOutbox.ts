/**
 * The outbox in memory: a bounded `Queue`. Its messages are lost with the process.
 *
 * It keeps the tickets of messages that were taken and are not settled, and the flushes that wait for them.
 */

import * as Arr from "effect/Array"
import type * as Cause from "effect/Cause"
import type * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import { Closed, DeliveryError, QueueFull } from "./AnalyticsError.ts"
import type { Message } from "./Message.ts"
import * as Metrics from "./Metrics.ts"
import { Capacity } from "./Outbox/Capacity.ts"
import * as Flushes from "./Outbox/Flushes.ts"
import * as Outbox from "./Outbox.ts"
import * as Notifier from "./Outcome/Notifier.ts"
import * as Outcome from "./Outcome.ts"
import * as Settings from "./Settings.ts"

/** Makes a bounded queue in memory. @category constructors @since 0.1.0 */
export const make = Effect.fnUntraced(function* (
  options: Outbox.Options = {}
): Effect.fn.Return<Outbox.Outbox["Service"], never, Scope.Scope> {
  const { maxQueueBytes, maxQueueSize, overflow } = Settings.read(Settings.Queue, options)
  const { close: closeNotifier, notify, notifyUnsafe, onEnd } = yield* Notifier.make
  const queue = yield* Queue.bounded<Message, Cause.Done>(maxQueueSize)
  /** Taken and not settled, each with its ticket: the number of messages that left the queue before it. */
  const taken = new Map<Message, number>()
  const capacity = new Capacity({ maxQueueBytes, maxQueueSize })
  const flushes = new Flushes.Flushes()
  const counts = { accepted: 0, delivered: 0, dropped: 0 }
  let closed = false
  let tickets = 0
  let takenBytes = 0

  yield* Metrics.watchDepth(() => capacity.count)

  // The queue has a capacity of its own, but messages that were taken and are not settled count as well.
  const accept = (message: Message): undefined => {
    counts.accepted++
    capacity.add(1, message.bytes)
    Queue.offerUnsafe(queue, message)
  }

  /** Counts ends in the flushes that were under way then, and resolves those that have nothing left to wait for. */
  const countDown = (
    waiting: ReadonlyArray<Flushes.Flush>,
    tickets: ReadonlyArray<number>,
    end: "delivered" | "dropped"
  ) => {
    Flushes.count(waiting, tickets, end)
    for (const flush of flushes.current) resolve(flush)
  }

  const resolve = (flush: Flushes.Flush) => {
    if (Flushes.soFar(flush).pending === 0) flushes.finish(flush)
  }

  /** Takes the oldest messages out of the queue until there is room. Those that the delivery has taken stay. */
  const evictFor = (message: Message) => {
    const messages: Array<Message> = []
    const ended: Array<number> = []
    // None is evicted in vain.
    if (taken.size >= maxQueueSize || takenBytes + message.bytes > maxQueueBytes) return { messages, ended }
    while (capacity.excess(message) !== undefined) {
      const oldest = Queue.takeUnsafe(queue)
      if (oldest === undefined || Exit.isFailure(oldest)) break
      ended.push(tickets++)
      capacity.remove(1, oldest.value.bytes)
      messages.push(oldest.value)
    }
    counts.dropped += messages.length
    return { messages, ended }
  }

  const acceptInsteadOfOldest = (message: Message): Outbox.Offered | undefined => {
    const waiting = flushes.current
    const { ended, messages } = evictFor(message)
    const excess = capacity.excess(message)
    // Before the report: a call that an observer makes does not take the room.
    if (excess === undefined) accept(message)
    if (!Arr.isArrayNonEmpty(messages)) return excess && full[excess.bound]
    const error = new DeliveryError({ reason: "evicted", attempts: 0 })
    const observing = notifyUnsafe(Outcome.Outcome.Dropped({ messages, error }), Notifier.isOfNestedCall(message))
    const reported = () => countDown(waiting, ended, "dropped")
    if (observing !== undefined) {
      return { error: undefined, notification: Effect.ensuring(observing, Effect.sync(reported)) }
    }
    reported()
    return undefined
  }

  const offerUnsafe: Outbox.Outbox["Service"]["offerUnsafe"] = (message) => {
    if (closed) return refused(new Closed())
    // No call overtakes those that wait.
    if (capacity.hasWaiters) return capacity.count >= maxQueueSize ? full.maxQueueSize : full.maxQueueBytes
    const excess = capacity.excess(message)
    if (excess === undefined) return accept(message)
    return overflow === "drop-oldest" ? acceptInsteadOfOldest(message) : full[excess.bound]
  }

  // One error for all calls: in a loop that fills the queue, their stacks would cost more than the calls.
  const full = {
    maxQueueSize: refused(new QueueFull({ bound: "maxQueueSize", limit: maxQueueSize })),
    maxQueueBytes: refused(new QueueFull({ bound: "maxQueueBytes", limit: maxQueueBytes }))
  }

  const offer: Outbox.Outbox["Service"]["offer"] = (message, onFull = overflow) =>
    Effect.suspend(() => {
      const mustWait = capacity.hasWaiters || capacity.excess(message) !== undefined
      if (onFull === "wait" && !closed && mustWait) return capacity.awaitRoom(message, () => accept(message))
      const { error, notification = Effect.void } = offerUnsafe(message) ?? {}
      return error === undefined ? notification : Effect.andThen(notification, Effect.fail(error))
    })

  const markTaken = (messages: ReadonlyArray<Message>) => {
    for (const message of messages) {
      taken.set(message, tickets++)
      takenBytes += message.bytes
    }
  }

  const take: Outbox.Outbox["Service"]["take"] = (max) =>
    // A message that has left the queue is taken: an interruption must not come between.
    Effect.uninterruptibleMask((restore) =>
      Effect.map(restore(Queue.takeBetween(queue, 1, max)), (messages) => {
        markTaken(messages)
        return messages as Arr.NonEmptyArray<Message>
      })
    )

  const settle: Outbox.Outbox["Service"]["settle"] = (outcome) =>
    Effect.uninterruptible(
      Effect.suspend(() => {
        const messages: Array<Message> = []
        const ended: Array<number> = []
        let bytes = 0
        for (const message of outcome.messages) {
          const ticket = taken.get(message)
          if (ticket === undefined) continue
          taken.delete(message)
          messages.push(message)
          ended.push(ticket)
          bytes += message.bytes
        }
        if (!Arr.isArrayNonEmpty(messages)) return Effect.void
        const end = outcome._tag === "Delivered" ? "delivered" : "dropped"
        // A flush that begins from here on does not wait for them.
        const waiting = flushes.current
        takenBytes -= bytes
        counts[end] += messages.length
        capacity.remove(messages.length, bytes)
        return Effect.ensuring(
          notify({ ...outcome, messages }),
          Effect.sync(() => countDown(waiting, ended, end))
        )
      })
    )

  const flush: Outbox.Outbox["Service"]["flush"] = (timeout) =>
    Effect.suspend(() => {
      const flush = flushes.begin(tickets + Queue.sizeUnsafe(queue) - 1, capacity.count, {})
      resolve(flush)
      return Effect.map(Flushes.within(flushes.end(flush), timeout), () => Flushes.soFar(flush))
    })

  const close = Effect.suspend(() => {
    closed = true
    capacity.refuseWaiters()
    return Effect.asVoid(Queue.end(queue))
  })

  const abandon: Outbox.Outbox["Service"]["abandon"] = (error) =>
    Effect.suspend(() => {
      for (
        let next = Queue.takeUnsafe(queue);
        next !== undefined && Exit.isSuccess(next);
        next = Queue.takeUnsafe(queue)
      ) {
        markTaken([next.value])
      }
      const messages = Array.from(taken.keys())
      const dropped = Arr.isArrayNonEmpty(messages) ? settle(Outcome.Outcome.Dropped({ messages, error })) : Effect.void
      return Effect.andThen(dropped, closeNotifier)
    })

  return Outbox.Outbox.of({
    offer,
    offerUnsafe,
    take,
    settle,
    flush,
    onEnd,
    flushRequested: flushes.requested,
    close,
    abandon,
    counts: Effect.suspend(() => {
      // Messages are taken in their order: the first one taken is older than all that are queued.
      const [oldestTaken] = taken.keys()
      const oldest =
        oldestTaken === undefined && Queue.sizeUnsafe(queue) > 0
          ? Effect.orElseSucceed(Queue.peek(queue), () => undefined)
          : Effect.succeed(oldestTaken)
      return Effect.map(oldest, (message) => ({
        ...counts,
        pending: capacity.count,
        pendingBytes: capacity.bytes,
        taken: taken.size,
        ...(message?.madeAt === undefined ? {} : { oldestPendingAt: message.madeAt })
      }))
    })
  })
})

const refused = (error: Outbox.OfferError): Outbox.Offered => ({ error, notification: undefined })

// ---------------------------------------------------------------------------------------------------------------------
// Layers
// ---------------------------------------------------------------------------------------------------------------------

/** A bounded queue in memory. Its messages are lost with the process. @category layers @since 0.1.0 */
export const layer = (options?: Outbox.Options): Layer.Layer<Outbox.Outbox> =>
  Layer.effect(Outbox.Outbox, make(options))

/**
 * The same, with options that are read from the configuration. One that cannot work is a `ConfigError`.
 * @category layers @since 0.1.0
 */
export const layerConfig = (options: Config.Wrap<Outbox.Options>): Layer.Layer<Outbox.Outbox, Config.ConfigError> =>
  Settings.layerWrapped(options, layer)
