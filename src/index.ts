/**
 * The client and what is around it, by name. Import a module itself (`effect-analytics/Analytics`) to bundle no more than it.
 *
 * What is not here has to be imported by its own name: modules for tests (`AnalyticsTest`, `plainTest`), tools (`Collector`,
 * `Debugger`), servers of Effect (`RequestMiddleware`) and databases (`SqlOutbox`), and the plans of `spec` and of JSON.
 */
export * as Analytics from "./Analytics.ts"
export * as AnalyticsError from "./AnalyticsError.ts"
export * as Call from "./Call.ts"
export * as Delivery from "./Delivery.ts"
export * as Destination from "./Destination.ts"
export * as Enrichment from "./Enrichment.ts"
export * as MemoryOutbox from "./MemoryOutbox.ts"
export * as Message from "./Message.ts"
export * as MessageId from "./MessageId.ts"
export * as Metrics from "./Metrics.ts"
export * as OAuth from "./OAuth.ts"
export * as Observer from "./Observer.ts"
export * as Outbox from "./Outbox.ts"
export * as Outcome from "./Outcome.ts"
export { createAnalytics } from "./plain.ts"
export * as RequestContext from "./RequestContext.ts"
export * as TrackingPlan from "./TrackingPlan.ts"
export * as Transform from "./Transform.ts"
export * as Transport from "./Transport.ts"
