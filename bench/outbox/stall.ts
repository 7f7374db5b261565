/**
 * For how long the event loop stops, while much waits and another process writes to the same file: this one calls and
 * delivers all the while.
 */
import { monitorEventLoopDelay } from "node:perf_hooks"
import { setTimeout as sleep } from "node:timers/promises"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Analytics from "../../src/Analytics.ts"
import * as SqlOutbox from "../../src/SqlOutbox.ts"
import { below, type Target } from "./targets.ts"
import {
  byCallers,
  callOf,
  makeDirectory,
  median,
  quantile,
  rawSqlite,
  seedSqlite,
  start,
  startSink,
  transportTo
} from "./workload.ts"

const waiting = 100_000
/** More than is delivered meanwhile: as many as are to wait stay there. */
const seeded = 2 * waiting
const millis = 10_000

export const stallOnSqlite = async (): Promise<ReadonlyArray<Target>> => {
  const { directory, file, remove } = makeDirectory()
  const database = await rawSqlite(file)
  seedSqlite(database, seeded)
  database.close()
  const sink = await startSink()
  const runtime = ManagedRuntime.make(
    Analytics.layerNoDeps({ closeTimeout: 0 }).pipe(
      Layer.provide([SqlOutbox.layerSqlite({ directory }), transportTo(sink.port)])
    )
  )
  const analytics = await runtime.runPromise(Analytics.Analytics)
  const writer = start<number>("secondWriter.ts", [file])
  let end = Number.POSITIVE_INFINITY
  let written = 0
  while (written === 0) written = await writer.hear()
  const writtenBefore = written
  const listening = (async () => {
    while (performance.now() < end) written = await writer.hear()
  })()

  const delay = monitorEventLoopDelay({ resolution: 1 })
  const calls: Array<number> = []
  const timed = (n: number) =>
    Effect.suspend(() => {
      const begin = performance.now()
      return Effect.tap(analytics.track(callOf(n)), () => Effect.sync(() => calls.push(performance.now() - begin)))
    })
  delay.enable()
  const before = await runtime.runPromise(analytics.stats)
  end = performance.now() + millis
  while (performance.now() < end) {
    await runtime.runPromise(byCallers(20, 20, timed))
    await sleep(10)
  }
  delay.disable()
  const after = await runtime.runPromise(analytics.stats)
  await listening
  await writer.stop()
  await runtime.dispose()
  await sink.stop()
  remove()

  const stall = (at: number) => delay.percentile(at) / 1e6
  console.log(
    `\nOne file of SQLite, at least ${waiting} messages wait, two processes: this one calls and delivers, the other calls; ${millis / 1_000} s`
  )
  console.table({
    "event loop stops, ms": {
      median: stall(50).toFixed(1),
      p99: stall(99).toFixed(1),
      longest: (delay.max / 1e6).toFixed(1)
    },
    "a call takes, ms": {
      median: median(calls).toFixed(1),
      p99: quantile(calls, 0.99).toFixed(1),
      longest: quantile(calls, 1).toFixed(1)
    }
  })
  console.log(
    `  meanwhile: ${calls.length} calls here, ${written - writtenBefore} there, ${after.delivered - before.delivered} delivered, ${after.pending} left`
  )
  return [below(`Event loop stalls, p99, with a second writer and ${waiting} rows waiting`, stall(99), 50, "ms")]
}
