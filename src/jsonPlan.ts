/**
 * Tracking plans from JSON for plain programs: `createAnalytics({ writeKey, plan: fromJson(json) })`. Nothing else has to be
 * installed. For programs with `effect`, plans of Schemas are in `effect-analytics/TrackingPlan`, and those from JSON in
 * `effect-analytics/TrackingPlan/json`.
 */
import type { JsonPlan } from "./plain/Plan.ts"
import * as PlanJson from "./TrackingPlan/json.ts"

export type { JsonPlan, PlanProblem } from "./plain/Plan.ts"
export type { ReadOptions } from "./TrackingPlan/json.ts"

/**
 * Reads a plan of Segment, RudderStack, Avo or Amplitude. Throws an `InvalidPlan` for what is no plan, and with `strict: true`
 * for the first event that cannot be read. The patterns in it run on the data of calls: read plans only from sources that
 * you trust.
 * @category constructors @since 0.1.0
 */
export const fromJson = (json: unknown, options?: PlanJson.ReadOptions): JsonPlan =>
  PlanJson.fromJson(json, options) as unknown as JsonPlan

/**
 * Reads a folder of JSON Schemas, each of the properties of one event: `{ "order-completed.json": { title: "Order
 * Completed", … } }`. The name of the event is the title, or the name of the file. Throws as `fromJson` does.
 * @category constructors @since 0.1.0
 */
export const fromSchemas = (schemas: { readonly [file: string]: unknown }, options?: PlanJson.ReadOptions): JsonPlan =>
  PlanJson.fromSchemas(schemas, options) as unknown as JsonPlan
