/** Calls of the Effect face, for the language server: test/editor.test.ts points at their words. */

import * as Effect from "effect/Effect"
import * as Analytics from "effect-analytics/Analytics"

export const program = Effect.gen(function* () {
  const analytics = yield* Analytics.Analytics
  yield* analytics.track({
    userId: "u1",
    event: "Order Completed",
    properties: { total: 27.5 },
    context: { ip: "192.0.2.1", plan: "free" },
    integrations: { All: true },
    messageId: "order-4711",
    timestamp: new Date(0)
  })
  yield* analytics.identify({ userId: "u1", traits: { email: "ada@example.com", score: 5 } })
  yield* analytics.group({ userId: "u1", groupId: "g1", traits: { employees: 329, score: 5 } })
  yield* analytics.page({ anonymousId: "v1", name: "Pricing" })
  yield* analytics.screen({ anonymousId: "v1", name: "Cart" })
  yield* analytics.alias({ userId: "u1", previousId: "v1", anonymousId: "v1" })
})
