/**
 * Every failure by name, with the facts that explain it, and which may be tried again.
 *
 * A call fails with one `AnalyticsError`; its `reason` says why: `Effect.catchReason("AnalyticsError", "QueueFull", …)`. These
 * are Schemas, so that they can be errors of an `HttpApiEndpoint`. They carry paths, sizes, limits and statuses; never the write
 * key and never a payload.
 */
import * as Data from "effect/Data"
import * as Schema from "effect/Schema"

/**
 * A setting that cannot work, found when a client is made, never later. Written in the program it is a defect; read from the
 * configuration it is a `ConfigError` with the path of the setting. The plain face throws it.
 * @category errors @since 0.1.0
 */
export class InvalidSetting extends Data.TaggedError("InvalidSetting")<{
  /** The name of the setting, as it is written in the options. */
  readonly setting: string
  readonly problem: string
}> {
  override get message(): string {
    return `effect-analytics: ${this.setting} ${this.problem}`
  }
}

const Path = Schema.Array(Schema.Union([Schema.String, Schema.Number]))

/** Characters of a key in a path, at most. */
const maxKey = 100

/**
 * A path as a program would write it: `properties.items[0].name`. `*` stands for any name.
 * @category formatting @since 0.1.0
 */
export const formatPath = (path: ReadonlyArray<string | number>): string =>
  path
    .map((key, index) => {
      if (typeof key === "number") return `[${key}]`
      // Keys may be data, of any length.
      if (key.length > maxKey) return `[${JSON.stringify(`${key.slice(0, maxKey)}…`)}]`
      if (!/^(\*|[\p{ID_Start}$_][\p{ID_Continue}$]*)$/u.test(key)) return `[${JSON.stringify(key)}]`
      return index === 0 ? key : `.${key}`
    })
    .join("")

/**
 * A call that the Tracking API would not take, refused where it was made.
 *
 * The API answers 200 to most bad events and then drops them, so its rules are applied here.
 * @category errors @since 0.1.0
 */
export class InvalidCall extends Schema.TaggedError<InvalidCall>("effect-analytics/InvalidCall")("InvalidCall", {
  /** Which of the six calls it was. */
  call: Schema.String,
  /** The event of a `track`, if it has one. */
  event: Schema.optionalKey(Schema.String),
  /** The path of the field concerned; empty if the problem is the call as a whole. */
  path: Path,
  /** What is wrong with the field: `must be …; it is …`. It gives the type of a value, never the value. */
  problem: Schema.String,
  /** The size in UTF-8 bytes, if the call was too large. */
  size: Schema.optionalKey(Schema.Number),
  limit: Schema.optionalKey(Schema.Number)
}) {
  override get message(): string {
    const event = this.event === undefined ? "" : ` ${JSON.stringify(this.event)}`
    const path = formatPath(this.path)
    return `${this.call}${event}: ${path === "" ? "" : `${path} `}${this.problem}`
  }
}

/**
 * The bound is reached: as many messages, or bytes, are accepted and unsettled as the settings allow.
 * @category errors @since 0.1.0
 */
export class QueueFull extends Schema.TaggedError<QueueFull>("effect-analytics/QueueFull")("QueueFull", {
  /** Which bound it was. */
  bound: Schema.Literals(["maxQueueSize", "maxQueueBytes"]),
  limit: Schema.Number
}) {
  override get message(): string {
    return `the queue is full (${this.bound} ${this.limit})`
  }
}

/**
 * A durable outbox is full: as many messages, or bytes, wait as the settings allow, or the disk has no room.
 * @category errors @since 0.1.0
 */
export class OutboxFull extends Schema.TaggedError<OutboxFull>("effect-analytics/OutboxFull")("OutboxFull", {
  /** Which bound it was; `"disk"` is the quota of the file, or the disk itself. */
  bound: Schema.Literals(["maxQueueSize", "maxQueueBytes", "disk"]),
  /** The bound as it is set; the disk's own is not known. */
  limit: Schema.optionalKey(Schema.Number)
}) {
  override get message(): string {
    return `the outbox is full (${this.bound}${this.limit === undefined ? "" : ` ${this.limit}`})`
  }
}

/** A durable outbox can't be opened, read or written at the moment. @category errors @since 0.1.0 */
export class OutboxUnavailable extends Schema.TaggedError<OutboxUnavailable>("effect-analytics/OutboxUnavailable")(
  "OutboxUnavailable",
  {
    /** What could not be done, and why, as far as it is known; never a row. */
    problem: Schema.String,
    /** What the database calls it, e.g. `"LockTimeoutError"` or `"SQLITE 14"`. */
    code: Schema.optionalKey(Schema.String)
  }
) {
  override get message(): string {
    return `the outbox ${this.problem}${this.code === undefined ? "" : ` (${this.code})`}`
  }
}

/** The client is closed, or closing: it takes no more calls. @category errors @since 0.1.0 */
export class Closed extends Schema.TaggedError<Closed>("effect-analytics/Closed")("Closed", {}) {
  override get message(): string {
    return "the client is closed"
  }
}

/**
 * A call that breaks the tracking plan, where the policy of the plan is to fail. It never holds the value.
 * @category errors @since 0.1.0
 */
export class PlanViolation extends Schema.TaggedError<PlanViolation>("effect-analytics/PlanViolation")(
  "PlanViolation",
  {
    /** Which of the six calls it was. */
    call: Schema.String,
    /** The event, page or screen, where the call has one that is in the plan or that the plan does not know. */
    event: Schema.optionalKey(Schema.String),
    /** What kind of rule is broken. */
    violation: Schema.Literals(["required", "type", "value", "unexpected", "unplanned"]),
    /** Where in the call; empty when it is the call as a whole. */
    path: Path,
    /** What the plan expects there. */
    expected: Schema.String,
    /** The version of the event, or of the plan. */
    version: Schema.optionalKey(Schema.String)
  }
) {
  override get message(): string {
    const event = this.event === undefined ? "" : ` ${JSON.stringify(this.event)}`
    const at = this.path.length === 0 ? "" : ` at ${formatPath(this.path)}`
    const version = this.version === undefined ? "" : ` (version ${this.version})`
    return `${this.call}${event} breaks the tracking plan${version}${at}: ${this.expected}`
  }
}

/** Why a call was not accepted. @category errors @since 0.1.0 */
export const CallError = /* @__PURE__ */ Schema.Union([
  InvalidCall,
  PlanViolation,
  QueueFull,
  OutboxFull,
  OutboxUnavailable,
  Closed
])
/** Why a call was not accepted. @category errors @since 0.1.0 */
export type CallError = typeof CallError.Type

/** Why an accepted message was lost, in one word. @category errors @since 0.1.0 */
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

/** Why accepted messages were lost. One error stands for all messages of a loss. @category errors @since 0.1.0 */
export class DeliveryError extends Schema.TaggedError<DeliveryError>("effect-analytics/DeliveryError")(
  "DeliveryError",
  {
    reason: Schema.Literals(Object.keys(explanations) as Array<LossReason>),
    /** The last HTTP status, if there was an answer. */
    status: Schema.optionalKey(Schema.Number),
    /** What kind of failure the last attempt met, e.g. `"timeout"` or `"ECONNREFUSED"`. */
    detail: Schema.optionalKey(Schema.String),
    /** HTTP attempts made. */
    attempts: Schema.Number,
    /** The address that the attempts went to. */
    destination: Schema.optionalKey(Schema.String)
  }
) {
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

/**
 * A call was not accepted; the `reason` says why. Of a confirmed call also a `DeliveryError`: it was accepted, and its message
 * was lost.
 * @category errors @since 0.1.0
 */
export class AnalyticsError extends Schema.TaggedError<AnalyticsError>("effect-analytics/AnalyticsError")(
  "AnalyticsError",
  { reason: Schema.Union([...CallError.members, DeliveryError]) }
) {
  override get message(): string {
    return this.reason.message
  }
}
