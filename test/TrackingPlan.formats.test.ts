/** The shapes that plans have elsewhere, as their public documentation shows them: read, checked, and written as they were. */
import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import * as PlanDiff from "../src/TrackingPlan/diff.ts"
import * as PlanJson from "../src/TrackingPlan/json.ts"
import * as TrackingPlan from "../src/TrackingPlan.ts"

const draft07 = "http://json-schema.org/draft-07/schema#"

/** A list of rules, as Segment's Public API answers. */
const segmentApi = {
  name: "Shop",
  rules: [
    {
      type: "TRACK",
      key: "Order Completed",
      version: 1,
      createdAt: "2026-01-01T00:00:00.000Z",
      jsonSchema: {
        $schema: draft07,
        type: "object",
        labels: {},
        properties: {
          context: {},
          traits: {},
          properties: {
            type: "object",
            properties: { order_id: { id: "/properties/properties/properties/order_id", type: "string" } },
            required: ["order_id"]
          }
        }
      }
    },
    {
      type: "IDENTIFY",
      version: 1,
      jsonSchema: {
        $schema: draft07,
        type: "object",
        properties: { traits: { type: "object", properties: { email: { type: "string" } }, required: ["email"] } }
      }
    },
    {
      type: "COMMON",
      version: 1,
      jsonSchema: { type: "object", properties: { context: { type: "object", required: ["app"] } } }
    }
  ]
}

/** As RudderStack's API for tracking plans has it. */
const rudderStack = {
  display_name: "Shop",
  version: 3,
  rules: {
    events: [
      {
        id: "ev_1",
        name: "Order Completed",
        description: "Paid.",
        eventType: "track",
        categoryId: null,
        rules: {
          $schema: draft07,
          type: "object",
          properties: {
            properties: {
              type: "object",
              properties: { order_id: { type: ["string"] }, total: { type: ["number", "null"] } },
              required: ["order_id"],
              additionalProperties: false
            }
          },
          required: ["properties"]
        }
      },
      {
        name: "",
        eventType: "identify",
        rules: { type: "object", properties: { traits: { type: "object", required: ["email"] } } }
      }
    ]
  }
}

/** An export of Avo: draft-06, with names for destinations beside the properties. */
const avo = {
  name: "Exported Tracking Plan: main",
  events: [
    {
      id: "C3XnUJ3kRq",
      name: "Order Completed",
      description: "Sent when an order is paid.",
      triggers: [],
      tags: ["Tier 1"],
      categories: ["ujPLZEoj9"],
      sources: [{ id: "Z8siDew5I", name: "Web", implementWithCodegen: true, destinations: [] }],
      rules: {
        $schema: "http://json-schema.org/draft-06/schema#",
        type: "object",
        required: ["properties", "nameMapping"],
        properties: {
          properties: {
            type: "object",
            properties: {
              order_id: {
                id: "_",
                description: "The id.",
                type: "string",
                nameMapping: [{ name: "Order Id", destinationId: "all" }]
              },
              payment: { id: "_", description: "", type: "string", enum: ["card", "invoice"] }
            },
            additionalProperties: false,
            required: ["order_id", "payment"]
          }
        },
        nameMapping: [{ name: "Order Paid", destinationId: "all" }]
      }
    }
  ]
}

/** Event types and event properties, as Amplitude's Taxonomy API answers. */
const property = (more: object) => ({
  event_type: "Order Completed",
  description: "",
  regex: null,
  enum_values: null,
  is_array_type: false,
  is_required: false,
  ...more
})
const amplitude = {
  events: [
    { event_type: "Order Completed", category: { name: "Shop" }, description: "Paid." },
    { event_type: "Signed Up", category: null, description: "" }
  ],
  properties: [
    property({ event_property: "order_id", type: "string", regex: "^o[0-9]+$", is_required: true }),
    property({ event_property: "payment", type: "enum", enum_values: "card, invoice" }),
    property({ event_property: "skus", type: "string", is_array_type: true }),
    property({ event_property: "anything", type: "any" }),
    property({ event_property: "plan", event_type: "Signed Up", type: "string" })
  ]
}

/** A folder of schemas, in two drafts. */
const folder = {
  "order-completed.schema.json": {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "Order Completed",
    description: "Paid.",
    type: "object",
    properties: { order_id: { type: "string" }, lines: { type: "array", items: { $ref: "#/$defs/line" } } },
    required: ["order_id"],
    dependentRequired: { lines: ["order_id"] },
    $defs: { line: { type: "object", required: ["sku"] } }
  },
  "events/Signed Up.json": { $schema: draft07, type: "object", properties: { plan: { enum: ["free", "pro"] } } }
}

const found = (plan: TrackingPlan.AnyPlan, properties: object, event = "Order Completed") =>
  plan
    .violations({ type: "track", event, properties, context: { app: {} } })
    .map(({ kind, path }) => `${kind} ${path.join(".")}`)

describe("plans from elsewhere", () => {
  it("Segment's Public API", () => {
    const plan = PlanJson.fromJson(segmentApi, { strict: true })
    assert.deepStrictEqual(found(plan, { order_id: "o1" }), [])
    assert.deepStrictEqual(found(plan, {}), ["required properties.order_id"])
    assert.deepStrictEqual(
      plan.violations({ type: "identify", traits: {}, context: {} }).map(({ path }) => path.join(".")),
      ["traits.email", "context.app"]
    )
    assert.deepStrictEqual<unknown>(PlanJson.toJson(plan, { format: "segment-api" }), segmentApi)
  })

  it("RudderStack", () => {
    const plan = PlanJson.fromJson(rudderStack, { strict: true })
    assert.deepStrictEqual(found(plan, { order_id: "o1", total: null }), [])
    assert.deepStrictEqual(found(plan, { order_id: "o1", more: 1 }), ["unexpected properties.more"])
    assert.deepStrictEqual<unknown>(PlanJson.toJson(plan, { format: "rudderstack" }), rudderStack)
  })

  it("Avo", () => {
    const plan = PlanJson.fromJson(avo, { strict: true })
    assert.strictEqual(plan.definition.name, "Exported Tracking Plan: main")
    assert.deepStrictEqual(found(plan, { order_id: "o1", payment: "card" }), [])
    assert.deepStrictEqual(found(plan, { order_id: "o1", payment: "cash" }), ["value properties.payment"])
    assert.deepStrictEqual<unknown>(PlanJson.toJson(plan, { format: "avo" }), avo)
  })

  it("Amplitude", () => {
    const plan = PlanJson.fromJson(amplitude, { strict: true })
    assert.deepStrictEqual(found(plan, { order_id: "o1", payment: "card", skus: ["a"], anything: [1] }), [])
    assert.sameMembers(found(plan, { order_id: "1", payment: "cash", skus: [1] }), [
      "value properties.order_id",
      "value properties.payment",
      "type properties.skus.0"
    ])
    assert.deepStrictEqual(found(plan, { plan: 1 }, "Signed Up"), ["type properties.plan"])
    assert.deepStrictEqual<unknown>(PlanJson.toJson(plan, { format: "amplitude" }), amplitude)
    // The responses as they are.
    const responses = Object.fromEntries(Object.entries(amplitude).map(([key, data]) => [key, { success: true, data }]))
    assert.deepStrictEqual(PlanDiff.diff(amplitude, responses).changes, [])
  })

  it("a folder of single schemas", () => {
    const plan = PlanJson.fromSchemas(folder, { strict: true })
    assert.deepStrictEqual(Object.keys(plan.definition.events ?? {}), ["Order Completed", "Signed Up"])
    assert.deepStrictEqual(found(plan, { order_id: "o1", lines: [{ sku: "a" }] }), [])
    assert.deepStrictEqual(found(plan, { order_id: "o1", lines: [{}] }), ["required properties.lines.0.sku"])
    assert.deepStrictEqual(found(plan, { plan: "gold" }, "Signed Up"), ["value properties.plan"])
    const signedUp = { title: "Signed Up", ...folder["events/Signed Up.json"] }
    assert.deepStrictEqual<unknown>(PlanJson.toSchemas(plan), { ...folder, "events/Signed Up.json": signedUp })
    const [problem] = PlanJson.fromSchemas({ "a.json": "none" }).problems
    assert.deepInclude(problem, { event: "a", problem: "rules must be an object" })
  })

  it("a plan of any of them is a plan of any other, as far as that has words for it", () => {
    const made = TrackingPlan.make({
      name: "Shop",
      events: {
        "Order Completed": Schema.Struct({
          order_id: Schema.String.annotate({ description: "The id" }),
          payment: Schema.optionalKey(Schema.Literals(["card", "invoice"])),
          skus: Schema.optionalKey(Schema.Array(Schema.String))
        }).annotate({ description: "Paid.", owner: "checkout" })
      },
      traits: Schema.Struct({ name: Schema.String })
    })
    const plans = [made, PlanJson.fromJson(segmentApi), PlanJson.fromJson(avo), PlanJson.fromSchemas(folder)]
    for (const plan of plans) {
      for (const format of ["segment", "segment-api", "rudderstack"] as const) {
        const again = PlanJson.fromJson(PlanJson.toJson(plan, { format }), { strict: true })
        // The Config API has no place for the version of traits.
        const changes = PlanDiff.diff(plan, again).changes.filter(({ detail }) => !detail.startsWith("planVersion"))
        assert.deepStrictEqual(changes, [], format)
      }
      const events = { definition: { events: plan.definition.events } }
      const viaAvo = PlanJson.fromJson(PlanJson.toJson(events, { format: "avo" }), { strict: true })
      assert.deepStrictEqual(PlanDiff.diff(TrackingPlan.make(events.definition), viaAvo).changes, [])
    }
    const viaAmplitude = PlanJson.fromJson(PlanJson.toJson(made, { format: "amplitude" }), { strict: true })
    assert.deepStrictEqual(found(viaAmplitude, { order_id: "o1", payment: "card", skus: ["a"] }), [])
    assert.lengthOf(found(viaAmplitude, { payment: "cash", skus: [1] }), 3)
  })
})
