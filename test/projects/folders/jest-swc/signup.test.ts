import { createAnalytics, withContext } from "effect-analytics/plain"
import { createTestAnalytics } from "effect-analytics/plainTest"

test("a signup is tracked", async () => {
  const analytics = createTestAnalytics()
  analytics.track({ userId: "u1", event: "Signed Up", properties: { plan: "free" } })
  await analytics.close()
  expect(analytics.sent.map(({ type }) => type)).toEqual(["track"])
})

test("an event arrives", async () => {
  const analytics = createAnalytics({ writeKey: "k", host: process.env.PEER ?? "" })
  await withContext({ ip: "203.0.113.7" }, async () => {
    await Promise.resolve()
    analytics.track({ userId: "u1", event: "Tested" })
  })
  expect((await analytics.close()).delivered).toBe(1)
})
