/** A server whose clients, one for each host, close on signals: one line each, and no handler of its own. */
import { createAnalytics, type Settings } from "../../src/plain.ts"

const [hosts = "", messages = "1", settings = "{}"] = process.argv.slice(2)
for (const host of hosts.split(",")) {
  const analytics = createAnalytics({
    writeKey: "test-write-key",
    host,
    closeOnSignals: true,
    onError: ({ message, messages }) => process.stdout.write(`${messages.length}: ${message}\n`),
    ...(JSON.parse(settings) as Partial<Settings>)
  })
  for (let n = 1; n <= Number(messages); n++) analytics.track({ userId: "u1", event: `event ${n}` })
}

// What a server does all day.
setInterval(() => {}, 1_000)
process.stdout.write("serving\n")
