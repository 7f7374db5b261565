/** Tracks, and simply ends: nothing waits for the deliveries but the client itself. */
import { createAnalytics, type Settings } from "../../src/plain.ts"

const [host = "", messages = "1", settings = "{}"] = process.argv.slice(2)
const analytics = createAnalytics({ writeKey: "test-write-key", host, ...(JSON.parse(settings) as Partial<Settings>) })
for (let n = 1; n <= Number(messages); n++) analytics.track({ userId: "u1", event: `event ${n}` })
