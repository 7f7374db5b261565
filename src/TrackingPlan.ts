/**
 * Tracking plans: events with names, shapes and owners that the compiler and the running program both know.
 *
 * `make` a plan from Schemas, make its calls (`plan.track`), put it around a client (`plan.layer`), or `observe` what a
 * program sends to have a first plan. Plans as JSON, their differences and code are entries of their own:
 * `effect-analytics/TrackingPlan/json`, `/diff` and `/codegen`.
 */

export { violationsTotal } from "./Metrics.ts"
export {
  type AllCalls,
  type AnyPlan,
  type CallMaker,
  type Calls,
  type EventName,
  type Given,
  make,
  type PageName,
  type Plan,
  type Planned,
  type PlanService,
  type Properties,
  type ScreenName,
  Service
} from "./TrackingPlan/check/Plan.ts"
export type { OnViolation, Policies } from "./TrackingPlan/check/PlanCheck.ts"
export type { Violation } from "./TrackingPlan/check/Violation.ts"
export type { Definition, Shape, Shapes } from "./TrackingPlan/Definition.ts"
export { type Observation, type ObserveOptions, observe } from "./TrackingPlan/observe/Observe.ts"
