/**
 * What a planned call costs beside an unplanned one: an event of eight properties, accepted into the queue, in both faces.
 *
 * A plan from JSON is measured beside the same plan of Schemas, and reading a large one: 2,000 events of 30 properties.
 *
 * `node bench/trackingPlan.ts`: many short rounds of each, in turns, and the medians. It fails if a planned call costs more
 * than it may, or one of a plan from JSON more than one of Schemas, in each of three tries: machines are noisy, and slower
 * code is slower every time.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Schema from "effect/Schema"
import * as Analytics from "../src/Analytics.ts"
import * as MemoryOutbox from "../src/MemoryOutbox.ts"
import * as Observer from "../src/Observer.ts"
import { createAnalytics } from "../src/plain.ts"
import * as Planned from "../src/planned.ts"
import * as PlanJson from "../src/TrackingPlan/json.ts"
import * as TrackingPlan from "../src/TrackingPlan.ts"
import * as Transport from "../src/Transport.ts"

/** With effect's compiler of schemas, if asked: it makes functions from text, which not every platform allows. */
if (process.argv.includes("--compiled")) await import("effect/schema/SchemaJITCompiler/enable")

/** How many times an unplanned call a planned one may cost. */
const limit = 1.6
const tries = 3
const rounds = 150
const callsInRound = 400

const plan = TrackingPlan.make({
  events: {
    "Order Completed": Schema.Struct({
      orderId: Schema.NonEmptyString,
      affiliation: Schema.String,
      total: Schema.Finite,
      revenue: Schema.Finite,
      shipping: Schema.Finite,
      tax: Schema.Finite,
      coupon: Schema.optionalKey(Schema.String),
      currency: Schema.Literals(["EUR", "USD"])
    })
  }
})

/** The same plan, checked by the JSON Schema validator. */
const fromJson = PlanJson.fromJson(PlanJson.toJson(plan))

const properties = {
  orderId: "50314b8e9bcf000000000000",
  affiliation: "Google Store",
  total: 27.5,
  revenue: 25,
  shipping: 3,
  tax: 2,
  coupon: "hasbros",
  currency: "USD"
} as const
const who = { userId: "u1" } as const
const event = "Order Completed"

/** Nothing is sent while calls are timed, and the queue has room for all. */
const roomy = { maxQueueSize: 10_000_000, maxQueueBytes: 8_000_000_000, closeTimeout: 0 }
const silent = Layer.succeed(Transport.Transport, { send: () => Effect.never, envelopeBytes: 0 })
const client = Analytics.layerNoDeps(roomy).pipe(
  Layer.provide([MemoryOutbox.layer(roomy), silent]),
  Layer.provide(Observer.layer(() => Effect.void))
)

const median = (numbers: ReadonlyArray<number>): number =>
  [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)] as number

interface Kind {
  readonly name: string
  /** What it is compared with. */
  readonly unit: string
  /** For a plan from JSON: the same call of the plan of Schemas, than which it may not cost more. */
  readonly ofSchemas?: string
  /** Microseconds for a call, of as many as a round has. */
  readonly round: () => number
}

const timed = (calls: () => void): number => {
  const start = performance.now()
  calls()
  return ((performance.now() - start) / callsInRound) * 1_000
}

const effectKinds = async (): Promise<{ readonly kinds: ReadonlyArray<Kind>; readonly close: () => Promise<void> }> => {
  const bare = ManagedRuntime.make(client)
  const around = ManagedRuntime.make(Layer.provide(plan.layer(), client))
  const aroundJson = ManagedRuntime.make(Layer.provide(fromJson.layer(), client))
  const kind = (
    name: string,
    runtime: ManagedRuntime.ManagedRuntime<Analytics.Analytics, unknown>,
    call: Effect.Effect<void, unknown, Analytics.Analytics>,
    ofSchemas?: string
  ): Kind => {
    const calls = Effect.gen(function* () {
      for (let n = 0; n < callsInRound; n++) yield* call
    })
    const round = () => timed(() => runtime.runSync(calls))
    return { name, unit: "Effect: unplanned", ...(ofSchemas === undefined ? {} : { ofSchemas }), round }
  }
  const untyped = (analytics: Analytics.Analytics["Service"]) => analytics.track({ ...who, event, properties })
  const [inside, outside, outsideJson] = [
    await bare.runPromise(Analytics.Analytics),
    await around.runPromise(Analytics.Analytics),
    await aroundJson.runPromise(Analytics.Analytics)
  ] as const
  return {
    kinds: [
      kind("Effect: unplanned", bare, untyped(inside)),
      kind("Effect: planned", bare, plan.track(event, properties, who)),
      kind("Effect: planned, plan around the client", around, plan.track(event, properties, who)),
      kind("Effect: untyped, plan around the client", around, untyped(outside)),
      kind("Effect: planned, from JSON", bare, fromJson.track(event, properties, who), "Effect: planned"),
      kind(
        "Effect: untyped, plan from JSON",
        aroundJson,
        untyped(outsideJson),
        "Effect: untyped, plan around the client"
      )
    ],
    close: async () => void (await Promise.all([bare.dispose(), around.dispose(), aroundJson.dispose()]))
  }
}

const plainKinds = () => {
  const settings = { writeKey: "bench", ...roomy, onError: () => {}, fetch: () => new Promise<Response>(() => {}) }
  const bare = createAnalytics(settings)
  const planned = Planned.createAnalytics({ ...settings, plan })
  const plannedJson = Planned.createAnalytics({ ...settings, plan: fromJson })
  const kind = (name: string, call: () => boolean, ofSchemas?: string): Kind => ({
    name,
    unit: "plain: unplanned",
    ...(ofSchemas === undefined ? {} : { ofSchemas }),
    round: () =>
      timed(() => {
        for (let n = 0; n < callsInRound; n++) call()
      })
  })
  return {
    kinds: [
      kind("plain: unplanned", () => bare.track({ ...who, event, properties })),
      kind("plain: planned", () => planned.planned.track(event, properties, who)),
      kind("plain: untyped, with a plan", () => planned.track({ ...who, event, properties })),
      kind("plain: planned, from JSON", () => plannedJson.planned.track(event, properties, who), "plain: planned"),
      kind(
        "plain: untyped, with a plan from JSON",
        () => plannedJson.track({ ...who, event, properties }),
        "plain: untyped, with a plan"
      )
    ],
    close: async () => void (await Promise.all([bare.close(), planned.close(), plannedJson.close()]))
  }
}

/** Prints what each costs, and answers whether each costs no more than it may. */
const measure = async (): Promise<boolean> => {
  const [ofEffect, ofPlain] = [await effectKinds(), plainKinds()]
  const kinds = [...ofEffect.kinds, ...ofPlain.kinds]
  const times = new Map(kinds.map(({ name }) => [name, [] as Array<number>]))
  for (let round = 0; round < rounds; round++) {
    for (const { name, round: run } of kinds) {
      const took = run()
      // The first are for the compiler of the machine.
      if (round >= rounds / 5) times.get(name)?.push(took)
    }
    // What waits meanwhile (timers, the delivery) has its turn between rounds.
    await new Promise((resolve) => setImmediate(resolve))
  }
  await Promise.all([ofEffect.close(), ofPlain.close()])
  const cost = (name: string) => median(times.get(name) ?? [])
  const ratios = kinds.map(({ name, ofSchemas = name, unit }) => ({
    name,
    took: cost(name),
    ratio: cost(name) / cost(unit),
    isCheaper: cost(name) <= cost(ofSchemas)
  }))
  for (const { name, ratio, took } of ratios) {
    process.stdout.write(`${name.padEnd(42)} ${took.toFixed(2)} µs  ${ratio.toFixed(2)} ×\n`)
  }
  return ratios.every(({ isCheaper, ratio }) => ratio <= limit && isCheaper)
}

/** A plan of 2,000 events with 30 properties each, as it is parsed: no two events share an object. */
const largePlan = (): object => {
  const kinds = [
    { type: "string", description: "A text" },
    { type: "number", minimum: 0 },
    { type: "string", enum: ["a", "b"] },
    { type: ["string", "null"], pattern: "^[a-z]+$" },
    { type: "array", items: { type: "object", properties: { sku: { type: "string" } }, required: ["sku"] } },
    { type: "string", pii: "drop" }
  ]
  const shape = Object.fromEntries(Array.from({ length: 30 }, (_, n) => [`property_${n}`, kinds[n % kinds.length]]))
  const rules = {
    type: "object",
    properties: { properties: { type: "object", properties: shape, required: ["property_0"] } }
  }
  const events = Array.from({ length: 2_000 }, (_, n) => ({ name: `Event ${n}`, version: 1, rules }))
  return JSON.parse(JSON.stringify({ display_name: "Large", rules: { events } }))
}

/** Reads a large plan before anything else, and answers whether it stays within its limits in one of a few tries. */
const readLarge = (): boolean => {
  const json = largePlan()
  const before = process.memoryUsage().rss
  const reads = Array.from({ length: tries }, () => {
    const start = performance.now()
    const large = PlanJson.fromJson(json)
    return { large, took: performance.now() - start, grown: (process.memoryUsage().rss - before) / 1e6 }
  })
  const [{ grown, large }] = reads as [(typeof reads)[number]]
  const took = Math.min(...reads.map((read) => read.took))
  const problem = large.problem({ pii: "drop" })
  process.stdout.write(
    `2,000 events of 30 properties: read in ${took.toFixed(0)} ms (500), ${grown.toFixed(0)} MB (150)\n`
  )
  return took < 500 && grown < 150 && problem === undefined && large.problems.length === 0
}

if (!readLarge()) process.exitCode = 1

for (let attempt = 1; ; attempt++) {
  if (await measure()) break
  process.stdout.write(
    `a planned call may cost ${limit} × an unplanned one, and from JSON no more than of Schemas: try ${attempt} of ${tries} failed\n`
  )
  if (attempt < tries) continue
  process.exitCode = 1
  break
}
