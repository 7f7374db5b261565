import { createAnalytics, withContext } from "effect-analytics/plain"
import * as RequestContext from "effect-analytics/RequestContext"
import express from "express"

// A long interval: what is delivered is delivered by the close.
const analytics = createAnalytics({
  writeKey: "k",
  host: process.env.PEER,
  flushInterval: "1 hour",
  closeTimeout: "10 seconds",
  closeOnSignals: true
})
const fromRequest = RequestContext.make()

const app = express()
app.use((request, _response, next) => withContext(fromRequest(request), next))
app.post("/orders/:id", async (request, response) => {
  await Promise.resolve()
  analytics.track({ userId: "u1", event: "Order Completed", properties: { id: request.params.id } })
  response.sendStatus(204)
})
const server = app.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`))
process.on("SIGTERM", () => server.close())
