/**
 * Tracking plans: events with names, shapes and owners that the compiler and the running program both know.
 *
 * `make` a plan from Schemas, make its calls (`plan.track`), put it around a client (`plan.layer`); read and write plans as
 * JSON Schema, generate TypeScript from them, and compare two of them.
 */
import type { Definition } from "./TrackingPlan/Definition.ts"
import { make, type Plan } from "./TrackingPlan/Plan.ts"
import { definitionOf } from "./TrackingPlan/PlanJson.ts"

export type { Definition, Shape, Shapes } from "./TrackingPlan/Definition.ts"
export { type Change, type Difference, diff } from "./TrackingPlan/Difference.ts"
export { type OnViolation, type Policies, violationsTotal } from "./TrackingPlan/Gate.ts"
export { type Dialect, fromJsonSchema, type JsonSchemaOptions, toJsonSchema } from "./TrackingPlan/JsonShape.ts"
export {
  type AllCalls,
  type AnyPlan,
  type Calls,
  type EventName,
  type Given,
  make,
  type PageName,
  type Plan,
  type Planned,
  type PlanService,
  type Properties,
  type Say,
  type ScreenName,
  Service
} from "./TrackingPlan/Plan.ts"
export { type EventJson, InvalidPlan, type PlanJson, type PlanJsonOptions, toJson } from "./TrackingPlan/PlanJson.ts"
export { generate, type SourceOptions } from "./TrackingPlan/Source.ts"

/**
 * A plan that is known only when the program runs: its calls take any event, and the layer checks them.
 *
 * Reads Segment Protocols and RudderStack: `rules.events`, or a list of rules. Throws an `InvalidPlan`. The patterns in it
 * are run on what is said: read plans of people whom you trust.
 */
export const fromJson = (json: unknown): Plan<Definition> => make(definitionOf(json))
