/**
 * A check that every call of a client has to pass, besides the rules of the calls: a tracking plan is one.
 */
import type * as Context from "effect/Context"
import type { PlanViolation } from "../AnalyticsError.ts"
import type * as Message from "../Message.ts"
import type { Drop } from "../Transform.ts"

/** It must not throw. */
export interface Check {
  /**
   * Answers with the reason why the message is not sent, if there is one. It may note in the context of the message what is
   * wrong with it. `caller` is the context of the calling fiber.
   */
  readonly check: (message: Message.Wire, caller: Context.Context<never>) => Drop | PlanViolation | undefined
  /** The message without what must not be sent. Called when all checks have passed: each sees what the caller gave. */
  readonly redact: (message: Message.Wire) => Message.Wire
}

/** Whether a value is a violation. By tag: it may come from another evaluation of its module. */
export const isPlanViolation = (value: unknown): value is PlanViolation =>
  typeof value === "object" && value !== null && "_tag" in value && value._tag === "PlanViolation"

/** Whether all checks have passed. By what only a message has: the caller may have given it a `_tag`. */
export const isWire = (passed: Message.Wire | Drop | PlanViolation): passed is Message.Wire => "messageId" in passed

/** Runs all checks. */
export const pass = (
  checks: ReadonlyArray<Check>,
  message: Message.Wire,
  caller: Context.Context<never>
): Message.Wire | Drop | PlanViolation => {
  for (const check of checks) {
    const reason = check.check(message, caller)
    if (reason !== undefined) return reason
  }
  return checks.reduce((redacted, check) => check.redact(redacted), message)
}
