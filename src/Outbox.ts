/**
 * Where messages wait until they are settled. An outbox owns the bound and the counts: a message that is accepted counts until
 * it is delivered or dropped, batched and in flight included.
 *
 * `MemoryOutbox` is a bounded queue; `SqlOutbox` is a table in a database.
 */
import type * as Arr from "effect/Array"
import type * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import type { Closed, DeliveryError, OutboxFull, OutboxUnavailable, QueueFull } from "./AnalyticsError.ts"
import type { Message } from "./Message.ts"
import type * as Outcome from "./Outcome.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Service interface
// ---------------------------------------------------------------------------------------------------------------------

/** What has become of the messages that a flush waited for. @category models @since 0.1.0 */
export interface Flushed {
  readonly delivered: number
  readonly dropped: number
  /** Not settled: the timeout came first, or a durable outbox keeps them. */
  readonly pending: number
}

/** Messages since the outbox was made. @category models @since 0.1.0 */
export interface Counts {
  readonly accepted: number
  /** Accepted and not settled: queued, batched or in flight. */
  readonly pending: number
  /** UTF-8 bytes of those pending. */
  readonly pendingBytes: number
  /** Of those pending: taken by the delivery, batched or in flight. */
  readonly taken: number
  readonly delivered: number
  readonly dropped: number
  /** The time of the oldest call among those pending, in milliseconds since 1970. */
  readonly oldestPendingAt?: number | undefined
}

/** Why a message was not accepted. @category errors @since 0.1.0 */
export type OfferError = QueueFull | OutboxFull | OutboxUnavailable | Closed

/** What there is to say of an offer that was not simply accepted. @category models @since 0.1.0 */
export interface Offered {
  /** The reason why the message was not accepted, if it was not. */
  readonly error: OfferError | undefined
  /** Reports the messages that were evicted for it: to be run. `undefined` if that is done. */
  readonly notification: Effect.Effect<void> | undefined
}

/** The backoff that deliveries are in. @category models @since 0.1.0 */
export interface BackoffState {
  /** Failures in a row. */
  readonly retries: number
  /** No attempt before this time, in milliseconds since 1970. */
  readonly resumeAt: number
}

/**
 * What an outbox adds whose messages survive the process: they are tried until they are delivered, rejected or too old.
 * @category models @since 0.1.0
 */
export interface Durable {
  /** Requests that may be in flight at the same time without a change of order. */
  readonly maxInFlight: number
  /** Makes the outbox one of this destination, an address and a key; fails if it belongs to another one. */
  readonly bind: (identity: Redacted.Redacted<string>) => Effect.Effect<void>
  /** Drops messages that are older than `maxAge`, and forgets those that were erased. Answers with the others. */
  readonly dropExpired: (messages: ReadonlyArray<Message>) => Effect.Effect<ReadonlyArray<Message>>
  /**
   * What has become of a message that was committed, whichever process settles it: it is pending, or dropped and kept as a
   * dead letter, or no longer there. Then it is delivered; or it was evicted, erased or too old, which is reported where that
   * happened.
   */
  readonly stateOf: (
    messageId: string
  ) => Effect.Effect<"pending" | "gone" | DeliveryError, OutboxFull | OutboxUnavailable>
  /** Stores the backoff for the next start, or clears it. */
  readonly saveBackoff: (state: BackoffState | undefined) => Effect.Effect<void>
  /** The backoff that was stored when this outbox was last used. */
  readonly loadBackoff: Effect.Effect<BackoffState | undefined>
}

/** The outbox in scope. @category services @since 0.1.0 */
export class Outbox extends Context.Service<
  Outbox,
  {
    /**
     * Accepts a message, or fails with the reason. With `overflow: "wait"` it suspends until there is room; a durable
     * outbox suspends until the message is committed. `overflow` takes the place of the setting for this message.
     */
    readonly offer: (message: Message, overflow?: Overflow) => Effect.Effect<void, OfferError>
    /**
     * Accepts a message at once, without a fiber; answers with what else there is to say. A durable outbox always refuses:
     * accepting takes time there.
     */
    readonly offerUnsafe: (message: Message) => Offered | undefined
    /** The oldest messages, at most `max`. Waits for the first. Ends when the outbox is closed and empty. */
    readonly take: (max: number) => Effect.Effect<Arr.NonEmptyArray<Message>, Cause.Done>
    /** Ends messages that were taken: makes room, reports the outcome, advances flushes. */
    readonly settle: (outcome: Outcome.Settled) => Effect.Effect<void>
    /**
     * Resolves when everything that was accepted before it is settled, or after so many milliseconds: what is not settled by
     * then is `pending`. Any number may overlap.
     */
    readonly flush: (timeout?: number | undefined) => Effect.Effect<Flushed>
    /**
     * Calls `resume` once at the end of this message: without an error if it was delivered, with the reason `closed` if the
     * outbox ends before it. Answers with a way to give that up.
     */
    readonly onEnd: (message: Message, resume: (error: DeliveryError | undefined) => void) => () => void
    /** Resolves when a flush waits. */
    readonly flushRequested: Effect.Effect<void>
    /** Takes no more offers, and refuses calls that wait for room. Accepted messages stay. */
    readonly close: Effect.Effect<void>
    /** Ends everything that is not settled: drops it for this reason, or, if it is durable, leaves it to the next start. */
    readonly abandon: (error: DeliveryError) => Effect.Effect<void>
    readonly counts: Effect.Effect<Counts>
    /** There if messages survive the process. */
    readonly durable?: Durable | undefined
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
 * @category models @since 0.1.0
 */
export type Overflow = "refuse" | "drop-oldest" | "wait"

/** The bound of an outbox. @category options @since 0.1.0 */
interface OutboxOptions {
  /** Messages accepted and not settled, at most. @default 10_000 */
  readonly maxQueueSize?: number | undefined
  /** UTF-8 bytes of them, at most; at least the size of one message, 32,768. @default 33_554_432 (32 MiB) */
  readonly maxQueueBytes?: number | undefined
  /** What happens to a call when the bound is reached. @default "refuse" */
  readonly overflow?: Overflow | undefined
}

// Editors show the name of the declaration, in which `Options` would say little.
export type { OutboxOptions as Options }

/**
 * An outbox for `createAnalytics` whose messages survive the process: see `SqlOutbox.sqlite`.
 * @category options @since 0.1.0
 */
export interface DurableSetting {
  /** What an operator does with the outbox, as plain programs call it, over the services of the layer. */
  readonly operations: (services: Context.Context<never>) => object
  readonly layer: Layer.Layer<Outbox, OutboxFull | OutboxUnavailable>
}
