/**
 * Every failure by name, with the facts that explain it, and which may be tried again.
 *
 * Errors carry paths, sizes, limits and statuses; never the write key and never a payload.
 */
import * as Schema from "effect/Schema"

/** A setting that cannot work: thrown or failed with when a client is made, never later. */
export class InvalidSetting extends Schema.TaggedError<InvalidSetting>()("InvalidSetting", {
  /** The name of the setting, as it is written in the options. */
  setting: Schema.String,
  problem: Schema.String
}) {
  override get message(): string {
    return `${this.setting} ${this.problem}`
  }
}

/**
 * A call that the Tracking API would not take, refused where it was made.
 *
 * The API answers 200 to most bad events and then drops them, so its rules are applied here.
 */
export class InvalidCall extends Schema.TaggedError<InvalidCall>()("InvalidCall", {
  /** Which of the six calls it was. */
  call: Schema.String,
  /** Where in the call the problem is; empty when it is the call as a whole. */
  path: Schema.Array(Schema.Union([Schema.String, Schema.Finite])),
  problem: Schema.String,
  /** The size in UTF-8 bytes, when it was too large. */
  size: Schema.optionalKey(Schema.Int),
  limit: Schema.optionalKey(Schema.Int)
}) {
  override get message(): string {
    const path = this.path.map((key) => `[${JSON.stringify(key)}]`).join("")
    return path === "" ? `${this.call}: ${this.problem}` : `${this.call}: ${this.problem}, at ${path}`
  }
}

/** The bound is reached: as many messages, or bytes, are accepted and unsettled as the settings allow. */
export class QueueFull extends Schema.TaggedError<QueueFull>()("QueueFull", {
  /** Which bound it was. */
  bound: Schema.Literals(["maxQueueSize", "maxQueueBytes"]),
  limit: Schema.Int
}) {
  override get message(): string {
    return `the queue is full (${this.bound} ${this.limit})`
  }
}

/** A durable outbox is full: as many messages, or bytes, wait as the settings allow, or the disk has no room. */
export class OutboxFull extends Schema.TaggedError<OutboxFull>()("OutboxFull", {
  /** Which bound it was; `"disk"` is the quota of the file, or the disk itself. */
  bound: Schema.Literals(["maxQueueSize", "maxQueueBytes", "disk"]),
  /** The bound as it is set; the disk's own is not known. */
  limit: Schema.optionalKey(Schema.Int)
}) {
  override get message(): string {
    return `the outbox is full (${this.bound}${this.limit === undefined ? "" : ` ${this.limit}`})`
  }
}

/** A durable outbox can't be opened, read or written at the moment. */
export class OutboxUnavailable extends Schema.TaggedError<OutboxUnavailable>()("OutboxUnavailable", {
  /** What could not be done, and why, as far as it is known; never a row. */
  problem: Schema.String,
  /** What the database calls it, e.g. `"LockTimeoutError"` or `"SQLITE 14"`. */
  code: Schema.optionalKey(Schema.String)
}) {
  override get message(): string {
    return `the outbox ${this.problem}${this.code === undefined ? "" : ` (${this.code})`}`
  }
}

/** The client is closed, or closing: it takes no more calls. */
export class Closed extends Schema.TaggedError<Closed>()("Closed", {}) {
  override get message(): string {
    return "the client is closed"
  }
}

/** A call that breaks the tracking plan, where the plan says that such calls fail. It never holds the value. */
export class PlanViolation extends Schema.TaggedError<PlanViolation>()("PlanViolation", {
  /** Which of the six calls it was. */
  call: Schema.String,
  /** The event, page or screen, where the call has one that is in the plan or that the plan does not know. */
  event: Schema.optionalKey(Schema.String),
  /** What kind of rule is broken. */
  violation: Schema.Literals(["required", "type", "value", "unexpected", "unplanned"]),
  /** Where in the call; empty when it is the call as a whole. */
  path: Schema.Array(Schema.Union([Schema.String, Schema.Finite])),
  /** What the plan expects there. */
  expected: Schema.String,
  /** The version of the event, or of the plan. */
  version: Schema.optionalKey(Schema.String)
}) {
  override get message(): string {
    const event = this.event === undefined ? "" : ` ${JSON.stringify(this.event)}`
    const at = this.path.length === 0 ? "" : ` at ${this.path.join(".")}`
    const version = this.version === undefined ? "" : ` (version ${this.version})`
    return `${this.call}${event} breaks the tracking plan${version}${at}: ${this.expected}`
  }
}

/** Why a call was not accepted. */
export type CallError = InvalidCall | PlanViolation | QueueFull | OutboxFull | OutboxUnavailable | Closed

/** Why an accepted message was lost, in one word. */
export const LossReason = Schema.Literals([
  /** The API, or the way to it, failed more often than `maxRetries`. */
  "retries",
  /** It failed for longer than 12 hours. */
  "expired",
  /** The API said `Retry-After` for longer than 12 hours, or too often. */
  "limited",
  /** The API refused this message: 400, 413, 422 or `success: false`. */
  "rejected",
  /** The API refused the client: write key, address, redirect. */
  "misconfigured",
  /** It waited in a durable outbox for longer than `maxAge`. */
  "outdated",
  /** `overflow: "drop-oldest"` made room for a newer message. */
  "evicted",
  /** It was erased on request: `purgeUser`. */
  "erased",
  /** The client was closed before it could be delivered. */
  "closed",
  /** The client itself failed where it must not; please report it. */
  "broken"
])
export type LossReason = typeof LossReason.Type

const explanations: Record<LossReason, string> = {
  retries: "given up after the last retry",
  expired: "given up after 12 hours of failures",
  limited: "rate limited for too long",
  rejected: "refused by the API",
  misconfigured: "the API refuses this client: check the write key and the host",
  outdated: "older than maxAge",
  evicted: "evicted from a full queue by a newer message",
  erased: "erased on request",
  closed: "left over when the client closed",
  broken: "the client itself failed"
}

/** Why accepted messages were lost. One error stands for all messages of a loss. */
export class DeliveryError extends Schema.TaggedError<DeliveryError>()("DeliveryError", {
  reason: LossReason,
  /** The last HTTP status, if there was an answer. */
  status: Schema.optionalKey(Schema.Int),
  /** What kind of failure the last attempt met, e.g. `"timeout"` or `"ECONNREFUSED"`. */
  detail: Schema.optionalKey(Schema.String),
  /** HTTP attempts made. */
  attempts: Schema.Int
}) {
  /** Whether the same messages could be accepted at another time: nothing is wrong with them. */
  get retryable(): boolean {
    return this.reason !== "rejected"
  }

  override get message(): string {
    const facts = [
      ...(this.status === undefined ? [] : [`status ${this.status}`]),
      ...(this.detail === undefined ? [] : [this.detail]),
      ...(this.attempts === 0 ? [] : [`${this.attempts} ${this.attempts === 1 ? "attempt" : "attempts"}`])
    ]
    return facts.length === 0 ? explanations[this.reason] : `${explanations[this.reason]} (${facts.join(", ")})`
  }
}
