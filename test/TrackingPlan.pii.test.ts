/** Marked fields: what a call has to give, what is sent of it, and what exports say of both. */
import { createHmac } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Analytics from "../src/Analytics.ts"
import * as AnalyticsTest from "../src/AnalyticsTest.ts"
import { createTestAnalytics } from "../src/plannedTest.ts"
import * as PlanDiff from "../src/TrackingPlan/diff.ts"
import * as PlanJson from "../src/TrackingPlan/json.ts"
import * as TrackingPlan from "../src/TrackingPlan.ts"
import { reasonOf } from "./errors.ts"

const Friend = Schema.Struct({ name: Schema.String, email: Schema.String.annotate({ pii: true }) })

interface Tree {
  readonly planted: DateTime.Utc
  readonly owner: string
  readonly seeds: ReadonlyArray<Tree>
}
const Tree = Schema.Struct({
  planted: Schema.DateTimeUtc,
  owner: Schema.String.annotate({ pii: "drop" }),
  seeds: Schema.Array(Schema.suspend((): Schema.Codec<Tree, unknown> => Tree))
}).annotate({ identifier: "Tree" })

const plan = TrackingPlan.make({
  events: {
    "Signed Up": Schema.Struct({
      at: Schema.DateTimeUtc,
      email: Schema.String.check(Schema.isPattern(/@/u)).annotate({ pii: true, description: "Where to write to" }),
      phone: Schema.String.annotate({ pii: "drop" }),
      age: Schema.NullOr(Schema.Int).annotate({ pii: "hash" }),
      born: Schema.DateTimeUtc.annotate({ pii: "hash" }),
      friends: Schema.Array(Friend),
      aliases: Schema.Array(Schema.String.annotate({ pii: "drop" })),
      scores: Schema.Record(Schema.String, Schema.Int.annotate({ pii: "hash" })),
      nearest: Schema.Union([Friend, Schema.String])
    }).annotate({ strict: true }),
    "Tree Planted": Schema.Struct({ tree: Tree })
  }
})

const at = DateTime.makeUnsafe("2026-01-02T03:04:05Z")
const friend = { name: "M", email: "m@initech.com" }
const signedUp = {
  at,
  email: "p@initech.com",
  phone: "555",
  age: 33,
  born: at,
  friends: [friend],
  aliases: ["P"],
  scores: { chess: 1200 },
  nearest: friend
}
const tree = { planted: at, owner: "P", seeds: [{ planted: at, owner: "M", seeds: [] }] }
const who = { userId: "u1" }

const ShopTest = AnalyticsTest.forPlan(plan)
const hmac = (text: string) => createHmac("sha256", "the key of a test").update(text).digest("hex")

const sentProperties = Effect.gen(function* () {
  yield* (yield* Analytics.Analytics).flush
  const messages = yield* (yield* AnalyticsTest.Sent).messages
  return messages.map((message) => (message as { readonly properties: Record<string, unknown> }).properties)
})

describe("TrackingPlan: what is sent of marked fields keeps the plan as it is exported", () => {
  const elsewhere = (policy: "drop" | "hash" | "keep", dialect: PlanJson.Dialect) => {
    const { events } = PlanJson.toJson(plan, { pii: policy, dialect }).rules
    // What somebody reads of it who knows nothing of us.
    const without = (json: unknown): unknown => {
      if (Array.isArray(json)) return json.map(without)
      if (typeof json !== "object" || json === null) return json
      const rest = Object.entries(json).filter(([key]) => key !== "given" && key !== "pii")
      return Object.fromEntries(rest.map(([key, value]) => [key, without(value)]))
    }
    return PlanJson.fromJson({ rules: { events: without(events) } })
  }

  it.effect.each(
    (["drop", "hash", "keep"] as const).flatMap((pii) =>
      (["draft-07", "draft-2020-12"] as const).map((dialect) => [pii, dialect] as const)
    )
  )("by the policy %s, in %s", ([pii, dialect]) =>
    Effect.gen(function* () {
      yield* plan.track("Signed Up", signedUp, who)
      yield* plan.track("Signed Up", { ...signedUp, age: null }, who)
      yield* plan.track("Tree Planted", { tree }, who)
      const read = elsewhere(pii, dialect)
      const [first, second, third] = yield* sentProperties
      yield* read.decode("Signed Up", first)
      yield* read.decode("Signed Up", second)
      yield* read.decode("Tree Planted", third)
      // And it would notice.
      assert.isTrue(Schema.is(Schema.String)(first?.age))
      yield* Effect.flip(read.decode("Signed Up", { ...first, age: 33 }))
      yield* Effect.flip(read.decode("Signed Up", { ...first, friends: [{}] }))
    }).pipe(Effect.provide(ShopTest.layer({ pii }), { local: true }))
  )

  it("says what is given beside what is sent, and comes back as it went", () => {
    for (const dialect of ["draft-07", "draft-2020-12"] as const) {
      for (const pii of ["drop", "hash", "keep"] as const) {
        const json = PlanJson.toJson(plan, { dialect, pii })
        assert.deepStrictEqual(PlanDiff.diff(plan, json), { breaking: false, changes: [] })
        assert.deepStrictEqual(PlanJson.toJson(PlanJson.fromJson(json), { dialect, pii }), json)
      }
    }
  })

  it("a field that is dropped is not required, one that is hashed is a text", () => {
    const shape = Schema.Struct({
      email: Schema.String.annotate({ pii: true }),
      age: Schema.Int.annotate({ pii: "hash" }),
      plan: Schema.String
    })
    const { properties, required } = PlanJson.toJsonSchema(shape)
    assert.deepStrictEqual(required, ["age", "plan"])
    assert.deepStrictEqual<unknown>(properties, {
      email: { type: "string", pii: true, given: "required" },
      age: { type: "string", pii: "hash", given: { type: "integer", pii: "hash" } },
      plan: { type: "string" }
    })
    assert.deepStrictEqual(PlanJson.toJsonSchema(shape, { pii: "keep" }).required, ["email", "age", "plan"])
    const one = Schema.Struct({ email: Schema.String.annotate({ pii: "drop" }) })
    assert.notProperty(PlanJson.toJsonSchema(one), "required")
  })

  it("elements of lists, and what lies in a union, come back as they went", () => {
    const shape = Schema.Struct({
      rest: Schema.TupleWithRest(Schema.Tuple([Schema.String]), [Schema.Int.annotate({ pii: "hash" })]),
      union: Schema.Array(Schema.Union([Schema.Int.annotate({ pii: "hash" }), Schema.Boolean])),
      record: Schema.Record(Schema.String, Schema.NullOr(Schema.Int.annotate({ pii: "hash" })))
    })
    for (const dialect of ["draft-07", "draft-2020-12"] as const) {
      const json = PlanJson.toJsonSchema(shape, { dialect })
      assert.strictEqual(JSON.stringify(json).match(/"given":/g)?.length, 3)
      const again = PlanJson.fromJsonSchema(json)
      const changes = PlanDiff.diff(
        TrackingPlan.make({ events: { Seen: shape } }),
        TrackingPlan.make({ events: { Seen: again } })
      )
      assert.deepStrictEqual(changes, { breaking: false, changes: [] })
      assert.deepStrictEqual(PlanJson.toJsonSchema(again, { dialect }), json)
    }
  })

  it("a word of somebody else's means nothing here", () => {
    const json = { type: "object", properties: { a: { type: "string", given: { type: "number" } } } }
    assert.isTrue(Schema.is(PlanJson.fromJsonSchema(json))({ a: "x" }))
  })

  it.effect("a call still has to give what is dropped", () =>
    Effect.gen(function* () {
      const { email: _, ...without } = signedUp
      // @ts-expect-error the email is missing
      const error = yield* reasonOf(plan.track("Signed Up", without, who))
      assert.deepInclude(error, { violation: "required", path: ["properties", "email"] })
      const again = PlanJson.fromJson(PlanJson.toJson(plan))
      const other = yield* Effect.flip(again.decode("Signed Up", { at: "2026-01-02T03:04:05Z" }))
      assert.deepInclude(other, { violation: "required", path: ["properties", "email"] })
    }).pipe(Effect.provide(ShopTest.layer()))
  )

  it("marks are exported wherever they are, also where a value changes its form", () => {
    class Buyer extends Schema.Class<Buyer>("Buyer")({ since: Schema.DateTimeUtc.annotate({ pii: "drop" }) }) {}
    const E = Schema.DateTimeUtc.annotate({ pii: "drop" })
    const shape = Schema.Struct({
      union: Schema.Union([Schema.Struct({ e: E }), Schema.String]),
      record: Schema.Record(Schema.String, Schema.Struct({ e: E })),
      tuple: Schema.Tuple([Schema.String, Schema.Struct({ e: E })]),
      named: Schema.Struct({ e: E }).annotate({ identifier: "Named" }),
      buyer: Buyer
    })
    const text = JSON.stringify(PlanJson.toJsonSchema(shape, { pii: "keep" }))
    assert.strictEqual(text.match(/"pii":"drop"/g)?.length, 5)
    assert.strictEqual(text.match(/"given":"required"/g)?.length, 5)
    const again = TrackingPlan.make({ events: { Seen: PlanJson.fromJsonSchema(JSON.parse(text)) } })
    const back = JSON.stringify(PlanJson.toJson(again))
    assert.strictEqual(back.match(/"pii":"drop"/g)?.length, 5)
  })
})

describe("AnalyticsTest.forPlan", () => {
  it.effect("what was sent of an event is typed by the plan, marked fields as they were sent", () =>
    Effect.gen(function* () {
      yield* plan.track("Signed Up", signedUp, who)
      yield* plan.track("Tree Planted", { tree }, who)
      yield* Analytics.Analytics.use((analytics) => analytics.flush)
      const [first] = yield* ShopTest.ofType("Signed Up")
      assert.isTrue(first !== undefined && DateTime.Equivalence(first.at, at))
      assert.deepInclude(first as object, { age: hmac("33"), friends: [{ name: "M" }], aliases: [null] })
      assert.notProperty(first, "email")
      assert.strictEqual(first?.nearest, first?.nearest satisfies typeof Friend.Type | string | undefined)
      const [planted] = yield* ShopTest.ofType("Tree Planted")
      assert.isTrue(DateTime.isDateTime(planted?.tree.seeds[0]?.planted))
      assert.notProperty(planted?.tree.seeds[0], "owner")
      // @ts-expect-error there is no such event
      assert.deepStrictEqual(yield* ShopTest.ofType("Signed Down"), [])
    }).pipe(Effect.provide(ShopTest.layer()))
  )

  it.effect("kept fields are decoded", () =>
    Effect.gen(function* () {
      yield* plan.track("Signed Up", signedUp, who)
      yield* Analytics.Analytics.use((analytics) => analytics.flush)
      const [first] = yield* ShopTest.ofType("Signed Up")
      assert.strictEqual(first?.email, "p@initech.com")
      assert.deepStrictEqual(first?.friends, [friend])
    }).pipe(Effect.provide(ShopTest.layer({ pii: "keep" })))
  )

  it.effect("dies where something else breaks the plan", () =>
    Effect.gen(function* () {
      const call = { ...who, event: "Signed Up", properties: { at: "never" } }
      yield* Analytics.Analytics.use((analytics) => Effect.andThen(analytics.track(call), analytics.flush))
      const exit = yield* Effect.exit(ShopTest.ofType("Signed Up"))
      assert.strictEqual(exit._tag, "Failure")
    }).pipe(Effect.provide(ShopTest.layer({ onViolation: "flag" })))
  )

  it("plain programs have the same", async () => {
    const analytics = createTestAnalytics({ plan, pii: "hash" })
    analytics.planned.track("Signed Up", signedUp, who)
    await analytics.close()
    const [first] = analytics.ofType("Signed Up")
    assert.isTrue(first !== undefined && DateTime.Equivalence(first.at, at))
    assert.deepInclude(first as object, { email: hmac("p@initech.com"), age: hmac("33"), aliases: [null] })
    assert.notProperty(first, "phone")
    // @ts-expect-error there is no such event
    assert.deepStrictEqual(analytics.ofType("Signed Down"), [])
  })
})
