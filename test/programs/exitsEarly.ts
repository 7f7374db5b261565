/** Exits at once, with messages in memory; or closes first; or beside a client whose logger throws. */
import { createAnalytics } from "../../src/plain.ts"

const [host = "", messages = "1", how = "exit"] = process.argv.slice(2)
const fails = () => {
  throw new Error("the logger failed")
}
const logger = { debug: fails, info: fails, warn: fails, error: fails }
if (how === "beside") {
  const broken = createAnalytics({ writeKey: "test-write-key", host, logger })
  broken.track({ userId: "u1", event: "lost" })
}
const analytics = createAnalytics({ writeKey: "test-write-key", host })
for (let n = 1; n <= Number(messages); n++) analytics.track({ userId: "u1", event: `event ${n}` })
if (how === "close") await analytics.close()
process.exit(0)
