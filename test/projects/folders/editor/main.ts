import { createAnalytics } from "effect-analytics/plain"

const analytics = createAnalytics({ writeKey: "k", batchSize: 5 })
analytics.track({ userId: "u1", event: "Signed Up" })
export const answer = analytics.flush()
