/** What the compiler knows of a plan. The wrong calls are there to be compiled, and never made. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as AnalyticsTest from "../src/AnalyticsTest.ts"
import * as PlanDiff from "../src/TrackingPlan/diff.ts"
import * as PlanJson from "../src/TrackingPlan/json.ts"
import * as TrackingPlan from "../src/TrackingPlan.ts"
import { reasonOf } from "./errors.ts"

const plan = TrackingPlan.make({
  events: {
    Ordered: Schema.Struct({ total: Schema.Finite }),
    Refunded: Schema.Struct({ total: Schema.Finite, reason: Schema.String }),
    Searched: Schema.Struct({ query: Schema.String }),
    "Signed Out": Schema.Struct({}),
    Paid: Schema.Union([Schema.Struct({ card: Schema.String }), Schema.Struct({ iban: Schema.String })])
  },
  pages: {
    Pricing: Schema.Struct({ currency: Schema.String }),
    Home: Schema.Struct({}),
    "": Schema.Struct({ path: Schema.String })
  },
  screens: { Start: Schema.Struct({ tab: Schema.Int }), Settings: Schema.Struct({ dark: Schema.Boolean }) },
  traits: Schema.Struct({}),
  groupTraits: Schema.Struct({ employees: Schema.Int }),
  context: Schema.Struct({ tenant: Schema.String })
})
type Definition = (typeof plan)["definition"]
const who = { userId: "u1" }

/** Compiled, and not run. */
const compiled = (calls: () => unknown) => assert.isFunction(calls)

describe("TrackingPlan: types", () => {
  it("a call that may be of one of several events is given what suits them all", () =>
    compiled(() => {
      const event = "Ordered" as "Ordered" | "Searched"
      const money = "Ordered" as "Ordered" | "Refunded"
      return [
        // @ts-expect-error these are the properties of one of them
        plan.track(event, { total: 1 }, who),
        // @ts-expect-error and these of the other
        plan.track(event, { query: "shoes" }, who),
        plan.track(event, { total: 1, query: "shoes" }, who),
        // @ts-expect-error a refund has a reason
        plan.track(money, { total: 1 }, who),
        plan.track(money, { total: 1, reason: "late" }, who),
        // @ts-expect-error as for events, so for screens
        plan.screen("Start" as "Start" | "Settings", { tab: 1 }, who),
        // @ts-expect-error and for pages
        plan.page("Home" as "Home" | "Pricing", { currency: "EUR" }, who)
      ]
    }))

  it("a function may pass on what it is given", () =>
    compiled(() => {
      const track = <Name extends TrackingPlan.EventName<Definition>>(
        event: Name,
        properties: TrackingPlan.Given<Definition, Name>
      ) => plan.track(event, properties, who)
      return [
        track("Ordered", { total: 1 }),
        // @ts-expect-error not of this event
        track("Ordered", { query: "shoes" })
      ]
    }))

  it("an event without properties takes none", () =>
    compiled(() => [
      plan.track("Signed Out", {}, who),
      // @ts-expect-error a text is no object
      plan.track("Signed Out", "now", who),
      // @ts-expect-error nor is a number
      plan.track("Signed Out", 1, who),
      // @ts-expect-error nor a list
      plan.track("Signed Out", [1], who),
      // @ts-expect-error there is no such property
      plan.track("Signed Out", { reason: "tired" }, who),
      // @ts-expect-error nor such a trait
      plan.identify({ name: "Peter" }, who),
      plan.identify({}, who),
      // @ts-expect-error nor here
      plan.page("Home", { path: "/" }, who)
    ]))

  it("an event of several shapes is given one of them", () =>
    compiled(() => [
      plan.track("Paid", { card: "visa" }, who),
      plan.track("Paid", { iban: "CH93" }, who),
      // @ts-expect-error none of them
      plan.track("Paid", {}, who)
    ]))

  it("a rule for all other pages is no page", () =>
    compiled(() => [
      plan.page("Pricing", { currency: "EUR" }, who),
      // @ts-expect-error it has no name
      plan.page("", { path: "/" }, who)
    ]))

  it("each call may have a policy, by its name where it has one", () =>
    compiled(() => [
      plan.layer({ events: { Ordered: "drop" }, pages: { Pricing: "flag", "": "drop" }, screens: { Start: "fail" } }),
      plan.layer({ traits: "flag", groupTraits: "drop" }),
      // @ts-expect-error no such page
      plan.layer({ pages: { Prices: "flag" } }),
      // @ts-expect-error this plan has no pages
      TrackingPlan.make({ events: {} }).layer({ pages: { Pricing: "flag" } }),
      // @ts-expect-error no such policy
      plan.layer({ traits: "ignore" })
    ]))

  it("of a plan that is known when the program runs every event is, with any data", () => {
    const known = PlanJson.fromJson(PlanJson.toJson(plan))
    compiled(() => [
      known.track("Ordered", { total: 1 }, who),
      known.page("Pricing", { currency: "EUR" }, who),
      known.identify({ name: "Peter" }, who),
      Effect.map(known.decode("Ordered", {}), ({ total }) => total),
      known.layer({ events: { Ordered: "drop" } }),
      // @ts-expect-error data are an object
      known.track("Ordered", 1, who),
      // @ts-expect-error nobody is named
      known.track("Ordered", { total: 1 })
    ])
  })

  it("a function may take any plan, typed or not", () => {
    const names = (any: TrackingPlan.AnyPlan) => PlanJson.toJson(any).rules.events.map(({ name }) => name)
    const exported = names(PlanJson.fromJson(PlanJson.toJson(plan)))
    assert.include(exported, "Ordered")
    assert.deepStrictEqual(names(plan), exported)
    assert.isUndefined((plan satisfies TrackingPlan.AnyPlan).problem({ onViolation: "flag" }))
    compiled(() => {
      const any: TrackingPlan.AnyPlan = plan
      return [
        any.layer({ onViolation: "flag" }),
        PlanDiff.diff(any, plan),
        // @ts-expect-error nobody knows its names
        any.layer({ events: { Ordered: "drop" } })
      ]
    })
  })

  it("the context is typed by the plan, in all six calls", () =>
    compiled(() => [
      plan.alias({ ...who, previousId: "a1", context: { tenant: "t1" } }),
      // @ts-expect-error a tenant is a text
      plan.alias({ ...who, previousId: "a1", context: { tenant: 1 } }),
      // @ts-expect-error nobody to join
      plan.alias(who),
      plan.identified.alias({ previousId: "a1" })
    ]))

  it.effect("alias passes the plan around the client like the others", () =>
    Effect.gen(function* () {
      const error = yield* reasonOf(plan.alias({ ...who, previousId: "a1" }))
      assert.deepInclude(error, { _tag: "PlanViolation", call: "alias", path: ["context", "tenant"] })
      yield* plan.alias({ ...who, previousId: "a1", context: { tenant: "t1" } })
    }).pipe(Effect.provide(AnalyticsTest.layer()))
  )
})
