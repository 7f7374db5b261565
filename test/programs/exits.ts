/** Ends without a close once half of what it tracked is delivered, and says first what the client says at that moment. */
import { writeSync } from "node:fs"
import { createAnalytics } from "../../src/plain.ts"

const [host = "", how = "exit"] = process.argv.slice(2)
const delivered: Array<string> = []
const end = () => {
  const { pending } = analytics.stats()
  writeSync(1, JSON.stringify({ delivered, pending }))
  if (how === "exit") process.exit(3)
  setImmediate(() => {
    throw new Error("a bug elsewhere")
  })
}
const analytics = createAnalytics({
  writeKey: "test-write-key",
  host,
  batchSize: 50,
  onOutcome: (outcome) => {
    if (outcome._tag !== "Delivered") return
    delivered.push(...outcome.messages.map(({ messageId }) => messageId))
    if (delivered.length === 100) setImmediate(end)
  }
})
for (let n = 1; n <= 200; n++) analytics.track({ userId: "u1", event: `event ${n}`, messageId: `id ${n}` })
