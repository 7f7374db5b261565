/** A first plan from what a program sends. */
import * as fs from "node:fs"
import { createServer } from "node:http"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as Shop from "../examples/Shop.ts"
import * as Visitors from "../examples/visitors.ts"
import * as Analytics from "../src/Analytics.ts"
import * as AnalyticsTest from "../src/AnalyticsTest.ts"
import type { Data } from "../src/internal/Json.ts"
import * as PlanCode from "../src/TrackingPlan/codegen.ts"
import * as PlanJson from "../src/TrackingPlan/json.ts"
import * as TrackingPlan from "../src/TrackingPlan.ts"

const who = { userId: "u1" }
const secret = "p@initech.com"

/** A program that has no plan. */
const shop = Effect.gen(function* () {
  const analytics = yield* Analytics.Analytics
  yield* analytics.identify({ ...who, traits: { name: "Peter", email: secret } })
  yield* analytics.page({ ...who, name: "Pricing", properties: { currency: "EUR" } })
  const order = { order_id: "o1", total: 30, paid_at: new Date(0), lines: [{ sku: "a", count: 1 }] }
  yield* analytics.track({ ...who, event: "Order Completed", properties: order })
  yield* analytics.track({
    ...who,
    event: "Order Completed",
    properties: { ...order, total: 39.95, coupon: null, lines: [{ sku: "b", count: 2, gift: true }] }
  })
  yield* analytics.track({ ...who, event: "Signed Out" })
  yield* analytics.alias({ ...who, previousId: "a1" })
  yield* analytics.flush
})

describe("TrackingPlan.observe", () => {
  it.effect("records what goes through a client, and writes the plan that all of it keeps", () => {
    const observed = TrackingPlan.observe({ name: "Shop" })
    return Effect.gen(function* () {
      yield* shop
      const messages = yield* (yield* AnalyticsTest.Sent).messages
      assert.strictEqual(messages.length, 6)
      const plan = PlanJson.fromJson(observed.toJson(), { strict: true })
      for (const message of messages) assert.deepStrictEqual(plan.violations(message), [])
      assert.deepStrictEqual(observed.toJson(), {
        display_name: "Shop",
        rules: {
          events: [
            {
              name: "Pricing",
              eventType: "page",
              rules: rules("properties", {
                type: "object",
                properties: { currency: { type: "string" } },
                required: ["currency"]
              })
            },
            {
              name: "Order Completed",
              rules: rules("properties", {
                type: "object",
                properties: {
                  order_id: { type: "string" },
                  total: { type: "number" },
                  paid_at: { type: "string", format: "date-time" },
                  lines: {
                    type: "array",
                    items: {
                      type: "object",
                      properties: { sku: { type: "string" }, count: { type: "integer" }, gift: { type: "boolean" } },
                      required: ["sku", "count"]
                    }
                  },
                  coupon: { type: "null" }
                },
                required: ["order_id", "total", "paid_at", "lines"]
              })
            },
            { name: "Signed Out", rules: rules("properties", { type: "object" }) }
          ],
          identify: rules("traits", {
            type: "object",
            properties: { name: { type: "string" }, email: { type: "string" } },
            required: ["name", "email"]
          })
        }
      })
      assert.notInclude(JSON.stringify(observed.toJson()), secret)
      assert.include(PlanCode.generate(observed.toJson()), '"Order Completed": Schema.Struct({')
    }).pipe(Effect.provide(Layer.provideMerge(observed.layer, AnalyticsTest.layer())))
  })

  it.live("writes the first plan of the example shop, which all that it sends keeps", () => {
    const observed = TrackingPlan.observe({ name: "Tea" })
    const server = NodeHttpServer.layer(createServer, { host: "127.0.0.1", port: 0 })
    const visits = Effect.gen(function* () {
      const { address } = yield* HttpServer.HttpServer
      yield* Visitors.visit({ url: HttpServer.formatAddress(address), requests: 120, onAnswer: () => {} })
    }).pipe(Effect.provide(Layer.provideMerge(Shop.layer, server)))
    return Effect.gen(function* () {
      yield* visits
      yield* (yield* Analytics.Analytics).flush
      const messages = yield* (yield* AnalyticsTest.Sent).messages
      const plan = PlanJson.fromJson(observed.toJson(), { strict: true })
      assert.includeMembers(Object.keys(plan.definition.events ?? {}), [
        "Products Searched",
        "Product Viewed",
        "Signed Up"
      ])
      for (const message of messages) assert.deepStrictEqual(plan.violations(message), [])
      const viewed = { type: "track", event: "Product Viewed", properties: { sku: 1 } }
      assert.sameMembers(
        plan.violations(viewed).map(({ kind, path }) => `${kind} ${path.join(".")}`),
        ["required properties.price", "type properties.sku"]
      )
      const source = PlanCode.generate(observed.toJson())
      assert.match(
        source,
        /"Product Viewed": Schema\.Struct\(\{\n +sku: Schema\.String,\n +price: Schema\.Finite\n +\}\)/
      )
    }).pipe(Effect.provide([Layer.provideMerge(observed.layer, AnalyticsTest.layer()), FetchHttpClient.layer]))
  })

  it("records messages that were kept elsewhere, here those of the documentation", () => {
    const observed = TrackingPlan.observe()
    const file = new URL("fixtures/spec-messages.ndjson", import.meta.url)
    const messages = fs.readFileSync(file, "utf8").split("\n").filter(Boolean)
    for (const line of messages) observed.record(JSON.parse(line))
    const plan = PlanJson.fromJson(observed.toJson(), { strict: true })
    for (const line of messages) {
      const message = JSON.parse(line)
      const data = message.type === "identify" || message.type === "group" ? "traits" : "properties"
      assert.deepStrictEqual(plan.violations({ ...message, [data]: message[data] ?? {} }), [])
    }
    assert.isAbove(Object.keys(plan.definition.events ?? {}).length, 10)
  })

  it("names that are data are forgotten, and memory is bounded", () => {
    const observed = TrackingPlan.observe({ maxEvents: 3, maxProperties: 6 })
    for (let n = 0; n < 10; n++) {
      observed.record({ type: "track", event: "Scored", properties: { scores: { [`${n}${secret}`]: n } } })
      observed.record({ type: "track", event: "Nested", properties: { all: { [`${n}`]: { a: n, b: { c: [n] } } } } })
      observed.record({ type: "track", event: `Event ${n}`, properties: {} })
    }
    const json = JSON.stringify(observed.toJson())
    assert.notInclude(json, secret)
    const { events } = PlanJson.fromJson(observed.toJson()).definition
    assert.deepStrictEqual(Object.keys(events ?? {}), ["Scored", "Nested", "Event 0"])
    assert.include(json, '"scores":{"type":"object","additionalProperties":{"type":"integer"}}')
    assert.include(json, '"b":{"type":"object","properties":{"c":{"type":"array","items":{"type":"integer"}}}')
  })

  it("keeps at most maxProperties of one event, at all levels together, and a plan that all of it keeps", () => {
    const wide = (levels: number): object =>
      levels === 0 ? { x: 1 } : Object.fromEntries(["a", "b", "c"].map((name) => [name, wide(levels - 1)]))
    const deep = (levels: number): object =>
      levels === 0 ? [1] : levels % 2 ? [deep(levels - 1)] : { x: deep(levels - 1) }
    // A record and a list at the same place, so that no object has two names.
    const both = (levels: number): object =>
      levels === 0 ? [1] : [{ x: both(levels - 1) }, [both(levels - 1)], [[both(levels - 1)]]]
    const messages = [wide(6), { x: deep(300) }, { x: both(5) }, {}].map((properties, n) => ({
      type: "track",
      event: `Event ${n % 3}`,
      properties
    })) as ReadonlyArray<Data>
    const observed = TrackingPlan.observe({ maxProperties: 50 })
    for (const message of messages) observed.record(message)
    for (const { rules } of (observed.toJson() as { rules: { events: ReadonlyArray<{ rules: object }> } }).rules
      .events) {
      // One type for each, and for the rules and the properties as a whole.
      assert.isAtMost(JSON.stringify(rules).match(/"type"/g)?.length ?? 0, 52)
    }
    const plan = PlanJson.fromJson(observed.toJson(), { strict: true })
    for (const message of messages) assert.deepStrictEqual(plan.violations(message), [])
  })
})

const rules = (key: string, data: object) => ({
  $schema: "http://json-schema.org/draft-07/schema#",
  type: "object",
  properties: { context: {}, traits: {}, properties: {}, [key]: data }
})
