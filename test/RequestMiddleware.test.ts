import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as HttpMiddleware from "effect/http/HttpMiddleware"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as IpNetwork from "effect/net/IpNetwork"
import * as Option from "effect/Option"
import * as Analytics from "../src/Analytics.ts"
import * as AnalyticsTest from "../src/AnalyticsTest.ts"
import * as RequestMiddleware from "../src/RequestMiddleware.ts"

const app = Effect.gen(function* () {
  const analytics = yield* Analytics.Analytics
  yield* Effect.yieldNow
  yield* analytics.track({ userId: "u1", event: "Visited" })
  return HttpServerResponse.empty()
})

/** The context of what was said inside of a request. */
const contextOf = <E, R>(
  handler: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>,
  headers: Record<string, string> = {}
) =>
  Effect.gen(function* () {
    const request = HttpServerRequest.fromWeb(
      new Request("https://shop.example/cart?item=1", { headers: { host: "shop.example", ...headers } })
    ).modify({ remoteAddress: Option.some("10.0.0.1") })
    yield* Effect.provideService(handler, HttpServerRequest.HttpServerRequest, request)
    yield* Analytics.Analytics.use(({ flush }) => flush)
    const { library: _, ...context } = (yield* AnalyticsTest.Sent.use(({ messages }) => messages))[0]?.context ?? {}
    return context
  }).pipe(Effect.provide(AnalyticsTest.layer()))

describe("RequestMiddleware", () => {
  it.effect("puts what the request says around it", () =>
    Effect.gen(function* () {
      const headers = {
        "user-agent": "Mozilla/5.0",
        "accept-language": "de",
        "x-request-id": "r1",
        referer: "https://a.example/"
      }
      assert.deepStrictEqual(yield* contextOf(RequestMiddleware.make()(app), headers), {
        ip: "10.0.0.1",
        userAgent: "Mozilla/5.0",
        locale: "de",
        page: {
          path: "/cart",
          search: "?item=1",
          referrer: "https://a.example/",
          url: "https://shop.example/cart?item=1"
        },
        requestId: "r1"
      })
    })
  )

  it.effect("lets no Host header write the path", () =>
    Effect.gen(function* () {
      const { page } = yield* contextOf(RequestMiddleware.make()(app), { host: "a.example/y?z" })
      assert.deepStrictEqual(page, { path: "/cart", search: "?item=1", referrer: "" })
    })
  )

  const forwarded = { "x-forwarded-for": "6.6.6.6, 198.51.100.7" }

  it.effect("believes no header about the address", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* contextOf(RequestMiddleware.make()(app), forwarded)).ip, "10.0.0.1")
    })
  )

  it.effect("believes as many proxies as it is told", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* contextOf(RequestMiddleware.make({ trust: 1 })(app), forwarded)).ip, "198.51.100.7")
    })
  )

  it.effect("takes the address that xForwardedHeaders around it found", () =>
    Effect.gen(function* () {
      const trusted = HttpMiddleware.xForwardedHeaders({ trustedProxies: [IpNetwork.fromStringUnsafe("10.0.0.0/8")] })
      const context = yield* contextOf(trusted(RequestMiddleware.make()(app)), forwarded)
      assert.strictEqual(context.ip, "198.51.100.7")
    })
  )

  it.effect("is around every route of a router, as a layer", () =>
    Effect.gen(function* () {
      const routes = Layer.provide(HttpRouter.add("GET", "/cart", app), RequestMiddleware.layer())
      const handler = Effect.scoped(Effect.flatten(HttpRouter.toHttpEffect(routes)))
      const { ip, page } = yield* contextOf(handler)
      assert.strictEqual(ip, "10.0.0.1")
      assert.strictEqual(page?.path, "/cart")
    })
  )
})
