import { execFileSync, spawnSync } from "node:child_process"
import * as fs from "node:fs"
import { createRequire } from "node:module"
import * as os from "node:os"
import * as path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Analytics from "../src/Analytics.ts"
import * as AnalyticsTest from "../src/AnalyticsTest.ts"
import * as Ecommerce from "../src/spec/Ecommerce.ts"
import * as Video from "../src/spec/Video.ts"
import * as PlanCode from "../src/TrackingPlan/codegen.ts"
import * as PlanDiff from "../src/TrackingPlan/diff.ts"
import * as PlanJson from "../src/TrackingPlan/json.ts"
import * as TrackingPlan from "../src/TrackingPlan.ts"
import { reasonOf } from "./errors.ts"
import { type Line, layerLog } from "./support.ts"

const draft07 = "http://json-schema.org/draft-07/schema#"

/** A plan as it is kept at Segment: the schemas of whole messages. */
const protocols = {
  display_name: "Shop",
  version: 4,
  rules: {
    events: [
      {
        name: "Order Completed",
        description: "A customer has paid.\nNot sent for */ free orders.",
        version: 2,
        labels: { owner: "checkout", since: "2.1" },
        rules: {
          $schema: draft07,
          type: "object",
          properties: {
            context: {},
            traits: {},
            properties: {
              type: "object",
              properties: {
                order_id: { type: "string", description: "The id of the order, as customers see it in their mail" },
                total: { type: "number", minimum: 0, deprecated: true },
                currency: { type: "string", enum: ["EUR", "USD"] },
                email: { type: "string", format: "email", pii: true },
                "gift wrap": { type: "boolean" },
                products: {
                  type: "array",
                  items: {
                    type: "object",
                    properties: {
                      sku: { type: "string", pattern: "^[A-Z]{1,3}-[0-9]+$", description: "As in the catalogue" },
                      quantity: { type: "integer", minimum: 1 }
                    },
                    required: ["sku"],
                    additionalProperties: true
                  }
                }
              },
              required: ["order_id", "products"],
              additionalProperties: true
            }
          }
        }
      },
      {
        name: "Signed Up",
        labels: { deprecated: "say Account Created" },
        rules: {
          $schema: draft07,
          type: "object",
          properties: {
            context: {},
            traits: {},
            properties: {
              type: "object",
              properties: { plan: { type: "string" } },
              additionalProperties: false
            }
          }
        }
      }
    ],
    identify: {
      $schema: draft07,
      type: "object",
      properties: {
        context: {},
        traits: {
          type: "object",
          properties: { email: { type: "string" } },
          required: ["email"],
          additionalProperties: true
        },
        properties: {}
      }
    },
    global: {
      $schema: draft07,
      type: "object",
      properties: {
        context: {
          type: "object",
          properties: {
            device: { type: "object", properties: { id: { type: "string" } }, additionalProperties: true }
          },
          required: ["device"],
          additionalProperties: true
        },
        traits: {},
        properties: {}
      }
    }
  }
}

/** As much of the rules of an event as tests look at. */
interface Draft {
  readonly properties: { readonly properties: { readonly required?: ReadonlyArray<string> } }
}

/** An event with these properties, in the least words. */
const event = (name: string, properties: object) => ({ name, rules: { properties: { properties } } })

/** A plan as it is kept at RudderStack: everything is an event, and what is not `track` needs no name. */
const rudder = (() => {
  const of = (key: "traits" | "properties", fields: object) => ({
    $schema: draft07,
    type: "object",
    properties: {
      context: {},
      traits: {},
      properties: {},
      [key]: { type: "object", properties: fields, required: Object.keys(fields), additionalProperties: true }
    }
  })
  const text = { type: "string" }
  return {
    display_name: "Shop",
    version: 10,
    rules: {
      events: [
        { name: "Seen", eventType: "track", description: "Somebody looked.", rules: of("properties", { what: text }) },
        { name: "Pricing", eventType: "page", rules: of("properties", { currency: text }) },
        { name: "", eventType: "page", rules: of("properties", { path: text }) },
        { name: "", eventType: "screen", rules: of("properties", { tab: text }) },
        {
          name: "",
          eventType: "identify",
          description: "Who it is.",
          version: 2,
          rules: of("traits", { email: text })
        },
        { name: "", eventType: "group", rules: of("traits", { plan: text }) }
      ]
    }
  }
})()

/** How a call fares with a plan. */
const verdict = (plan: TrackingPlan.Plan, event: string, properties: object, context: object = { device: {} }) =>
  Effect.gen(function* () {
    const analytics = yield* Analytics.Analytics
    return yield* Effect.match(analytics.track({ userId: "u1", event, properties, context }), {
      onFailure: ({ message }) => message.split(": ")[0],
      onSuccess: () => "accepted"
    })
  }).pipe(
    Effect.provide(Layer.provide(plan.layer({ pii: "keep", unplanned: "fail" }), AnalyticsTest.layer()), {
      local: true
    })
  )

describe("PlanJson.fromJson", () => {
  it.effect("a plan from elsewhere checks calls", () =>
    Effect.gen(function* () {
      const plan = PlanJson.fromJson(protocols)
      const said = (properties: object) => verdict(plan, "Order Completed", properties)
      const at = (where: string) => `track "Order Completed" breaks the tracking plan (version 2) at ${where}`
      assert.strictEqual(yield* said({ order_id: "o1", products: [], more: 1 }), "accepted")
      assert.strictEqual(yield* said({ products: [] }), at("properties.order_id"))
      assert.strictEqual(
        yield* said({ order_id: "o1", products: [{ sku: "G-1" }, { sku: "-" }] }),
        at("properties.products[1].sku")
      )
      assert.strictEqual(yield* said({ order_id: "o1", products: [], total: -1 }), at("properties.total"))
      assert.strictEqual(yield* said({ order_id: "o1", products: [], currency: "CHF" }), at("properties.currency"))
      const strict = yield* verdict(plan, "Signed Up", { plan: "pro", more: 1 })
      assert.strictEqual(strict, `track "Signed Up" breaks the tracking plan (version 4) at properties.more`)
      const context = yield* verdict(plan, "Signed Up", {}, {})
      assert.strictEqual(context, `track "Signed Up" breaks the tracking plan (version 4) at context.device`)
      assert.strictEqual(yield* verdict(plan, "Other", {}), `track "Other" breaks the tracking plan`)
    })
  )

  it("out again it is the same", () => {
    assert.deepStrictEqual(PlanJson.toJson(PlanJson.fromJson(protocols)) as unknown, protocols)
  })

  it.effect("a plan of RudderStack checks all its calls", () =>
    Effect.gen(function* () {
      const plan = PlanJson.fromJson(rudder)
      const who = { userId: "u1" }
      yield* Effect.gen(function* () {
        const analytics = yield* Analytics.Analytics
        yield* analytics.identify({ ...who, traits: { email: "x" } })
        yield* analytics.group({ ...who, groupId: "g", traits: { plan: "pro" } })
        yield* analytics.page({ ...who, name: "Pricing", properties: { currency: "EUR" } })
        yield* analytics.page({ ...who, name: "About", properties: { path: "/" } })
        yield* analytics.screen({ ...who, properties: { tab: "1" } })
        const errors = yield* Effect.all([
          reasonOf(analytics.identify(who)),
          reasonOf(analytics.group({ ...who, groupId: "g" })),
          reasonOf(analytics.page({ ...who, name: "Pricing", properties: { path: "/" } })),
          reasonOf(analytics.page(who)),
          reasonOf(analytics.screen({ ...who, name: "Home" }))
        ])
        assert.deepStrictEqual(
          errors.map(({ message }) => message),
          [
            "identify breaks the tracking plan (version 2) at traits.email: Missing key",
            "group breaks the tracking plan (version 10) at traits.plan: Missing key",
            `page "Pricing" breaks the tracking plan (version 10) at properties.currency: Missing key`,
            "page breaks the tracking plan (version 10) at properties.path: Missing key",
            `screen "Home" breaks the tracking plan (version 10) at properties.tab: Missing key`
          ]
        )
      }).pipe(Effect.provide(Layer.provide(plan.layer({ unplanned: "fail" }), Analytics.layerStub())))
    })
  )

  it("out again it is the same, for RudderStack; for Segment what it says of traits is elsewhere", () => {
    const plan = PlanJson.fromJson(rudder)
    assert.deepStrictEqual(PlanJson.toJson(plan, { format: "rudderstack" }) as unknown, rudder)
    const segment = PlanJson.toJson(plan)
    assert.deepStrictEqual(
      segment.rules.events.map(({ name }) => name),
      ["Seen", "Pricing", "", ""]
    )
    assert.deepStrictEqual(Object.keys(segment.rules), ["events", "identify", "group"])
    assert.deepStrictEqual(PlanDiff.diff(rudder, segment).breaking, false)
    const back = PlanJson.toJson(PlanJson.fromJson(protocols), { format: "rudderstack" })
    assert.deepStrictEqual(PlanDiff.diff(protocols, back).breaking, false)
  })

  it.effect("traits that RudderStack keeps in the context, or among the properties, are traits", () =>
    Effect.gen(function* () {
      const traits = { type: "object", properties: { email: { type: "string" } }, required: ["email"] }
      for (const properties of [{ context: { properties: { traits } } }, { properties: traits }]) {
        const plan = PlanJson.fromJson({ rules: { events: [{ eventType: "identify", rules: { properties } }] } })
        const identify = Analytics.Analytics.use((analytics) => analytics.identify({ userId: "u1" }))
        const error = yield* reasonOf(identify).pipe(
          Effect.provide(Layer.provide(plan.layer(), Analytics.layerStub()), { local: true })
        )
        assert.deepInclude(error, { path: ["traits", "email"] })
      }
    })
  )

  it("the ready plans come back as they went, in both dialects", () => {
    for (const { plan } of [Ecommerce, Video]) {
      for (const dialect of ["draft-07", "draft-2020-12"] as const) {
        const once = PlanJson.toJson(plan, { dialect })
        const twice = PlanJson.toJson(PlanJson.fromJson(once), { dialect })
        assert.deepStrictEqual(PlanDiff.diff(once, twice), { breaking: false, changes: [] })
      }
    }
  })

  it.effect("reads a list of rules, pages of RudderStack, and of several versions the newest", () =>
    Effect.gen(function* () {
      const rules = (type: string) => ({ properties: { properties: { type: "object", properties: { a: { type } } } } })
      const list = PlanJson.fromJson({
        rules: [
          { type: "TRACK", key: "Seen", version: 1, jsonSchema: rules("string") },
          { type: "TRACK", key: "Seen", version: 2, jsonSchema: rules("number") },
          { type: "IDENTIFY", jsonSchema: { properties: { traits: { type: "object", required: ["a"] } } } },
          { type: "PAGE", key: "Home", version: 1, jsonSchema: rules("boolean") }
        ]
      })
      assert.strictEqual(yield* verdict(list, "Seen", { a: 1 }), "accepted")
      assert.match((yield* verdict(list, "Seen", { a: "1" })) ?? "", /properties.a/)
      assert.isDefined(list.definition.traits)
      assert.deepStrictEqual(Object.keys(list.definition.pages ?? {}), ["Home"])
      const events = [{ name: "Home", eventType: "page", rules: rules("boolean") }]
      const rudder = PlanJson.fromJson({ rules: { events } })
      assert.deepStrictEqual(Object.keys(rudder.definition.pages ?? {}), ["Home"])
      assert.deepStrictEqual(Object.keys(rudder.definition.events ?? {}), [])
    })
  )

  it.effect("what is required and not described may be anything, but must be there", () =>
    Effect.gen(function* () {
      const properties = (more: object) => ({ type: "object", properties: { b: { type: "number" } }, ...more })
      const nested = properties({ required: ["a"] })
      const plan = PlanJson.fromJson({
        rules: {
          events: [
            event("Open", nested),
            event("Closed", properties({ required: ["a"], additionalProperties: false })),
            event("Only", { type: "object", required: ["a"] }),
            event("Nested", { type: "object", properties: { in: nested }, required: ["in"] })
          ]
        }
      })
      for (const name of ["Open", "Closed", "Only"]) {
        assert.strictEqual(yield* verdict(plan, name, { a: { x: [1] }, b: 1 }), "accepted")
        assert.match((yield* verdict(plan, name, { b: 1 })) ?? "", /at properties\.a$/)
      }
      assert.strictEqual(yield* verdict(plan, "Nested", { in: { a: "1" } }), "accepted")
      assert.match((yield* verdict(plan, "Nested", { in: {} })) ?? "", /at properties\.in\.a$/)
      assert.match((yield* verdict(plan, "Closed", { a: 1, c: 1 })) ?? "", /at properties\.c$/)
      const open = PlanJson.toJson(plan).rules.events[0]?.rules as unknown as Draft
      assert.deepStrictEqual(open.properties.properties.required, ["a"])
    })
  )

  it.effect.each([
    ["^[\\w-.]+$", "a-b.c", "a b"],
    ["^[\\w-]+@[a-z\\d-]+\\.com$", "a-b@c-1.com", "a b@c.com"],
    ["^\\+?\\d{3}\\-\\d{4}$", "+555-1234", "5551234"],
    ["^\\_\\@\\#\\ \\'\\:$", "_@# ':", "_@#"],
    ["^{[^}]*}$", "{id}", "id"],
    ["^]$", "]", "["],
    ["^a{,2}$", "a{,2}", "aa"],
    ["^[\\-\\/\\]]{2}$", "-]", "--]"],
    ["^\\p{Lu}\\u0061$", "Ba", "ba"]
  ] as const)("a pattern that is legal without the flag u is read as it is meant: %s", ([pattern, good, bad]) =>
    Effect.gen(function* () {
      const plan = PlanJson.fromJson({
        rules: { events: [event("Seen", { type: "object", properties: { a: { type: "string", pattern } } })] }
      })
      assert.strictEqual(yield* verdict(plan, "Seen", { a: good }), "accepted")
      assert.match((yield* verdict(plan, "Seen", { a: bad })) ?? "", /at properties\.a$/)
      const json = PlanJson.toJson(plan)
      assert.include(JSON.stringify(json), `"pattern":`)
      assert.deepStrictEqual(PlanJson.toJson(PlanJson.fromJson(json)), json)
    })
  )

  it.effect.each([
    ["numbers", [9, 10, 2]],
    ["texts of numbers", ["9", "10", "2"]],
    ["numbers with dots", ["1.9", "1.10", "1.2.30"]],
    ["schema versions", ["1-0-9", "1-0-10", "1-0-0"]],
    ["dates", ["2026-01-09", "2026-01-10", "2025-12-31"]],
    ["one without", [null, 1, undefined]]
  ] as const)("of several versions the newest, where they are %s", ([, versions]) =>
    Effect.gen(function* () {
      const types = ["string", "number", "boolean"]
      const events = versions.map((version, index) => ({
        ...event("Seen", { type: "object", properties: { a: { type: types[index] } } }),
        ...(version === undefined ? {} : { version })
      }))
      for (const order of [events, events.toReversed()]) {
        const plan = PlanJson.fromJson({ rules: { events: order } })
        assert.strictEqual(yield* verdict(plan, "Seen", { a: 1 }), "accepted")
        assert.notStrictEqual(yield* verdict(plan, "Seen", { a: "1" }), "accepted")
      }
    })
  )

  it("an event that cannot be read is a problem by name, path and reason", () => {
    const properties = (a: unknown) => event("Seen", { type: "object", properties: { a } })
    const cases: ReadonlyArray<readonly [event: unknown, message: string]> = [
      [
        properties({ type: "string", pattern: "(" }),
        'Seen/properties/a/pattern: the pattern "(" is no regular expression'
      ],
      [
        properties({ $ref: "https://example.com/address.json" }),
        "Seen/properties/a/$ref: refers to another document, https://example.com/address.json: put it into this one"
      ],
      [properties({ $ref: "#/definitions/B" }), "Seen/properties/a/$ref: refers to #/definitions/B, and there is none"],
      [properties({ type: "text" }), /^Seen\/properties\/a\/type: must be one of array, boolean/],
      [properties({ type: "string", minLength: "1" }), "Seen/properties/a/minLength: must be a count"],
      [properties({ exclusiveMinimum: true }), "Seen/properties/a/exclusiveMinimum: must be a number"],
      [properties("string"), "Seen/properties/a: must be an object, true or false"],
      [event("Seen", { type: "object", pii: true }), "Seen: is marked as pii as a whole: mark its fields"],
      [{ name: "Seen", rules: [] }, "Seen: rules must be an object"],
      [{}, "event 1: every event must be an object with a name"],
      [null, "event 1: every event must be an object with a name"],
      [
        { name: "", eventType: "hover", rules: {} },
        "hover: eventType must be one of track, page, screen, identify, group"
      ]
    ] as never
    for (const [one, expected] of cases) {
      const json = { rules: { events: [one, event("Good", { type: "object", required: ["b"] })] } }
      const plan = PlanJson.fromJson(json)
      const [{ message } = { message: "" }, ...more] = plan.problems
      if (typeof expected === "string") assert.strictEqual(message, expected)
      else assert.match(message, expected)
      assert.deepStrictEqual(more, [])
      // The others are read, and checked.
      assert.strictEqual(plan.violations({ type: "track", event: "Good", properties: {} })[0]?.kind, "required")
      assert.throws(() => PlanJson.fromJson(json, { strict: true }), expected)
    }
    assert.throws(() => PlanJson.fromJson(null), "plan: must be an object")
    assert.throws(() => PlanJson.fromJson({}), "plan: rules must be an object or a list, or events a list")
  })

  it.effect("an event that cannot be read is planned and not checked, and the layer warns", () => {
    const lines: Array<Line> = []
    const remote = event("Seen", {
      type: "object",
      properties: { a: { $ref: "https://example.com/a.json" }, email: { type: "string", pii: "drop" } }
    })
    const plan = PlanJson.fromJson({ rules: { events: [remote] } })
    return Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      yield* analytics.track({ userId: "u1", event: "Seen", properties: { a: 1, email: "p@initech.com" } })
      yield* analytics.flush
      const [message] = yield* (yield* AnalyticsTest.Sent).messages
      // Marks are found all the same.
      assert.deepStrictEqual((message as { readonly properties?: unknown }).properties, { a: 1 })
      assert.deepStrictEqual(
        lines.filter(({ level }) => level !== "Debug").map(({ level, text }) => [level, text]),
        [
          [
            "Warn",
            "The tracking plan cannot be read at Seen/properties/a/$ref: refers to another document, https://example.com/a.json: put it into this one"
          ]
        ]
      )
    }).pipe(
      Effect.provide(
        Layer.provide(Layer.provideMerge(plan.layer({ unplanned: "fail" }), AnalyticsTest.layer()), layerLog(lines))
      )
    )
  })
})

describe("PlanJson.toJsonSchema", () => {
  const shape = Schema.Struct({
    at: Schema.DateTimeUtc.annotate({ description: "When" }),
    amount: Schema.BigDecimal.annotate({ pii: "hash" }),
    note: Schema.optional(Schema.String.annotate({ description: "Free" })),
    pair: Schema.optionalKey(Schema.Tuple([Schema.String, Schema.Int]))
  }).annotate({ strict: true })

  it("describes what is sent, in 2020-12 and in draft-07", () => {
    const properties = {
      at: { type: "string", description: "When", format: "date-time" },
      amount: { type: "string", pii: "hash" },
      note: { type: "string", description: "Free" }
    }
    const modern = PlanJson.toJsonSchema(shape)
    const old = PlanJson.toJsonSchema(shape, { dialect: "draft-07" })
    for (const schema of [modern, old]) {
      assert.deepInclude(schema, { type: "object", required: ["at", "amount"], additionalProperties: false })
      assert.deepInclude(schema.properties as object, properties)
    }
    assert.property((modern.properties as { readonly pair: object }).pair, "prefixItems")
    assert.isArray((old.properties as { readonly pair: { readonly items: unknown } }).pair.items)
  })

  it("a plain JSON Schema is a shape, in either dialect", () => {
    const at = { items: [{ type: "string" }], additionalItems: false, type: "array" }
    const old = PlanJson.fromJsonSchema({ $schema: draft07, type: "object", properties: { at } })
    const modern = PlanJson.fromJsonSchema({
      $schema: "https://json-schema.org/draft/2020-12/schema",
      type: "object",
      properties: { at: { type: "array", prefixItems: [{ type: "string" }], items: false } }
    })
    for (const one of [old, modern]) {
      const is = Schema.is(one)
      assert.isTrue(is({ at: ["x"] }))
      assert.isFalse(is({ at: [1] }))
      assert.isFalse(is({ at: ["x", "y"] }))
    }
  })

  it("definitions that several fields refer to, and that refer to themselves, come and go", () => {
    const address = {
      type: "object",
      properties: { city: { type: "string" } },
      required: ["city"],
      additionalProperties: true
    }
    const json = {
      $schema: draft07,
      type: "object",
      properties: { home: { $ref: "#/definitions/Address" }, work: { $ref: "#/definitions/Address" } },
      definitions: { Address: address }
    }
    const again = PlanJson.toJsonSchema(PlanJson.fromJsonSchema(json), { dialect: "draft-07" })
    assert.deepStrictEqual(again.definitions as unknown, { Address: address })
    const is = Schema.is(PlanJson.fromJsonSchema(json))
    assert.isFalse(is({ home: {} }))
    assert.isTrue(is({ home: { city: "Bern" }, work: { city: "Basel" } }))
  })
})

describe("a plan that goes round", () => {
  const roundTrip = (plan: TrackingPlan.AnyPlan, format: "segment" | "amplitude" | "avo") =>
    PlanJson.fromJson(PlanJson.toJson(plan, { format }))
  const call = (event: string, properties: object) => ({ type: "track", event, properties })

  it("by Amplitude keeps values that its lists can hold, and the type of others", () => {
    const plan = TrackingPlan.make({
      events: {
        Seen: Schema.Struct({
          size: Schema.Literals([1, 2]),
          kind: Schema.Literals(["a", "b"]),
          name: Schema.Literals(["a,b", "c"]),
          sure: Schema.Literal(true)
        })
      }
    })
    const again = roundTrip(plan, "amplitude")
    const right = { size: 1, kind: "b", name: "a,b", sure: true }
    assert.deepStrictEqual(again.violations(call("Seen", right)), [])
    assert.deepStrictEqual(
      again.violations(call("Seen", { ...right, kind: "c", size: "1" })).map(({ path }) => path.at(-1)),
      ["size", "kind"]
    )
    // A list beside a type of numbers is of texts there.
    const numbers = PlanJson.fromJson({
      events: [{ event_type: "Seen" }],
      properties: [{ event_type: "Seen", event_property: "n", type: "number", enum_values: "1,2" }]
    })
    assert.deepStrictEqual(numbers.violations(call("Seen", { n: 1 })), [])
  })

  it("by a folder of schemas keeps every event, and its name", () => {
    const shape = Schema.Struct({ n: Schema.Finite })
    const events = { 注文: shape, 登録: shape, "Signed Up": shape.annotate({ title: "A sign-up" }), "signed up": shape }
    const schemas = PlanJson.toSchemas(TrackingPlan.make({ events }))
    assert.deepStrictEqual(Object.keys(schemas), ["注文.json", "登録.json", "signed-up.json", "signed-up-2.json"])
    const again = PlanJson.fromSchemas(schemas)
    for (const name of Object.keys(events)) {
      assert.strictEqual(again.violations(call(name, { n: "1" })).length, 1, name)
      assert.deepStrictEqual(again.violations(call(name, { n: 1 })), [], name)
    }
  })

  it("from Segment says of traits what is sent, as of events", () => {
    const traits = { properties: { email: { type: "number", pii: true } }, required: ["email"] }
    const plan = PlanJson.fromJson({ rules: { events: [], identify: { properties: { traits } } } })
    const written = (pii: "hash" | "drop") => JSON.stringify(PlanJson.toJson(plan, { pii }).rules.identify)
    assert.include(written("hash"), '"type":"string"')
    assert.notInclude(JSON.parse(written("drop")).properties.traits.required ?? [], "email")
  })

  it("with labels that are no texts is read all the same", () => {
    const labels = { aliases: ["Joined", "Registered"], owner: 5, since: null }
    const plan = PlanJson.fromJson({ rules: { events: [{ ...event("Signed Up", {}), labels }] } })
    assert.deepStrictEqual(plan.problems, [])
    const [written] = PlanJson.toJson(plan).rules.events
    assert.deepInclude(written, { name: "Signed Up" })
  })
})

describe("PlanCode.generate", () => {
  const root = path.resolve(import.meta.dirname, "..")
  const bin = (name: string, file: string) =>
    path.join(path.dirname(createRequire(import.meta.url).resolve(`${name}/package.json`)), file)

  /** With definitions, some of which refer to themselves. */
  const withDefinitions = {
    ...protocols,
    rules: {
      ...protocols.rules,
      events: [
        ...protocols.rules.events,
        {
          name: "Tree Planted",
          rules: {
            $schema: draft07,
            properties: {
              properties: {
                type: "object",
                properties: { root: { $ref: "#/definitions/Node" }, place: { $ref: "#/definitions/A%20Place" } },
                required: ["root"]
              }
            },
            definitions: {
              "A Place": { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
              Node: {
                type: "object",
                properties: {
                  name: { type: "string" },
                  children: { type: "array", items: { $ref: "#/definitions/Node" } }
                },
                required: ["name"]
              }
            }
          }
        }
      ]
    }
  }

  /** Whose texts look like code, and whose schemas do not fit on a line. */
  const awkward = {
    rules: {
      events: [
        event("Said", {
          type: "object",
          properties: {
            code: {
              type: "string",
              enum: [
                "Schema.Number.check(Schema.isFinite())",
                "a: b, readonly c",
                '"x": ',
                "{ } [ ] ( )",
                "`1`",
                `it's a "b\\"`
              ]
            },
            twice: { type: "string", minLength: 1, maxLength: 9, description: "Two checks", pii: true },
            node: { $ref: "#/definitions/Node" }
          }
        })
      ].map((one) => ({
        ...one,
        rules: {
          ...one.rules,
          definitions: {
            Node: {
              type: "object",
              description: "One of many",
              properties: {
                kind: { enum: ["readonly x: y, readonly z", '"q": ', "a; b"] },
                "odd name": { type: "string" },
                constructor: { type: "number" },
                parent: { $ref: "#/definitions/Node" },
                children: { type: "array", items: { $ref: "#/definitions/Node" } },
                inner: { type: "object", properties: { left: { $ref: "#/definitions/Node" } }, required: ["left"] }
              },
              required: ["kind"]
            }
          }
        }
      }))
    }
  }

  /** Whose rules types cannot express. */
  const widestRules = {
    type: "object",
    properties: {
      id: { type: "string", pattern: "^[\\w-.]+$" },
      price: { type: "number", multipleOf: 0.01, description: "In euros" },
      open: {
        type: "object",
        properties: { a: { type: "string" } },
        patternProperties: { "^n_": { type: "number" } }
      },
      closed: { type: "object", properties: { a: { type: "string" } }, additionalProperties: false },
      pair: { type: "array", items: [{ type: "string" }, { type: "number" }] },
      either: {
        oneOf: [
          { type: "string", minLength: 3 },
          { type: "string", maxLength: 1 }
        ]
      },
      any: { minimum: 3 },
      not: { not: { type: "null" } }
    },
    dependencies: { id: ["price"] }
  }
  const list = { type: "array", items: { type: "string" } }
  const widest = { rules: { events: [event("Seen", widestRules), event("No object", list)] } }

  /** Defaults and examples of other types, words of other vocabularies, and definitions with the names of types. */
  const foreign = {
    rules: {
      events: [
        event("Seen", {
          type: "object",
          properties: {
            plan: { type: "string", default: null, examples: [1, {}] },
            count: { type: "integer", default: "none", since: 1, owner: { name: "a" }, aliases: "x", title: 5 },
            tree: { $ref: "#/$defs/string" }
          },
          required: ["plan"],
          examples: [{}],
          default: {},
          $defs: { string: { type: "object", properties: { inner: { $ref: "#/$defs/string" } } } }
        }),
        event("Own", JSON.parse('{"properties":{"__proto__":{"type":"string"}},"minProperties":1}'))
      ]
    }
  }

  const sources = {
    foreign: PlanCode.generate(foreign, { name: "foreign" }),
    awkward: PlanCode.generate(awkward, { name: "awkward" }),
    widest: PlanCode.generate(widest, { name: "widest" }),
    shop: PlanCode.generate(withDefinitions),
    ecommerce: PlanCode.generate(PlanJson.toJson(Ecommerce.plan), { name: "ecommerce" }),
    video: PlanCode.generate(PlanJson.toJson(Video.plan, { dialect: "draft-2020-12" }), { name: "video" })
  }

  /** Writes the modules, and one that uses them, where the library can be imported by its name. */
  const inFolder = <A>(use: (folder: string) => A): A => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), "plan-"))
    try {
      const modules = fs.realpathSync(path.join(root, "node_modules"))
      fs.mkdirSync(path.join(folder, "node_modules/effect-analytics"), { recursive: true })
      for (const name of ["effect", "@types", "typebox"])
        fs.symlinkSync(path.join(modules, name), path.join(folder, "node_modules", name))
      const manifest = { name: "effect-analytics", type: "module", exports: { "./*": `./src/*.ts` } }
      fs.writeFileSync(path.join(folder, "node_modules/effect-analytics/package.json"), JSON.stringify(manifest))
      fs.symlinkSync(path.join(root, "src"), path.join(folder, "node_modules/effect-analytics/src"))
      fs.writeFileSync(path.join(folder, "package.json"), `{ "type": "module" }`)
      for (const [name, source] of Object.entries(sources)) fs.writeFileSync(path.join(folder, `${name}.ts`), source)
      return use(folder)
    } finally {
      fs.rmSync(folder, { recursive: true })
    }
  }

  it("compiles under the strictest settings, and the compiler knows the plan", () => {
    inFolder((folder) => {
      const use = `import { plan } from "./shop.ts"
export const right = plan.track("Order Completed", { order_id: "o1", products: [{ sku: "A-1" }], "gift wrap": true }, { userId: "u1" })
// @ts-expect-error no such event
plan.track("Order Complete", { order_id: "o1", products: [] }, { userId: "u1" })
// @ts-expect-error a product without a sku
plan.track("Order Completed", { order_id: "o1", products: [{}] }, { userId: "u1" })
// @ts-expect-error no such currency
plan.track("Order Completed", { order_id: "o1", products: [], currency: "CHF" }, { userId: "u1" })
// @ts-expect-error no such property
plan.track("Order Completed", { order_id: "o1", products: [], orderId: "o1" }, { userId: "u1" })
export const tree = plan.track("Tree Planted", { root: { name: "a", children: [{ name: "b" }] } }, { userId: "u1" })
`
      fs.writeFileSync(path.join(folder, "use.ts"), use)
      const { compilerOptions } = JSON.parse(
        fs.readFileSync(path.join(root, "tsconfig.json"), "utf8").replace(/^\s*\/\/.*$/gm, "")
      )
      const { plugins: _, types: __, ...options } = compilerOptions
      const strictest = { ...options, types: [], noPropertyAccessFromIndexSignature: true, preserveSymlinks: true }
      fs.writeFileSync(
        path.join(folder, "tsconfig.json"),
        JSON.stringify({
          compilerOptions: strictest,
          files: ["use.ts", "ecommerce.ts", "video.ts", "awkward.ts", "widest.ts", "foreign.ts"]
        })
      )
      const compiled = spawnSync(process.execPath, [bin("typescript", "bin/tsc"), "-p", "."], {
        cwd: folder,
        encoding: "utf8"
      })
      // Here the library is compiled from its source as well, by settings that are stricter than its own.
      const ours = compiled.stdout.split("\n").filter((line) => /^\w+\.ts\(/.test(line))
      assert.deepStrictEqual(ours, [])
      assert.strictEqual(compiled.stderr, "")
    })
  }, 60_000)

  it("texts that look like code stay what they are", () => {
    const [json] = inFolder((folder) => {
      const program = `import * as PlanJson from "effect-analytics/TrackingPlan/json"
import { awkward } from "./awkward.ts"
process.stdout.write(JSON.stringify([PlanJson.toJson(awkward)]))
`
      fs.writeFileSync(path.join(folder, "print.ts"), program)
      return JSON.parse(execFileSync(process.execPath, [path.join(folder, "print.ts")], { encoding: "utf8" }))
    })
    assert.deepStrictEqual(PlanDiff.diff(awkward, json), { breaking: false, changes: [] })
    assert.include(sources.awkward, 'readonly "odd name"?: string')
    assert.include(sources.awkward, String.raw`readonly kind: "readonly x: y, readonly z" | "\"q\": " | "a; b"`)
  }, 60_000)

  it("is called what a constant can be called", () => {
    for (const name of ["", "my plan", "1st", "class", "await", "a-b", "Schema", "TrackingPlan", "x; process.exit()"]) {
      assert.throws(() => PlanCode.generate(awkward, { name }), "name must be one that a constant can have")
    }
    assert.include(PlanCode.generate(awkward, { name: "$shop_2" }), "export const $shop_2 = ")
  })

  it("what is said of an event before a check is said in its source", () => {
    const described = { description: "An event", owner: "growth" }
    const shape = Schema.Struct({ a: Schema.String, b: Schema.optionalKey(Schema.String) })
      .annotate(described)
      .check(Schema.isMinProperties(1))
    const json = PlanJson.toJson(TrackingPlan.make({ events: { Seen: shape } }))
    const [seen] = json.rules.events
    assert.deepInclude(seen, { description: "An event", labels: { owner: "growth" } })
    const source = PlanCode.generate(json)
    assert.include(source, "/** An event */")
    assert.match(source, /owner: "growth"/)
    assert.include(sources.awkward, "/** Two checks */")
    assert.match(sources.awkward, /description: "Two checks",\s+pii: true/)
  })

  it("what types cannot express has the widest type that is right, and is checked as JSON Schema", () => {
    const source = sources.widest
    assert.include(source, `import * as PlanJson from "effect-analytics/TrackingPlan/json"`)
    assert.match(
      source,
      /\/\/ Checked, and not in the types: additionalProperties, dependencies, not, pattern, patternProperties\./
    )
    assert.match(source, /\/\*\* In euros \*\/\n +price: Schema.optionalKey\(Schema.Finite.check/)
    assert.include(source, "id: Schema.optionalKey(Schema.String)")
    assert.include(source, "not: Schema.optionalKey(Schema.Json)")
    const [again, found] = inFolder((folder) => {
      const program = `import * as PlanJson from "effect-analytics/TrackingPlan/json"
import { widest as plan } from "./widest.ts"
const violations = (properties) => plan.violations({ type: "track", event: "Seen", properties }).map(({ kind, path }) => [kind, ...path].join(" "))
const right = { id: "a-b.c", price: 9.99, open: { a: "x", n_1: 1, more: [] }, closed: {}, pair: ["a"], either: "abc", any: "x", not: 1 }
const wrong = { id: "a b", price: 0.005, open: { n_1: "1" }, closed: { b: 1 }, pair: [1], either: "ab", any: 1, not: null }
const typed: Parameters<typeof plan.track<"Seen">>[1] = right
process.stdout.write(JSON.stringify([PlanJson.toJson(plan), [violations(typed), violations({ id: "a" }), violations(wrong)]]))
`
      fs.writeFileSync(path.join(folder, "print.ts"), program)
      return JSON.parse(execFileSync(process.execPath, [path.join(folder, "print.ts")], { encoding: "utf8" }))
    })
    assert.deepStrictEqual(PlanDiff.diff(widest, again).changes, [])
    assert.deepStrictEqual(found.slice(0, 2), [[], ["value properties"]])
    assert.sameMembers(found[2], [
      ...["value properties id", "value properties price", "type properties open *", "unexpected properties closed *"],
      ...["type properties pair 0", "type properties either", "value properties any", "value properties not"]
    ])
  }, 60_000)

  it("an event that cannot be read is a comment, and takes any object", () => {
    const remote = event("Seen", { type: "object", properties: { a: { $ref: "https://example.com/*/a.json" } } })
    const source = PlanCode.generate({ rules: { events: [remote, event("Good", { type: "object" })] } })
    assert.include(source, "/* Not checked, since it cannot be read: /properties/a/$ref: refers to another document")
    assert.include(source, "Good: ")
    assert.throws(() => PlanCode.generate({ rules: { events: [remote] } }, { strict: true }), "Seen/properties/a/$ref")
  })

  it("what it is made from can't break out of it", () => {
    const evil = `*/ "\\" + process.exit(1) // \u2028 \n`
    const rules = {
      properties: {
        properties: { type: "object", properties: { [evil]: { type: "string", description: evil, const: evil } } }
      }
    }
    const json = { rules: { events: ["__proto__", evil].map((name) => ({ name, description: evil, rules })) } }
    const source = PlanCode.generate(json)
    // Without strings and comments nothing of it is left.
    const code = source.replace(/\/\*\*.*?\*\//gs, "").replace(/"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'/g, "")
    assert.notInclude(code, "process")
    const named = PlanCode.generate(withDefinitions, { name: "A_Place" })
    assert.include(named, "const A_Place1 = ")
    assert.include(named, "export const A_Place = ")
  })

  it("keeps descriptions as docstrings, and what else is said of events", () => {
    const { shop } = sources
    assert.include(
      shop,
      "    /**\n     * A customer has paid.\n     * Not sent for *\\/ free orders.\n     * @since 2.1\n     */"
    )
    assert.include(shop, "      /** The id of the order, as customers see it in their mail */\n      order_id: ")
    assert.match(shop, /Schema\.Struct\(\{\n +\/\*\* As in the catalogue \*\/\n +sku: /)
    assert.include(shop, '    /** @deprecated say Account Created */\n    "Signed Up": ')
    assert.match(shop, /owner: "checkout",\s+since: "2.1",\s+planVersion: "2"/)
  })

  it("is stable: the module that is generated is the plan it was generated from", () => {
    assert.strictEqual(PlanCode.generate(JSON.parse(JSON.stringify(withDefinitions))), sources.shop)
    const [shop, ecommerce] = inFolder((folder) => {
      const program = `import * as PlanJson from "effect-analytics/TrackingPlan/json"
import { ecommerce } from "./ecommerce.ts"
import { plan } from "./shop.ts"
process.stdout.write(JSON.stringify([plan, ecommerce].map((one) => PlanJson.toJson(one))))
`
      fs.writeFileSync(path.join(folder, "print.ts"), program)
      return JSON.parse(execFileSync(process.execPath, [path.join(folder, "print.ts")], { encoding: "utf8" }))
    })
    assert.deepStrictEqual(ecommerce, JSON.parse(JSON.stringify(PlanJson.toJson(Ecommerce.plan))))
    assert.deepStrictEqual(PlanDiff.diff(withDefinitions, shop).changes, [])
    const [first, second] = shop.rules.events
    assert.deepStrictEqual([first, second], protocols.rules.events)
    assert.deepStrictEqual({ ...shop.rules, events: [] }, { ...protocols.rules, events: [] })
  }, 60_000)
})

describe("PlanDiff.diff", () => {
  const changes = (before: TrackingPlan.Shape | undefined, after: TrackingPlan.Shape | undefined) => {
    const plan = (shape: TrackingPlan.Shape | undefined) =>
      TrackingPlan.make({ events: shape === undefined ? {} : { Paid: shape } })
    const { breaking, changes: all } = PlanDiff.diff(plan(before), plan(after))
    assert.strictEqual(
      breaking,
      all.some((change) => change.breaking)
    )
    return all.map(
      (change) =>
        `${change.breaking ? "breaks" : "keeps"} ${change.event} ${change.path} ${change.kind}: ${change.detail}`
    )
  }
  const { Array: list, Finite, Int, Literals, NullOr, String: text, Struct, optionalKey } = Schema
  const paid = Struct({ a: text, b: optionalKey(Finite), c: list(Struct({ d: Literals(["x", "y"]) })) })

  it("finds nothing where nothing changed", () => {
    assert.deepStrictEqual(changes(paid, Struct({ c: paid.fields.c, b: paid.fields.b, a: text })), [])
  })

  it.each([
    ["an event is removed", paid, undefined, "breaks Paid  removed: is removed"],
    ["an event is added", undefined, paid, "keeps Paid  added: is added"],
    ["a property is removed", Struct({ a: text }), Struct({}), "breaks Paid a removed: is removed"],
    ["an optional property is added", Struct({}), Struct({ a: optionalKey(text) }), "keeps Paid a added: is added"],
    ["a required property is added", Struct({}), Struct({ a: text }), "breaks Paid a added: is added, and required"],
    [
      "a property is retyped",
      Struct({ a: text }),
      Struct({ a: Finite }),
      "breaks Paid a retyped: was string, is number"
    ],
    [
      "a type is narrowed",
      Struct({ a: Finite }),
      Struct({ a: Int }),
      "breaks Paid a tightened: was number, is integer"
    ],
    ["a type is widened", Struct({ a: Int }), Struct({ a: Finite }), "keeps Paid a loosened: was integer, is number"],
    [
      "a property is required",
      Struct({ a: optionalKey(text) }),
      Struct({ a: text }),
      "breaks Paid a tightened: is required"
    ],
    [
      "a property is optional",
      Struct({ a: text }),
      Struct({ a: optionalKey(text) }),
      "keeps Paid a loosened: is optional"
    ],
    [
      "a value is no longer allowed",
      paid,
      Struct({ ...paid.fields, c: list(Struct({ d: Literals(["x"]) })) }),
      `breaks Paid c[].d tightened: is no longer "y"`
    ],
    [
      "a value is allowed as well",
      Struct({ a: Literals(["x"]) }),
      Struct({ a: Literals(["x", "z"]) }),
      `keeps Paid a loosened: may be "z"`
    ],
    [
      "a value may be null",
      Struct({ a: text }),
      Struct({ a: NullOr(text) }),
      "keeps Paid a loosened: was string, is string or null"
    ],
    [
      "a limit is set",
      Struct({ a: Finite }),
      Struct({ a: Finite.check(Schema.isLessThanOrEqualTo(9)) }),
      "breaks Paid a tightened: maximum was nothing, is 9"
    ],
    [
      "a limit is moved",
      Struct({ a: Finite.check(Schema.isGreaterThanOrEqualTo(5)) }),
      Struct({ a: Finite.check(Schema.isGreaterThanOrEqualTo(1)) }),
      "keeps Paid a loosened: minimum was 5, is 1"
    ],
    [
      "a pattern is set",
      Struct({ a: text }),
      Struct({ a: text.check(Schema.isPattern(/^x/u)) }),
      `breaks Paid a tightened: pattern was nothing, is "^x"`
    ],
    [
      "other properties are forbidden",
      Struct({ a: text }),
      Struct({ a: text }).annotate({ strict: true }),
      "breaks Paid  tightened: other properties are restricted"
    ],
    [
      "it is described",
      Struct({ a: text }),
      Struct({ a: text.annotate({ description: "An a" }) }),
      `keeps Paid a described: description was nothing, is "An a"`
    ]
  ] as const)("%s", (_, before, after, expected) => {
    assert.deepStrictEqual(changes(before, after), [expected])
  })

  it("what cannot be compared breaks", () => {
    const all = changes(Struct({ a: Struct({ b: text }) }), Struct({ a: list(Struct({ b: text })) }))
    assert.deepStrictEqual(all, ["breaks Paid a retyped: was object, is array"])
  })

  it("compares traits, contexts and pages, and the JSON of plans", () => {
    const before = TrackingPlan.make({ traits: Struct({ a: text }), pages: { Home: Struct({ a: text }) } })
    const after = TrackingPlan.make({ traits: Struct({ a: Finite }), pages: {}, context: Struct({ b: text }) })
    const expected = [
      ["page Home", "removed", true],
      ["traits", "retyped", true],
      ["context", "added", true]
    ]
    const short = ({ changes: all }: PlanDiff.Difference) =>
      all.map(({ breaking, event, kind }) => [event, kind, breaking])
    assert.deepStrictEqual(short(PlanDiff.diff(before, after)), expected)
    assert.deepStrictEqual(short(PlanDiff.diff(PlanJson.toJson(before), PlanJson.toJson(after))), expected)
  })

  it("a value that changes its form on the wire changes the plan", () => {
    const [change] = changes(Struct({ a: Finite }), Struct({ a: Schema.DateTimeUtc }))
    assert.strictEqual(change, "breaks Paid a retyped: was number, is string")
  })
})
