/** Two copies of effect, or of the library, in one process; and what a plan loads that is not from JSON. */
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { pathToFileURL } from "node:url"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Analytics from "../src/Analytics.ts"
import * as AnalyticsTest from "../src/AnalyticsTest.ts"
import { createTestAnalytics } from "../src/plannedTest.ts"
import * as TrackingPlan from "../src/TrackingPlan.ts"
import { reasonOf } from "./errors.ts"

const root = path.resolve(import.meta.dirname, "..")
const cure = "Install effect once: `npm ls effect` shows its copies, `npm dedupe` removes them"

describe("two copies", () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "copies-"))
  const load = (file: string) => import(/* @vite-ignore */ pathToFileURL(path.join(folder, file)).href)

  beforeAll(() => {
    const effect = fs.realpathSync(path.join(root, "node_modules/effect"))
    // A copy of effect, and a copy of the library over the effect that is here.
    for (const file of ["dist", "package.json"]) {
      fs.cpSync(path.join(effect, file), path.join(folder, "node_modules/effect", file), {
        recursive: true,
        filter: (name) => !/\.(map|d\.ts)$/.test(name)
      })
    }
    fs.cpSync(path.join(root, "src"), path.join(folder, "library/src"), { recursive: true })
    fs.writeFileSync(path.join(folder, "library/package.json"), `{ "type": "module" }`)
    fs.mkdirSync(path.join(folder, "library/node_modules"))
    fs.symlinkSync(effect, path.join(folder, "library/node_modules/effect"))
  })
  afterAll(() => fs.rmSync(folder, { recursive: true }))

  it("a plan of Schemas that another copy of effect has made is refused, with the cure", async () => {
    const Other: typeof Schema = await load("node_modules/effect/dist/Schema.js")
    const whole = () => TrackingPlan.make({ events: { Order: Other.Struct({ id: Other.NonEmptyString }) } })
    const part = () => TrackingPlan.make({ events: { Order: Schema.Struct({ id: Schema.NullOr(Other.String) }) } })
    for (const make of [whole, part]) {
      assert.throws(make, `Order: its Schema was made by another copy of effect. ${cure}`)
    }
  })

  it("a key that another copy of effect has hidden is a setting that cannot work, with the cure", async () => {
    const Other: typeof Redacted = await load("node_modules/effect/dist/Redacted.js")
    const plan = TrackingPlan.make({ events: {} })
    const problem = plan.problem({ hashKey: Other.make("secret") })
    assert.include(problem?.message, `hashKey is a Redacted of another copy of effect. ${cure}`)
  })

  it("a plan of another copy of the library refuses calls over this client, in both faces", async () => {
    const Other: typeof TrackingPlan = await load("library/src/TrackingPlan.ts")
    const plan = Other.make({ events: { Order: Schema.Struct({ id: Schema.NonEmptyString }) } })
    const who = { userId: "u1" }
    const [right, wrong] = [plan.track("Order", { id: "o1" }, who), plan.track("Order", { id: "" }, who)]
    await Effect.gen(function* () {
      yield* right
      const error = yield* reasonOf(wrong)
      assert.deepInclude(error, { _tag: "PlanViolation", path: ["properties", "id"] })
      yield* Analytics.Analytics.use((analytics) => analytics.flush)
      assert.lengthOf(yield* (yield* AnalyticsTest.Sent).messages, 1)
    }).pipe(Effect.provide(Layer.provideMerge(plan.layer(), AnalyticsTest.layer())), Effect.runPromise)
    const analytics = createTestAnalytics({ plan, strict: false, onError: () => {} })
    assert.isTrue(analytics.planned.track("Order", { id: "o1" }, who))
    assert.isFalse(analytics.planned.track("Order", { id: "" }, who))
    assert.isFalse(analytics.track({ ...who, event: "Order", properties: { id: "" } }))
    await analytics.close()
    assert.lengthOf(analytics.sent, 1)
  })
})

describe("a plan that is not from JSON", () => {
  it("loads no validator, no exchange, no comparison and no generator", () => {
    const program = `
      import { registerHooks } from "node:module"
      const loaded = []
      registerHooks({ load: (url, context, next) => (loaded.push(url), next(url, context)) })
      await import("./src/TrackingPlan.ts")
      await import("./src/plain.ts")
      process.stdout.write(JSON.stringify(loaded))
    `
    const args = ["--input-type=module", "--eval", program]
    const { stderr, stdout } = spawnSync(process.execPath, args, { encoding: "utf8", cwd: root })
    assert.strictEqual(stderr, "")
    const loaded: ReadonlyArray<string> = JSON.parse(stdout)
    assert.isTrue(loaded.some((url) => url.endsWith("src/TrackingPlan/check/Plan.ts")))
    assert.deepStrictEqual(
      loaded.filter((url) => /typebox|TrackingPlan\/(json|diff|codegen)|SchemaRepresentation/.test(url)),
      []
    )
  })
})
