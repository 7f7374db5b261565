const assert = require("node:assert/strict")
const { mock, test } = require("node:test")
const { createAnalytics, withContext } = require("effect-analytics/plain")
const { createTestAnalytics } = require("effect-analytics/plainTest")

test("a signup is tracked, with fake timers", async () => {
  mock.timers.enable()
  const analytics = createTestAnalytics()
  analytics.track({ userId: "u1", event: "Signed Up", properties: { plan: "free" } })
  await analytics.close()
  assert.deepEqual(
    analytics.sent.map(({ type }) => type),
    ["track"]
  )
  mock.timers.reset()
})

test("an event arrives", async () => {
  const analytics = createAnalytics({ writeKey: "k", host: process.env.PEER })
  await withContext({ ip: "203.0.113.7" }, async () => {
    await Promise.resolve()
    analytics.track({ userId: "u1", event: "Tested" })
  })
  assert.equal((await analytics.close()).delivered, 1)
})
