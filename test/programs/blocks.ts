/** Tracks, and when it is told to lets nothing else happen for a time: a computation, a synchronous read, a debugger. */
import { createAnalytics, type Settings } from "../../src/plain.ts"

const [host = "", messages = "1", settings = "{}"] = process.argv.slice(2)
const analytics = createAnalytics({
  writeKey: "test-write-key",
  host,
  ...(JSON.parse(settings) as Partial<Settings>)
})
for (let n = 1; n <= Number(messages); n++) analytics.track({ userId: "u1", event: `event ${n}` })

process.once("message", async (millis) => {
  const until = performance.now() + Number(millis)
  while (performance.now() < until);
  process.stdout.write(JSON.stringify(await analytics.close()))
  process.disconnect()
})
