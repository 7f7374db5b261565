/**
 * A relay in a process of its own, over a file or a database, that says whether it is the leader, a hundred times a second, and
 * writes a message when it is told to.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Redacted from "effect/Redacted"
import * as Analytics from "../../src/Analytics.ts"
import * as SqlOutbox from "../../src/SqlOutbox.ts"
import { callOf, transportTo } from "./workload.ts"

const [place, port] = process.argv.slice(2) as [string, string]
const outbox = place.startsWith("postgres")
  ? SqlOutbox.layer().pipe(Layer.provide(PgClient.layer({ url: Redacted.make(place) })))
  : SqlOutbox.layerSqlite({ directory: place })

const runtime = ManagedRuntime.make(
  Analytics.layerNoDeps().pipe(Layer.provideMerge(outbox), Layer.provide(transportTo(Number(port))))
)
const analytics = await runtime.runPromise(Analytics.Analytics)
const operations = await runtime.runPromise(SqlOutbox.SqlOutbox)
process.on("disconnect", () => process.exit())
process.on("message", () => void runtime.runPromise(analytics.track(callOf(1))))
setInterval(async () => {
  const { leader } = await runtime.runPromise(operations.stats)
  process.send?.(leader)
}, 10)
