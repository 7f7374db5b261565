import * as Schema from "effect/Schema"
import * as TrackingPlan from "effect-analytics/TrackingPlan"

export const plan = TrackingPlan.make({ events: { Ordered: Schema.Struct({ from: Schema.NonEmptyString }) } })
