import type { APIGatewayProxyHandlerV2 } from "aws-lambda"
import { createAnalytics, withContext } from "effect-analytics/plain"
import * as RequestContext from "effect-analytics/RequestContext"

// Once for an instance, which serves one invocation after the other, and is frozen in between.
const analytics = createAnalytics({ writeKey: process.env.SEGMENT_WRITE_KEY ?? "", requestTimeout: "2 seconds" })
const contextOf = RequestContext.make()

/** Milliseconds that are left for the answer. */
const margin = 500

/** Milliseconds that a visitor waits for the deliveries, at most: in an outage of the API each one would wait as long. */
const patience = 1_000

export const handler: APIGatewayProxyHandlerV2 = (event, { awsRequestId, getRemainingTimeInMillis }) => {
  const { domainName, http } = event.requestContext
  const request = {
    url: `https://${domainName}${event.rawPath}?${event.rawQueryString}`,
    headers: event.headers,
    ip: http.sourceIp,
    id: awsRequestId
  }
  return withContext(contextOf(request), async () => {
    analytics.track({ userId: "019mr8mf4r", event: "Order Completed" })
    await analytics.flush({ timeout: Math.max(0, Math.min(patience, getRemainingTimeInMillis() - margin)) })
    return { statusCode: 204 }
  })
}
