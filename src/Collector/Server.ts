/** The Node server under a collector: the one place where the optional peer `@effect/platform-node` is imported. */
import { createServer } from "node:http"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import type * as HttpServer from "effect/http/HttpServer"
import type * as HttpServerError from "effect/http/HttpServerError"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"

/** Milliseconds. A client that keeps its connection for longer than the server does would meet a reset. */
const timeouts = {
  headersTimeout: 10_000,
  requestTimeout: 30_000,
  connectionsCheckingInterval: 5_000,
  keepAliveTimeout: 60_000
} as const

const maxConnections = 512

/** Serves routes for as long as the scope lasts. */
export const serve = <A, E>(
  routes: Layer.Layer<A, E, HttpRouter.HttpRouter | HttpServer.HttpServer>,
  address: { readonly host: string; readonly port: number }
): Layer.Layer<A, E | HttpServerError.ServeError> => {
  const listen = () => {
    const server = createServer(timeouts)
    server.maxConnections = maxConnections
    return server
  }
  return HttpRouter.serve(routes, { disableLogger: true, disableListenLog: true }).pipe(
    Layer.provide(NodeHttpServer.layerServer(listen, { ...address, gracefulShutdownTimeout: "500 millis" }))
  )
}

/** Breaks the connection of a request: the client sees a reset. */
export const reset = (
  request: HttpServerRequest.HttpServerRequest
): Effect.Effect<HttpServerResponse.HttpServerResponse> => {
  const { socket } = NodeHttpServerRequest.toIncomingMessage(request)
  return Effect.andThen(
    Effect.sync(() => void socket.resetAndDestroy()),
    Effect.never
  )
}
