import { createAnalytics } from "effect-analytics/plain"

const analytics = createAnalytics({ writeKey: "k", host: process.env.PEER ?? "", requestTimeout: "2 seconds" })

export const handler = async (event: { readonly userId: string }) => {
  analytics.track({ userId: event.userId, event: "Invoked" })
  return analytics.flush({ timeout: "5 seconds" })
}
