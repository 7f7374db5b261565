/**
 * Every failure by name, with the facts that explain it, and which may be tried again.
 *
 * Errors carry paths, sizes, limits and statuses; never the write key and never a payload.
 */
import * as Data from "effect/Data"

/** A setting that cannot work: thrown or failed with when a client is made, never later. */
export class InvalidSetting extends Data.TaggedError("InvalidSetting")<{
  /** The name of the setting, as it is written in the options. */
  readonly setting: string
  readonly problem: string
}> {
  override get message(): string {
    return `effect-analytics: ${this.setting} ${this.problem}`
  }
}

/** A path as a program would write it: `properties.items[0].name`. `*` stands for any name. */
export const formatPath = (path: ReadonlyArray<string | number>): string =>
  path
    .map((key, index) => {
      if (typeof key === "number") return `[${key}]`
      if (!/^(\*|[\p{ID_Start}$_][\p{ID_Continue}$]*)$/u.test(key)) return `[${JSON.stringify(key)}]`
      return index === 0 ? key : `.${key}`
    })
    .join("")

/**
 * A call that the Tracking API would not take, refused where it was made.
 *
 * The API answers 200 to most bad events and then drops them, so its rules are applied here.
 */
export class InvalidCall extends Data.TaggedError("InvalidCall")<{
  /** Which of the six calls it was. */
  readonly call: string
  /** The event of a `track`, if it has one. */
  readonly event?: string
  /** The path of the field concerned; empty if the problem is the call as a whole. */
  readonly path: ReadonlyArray<string | number>
  /** What is wrong with the field: `must be …; it is …`. It gives the type of a value, never the value. */
  readonly problem: string
  /** The size in UTF-8 bytes, if the call was too large. */
  readonly size?: number
  readonly limit?: number
}> {
  override get message(): string {
    const event = this.event === undefined ? "" : ` ${JSON.stringify(this.event)}`
    const path = formatPath(this.path)
    return `${this.call}${event}: ${path === "" ? "" : `${path} `}${this.problem}`
  }
}

/** The bound is reached: as many messages, or bytes, are accepted and unsettled as the settings allow. */
export class QueueFull extends Data.TaggedError("QueueFull")<{
  /** Which bound it was. */
  readonly bound: "maxQueueSize" | "maxQueueBytes"
  readonly limit: number
}> {
  override get message(): string {
    return `the queue is full (${this.bound} ${this.limit})`
  }
}

/** A durable outbox is full: as many messages, or bytes, wait as the settings allow, or the disk has no room. */
export class OutboxFull extends Data.TaggedError("OutboxFull")<{
  /** Which bound it was; `"disk"` is the quota of the file, or the disk itself. */
  readonly bound: "maxQueueSize" | "maxQueueBytes" | "disk"
  /** The bound as it is set; the disk's own is not known. */
  readonly limit?: number
}> {
  override get message(): string {
    return `the outbox is full (${this.bound}${this.limit === undefined ? "" : ` ${this.limit}`})`
  }
}

/** A durable outbox can't be opened, read or written at the moment. */
export class OutboxUnavailable extends Data.TaggedError("OutboxUnavailable")<{
  /** What could not be done, and why, as far as it is known; never a row. */
  readonly problem: string
  /** What the database calls it, e.g. `"LockTimeoutError"` or `"SQLITE 14"`. */
  readonly code?: string
}> {
  override get message(): string {
    return `the outbox ${this.problem}${this.code === undefined ? "" : ` (${this.code})`}`
  }
}

/** The client is closed, or closing: it takes no more calls. */
export class Closed extends Data.TaggedError("Closed") {
  override get message(): string {
    return "the client is closed"
  }
}

/** A call that breaks the tracking plan, where the policy of the plan is to fail. It never holds the value. */
export class PlanViolation extends Data.TaggedError("PlanViolation")<{
  /** Which of the six calls it was. */
  readonly call: string
  /** The event, page or screen, where the call has one that is in the plan or that the plan does not know. */
  readonly event?: string
  /** What kind of rule is broken. */
  readonly violation: "required" | "type" | "value" | "unexpected" | "unplanned"
  /** Where in the call; empty when it is the call as a whole. */
  readonly path: ReadonlyArray<string | number>
  /** What the plan expects there. */
  readonly expected: string
  /** The version of the event, or of the plan. */
  readonly version?: string
}> {
  override get message(): string {
    const event = this.event === undefined ? "" : ` ${JSON.stringify(this.event)}`
    const at = this.path.length === 0 ? "" : ` at ${formatPath(this.path)}`
    const version = this.version === undefined ? "" : ` (version ${this.version})`
    return `${this.call}${event} breaks the tracking plan${version}${at}: ${this.expected}`
  }
}

/** Why a call was not accepted. */
export type CallError = InvalidCall | PlanViolation | QueueFull | OutboxFull | OutboxUnavailable | Closed

/** Why an accepted message was lost, in one word. */
export type LossReason =
  /** The API, or the way to it, failed more often than `maxRetries`. */
  | "retries-exhausted"
  /** It failed for longer than `maxRetryDuration`. */
  | "retry-timeout"
  /** The API sent `Retry-After` for longer than `maxRateLimitDuration`, or too often. */
  | "limited"
  /** The API refused this message: 400, 413, 422 or `success: false`. */
  | "rejected"
  /** The API refused the client: write key, address, redirect. */
  | "misconfigured"
  /** It waited in a durable outbox for longer than `maxAge`. */
  | "max-age"
  /** `overflow: "drop-oldest"` made room for a newer message. */
  | "evicted"
  /** It was erased on request: `purgeUser`. */
  | "erased"
  /** The client was closed before it could be delivered. */
  | "closed"
  /** The client itself failed where it must not; please report it. */
  | "broken"

const explanations: Record<LossReason, string> = {
  "retries-exhausted": "given up after the last retry",
  "retry-timeout": "given up after failing for longer than maxRetryDuration",
  limited: "rate limited for too long",
  rejected: "refused by the API",
  misconfigured: "the API refuses this client: check the write key and the host",
  "max-age": "older than maxAge",
  evicted: "evicted from a full queue by a newer message",
  erased: "erased on request",
  closed: "left over when the client closed",
  broken: "the client itself failed"
}

/** Why accepted messages were lost. One error stands for all messages of a loss. */
export class DeliveryError extends Data.TaggedError("DeliveryError")<{
  readonly reason: LossReason
  /** The last HTTP status, if there was an answer. */
  readonly status?: number
  /** What kind of failure the last attempt met, e.g. `"timeout"` or `"ECONNREFUSED"`. */
  readonly detail?: string
  /** HTTP attempts made. */
  readonly attempts: number
  /** The address that the attempts went to. */
  readonly destination?: string
}> {
  /** Whether the same messages could be accepted at another time: nothing is wrong with them. */
  get retryable(): boolean {
    return this.reason !== "rejected"
  }

  override get message(): string {
    const facts = [
      ...(this.status === undefined ? [] : [`status ${this.status}`]),
      ...(this.detail === undefined ? [] : [this.detail]),
      ...(this.destination === undefined || this.attempts === 0 ? [] : [this.destination]),
      ...(this.attempts === 0 ? [] : [`${this.attempts} ${this.attempts === 1 ? "attempt" : "attempts"}`])
    ]
    return facts.length === 0 ? explanations[this.reason] : `${explanations[this.reason]} (${facts.join(", ")})`
  }
}
