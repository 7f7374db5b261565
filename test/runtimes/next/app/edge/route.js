import { createAnalytics, withContext, withIdentity } from "effect-analytics/plain"

export const runtime = "edge"

export const POST = async () => {
  const { PEER: host, SEGMENT_WRITE_KEY: writeKey = "" } = process.env
  const analytics = createAnalytics({ writeKey, host })
  const accepted = await withContext({ from: "edge" }, async () => {
    await undefined
    return withIdentity({ userId: "edge" }, () => analytics.identified.track({ event: "Ordered", properties: {} }))
  })
  await analytics.close()
  return new Response(String(accepted))
}
