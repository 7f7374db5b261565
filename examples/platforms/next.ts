import { createAnalytics, withContext } from "effect-analytics/plain"
import * as RequestContext from "effect-analytics/RequestContext"
import { after } from "next/server"

const analytics = createAnalytics({ writeKey: process.env.SEGMENT_WRITE_KEY ?? "" })
// On Vercel. Behind a proxy of your own: `trust: 1`.
const contextOf = RequestContext.make({ trust: "x-real-ip" })

export const POST = (request: Request): Promise<Response> =>
  withContext(contextOf(request), async () => {
    analytics.track({ userId: "019mr8mf4r", event: "Order Completed" })
    after(() => analytics.flush())
    return new Response(null, { status: 204 })
  })
