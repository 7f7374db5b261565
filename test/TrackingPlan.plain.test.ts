import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Schema from "effect/Schema"
import { withIdentity } from "../src/plain.ts"
import { createAnalytics } from "../src/planned.ts"
import { createTestAnalytics } from "../src/plannedTest.ts"
import * as TrackingPlan from "../src/TrackingPlan.ts"

const plan = TrackingPlan.make({
  events: {
    "Order Completed": Schema.Struct({ orderId: Schema.String, at: Schema.DateTimeUtc }),
    "Signed Up": Schema.Struct({ email: Schema.String.annotate({ pii: "hash" }) })
  },
  traits: Schema.Struct({ name: Schema.String })
})
const at = DateTime.makeUnsafe("2026-01-02T03:04:05Z")

describe("createAnalytics({ plan })", () => {
  it("planned calls are typed, and answer whether they were accepted", async () => {
    const analytics = createTestAnalytics({ plan, hashKey: "k", strict: false, onError: () => {} })
    assert.isTrue(analytics.planned.track("Order Completed", { orderId: "o1", at }, { userId: "u1" }))
    assert.isTrue(analytics.planned.identify({ name: "Peter" }, { userId: "u1" }))
    // @ts-expect-error there is no such event
    analytics.planned.track("Order Complete", { orderId: "o1", at }, { userId: "u1" })
    // @ts-expect-error a property is missing
    assert.isFalse(analytics.planned.track("Order Completed", { orderId: "o1" }, { userId: "u1" }))
    // @ts-expect-error nobody is named
    assert.isFalse(analytics.planned.track("Order Completed", { orderId: "o1", at }, {}))
    await analytics.close()
    assert.deepInclude(analytics.sent[0], { properties: { orderId: "o1", at: "2026-01-02T03:04:05.000Z" } })
    assert.strictEqual(analytics.sent.length, 3)
  })

  it("calls that know nothing of the plan are checked, and onError is told", async () => {
    const told: Array<unknown> = []
    const analytics = createTestAnalytics({
      plan,
      hashKey: "k",
      strict: false,
      unplanned: "drop",
      events: { "Signed Up": "flag" },
      onError: ({ message, messages, reason }) => told.push([reason, message, messages])
    })
    assert.isFalse(analytics.track({ userId: "u1", event: "Order Completed", properties: { orderId: 1, at } }))
    assert.isTrue(analytics.track({ userId: "u1", event: "Order Completed", properties: { orderId: "o1", at } }))
    assert.isTrue(analytics.track({ userId: "u1", event: "Signed Up" }))
    assert.isTrue(analytics.track({ userId: "u1", event: "Unheard of" }))
    await analytics.close()
    assert.deepStrictEqual(told, [
      ["PlanViolation", `track "Order Completed" breaks the tracking plan at properties.orderId: Expected string`, []],
      ["PlanViolation", `track "Unheard of" breaks the tracking plan: it is not in the plan`, []]
    ])
    assert.deepStrictEqual(
      analytics.sent.map((message) => (message as { event?: string }).event),
      ["Order Completed", "Signed Up"]
    )
    assert.deepInclude(analytics.stats(), { offered: 4, delivered: 2, dropped: 1, rejected: 1 })
  })

  it("what a plan drops may be forgotten, and onError is told; without one the log is", async () => {
    const told: Array<unknown> = []
    const lines: Array<string> = []
    const write = (line: string) => void lines.push(line)
    const policies = { plan, hashKey: "k", traits: "drop", onViolation: "drop" } as const
    const first = createTestAnalytics({ ...policies, onError: ({ message, reason }) => told.push([reason, message]) })
    const second = createTestAnalytics({
      ...policies,
      logger: { debug: write, info: write, warn: write, error: write }
    })
    for (const analytics of [first, second]) {
      assert.isTrue(analytics.track({ userId: "u1", event: "Order Completed", properties: {} }))
      assert.isTrue(analytics.identify({ userId: "u1", traits: { name: 1 as never } }))
      await analytics.close()
      assert.deepInclude(analytics.stats(), { offered: 2, dropped: 2 })
    }
    assert.deepStrictEqual(told, [
      ["PlanViolation", `track "Order Completed" breaks the tracking plan at properties.orderId: Missing key`],
      ["PlanViolation", "identify breaks the tracking plan at traits.name: Expected string"]
    ])
    assert.strictEqual(lines.length, 2)
    assert.match(
      lines[0] ?? "",
      /effect-analytics: 1 call was not accepted: track "Order Completed" breaks the tracking plan/
    )
  })

  it("strict clients throw the violation", async () => {
    const analytics = createTestAnalytics({ plan, hashKey: "k", onError: () => {} })
    const call = () => analytics.track({ userId: "u1", event: "Order Completed", properties: {} })
    assert.throws(call, /breaks the tracking plan at properties.orderId: Missing key/)
    await analytics.close()
  })

  it("planned calls find the identity around them", async () => {
    const analytics = createTestAnalytics({ plan, hashKey: "k" })
    withIdentity({ userId: "u7" }, () => analytics.planned.identified.track("Order Completed", { orderId: "o1", at }))
    await analytics.close()
    assert.strictEqual(analytics.sent[0]?.userId, "u7")
  })

  it("a plan that is none is a setting that cannot work", () => {
    for (const none of [{}, null, "shop"]) {
      assert.throws(() => createAnalytics({ writeKey: "k", plan: none as never }), /plan must be made by TrackingPlan/)
    }
  })

  it("a hash without a key is a setting that cannot work", () => {
    assert.throws(() => createAnalytics({ writeKey: "k", plan }), /hashKey is needed to hash what is marked as pii/)
  })
})
