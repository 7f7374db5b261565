import { createAnalytics, withContext } from "effect-analytics/plain"
import * as RequestContext from "effect-analytics/RequestContext"
import Fastify from "fastify"

export const analytics = createAnalytics({ writeKey: process.env.SEGMENT_WRITE_KEY ?? "" })
const contextOf = RequestContext.make()

// Your proxies, here one on the same machine: Fastify finds `request.ip` and `request.host` by them.
export const app = Fastify({ trustProxy: "loopback", requestIdHeader: "x-request-id" })
app.addHook("preHandler", (request, _, done) => withContext(contextOf(request), done))
app.addHook("onClose", async () => void (await analytics.close()))

app.post<{ Params: { id: string } }>("/orders/:id", async (request, reply) => {
  analytics.track({ userId: "019mr8mf4r", event: "Order Completed", properties: { orderId: request.params.id } })
  return reply.code(204).send()
})
