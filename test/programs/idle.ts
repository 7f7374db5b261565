/** Tracks, flushes, and simply ends: an idle client must not hold the process. */
import { createAnalytics } from "../../src/plain.ts"

const [host = "", messages = "1"] = process.argv.slice(2)
const analytics = createAnalytics({ writeKey: "test-write-key", host })
for (let n = 1; n <= Number(messages); n++) analytics.track({ userId: "u1", event: `event ${n}` })
process.stdout.write(JSON.stringify(await analytics.flush()))
