/** Fields that are marked as `pii` in ways that are easily overlooked: none of them is sent unchanged. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import * as Analytics from "../src/Analytics.ts"
import * as AnalyticsTest from "../src/AnalyticsTest.ts"
import * as PlanCode from "../src/TrackingPlan/codegen.ts"
import * as PlanJson from "../src/TrackingPlan/json.ts"
import * as TrackingPlan from "../src/TrackingPlan.ts"

/** The properties of an event as they are sent, by the plan that has this JSON Schema for it. */
const sentBy = (schema: object, properties: object) => {
  const plan = PlanJson.fromJson({
    rules: { events: [{ name: "Seen", rules: { properties: { properties: schema } } }] }
  })
  return Effect.gen(function* () {
    yield* Analytics.track({ userId: "u1", event: "Seen", properties })
    yield* Analytics.Analytics.use((analytics) => analytics.flush)
    const [message] = yield* (yield* AnalyticsTest.Sent).messages
    return (message as unknown as { readonly properties: object }).properties
  }).pipe(Effect.provide(Layer.provideMerge(plan.layer({ onViolation: "flag" }), AnalyticsTest.layer())))
}

const marked = { type: "string", pii: "drop" }
const email = "ada@example.com"

describe("a mark in a plan from JSON", () => {
  const card = { properties: { email: marked } }
  it.effect.each([
    ["beside a keyword that cannot be read", { minProperties: -1, properties: { email: marked } }],
    ["in a field that is required as draft-04 has it", { properties: { email: { ...marked, required: true } } }],
    ["below a type that is none", { type: "thing", properties: { email: marked } }],
    ["in a dependent schema", { dependentSchemas: { plan: card } }],
    ["in a dependency of draft-07", { dependencies: { plan: card } }],
    ["at an anchor", { properties: { email: { $ref: "#mail" } }, $defs: { mail: { $anchor: "mail", ...marked } } }],
    [
      "at a dynamic anchor",
      { properties: { email: { $dynamicRef: "#mail" } }, $defs: { mail: { $dynamicAnchor: "mail", ...marked } } }
    ],
    ["in a part with an id", { properties: { email: { $ref: "mail" } }, $defs: { mail: { $id: "mail", ...marked } } }],
    [
      "by a pointer within a part with an id",
      {
        properties: { email: { $ref: "mail#/$defs/text" } },
        $defs: { mail: { $id: "mail", $defs: { text: marked } } }
      }
    ],
    [
      "at a pointer to where no schema is expected",
      { properties: { email: { $ref: "#/components/mail" } }, components: { mail: marked } }
    ],
    [
      "in a part with a relative id",
      {
        $id: "https://example.com/plans/seen",
        properties: { email: { $ref: "https://example.com/mail" } },
        $defs: { mail: { $id: "../mail", ...marked } }
      }
    ],
    ["of a field, beside another one of the whole", { pii: "keep", properties: { email: marked } }],
    [
      "by a pattern, beside a name",
      { properties: { email: { type: "string" } }, patternProperties: { "^em": marked } }
    ],
    ["with a word that is no policy", { properties: { email: { type: "string", pii: "mask" } } }],
    ["of the whole", { pii: true, properties: { plan: { type: "string" } } }],
    ["of the names", { propertyNames: { pii: true }, properties: { plan: { type: "string" } } }],
    ["of one of several forms of the whole", { anyOf: [{ required: ["plan"], pii: true }, card] }]
  ] as const)("%s is kept", ([, schema]) =>
    Effect.gen(function* () {
      assert.notProperty(yield* sentBy(schema, { plan: "free", email }), "email")
    })
  )

  it.effect.each([
    ["in the other elements", { prefixItems: [{ type: "string" }], unevaluatedItems: marked }],
    ["in what a list contains", { prefixItems: [{ type: "string" }, { type: "string" }], contains: marked }]
  ] as const)("%s of a list is kept", ([, schema]) =>
    Effect.gen(function* () {
      const properties = yield* sentBy(
        { properties: { list: { type: "array", ...schema } } },
        { list: ["free", email] }
      )
      assert.notInclude(JSON.stringify(properties), email)
    })
  )

  it.effect("leaves alone what has the name of nothing that is marked", () =>
    Effect.gen(function* () {
      const remote = { properties: { plan: { $ref: "https://example.com/plan.json" }, email: marked } }
      assert.deepStrictEqual(yield* sentBy(remote, { plan: "free", email }), { plan: "free" })
    })
  )
})

describe("a mark in a plan of Schemas", () => {
  it.effect("is kept in a flagged call whose data has other names on the wire, and could not be encoded", () => {
    const wire = Schema.Struct({ email_address: Schema.String.annotate({ pii: "drop" }), total: Schema.Finite })
    const Seen = wire.pipe(
      Schema.decodeTo(
        Schema.Struct({ emailAddress: Schema.String, total: Schema.Finite }),
        SchemaTransformation.transform({
          decode: ({ email_address, total }) => ({ emailAddress: email_address, total }),
          encode: ({ emailAddress, total }) => ({ email_address: emailAddress, total })
        })
      )
    )
    const plan = TrackingPlan.make({ events: { Seen } })
    return Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      const call = plan.track("Seen", { emailAddress: email, total: "many" } as never, { userId: "u1" })
      yield* Effect.provideService(call, Analytics.Analytics, analytics)
      yield* analytics.flush
      const [message] = yield* (yield* AnalyticsTest.Sent).messages
      assert.notInclude(JSON.stringify(message), email)
      assert.include(JSON.stringify(message?.context), "Invalid Type")
    }).pipe(Effect.provide(Layer.provideMerge(plan.layer({ onViolation: "flag" }), AnalyticsTest.layer())))
  })

  it("is in the code that is generated, wherever it is", () => {
    const text = Schema.String.annotate({ pii: "drop" })
    const Seen = Schema.Struct({
      list: Schema.Array(text),
      either: Schema.NullOr(Schema.String.annotate({ pii: "hash" })),
      pair: Schema.Tuple([Schema.Finite, text]),
      byName: Schema.Record(Schema.String, Schema.Array(text)),
      one: text
    })
    const source = PlanCode.generate(TrackingPlan.make({ events: { Seen } }))
    assert.include(source, 'list: Schema.Array(Schema.String.annotate({ pii: "drop" }))')
    assert.include(source, 'Schema.String.annotate({ pii: "hash" }),\n          Schema.Null')
    assert.include(source, 'Schema.Record(Schema.String, Schema.Array(Schema.String.annotate({ pii: "drop" })))')
    // Types do not express the tuple: it is checked by its JSON Schema, which is what is read for marks.
    assert.include(source, '"prefixItems":[{"type":"number"},{"type":"string","pii":"drop"}]')
  })

  it("in a JSON Schema that is a part of one is refused: it would not be found", () => {
    const schema = { type: "object", properties: { email: marked } }
    for (const Seen of [
      Schema.Struct({ card: PlanJson.fromJsonSchema(schema) }),
      Schema.Struct({ email: Schema.String }).check(PlanJson.conforms(schema))
    ]) {
      assert.throws(() => TrackingPlan.make({ events: { Seen } }), "Seen: what a JSON Schema in an Effect Schema marks")
    }
  })
})

describe("a check by a JSON Schema", () => {
  it("does not make a plan from JSON of a class", () => {
    class Order extends Schema.Class<Order>("Order")({ at: Schema.DateTimeUtcFromString }) {}
    const plan = TrackingPlan.make({ events: { Ordered: Order.check(PlanJson.conforms({ type: "object" })) } })
    const call = { type: "track", event: "Ordered", properties: { at: "2026-01-02T03:04:05.000Z" } }
    assert.deepStrictEqual(plan.violations(call), [])
    assert.strictEqual(plan.violations({ ...call, properties: { at: 5 } }).length, 1)
  })
})

describe("a call with very many violations", () => {
  it.effect("is sent, flagged with twenty of them and with their number", () =>
    Effect.gen(function* () {
      const plan = TrackingPlan.make({ events: { Seen: Schema.Struct({ list: Schema.Array(Schema.Finite) }) } })
      yield* Effect.gen(function* () {
        const list = Array.from({ length: 400 }, () => "many")
        yield* Analytics.track({ userId: "u1", event: "Seen", properties: { list } })
        yield* Analytics.Analytics.use((analytics) => analytics.flush)
        const [message] = yield* (yield* AnalyticsTest.Sent).messages
        const { protocols } = message?.context ?? {}
        const { violations } = protocols as { readonly violations: ReadonlyArray<object> }
        assert.strictEqual(violations.length, 21)
        assert.deepStrictEqual(violations.at(-1), {
          type: "Invalid Type",
          field: "",
          description: "and 380 more violations"
        })
      }).pipe(Effect.provide(Layer.provideMerge(plan.layer({ onViolation: "flag" }), AnalyticsTest.layer())))
    })
  )

  it("of a plan from JSON is explained once for each element", () => {
    const list = { type: "array", items: { anyOf: [{ type: "string" }, { type: "object", required: ["x"] }] } }
    const plan = PlanJson.fromJson({
      rules: { events: [{ name: "Seen", rules: { properties: { properties: { properties: { list } } } } }] }
    })
    const properties = { list: Array.from({ length: 2_000 }, () => 1) }
    assert.strictEqual(plan.violations({ type: "track", event: "Seen", properties }).length, 2_000)
  })
})

describe("a plan around a service of the program's own", () => {
  it.effect("gives it calls without what must not be sent, and with what is wrong noted", () => {
    const calls: Array<object> = []
    const Own = Layer.mock(Analytics.Analytics, { track: (call) => Effect.sync(() => void calls.push(call)) })
    const Seen = Schema.Struct({ email: Schema.String.annotate({ pii: "drop" }), total: Schema.Finite })
    const plan = TrackingPlan.make({ events: { Seen } })
    return Effect.gen(function* () {
      yield* Analytics.track({ userId: "u1", event: "Seen", properties: { email, total: 1 } })
      yield* Analytics.track({ userId: "u1", event: "Seen", properties: { email, total: "many" } })
      const [right, wrong] = calls
      assert.deepStrictEqual(right, { userId: "u1", event: "Seen", properties: { total: 1 } })
      assert.notInclude(JSON.stringify(wrong), email)
      assert.include(JSON.stringify(wrong), "Invalid Type")
    }).pipe(Effect.provide(Layer.provide(plan.layer({ onViolation: "flag" }), Own)))
  })
})
