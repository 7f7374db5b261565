/**
 * For the tests of plain programs with a tracking plan of Schemas: the client of `createAnalytics({ writeKey, plan })`, with only the
 * wire replaced.
 */
import * as Effect from "effect/Effect"
import * as FakeServer from "./internal/FakeServer.ts"
import type { Settings } from "./plain.ts"
import { createRecordedTest, type Sent } from "./plainTest.ts"
import type { PlannedClient, PlanSettings, WithoutPlan } from "./planned.ts"
import type * as TrackingPlan from "./TrackingPlan.ts"

/** A test client with a tracking plan. @category models @since 0.1.0 */
export interface PlannedTestClient<D extends TrackingPlan.Definition> extends PlannedClient<D>, Sent {
  /**
   * The properties of every delivered event of this name, as the program knows them. Fields that are marked as `pii` are as
   * they were sent: missing, or the hash. Throws if the rest breaks the plan.
   */
  readonly ofType: <Name extends TrackingPlan.EventName<D>>(
    event: Name
  ) => ReadonlyArray<TrackingPlan.Properties<D, Name>>
}

/**
 * A client with a plan over a recorded wire, as `createTestAnalytics` of `plainTest` is one.
 * @category constructors @since 0.1.0
 */
export const createTestAnalytics = <D extends TrackingPlan.Definition>(
  settings: Partial<WithoutPlan<Settings>> & PlanSettings<D>
): PlannedTestClient<D> => {
  const { client, server } = createRecordedTest(settings as never)
  return Object.defineProperties({} as PlannedTestClient<D>, {
    ...Object.getOwnPropertyDescriptors(client),
    ofType: {
      enumerable: true,
      value: (event: TrackingPlan.EventName<D>) =>
        FakeServer.propertiesOf(server.batches.flat(), event).map((properties) =>
          Effect.runSync(settings.plan.decodeSent(event, properties))
        )
    }
  })
}
