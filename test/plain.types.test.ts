/**
 * The types of the plain face name nothing of Effect, and so are written out. Here they are held to what they stand for: the
 * Schemas of the calls, the classes of the errors, the options of the layers.
 */
import { describe, expectTypeOf, it } from "@effect/vitest"
import type * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import type * as Redacted from "effect/Redacted"
import type * as Analytics from "../src/Analytics.ts"
import type * as AnalyticsError from "../src/AnalyticsError.ts"
import type * as Call from "../src/Call.ts"
import type { DateTime as CallDateTime } from "../src/CallTypes.ts"
import type * as Message from "../src/Message.ts"
import type * as EffectOutcome from "../src/Outcome.ts"
import type * as Plain from "../src/plain.ts"
import type { DurationInput } from "../src/Settings.ts"
import type * as PlanJson from "../src/TrackingPlan/json.ts"
import type * as TrackingPlan from "../src/TrackingPlan.ts"

/** What a Schema of a call accepts; a `DateTime` by what it is made of. */
type Accepted<Type extends Call.Type> = WithTime<(typeof Call.schemas)[Type]["Type"]>
type WithTime<C> = C extends { readonly timestamp?: unknown }
  ? Omit<C, "timestamp"> & {
      readonly timestamp?: Exclude<C["timestamp"], DateTime.DateTime> | CallDateTime | undefined
    }
  : never

describe("types of the plain face", () => {
  it("calls are what the Schemas accept, both ways", () => {
    expectTypeOf<Call.Calls["identify"]>().toExtend<Accepted<"identify">>()
    expectTypeOf<Accepted<"identify">>().toExtend<Call.Calls["identify"]>()
    expectTypeOf<Call.Calls["track"]>().toExtend<Accepted<"track">>()
    expectTypeOf<Accepted<"track">>().toExtend<Call.Calls["track"]>()
    expectTypeOf<Call.Calls["page"]>().toExtend<Accepted<"page">>()
    expectTypeOf<Accepted<"page">>().toExtend<Call.Calls["page"]>()
    expectTypeOf<Call.Calls["screen"]>().toExtend<Accepted<"screen">>()
    expectTypeOf<Accepted<"screen">>().toExtend<Call.Calls["screen"]>()
    expectTypeOf<Call.Calls["group"]>().toExtend<Accepted<"group">>()
    expectTypeOf<Accepted<"group">>().toExtend<Call.Calls["group"]>()
    expectTypeOf<Call.Calls["alias"]>().toExtend<Accepted<"alias">>()
    expectTypeOf<Accepted<"alias">>().toExtend<Call.Calls["alias"]>()
    expectTypeOf<DateTime.DateTime>().toExtend<CallDateTime>()
  })

  it("calls have the fields of the Schemas, and no others", () => {
    type Keys<C> = C extends unknown ? keyof C : never
    expectTypeOf<Keys<Call.Calls["identify"]>>().toEqualTypeOf<Keys<(typeof Call.schemas)["identify"]["Type"]>>()
    expectTypeOf<Keys<Call.Calls["track"]>>().toEqualTypeOf<Keys<(typeof Call.schemas)["track"]["Type"]>>()
    expectTypeOf<Keys<Call.Calls["page"]>>().toEqualTypeOf<Keys<(typeof Call.schemas)["page"]["Type"]>>()
    expectTypeOf<Keys<Call.Calls["group"]>>().toEqualTypeOf<Keys<(typeof Call.schemas)["group"]["Type"]>>()
    expectTypeOf<Keys<Call.Calls["alias"]>>().toEqualTypeOf<Keys<(typeof Call.schemas)["alias"]["Type"]>>()
  })

  it("messages are what the Schemas of the wire accept, both ways", () => {
    expectTypeOf<Message.Wire>().toExtend<(typeof Message.Wire)["Type"]>()
    expectTypeOf<(typeof Message.Wire)["Type"]>().toExtend<Message.Wire>()
    expectTypeOf<Message.Request>().toExtend<(typeof Message.Request)["Type"]>()
    expectTypeOf<(typeof Message.Request)["Type"]>().toExtend<Message.Request>()
  })

  it("outcomes and errors are those of the client, with all their facts", () => {
    expectTypeOf<EffectOutcome.Outcome>().toExtend<Plain.Outcome>()
    expectTypeOf<Plain.Outcome["_tag"]>().toEqualTypeOf<EffectOutcome.Outcome["_tag"]>()
    expectTypeOf<Plain.CallError["_tag"]>().toEqualTypeOf<AnalyticsError.CallError["_tag"]>()
    type Facts<E> = Exclude<keyof E, keyof Error | "_tag">
    expectTypeOf<Facts<Plain.InvalidCall>>().toExtend<keyof AnalyticsError.InvalidCall>()
    expectTypeOf<AnalyticsError.CallError>().toExtend<Plain.CallError>()
    expectTypeOf<AnalyticsError.DeliveryError>().toExtend<Plain.DeliveryError>()
  })

  it("settings are the options of the layers, with a plain key", () => {
    type Options = Omit<Analytics.Options, "writeKey" | "overflow" | "auth" | "traceparent">
    expectTypeOf<Pick<Plain.Settings, keyof Options>>().toEqualTypeOf<Options>()
    expectTypeOf<Plain.WaitingSettings["overflow"] | NonNullable<Plain.Settings["overflow"]>>().toEqualTypeOf<
      NonNullable<Analytics.Options["overflow"]>
    >()
    expectTypeOf<Redacted.Redacted<Plain.Settings["writeKey"]>>().toEqualTypeOf<Analytics.Options["writeKey"]>()
    expectTypeOf<Duration.Duration>().toExtend<DurationInput>()
    expectTypeOf<`${number} ${Duration.Unit}`>().toExtend<DurationInput>()
    expectTypeOf<Extract<DurationInput, string>>().toExtend<Duration.Input>()
  })

  it("policies of a plan are those of TrackingPlan", () => {
    type Policies = Omit<Required<TrackingPlan.Policies>, "hashKey" | "events" | "pages" | "screens">
    expectTypeOf<Pick<Required<Plain.PlanSettings>, keyof Policies>>().toEqualTypeOf<Policies>()
    expectTypeOf<PlanJson.InvalidPlan>().toExtend<Plain.JsonPlan["problems"][number]>()
    expectTypeOf<keyof Plain.PlanSettings>().toEqualTypeOf<keyof TrackingPlan.Policies | "plan">()
  })
})
