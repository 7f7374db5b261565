/**
 * The front door: every room by its name. Import a room itself (`effect-analytics/Analytics`) to bundle no more than it.
 */
export * as Analytics from "./Analytics.ts"
export * as AnalyticsError from "./AnalyticsError.ts"
export * as Delivery from "./Delivery.ts"
export * as Enrichment from "./Enrichment.ts"
export * as HttpTransport from "./HttpTransport.ts"
export * as Message from "./Message.ts"
export * as MessageId from "./MessageId.ts"
export * as Outbox from "./Outbox.ts"
export * as Outcome from "./Outcome.ts"
export * as Protocol from "./Protocol.ts"
export { createAnalytics } from "./plain.ts"
export * as RequestContext from "./RequestContext.ts"
export * as TrackingPlan from "./TrackingPlan.ts"
export * as Transport from "./Transport.ts"
