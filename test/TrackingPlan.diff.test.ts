import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import * as PlanDiff from "../src/TrackingPlan/diff.ts"
import * as TrackingPlan from "../src/TrackingPlan.ts"

const { Array: list, Boolean, Finite, Int, Literal, Literals, NullOr, Record, String: text, Struct, Tuple } = Schema
const { Union, optionalKey, suspend } = Schema

type Shaped = Schema.Codec<unknown, unknown>

const told = ({ breaking, changes }: PlanDiff.Difference): ReadonlyArray<string> => {
  assert.strictEqual(
    breaking,
    changes.some((change) => change.breaking)
  )
  return changes.map(
    (change) =>
      `${change.breaking ? "breaks" : "keeps"} ${change.event} ${change.path} ${change.kind}: ${change.detail}`
  )
}

const changes = (before: Shaped, after: Shaped) => {
  const plan = (a: Shaped) => TrackingPlan.make({ events: { Paid: Struct({ a }) as TrackingPlan.Shape } })
  return told(PlanDiff.diff(plan(before), plan(after)))
}

const product = <A extends Shaped>(price: A) => Struct({ price }).annotate({ identifier: "Product" })

/** The JSON of a plan with one event, whose properties may refer to definitions. */
const json = (properties: object, definitions: object = {}, more: object = {}) => ({
  rules: {
    events: [
      {
        name: "Paid",
        rules: {
          $schema: "https://json-schema.org/draft/2020-12/schema",
          $defs: definitions,
          type: "object",
          properties: { properties: { type: "object", properties, ...more } }
        }
      }
    ]
  }
})

describe("PlanDiff.diff finds what breaks, wherever it is", () => {
  it.each([
    ["itself", product(Finite), product(text), "a.price"],
    ["or null", NullOr(product(Finite)), NullOr(product(text)), "a.price"],
    ["in a list", list(NullOr(product(Finite))), list(NullOr(product(text))), "a[].price"],
    ["in a record", Record(text, product(Finite)), Record(text, product(text)), "a.*.price"],
    ["in a tuple", Tuple([text, product(Finite)]), Tuple([text, product(text)]), "a[1].price"],
    ["in a union", Union([text, product(Finite)]), Union([text, product(text)]), "a.price"]
  ] as const)("a definition, %s", (_, before, after, path) => {
    assert.deepStrictEqual(changes(before, after), [`breaks Paid ${path} retyped: was number, is string`])
  })

  it("a property that may be anything, or nothing", () => {
    const between = (before: unknown, after: unknown) => told(PlanDiff.diff(json({ a: before }), json({ a: after })))
    const string = { type: "string" }
    assert.deepStrictEqual(between(string, false), ["breaks Paid a tightened: may not be given any more"])
    assert.deepStrictEqual(between(false, string), ["keeps Paid a loosened: may be given"])
    assert.strictEqual(between(true, string).length, 1)
    assert.match(between(true, string)[0] ?? "", /^breaks/)
    assert.deepStrictEqual(between(true, {}), [])
  })

  it("in a schema of very many alternatives, as a whole", () => {
    const either = (name: string) => ({ anyOf: [{ required: [`${name}1`] }, { required: [`${name}2`] }] })
    const a = (last: string) => ({ type: "object", allOf: [..."abcdefghijklmnopqrst", last].map(either) })
    const between = (before: string, after: string) =>
      told(PlanDiff.diff(json({ a: a(before) }), json({ a: a(after) })))
    assert.deepStrictEqual(between("x", "x"), [])
    const [only, ...more] = between("x", "y")
    assert.match(only ?? "", /^breaks Paid a retyped/)
    assert.deepStrictEqual(more, [])
  })

  it("a definition in two places, in each", () => {
    const both = (price: Shaped) => Struct({ b: product(price), c: NullOr(product(price)) })
    assert.deepStrictEqual(changes(both(Finite), both(text)), [
      "breaks Paid a.b.price retyped: was number, is string",
      "breaks Paid a.c.price retyped: was number, is string"
    ])
  })

  it("a property removed from what may be null", () => {
    const before = NullOr(Struct({ b: text, c: text }).annotate({ identifier: "B" }))
    const after = NullOr(Struct({ b: text }).annotate({ identifier: "B" }))
    assert.deepStrictEqual(changes(before, after), ["breaks Paid a.c removed: is removed"])
  })

  it("a shape that refers to itself, and ends", () => {
    interface Node {
      readonly value: string | number
      readonly next: Node | null
    }
    const node = (value: typeof text | typeof Finite, identifier = "Node") => {
      const self: Schema.Codec<Node> = Struct({
        value: value as Schema.Codec<string | number>,
        next: NullOr(suspend((): Schema.Codec<Node> => self))
      }).annotate({ identifier })
      return self
    }
    assert.deepStrictEqual(changes(node(Finite), node(Finite)), [])
    assert.deepStrictEqual(changes(node(Finite), node(text)), ["breaks Paid a.value retyped: was number, is string"])
    const odd = "a/b~c d%"
    assert.deepStrictEqual(changes(node(Finite, odd), node(text, odd)), [
      "breaks Paid a.value retyped: was number, is string"
    ])
  })

  it("an element added to a tuple and needed, and one removed", () => {
    const [one, two] = [Tuple([text]), Tuple([text, Finite])]
    assert.include(changes(one, two), "breaks Paid a[1] added: is added, and required")
    assert.include(changes(two, one), "breaks Paid a[1] removed: is removed")
    assert.include(changes(one, Tuple([text, optionalKey(Finite)])), "keeps Paid a[1] added: is added")
  })

  it("a member of a union removed, and one replaced", () => {
    const a = Struct({ kind: Literal("a"), value: text })
    const b = Struct({ kind: Literal("b"), value: text })
    const c = Struct({ kind: Literal("c"), value: text })
    assert.deepStrictEqual(changes(Union([a, b]), a), ["breaks Paid a tightened: is no longer object with kind, value"])
    assert.deepStrictEqual(changes(Union([a, b]), Union([c, a])), [
      "breaks Paid a retyped: is no longer object with kind, value, may be object with kind, value"
    ])
    assert.deepStrictEqual(changes(Union([text, Finite]), text), [
      "breaks Paid a tightened: was string or number, is string"
    ])
  })

  it("properties with names that every object has", () => {
    const named = Struct({ constructor: text, toString: text, b: text })
    assert.deepStrictEqual(changes(named, Struct({ b: text })), [
      "breaks Paid a.constructor removed: is removed",
      "breaks Paid a.toString removed: is removed"
    ])
    assert.deepStrictEqual(changes(Struct({ b: text }), Struct({ constructor: text, b: text })), [
      "breaks Paid a.constructor added: is added, and required"
    ])
  })

  it("what is dropped or hashed, where it was kept", () => {
    const marked = (pii: boolean | "drop" | "hash" | "keep") => text.annotate({ pii })
    for (const pii of [true, "drop", "hash"] as const) {
      assert.deepStrictEqual(changes(text, marked(pii)), [
        `breaks Paid a tightened: pii was nothing, is ${JSON.stringify(pii)}`
      ])
      assert.deepStrictEqual(changes(marked(pii), marked("keep")), [
        `keeps Paid a described: pii was ${JSON.stringify(pii)}, is "keep"`
      ])
    }
    assert.deepStrictEqual(changes(text, marked("keep")), [`keeps Paid a described: pii was nothing, is "keep"`])
  })

  it("events, pages and traits that share a label", () => {
    const [a, b, c] = [Struct({ a: text }), Struct({ a: Finite }), Struct({ c: text })]
    const diff = (before: TrackingPlan.Definition, after: TrackingPlan.Definition) =>
      told(PlanDiff.diff(TrackingPlan.make(before), TrackingPlan.make(after)))
    assert.deepStrictEqual(diff({ events: { traits: a }, traits: c }, { events: { traits: b }, traits: c }), [
      "breaks traits a retyped: was string, is number"
    ])
    assert.deepStrictEqual(diff({ events: {} }, { events: { context: a } }), ["keeps context  added: is added"])
    assert.deepStrictEqual(diff({ events: { "page X": a }, pages: { X: c } }, { pages: { X: c } }), [
      "breaks page X  removed: is removed"
    ])
  })
})

describe("PlanDiff.diff lets pass what breaks nobody", () => {
  const one = Struct({ b: text })

  it.each([
    ["a union in another order", Union([one, Finite]), Union([Finite, one]), []],
    [
      "a further member of a union",
      Union([one, Finite]),
      Union([Boolean, one, Finite]),
      ["keeps Paid a loosened: was object or number, is boolean or object or number"]
    ],
    [
      "a description within a union",
      Union([one, Finite]),
      Union([Struct({ b: text.annotate({ description: "A b" }) }), Finite]),
      [`keeps Paid a.b described: description was nothing, is "A b"`]
    ],
    ["an object that may be null", one, NullOr(one), ["keeps Paid a loosened: was object, is object or null"]],
    [
      "a record of what is wider",
      Record(text, Int),
      Record(text, Finite),
      ["keeps Paid a.* loosened: was integer, is number"]
    ],
    [
      "a bound that includes its end",
      Finite.check(Schema.isGreaterThan(0)),
      Finite.check(Schema.isGreaterThanOrEqualTo(0)),
      ["keeps Paid a loosened: minimum was more than 0, is 0"]
    ],
    ["values listed apart", Literals(["x", "y"]), Union([Literal("y"), Literal("x")]), []]
  ] as const)("%s", (_, before, after, expected) => {
    assert.deepStrictEqual(changes(before, after), expected)
  })

  it("and the same bound without its end breaks", () => {
    const [open, closed] = [Finite.check(Schema.isLessThan(9)), Finite.check(Schema.isLessThanOrEqualTo(9))]
    assert.deepStrictEqual(changes(closed, open), ["breaks Paid a tightened: maximum was 9, is less than 9"])
  })

  it("a definition where there was none, and the other way around", () => {
    const [inline, named] = [NullOr(Struct({ price: Finite })), NullOr(product(Finite))]
    assert.deepStrictEqual(changes(inline, named), [])
    assert.deepStrictEqual(changes(named, inline), [])
  })

  it("a type without a value in the list is no alternative", () => {
    const either = (values: ReadonlyArray<unknown>) => json({ a: { type: ["string", "null"], enum: values } })
    assert.deepStrictEqual(told(PlanDiff.diff(either(["x"]), either(["x"]))), [])
    assert.deepStrictEqual(told(PlanDiff.diff(either(["x"]), either(["x", null]))), [
      "keeps Paid a loosened: was string, is string or null"
    ])
  })

  it("references with odd names in the JSON of plans", () => {
    const odd = (type: string) =>
      json(
        { a: { $ref: "#/$defs/x~1y" }, b: { $ref: "#/$defs/constructor" } },
        { "x/y": { type }, constructor: { type } }
      )
    assert.deepStrictEqual(told(PlanDiff.diff(odd("string"), odd("string"))), [])
    assert.deepStrictEqual(told(PlanDiff.diff(odd("string"), odd("number"))), [
      "breaks Paid a retyped: was string, is number",
      "breaks Paid b retyped: was string, is number"
    ])
  })
})

describe("PlanDiff.diff says whom a change breaks", () => {
  const whom = (before: Shaped, after: Shaped) => {
    const plan = (a: Shaped) => TrackingPlan.make({ events: { Paid: Struct({ a }) as TrackingPlan.Shape } })
    return PlanDiff.diff(plan(before), plan(after)).changes.map(({ breaks, kind, path }) => [path, kind, ...breaks])
  }

  it.each([
    ["what is required", Struct({ b: optionalKey(text) }), Struct({ b: text }), [["a.b", "tightened", "callers"]]],
    ["what is required and new", Struct({}), Struct({ b: text }), [["a.b", "added", "callers"]]],
    ["a value less", Literals(["x", "y"]), Literals(["x"]), [["a", "tightened", "callers"]]],
    ["a value more", Literals(["x"]), Literals(["x", "y"]), [["a", "loosened"]]],
    ["null", text, NullOr(text), [["a", "loosened"]]],
    ["what is gone", Struct({ b: text }), Struct({}), [["a.b", "removed", "callers", "consumers"]]],
    ["another type", text, Finite, [["a", "retyped", "callers", "consumers"]]],
    ["what is hashed", text, text.annotate({ pii: "hash" }), [["a", "tightened", "consumers"]]]
  ] as const)("%s", (_, before, after, expected) => {
    assert.deepStrictEqual(whom(before, after), expected as never)
  })

  it("a property and an event with an alias are renamed, and compared with what they were", () => {
    const before = Struct({ b: text, c: Finite })
    const after = Struct({ d: NullOr(text).annotate({ aliases: ["b"] }), c: Finite.annotate({ aliases: ["x"] }) })
    assert.deepStrictEqual(changes(before, after), [
      `keeps Paid a.c described: aliases was nothing, is ["x"]`,
      "breaks Paid a.d renamed: was b",
      "keeps Paid a.d loosened: was string, is string or null",
      `keeps Paid a.d described: aliases was nothing, is ["b"]`
    ])
    const named = Struct({ a: text })
    const diff = PlanDiff.diff(
      TrackingPlan.make({ events: { "Order Paid": named, Other: named } }),
      TrackingPlan.make({
        events: { "Order Completed": Struct({ a: Finite }).annotate({ aliases: ["Order Paid"] }), Other: named }
      })
    )
    assert.deepStrictEqual(told(diff), [
      "breaks Order Completed  renamed: was Order Paid",
      `keeps Order Completed  described: aliases was nothing, is ["Order Paid"]`,
      "breaks Order Completed a retyped: was string, is number"
    ])
    const read = PlanDiff.diff(json({ b: { type: "string" } }), json({ c: { type: "string", aliases: ["b"] } }))
    assert.include(told(read), "breaks Paid c renamed: was b")
  })

  it("any two plans compare, whatever keywords they have and whichever draft they are in", () => {
    const old = { items: [{ type: "string" }], additionalItems: false, dependencies: { a: ["b"] } }
    const modern = { prefixItems: [{ type: "string" }], items: false, dependentRequired: { a: ["b"] } }
    const draft07 = { name: "Paid", rules: { properties: { properties: { properties: { a: old, b: { not: {} } } } } } }
    assert.deepStrictEqual(
      told(
        PlanDiff.diff({ rules: { events: [draft07] } }, json({ a: modern, b: { not: {} } }, {}, { type: undefined }))
      ),
      []
    )
    assert.deepStrictEqual(
      told(PlanDiff.diff(json({ a: { not: { const: 1 } } }), json({ a: { not: { const: 2 } } }))),
      [`breaks Paid a retyped: was {"not":{"const":1}}, is {"not":{"const":2}}`]
    )
  })
})

describe("PlanDiff.toMarkdown", () => {
  it("is a report for a pull request, sorted by whom a change breaks", () => {
    const before = TrackingPlan.make({
      events: {
        "Order Completed": Struct({ id: text, total: Finite, state: Literals(["new"]) }),
        "Old | Event <b>": Struct({})
      }
    })
    const after = TrackingPlan.make({
      events: {
        "Order Completed": Struct({
          order_id: text.annotate({ aliases: ["id"] }),
          total: Int,
          state: Literals(["new", "paid"]),
          email: optionalKey(text.annotate({ description: "Where to write to" }))
        })
      }
    })
    assert.strictEqual(
      PlanDiff.toMarkdown(PlanDiff.diff(before, after)),
      `## Changes of the tracking plan

6 changes, 3 of them breaking.

### Breaks callers and consumers of the data

| Event | Property | Change | Detail |
| --- | --- | --- | --- |
| Old \\| Event &lt;b> |  | removed | is removed |
| Order Completed | order\\_id | renamed | was id |

### Breaks callers

| Event | Property | Change | Detail |
| --- | --- | --- | --- |
| Order Completed | total | tightened | was number, is integer |

### New values for consumers

| Event | Property | Change | Detail |
| --- | --- | --- | --- |
| Order Completed | state | loosened | may be "paid" |

### Breaks nobody

| Event | Property | Change | Detail |
| --- | --- | --- | --- |
| Order Completed | order\\_id | described | aliases was nothing, is \\["id"\\] |
| Order Completed | email | added | is added |
`
    )
    assert.strictEqual(
      PlanDiff.toMarkdown(PlanDiff.diff(before, before)),
      "## Changes of the tracking plan\n\nNo changes.\n"
    )
  })

  it("a difference is plain JSON", () => {
    const difference = PlanDiff.diff(json({ a: { type: "string" } }), json({}))
    assert.deepStrictEqual(JSON.parse(JSON.stringify(difference)), difference)
  })
})
