/**
 * The client for programs in Effect: what `Client` says, and the layers that wire the rooms below into one.
 */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import type * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { InvalidSetting } from "./AnalyticsError.ts"
import { Analytics, layerNoDeps, type Options } from "./Client.ts"
import * as HttpTransport from "./HttpTransport.ts"
import * as Message from "./Message.ts"
import * as Outbox from "./Outbox.ts"
import * as Transport from "./Transport.ts"

export {
  Analytics,
  type CallOptions,
  type Calls,
  type IdentifiedCalls,
  layerNoDeps,
  make,
  type Options,
  type Service
} from "./Client.ts"

/** In memory, over the `HttpClient` that is provided. Called twice it is two clients; keep it in a constant. */
export const layer = (options: Options): Layer.Layer<Analytics, InvalidSetting, HttpClient.HttpClient> =>
  layerNoDeps(options).pipe(Layer.provide([Outbox.layerMemory(options), HttpTransport.layer(options)]))

/** In memory, over `fetch`. */
export const layerFetch = (options: Options): Layer.Layer<Analytics, InvalidSetting> =>
  Layer.provide(layer(options), FetchHttpClient.layer)

/** With options that are read from the configuration: `layerConfig({ writeKey: Config.Redacted("SEGMENT_KEY") })`. */
export const layerConfig = (
  options: Config.Wrap<Options>
): Layer.Layer<Analytics, Config.ConfigError | InvalidSetting, HttpClient.HttpClient> =>
  Layer.unwrap(Effect.map(Config.unwrap(options), layer))

const optional = <A>(config: Config.Config<A>): Config.Config<A | undefined> =>
  Config.map(Config.option(config), Option.getOrUndefined)

/**
 * With options from the environment: `ANALYTICS_WRITE_KEY`, and if they are set `ANALYTICS_HOST`, `_PATH`, `_REGION`,
 * `_BATCH_SIZE`, `_FLUSH_INTERVAL`, `_MAX_IN_FLIGHT`, `_MAX_QUEUE_SIZE`, `_MAX_QUEUE_BYTES`, `_OVERFLOW`,
 * `_MAX_RETRIES`, `_REQUEST_TIMEOUT`, `_CLOSE_TIMEOUT`, `_GZIP` and `_ALLOW_INSECURE_HOST`. Times are strings such as `10 seconds`.
 */
export const layerFromConfig: Layer.Layer<Analytics, Config.ConfigError | InvalidSetting, HttpClient.HttpClient> =
  /* @__PURE__ */ Layer.suspend(() =>
    layerConfig({
      writeKey: Config.Redacted("ANALYTICS_WRITE_KEY"),
      host: optional(Config.String("ANALYTICS_HOST")),
      path: optional(Config.String("ANALYTICS_PATH")),
      allowInsecureHost: optional(Config.Boolean("ANALYTICS_ALLOW_INSECURE_HOST")),
      region: optional(Config.Literals(["us", "eu"], "ANALYTICS_REGION")),
      batchSize: optional(Config.Int("ANALYTICS_BATCH_SIZE")),
      flushInterval: optional(Config.Duration("ANALYTICS_FLUSH_INTERVAL")),
      maxInFlight: optional(Config.Int("ANALYTICS_MAX_IN_FLIGHT")),
      maxQueueSize: optional(Config.Int("ANALYTICS_MAX_QUEUE_SIZE")),
      maxQueueBytes: optional(Config.Int("ANALYTICS_MAX_QUEUE_BYTES")),
      overflow: optional(Config.Literals(["refuse", "drop-oldest", "wait"], "ANALYTICS_OVERFLOW")),
      maxRetries: optional(Config.Int("ANALYTICS_MAX_RETRIES")),
      requestTimeout: optional(Config.Duration("ANALYTICS_REQUEST_TIMEOUT")),
      closeTimeout: optional(Config.Duration("ANALYTICS_CLOSE_TIMEOUT")),
      gzip: optional(Config.Boolean("ANALYTICS_GZIP"))
    })
  )

/** Everything but the network: batches are answered with success, and logged at debug level. */
export const layerStub = (
  options: Omit<Options, keyof Transport.Options> = {}
): Layer.Layer<Analytics, InvalidSetting> =>
  layerNoDeps(options).pipe(Layer.provide([Outbox.layerMemory(options), Transport.layerStub]))

/** Takes every call, and does nothing with it. */
export const layerNoop: Layer.Layer<Analytics> = Layer.sync(Analytics, () => {
  const nothing = () => Effect.void
  const calls = Message.byType(() => nothing)
  const flushed = Effect.succeed({ delivered: 0, dropped: 0 })
  const stats = { offered: 0, delivered: 0, pending: 0, dropped: 0, rejected: 0, inFlight: 0, pendingBytes: 0 }
  return {
    ...calls,
    identified: calls,
    flush: flushed,
    close: flushed,
    stats: Effect.succeed(stats),
    checks: [],
    say: nothing,
    callUnsafe: () => undefined
  }
})
