import * as Config from "effect/Config"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Analytics from "effect-analytics/Analytics"
import express from "express"

// One for the process. A layer that is provided to the effect of a request makes a client for each request, and its end waits
// for the delivery: with the API down for all of `closeTimeout`.
export const runtime = ManagedRuntime.make(
  Analytics.layerConfig({ writeKey: Config.Redacted("SEGMENT_WRITE_KEY") }).pipe(Layer.provide(FetchHttpClient.layer))
)

export const app = express()
app.post("/orders/:id", async (req, res) => {
  await runtime.runPromise(
    Analytics.track({ userId: "019mr8mf4r", event: "Order Completed", properties: { orderId: req.params.id } })
  )
  res.sendStatus(204)
})
