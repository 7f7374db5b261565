/** An instance of AWS Lambda with the handler of the guide: an invocation for each message, with so many milliseconds left. */
import type { APIGatewayProxyEventV2, Context } from "aws-lambda"
import { handler } from "../../examples/platforms/lambda.ts"

const event = {
  rawPath: "/orders/1",
  rawQueryString: "",
  headers: {},
  requestContext: { domainName: "api.shop.example", http: { sourceIp: "203.0.113.7" } }
} as unknown as APIGatewayProxyEventV2

process.on("message", async (left: number) => {
  const context = { awsRequestId: "aws-1", getRemainingTimeInMillis: () => left } as Context
  process.send?.(await handler(event, context, () => {}))
})
