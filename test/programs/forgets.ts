/**
 * Makes clients, and forgets them without a close. Prints the memory that each has left behind, in KB, and the depth of the
 * queues before and after: two clients are kept, each with three messages. Needs `--expose-gc`.
 */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Metrics from "../../src/Metrics.ts"
import { type Client, createAnalytics } from "../../src/plain.ts"

const used = process.argv[2] === "used"
const collect = globalThis.gc as () => void

const heapUsed = async () => {
  // A later collection sees what finalizers of an earlier one have let go.
  for (let round = 0; round < 10; round++) {
    collect()
    await new Promise((resolve) => setImmediate(resolve))
  }
  return process.memoryUsage().heapUsed
}

const make = (): Client =>
  createAnalytics({ writeKey: "test-write-key", fetch: async () => new Response("{}"), flushInterval: "1 hour" })

const forget = async (clients: number) => {
  for (let n = 0; n < clients; n++) {
    const analytics = make()
    if (!used) continue
    analytics.track({ userId: "u1", event: "Signed Up" })
    await analytics.flush()
  }
}

const depth = () => Effect.runSync(Metric.value(Metrics.queueDepth)).value

const kept = [make(), make()]
for (const analytics of kept) {
  for (let n = 0; n < 3; n++) analytics.track({ userId: "u1", event: `event ${n}` })
}
await forget(100)
const before = await heapUsed()
const depths = [depth()]
await forget(500)
const kilobytes = ((await heapUsed()) - before) / 500 / 1_000
depths.push(depth())
process.stdout.write(JSON.stringify({ kilobytes, depths, pending: kept.map((analytics) => analytics.stats().pending) }))
await Promise.all(kept.map((analytics) => analytics.close()))
