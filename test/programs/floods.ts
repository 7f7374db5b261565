/** Calls a client in a loop, with nobody at the other end, and counts what it is told. */
import { createAnalytics, type Settings } from "../../src/plain.ts"

const [host = "", calls = "200000", together = "1000", settings = "{}"] = process.argv.slice(2)
const told: Record<string, number> = {}
let accepted = 0
let mostPending = 0
let mostBytes = 0
const analytics = createAnalytics({
  writeKey: "test-write-key",
  host,
  closeTimeout: 100,
  onError: ({ messages, reason }) => {
    told[reason] = (told[reason] ?? 0) + messages.length
  },
  ...(JSON.parse(settings) as Partial<Settings>)
})
const padding = "x".repeat(200)
for (let n = 1; n <= Number(calls); n++) {
  const said = analytics.track({ userId: `user ${n % 1_000}`, event: "Purchased Item", properties: { n, padding } })
  if (said) accepted++
  if (n % Number(together) > 0) continue
  const { pending, pendingBytes } = analytics.stats()
  mostPending = Math.max(mostPending, pending)
  mostBytes = Math.max(mostBytes, pendingBytes)
  await new Promise(setImmediate)
}
const before = analytics.stats()
await analytics.close()
process.stdout.write(JSON.stringify({ accepted, told, mostPending, mostBytes, before, after: analytics.stats() }))
