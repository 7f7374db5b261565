/**
 * The loop between the outbox and the transport: groups what waits into batches, keeps at most `maxInFlight` of them
 * on their way, and ends in good order. What happens to one batch on its way is told in `Attempts.ts`.
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Pull from "effect/Pull"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Sink from "effect/Sink"
import * as Stream from "effect/Stream"
import { DeliveryError, type InvalidSetting } from "./AnalyticsError.ts"
import * as Attempts from "./Attempts.ts"
import type { Message } from "./Message.ts"
import * as Outbox from "./Outbox.ts"
import * as Outcome from "./Outcome.ts"
import * as Settings from "./Settings.ts"
import * as Transport from "./Transport.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Options
// ---------------------------------------------------------------------------------------------------------------------

export interface Options {
  /** Messages in a request, at most; the API takes up to 2,500. @default 100 */
  readonly batchSize?: number | undefined
  /**
   * How long a batch that is not full stays open, from its first message. At 0 the first message leaves at once, and
   * what arrives during its request forms the next batch. Milliseconds or a duration string. @default 0
   */
  readonly flushInterval?: Duration.Input | undefined
  /** Requests at the same time. More than one gives up the order between batches. @default 1 */
  readonly maxInFlight?: number | undefined
  /** Attempts after the first for a batch that fails in a way that may pass. @default 10 */
  readonly maxRetries?: number | undefined
  /** How long a close may take; what is left then is dropped, and reported. @default "75 seconds" */
  readonly closeTimeout?: Duration.Input | undefined
}

const settings = (options: Options) =>
  Settings.read(() => ({
    batchSize: Settings.integer("batchSize", options.batchSize, 1, Settings.limits.batchSize),
    flushInterval: Settings.millis("flushInterval", options.flushInterval, 0),
    maxInFlight: Settings.integer("maxInFlight", options.maxInFlight, 1, 1_000),
    maxRetries: Settings.integer("maxRetries", options.maxRetries, 0, 1_000),
    closeTimeout: Settings.millis("closeTimeout", options.closeTimeout, 0)
  }))

// ---------------------------------------------------------------------------------------------------------------------
// The loop
// ---------------------------------------------------------------------------------------------------------------------

export interface Delivery {
  /**
   * Takes no more messages, delivers what is there until `closeTimeout`, and drops the rest with the reason `closed`.
   * Idempotent: a second close waits for the first, and answers the same.
   */
  readonly close: Effect.Effect<Outbox.Flushed>
}

/** Starts the loop in this scope; the end of the scope is a close. */
export const make = Effect.fnUntraced(function* (
  options: Options = {}
): Effect.fn.Return<Delivery, InvalidSetting, Outbox.Outbox | Transport.Transport | Scope.Scope> {
  const { batchSize, closeTimeout, flushInterval, maxInFlight, maxRetries } = yield* settings(options)
  const outbox = yield* Outbox.Outbox
  const transport = yield* Transport.Transport
  const attempts = yield* Attempts.make({ maxRetries })
  const running = yield* Scope.make()
  const slots = yield* Semaphore.make(maxInFlight - 1)

  const batches = Stream.fromPull(Effect.succeed(outbox.take(batchSize))).pipe(
    Stream.aggregateWithin(
      pack(batchSize, () => attempts.maxBatchBytes() - transport.envelopeBytes),
      window(flushInterval, outbox)
    )
  )

  // The next batch is not formed before there is a slot for it: what arrives until then is part of it.
  const launch = (batch: Batch) =>
    attempts.deliver(batch).pipe(
      // It never fails; if it does all the same, no message may hang in the air.
      Effect.catchCause(() => outbox.settle(Outcome.Outcome.Dropped({ messages: batch, error: broken }))),
      Effect.ensuring(slots.release(1)),
      Effect.forkIn(running),
      Effect.andThen(slots.take(1))
    )

  yield* Effect.forkIn(Stream.runForEach(batches, launch), running)

  const end = Effect.gen(function* () {
    yield* outbox.close
    const before = yield* outbox.counts
    yield* Effect.timeoutOption(outbox.flush, closeTimeout)
    yield* Scope.close(running, Exit.void)
    yield* outbox.abandon(new DeliveryError({ reason: "closed", attempts: 0, ...attempts.trouble() }))
    const after = yield* outbox.counts
    return { delivered: after.delivered - before.delivered, dropped: after.dropped - before.dropped }
  })

  const ended = yield* Deferred.make<Outbox.Flushed>()
  let ending = false
  const close = Effect.suspend(() => {
    if (ending) return Deferred.await(ended)
    ending = true
    // Begun, it is bounded: who interrupts one close must not leave the next one waiting.
    return Effect.uninterruptible(Effect.tap(end, (flushed) => Deferred.succeed(ended, flushed)))
  })
  yield* Effect.addFinalizer(() => close)

  return { close }
})

const broken = new DeliveryError({ reason: "broken", attempts: 0 })

type Batch = Arr.NonEmptyReadonlyArray<Message>

/** Groups as many messages as a request takes; one always fits. */
const pack = (maxMessages: number, maxBytes: () => number): Sink.Sink<Batch, Message, Message> =>
  Sink.fromTransform((upstream) => {
    const batch: Array<Message> = []
    const room = maxBytes()
    let bytes = 0
    let leftover: Array<Message> = []
    return upstream.pipe(
      Effect.flatMap((messages) => {
        for (const [index, message] of messages.entries()) {
          const size = message.bytes + (batch.length === 0 ? 0 : 1)
          if (batch.length === maxMessages || (batch.length > 0 && bytes + size > room)) {
            leftover = messages.slice(index)
            return Cause.done()
          }
          batch.push(message)
          bytes += size
        }
        return batch.length === maxMessages ? Cause.done() : Effect.void
      }),
      Effect.forever({ disableYield: true }),
      Pull.catchDone(() =>
        Effect.succeed([batch as unknown as Batch, Arr.isArrayNonEmpty(leftover) ? leftover : undefined] as const)
      )
    )
  })

/** How long a group stays open: for the interval, unless a flush is waiting; and never while more could join it. */
const window = (interval: number, outbox: Outbox.Outbox["Service"]) => {
  const open = interval === 0 ? Effect.void : Effect.raceFirst(Effect.sleep(interval), outbox.hurried)
  const quiet: Effect.Effect<void> = Effect.flatMap(Effect.yieldNow, () => (outbox.isEmpty() ? Effect.void : quiet))
  const step = Effect.as(Effect.andThen(open, quiet), [undefined, Duration.zero] as [undefined, Duration.Duration])
  return Schedule.fromStep(Effect.succeed(() => step))
}
