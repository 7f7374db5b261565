/** An Effect program that tracks and ends: the scope of its layer closes the client. */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Analytics from "../../src/Analytics.ts"

const [host = "", messages = "1"] = process.argv.slice(2)

const program = Effect.gen(function* () {
  const analytics = yield* Analytics.Analytics
  for (let n = 1; n <= Number(messages); n++) yield* analytics.track({ userId: "u1", event: `event ${n}` })
})

await program.pipe(
  Effect.provide(Analytics.layerFetch({ writeKey: Redacted.make("test-write-key"), host, flushInterval: "2 seconds" })),
  Effect.runPromise
)
