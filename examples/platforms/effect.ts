import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpMiddleware from "effect/http/HttpMiddleware"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as IpNetwork from "effect/net/IpNetwork"
import * as Analytics from "effect-analytics/Analytics"
import * as RequestMiddleware from "effect-analytics/RequestMiddleware"

const orders = HttpRouter.add(
  "POST",
  "/orders/:id",
  Effect.gen(function* () {
    const analytics = yield* Analytics.Analytics
    const { id } = yield* HttpRouter.params
    yield* analytics.track({ userId: "019mr8mf4r", event: "Order Completed", properties: { orderId: id } })
    return HttpServerResponse.empty()
  })
)

// Your proxies, here one on the same machine: who asks from there is believed about whom he asks for.
const proxies = HttpMiddleware.xForwardedHeaders({ trustedProxies: [IpNetwork.fromStringUnsafe("127.0.0.0/8")] })
const context = RequestMiddleware.make()

const routes = Layer.mergeAll(
  orders,
  HttpRouter.middleware((handler) => proxies(context(handler)), { global: true })
)

export const app = HttpRouter.serve(routes).pipe(
  Layer.provide(Analytics.layerConfig({ writeKey: Config.Redacted("SEGMENT_WRITE_KEY") })),
  Layer.provide(FetchHttpClient.layer)
)
