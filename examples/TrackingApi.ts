/**
 * A Tracking API on loopback: it reads what is sent with the Schemas that the client writes with, and remembers it.
 *
 * It has good and bad days, as the real one: sometimes it is slow, overloaded or asks for a pause, and once in a while
 * it takes a batch and loses the answer, so that the batch comes again. Its moods come in a fixed order.
 */
import { createServer } from "node:http"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import type * as HttpServerError from "effect/http/HttpServerError"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Message from "effect-analytics/Message"

/** What arrived under one `messageId`, and how often. */
export interface Receipt {
  readonly message: Message.Wire
  times: number
}

export class TrackingApi extends Context.Service<
  TrackingApi,
  {
    /** What a client gives as `host`. */
    readonly url: string
    /** Every message that was taken, by `messageId`. */
    readonly received: ReadonlyMap<string, Receipt>
  }
>()("examples/TrackingApi") {}

/** How a request is met: how long the answer takes, whether the batch is taken, and what the answer is. */
interface Mood {
  readonly millis: number
  readonly takes: boolean
  readonly answer: HttpServerResponse.HttpServerResponse
}

const success = HttpServerResponse.jsonUnsafe({ success: true })
const unavailable = HttpServerResponse.jsonUnsafe({ success: false }, { status: 503 })
const tooMany = HttpServerResponse.jsonUnsafe({ success: false }, { status: 429, headers: { "retry-after": "1" } })

const moods = {
  well: { millis: 20, takes: true, answer: success },
  slow: { millis: 300, takes: true, answer: success },
  overloaded: { millis: 20, takes: false, answer: unavailable },
  forgetful: { millis: 20, takes: true, answer: unavailable },
  limited: { millis: 5, takes: false, answer: tooMany }
} satisfies Record<string, Mood>

/** The first bad ones come early, so that a short run meets them too. */
const day: ReadonlyArray<Mood> = [
  ...[moods.well, moods.forgetful, moods.well, moods.overloaded, moods.well, moods.slow],
  ...Array.from({ length: 12 }, () => moods.well),
  ...[moods.limited, moods.well, moods.well, moods.slow],
  ...Array.from({ length: 18 }, () => moods.well)
]

/** Takes messages for one write key. */
export const layer = (options: {
  readonly writeKey: Redacted.Redacted<string>
}): Layer.Layer<TrackingApi, HttpServerError.ServeError> =>
  HttpRouter.serve(Layer.effect(TrackingApi, make(options)), { disableLogger: true, disableListenLog: true }).pipe(
    Layer.provide(
      NodeHttpServer.layer(createServer, { host: "127.0.0.1", port: 0, gracefulShutdownTimeout: "1 second" })
    )
  )

const make = Effect.fnUntraced(function* (options: { readonly writeKey: Redacted.Redacted<string> }) {
  const router = yield* HttpRouter.HttpRouter
  const { address } = yield* HttpServer.HttpServer
  const received = new Map<string, Receipt>()
  const credentials = `Basic ${btoa(`${Redacted.value(options.writeKey)}:`)}`
  let requests = 0

  const take = (message: Message.Wire) => {
    const receipt = received.get(message.messageId) ?? { message, times: 0 }
    receipt.times++
    received.set(message.messageId, receipt)
  }

  yield* router.add(
    "POST",
    "/v1/batch",
    Effect.gen(function* () {
      const { headers } = yield* HttpServerRequest.HttpServerRequest
      if (headers.authorization !== credentials) return HttpServerResponse.empty({ status: 401 })
      // What does not decode is answered with 400.
      const { batch } = yield* HttpServerRequest.schemaBodyJson(Message.Request)
      const mood = day[requests++ % day.length] ?? moods.well
      if (mood.takes) batch.forEach(take)
      yield* Effect.sleep(mood.millis)
      return mood.answer
    })
  )

  return { url: HttpServer.formatAddress(address), received }
})
