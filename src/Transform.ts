/**
 * The function of the program that may change or drop a message before it is encoded: for redaction, sampling, consent.
 */
import type { PlanViolation } from "./AnalyticsError.ts"
import type { Wire } from "./CallTypes.ts"
import { ignoreThrows } from "./internal/Callback.ts"
import * as Json from "./internal/Json.ts"
import * as Message from "./Message.ts"
import * as Settings from "./Settings.ts"

const brand = Symbol.for("effect-analytics/Drop")

/** A message that is not sent on purpose, with the reason. @category models @since 0.1.0 */
export interface Drop {
  readonly [brand]: true
  readonly reason: string
}

/** The same, with the violation if a tracking plan is the reason. @category models @since 0.1.0 */
export interface PlanDrop extends Drop {
  readonly violation?: PlanViolation | undefined
}

/**
 * The answer of a `transform` that drops a message: it counts as dropped, and is reported as `Filtered`.
 *
 * ```ts
 * import * as Transform from "effect-analytics/Transform"
 *
 * export const withoutStaff: Transform.Transform = (message) =>
 *   message.userId?.startsWith("staff-") ? Transform.drop("staff") : message
 * ```
 * @category combinators @since 0.1.0
 */
export const drop = (reason: string): Drop => ({ [brand]: true, reason })

/** @internal The drop of a message that breaks a tracking plan. */
export const dropViolation = (reason: string, violation: PlanViolation): PlanDrop => ({
  [brand]: true,
  reason,
  violation
})

/** @internal By brand: the drop may come from another evaluation of this module. */
export const isDrop = (value: unknown): value is Drop => typeof value === "object" && value !== null && brand in value

/**
 * Sees every message before it is encoded, as it would go over the wire, and answers with the message to send, or with
 * `drop(reason)`. The message is the function's own: it may change it. If it throws, or answers with something else, the
 * call is refused: a message that was to be redacted is never sent as it is. It must not call the client: such calls are
 * refused.
 * @category models @since 0.1.0
 */
export type Transform = (message: Mutable<Wire>) => Wire | Drop

type Mutable<M> = M extends unknown ? { -readonly [Key in keyof M]: M[Key] } : never

/**
 * One transform of several, applied in order; the first drop ends it.
 *
 * ```ts
 * import * as Transform from "effect-analytics/Transform"
 *
 * export const transform = Transform.compose(Transform.sample(0.1), Transform.redact(["email", "phone"]))
 * ```
 * @category combinators @since 0.1.0
 */
export const compose =
  (...transforms: ReadonlyArray<Transform>): Transform =>
  (message) => {
    let current: Wire = message
    for (const transform of transforms) {
      const answer = transform(current as Mutable<Wire>)
      if (isDrop(answer)) return answer
      current = answer
    }
    return current
  }

/**
 * A transform that can be taken back while the client runs: for consent, or a kill switch.
 * @category models @since 0.1.0
 */
export interface Switch {
  /** Keeps every message while it is on, and drops every one while it is off. It begins on. */
  readonly transform: Transform
  /** Messages are kept again. */
  readonly on: () => void
  /** Messages are dropped from now on. */
  readonly off: () => void
}

/**
 * Makes a switch: `const tracking = makeSwitch("no consent")`, `createAnalytics({ transform: tracking.transform })`, and later
 * `tracking.off()`. What is dropped is reported with this reason. Messages that were accepted before are delivered.
 * @category constructors @since 0.1.0
 */
export const makeSwitch = (reason: string): Switch => {
  let isOn = true
  return {
    transform: (message) => (isOn ? message : drop(reason)),
    on: () => {
      isOn = true
    },
    off: () => {
      isOn = false
    }
  }
}

/**
 * Removes these fields from the properties, the traits and the `context.traits` of every message: `redact(["email", "phone"])`.
 * @category combinators @since 0.1.0
 */
export const redact =
  (fields: ReadonlyArray<string>): Transform =>
  (message) => {
    const { context, properties, traits } = message as Json.Data
    for (const data of [properties, traits, context?.traits]) {
      if (Json.isData(data)) for (const field of fields) delete (data as Record<string, unknown>)[field]
    }
    return message
  }

/**
 * Keeps a share of the users, from 0 to 1: all messages of a `userId`, or of an `anonymousId` without one, or none. Dropped ones
 * are reported as `sampled`. A share that is none throws `InvalidSetting`.
 * @category combinators @since 0.1.0
 */
export const sample = (share: number): Transform => {
  if (!(share >= 0 && share <= 1)) return Settings.invalid("sample", "must be a share from 0 to 1")
  // The hash of a user is the same in every process.
  return (message) => ((Message.userOf(message) >>> 0) / 2 ** 32 < share ? message : drop("sampled"))
}

/** @internal Applies a transform. `onThrow` gets what it throws. */
export const apply = (
  transform: Transform,
  message: Wire,
  onThrow: (cause: unknown) => void
): Json.Data | Drop | Json.JsonError => {
  // A copy: parts of a message, such as the context in scope, belong to other messages as well.
  const own = Json.copy(message)
  if (Json.isJsonError(own)) return own
  let answer: unknown
  try {
    answer = transform(own as Wire)
  } catch (cause) {
    onThrow(cause)
    return new Json.JsonError("was not sent: transform threw", [])
  }
  if (isDrop(answer)) return answer
  if (Json.isThenable(answer)) {
    const promise = answer
    ignoreThrows(() => promise, onThrow)
    return new Json.JsonError("was not sent: transform must answer at once, not with a promise", [])
  }
  const copied = Json.copy(answer)
  if (Json.isJsonError(copied)) return copied
  return Json.isData(copied) && copied.type === message.type
    ? copied
    : new Json.JsonError(
        "was not sent: transform must answer with a message of the same type, or with drop(reason)",
        []
      )
}
