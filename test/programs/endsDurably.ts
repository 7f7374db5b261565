/** Tracks with an outbox that outlives the process, and simply ends; `idle`: flushes before. */
import { createAnalytics } from "../../src/plain.ts"
import { sqlite } from "../../src/sqlite.ts"

const [host = "", messages = "1", directory = "", idle = ""] = process.argv.slice(2)
const analytics = createAnalytics({ writeKey: "test-write-key", host, outbox: sqlite({ directory }) })
for (let n = 1; n <= Number(messages); n++) await analytics.track({ userId: "u1", event: `event ${n}` })
if (idle !== "") process.stdout.write(JSON.stringify((await analytics.flush()).dropped))
