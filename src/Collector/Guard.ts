/**
 * Protects a server on a developer's machine from pages of other origins and from host names that are rebound to loopback.
 * The `Host` of every request must be in a list, exactly; a request from a page must come from this server, or from an
 * origin in a list.
 */
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"

type Request = Pick<HttpServerRequest.HttpServerRequest, "headers">

/** Whether a request comes from a page of this server, or from no page at all. */
export const isSameOrigin = ({ headers }: Request): boolean => {
  const { host, origin } = headers
  const site = headers["sec-fetch-site"]
  return (
    (origin === undefined || origin === `http://${host}`) &&
    (site === undefined || site === "same-origin" || site === "none")
  )
}

/** Whether a page of this origin may send events. */
export const isAllowedOrigin = (allowed: ReadonlySet<string>, { headers: { origin } }: Request): boolean =>
  origin !== undefined && allowed.has(origin)

/** The headers of every response. */
const securityHeaders = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
    "base-uri 'none'; frame-ancestors 'none'; form-action 'none'",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "cache-control": "no-store"
} as const

/** The `Host` headers by which a server is known. */
export const hostsOf = (host: string, port: number, others: ReadonlyArray<string>): ReadonlySet<string> => {
  const names = ["localhost", "127.0.0.1", "[::1]", host.includes(":") && !host.startsWith("[") ? `[${host}]` : host]
  return new Set([...names.flatMap((name) => (port === 80 ? [name, `${name}:80`] : [`${name}:${port}`])), ...others])
}

/** Installs the check of `Host` before every route, and the headers on every response. */
export const install = (hosts: ReadonlySet<string>): Effect.Effect<void, never, HttpRouter.HttpRouter> =>
  Effect.flatMap(HttpRouter.HttpRouter, (router) =>
    router.addGlobalMiddleware((handler) =>
      Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ headers }) =>
        hosts.has(headers.host ?? "")
          ? Effect.map(handler, HttpServerResponse.setHeaders(securityHeaders))
          : Effect.succeed(misdirected)
      )
    )
  )

const misdirected = HttpServerResponse.text("This server is not known by that name\n", {
  status: 421,
  headers: securityHeaders
})
