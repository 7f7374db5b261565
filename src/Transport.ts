/**
 * One attempt to send one batch. It owns the address, the key, the envelope and the reading of the answer: which of
 * five ways an attempt ended is decided here, once; what follows from it is the delivery's business.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
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
    /** Where requests go, and with which key: the same for clients that deliver to the same source. */
    readonly destination?: Redacted.Redacted<string> | undefined
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
    gzip: Settings.flag("gzip", options.gzip)
  }))

// ---------------------------------------------------------------------------------------------------------------------
// Constructor
// ---------------------------------------------------------------------------------------------------------------------

/** @internal A request, and what comes back: all that an attempt needs of HTTP. */
interface Request {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | Uint8Array<ArrayBuffer>
}
interface Reply {
  readonly status: number
  readonly header: (name: "content-type" | "retry-after") => string | undefined
}
/**
 * @internal Tells the reply as soon as it is there, and answers with its body: at most `maxReplyBytes`, and nothing if it breaks.
 * Fails with the code of what went wrong, such as `ECONNREFUSED`.
 */
export type Exchange = (request: Request, tell: (reply: Reply) => void) => Effect.Effect<string, string>

/** @internal */
export const maxReplyBytes = 64 * 1024

/** @internal Over any way to exchange a request for an answer. */
export const makeWith = Effect.fnUntraced(function* (
  options: Options,
  exchange: Exchange
): Effect.fn.Return<Transport["Service"], InvalidSetting> {
  const { endpoint, gzip, requestTimeout, writeKey } = yield* settings(options)
  const headers = {
    authorization: `Basic ${btoa(`${writeKey}:`)}`,
    "content-type": "application/json",
    "user-agent": `${library.name}/${library.version}`,
    ...(gzip ? { "content-encoding": "gzip" } : {})
  }
  const envelope = (batch: string, sentAt: string) =>
    `{"batch":[${batch}],"writeKey":${JSON.stringify(writeKey)},"sentAt":"${sentAt}"}`

  const send: Transport["Service"]["send"] = Effect.fnUntraced(function* (messages, attempt) {
    const clock = yield* Clock.Clock
    const sentAt = new Date(clock.currentTimeMillisUnsafe()).toISOString()
    const json = envelope(messages.map((message) => message.json).join(","), sentAt)
    const request = {
      url: endpoint,
      headers: attempt === 0 ? headers : { ...headers, "x-retry-count": String(attempt) },
      body: gzip ? yield* Effect.promise(() => compress(json)) : json
    }
    let reply: Reply | undefined
    const keep = (told: Reply) => {
      reply = told
    }
    return yield* exchange(request, keep).pipe(
      Effect.timeoutOrElse({ duration: requestTimeout, orElse: () => Effect.fail("timeout") }),
      Effect.match({
        onSuccess: (text) => read(reply as Reply, text, clock.currentTimeMillisUnsafe()),
        // Once there is a status it has decided: a body that stalls changes nothing, though a whole one can.
        onFailure: (detail) =>
          reply === undefined ? Answer.Transient({ detail }) : read(reply, "", clock.currentTimeMillisUnsafe())
      })
    )
  })

  return Transport.of({
    send,
    envelopeBytes: envelope("", new Date(0).toISOString()).length,
    destination: Redacted.make(`${writeKey} ${endpoint}`)
  })
})

const compress = async (text: string): Promise<Uint8Array<ArrayBuffer>> =>
  new Uint8Array(await new Response(new Blob([text]).stream().pipeThrough(new CompressionStream("gzip"))).arrayBuffer())

/** @internal Whether a body need not be counted while it is read: its length is known, and not the one of something compressed. */
export const isSmall = (contentLength: string | null | undefined, contentEncoding: string | null | undefined) =>
  Number(contentLength ?? Number.NaN) <= maxReplyBytes && (contentEncoding ?? "") === ""

/** Over a `fetch`, without an `HttpClient` between: what plain programs load, bundle and run is the less for it. */
export const makeFetch = (options: Options, fetch: typeof globalThis.fetch) =>
  makeWith(options, ({ body, headers, url }, tell) =>
    Effect.tryPromise({
      try: async (signal) => {
        const response = await fetch(url, { method: "POST", headers, body, redirect: "manual", signal })
        tell({ status: response.status, header: (name) => response.headers.get(name) ?? undefined })
        return textOfFetched(response).catch(() => "")
      },
      catch: codeOf
    })
  )

const textOfFetched = async (response: Response): Promise<string> => {
  if (isSmall(response.headers.get("content-length"), response.headers.get("content-encoding"))) return response.text()
  const decoder = new TextDecoder()
  let room = maxReplyBytes
  let text = ""
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true })
    room -= chunk.byteLength
    if (room <= 0) break
  }
  return text
}

/** @internal The code of a failed connection, such as `ECONNREFUSED` or `CERT_HAS_EXPIRED`. Its text could quote the request. */
export const codeOf = (failure: unknown): string => {
  let cause = failure
  for (let depth = 0; depth < 5 && typeof cause === "object" && cause !== null; depth++) {
    if ("code" in cause && typeof cause.code === "string") return cause.code
    cause = "cause" in cause ? cause.cause : undefined
  }
  return "network"
}

// ---------------------------------------------------------------------------------------------------------------------
// Answers
// ---------------------------------------------------------------------------------------------------------------------

const isSuccess = (status: number) => status >= 200 && status < 300

const retryable = new Set([408, 410, 425, 429, 460])
const unretryable = new Set([501, 505, 511])
/** What a browser makes of a redirect that is not followed: it hides the status. */
const hiddenRedirect = 0
const isTransient = (status: number) =>
  (status < 200 && status !== hiddenRedirect) || retryable.has(status) || (status >= 500 && !unretryable.has(status))

const rejected = new Set([400, 413, 422])

const read = ({ header, status }: Reply, body: string, now: number): Answer => {
  if (isSuccess(status)) {
    if (isPage(header("content-type"), body))
      return Answer.Transient({ status, detail: "an HTML page instead of an API's answer" })
    return saysNo(body) ? Answer.Rejected({ status, detail: "success: false" }) : Answer.Delivered({ status })
  }
  if (isTransient(status)) {
    const delay = askedDelay(header("retry-after"), now)
    return delay === undefined ? Answer.Transient({ status }) : Answer.Limited({ status, delay })
  }
  return rejected.has(status) ? Answer.Rejected({ status }) : Answer.Misconfigured({ status })
}

/** What a captive portal answers. */
const isPage = (contentType: string | undefined, body: string) =>
  /^\s*(text\/html|application\/xhtml)/i.test(contentType ?? "") || /^\s*<(!doctype|html)/i.test(body)

const saysNo = (body: string): boolean => {
  if (!body.includes("success")) return false
  try {
    return JSON.parse(body)?.success === false
  } catch {
    return false
  }
}

/** Whole seconds, or an HTTP date; what is neither was not said. */
const askedDelay = (retryAfter: string | undefined, now: number): number | undefined => {
  const asked = retryAfter?.trim() ?? ""
  if (/^\d+$/.test(asked)) return Number(asked) * 1_000
  const date = /^[A-Z][a-z]{2,8}, .+ GMT$/.test(asked) ? Date.parse(asked) : Number.NaN
  return Number.isNaN(date) ? undefined : Math.max(0, date - now)
}

// ---------------------------------------------------------------------------------------------------------------------
// Layers
// ---------------------------------------------------------------------------------------------------------------------

/** Sends over this `fetch`. */
export const layerFetch = (
  options: Options,
  fetch: typeof globalThis.fetch = globalThis.fetch
): Layer.Layer<Transport, InvalidSetting> => Layer.effect(Transport, makeFetch(options, fetch))

/** Sends nothing: every batch is answered with success, and logged at debug level. */
export const layerStub: Layer.Layer<Transport> = Layer.succeed(Transport, {
  send: (messages) =>
    Effect.as(Effect.logDebug(`stub: ${messages.length} messages not sent`), Answer.Delivered({ status: 200 })),
  envelopeBytes: 0
})
