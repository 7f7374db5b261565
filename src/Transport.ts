/**
 * One attempt to send one batch. It owns the address, the key, the envelope and the reading of the answer: which of
 * five ways an attempt ended is decided here, once; what follows from it is the delivery's business.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Headers from "effect/http/Headers"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import type { InvalidSetting } from "./AnalyticsError.ts"
import { library, type Message } from "./Message.ts"
import * as Settings from "./Settings.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Service interface
// ---------------------------------------------------------------------------------------------------------------------

/** How an attempt ended. */
export type Answer = Data.TaggedEnum<{
  /** 2xx: the batch is there. */
  Delivered: { readonly status: number }
  /** Come back in so many milliseconds: a retryable answer with `Retry-After`. */
  Limited: { readonly status: number; readonly delay: number }
  /** May go well the next time: a retryable status, a network error, a timeout, a page that is no API. */
  Transient: { readonly status?: number; readonly detail?: string }
  /** Something in this batch is refused: 400, 413, 422, `success: false`. */
  Rejected: { readonly status: number; readonly detail?: string }
  /** This client is refused, whatever it sends: wrong key, wrong address, a redirect. */
  Misconfigured: { readonly status: number }
}>
export const Answer = Data.taggedEnum<Answer>()

export class Transport extends Context.Service<
  Transport,
  {
    /**
     * Makes one attempt. `attempt` is the number of attempts made before; every one is stamped with the time at which
     * it leaves. Never fails and never waits longer than the request timeout.
     */
    readonly send: (messages: ReadonlyArray<Message>, attempt: number) => Effect.Effect<Answer>
    /** UTF-8 bytes that a request has besides its messages and the commas between them. */
    readonly envelopeBytes: number
  }
>()("effect-analytics/Transport") {}

// ---------------------------------------------------------------------------------------------------------------------
// Options
// ---------------------------------------------------------------------------------------------------------------------

export interface Options {
  /** The key of the source. Printable ASCII. */
  readonly writeKey: Redacted.Redacted<string>
  /** Where the API is; a path prefix in it is kept. Needs https, loopback excepted. @default "https://api.segment.io" */
  readonly host?: string | undefined
  /** The batch endpoint below `host`. @default "/v1/batch" */
  readonly path?: string | undefined
  /** Where the workspace is, instead of `host`. An EU key on the US host is answered 200, and nothing appears. @default "us" */
  readonly region?: Settings.Region | undefined
  /** Allows plain http to something else than loopback. @default false */
  readonly allowInsecureHost?: boolean | undefined
  /** How long an attempt may take, its answer included. Milliseconds or a duration string. @default "10 seconds" */
  readonly requestTimeout?: Duration.Input | undefined
  /** Compresses requests with gzip. Segment takes it; ask before you turn it on elsewhere. @default false */
  readonly gzip?: boolean | undefined
}

const settings = (options: Options) =>
  Settings.read(() => ({
    writeKey: Settings.writeKey(options.writeKey),
    endpoint: Settings.endpoint(options),
    requestTimeout: Settings.millis("requestTimeout", options.requestTimeout, 1),
    gzip: options.gzip === true
  }))

// ---------------------------------------------------------------------------------------------------------------------
// Constructor
// ---------------------------------------------------------------------------------------------------------------------

/** Bytes of an answer that are read, at most. */
const maxAnswerBytes = 64 * 1024

/** Over whatever `HttpClient` there is. */
export const make = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<Transport["Service"], InvalidSetting, HttpClient.HttpClient> {
  const { endpoint, gzip, requestTimeout, writeKey } = yield* settings(options)
  const client = yield* HttpClient.HttpClient
  const request = HttpClientRequest.post(endpoint).pipe(
    HttpClientRequest.basicAuth(options.writeKey, ""),
    HttpClientRequest.setHeader("user-agent", `${library.name}/${library.version}`),
    gzip ? HttpClientRequest.setHeader("content-encoding", "gzip") : (self) => self
  )
  const envelope = (batch: string, sentAt: string) =>
    `{"batch":[${batch}],"writeKey":${JSON.stringify(writeKey)},"sentAt":"${sentAt}"}`

  const send: Transport["Service"]["send"] = Effect.fnUntraced(
    function* (messages, attempt) {
      const startedAt = yield* Clock.currentTimeMillis
      const json = envelope(messages.map((message) => message.json).join(","), new Date(startedAt).toISOString())
      const body = gzip
        ? HttpBody.uint8Array(yield* Effect.promise(() => compress(json)), "application/json")
        : HttpBody.text(json, "application/json")
      const response = yield* request.pipe(
        HttpClientRequest.setBody(body),
        attempt === 0 ? (self) => self : HttpClientRequest.setHeader("x-retry-count", String(attempt)),
        client.execute,
        Effect.timeout(requestTimeout)
      )
      const now = yield* Clock.currentTimeMillis
      // The status has decided by now: a body that breaks or stalls changes nothing, but a whole one can.
      const answer = yield* readBody(response).pipe(
        Effect.timeout(Math.max(0, requestTimeout - (now - startedAt))),
        Effect.orElseSucceed(() => "")
      )
      return read(response, answer, now)
    },
    Effect.catchTags({
      HttpClientError: (error) => Effect.succeed(Answer.Transient({ detail: failureOf(error) })),
      TimeoutError: () => Effect.succeed(Answer.Transient({ detail: "timeout" }))
    }),
    // `fetch` would follow a redirect of a POST with a GET that is answered 200: a silent loss.
    Effect.provideService(FetchHttpClient.RequestInit, { redirect: "manual" }),
    // The span is the batch's; one for each attempt would say the same again, with the address.
    Effect.provideService(HttpClient.TracerDisabledWhen, () => true)
  )

  return Transport.of({ send, envelopeBytes: envelope("", new Date(0).toISOString()).length })
})

const compress = async (text: string): Promise<Uint8Array> =>
  new Uint8Array(
    await new Response(new Blob([text]).stream().pipeThrough(new CompressionStream("gzip"))).arrayBuffer()
  )

const readBody = (response: HttpClientResponse.HttpClientResponse): Effect.Effect<string, HttpClientError.HttpClientError> => {
  if (Number(response.headers["content-length"] ?? Number.NaN) <= maxAnswerBytes) return response.text
  let bytes = 0
  return response.stream.pipe(
    Stream.takeUntil((chunk) => (bytes += chunk.byteLength) >= maxAnswerBytes),
    Stream.decodeText(),
    Stream.mkString
  )
}

// ---------------------------------------------------------------------------------------------------------------------
// Answers
// ---------------------------------------------------------------------------------------------------------------------

const isSuccess = (status: number) => status >= 200 && status < 300

const retryable = new Set([408, 410, 425, 429, 460])
const unretryable = new Set([501, 505, 511])
const isTransient = (status: number) =>
  status < 200 || retryable.has(status) || (status >= 500 && !unretryable.has(status))

const rejected = new Set([400, 413, 422])

const read = (response: HttpClientResponse.HttpClientResponse, body: string, now: number): Answer => {
  const { headers, status } = response
  if (isSuccess(status)) {
    if (isPage(headers, body)) return Answer.Transient({ status, detail: "an HTML page instead of an API's answer" })
    return saysNo(body) ? Answer.Rejected({ status, detail: "success: false" }) : Answer.Delivered({ status })
  }
  if (isTransient(status)) {
    const delay = askedDelay(headers, now)
    return delay === undefined ? Answer.Transient({ status }) : Answer.Limited({ status, delay })
  }
  return rejected.has(status) ? Answer.Rejected({ status }) : Answer.Misconfigured({ status })
}

/** What a captive portal answers. */
const isPage = (headers: Headers.Headers, body: string) =>
  /^\s*(text\/html|application\/xhtml)/i.test(headers["content-type"] ?? "") || /^\s*<(!doctype|html)/i.test(body)

const saysNo = (body: string): boolean => {
  if (!body.includes("success")) return false
  try {
    return JSON.parse(body)?.success === false
  } catch {
    return false
  }
}

const askedDelay = (headers: Headers.Headers, now: number): number | undefined => {
  const asked = headers["retry-after"]
  if (asked === undefined) return undefined
  const parsed = Headers.parseRetryAfter(asked)
  return Result.isSuccess(parsed) ? Duration.toMillis(Headers.retryAfterDelay(parsed.success, now)) : undefined
}

/** The code of a failed connection, such as `ECONNREFUSED` or `CERT_HAS_EXPIRED`. Its text could quote the request. */
const failureOf = (error: HttpClientError.HttpClientError): string => {
  let cause: unknown = error.reason.cause
  for (let depth = 0; depth < 5 && typeof cause === "object" && cause !== null; depth++) {
    if ("code" in cause && typeof cause.code === "string") return cause.code
    cause = "cause" in cause ? cause.cause : undefined
  }
  return "network"
}

// ---------------------------------------------------------------------------------------------------------------------
// Layers
// ---------------------------------------------------------------------------------------------------------------------

/** Sends over the `HttpClient` that is provided. */
export const layer = (options: Options): Layer.Layer<Transport, InvalidSetting, HttpClient.HttpClient> =>
  Layer.effect(Transport, make(options))

/** Sends nothing: every batch is answered with success, and logged at debug level. */
export const layerStub: Layer.Layer<Transport> = Layer.succeed(Transport, {
  send: (messages) =>
    Effect.as(Effect.logDebug(`stub: ${messages.length} messages not sent`), Answer.Delivered({ status: 200 })),
  envelopeBytes: 0
})
