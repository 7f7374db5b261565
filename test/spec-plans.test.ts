import * as fs from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { folder, withDocstrings } from "../.ci/spec-docs.ts"
import * as Analytics from "../src/Analytics.ts"
import * as AnalyticsTest from "../src/AnalyticsTest.ts"
import * as B2bSaas from "../src/spec/B2bSaas.ts"
import * as Ecommerce from "../src/spec/Ecommerce.ts"
import * as Email from "../src/spec/Email.ts"
import * as LiveChat from "../src/spec/LiveChat.ts"
import * as Video from "../src/spec/Video.ts"
import * as PlanJson from "../src/TrackingPlan/json.ts"
import * as TrackingPlan from "../src/TrackingPlan.ts"
import { reasonOf } from "./errors.ts"

interface Example {
  readonly event: string
  readonly properties: Record<string, unknown>
  readonly context?: Record<string, unknown>
}

/** The example payloads of the public specification, in its order. */
const examples: Record<string, ReadonlyArray<Example>> = JSON.parse(
  fs.readFileSync(new URL("spec-plans.examples.json", import.meta.url), "utf8")
)

const specs: Record<string, { readonly plan: TrackingPlan.AnyPlan }> = {
  Ecommerce,
  B2bSaas,
  Email,
  LiveChat,
  Video
}

const descriptions = /"description":("(?:[^"\\]|\\.)*")/g

/** The plan, with every property that it does not know a violation. */
const strict = (plan: TrackingPlan.AnyPlan): TrackingPlan.AnyPlan => {
  const json = PlanJson.toJson(plan)
  return PlanJson.fromJson({
    ...json,
    rules: { ...json.rules, events: json.rules.events.map((event) => ({ ...event, rules: closed(event.rules) })) }
  })
}

const closed = <A>(json: A): A => {
  if (Array.isArray(json)) return json.map(closed) as A
  if (typeof json !== "object" || json === null) return json
  const all: Record<string, unknown> = Object.fromEntries(
    Object.entries(json).map(([key, value]) => [key, closed(value)])
  )
  return (all.type === "object" && all.properties !== undefined ? { ...all, additionalProperties: false } : all) as A
}

const violations = (plan: TrackingPlan.AnyPlan, { context, event, properties }: Example) =>
  Effect.gen(function* () {
    const analytics = yield* Analytics.Analytics
    const call = { userId: "019mr8mf4r", event, properties, ...(context === undefined ? {} : { context }) }
    yield* analytics.track(call)
    yield* analytics.flush
    const [message] = yield* (yield* AnalyticsTest.Sent).messages
    assert.deepStrictEqual((message as { properties: unknown }).properties, properties)
    return message?.context.protocols?.violations ?? []
  }).pipe(
    Effect.provide(Layer.provideMerge(plan.layer({ onViolation: "flag", unplanned: "fail" }), AnalyticsTest.layer()), {
      local: true
    })
  )

for (const [name, { plan }] of Object.entries(specs)) {
  describe(`the ${name} plan`, () => {
    const all = examples[name] ?? []
    const exact = strict(plan)

    it.effect.each(all.map((example, index) => [`${index + 1}: ${example.event}`, example] as const))(
      "takes the specification's example %s",
      ([, example]) =>
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* violations(plan, example), [])
          // And knows every property in it.
          assert.deepStrictEqual(yield* violations(exact, example), [])
        })
    )

    it.effect.each(all.map((example, index) => [`${index + 1}: ${example.event}`, example] as const))(
      "knows the types of example %s",
      ([, example]) =>
        Effect.gen(function* () {
          const properties = Object.fromEntries(Object.keys(example.properties).map((key) => [key, { not: ["this"] }]))
          const found = yield* violations(plan, { ...example, properties })
          const wrong = new Set(found.map(({ field }: { readonly field: string }) => field.split(".")[1]))
          // The query may be an object.
          const expected = new Set(Object.keys(properties).filter((key) => key !== "query"))
          assert.deepStrictEqual(wrong, expected)
        })
    )

    it("has an example for every event that the specification has one for", () => {
      const events = new Set(Object.keys(plan.definition.events ?? {}))
      const shown = new Set(all.map(({ event }) => event))
      const without = Array.from(events).filter((event) => !shown.has(event))
      assert.deepStrictEqual(without, name === "Video" ? ["Video Quality Updated"] : [])
    })
  })
}

describe("the messages of the documentation", () => {
  it.effect("that are events of the Spec keep its plans", () =>
    Effect.gen(function* () {
      const file = new URL("fixtures/spec-messages.ndjson", import.meta.url)
      const lines = fs.readFileSync(file, "utf8").split("\n").filter(Boolean)
      const messages: ReadonlyArray<Partial<Example> & { readonly type: string }> = lines.map((line) =>
        JSON.parse(line)
      )
      const seen = new Set<string>()
      for (const { plan } of Object.values(specs)) {
        for (const { context, event = "", properties = {}, type } of messages) {
          if (type !== "track" || plan.definition.events?.[event] === undefined) continue
          seen.add(event)
          const example = { event, properties, ...(context === undefined ? {} : { context }) }
          assert.deepStrictEqual(yield* violations(plan, example), [])
        }
      }
      assert.isAbove(seen.size, 10)
    })
  )
})

describe("the ready plans", () => {
  it.each(Object.entries(specs))(
    "%s says the same to an editor and to those who read its exports",
    (name, { plan }) => {
      const source = fs.readFileSync(new URL(`${name}.ts`, folder), "utf8")
      assert.strictEqual(source, withDocstrings(source), "run: npm run spec-docs")
      const docstrings = Array.from(source.matchAll(/^ +\/\*\* (.*) \*\/$/gm), ([, text]) => text)
      const exported = new Set(
        Array.from(JSON.stringify(PlanJson.toJson(plan)).matchAll(descriptions)).map(([, text]) =>
          JSON.parse(text ?? "")
        )
      )
      assert.isNotEmpty(docstrings)
      assert.sameMembers([...exported], [...new Set(docstrings)])
      for (const { description } of PlanJson.toJson(plan).rules.events) {
        assert.isNotEmpty(description)
      }
    }
  )

  it("have the context that the specification describes", () => {
    assert.deepStrictEqual(Object.keys(B2bSaas.context.fields), ["groupId"])
    assert.deepStrictEqual(Object.keys(Email.context.fields), ["ip", "user_agent", "traits"])
  })

  it.effect("one event of them is an event of a plan of your own", () =>
    Effect.gen(function* () {
      const plan = TrackingPlan.make({ events: { "Order Completed": Ecommerce.events["Order Completed"] } })
      yield* plan.track("Order Completed", { order_id: "o1", total: 30, products: [{ sku: "G-32" }] }, { userId: "u1" })
      // @ts-expect-error a total is a number
      const refused = yield* reasonOf(plan.track("Order Completed", { total: "30" }, { userId: "u1" }))
      assert.strictEqual(refused._tag, "PlanViolation")
    }).pipe(Effect.provide(AnalyticsTest.layer()))
  )
})
