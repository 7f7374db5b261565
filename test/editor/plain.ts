/** Calls of the plain face, for the language server: test/editor.test.ts points at their words. */
import { createAnalytics } from "effect-analytics/plain"

const analytics = createAnalytics({ writeKey: "a-write-key" })

analytics.track({
  userId: "u1",
  event: "Order Completed",
  properties: { total: 27.5 },
  context: { ip: "192.0.2.1", plan: "free" },
  integrations: { All: true },
  messageId: "order-4711",
  timestamp: new Date(0)
})
analytics.identify({ userId: "u1", traits: { email: "ada@example.com", score: 5 } })
analytics.group({ userId: "u1", groupId: "g1", traits: { employees: 329, score: 5 } })
analytics.page({ anonymousId: "v1", name: "Pricing" })
analytics.screen({ anonymousId: "v1", name: "Cart" })
analytics.alias({ userId: "u1", previousId: "v1", anonymousId: "v1" })
