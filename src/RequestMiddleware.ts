/**
 * For servers of `effect/http`: every call inside of a request carries the context of that request.
 */
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Enrichment from "./Enrichment.ts"
import * as RequestContext from "./RequestContext.ts"

/**
 * A middleware: `HttpRouter.middleware(RequestMiddleware.make(), { global: true })`. Calls carry the request's context as
 * if `Enrichment.withContext` were around them.
 *
 * Behind proxies, put `HttpMiddleware.xForwardedHeaders` around it, or set `trust`. Throws an `InvalidSetting` when it
 * can't be made.
 * @category constructors @since 0.1.0
 */
export const make = (options?: RequestContext.Options) => {
  const contextOf = RequestContext.make(options)
  return <E, R>(
    app: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
  ): Effect.Effect<HttpServerResponse.HttpServerResponse, E, R | HttpServerRequest.HttpServerRequest> =>
    Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) =>
      Enrichment.withContext(app, contextOf(factsOf(request)))
    )
}

/**
 * The same around every route of an `HttpRouter`: `Layer.provide(routes, RequestMiddleware.layer())`. Dies with an
 * `InvalidSetting` when it can't be made.
 * @category layers @since 0.1.0
 */
export const layer = (options?: RequestContext.Options) =>
  Layer.suspend(() => HttpRouter.middleware(make(options), { global: true }))

const factsOf = ({
  headers,
  originalUrl,
  protocol = /^https:/i.test(originalUrl) ? "https" : "http",
  remoteAddress,
  url
}: HttpServerRequest.HttpServerRequest): RequestContext.Request => ({
  url,
  protocol,
  host: headers.host,
  headers,
  ip: Option.getOrUndefined(remoteAddress)
})
