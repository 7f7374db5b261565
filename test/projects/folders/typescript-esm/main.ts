import { fromJson } from "effect-analytics/jsonPlan"
import { type Client, createAnalytics, type Failure, withContext } from "effect-analytics/plain"
import { createTestAnalytics } from "effect-analytics/plainTest"
import * as RequestContext from "effect-analytics/RequestContext"
import { sqlite } from "effect-analytics/sqlite"

interface Order {
  readonly id: string
  readonly total: number
}

const plan = fromJson({
  rules: {
    events: [
      {
        name: "Planned",
        rules: { properties: { properties: { required: ["id"], properties: { id: { type: "string" } } } } }
      }
    ]
  }
})
const order: Order = { id: "o1", total: 39.95 }
const host = process.env.PEER ?? ""
const failures: Array<Failure["reason"]> = []

const main = async (): Promise<void> => {
  const analytics: Client = createAnalytics({
    writeKey: "k",
    host,
    plan,
    onError: ({ reason }) => failures.push(reason)
  })
  const fromRequest = RequestContext.make()
  withContext(fromRequest({ url: "/cart", headers: { "user-agent": "test" } }), () =>
    analytics.track({ userId: 5, event: "Planned", properties: order })
  )
  analytics.track({ userId: 5, event: "Planned", properties: {} })
  await analytics.close({ timeout: "10 seconds" })

  const durable = createAnalytics({ writeKey: "k", host, outbox: sqlite({ directory: "outbox" }) })
  await durable.track({ anonymousId: "v1", event: "Durable" })
  await durable.close()

  const test = createTestAnalytics()
  test.page({ userId: "u1", name: "Home" })
  await test.close()
  console.log(JSON.stringify({ failures, sent: test.sent.map(({ type }) => type) }))
}

main().catch((error: unknown) => {
  console.error(error)
  process.exitCode = 1
})
