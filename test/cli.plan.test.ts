/** `plan`: tracking plans in CI, with exit codes that a pipeline can stop at. */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as PlanCode from "../src/TrackingPlan/codegen.ts"
import * as PlanDiff from "../src/TrackingPlan/diff.ts"
import * as PlanJson from "../src/TrackingPlan/json.ts"
import * as TrackingPlan from "../src/TrackingPlan.ts"
import { directory, run } from "./cli.ts"

const options = { timeout: 120_000 }

const plan = TrackingPlan.make({
  name: "Shop",
  version: "1",
  events: {
    "Order Completed": Schema.Struct({ orderId: Schema.NonEmptyString, total: Schema.Finite }),
    "Signed Up": Schema.Struct({ plan: Schema.Literals(["free", "pro"]) })
  }
})
const changed = TrackingPlan.make({
  ...plan.definition,
  events: {
    "Order Completed": plan.definition.events["Order Completed"],
    "Signed Up": Schema.Struct({ plan: Schema.Literals(["free", "pro", "team"]), source: Schema.String })
  }
})

/** A directory with the plan as `plan.json`, and as it is changed as `changed.json`. */
const files = Effect.tap(directory, (cwd) =>
  Effect.sync(() => {
    Fs.writeFileSync(Path.join(cwd, "plan.json"), JSON.stringify(PlanJson.toJson(plan)))
    Fs.writeFileSync(Path.join(cwd, "changed.json"), JSON.stringify(PlanJson.toJson(changed)))
  })
)

/** A module beside an installation of the library, which is this repository. */
const moduleOf = (cwd: string, source: string) => {
  const installed = Path.join(cwd, "node_modules")
  const root = fileURLToPath(new URL("..", import.meta.url))
  Fs.mkdirSync(installed, { recursive: true })
  if (!Fs.existsSync(Path.join(installed, "effect"))) {
    Fs.symlinkSync(Path.join(root, "node_modules/effect"), Path.join(installed, "effect"))
    Fs.symlinkSync(root, Path.join(installed, "effect-analytics"))
  }
  const file = Path.join(cwd, "plan.ts")
  Fs.writeFileSync(file, source)
  return file
}

const moduleSource = `
import * as Schema from "effect/Schema"
import * as TrackingPlan from "effect-analytics/TrackingPlan"

export const plan = TrackingPlan.make({
  name: "Shop",
  version: "1",
  events: {
    "Order Completed": Schema.Struct({ orderId: Schema.NonEmptyString, total: Schema.Finite }),
    "Signed Up": Schema.Struct({ plan: Schema.Literals(["free", "pro"]) })
  }
})
`

describe("plan check", options, () => {
  it.live("reads a plan, and explains one that is none", () =>
    Effect.gen(function* () {
      const cwd = yield* files
      const good = yield* run(["plan", "check", "plan.json"], { cwd })
      assert.deepStrictEqual([good.code, good.stdout], [0, "valid Shop (version 1): 2 events\n"])
      const bad = yield* run(["plan", "check", "-"], { cwd, stdin: `{"a":1}` })
      assert.deepStrictEqual([bad.code, bad.stdout], [1, ""])
      assert.match(bad.stderr, /^error: stdin is not a tracking plan: /)
      const odd = { name: "Odd", rules: { type: "object", properties: { properties: { type: "nonsense" } } } }
      const partly = yield* run(["plan", "check", "-", "--json"], {
        cwd,
        stdin: JSON.stringify({ rules: { events: [odd] } })
      })
      assert.strictEqual(partly.code, 3)
      assert.deepStrictEqual(
        JSON.parse(partly.stdout).unreadable.map(({ event }: { event: string }) => event),
        ["Odd"]
      )
      const missing = yield* run(["plan", "check", "nothing.json"], { cwd })
      assert.deepStrictEqual([missing.code, missing.stderr], [1, "error: nothing.json is not there\n"])
    })
  )

  it.live("finds every violation in a file of events, with line and path, and what was not seen", () =>
    Effect.gen(function* () {
      const cwd = yield* files
      const track = (event: string, properties: object) => ({ type: "track", userId: "u1", event, properties })
      const events = [
        track("Order Completed", { orderId: "o1", total: 1 }),
        track("Order Completed", { total: "x" }),
        { type: "identify", userId: "u1" },
        track("Clicked", {})
      ]
      const stdin = events.map((event) => JSON.stringify(event)).join("\n")
      const { code, stdout } = yield* run(["plan", "check", "plan.json", "-", "--json"], { cwd, stdin })
      const { violations, ...rest } = JSON.parse(stdout)
      assert.deepStrictEqual([code, rest], [
        3,
        {
          plan: "Shop",
          version: "1",
          unreadable: [],
          lines: 4,
          violating: 1,
          unplanned: { Clicked: 1 },
          unseen: ["Signed Up"]
        }
      ] as never)
      assert.deepStrictEqual(
        violations.map(({ event, line, path }: Record<string, unknown>) => [line, event, path]),
        [
          [2, "Order Completed", "properties.orderId"],
          [2, "Order Completed", "properties.total"]
        ]
      )
      const strict = yield* run(["plan", "check", "plan.json", "-", "--strict"], { cwd, stdin })
      assert.strictEqual(strict.code, 3)
      assert.match(strict.stdout, /\nline 4 {2}Clicked {2}.*\nShop \(version 1\): 4 events, 2 break the plan\n/)
      const [good = {}] = events
      const kept = yield* run(["plan", "check", "plan.json", "-"], { cwd, stdin: JSON.stringify(good) })
      assert.deepStrictEqual([kept.code, kept.stdout], [
        0,
        "Shop (version 1): 1 event, 0 break the plan\nplanned, and not seen: Signed Up\n"
      ] as never)
    })
  )
})

describe("plan diff", options, () => {
  it.live("shows a reviewer what changes by event, and ends with 3 where something breaks", () =>
    Effect.gen(function* () {
      const cwd = yield* files
      const { code, stdout } = yield* run(["plan", "diff", "plan.json", "changed.json"], { cwd })
      assert.strictEqual(code, 3)
      assert.strictEqual(
        stdout,
        [
          "Signed Up",
          '  ~ plan    may be "team"',
          "  + source  is added, and required  breaks callers",
          "",
          "2 changes, 1 breaking",
          ""
        ].join("\n")
      )
      const json = yield* run(["plan", "diff", "plan.json", "changed.json", "--json"], { cwd })
      const { breaking, changes } = JSON.parse(json.stdout)
      assert.deepStrictEqual([json.code, breaking, changes.length], [3, true, 2])
      const markdown = yield* run(["plan", "diff", "plan.json", "changed.json", "--markdown"], { cwd })
      const was = PlanJson.fromJson(PlanJson.toJson(plan))
      const is = PlanJson.fromJson(PlanJson.toJson(changed))
      const report = PlanDiff.toMarkdown(PlanDiff.diff(was, is)).trimEnd()
      assert.deepStrictEqual([markdown.code, markdown.stdout], [3, `${report}\n`])
    })
  )

  it.live("ends with 0 where nothing breaks, and reads the one side from stdin, the other from a module", () =>
    Effect.gen(function* () {
      const cwd = yield* files
      const module = moduleOf(cwd, moduleSource)
      const stdin = Fs.readFileSync(Path.join(cwd, "plan.json"))
      // The module imports the library, which is not built here.
      const node = ["--conditions=effect-analytics-source"]
      const { code, stderr, stdout } = yield* run(["plan", "diff", "-", module], { cwd, stdin, node })
      assert.deepStrictEqual([code, stdout], [0, "no changes\n"], stderr)
    })
  )

  it.live("explains a module without a plan, and one that can't be loaded", () =>
    Effect.gen(function* () {
      const cwd = yield* files
      const none = yield* run(["plan", "diff", "plan.json", moduleOf(cwd, "export const other = 1")], { cwd })
      assert.strictEqual(none.code, 2)
      assert.match(none.stderr, /exports no tracking plan\n {2}Export one: export const plan = TrackingPlan\.make/)
      const broken = yield* run(["plan", "diff", "plan.json", moduleOf(cwd, `throw new Error("no")`)], { cwd })
      assert.strictEqual(broken.code, 1)
      assert.match(broken.stderr, /can't be loaded: no/)
    })
  )
})

describe("plan generate", options, () => {
  it.live("prints TypeScript, or writes it to a file", () =>
    Effect.gen(function* () {
      const cwd = yield* files
      const source = PlanCode.generate(PlanJson.toJson(plan), { name: "shop" })
      const printed = yield* run(["plan", "generate", "plan.json", "--name", "shop"], { cwd })
      assert.deepStrictEqual([printed.code, printed.stdout], [0, source])
      const written = yield* run(["plan", "generate", "plan.json", "--name", "shop", "--out", "shop.ts"], { cwd })
      assert.deepStrictEqual([written.code, written.stdout], [0, "wrote shop.ts\n"])
      assert.strictEqual(Fs.readFileSync(Path.join(cwd, "shop.ts"), "utf8"), source)
    })
  )

  it.live("checks in CI that a file is up to date, and writes nothing", () =>
    Effect.gen(function* () {
      const cwd = yield* files
      const check = (file: string) => run(["plan", "generate", file, "--out", "plan.ts", "--check"], { cwd })
      yield* run(["plan", "generate", "plan.json", "--out", "plan.ts"], { cwd })
      assert.strictEqual((yield* check("plan.json")).code, 0)
      const before = Fs.readFileSync(Path.join(cwd, "plan.ts"), "utf8")
      const stale = yield* check("changed.json")
      assert.deepStrictEqual([stale.code, stale.stdout], [
        3,
        "plan.ts is out of date: run it again without --check\n"
      ] as never)
      assert.strictEqual(Fs.readFileSync(Path.join(cwd, "plan.ts"), "utf8"), before)
      const aimless = yield* run(["plan", "generate", "plan.json", "--check"], { cwd })
      assert.strictEqual(aimless.code, 2)
    })
  )
})
