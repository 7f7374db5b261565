import { createAnalytics, withContext } from "effect-analytics/plain"
import { sqlite } from "effect-analytics/sqlite"

const host = process.env.PEER
const analytics = createAnalytics({ writeKey: "k", host })
withContext({ ip: "203.0.113.7" }, () => analytics.track({ userId: "u1", event: "Bundled" }))
await analytics.close()
const durable = createAnalytics({ writeKey: "k", host, outbox: sqlite({ directory: "outbox" }) })
await durable.track({ userId: "u1", event: "Durable" })
await durable.close()
