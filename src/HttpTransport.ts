/**
 * The transport over whatever `HttpClient` a program has. It has a file of its own, so that those who send over `fetch` alone
 * need not load all of `effect/http`.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import type { InvalidSetting } from "./AnalyticsError.ts"
import * as Transport from "./Transport.ts"

/** Over whatever `HttpClient` there is. */
export const make = /* @__PURE__ */ Effect.fnUntraced(function* (
  options: Transport.Options
): Effect.fn.Return<Transport.Transport["Service"], InvalidSetting, HttpClient.HttpClient> {
  const client = yield* HttpClient.HttpClient
  return yield* Transport.makeWith(options, ({ body, headers, url }, tell) =>
    HttpClientRequest.post(url, {
      headers,
      body:
        typeof body === "string"
          ? HttpBody.text(body, headers["content-type"])
          : HttpBody.uint8Array(body, headers["content-type"])
    }).pipe(
      client.execute,
      // A client that makes failures of statuses has the answer all the same.
      Effect.catch((error) =>
        error.response === undefined
          ? Effect.fail(Transport.codeOf(error.reason.cause))
          : Effect.succeed(error.response)
      ),
      Effect.flatMap((response) => {
        tell({ status: response.status, header: (name) => response.headers[name] })
        return Effect.orElseSucceed(textOf(response), () => "")
      }),
      // `fetch` would follow a redirect of a POST with a GET that is answered 200: a silent loss.
      Effect.updateContext((context: Context.Context<never>) =>
        Context.add(context, FetchHttpClient.RequestInit, {
          ...Context.getOrUndefined(
            context as Context.Context<FetchHttpClient.RequestInit>,
            FetchHttpClient.RequestInit
          ),
          redirect: "manual"
        })
      ),
      // The span is the batch's; one for each attempt would say the same again, with the address.
      Effect.provideService(HttpClient.TracerDisabledWhen, () => true)
    )
  )
})

const textOf = (response: HttpClientResponse.HttpClientResponse) => {
  if (Transport.isSmall(response.headers["content-length"], response.headers["content-encoding"])) return response.text
  let room: number = Transport.maxReplyBytes
  return response.stream.pipe(
    Stream.takeUntil((chunk) => {
      room -= chunk.byteLength
      return room <= 0
    }),
    Stream.decodeText(),
    Stream.mkString
  )
}

/** Sends over the `HttpClient` that is provided. */
export const layer = (
  options: Transport.Options
): Layer.Layer<Transport.Transport, InvalidSetting, HttpClient.HttpClient> =>
  Layer.effect(Transport.Transport, make(options))
