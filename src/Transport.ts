/**
 * One attempt to send one batch, over an `HttpClient`. The transport owns the address, the key, the envelope and the reading of
 * the response: it decides in which of five ways an attempt ends. The consequences are the delivery's.
 */
import * as Clock from "effect/Clock"
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Headers from "effect/http/Headers"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import { log } from "./internal/Log.ts"
import * as EnvironmentProxy from "./internal/Proxy.ts"
import { library, type Message } from "./Message.ts"
import * as Settings from "./Settings.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Service interface
// ---------------------------------------------------------------------------------------------------------------------

/** The end of an attempt. @category models @since 0.1.0 */
export type SendResult = Data.TaggedEnum<{
  /** 2xx: the API has the batch. */
  Delivered: { readonly status: number }
  /** A retryable status with `Retry-After`: no attempt for so many milliseconds. */
  Limited: { readonly status: number; readonly delay: number }
  /** A failure that may pass: a retryable status, a network error, a timeout, an HTML page. */
  Transient: { readonly status?: number; readonly detail?: string }
  /** The API refuses something in this batch: 400, 413, 422, `success: false`. */
  Rejected: { readonly status: number; readonly detail?: string }
  /** The API refuses this client, whatever it sends: wrong key, wrong address, a redirect. */
  Misconfigured: { readonly status?: number; readonly detail?: string }
}>
/** Makes ends of attempts, and tells them apart: `SendResult.$match`. @category constructors @since 0.1.0 */
export const SendResult = Data.taggedEnum<SendResult>()

/** The transport in scope. @category services @since 0.1.0 */
export class Transport extends Context.Service<
  Transport,
  {
    /**
     * Makes one attempt. `attempt` is the number of attempts made before; each is stamped with the time at which it leaves.
     * Never fails, and never takes longer than the request timeout; twice that, if an access token has to be requested.
     */
    readonly send: (messages: ReadonlyArray<Message>, attempt: number) => Effect.Effect<SendResult>
    /** UTF-8 bytes of a request besides its messages and the commas between them. */
    readonly envelopeBytes: number
    /** The address that requests go to, for logs and errors. */
    readonly destination?: string | undefined
    /** The address and the write key: the same for clients that deliver to the same source. */
    readonly identity?: Redacted.Redacted<string> | undefined
  }
>()("effect-analytics/Transport") {}

/** @internal Receives the header `Date` of an answer. */
export const OnDate = /* @__PURE__ */ Context.Reference<((header: string | undefined) => void) | undefined>(
  "effect-analytics/Transport/OnDate",
  { defaultValue: () => undefined }
)

// ---------------------------------------------------------------------------------------------------------------------
// Options
// ---------------------------------------------------------------------------------------------------------------------

/** The options of a transport. @category options @since 0.1.0 */
export interface Options extends EndpointOptions {
  /** The key of the source. Printable ASCII. */
  readonly writeKey: Redacted.Redacted<string>
  /** Sends access tokens instead of the key in the header: `OAuth.make({ clientId, clientKey, keyId })`. */
  readonly auth?: Auth | undefined
}

/** A way to authorize requests. `OAuth.make` makes one. @category models @since 0.1.0 */
export interface Auth {
  /** Prepares it for a client that sends to this address. The timeout is in milliseconds. */
  readonly start: (client: {
    readonly endpoint: string
    readonly requestTimeout: number
  }) => Effect.Effect<Authorize, never, HttpClient.HttpClient>
}

/**
 * Sends a request in the way that is given, with another `authorization` than the key. It may know better what the end of the
 * attempt means; without an authorization it is the end.
 * @category models @since 0.1.0
 */
export type Authorize = (
  request: HttpClientRequest.HttpClientRequest,
  send: (request: HttpClientRequest.HttpClientRequest) => Effect.Effect<SendResult>
) => Effect.Effect<SendResult>

/** The options but the key. @category options @since 0.1.0 */
export interface EndpointOptions {
  /** Where the API is; a path prefix in it is kept. Needs https, loopback excepted. @default "https://api.segment.io" */
  readonly host?: string | undefined
  /** The batch endpoint below `host`. @default "/v1/batch" */
  readonly path?: string | undefined
  /** Where the workspace is, instead of `host`. An EU key on the US host is answered 200, and nothing appears. @default "us" */
  readonly region?: Settings.Region | undefined
  /** Allows plain http to something else than loopback. @default false */
  readonly allowInsecureHost?: boolean | undefined
  /** How long an attempt may take, its answer included. Milliseconds or a duration string. @default "10 seconds" */
  readonly requestTimeout?: Settings.DurationInput | undefined
  /** Compresses requests with gzip. Segment takes it; ask before you turn it on elsewhere. @default false */
  readonly gzip?: boolean | undefined
  /** Further headers of every request, e.g. for a gateway: `{ "x-tenant": "a" }`. Not those that the transport sets itself. */
  readonly headers?: Readonly<Record<string, string>> | undefined
}

// ---------------------------------------------------------------------------------------------------------------------
// Constructor
// ---------------------------------------------------------------------------------------------------------------------

/** Sends over the `HttpClient` that is provided. @category constructors @since 0.1.0 */
export const make = /* @__PURE__ */ Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<Transport["Service"], never, HttpClient.HttpClient> {
  const client = yield* HttpClient.HttpClient
  const { gzip = false, headers, requestTimeout, ...address } = Settings.read(Settings.Transport, options)
  const { endpoint, writeKey } = yield* Effect.sync(() => ({
    endpoint: Settings.endpoint({ ...address, region: options.region }),
    writeKey: Settings.writeKey(options.writeKey)
  }))
  const authorize = yield* options.auth?.start({ endpoint, requestTimeout: Settings.toMillis(requestTimeout) }) ??
    Effect.undefined
  const post = HttpClientRequest.post(endpoint, {
    headers: {
      ...headers,
      authorization: `Basic ${btoa(`${writeKey}:`)}`,
      "user-agent": `${library.name}/${library.version}`
    }
  })
  const envelope = (batch: string, sentAt: string) =>
    `{"batch":[${batch}],"writeKey":${JSON.stringify(writeKey)},"sentAt":"${sentAt}"}`

  const send: Transport["Service"]["send"] = Effect.fnUntraced(function* (messages, attempt) {
    const clock = yield* Clock.Clock
    const sentAt = new Date(clock.currentTimeMillisUnsafe()).toISOString()
    const json = envelope(messages.map((message) => message.json).join(","), sentAt)
    const plain = HttpClientRequest.bodyText(post, json, "application/json")
    const counted = attempt === 0 ? plain : HttpClientRequest.setHeader(plain, "x-retry-count", String(attempt))
    const request = gzip ? yield* HttpClientRequest.compressBody(counted, "gzip", { minSize: 0 }) : counted
    const sendWith = (authorized: HttpClientRequest.HttpClientRequest) => execute(authorized, clock)
    return yield* authorize === undefined ? sendWith(request) : authorize(request, sendWith)
  })

  const execute = (request: HttpClientRequest.HttpClientRequest, clock: Clock.Clock): Effect.Effect<SendResult> => {
    let response: HttpClientResponse.HttpClientResponse | undefined
    const body = client.execute(request).pipe(
      // A client that turns statuses into failures has the response all the same.
      Effect.catch((error) =>
        error.response === undefined ? Effect.fail(codeOf(error.reason.cause)) : Effect.succeed(error.response)
      ),
      Effect.flatMap((answered) => {
        response = answered
        return Effect.orElseSucceed(readBody(answered), () => "")
      }),
      Effect.tap(() => Effect.map(OnDate, (onDate) => onDate?.(response?.headers.date))),
      Effect.timeoutOrElse({ duration: requestTimeout, orElse: () => Effect.fail("timeout") }),
      manualRedirect,
      // The span is the batch's; one for each attempt would repeat it.
      Effect.provideService(HttpClient.TracerDisabledWhen, () => true)
    )
    return Effect.match(body, {
      onSuccess: (text) => resultOf(response as HttpClientResponse.HttpClientResponse, text, clock),
      // A received status decides the result even if the body stalls; a complete body may refine it.
      onFailure: (detail) => (response === undefined ? failureOf(detail, endpoint) : resultOf(response, "", clock))
    })
  }

  return Transport.of({
    send,
    envelopeBytes: envelope("", new Date(0).toISOString()).length,
    destination: endpoint,
    identity: Redacted.make(`${writeKey} ${endpoint}`)
  })
})

/** @internal One attempt, also over a transport that breaks its promise never to fail. */
export const attempt = (
  { send }: Transport["Service"],
  messages: ReadonlyArray<Message>,
  attempts: number
): Effect.Effect<SendResult> =>
  Effect.catchCause(
    Effect.suspend(() => send(messages, attempts)),
    () => Effect.succeed(SendResult.Transient({ detail: "the transport threw" }))
  )

/** @internal `fetch` would follow a redirect of a POST with a GET that is answered 200: a silent loss. */
export const manualRedirect = <A, E>(self: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.updateContext(self, (context: Context.Context<never>) =>
    Context.add(context, FetchHttpClient.RequestInit, {
      ...Context.getOrUndefined(context as Context.Context<FetchHttpClient.RequestInit>, FetchHttpClient.RequestInit),
      redirect: "manual"
    })
  )

// ---------------------------------------------------------------------------------------------------------------------
// Responses
// ---------------------------------------------------------------------------------------------------------------------

const maxResponseBytes = 64 * 1024

/** The body of a response: at most 64 KiB. */
const readBody = (response: HttpClientResponse.HttpClientResponse) => {
  const { "content-encoding": encoding = "", "content-length": length } = response.headers
  // A known length of an uncompressed body needs no counting.
  if (Number(length ?? Number.NaN) <= maxResponseBytes && encoding === "") return response.text
  let room = maxResponseBytes
  return response.stream.pipe(
    Stream.takeUntil((chunk) => {
      room -= chunk.byteLength
      return room <= 0
    }),
    Stream.decodeText(),
    Stream.mkString
  )
}

/** The code of a failed connection, such as `ECONNREFUSED` or `CERT_HAS_EXPIRED`. Its message could quote the request. */
const codeOf = (failure: unknown): string => {
  let cause = failure
  for (let depth = 0; depth < 5 && typeof cause === "object" && cause !== null; depth++) {
    if ("code" in cause && typeof cause.code === "string") return cause.code
    cause = "cause" in cause ? cause.cause : undefined
  }
  return "network"
}

const failureOf = (detail: string, endpoint: string): SendResult => {
  if (detail === noResponse) return SendResult.Misconfigured({ detail })
  const hint = EnvironmentProxy.hintFor(new URL(endpoint))
  return SendResult.Transient({ detail: hint === undefined ? detail : `${detail}; ${hint}` })
}

const isSuccess = (status: number) => status >= 200 && status < 300

const retryable = new Set([408, 410, 425, 429, 460])
const unretryable = new Set([501, 505, 511])
/** The status of a redirect that a browser does not follow. */
const hiddenRedirect = 0
const isTransient = (status: number) =>
  (status < 200 && status !== hiddenRedirect) || retryable.has(status) || (status >= 500 && !unretryable.has(status))

const rejected = new Set([400, 413, 422])

const resultOf = (response: HttpClientResponse.HttpClientResponse, body: string, clock: Clock.Clock): SendResult => {
  const { headers, status } = response
  if (isSuccess(status)) {
    if (isHtml(headers["content-type"], body))
      return SendResult.Transient({ status, detail: "an HTML page instead of an API's answer" })
    return isSuccessFalse(body)
      ? SendResult.Rejected({ status, detail: "success: false" })
      : SendResult.Delivered({ status })
  }
  if (isTransient(status)) {
    const delay = retryAfterMillis(headers["retry-after"], clock.currentTimeMillisUnsafe())
    return delay === undefined ? SendResult.Transient({ status }) : SendResult.Limited({ status, delay })
  }
  return rejected.has(status) ? SendResult.Rejected({ status }) : SendResult.Misconfigured({ status })
}

/** The answer of a captive portal. */
const isHtml = (contentType: string | undefined, body: string) =>
  /^\s*(text\/html|application\/xhtml)/i.test(contentType ?? "") || /^\s*<(!doctype|html)/i.test(body)

/** Whether a body says that nothing of the batch was taken: `success: false`, or in Jitsu's words `ok: false, okEvents: 0`. */
const isSuccessFalse = (body: string): boolean => {
  if (!/success|okEvents/.test(body)) return false
  try {
    const { ok, okEvents, success } = JSON.parse(body) ?? {}
    return success === false || (ok === false && okEvents === 0)
  } catch {
    return false
  }
}

/** @internal Seconds or an HTTP date. Anything else counts as absent. */
export const retryAfterMillis = (header: string | undefined, now: number): number | undefined => {
  const parsed = Headers.parseRetryAfter(header ?? "")
  return Result.isSuccess(parsed) ? Duration.toMillis(Headers.retryAfterDelay(parsed.success, now)) : undefined
}

// ---------------------------------------------------------------------------------------------------------------------
// Layers
// ---------------------------------------------------------------------------------------------------------------------

/** Sends over the `HttpClient` that is provided. @category layers @since 0.1.0 */
export const layer = (options: Options): Layer.Layer<Transport, never, HttpClient.HttpClient> =>
  Layer.effect(Transport, make(options))

/**
 * The same, with options that are read from the configuration. One that cannot work is a `ConfigError`.
 * @category layers @since 0.1.0
 */
export const layerConfig = (
  options: Config.Wrap<Options>
): Layer.Layer<Transport, Config.ConfigError, HttpClient.HttpClient> => Settings.layerWrapped(options, layer)

/**
 * Sends over `fetch`: by default `globalThis.fetch` as it is at the time of each request.
 * @category layers @since 0.1.0
 */
export const layerFetch = (options: Options, fetch?: typeof globalThis.fetch | undefined): Layer.Layer<Transport> =>
  Layer.provide(layer(options), layerHttpClient(fetch))

/**
 * An `HttpClient` over a `fetch`, or over `globalThis.fetch` as it is at the time of each request.
 * @category layers @since 0.1.0
 */
export const layerHttpClient = (fetch?: typeof globalThis.fetch | undefined): Layer.Layer<HttpClient.HttpClient> =>
  Layer.unwrap(
    Effect.sync(() => {
      Settings.optionalFunction("fetch", fetch)
      if (fetch === undefined && typeof globalThis.fetch !== "function") {
        return Settings.invalid("fetch", "is missing, and this runtime has none")
      }
      return Layer.effect(HttpClient.HttpClient, Effect.map(HttpClient.HttpClient, sendText)).pipe(
        // Fresh: the layer is a constant, and one build may have several fetches.
        Layer.provide(Layer.fresh(FetchHttpClient.layer)),
        Layer.provide(Layer.succeed(FetchHttpClient.Fetch, checked(fetch)))
      )
    })
  )

/** Gives `fetch` the JSON of a request as a string: `JSON.parse(init.body)` of a mock works, and nothing is encoded twice. */
const sendText: (client: HttpClient.HttpClient) => HttpClient.HttpClient = /* @__PURE__ */ HttpClient.mapRequest(
  (request) =>
    request.body._tag === "Uint8Array" && request.body.text !== undefined
      ? HttpClientRequest.setBody(request, HttpBody.raw(request.body.text, { contentType: request.body.contentType }))
      : request
)

const noResponse = "fetch answered no Response"

/** A `fetch` whose answer, if it is no `Response`, is an error with that reason: it may be a mock. */
const checked =
  (fetch: typeof globalThis.fetch | undefined): typeof globalThis.fetch =>
  async (url, init) => {
    const response: unknown = await (fetch ?? globalThis.fetch)(url, init)
    const { headers, status } = (response ?? {}) as Partial<Response>
    if (typeof status === "number" && typeof headers?.get === "function") return response as Response
    throw Object.assign(new TypeError(noResponse), { code: noResponse })
  }

/** Sends nothing: every batch counts as delivered, and is logged at debug level. @category layers @since 0.1.0 */
export const layerStub: Layer.Layer<Transport> = /* @__PURE__ */ Layer.succeed(Transport, {
  send: (messages) =>
    Effect.as(log("Debug", `stub: ${messages.length} messages not sent`), SendResult.Delivered({ status: 200 })),
  envelopeBytes: 0
})
