import { createAnalytics, withContext } from "effect-analytics/plain"
import * as RequestContext from "effect-analytics/RequestContext"
import express from "express"

export const analytics = createAnalytics({ writeKey: process.env.SEGMENT_WRITE_KEY ?? "" })
const contextOf = RequestContext.make()

export const app = express()
// How many proxies of yours are in front: Express finds `req.ip` and `req.host` by it.
app.set("trust proxy", 1)
app.use((req, _, next) => withContext(contextOf(req), next))

app.post("/orders/:id", express.json(), async (req, res) => {
  analytics.track({ userId: "019mr8mf4r", event: "Order Completed", properties: { orderId: req.params.id } })
  res.sendStatus(204)
})
