/** A plan from JSON beside the same plan of Schemas: everything that follows from a check is the same. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Schema from "effect/Schema"
import * as Analytics from "../src/Analytics.ts"
import * as AnalyticsTest from "../src/AnalyticsTest.ts"
import * as PlanJson from "../src/TrackingPlan/json.ts"
import * as TrackingPlan from "../src/TrackingPlan.ts"

const friend = Schema.Struct({
  name: Schema.String,
  email: Schema.optionalKey(Schema.String.annotate({ pii: "drop" }))
})

const ofSchemas: TrackingPlan.AnyPlan = TrackingPlan.make({
  events: {
    "Signed Up": Schema.Struct({
      plan: Schema.String.check(Schema.isPattern(/^[a-z]+$/u)),
      email: Schema.optionalKey(Schema.String.annotate({ pii: true })),
      age: Schema.optionalKey(Schema.Int.annotate({ pii: "hash" })),
      friends: Schema.optionalKey(Schema.Array(friend))
    }).annotate({ planVersion: "3" }),
    "Cart Viewed": Schema.Struct({ items: Schema.Finite }).annotate({ strict: true })
  },
  traits: Schema.Struct({ name: Schema.String })
})

const fromJson: TrackingPlan.AnyPlan = PlanJson.fromJson(JSON.parse(JSON.stringify(PlanJson.toJson(ofSchemas))), {
  strict: true
})

const calls = [
  ["Signed Up", { plan: "pro", email: "p@initech.com", age: 33, friends: [{ name: "M", email: "m@initech.com" }] }],
  ["Signed Up", { plan: "Gold", age: "33" }],
  ["Signed Up", { friends: [{ email: "m@initech.com" }] }],
  ["Cart Viewed", { items: 1 }],
  ["Cart Viewed", { items: "1", more: 1 }],
  ["Unknown", {}]
] as const

/** What becomes of the calls: each answer, what is sent, what is counted, and what a test reads of it. */
const fate = (plan: TrackingPlan.AnyPlan, policies: Parameters<TrackingPlan.AnyPlan["layer"]>[0]) => {
  const inTests = AnalyticsTest.forPlan(plan as TrackingPlan.Plan)
  return Effect.gen(function* () {
    const analytics = yield* Analytics.Analytics
    const answer = Effect.match({
      onSuccess: () => "accepted",
      onFailure: ({ reason }: { readonly reason: unknown }) => {
        const { path, version, violation } = reason as { path: unknown; version: unknown; violation: unknown }
        return { violation, path, version }
      }
    })
    const answers = yield* Effect.forEach(calls, ([event, properties]) =>
      answer(analytics.track({ userId: "u1", event, properties }))
    )
    answers.push(yield* answer(analytics.identify({ userId: "u1", traits: {} })))
    yield* analytics.flush
    const messages = yield* (yield* AnalyticsTest.Sent).messages
    const sent = messages.map((message) => {
      const { context, event, properties, traits } = message as unknown as Record<string, unknown>
      const { protocols } = context as { protocols?: { violations: ReadonlyArray<{ type: string; field: string }> } }
      return { event, properties, traits, flags: protocols?.violations.map(({ field, type }) => `${type}: ${field}`) }
    })
    const counted = (yield* Metric.snapshot)
      .filter(({ id }) => id === TrackingPlan.violationsTotal.id)
      .map(({ attributes, state }) => ({ attributes, state }))
    const read = yield* Effect.exit(inTests.ofType("Signed Up"))
    return { answers, sent, counted, read: read._tag === "Success" ? read.value : read._tag }
  }).pipe(
    Effect.provide(inTests.layer(policies), { local: true }),
    Effect.provideService(Metric.MetricRegistry, new Map())
  )
}

describe("A plan from JSON is the same as one of Schemas", () => {
  it.effect.each([
    [{}],
    [{ pii: "hash" }],
    [{ pii: "keep", traits: "drop" }],
    [{ onViolation: "drop", unplanned: "drop" }],
    [{ onViolation: "flag", pii: "hash" }],
    [{ onViolation: "flag", unplanned: "fail" }]
  ] as const)("in answers, what is sent and counted, and what a test reads: %o", ([policies]) =>
    Effect.gen(function* () {
      const [one, other] = [yield* fate(ofSchemas, policies), yield* fate(fromJson, policies)]
      assert.deepStrictEqual(other, one)
      assert.isNotEmpty(one.sent)
      assert.isNotEmpty(one.counted)
    })
  )
})
