/** Tracks, closes with a deadline, and says what became of it. */
import { createAnalytics } from "../../src/plain.ts"

const [host = "", messages = "1", closeTimeout = "0"] = process.argv.slice(2)
const lost: Array<string> = []
const analytics = createAnalytics({
  writeKey: "test-write-key",
  host,
  closeTimeout: Number(closeTimeout),
  onError: ({ messages, reason }) => lost.push(...messages.map(() => reason))
})
for (let n = 1; n <= Number(messages); n++) analytics.track({ userId: "u1", event: `event ${n}` })
const { delivered, dropped } = await analytics.close()
process.stdout.write(JSON.stringify({ delivered, dropped, lost: lost.length, reasons: [...new Set(lost)] }))
