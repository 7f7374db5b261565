/**
 * Tracking plans from JSON (Segment Protocols, RudderStack) for plain programs: `createAnalytics({ writeKey, plan:
 * fromJson(json) })`. Nothing else has to be installed. Plans of Schemas are in `effect-analytics/TrackingPlan`.
 */
import type { JsonPlan } from "./plain/Plan.ts"
import * as TrackingPlan from "./TrackingPlan.ts"

export type { JsonPlan } from "./plain/Plan.ts"

/**
 * Reads a plan of Segment Protocols or RudderStack. Throws an error that names the event that cannot be read. The patterns
 * in it run on the data of calls: read plans only from sources that you trust.
 */
export const fromJson = (json: unknown): JsonPlan => TrackingPlan.fromJson(json) as unknown as JsonPlan
