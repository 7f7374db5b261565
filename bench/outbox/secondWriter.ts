/** Another process on the same file of SQLite: calls as fast as it can, and delivers nothing. */
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Analytics from "../../src/Analytics.ts"
import * as SqlOutbox from "../../src/SqlOutbox.ts"
import { byCallers, callOf, silent } from "./workload.ts"

const [file] = process.argv.slice(2) as [string]
const runtime = ManagedRuntime.make(
  Analytics.layerNoDeps({ closeTimeout: 0 }).pipe(Layer.provide([SqlOutbox.layerSqlite({ file }), silent]))
)
const analytics = await runtime.runPromise(Analytics.Analytics)
process.on("disconnect", () => process.exit())
let made = 0
setInterval(() => process.send?.(made), 50)
while (true) {
  await runtime.runPromise(byCallers(200, 2_000, (n) => analytics.track(callOf(n))))
  made += 2_000
}
