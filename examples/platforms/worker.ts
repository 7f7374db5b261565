import { createAnalytics } from "effect-analytics/plain"
import * as RequestContext from "effect-analytics/RequestContext"

interface Env {
  readonly SEGMENT_WRITE_KEY: string
}

interface ExecutionContext {
  readonly waitUntil: (promise: Promise<unknown>) => void
}

// Cloudflare writes the visitor's address there, whatever the visitor wrote.
const contextOf = RequestContext.make({ trust: "cf-connecting-ip" })

export default {
  async fetch(request: Request, env: Env, ctx: ExecutionContext): Promise<Response> {
    // A client for each request, and closed with it. What comes after the answer may take 30 seconds.
    const analytics = createAnalytics({ writeKey: env.SEGMENT_WRITE_KEY, closeTimeout: "25 seconds" })
    analytics.track({ userId: "019mr8mf4r", event: "Order Completed", context: contextOf(request) })
    ctx.waitUntil(analytics.close())
    return new Response(null, { status: 204 })
  }
}
