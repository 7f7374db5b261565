/** An Effect server as `NodeRuntime` runs it: a signal interrupts it, and the end of its layers closes the client. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Analytics from "../../src/Analytics.ts"
import * as Observer from "../../src/Observer.ts"

const [host = "", messages = "1", closeTimeout = "0"] = process.argv.slice(2)
const counts: Record<string, number> = {}

const program = Effect.gen(function* () {
  const analytics = yield* Analytics.Analytics
  for (let n = 1; n <= Number(messages); n++) yield* analytics.track({ userId: "u1", event: `event ${n}` })
  return yield* Effect.never
})

const layer = Analytics.layerFetch({
  writeKey: Redacted.make("test-write-key"),
  host,
  batchSize: 50,
  requestTimeout: "1 hour",
  closeTimeout: Number(closeTimeout)
}).pipe(
  Layer.provide(
    Observer.layer((outcome) =>
      Effect.sync(() => {
        if (outcome._tag !== "Delivered" && outcome._tag !== "Dropped") return
        const end = outcome._tag === "Delivered" ? "delivered" : outcome.error.reason
        counts[end] = (counts[end] ?? 0) + outcome.messages.length
      })
    )
  )
)

program.pipe(
  Effect.provide(layer),
  Effect.ensuring(Effect.sync(() => process.stdout.write(JSON.stringify(counts)))),
  NodeRuntime.runMain
)
