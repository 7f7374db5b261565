/**
 * The outcomes and errors as plain programs see them: the same values as `Outcome` and `AnalyticsError`, in types that name
 * nothing of Effect.
 */
import type { LossReason } from "../AnalyticsError.ts"
import type * as Call from "../CallTypes.ts"
import type { Wire } from "../CallTypes.ts"

/** A call that the Tracking API would not take. @category models @since 0.1.0 */
export interface InvalidCall extends Error {
  readonly _tag: "InvalidCall"
  /** Which of the six calls it was. */
  readonly call: string
  /** The event of a `track`, if it has one. */
  readonly event?: string
  /** The path of the field concerned; empty if the problem is the call as a whole. */
  readonly path: ReadonlyArray<string | number>
  /** The problem with the field: `must be …; it is …`. It has the type of a value, never the value. */
  readonly problem: string
  /** The size in UTF-8 bytes, if the call was too large. */
  readonly size?: number
  readonly limit?: number
}

/** A call that breaks the tracking plan. It never holds the value. @category models @since 0.1.0 */
export interface PlanViolation extends Error {
  readonly _tag: "PlanViolation"
  /** Which of the six calls it was. */
  readonly call: string
  /** The event, page or screen, if the call has one. */
  readonly event?: string
  /** The kind of the broken rule. */
  readonly violation: "required" | "type" | "value" | "unexpected" | "unplanned"
  /** The path of the field in the call; empty if the violation is the call as a whole. */
  readonly path: ReadonlyArray<string | number>
  /** The value that the plan expects there. */
  readonly expected: string
  /** The version of the event, or of the plan. */
  readonly version?: string
}

/**
 * The bound is reached: as many messages, or bytes, are accepted and unsettled as the settings allow.
 * @category models @since 0.1.0
 */
export interface QueueFull extends Error {
  readonly _tag: "QueueFull"
  readonly bound: "maxQueueSize" | "maxQueueBytes"
  readonly limit: number
}

/** A durable outbox is full: its bound is reached, or the disk has no room. @category models @since 0.1.0 */
export interface OutboxFull extends Error {
  readonly _tag: "OutboxFull"
  readonly bound: "maxQueueSize" | "maxQueueBytes" | "disk"
  readonly limit?: number
}

/** A durable outbox cannot be opened, read or written at the moment. @category models @since 0.1.0 */
export interface OutboxUnavailable extends Error {
  readonly _tag: "OutboxUnavailable"
  readonly problem: string
  /** The code of the database, e.g. `"SQLITE 14"`. */
  readonly code?: string
}

/** The client is closed, or closing: it takes no more calls. @category models @since 0.1.0 */
export interface Closed extends Error {
  readonly _tag: "Closed"
}

/** Why a call was not accepted. @category errors @since 0.1.0 */
export type CallError = InvalidCall | PlanViolation | QueueFull | OutboxFull | OutboxUnavailable | Closed

/** Why accepted messages were lost. @category errors @since 0.1.0 */
export interface DeliveryError extends Error {
  readonly _tag: "DeliveryError"
  readonly reason: LossReason
  /** The last HTTP status, if there was an answer. */
  readonly status?: number
  /** The kind of the last failure, e.g. `"timeout"` or `"ECONNREFUSED"`. */
  readonly detail?: string
  /** HTTP attempts made. */
  readonly attempts: number
  /** The address that the attempts went to. */
  readonly destination?: string
}

/** A valid call, encoded. @category models @since 0.1.0 */
export interface Message {
  readonly type: Call.Type
  readonly messageId: string
  /** The text that goes over the wire. */
  readonly json: string
  /** Its size in UTF-8 bytes. */
  readonly bytes: number
  /** The message as plain data, a new copy each time. */
  readonly data: Wire
}

/**
 * The end of a call: each accepted message ends in exactly one `Delivered` or `Dropped`, each call that was not accepted in
 * one `Refused` or `Filtered`.
 * @category models @since 0.1.0
 */
export type Outcome =
  /** A call was not accepted. `message` is there if the call was valid. */
  | {
      readonly _tag: "Refused"
      readonly call: Call.Type
      readonly error: CallError
      readonly message: Message | undefined
    }
  /** The message was dropped on purpose: by `transform`, or by the policy of a tracking plan, and then with the `violation`. */
  | {
      readonly _tag: "Filtered"
      readonly call: Call.Type
      readonly reason: string
      readonly violation?: PlanViolation | undefined
    }
  /** The API answered 2xx for these messages, after so many HTTP attempts. */
  | {
      readonly _tag: "Delivered"
      readonly messages: ReadonlyArray<Message>
      readonly status: number
      readonly attempts: number
    }
  /** These messages were accepted, and are lost for one reason. */
  | { readonly _tag: "Dropped"; readonly messages: ReadonlyArray<Message>; readonly error: DeliveryError }

/** What `onError` receives. @category models @since 0.1.0 */
export interface Failure {
  /** The last HTTP status, if there was an answer. */
  readonly status?: number
  /** The failure in a sentence, without payload or write key. */
  readonly message: string
  /** A call was not accepted (`InvalidCall`, `PlanViolation`, `QueueFull`, `Closed`), or accepted messages were lost. */
  readonly reason: CallError["_tag"] | LossReason
  /** The messages concerned, as plain data; none if a call was not valid or broke the plan, and so never became one. */
  readonly messages: ReadonlyArray<Wire>
}
