/** A server that tracks, and ends in good order at the first signal. At the second it just ends. */
import { createAnalytics, type Settings } from "../../src/plain.ts"

const [host = "", messages = "1", settings = "{}"] = process.argv.slice(2)
const lost: Array<string> = []
const analytics = createAnalytics({
  writeKey: "test-write-key",
  host,
  onError: ({ messages, reason }) => lost.push(...messages.map(() => reason)),
  ...(JSON.parse(settings) as Partial<Settings>)
})
for (let n = 1; n <= Number(messages); n++) analytics.track({ userId: "u1", event: `event ${n}` })

// What a server does all day.
const serving = setInterval(() => {}, 1_000)

const end = async () => {
  // From here on a signal does what it does by default.
  process.off("SIGTERM", end).off("SIGINT", end)
  clearInterval(serving)
  process.stdout.write("closing\n")
  const { delivered, dropped } = await analytics.close()
  process.stdout.write(JSON.stringify({ delivered, dropped, lost: lost.length, reasons: [...new Set(lost)] }))
}
process.on("SIGTERM", end).on("SIGINT", end)
process.stdout.write("serving\n")
