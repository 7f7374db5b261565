/**
 * The pipeline from the outbox to the transport: messages are grouped into batches, and at most `maxInFlight` batches are on
 * their way. `Delivery/Retry` and `Delivery/Bisect` see to one batch; this module owns the stream and its end.
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Pull from "effect/Pull"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Sink from "effect/Sink"
import * as Stream from "effect/Stream"
import { DeliveryError } from "./AnalyticsError.ts"
import * as Bisect from "./Delivery/Bisect.ts"
import * as Retry from "./Delivery/Retry.ts"
import { log } from "./internal/Log.ts"
import type { Message } from "./Message.ts"
import * as Outbox from "./Outbox.ts"
import * as Outcome from "./Outcome.ts"
import * as Settings from "./Settings.ts"
import * as Transport from "./Transport.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Options
// ---------------------------------------------------------------------------------------------------------------------

/** The options of the delivery. @category options @since 0.1.0 */
interface DeliveryOptions {
  /** Messages in a request, at most; the API takes up to 2,500. @default 100 */
  readonly batchSize?: number | undefined
  /**
   * How long a batch that is not full stays open, from its first message. At 0 the first message leaves at once, and the
   * messages that arrive during its request form the next batch. Milliseconds or a duration string. @default 0
   */
  readonly flushInterval?: Settings.DurationInput | undefined
  /** Requests at the same time. More than one gives up the order between batches. @default 1 */
  readonly maxInFlight?: number | undefined
  /** Attempts after the first for a batch whose failure may pass. @default 10 */
  readonly maxRetries?: number | undefined
  /** How long a batch in memory may fail before it is dropped. Milliseconds or a duration string. @default "12 hours" */
  readonly maxRetryDuration?: Settings.DurationInput | undefined
  /**
   * How long the API may limit the client before batches in memory are dropped. Milliseconds or a duration string.
   * @default "12 hours"
   */
  readonly maxRateLimitDuration?: Settings.DurationInput | undefined
  /**
   * How long a close may take. Messages that are left then are dropped and reported, or kept by a durable outbox. Without a
   * close, waiting for a retry keeps a process alive for no longer either. The default fits the 30 seconds that containers have
   * between SIGTERM and SIGKILL. Milliseconds or a duration string.
   * @default "20 seconds"
   */
  readonly closeTimeout?: Settings.DurationInput | undefined
}

// Editors show the name of the declaration, in which `Options` would say little.
export type { DeliveryOptions as Options }

// ---------------------------------------------------------------------------------------------------------------------
// The pipeline
// ---------------------------------------------------------------------------------------------------------------------

/** A running pipeline. @category models @since 0.1.0 */
export interface Delivery {
  /**
   * Takes no more messages, delivers the accepted ones until the timeout (`closeTimeout` if none is given, in milliseconds),
   * and drops the rest with the reason `closed`; a durable outbox keeps it. Idempotent: a second close waits for the first.
   */
  readonly close: (timeout?: number | undefined) => Effect.Effect<Outbox.Flushed>
  /** What deliveries wait for at the moment, if they do. */
  readonly status: () => Retry.Status
}

/** Starts the pipeline in this scope. The end of the scope is a close. @category constructors @since 0.1.0 */
export const make = Effect.fnUntraced(function* (
  options: DeliveryOptions = {}
): Effect.fn.Return<Delivery, never, Outbox.Outbox | Transport.Transport | Scope.Scope> {
  const { batchSize, maxInFlight, maxRetries, ...times } = Settings.read(Settings.Delivery, options)
  const flushInterval = Settings.toMillis(times.flushInterval)
  const closeTimeout = Settings.toMillis(times.closeTimeout)
  const outbox = yield* Outbox.Outbox
  const { envelopeBytes, identity } = yield* Transport.Transport
  const ordered = outbox.durable?.maxInFlight ?? Number.POSITIVE_INFINITY
  if (maxInFlight > ordered) {
    return Settings.invalid(
      "maxInFlight",
      `is ${maxInFlight}, and ${ordered} in the outbox: give the outbox the same, which keeps the order of each user`
    )
  }
  if (outbox.durable !== undefined && identity !== undefined) yield* outbox.durable.bind(identity)
  const retry = yield* Retry.make({
    maxRetries,
    closeTimeout,
    maxFailingMillis: Settings.toMillis(times.maxRetryDuration),
    maxLimitedMillis: Settings.toMillis(times.maxRateLimitDuration)
  })
  const { deliver, maxBatchBytes } = yield* Bisect.make(retry)
  const running = yield* Scope.make()

  /** The time that a batch stays open after its first message. */
  const window = Effect.gen(function* () {
    if (flushInterval > 0) yield* Effect.raceFirst(Effect.sleep(flushInterval), outbox.flushRequested)
    // Messages that wait already join the batch.
    yield* Effect.yieldNow
    return 0
  })

  const failed = yield* Deferred.make<never>()
  /** Passes a defect on at once. The stream itself sees it when a slot is free, which an outage can delay for hours. */
  const failFast = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.tapCause(effect, (cause) => (Cause.hasDies(cause) ? Deferred.die(failed, Cause.squash(cause)) : Effect.void))

  const pipeline = Stream.fromPull(Effect.succeed(failFast(outbox.take(batchSize)))).pipe(
    // `Stream.groupedWithin(batchSize, flushInterval)`, with a limit in bytes as well, and cut short by a flush.
    Stream.aggregateWithin(
      batchOf(batchSize, () => maxBatchBytes() - envelopeBytes),
      Schedule.addDelay(Schedule.forever, () => failFast(window))
    ),
    // A batch is not formed before there is a slot for it: messages that arrive until then are part of it.
    Stream.mapEffect((batch) => orDrop(outbox, batch, deliver(batch)), { concurrency: maxInFlight, unordered: true }),
    Stream.interruptWhen(Deferred.await(failed)),
    Stream.runDrain
  )

  let isEnding = false

  yield* pipeline.pipe(
    Effect.onExit((exit) =>
      Exit.isFailure(exit) && !(isEnding && Cause.hasInterruptsOnly(exit.cause)) ? fail(exit.cause) : Effect.void
    ),
    Effect.forkIn(running)
  )

  /** Ends a client whose pipeline has failed: nothing that it holds may stay without an outcome. */
  const fail = Effect.fnUntraced(function* (cause: Cause.Cause<unknown>) {
    yield* log("Error", "the delivery failed, and the client ends; please report it", { cause: Cause.pretty(cause) })
    yield* Effect.ensuring(outbox.close, outbox.abandon(broken))
  })

  const end = Effect.fnUntraced(function* (timeout: number, isEndOfScope: boolean) {
    const before = yield* outbox.counts
    yield* outbox.close
    const { pending } = yield* outbox.flush(timeout)
    // Nobody gets the answer to the end of a scope.
    if (isEndOfScope && timeout > 0 && pending > 0) yield* logVain(before, timeout)
    yield* Scope.close(running, Exit.void)
    yield* outbox.abandon(new DeliveryError({ reason: "closed", attempts: 0, ...retry.lastFailure() }))
    const after = yield* outbox.counts
    return {
      delivered: after.delivered - before.delivered,
      dropped: after.dropped - before.dropped,
      pending: after.pending
    }
  })

  const logVain = Effect.fnUntraced(function* (before: Outbox.Counts, timeout: number) {
    const { delivered, pending } = yield* outbox.counts
    if (delivered > before.delivered) return
    yield* log(
      "Warn",
      `the end of a layer waited ${timeout / 1_000} s and nothing was delivered; ${pending} messages are left. ` +
        "Is the layer built for each request? One for the whole process does not wait (ManagedRuntime)"
    )
  })

  const ended = yield* Deferred.make<Outbox.Flushed>()
  const closeOnce = (timeout: number, isEndOfScope: boolean) =>
    Effect.suspend(() => {
      if (isEnding) return Deferred.await(ended)
      isEnding = true
      // It is bounded: an interrupted close must not leave the next one waiting.
      return Effect.uninterruptible(Effect.onExit(end(timeout, isEndOfScope), (exit) => Deferred.done(ended, exit)))
    })
  yield* Effect.addFinalizer(() => closeOnce(closeTimeout, true))

  return { close: (timeout = closeTimeout) => closeOnce(timeout, false), status: retry.status }
})

const broken = new DeliveryError({ reason: "broken", attempts: 0 })

/** A delivery never fails. If it does all the same, its messages are dropped: none may stay without an outcome. */
const orDrop = (outbox: Outbox.Outbox["Service"], messages: Retry.Batch, delivery: Effect.Effect<void>) =>
  Effect.catchCause(delivery, () => outbox.settle(Outcome.Outcome.Dropped({ messages, error: broken })))

/** As many messages as a request takes, by count and bytes; one always fits. */
const batchOf = (maxMessages: number, maxBytes: () => number): Sink.Sink<Retry.Batch, Message, Message> =>
  Sink.fromTransform((upstream) => {
    const limit = maxBytes()
    const batch: Array<Message> = []
    let bytes = 0
    let leftover: Arr.NonEmptyArray<Message> | undefined
    return upstream.pipe(
      Effect.flatMap((messages) => {
        for (const [index, message] of messages.entries()) {
          bytes += message.bytes + (batch.length === 0 ? 0 : 1)
          if (batch.length === maxMessages || (batch.length > 0 && bytes > limit)) {
            leftover = Arr.fromIterable(messages.slice(index)) as Arr.NonEmptyArray<Message>
            return Cause.done()
          }
          batch.push(message)
        }
        return batch.length === maxMessages ? Cause.done() : Effect.void
      }),
      Effect.forever({ disableYield: true }),
      Pull.catchDone(() => Effect.succeed([batch as Array<Message> as Arr.NonEmptyArray<Message>, leftover] as const))
    )
  })
