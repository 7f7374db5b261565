/** JSON Schema as plans check it: every keyword, in both drafts, as a property of an event; and what is said of it. */
import { spawnSync } from "node:child_process"
import * as path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import * as PlanCode from "../src/TrackingPlan/codegen.ts"
import * as PlanJson from "../src/TrackingPlan/json.ts"
import cases from "./jsonSchemaCases.json" with { type: "json" }
import { drafts, runSuite } from "./jsonSchemaSuite.ts"

type Case = readonly [
  name: string,
  draft: "draft7" | "draft2020-12",
  schema: boolean | object,
  valid: ReadonlyArray<unknown>,
  invalid: ReadonlyArray<unknown>
]

const violations = (draft: keyof typeof drafts, schema: boolean | object, value: unknown, options = {}) => {
  // Local references of a schema hold within it, wherever it is.
  const a = typeof schema === "boolean" || "$id" in schema ? schema : { $id: "https://example.com/a", ...schema }
  const properties = { type: "object", properties: { a } }
  const rules = { $schema: drafts[draft], properties: { properties } }
  const plan = PlanJson.fromJson({ rules: { events: [{ name: "Seen", rules }] } }, options)
  assert.deepStrictEqual(plan.problems, [])
  return plan.violations({ type: "track", event: "Seen", properties: { a: value } })
}

describe("JSON Schema, as a property of an event", () => {
  it.each(cases as unknown as ReadonlyArray<Case>)("%s in %s", (_, draft, schema, valid, invalid) => {
    for (const value of valid) assert.deepStrictEqual(violations(draft, schema, value), [], JSON.stringify(value))
    for (const value of invalid) {
      const found = violations(draft, schema, value)
      assert.isNotEmpty(found, JSON.stringify(value))
      for (const { path: at } of found) assert.deepStrictEqual(at.slice(0, 2), ["properties", "a"])
    }
  })

  it("with the same verdicts where code may not be generated from text", () => {
    const program = `
            import * as Schema from "effect/Schema"
      import * as PlanJson from "./src/TrackingPlan/json.ts"
      const drafts = ${JSON.stringify(drafts)}
      const wrong = []
      for (const [name, draft, schema, valid, invalid] of JSON.parse(fs.readFileSync("test/jsonSchemaCases.json", "utf8"))) {
        const json = typeof schema === "boolean" ? schema : { $schema: drafts[draft], ...schema }
        const is = Schema.is(Schema.Unknown.check(PlanJson.conforms(json)))
        if (!valid.every((one) => is(one)) || invalid.some((one) => is(one))) wrong.push(name)
      }
      let canGenerate = true
      try { new Function("") } catch { canGenerate = false }
      process.stdout.write(JSON.stringify({ canGenerate, wrong }))
    `
    const args = ["--disallow-code-generation-from-strings", "--input-type=module-typescript", "--eval", program]
    const { stderr, stdout } = spawnSync(process.execPath, args, {
      encoding: "utf8",
      cwd: path.resolve(import.meta.dirname, "..")
    })
    assert.strictEqual(stderr, "")
    assert.deepStrictEqual(JSON.parse(stdout), { canGenerate: false, wrong: [] })
  }, 60_000)

  it("with the same verdicts by a generated plan", () => {
    const events = (cases as unknown as ReadonlyArray<Case>).map(([, draft, schema], index) => {
      const a = typeof schema === "boolean" || "$id" in schema ? schema : { $id: "https://example.com/a", ...schema }
      const properties = { type: "object", properties: { a } }
      return { name: `${index}`, rules: { $schema: drafts[draft], properties: { properties } } }
    })
    const program = `${PlanCode.generate({ rules: { events } })}
            const wrong = []
      JSON.parse(fs.readFileSync("test/jsonSchemaCases.json", "utf8")).forEach(([name, , , valid, invalid], index) => {
        const verdict = (a) => plan.violations({ type: "track", event: String(index), properties: { a } })
        // An integer is a safe one for effect.
        const isSafe = (one) => !Number.isInteger(one) || Number.isSafeInteger(one)
        if (!valid.filter(isSafe).every((one) => verdict(one).length === 0) || invalid.some((one) => verdict(one).length === 0)) wrong.push(name)
      })
      process.stdout.write(JSON.stringify(wrong))
    `
    const args = ["--conditions=effect-analytics-source", "--input-type=module-typescript", "--eval", program]
    const cwd = path.resolve(import.meta.dirname, "..")
    const { stderr, stdout } = spawnSync(process.execPath, args, { encoding: "utf8", cwd })
    assert.strictEqual(stderr, "")
    assert.deepStrictEqual(JSON.parse(stdout), [])
  }, 60_000)

  it("a format says what a value is meant to be, or is checked", () => {
    const schema = { type: "string", format: "email" }
    for (const draft of ["draft7", "draft2020-12"] as const) {
      assert.deepStrictEqual(violations(draft, schema, "nobody"), [])
      assert.deepStrictEqual(violations(draft, schema, "nobody", { formats: "annotation" }), [])
      assert.deepStrictEqual(violations(draft, schema, "nobody", { formats: "assertion" }), [
        { kind: "value", path: ["properties", "a"], expected: "Expected a string of the format email" }
      ])
      assert.deepStrictEqual(violations(draft, schema, "p@initech.com", { formats: "assertion" }), [])
    }
  })

  it("violations have the paths and the words of plans, and never a value or a name that is data", () => {
    const secret = "4111-1111"
    const schema = {
      type: "object",
      properties: {
        text: { type: "string" },
        size: { enum: ["S", "M"] },
        age: { type: ["integer", "null"], minimum: 18 },
        list: { type: "array", items: { type: "object", required: ["sku"] } },
        code: { pattern: "^[A-Z]+$", minLength: 2 },
        either: { anyOf: [{ type: "string" }, { type: "object", required: ["b"] }] },
        closed: { type: "object", properties: { a: {} }, additionalProperties: false },
        scores: { type: "object", additionalProperties: { type: "integer" } },
        unique: { type: "array", uniqueItems: true },
        not: { not: { const: secret } }
      },
      required: ["missing"],
      dependentRequired: { text: ["size"] }
    }
    const found = violations("draft2020-12", schema, {
      text: 1,
      age: 3,
      list: [{ sku: "1" }, {}],
      code: secret,
      either: {},
      closed: { a: 1, b: 2 },
      scores: { [secret]: secret },
      unique: [secret, secret],
      not: secret
    })
    assert.sameDeepMembers(
      found.map(({ expected, kind, path: at }) => [kind, at.slice(2).join("."), expected]),
      [
        ["required", "missing", "Missing key"],
        ["value", "", "Expected size beside text"],
        ["type", "text", "Expected string"],
        ["value", "age", "Expected a value >= 18"],
        ["required", "list.1.sku", "Missing key"],
        ["value", "code", "Expected a string that matches ^[A-Z]+$"],
        ["type", "either", "Expected one of the alternatives (anyOf)"],
        ["unexpected", "closed.b", "Expected no excess property"],
        ["type", "scores.*", "Expected integer"],
        ["value", "unique", "Expected elements that differ"],
        ["value", "not", "Expected a value that the plan does not exclude"]
      ]
    )
    assert.notInclude(JSON.stringify(found), secret)
  })

  it("all violations are found, however many there are", () => {
    const properties = Object.fromEntries(Array.from({ length: 30 }, (_, n) => [`p${n}`, { type: "string" }]))
    const data = Object.fromEntries(Object.keys(properties).map((name) => [name, 1]))
    assert.strictEqual(violations("draft7", { properties }, data).length, 30)
  })
})

it("a schema that is true or false is one", () => {
  assert.isTrue(Schema.is(Schema.Unknown.check(PlanJson.conforms(true)))(1))
  assert.isFalse(Schema.is(Schema.Unknown.check(PlanJson.conforms(false)))(1))
})

describe("the official test suite", () => {
  it.each(Object.keys(drafts) as Array<keyof typeof drafts>)(
    "%s: every required test that needs no other document is right",
    (draft) => {
      const { refused, right, wrong } = runSuite(draft)
      assert.deepStrictEqual(wrong, [])
      assert.strictEqual(right, draft === "draft7" ? 900 : 1_250)
      for (const [error] of refused) assert.match(error, /another document/)
    }
  )
})
