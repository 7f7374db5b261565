/** What the client, its settings and its plugins name of one another. */
import type { Context } from "./Context.ts"
import type { HTTPClient, HTTPFetchFn } from "./HTTPClient.ts"
import type { SegmentEvent } from "./Params.ts"

/** How the client gets its access tokens. @category options @since 0.1.0 */
export interface OAuthSettings {
  /** The id of the OAuth application. */
  clientId: string
  /** The private key, as PEM (PKCS#8), whose public key the application has. */
  clientKey: string
  /** The id of that public key. */
  keyId: string
  /** @default "https://oauth2.segment.io"; the one of the region if `host` is that of the EU */
  authServer?: string
  /** @default "tracking_api:write" */
  scope?: string
  /** Requests for a token until an attempt of a batch has failed: at least one. @default `maxRetries` of the client */
  maxRetries?: number
  /** The HTTP client for requests for tokens. @default that of the client */
  httpClient?: HTTPClient
}

/** The settings of a client. Only `writeKey` is needed. @category options @since 0.1.0 */
export interface AnalyticsSettings {
  /** The key of the source. */
  writeKey: string
  /** @default "https://api.segment.io" */
  host?: string
  /** @default "/v1/batch" */
  path?: string
  /** Attempts after the first for a batch whose failure may pass. @default 10 */
  maxRetries?: number
  /** Events in a batch: a full one leaves at once. @default 15 */
  flushAt?: number
  /** @deprecated the same as `flushAt` */
  maxEventsInBatch?: number
  /** How long a batch that is not full waits, in milliseconds. @default 10000 */
  flushInterval?: number
  /** How long a request may take, in milliseconds. @default 10000 */
  httpRequestTimeout?: number
  /** Sends nothing: every event counts as delivered. @default false */
  disable?: boolean
  /** A function like `fetch`, or an object with `makeRequest`. @default `globalThis.fetch` */
  httpClient?: HTTPFetchFn | HTTPClient
  /** Sends access tokens instead of the write key. */
  oauthSettings?: OAuthSettings
  /** How long a batch may fail before it is dropped, in seconds. @default 43200 */
  maxTotalBackoffDuration?: number
  /** How long the API may limit the client before a batch is dropped, in seconds. @default 43200 */
  maxRateLimitDuration?: number
  /** Not in `@segment/analytics-node`: events that are accepted and not settled, at most. @default 100000 */
  maxQueueSize?: number
  /** Not in `@segment/analytics-node`: bytes of the same, at most. @default 268435456 */
  maxQueueBytes?: number
}

/** Called at the end of an event: with the reason if it was not delivered. */
export type Callback = (error?: unknown, ctx?: Context) => void

/** An event that was not delivered, or what a listener has thrown. */
interface EmittedError {
  code: "delivery_failure" | "unknown"
  reason?: unknown
  ctx?: Context
}

type OfEvent = [ctx: Context]

/** The events of a client, and what their listeners get. */
export type Events = {
  alias: OfEvent
  group: OfEvent
  identify: OfEvent
  page: OfEvent
  screen: OfEvent
  track: OfEvent
  /** An event was not delivered. */
  error: [error: EmittedError]
  /** The client is made. Nobody can listen yet. */
  initialize: [settings: AnalyticsSettings]
  /** A call came after the client was closed. */
  call_after_close: [event: SegmentEvent]
  /** A request leaves. It is shown without the write key. */
  http_request: [request: { url: string; method: string; headers: Record<string, string>; body: string }]
  /** A response has come. `body` is that of the request. */
  http_response: [
    response: { status: number; statusText: string; url: string; body: string; headers: Record<string, string> }
  ]
  /** No event is left that waits for its end. */
  drained: []
  /** Known, and never emitted. */
  flush: []
  register: [pluginNames: Array<string>]
  deregister: [pluginNames: Array<string>]
}
