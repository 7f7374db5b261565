import { createHmac } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import * as BigDecimal from "effect/BigDecimal"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import * as AttachedSubmitter from "../src/Analytics/AttachedSubmitter.ts"
import * as Analytics from "../src/Analytics.ts"
import type { AnalyticsError } from "../src/AnalyticsError.ts"
import * as AnalyticsTest from "../src/AnalyticsTest.ts"
import type * as Call from "../src/Call.ts"
import * as Enrichment from "../src/Enrichment.ts"
import type * as Message from "../src/Message.ts"
import * as Metrics from "../src/Metrics.ts"
import * as PlanJson from "../src/TrackingPlan/json.ts"
import * as TrackingPlan from "../src/TrackingPlan.ts"
import * as Transform from "../src/Transform.ts"
import { invalidSettingOf, reasonOf } from "./errors.ts"
import { type Line, layerLog } from "./support.ts"

const OrderId = Schema.NonEmptyString.pipe(Schema.brand("OrderId"))

const plan = TrackingPlan.make({
  name: "shop",
  version: "7",
  events: {
    "Order Completed": Schema.Struct({
      orderId: OrderId,
      total: Schema.BigDecimal,
      at: Schema.DateTimeUtc,
      coupon: Schema.optionalKey(Schema.Redacted(Schema.String)),
      note: Schema.optional(Schema.String)
    }).annotate({ description: "A customer has paid.", owner: "checkout", planVersion: "3" }),
    "Signed Up": Schema.Struct({
      plan: Schema.Literals(["free", "pro"]),
      email: Schema.optionalKey(Schema.String.annotate({ pii: true })),
      phone: Schema.optionalKey(Schema.String.annotate({ pii: "hash" })),
      friends: Schema.optionalKey(
        Schema.Array(Schema.Struct({ name: Schema.String, email: Schema.String.annotate({ pii: true }) }))
      )
    }),
    "Cart Viewed": Schema.Struct({ items: Schema.Int }).annotate({ strict: true }),
    "Old Event": Schema.Struct({}).annotate({ deprecated: "say Order Completed" })
  },
  traits: Schema.Struct({ name: Schema.String, createdAt: Schema.optionalKey(Schema.DateTimeUtc) }),
  groupTraits: Schema.Struct({ employees: Schema.Int }),
  pages: { Pricing: Schema.Struct({ currency: Schema.String }) },
  screens: { Home: Schema.Struct({ tab: Schema.Int }) }
})

const order = {
  orderId: OrderId.make("o1"),
  total: BigDecimal.fromStringUnsafe("39.95"),
  at: DateTime.makeUnsafe("2026-01-02T03:04:05Z")
}

/** The client with the plan around it. `policies` as for `plan.layer`. */
const around = (policies?: TrackingPlan.Policies<(typeof plan)["definition"]>) =>
  plan.layer({ hashKey: "secret", ...policies }).pipe(Layer.provideMerge(AnalyticsTest.layer()))

const sent = Effect.gen(function* () {
  yield* (yield* Analytics.Analytics).flush
  return (yield* (yield* AnalyticsTest.Sent).messages) as ReadonlyArray<Message.Wire & Call.Data>
})

const untyped = (event: string, properties: Call.Data, context?: Call.Data) =>
  Analytics.Analytics.use((analytics) =>
    analytics.track({ userId: "u1", event, properties, ...(context === undefined ? {} : { context }) })
  )

describe("TrackingPlan: planned calls", () => {
  it.effect("properties travel in the JSON form of their codecs", () =>
    Effect.gen(function* () {
      yield* plan.track("Order Completed", { ...order, coupon: Redacted.make("X1"), note: undefined }, { userId: "u1" })
      const [message] = yield* sent
      assert.deepStrictEqual(message?.properties, {
        orderId: "o1",
        total: "39.95",
        at: "2026-01-02T03:04:05.000Z",
        coupon: "X1"
      })
    }).pipe(Effect.provide(AnalyticsTest.layer()))
  )

  it.effect("all six calls", () =>
    Effect.gen(function* () {
      const createdAt = DateTime.makeUnsafe(0)
      yield* plan.track("Signed Up", { plan: "pro" }, { anonymousId: "a1", messageId: "m1" })
      yield* plan.identify({ name: "Peter", createdAt }, { userId: "u1" })
      yield* plan.group({ employees: 3 }, { userId: "u1", groupId: "g1" })
      yield* plan.page("Pricing", { currency: "EUR" }, { userId: "u1", category: "Docs" })
      yield* plan.screen("Home", { tab: 1 }, { userId: "u1" })
      yield* Analytics.Analytics.use((analytics) => analytics.alias({ userId: "u1", previousId: "a1" }))
      const messages = yield* sent
      assert.deepStrictEqual(
        messages.map(({ context: _, timestamp: __, messageId: ___, ...message }) => message),
        [
          { type: "track", anonymousId: "a1", event: "Signed Up", properties: { plan: "pro" } },
          { type: "identify", userId: "u1", traits: { name: "Peter", createdAt: "1970-01-01T00:00:00.000Z" } },
          { type: "group", userId: "u1", groupId: "g1", traits: { employees: 3 } },
          { type: "page", userId: "u1", name: "Pricing", category: "Docs", properties: { currency: "EUR" } },
          { type: "screen", userId: "u1", name: "Home", properties: { tab: 1 } },
          { type: "alias", userId: "u1", previousId: "a1" }
        ] as unknown as Array<(typeof messages)[number]>
      )
    }).pipe(Effect.provide(around()))
  )
})

describe("TrackingPlan: what the compiler knows", () => {
  it("the names of events and the types of their properties", () => {
    type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
    type Definition = (typeof plan)["definition"]
    const names: Same<
      TrackingPlan.EventName<Definition>,
      "Order Completed" | "Signed Up" | "Cart Viewed" | "Old Event"
    > = true
    const properties: Same<TrackingPlan.Properties<Definition, "Cart Viewed">, { readonly items: number }> = true
    assert.isTrue(names && properties)
  })

  it("a wrong name, a missing or wrong property, nobody named: none of it compiles", () => {
    // Only to be compiled.
    const wrong = () => [
      // @ts-expect-error there is no such event
      plan.track("Order Complete", order, { userId: "u1" }),
      // @ts-expect-error a property is missing
      plan.track("Order Completed", { orderId: order.orderId, total: order.total }, { userId: "u1" }),
      // @ts-expect-error an id of another kind
      plan.track("Order Completed", { ...order, orderId: "o1" }, { userId: "u1" }),
      // @ts-expect-error what is sent is not what is given
      plan.track("Order Completed", { ...order, total: "39.95" }, { userId: "u1" }),
      // @ts-expect-error a property that is not in the plan
      plan.track("Signed Up", { plan: "pro", plann: "pro" }, { userId: "u1" }),
      // @ts-expect-error nobody is named
      plan.track("Signed Up", { plan: "pro" }, {}),
      // @ts-expect-error nor here
      plan.track("Signed Up", { plan: "pro" }),
      // @ts-expect-error the properties are given already
      plan.track("Signed Up", { plan: "pro" }, { userId: "u1", properties: {} }),
      // @ts-expect-error there is no such page
      plan.page("Prices", { currency: "EUR" }, { userId: "u1" }),
      // @ts-expect-error a trait of another type
      plan.identify({ name: 1 }, { userId: "u1" }),
      // @ts-expect-error a group needs its id
      plan.group({ employees: 3 }, { userId: "u1" }),
      // @ts-expect-error no such event to have a policy
      plan.layer({ events: { "Order Complete": "drop" } })
    ]
    assert.isFunction(wrong)
  })

  it.effect("what the compiler could not see is found when it runs", () =>
    Effect.gen(function* () {
      // @ts-expect-error a value that is not one of the list
      const error = yield* reasonOf(plan.track("Signed Up", { plan: "gold" }, { userId: "u1" }))
      assert.strictEqual(
        error.message,
        `track "Signed Up" breaks the tracking plan (version 7) at properties.plan: Expected "free" | "pro"`
      )
    }).pipe(Effect.provide(AnalyticsTest.layer()))
  )

  it.effect("with an identity around it a call may leave it out", () =>
    Effect.gen(function* () {
      yield* plan.identified.track("Signed Up", { plan: "pro" }).pipe(Enrichment.withIdentity({ userId: "u9" }))
      yield* plan.identified.group({ employees: 3 }, { groupId: "g1" }).pipe(Enrichment.withIdentity({ userId: "u9" }))
      assert.deepStrictEqual(
        (yield* sent).map(({ userId }) => userId),
        ["u9", "u9"]
      )
    }).pipe(Effect.provide(AnalyticsTest.layer()))
  )
})

const secret = "4111-1111-1111-1111"

describe("TrackingPlan: calls that know nothing of the plan", () => {
  const bad = { orderId: "", total: secret, coupon: { number: secret } }

  it.effect("that keep it are sent as they are, properties that are not in it included", () =>
    Effect.gen(function* () {
      const properties = { orderId: "o1", total: "1.50", at: "2026-01-02T03:04:05Z", extra: { a: [1, null] } }
      yield* untyped("Order Completed", properties)
      const [message] = yield* sent
      assert.deepStrictEqual(message?.properties, properties)
      assert.deepStrictEqual(Object.keys(message?.context ?? {}), ["library"])
    }).pipe(Effect.provide(around()))
  )

  it.effect("fail with what is wrong, and never with the value", () =>
    Effect.gen(function* () {
      const error = yield* reasonOf(untyped("Order Completed", bad))
      assert.strictEqual(error._tag, "PlanViolation")
      assert.deepInclude(error, { call: "track", event: "Order Completed", version: "3", violation: "value" })
      assert.deepStrictEqual((error as { path?: unknown }).path, ["properties", "orderId"])
      assert.notInclude(JSON.stringify(error) + error.message, secret)
      assert.deepStrictEqual(yield* sent, [])
      const [outcome] = yield* (yield* AnalyticsTest.Sent).outcomes
      assert.strictEqual(outcome?._tag === "Refused" ? outcome.error : undefined, error)
      const stats = yield* (yield* Analytics.Analytics).stats
      assert.deepInclude(stats, { offered: 1, rejected: 1 })
    }).pipe(Effect.provide(around()))
  )

  it.effect("names that are data are not shown: they may be somebody's", () => {
    const E = Schema.Struct({ mail: Schema.String })
    const keyed = TrackingPlan.make({
      events: {
        Seen: Schema.Struct({
          scores: Schema.Record(Schema.String, Schema.Int),
          people: Schema.Record(Schema.String, E),
          either: Schema.Union([Schema.Struct({ known: Schema.Int }), Schema.Record(Schema.String, E)]),
          lists: Schema.Array(Schema.Record(Schema.String, Schema.Array(Schema.Int)))
        })
      }
    })
    const bad = {
      scores: { [secret]: "high" },
      people: { [secret]: { mail: 1 } },
      either: { [secret]: { mail: 1 } },
      lists: [{ [secret]: [1, "2"] }]
    }
    return Effect.gen(function* () {
      yield* untyped("Seen", bad)
      yield* keyed.track("Seen", bad as never, { userId: "u1" })
      for (const { context } of yield* sent) {
        const fields = context.protocols.violations.map(({ field }: { readonly field: string }) => field)
        assert.includeMembers(fields, ["properties.scores.*", "properties.people.*.mail", "properties.lists[0].*[1]"])
        assert.notInclude(JSON.stringify(context), secret)
      }
      const error = yield* Effect.flip(keyed.decode("Seen", bad))
      assert.deepStrictEqual(error.path, ["properties", "scores", "*"])
    }).pipe(Effect.provide(Layer.provideMerge(keyed.layer({ onViolation: "flag" }), AnalyticsTest.layer())))
  })

  it.effect("nor is a name that a record should not have; in a struct it is what the violation is about", () => {
    const Address = Schema.String.check(Schema.isPattern(/@example\.com$/))
    const strict = TrackingPlan.make({
      events: {
        Seen: Schema.Struct({
          by: Schema.Record(Address, Schema.Finite),
          either: Schema.optionalKey(Schema.StructWithRest(Schema.Struct({}), [Schema.Record(Address, Schema.Finite)]))
        }).annotate({ strict: true })
      }
    })
    return Effect.gen(function* () {
      const cases = [
        ["by", { by: { [secret]: 1 } }],
        ["either", { by: {}, either: { [secret]: 1 } }]
      ] as const
      for (const [field, properties] of cases) {
        const error = yield* Effect.flip(strict.decode("Seen", properties))
        assert.deepInclude(error, {
          violation: "unexpected",
          path: ["properties", field, "*"]
        })
        assert.notInclude(JSON.stringify(error) + error.message, secret)
      }
      const other = yield* Effect.flip(strict.decode("Seen", { by: {}, colour: "red" }))
      assert.deepInclude(other, { violation: "unexpected", path: ["properties", "colour"] })
    })
  })

  it.effect("are dropped, and the observer is told why", () =>
    Effect.gen(function* () {
      yield* untyped("Order Completed", { ...bad, orderId: "o1" })
      assert.deepStrictEqual(yield* sent, [])
      const [outcome] = yield* (yield* AnalyticsTest.Sent).outcomes
      assert.strictEqual(outcome?._tag, "Filtered")
      const reason = outcome?._tag === "Filtered" ? outcome.reason : ""
      assert.match(reason, /^track "Order Completed" breaks the tracking plan \(version 3\) at properties\.total: /)
      const violation = outcome?._tag === "Filtered" ? outcome.violation : undefined
      assert.deepInclude(violation, { event: "Order Completed", path: ["properties", "total"], version: "3" })
      assert.notInclude(reason, secret)
      assert.deepInclude(yield* (yield* Analytics.Analytics).stats, { offered: 1, dropped: 1 })
    }).pipe(Effect.provide(around({ onViolation: "drop" })))
  )

  it.effect("are flagged with every violation, beside what is there already", () =>
    Effect.gen(function* () {
      const protocols = { sourceId: "s1", violations: [{ type: "Other", field: "x", description: "y" }] }
      yield* untyped("Order Completed", bad, { protocols })
      const [message] = yield* sent
      assert.deepStrictEqual(message?.properties, bad)
      const { sourceId, violations } = message?.context.protocols ?? {}
      assert.strictEqual(sourceId, "s1")
      assert.deepStrictEqual(
        violations.map(({ field, type }: { field: string; type: string }) => [type, field]),
        [
          ["Other", "x"],
          ["Invalid Value", "properties.orderId"],
          ["Invalid Value", "properties.total"],
          ["Required", "properties.at"],
          ["Invalid Type", "properties.coupon"]
        ]
      )
      assert.notInclude(JSON.stringify(violations), secret)
    }).pipe(Effect.provide(around({ onViolation: "flag" })))
  )

  it.effect("each event may have a policy of its own", () =>
    Effect.gen(function* () {
      yield* untyped("Order Completed", bad)
      yield* untyped("Signed Up", { plan: "gold" })
      assert.strictEqual((yield* reasonOf(untyped("Cart Viewed", { items: "1" })))._tag, "PlanViolation")
      assert.deepStrictEqual(
        (yield* sent).map(({ event }) => event),
        ["Signed Up"]
      )
    }).pipe(
      Effect.provide(around({ onViolation: "flag", events: { "Order Completed": "drop", "Cart Viewed": "fail" } }))
    )
  )

  it.effect("the other calls are checked too", () =>
    Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      const tag = (call: Effect.Effect<void, AnalyticsError>) =>
        Effect.match(call, { onFailure: ({ reason }) => reason._tag, onSuccess: () => "accepted" })
      const who = { userId: "u1" }
      assert.strictEqual(yield* tag(analytics.identify({ ...who, traits: { name: 1 as never } })), "PlanViolation")
      assert.strictEqual(yield* tag(analytics.identify({ ...who, traits: { name: "P" } })), "accepted")
      assert.strictEqual(yield* tag(analytics.group({ ...who, groupId: "g", traits: {} })), "PlanViolation")
      assert.strictEqual(yield* tag(analytics.page({ ...who, name: "Pricing", properties: {} })), "PlanViolation")
      assert.strictEqual(yield* tag(analytics.screen({ ...who, name: "Home", properties: { tab: 0 } })), "accepted")
      assert.strictEqual(
        yield* tag(analytics.screen({ ...who, name: "Home", properties: { tab: "0" } })),
        "PlanViolation"
      )
      assert.strictEqual(yield* tag(analytics.page({ ...who, name: "Elsewhere" })), "accepted")
      assert.strictEqual(yield* tag(analytics.alias({ ...who, previousId: "a1" })), "accepted")
      const callContext = { identity: undefined, context: {} }
      const submitter = AttachedSubmitter.over(analytics)
      const call = { ...who, traits: { name: 1 as never } }
      const plain = submitter.submitUnsafe("identify", call, callContext, false, submitter.checks)
      assert.strictEqual(plain?.error?._tag, "PlanViolation")
    }).pipe(Effect.provide(Layer.provide(plan.layer({ hashKey: "k" }), Analytics.layerStub())))
  )

  it.effect("events that are not planned are allowed, dropped or fail", () =>
    Effect.gen(function* () {
      const unplanned = untyped("Something Else", { any: secret })
      const as = (policy: "allow" | "drop" | "fail") =>
        Effect.match(Effect.andThen(unplanned, sent), {
          onFailure: ({ reason }) => [reason._tag, (reason as { violation?: string }).violation, reason.message],
          onSuccess: (messages) => messages.map(({ event }) => event)
        }).pipe(Effect.provide(around({ unplanned: policy }), { local: true }))
      assert.deepStrictEqual(yield* as("allow"), ["Something Else"])
      assert.deepStrictEqual(yield* as("drop"), [])
      assert.deepStrictEqual(yield* as("fail"), [
        "PlanViolation",
        "unplanned",
        `track "Something Else" breaks the tracking plan: it is not in the plan`
      ])
    })
  )

  it.effect("properties that are not in a strict event are violations", () =>
    Effect.gen(function* () {
      const error = yield* reasonOf(untyped("Cart Viewed", { items: 1, itemz: 2 }))
      assert.deepInclude(error, { violation: "unexpected" })
      assert.deepStrictEqual((error as { path?: unknown }).path, ["properties", "itemz"])
      yield* untyped("Cart Viewed", { items: 1 })
    }).pipe(Effect.provide(around()))
  )

  it.effect("the context of every call is checked, whoever put it there", () => {
    const inContext = TrackingPlan.make({ context: Schema.Struct({ tenant: Schema.String }) })
    return Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      const call = analytics.alias({ userId: "u1", previousId: "a1" })
      const error = yield* Effect.flip(call)
      assert.strictEqual(error.message, "alias breaks the tracking plan at context.tenant: Missing key")
      yield* Enrichment.withContext(call, { tenant: "t1" })
      assert.strictEqual((yield* sent).length, 1)
    }).pipe(Effect.provide(Layer.provideMerge(inContext.layer(), AnalyticsTest.layer())))
  })

  it.effect("a Schema that throws, or would wait, is a violation and no defect", () => {
    const broken = Schema.String.check(
      Schema.makeFilter(() => {
        throw new Error(secret)
      })
    )
    const slow = Schema.String.pipe(
      Schema.decodeTo(
        Schema.String,
        SchemaTransformation.transformEffect({
          decode: (text) =>
            Effect.as(
              Effect.promise(() => Promise.resolve()),
              text
            ),
          encode: (text) =>
            Effect.as(
              Effect.promise(() => Promise.resolve()),
              text
            )
        })
      )
    )
    const broke = TrackingPlan.make({
      events: { Seen: Schema.Struct({ broken }), Slow: Schema.Struct({ slow }) }
    })
    return Effect.gen(function* () {
      const planned = yield* Effect.flip(broke.track("Seen", { broken: "x" }, { userId: "u1" }))
      const raw = yield* Effect.flip(untyped("Seen", { broken: "x" }))
      assert.strictEqual(
        planned.message,
        `track "Seen" breaks the tracking plan at properties: could not be checked: it threw`
      )
      assert.strictEqual(raw.message, planned.message)
      const late = yield* reasonOf(broke.track("Slow", { slow: "x" }, { userId: "u1" }))
      assert.strictEqual(late._tag, "PlanViolation")
      assert.strictEqual((yield* reasonOf(untyped("Slow", { slow: "x" })))._tag, "PlanViolation")
    }).pipe(Effect.provide(Layer.provideMerge(broke.layer(), AnalyticsTest.layer())))
  })

  it.effect("a shape without fields is an object, here as in what is exported", () =>
    Effect.gen(function* () {
      const shape = Schema.Struct({ a: Schema.Struct({}), b: Schema.optionalKey(Schema.Array(Schema.Struct({}))) })
      const empty = TrackingPlan.make({ events: { Seen: shape } })
      const exported = PlanJson.fromJson(PlanJson.toJson(empty))
      const decoders: ReadonlyArray<(data: object) => Effect.Effect<unknown, object>> = [
        (data) => empty.decode("Seen", data),
        (data) => exported.decode("Seen", data)
      ]
      for (const decode of decoders) {
        yield* decode({ a: { more: 1 }, b: [{}] })
        for (const a of [5, "x", [1], null]) {
          assert.deepInclude(yield* Effect.flip(decode({ a })), { path: ["properties", "a"] })
        }
        const error = yield* Effect.flip(decode({ a: {}, b: [{}, 1] }))
        assert.deepInclude(error, { path: ["properties", "b", 1] })
      }
      const planned = yield* reasonOf(empty.track("Seen", { a: 5 }, { userId: "u1" }))
      assert.deepInclude(planned, { path: ["properties", "a"], expected: "Expected an object" })
      yield* empty.track("Seen", { a: {} }, { userId: "u1" })
    }).pipe(Effect.provide(AnalyticsTest.layer()))
  )

  it.effect("data from elsewhere are decoded", () =>
    Effect.gen(function* () {
      const decoded = yield* plan.decode("Order Completed", {
        orderId: "o1",
        total: "39.95",
        at: "2026-01-02T03:04:05Z"
      })
      assert.isTrue(BigDecimal.equals(decoded.total, order.total))
      assert.strictEqual(DateTime.formatIso(decoded.at), "2026-01-02T03:04:05.000Z")
      const error = yield* Effect.flip(plan.decode("Order Completed", { orderId: "o1", total: secret }))
      assert.strictEqual(error._tag, "PlanViolation")
      assert.notInclude(JSON.stringify(error) + error.message, secret)
    })
  )
})

describe("TrackingPlan: fields that say who someone is", () => {
  const who = {
    plan: "pro",
    email: "p@initech.com",
    phone: "555",
    friends: [{ name: "M", email: "m@initech.com" }]
  } as const
  const hmac = (text: string) => createHmac("sha256", "secret").update(text).digest("hex")
  const properties = (policies: Parameters<typeof around>[0]) =>
    Effect.gen(function* () {
      yield* plan.track("Signed Up", who, { userId: "u1" })
      yield* untyped("Signed Up", who)
      const [typed, raw] = yield* sent
      assert.deepStrictEqual(typed?.properties, raw?.properties)
      return typed?.properties
    }).pipe(Effect.provide(around(policies)))

  it.effect("are dropped, if nothing else is said", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* properties({}), { plan: "pro", phone: hmac("555"), friends: [{ name: "M" }] })
    })
  )

  it.effect("are hashed with the key", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* properties({ pii: "hash", hashKey: Redacted.make("secret") }), {
        plan: "pro",
        email: hmac("p@initech.com"),
        phone: hmac("555"),
        friends: [{ name: "M", email: hmac("m@initech.com") }]
      })
    })
  )

  it.effect("are kept, but for those that say otherwise", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* properties({ pii: "keep" }), { ...who, phone: hmac("555") })
    })
  )

  it.effect("without a key there is no layer, and no planned call sends what should be hashed", () =>
    Effect.gen(function* () {
      const layer = Layer.provide(plan.layer({}), AnalyticsTest.layer())
      const error = yield* invalidSettingOf(Effect.scoped(Layer.build(layer)))
      assert.strictEqual(error.message, "effect-analytics: hashKey is needed to hash what is marked as pii")
      yield* plan.track("Signed Up", who, { userId: "u1" })
      assert.deepStrictEqual((yield* sent)[0]?.properties, { plan: "pro", friends: [{ name: "M" }] })
    }).pipe(Effect.provide(AnalyticsTest.layer()))
  )

  it.effect("also of a message that is sent with violations", () =>
    Effect.gen(function* () {
      yield* untyped("Signed Up", { plan: "gold", email: { address: secret } })
      const [message] = yield* sent
      assert.notInclude(JSON.stringify(message), secret)
      assert.strictEqual(message?.context.protocols.violations.length, 2)
    }).pipe(Effect.provide(around({ onViolation: "flag" })))
  )

  it.effect("in a context that several calls share, each call finds it as it was", () => {
    const inContext = TrackingPlan.make({
      context: Schema.Struct({ traits: Schema.Struct({ email: Schema.String.annotate({ pii: "hash" }) }) })
    })
    return Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      const twice = Effect.repeat(analytics.track({ userId: "u1", event: "Seen" }), { times: 1 })
      yield* Enrichment.withContext(twice, { traits: { email: "p@initech.com" } })
      assert.deepStrictEqual(
        (yield* sent).map(({ context }) => context.traits.email),
        [hmac("p@initech.com"), hmac("p@initech.com")]
      )
    }).pipe(Effect.provide(Layer.provideMerge(inContext.layer({ hashKey: "secret" }), AnalyticsTest.layer())))
  })

  it("a mark that would not be found on the wire is refused", () => {
    const renamed = Schema.Struct({ email: Schema.String.annotate({ pii: true }) }).pipe(
      Schema.encodeKeys({ email: "e_mail" })
    )
    assert.throws(() => TrackingPlan.make({ events: { "Signed Up": renamed } }), /email is marked as pii/)
  })
})

describe("TrackingPlan: where marks are found", () => {
  const P = Schema.String.annotate({ pii: true })
  /** What is sent of properties by a plan with one event. */
  const passed = (
    shape: TrackingPlan.Shape,
    data: Call.Data,
    policies: Pick<TrackingPlan.Policies, "onViolation"> = {}
  ) => {
    const one = TrackingPlan.make({ events: { Seen: shape } })
    return Effect.gen(function* () {
      yield* untyped("Seen", data)
      const [message] = yield* sent
      return message?.properties as unknown
    }).pipe(
      Effect.provide(Layer.provideMerge(one.layer({ hashKey: "secret", ...policies }), AnalyticsTest.layer()), {
        local: true
      })
    )
  }

  interface Tree {
    readonly name: string
    readonly children: ReadonlyArray<Tree>
  }
  interface Chain {
    readonly next: Chain | null
    readonly name: string
  }
  const Tree = Schema.Struct({
    name: P,
    children: Schema.Array(Schema.suspend((): Schema.Codec<Tree> => Tree))
  })
  const Chain = Schema.Struct({
    next: Schema.NullOr(Schema.suspend((): Schema.Codec<Chain> => Chain)),
    name: Schema.String.annotate({ pii: "hash" })
  })

  it.effect("in shapes that hold themselves, at every depth", () =>
    Effect.gen(function* () {
      const tree = { name: "1", children: [{ name: "2", children: [{ name: "3", children: [] }] }] }
      assert.deepStrictEqual(yield* passed(Tree, tree), { children: [{ children: [{ children: [] }] }] })
      const chain = { next: { next: { next: null, name: "3" }, name: "2" }, name: "1" }
      const hashed = (text: string) => createHmac("sha256", "secret").update(text).digest("hex")
      assert.deepStrictEqual(yield* passed(Chain, chain), {
        next: { next: { next: null, name: hashed("3") }, name: hashed("2") },
        name: hashed("1")
      })
    })
  )

  it("a key is needed for a hash that is only in a shape that holds itself", () => {
    const inside = TrackingPlan.make({ events: { Seen: Schema.Struct({ first: Schema.NullOr(Chain) }) } })
    assert.strictEqual(inside.problem({})?.setting, "hashKey")
  })

  it.effect("before a check, between two, and after them", () =>
    Effect.gen(function* () {
      const check = Schema.isMinLength(1)
      const shape = Schema.Struct({
        before: Schema.String.annotate({ pii: "drop" }).check(check),
        between: Schema.String.check(check).annotate({ pii: "drop" }).check(check),
        after: Schema.String.check(check).annotate({ pii: "drop" }),
        strictest: Schema.String.annotate({ pii: "drop" }).check(check).annotate({ pii: "keep" }),
        plain: Schema.String.check(check)
      })
      const data = { before: "1", between: "2", after: "3", strictest: "4", plain: "5" }
      assert.deepStrictEqual(yield* passed(shape, data), { plain: "5" })
    })
  )

  it.effect("in plans from elsewhere, beside what else is said of a text", () =>
    Effect.gen(function* () {
      const shape = PlanJson.fromJsonSchema({
        type: "object",
        properties: { email: { type: "string", minLength: 1, pii: "drop" }, plan: { type: "string" } }
      })
      assert.deepStrictEqual(yield* passed(shape, { email: secret, plan: "pro" }), { plan: "pro" })
    })
  )

  it.effect("what is said of an event before a check is said of it", () => {
    const fits = Schema.makeFilter(() => true)
    const about = { strict: true, deprecated: true, planVersion: "9", owner: "growth" } as const
    const checked = TrackingPlan.make({
      events: { Seen: Schema.Struct({ plan: Schema.String }).annotate(about).check(fits) }
    })
    const [event] = PlanJson.toJson(checked).rules.events
    assert.deepInclude(event, { version: 9, labels: { owner: "growth", deprecated: "true" } })
    return Effect.gen(function* () {
      const error = yield* reasonOf(untyped("Seen", { plan: "pro", more: 1 }))
      assert.deepInclude(error, { violation: "unexpected", version: "9" })
    }).pipe(Effect.provide(Layer.provideMerge(checked.layer(), AnalyticsTest.layer())))
  })

  it.effect("in tuples, element by element", () =>
    Effect.gen(function* () {
      const pair = Schema.Struct({ pair: Schema.Tuple([Schema.String, P]) })
      assert.deepStrictEqual(yield* passed(pair, { pair: ["kept", secret] }), { pair: ["kept", null] })
      const more = Schema.Struct({ all: Schema.TupleWithRest(Schema.Tuple([Schema.String]), [P]) })
      assert.deepStrictEqual(yield* passed(more, { all: ["kept", secret, secret] }), { all: ["kept", null, null] })
    })
  )

  it.effect("in tuples that are too long, as what the tuple holds", () =>
    Effect.gen(function* () {
      const passes = (shape: TrackingPlan.Shape, data: Call.Data) => passed(shape, data, { onViolation: "flag" })
      const one = Schema.Struct({ all: Schema.Tuple([P]) })
      assert.deepStrictEqual(yield* passes(one, { all: [secret, secret] }), { all: [null, null] })
      const two = Schema.Struct({ all: Schema.Tuple([Schema.String, P]) })
      assert.deepStrictEqual(yield* passes(two, { all: ["kept", secret, secret] }), { all: ["kept", null, null] })
      const inside = Schema.Struct({ all: Schema.Tuple([Schema.Struct({ email: P, plan: Schema.String })]) })
      assert.deepStrictEqual(
        yield* passes(inside, { all: [{ email: secret, plan: "a" }, { email: secret, plan: "b" }, secret] }),
        { all: [{ plan: "a" }, { plan: "b" }, null] }
      )
      const unmarked = Schema.Struct({ all: Schema.Tuple([Schema.String]), email: P })
      assert.deepStrictEqual(yield* passes(unmarked, { all: ["a", "b"], email: secret }), { all: ["a", "b"] })
    })
  )

  it.effect("of the members of a union the strictest counts, each in its own form", () =>
    Effect.gen(function* () {
      const E = (pii: boolean | "drop" | "hash" | "keep") => Schema.Struct({ email: Schema.String.annotate({ pii }) })
      const either = Schema.Struct({
        user: Schema.Union([E("keep"), E("drop")]),
        open: Schema.Union([E(true), E("hash")]),
        text: Schema.Union([E(true), Schema.String])
      })
      assert.deepStrictEqual(
        yield* passed(either, { user: { email: secret }, open: { email: secret }, text: "kept" }),
        { user: {}, open: {}, text: "kept" }
      )
    })
  )

  it.effect("where a flagged message has another form than the plan, nobody knows: all of it is dropped", () =>
    Effect.gen(function* () {
      const User = Schema.Struct({ email: P })
      const shape = Schema.Struct({
        user: User,
        users: Schema.Array(User),
        maybe: Schema.NullOr(User),
        count: Schema.Int
      })
      const passes = (data: Call.Data) => passed(shape, data, { onViolation: "flag" })
      const wrong = { user: secret, users: { email: secret }, maybe: [{ email: secret }], count: "many" }
      assert.deepStrictEqual(yield* passes(wrong), { count: "many" })
      assert.deepStrictEqual(
        yield* passes({ user: { email: secret }, users: [secret, { email: secret }], maybe: null, count: 1 }),
        { user: {}, users: [null, {}], maybe: null, count: 1 }
      )
    })
  )

  it("a mark on a whole shape, or on the names of a record, is refused by the name of the event", () => {
    const whole = Schema.Struct({ email: Schema.String }).annotate({ pii: true })
    assert.throws(
      () => TrackingPlan.make({ events: { Seen: whole } }),
      "Seen: is marked as pii as a whole: mark its fields"
    )
    assert.throws(() => TrackingPlan.make({ traits: whole }), "traits: is marked as pii as a whole: mark its fields")
    assert.throws(() => TrackingPlan.make({ pages: { "": whole } }), "pages: is marked as pii as a whole")
    const keys = Schema.Struct({ all: Schema.Record(P, Schema.Int) })
    assert.throws(() => TrackingPlan.make({ events: { Seen: keys } }), "Seen: the names of a record are marked as pii")
    const unknown = Schema.Struct({ email: Schema.String.annotate({ pii: "Drop" as "drop" }) })
    assert.throws(() => TrackingPlan.make({ events: { Seen: unknown } }), "Seen: pii must be true")
  })

  it("marks below a field that has another name on the wire are refused", () => {
    const renamed = Schema.Struct({ user: Schema.Struct({ at: Schema.DateTimeUtc.annotate({ pii: true }) }) }).pipe(
      Schema.encodeKeys({ user: "u" })
    )
    assert.throws(
      () => TrackingPlan.make({ events: { Seen: renamed } }),
      "Seen: user is marked as pii, and has another name on the wire: mark it there"
    )
    const text = Schema.Struct({ all: Schema.fromJsonString(Schema.Struct({ email: P })) })
    assert.throws(
      () => TrackingPlan.make({ events: { Seen: text } }),
      "Seen: email is marked as pii, and what holds it has another form on the wire: mark it there"
    )
  })
})

describe("TrackingPlan: policies", () => {
  it("that are none are settings that cannot work", () => {
    const cases: ReadonlyArray<readonly [policies: object, setting: string]> = [
      [{ onViolation: "Flag" }, "onViolation"],
      [{ unplanned: "flag" }, "unplanned"],
      [{ pii: true }, "pii"],
      [{ events: { "Signed Down": "flag" } }, "events"],
      [{ events: { toString: "flag" } }, "events"],
      [{ events: "flag" }, "events"],
      [{ events: { "Signed Up": "Flag" } }, "events.Signed Up"],
      [{ hashKey: "" }, "hashKey"],
      [{ hashKey: Redacted.make("") }, "hashKey"],
      [{ hashKey: {} }, "hashKey"],
      [{ hashKey: 7 }, "hashKey"]
    ]
    for (const [policies, setting] of cases) {
      assert.strictEqual(plan.problem({ hashKey: "k", ...policies })?.setting, setting, JSON.stringify(policies))
    }
    assert.isUndefined(plan.problem({ hashKey: "k", events: { "Signed Up": "flag" }, pii: "hash", unplanned: "fail" }))
  })

  it("of pages, screens, identify and group are looked at as well", () => {
    const cases: ReadonlyArray<readonly [policies: object, setting: string]> = [
      [{ pages: { Prices: "flag" } }, "pages"],
      [{ pages: { Pricing: "Flag" } }, "pages.Pricing"],
      [{ screens: [] }, "screens"],
      [{ screens: { Pricing: "flag" } }, "screens"],
      [{ traits: "ignore" }, "traits"],
      [{ groupTraits: true }, "groupTraits"]
    ]
    for (const [policies, setting] of cases) {
      assert.strictEqual(plan.problem({ hashKey: "k", ...policies })?.setting, setting, JSON.stringify(policies))
    }
  })

  it.effect("each page and screen may have one of its own, and so may identify and group", () =>
    Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      const who = { userId: "u1" }
      yield* analytics.page({ ...who, name: "Pricing", properties: {} })
      yield* analytics.screen({ ...who, name: "Home", properties: {} })
      yield* analytics.identify({ ...who, traits: { name: 1 as never } })
      const error = yield* reasonOf(analytics.group({ ...who, groupId: "g1", traits: {} }))
      assert.deepInclude(error, { call: "group", path: ["traits", "employees"] })
      assert.strictEqual((yield* reasonOf(untyped("Cart Viewed", {})))._tag, "PlanViolation")
      assert.deepStrictEqual(
        (yield* sent).map(({ context, type }) => [type, context.protocols.violations[0].field]),
        [
          ["page", "properties.currency"],
          ["identify", "traits.name"]
        ]
      )
    }).pipe(
      Effect.provide(
        around({ pages: { Pricing: "flag" }, screens: { Home: "drop" }, traits: "flag", groupTraits: "fail" })
      )
    )
  )

  it.effect("a rule for all other pages is one for those without a name, too", () => {
    const pages = TrackingPlan.make({
      pages: { Pricing: Schema.Struct({ currency: Schema.String }), "": Schema.Struct({ path: Schema.String }) }
    })
    const page = (call: object) =>
      Analytics.Analytics.use((analytics) => Effect.exit(analytics.page({ userId: "u1", ...call }))).pipe(
        Effect.map((exit) => exit._tag === "Success")
      )
    return Effect.gen(function* () {
      assert.isTrue(yield* page({ name: "Pricing", properties: { currency: "EUR" } }))
      assert.isFalse(yield* page({ name: "Pricing", properties: { path: "/" } }))
      assert.isTrue(yield* page({ properties: { path: "/" } }))
      assert.isFalse(yield* page({}))
      assert.isFalse(yield* page({ name: "About", properties: { path: 1 } }))
    }).pipe(Effect.provide(Layer.provideMerge(pages.layer({ unplanned: "fail" }), AnalyticsTest.layer())))
  })

  it.effect("a flag does not mind what else is in context.protocols", () =>
    Effect.gen(function* () {
      yield* untyped("Cart Viewed", { items: "many" }, { protocols: "http" })
      const [message] = yield* sent
      assert.deepStrictEqual(Object.keys(message?.context.protocols), ["violations"])
    }).pipe(Effect.provide(around({ onViolation: "flag" })))
  )
})

describe("TrackingPlan: what operators see", () => {
  it.effect("what a plan drops is logged and counted as a violation, what transform drops is neither", () => {
    const lines: Array<Line> = []
    const client = AnalyticsTest.layer({
      transform: (message) => (message.type === "alias" ? Transform.drop("no consent") : message)
    })
    const dropping = plan
      .layer({ hashKey: "k", onViolation: "drop", unplanned: "drop" })
      .pipe(Layer.provideMerge(client))
    return Effect.gen(function* () {
      yield* untyped("Cart Viewed", { items: "many" })
      yield* untyped("Unheard of", {})
      yield* Analytics.Analytics.use((analytics) => analytics.alias({ userId: "u1", previousId: "a1" }))
      assert.deepStrictEqual(
        lines.map(({ annotations, level, text }) => [level, annotations.reason, text]),
        [
          ["Warn", "PlanViolation", lines[0]?.text],
          ["Warn", "PlanViolation", lines[1]?.text]
        ]
      )
      assert.match(lines[0]?.text ?? "", /^1 call was not accepted: track "Cart Viewed" breaks the tracking plan/)
      const count = (reason: string, type: Call.Type) =>
        Effect.map(
          Metric.value(Metric.withAttributes(Metrics.messagesTotal, { type, outcome: "dropped", reason })),
          (state) => state.count
        )
      assert.deepStrictEqual(
        [yield* count("PlanViolation", "track"), yield* count("filtered", "track"), yield* count("filtered", "alias")],
        [2, 0, 1]
      )
    }).pipe(
      Effect.provide(Layer.provideMerge(dropping, layerLog(lines))),
      Effect.provideService(Metric.MetricRegistry, new Map())
    )
  })

  it.effect("a deprecated event warns once, planned or not", () => {
    const lines: Array<unknown> = []
    const logger = Logger.layer([Logger.make(({ logLevel, message }) => void lines.push([logLevel, message]))])
    return Effect.gen(function* () {
      yield* plan.track("Old Event", {}, { userId: "u1" })
      yield* untyped("Old Event", {})
      yield* untyped("Cart Viewed", { items: 1 })
      assert.strictEqual((yield* sent).length, 3)
      assert.deepStrictEqual(lines, [["Warn", [`track "Old Event" is deprecated: say Order Completed`]]])
    }).pipe(Effect.provide(Layer.provide(around(), logger)))
  })

  it.effect("violations are counted by event, kind and what was done; unplanned names are one", () =>
    Effect.gen(function* () {
      yield* untyped("Signed Up", { plan: 1 })
      yield* untyped("Signed Up", { plan: 2, email: 3 })
      yield* Effect.flip(untyped("One", {}))
      yield* Effect.flip(untyped("Two", {}))
      const count = (event: string, violation: string, action: string) =>
        Effect.map(
          Metric.value(Metric.withAttributes(TrackingPlan.violationsTotal, { event, violation, action })),
          (state) => state.count
        )
      assert.strictEqual(yield* count("Signed Up", "type", "flag"), 3)
      assert.strictEqual(yield* count("(unplanned)", "unplanned", "fail"), 2)
      assert.strictEqual(yield* count("One", "unplanned", "fail"), 0)
      yield* sent
    }).pipe(
      Effect.provide(around({ onViolation: "flag", unplanned: "fail" })),
      Effect.provideService(Metric.MetricRegistry, new Map())
    )
  )
})

class Tracking extends TrackingPlan.Service<Tracking>()("app/Tracking", plan) {}

describe("TrackingPlan: faces", () => {
  it.effect("a service of the plan's calls, whose layer checks all others", () =>
    Effect.gen(function* () {
      const tracking = yield* Tracking
      yield* tracking.track("Signed Up", { plan: "pro" }, { userId: "u1" })
      yield* Enrichment.withIdentity(tracking.identified.track("Cart Viewed", { items: 2 }), { userId: "u2" })
      // @ts-expect-error there is no such event
      yield* Effect.exit(tracking.track("Signed Down", {}, { userId: "u1" }))
      yield* untyped("Cart Viewed", { items: "many" })
      assert.deepStrictEqual(
        (yield* sent).map(({ context, event }) => [event, context.protocols?.violations.length]),
        [
          ["Signed Up", undefined],
          ["Cart Viewed", undefined],
          ["Signed Down", undefined],
          ["Cart Viewed", 1]
        ]
      )
    }).pipe(
      Effect.provide(
        Tracking.layer({ onViolation: "flag", hashKey: "k" }).pipe(Layer.provideMerge(AnalyticsTest.layer()))
      )
    )
  )

  it.effect("a planned call through the plan's layer follows its policies, and is checked once", () =>
    Effect.gen(function* () {
      const gold = "gold" as "pro"
      yield* plan.track("Signed Up", { plan: gold }, { userId: "u1" })
      assert.deepStrictEqual((yield* sent)[0]?.context.protocols.violations, [
        { type: "Invalid Type", field: "properties.plan", description: `Expected "free" | "pro"` }
      ])
    }).pipe(Effect.provide(around({ onViolation: "flag" })))
  )

  it.effect("a call of one plan passes the other plan around the client as well", () => {
    const other = TrackingPlan.make({ events: { Clicked: Schema.Struct({ at: Schema.DateTimeUtc }) } })
    const call = other.track("Clicked", { at: order.at }, { userId: "u1" })
    return Effect.gen(function* () {
      yield* call
      const error = yield* reasonOf(Effect.provide(call, plan.layer({ hashKey: "k", unplanned: "fail" })))
      assert.deepInclude(error, { event: "Clicked", violation: "unplanned" })
      const analytics = yield* Effect.provide(Analytics.Analytics, plan.layer({ hashKey: "k" }))
      const plain = other.over(
        analytics,
        (service, type, data, check) =>
          AttachedSubmitter.over(service).submitUnsafe(type, data, { identity: undefined, context: {} }, false, check)
            ?.error
      )
      assert.strictEqual(plain.track("Clicked", { at: order.at }, { userId: "u1" }), undefined)
      assert.deepStrictEqual(
        (yield* sent).map(({ properties }) => properties),
        [{ at: "2026-01-02T03:04:05.000Z" }, { at: "2026-01-02T03:04:05.000Z" }]
      )
    }).pipe(Effect.provide(AnalyticsTest.layer()))
  })

  it.effect("what was sent of an event, as the program knows it", () =>
    Effect.gen(function* () {
      yield* plan.track("Order Completed", order, { userId: "u1" })
      yield* untyped("Cart Viewed", { items: 1 })
      yield* untyped("Order Completed", { orderId: "o2", total: "2", at: "2026-01-02T03:04:05Z" })
      yield* sent
      const orders = yield* AnalyticsTest.forPlan(plan).ofType("Order Completed")
      const [first, second]: ReadonlyArray<{ readonly total: BigDecimal.BigDecimal }> = orders
      assert.strictEqual(orders.length, 2)
      assert.isTrue(BigDecimal.equals(first?.total ?? BigDecimal.fromBigInt(0n), order.total))
      assert.strictEqual(BigDecimal.format(second?.total ?? order.total), "2")
    }).pipe(Effect.provide(around()))
  )
})
