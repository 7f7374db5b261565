/**
 * The end of a message: each accepted one ends in exactly one `Delivered` or `Dropped`, each call that was not accepted in one
 * `Refused` or `Filtered`. Every outcome is counted and reported to the observer.
 */
import type * as Arr from "effect/Array"
import * as Data from "effect/Data"
import type { CallError, DeliveryError, PlanViolation } from "./AnalyticsError.ts"
import type { Type } from "./Call.ts"
import type { Message } from "./Message.ts"

/** The end of a call or of messages. @category models @since 0.1.0 */
export type Outcome = Data.TaggedEnum<{
  /** A call was not accepted. `message` is there if the call was valid. */
  Refused: { readonly call: Type; readonly error: CallError; readonly message: Message | undefined }
  /**
   * The message was dropped on purpose before it was encoded: by `transform`, or by the policy of a tracking plan, and
   * then with the `violation`.
   */
  Filtered: { readonly call: Type; readonly reason: string; readonly violation?: PlanViolation | undefined }
  /** The API answered 2xx for these messages, after so many HTTP attempts. */
  Delivered: {
    readonly messages: Arr.NonEmptyReadonlyArray<Message>
    readonly status: number
    readonly attempts: number
  }
  /** These messages were accepted, and are lost for one reason. */
  Dropped: { readonly messages: Arr.NonEmptyReadonlyArray<Message>; readonly error: DeliveryError }
}>
/** Makes outcomes, and tells them apart: `Outcome.$match`. @category constructors @since 0.1.0 */
export const Outcome = Data.taggedEnum<Outcome>()

/** A call was not accepted. @category models @since 0.1.0 */
export type Refused = Data.TaggedEnum.Value<Outcome, "Refused">
/** A message was dropped on purpose. @category models @since 0.1.0 */
export type Filtered = Data.TaggedEnum.Value<Outcome, "Filtered">
/** Messages were delivered. @category models @since 0.1.0 */
export type Delivered = Data.TaggedEnum.Value<Outcome, "Delivered">
/** Accepted messages were lost. @category models @since 0.1.0 */
export type Dropped = Data.TaggedEnum.Value<Outcome, "Dropped">
/** The end of an accepted message. @category models @since 0.1.0 */
export type Settled = Delivered | Dropped

/**
 * Counts of messages since the client was made: `offered = delivered + pending + dropped + rejected`, at every moment.
 * @category models @since 0.1.0
 */
export interface Stats {
  /** Calls that were answered. A call that still waits for room is not among them. */
  readonly offered: number
  readonly delivered: number
  /** Accepted and not settled: queued, batched or in flight. */
  readonly pending: number
  /** Accepted, or filtered by `transform` or a plan, and lost for a reported reason. */
  readonly dropped: number
  /** Calls that were not accepted. */
  readonly rejected: number
  /** Of those pending: batched or in flight. */
  readonly inFlight: number
  /** UTF-8 bytes of those pending. */
  readonly pendingBytes: number
  /** The time of the oldest call among those pending, in milliseconds since 1970. */
  readonly oldestPendingAt?: number | undefined
  /** The last attempt that failed since the last delivery: its status or error code, and its time. */
  readonly lastFailure?: { readonly status?: number; readonly detail?: string; readonly at: number } | undefined
  /** No attempt before this time, since the API asked for a pause: in milliseconds since 1970. */
  readonly limitedUntil?: number | undefined
}

/**
 * The failure in an outcome; `undefined` if there is none. A message that `transform` dropped is no failure; a message that
 * a plan dropped is one.
 * @category accessors @since 0.1.0
 */
export const failureOf = (
  outcome: Outcome
): { readonly error: CallError | DeliveryError; readonly messages: ReadonlyArray<Message> } | undefined => {
  if (outcome._tag === "Dropped") return outcome
  if (outcome._tag === "Filtered" && outcome.violation !== undefined) return { error: outcome.violation, messages: [] }
  if (outcome._tag !== "Refused") return undefined
  return { error: outcome.error, messages: outcome.message === undefined ? [] : [outcome.message] }
}
