/**
 * What a planned call costs beside an unplanned one: an event of eight properties, accepted into the queue.
 *
 * `node bench/trackingPlan.ts`: in turns, several rounds of each, and the median of the rounds.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Analytics from "../src/Analytics.ts"
import * as Outcome from "../src/Outcome.ts"
import * as TrackingPlan from "../src/TrackingPlan.ts"

/** With effect's compiler of schemas, if asked: it makes functions from text, which not every platform allows. */
if (process.argv.includes("--compiled")) await import("effect/schema/SchemaJITCompiler/enable")

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

const calls = 10_000
const rounds = 30

const untyped = (analytics: Analytics.Analytics["Service"]) =>
  Effect.asVoid(analytics.track({ userId: "u1", event: "Order Completed", properties }))
const planned = plan.track("Order Completed", properties, { userId: "u1" })

/** Microseconds for each of `calls` calls. */
const time = Effect.fnUntraced(function* <E, R>(call: Effect.Effect<void, E, R>) {
  const start = performance.now()
  for (let n = 0; n < calls; n++) yield* call
  const took = performance.now() - start
  yield* Analytics.Analytics.use((analytics) => analytics.flush)
  return (took / calls) * 1_000
})

const median = (numbers: Array<number>) => numbers.sort((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0

const client = Analytics.layerStub({ maxQueueSize: calls + 1, maxQueueBytes: 2 ** 30, batchSize: 2_500 })
const quiet = Outcome.layerObserver(() => Effect.void)

const main = Effect.gen(function* () {
  const bare = yield* Analytics.Analytics
  const checked = yield* Effect.provide(Analytics.Analytics, plan.layer())
  const kinds = {
    "unplanned call": untyped(bare),
    "planned call": planned,
    "untyped call, checked": untyped(checked)
  }
  const times = new Map<string, Array<number>>()
  for (let round = 0; round < rounds; round++) {
    for (const [name, call] of Object.entries(kinds)) {
      const took = yield* time(call)
      if (round > 4) times.set(name, [...(times.get(name) ?? []), took])
    }
  }
  const medians = new Map(Array.from(times, ([name, all]) => [name, median(all)]))
  const unit = medians.get("unplanned call") ?? Number.NaN
  for (const [name, took] of medians) {
    process.stdout.write(`${name.padEnd(24)} ${took.toFixed(2)} µs  ${(took / unit).toFixed(2)} ×\n`)
  }
})

await Effect.runPromise(main.pipe(Effect.provide(Layer.provide(client, quiet))))
