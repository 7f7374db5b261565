/**
 * A tracking plan from JSON as plain programs see it: what is in it is known when the program runs.
 */
declare const brand: unique symbol

/** An event of a plan that cannot be read: its calls are planned, and not checked. @category models @since 0.1.0 */
export interface PlanProblem extends Error {
  readonly _tag: "InvalidPlan"
  /** The event, or the part of the plan. */
  readonly event: string
  /** The place in its JSON Schema: a JSON pointer. Empty if it is the whole. */
  readonly path: string
  readonly problem: string
}

/** A tracking plan: `fromJson` of `effect-analytics/jsonPlan` reads it. @category models @since 0.1.0 */
export interface JsonPlan {
  readonly [brand]: never
  /** The events that cannot be read. The client logs a warning for each. */
  readonly problems: ReadonlyArray<PlanProblem>
}

/**
 * What happens to a call that breaks the plan: it is refused, it is dropped, or it is sent with its violations in
 * `context.protocols.violations`.
 * @category models @since 0.1.0
 */
export type OnViolation = "fail" | "drop" | "flag"

interface ByName {
  readonly [name: string]: OnViolation | undefined
}

/** A tracking plan, and what happens to calls that break it. @category options @since 0.1.0 */
export interface PlanSettings {
  readonly plan?: JsonPlan | undefined
  /** @default "fail" */
  readonly onViolation?: OnViolation | undefined
  /** Events with a policy of their own. */
  readonly events?: ByName | undefined
  /** Pages with a policy of their own. */
  readonly pages?: ByName | undefined
  /** Screens with a policy of their own. */
  readonly screens?: ByName | undefined
  /** The policy of `identify`. */
  readonly traits?: OnViolation | undefined
  /** The policy of `group`. */
  readonly groupTraits?: OnViolation | undefined
  /** The policy for events, pages and screens that are not in the plan. @default "allow" */
  readonly unplanned?: "allow" | "drop" | "fail" | undefined
  /** The policy for fields marked with `pii: true`. @default "drop" */
  readonly pii?: "drop" | "hash" | "keep" | undefined
  /** The key of the hash. Without it, what is to be hashed is dropped. */
  readonly hashKey?: string | undefined
}
