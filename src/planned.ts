/**
 * The plain client with a tracking plan of Schemas: `createAnalytics({ writeKey, plan })` with the plan's typed calls. A plan
 * of Schemas is made with `effect`, and so this module needs it; the plain client without one does not.
 */
import type * as Outbox from "./Outbox.ts"
import type { AsyncClient, Client, DurableClient } from "./plain/Client.ts"
import type { PlanSettings as JsonPlanSettings } from "./plain/Plan.ts"
import type { AnySettings, DurableSettings, Settings, WaitingSettings } from "./plain/Settings.ts"
import { create } from "./plain.ts"
import type * as TrackingPlan from "./TrackingPlan.ts"

/**
 * A tracking plan, and what happens to calls that break it. Calls without the plan's types are checked as well.
 * @category options @since 0.1.0
 */
export interface PlanSettings<D extends TrackingPlan.Definition> extends TrackingPlan.Policies<D> {
  readonly plan: TrackingPlan.Plan<D>
}

/** Settings without those of a plan. @category models @since 0.1.0 */
export type WithoutPlan<S> = Omit<S, keyof JsonPlanSettings>

/** Settings of a client whose messages survive the process. @category options @since 0.1.0 */
export interface PlannedDurableSettings extends Omit<WithoutPlan<DurableSettings>, "outbox"> {
  /** Where messages wait: `sqlite({ directory })` of `effect-analytics/SqlOutbox`. Calls answer a promise. */
  readonly outbox: Outbox.DurableSetting
}

/**
 * The calls of a tracking plan: `planned.track("Order Completed", { orderId, total }, { userId })`.
 * @category models @since 0.1.0
 */
export interface Planned<D extends TrackingPlan.Definition, Answer = boolean> {
  readonly planned: TrackingPlan.AllCalls<D, Answer>
}

/** A client with a tracking plan. @category models @since 0.1.0 */
export interface PlannedClient<D extends TrackingPlan.Definition> extends Client, Planned<D> {}

/** A client with a tracking plan whose messages wait in a durable outbox. @category models @since 0.1.0 */
export interface DurablePlannedClient<D extends TrackingPlan.Definition>
  extends DurableClient,
    Planned<D, Promise<boolean>> {}

/** A client with a tracking plan whose calls take time. @category models @since 0.1.0 */
export interface AsyncPlannedClient<D extends TrackingPlan.Definition>
  extends AsyncClient,
    Planned<D, Promise<boolean>> {}

/**
 * Makes a client with a plan. Throws an `InvalidSetting` that names a setting that cannot work.
 * @category constructors @since 0.1.0
 */
export const createAnalytics: {
  <D extends TrackingPlan.Definition>(settings: PlannedDurableSettings & PlanSettings<D>): DurablePlannedClient<D>
  <D extends TrackingPlan.Definition>(settings: WithoutPlan<WaitingSettings> & PlanSettings<D>): AsyncPlannedClient<D>
  <D extends TrackingPlan.Definition>(
    settings: WithoutPlan<Settings> & { readonly outbox?: undefined } & PlanSettings<D>
  ): PlannedClient<D>
} = (settings: unknown): never => create(settings as AnySettings, createAnalytics) as never
