import { getConnInfo } from "@hono/node-server/conninfo"
import { createAnalytics, withContext } from "effect-analytics/plain"
import * as RequestContext from "effect-analytics/RequestContext"
import { Hono } from "hono"

export const analytics = createAnalytics({ writeKey: process.env.SEGMENT_WRITE_KEY ?? "" })
// So many proxies of yours are in front.
const contextOf = RequestContext.make({ trust: 1 })

export const app = new Hono()
app.use((c, next) => {
  const { headers, url } = c.req.raw
  return withContext(contextOf({ url, headers, ip: getConnInfo(c).remote.address }), next)
})

app.post("/orders/:id", async (c) => {
  analytics.track({ userId: "019mr8mf4r", event: "Order Completed", properties: { orderId: c.req.param("id") } })
  return c.body(null, 204)
})
