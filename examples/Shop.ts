/**
 * A small shop, and what it tells analytics of its visitors.
 *
 * A middleware says once who the visitor is and where they are; the handlers say only what happens. They find
 * `Analytics` in their context, and do not know whether it sends, counts or says nothing.
 */
import * as Effect from "effect/Effect"
import * as HttpMiddleware from "effect/http/HttpMiddleware"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as IpNetwork from "effect/net/IpNetwork"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Analytics from "effect-analytics/Analytics"
import * as Enrichment from "effect-analytics/Enrichment"
import * as Transform from "effect-analytics/Transform"

// ---------------------------------------------------------------------------------------------------------------------
// Analytics
// ---------------------------------------------------------------------------------------------------------------------

/** Puts the visitor, and where they are, around every handler. A new visitor gets an id in a cookie. */
const visitor = HttpRouter.middleware<{ provides: Enrichment.CurrentIdentity }>()((handler) =>
  Effect.gen(function* () {
    const { cookies, headers, remoteAddress, url } = yield* HttpServerRequest.HttpServerRequest
    const anonymousId = cookies.visitor ?? crypto.randomUUID()
    const { pathname, search } = new URL(url, "https://shop.example")
    const response = yield* handler.pipe(
      Enrichment.withIdentity(cookies.user === undefined ? { anonymousId } : { userId: cookies.user, anonymousId }),
      Enrichment.withContext({
        ip: Option.getOrUndefined(remoteAddress),
        userAgent: headers["user-agent"],
        locale: headers["accept-language"],
        page: { path: pathname, search, url: `https://shop.example${url}`, referrer: headers.referer }
      })
    )
    return cookies.visitor === undefined
      ? HttpServerResponse.setCookieUnsafe(response, "visitor", anonymousId, { httpOnly: true })
      : response
  })
)

/**
 * Records something about the visitor. A call that is not accepted is no reason not to sell: the observer gets it, and the
 * handler goes on.
 */
const record = <E, R>(call: (analytics: Analytics.IdentifiedCalls<Analytics.Analytics>) => Effect.Effect<void, E, R>) =>
  Effect.ignore(call(Analytics.identified))

/** An option of the client: crawlers buy nothing, and are not counted as visitors. */
export const withoutCrawlers: Transform.Transform = (message) =>
  /bot|crawler/i.test(String(message.context.userAgent)) ? Transform.drop("a crawler") : message

// ---------------------------------------------------------------------------------------------------------------------
// Handlers
// ---------------------------------------------------------------------------------------------------------------------

const prices: Record<string, number> = { teapot: 39.95, kettle: 59, mug: 12.5, oolong: 8.75, sencha: 9.25 }

const home = HttpRouter.add(
  "GET",
  "/",
  Effect.gen(function* () {
    yield* record((analytics) => analytics.page({ name: "Home" }))
    return HttpServerResponse.text("Everything for tea")
  })
)

const search = HttpRouter.add(
  "GET",
  "/search",
  Effect.gen(function* () {
    const { q } = yield* HttpServerRequest.schemaSearchParams(Schema.Struct({ q: Schema.NonEmptyString }))
    const found = Object.keys(prices).filter((sku) => sku.includes(q))
    yield* record((analytics) => analytics.track({ event: "Products Searched", properties: { query: q, found } }))
    return HttpServerResponse.jsonUnsafe(found)
  })
)

const product = HttpRouter.add(
  "GET",
  "/products/:sku",
  Effect.gen(function* () {
    const { sku } = yield* HttpRouter.schemaPathParams(Schema.Struct({ sku: Schema.String }))
    const price = prices[sku]
    if (price === undefined) return HttpServerResponse.empty({ status: 404 })
    yield* record((analytics) => analytics.page({ category: "Products", name: sku }))
    yield* record((analytics) => analytics.track({ event: "Product Viewed", properties: { sku, price } }))
    return HttpServerResponse.jsonUnsafe({ sku, price })
  })
)

const signUp = HttpRouter.add(
  "POST",
  "/signup",
  Effect.gen(function* () {
    const traits = yield* HttpServerRequest.schemaBodyJson(Schema.Struct({ name: Schema.String, email: Schema.String }))
    const { anonymousId } = yield* Enrichment.CurrentIdentity
    const userId = crypto.randomUUID()
    yield* record((analytics) => analytics.identify({ userId, traits: { ...traits, createdAt: new Date() } }))
    // What was done before signing up was done by the same person.
    yield* record((analytics) => analytics.alias({ userId, previousId: anonymousId ?? userId }))
    yield* record((analytics) => analytics.track({ userId, event: "Signed Up" }))
    return HttpServerResponse.setCookieUnsafe(HttpServerResponse.empty(), "user", userId, { httpOnly: true })
  })
)

const joinCompany = HttpRouter.add(
  "POST",
  "/company",
  Effect.gen(function* () {
    const { name } = yield* HttpServerRequest.schemaBodyJson(Schema.Struct({ name: Schema.NonEmptyString }))
    yield* record((analytics) => analytics.group({ groupId: name.toLowerCase(), traits: { name } }))
    return HttpServerResponse.empty()
  })
)

const Items = Schema.Struct({ skus: Schema.Array(Schema.Literals(["teapot", "kettle", "mug", "oolong", "sencha"])) })

const addToCart = HttpRouter.add(
  "POST",
  "/cart",
  Effect.gen(function* () {
    const { skus } = yield* HttpServerRequest.schemaBodyJson(Items)
    yield* Effect.forEach(skus, (sku) =>
      record((analytics) => analytics.track({ event: "Product Added", properties: { sku, price: prices[sku] } }))
    )
    return HttpServerResponse.empty()
  })
)

const checkOut = HttpRouter.add(
  "POST",
  "/checkout",
  Effect.gen(function* () {
    const { skus } = yield* HttpServerRequest.schemaBodyJson(Items)
    const revenue = skus.reduce((sum, sku) => sum + (prices[sku] ?? 0), 0)
    const orderId = crypto.randomUUID()
    yield* record((analytics) =>
      analytics.track({ event: "Order Completed", properties: { orderId, skus, revenue, currency: "EUR" } })
    )
    return HttpServerResponse.jsonUnsafe({ orderId, revenue })
  })
)

const review = HttpRouter.add(
  "POST",
  "/reviews",
  Effect.gen(function* () {
    const { sku, text } = yield* HttpServerRequest.schemaBodyJson(
      Schema.Struct({ sku: Schema.String, text: Schema.NonEmptyString })
    )
    yield* record((analytics) => analytics.track({ event: "Product Reviewed", properties: { sku, text } }))
    return HttpServerResponse.empty({ status: 201 })
  })
)

const orders = HttpRouter.add(
  "GET",
  "/app/orders",
  Effect.gen(function* () {
    yield* record((analytics) => analytics.screen({ name: "Orders" }))
    return HttpServerResponse.jsonUnsafe([])
  })
)

const routes = Layer.mergeAll(home, search, product, signUp, joinCompany, addToCart, checkOut, review, orders).pipe(
  Layer.provide(visitor.layer)
)

/** The shop. It needs an `Analytics` and an `HttpServer`; which ones is the business of whoever opens it. */
export const layer = HttpRouter.serve(routes, {
  // The visitor's address is what a proxy of ours says, and not what a visitor says.
  middleware: HttpMiddleware.xForwardedHeaders({ trustedProxies: [IpNetwork.fromStringUnsafe("127.0.0.0/8")] }),
  disableLogger: true,
  disableListenLog: true
})
