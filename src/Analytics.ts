/**
 * The client for programs in Effect: the six calls, a flush, a close, and the layers that provide them.
 *
 * A call is checked, stamped, encoded once and enqueued. It never waits for the network.
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as References from "effect/References"
import type * as Scope from "effect/Scope"
import * as Sink from "effect/Sink"
import type { AnalyticsError } from "./AnalyticsError.ts"
import * as Call from "./Call.ts"
import * as Delivery from "./Delivery.ts"
import type { CurrentIdentity } from "./Enrichment.ts"
import "./internal/compiled.ts"
import * as AttachedSubmitter from "./Analytics/AttachedSubmitter.ts"
import * as Confirmation from "./Analytics/Confirmation.ts"
import * as FanOut from "./Analytics/FanOut.ts"
import type { Summary } from "./Analytics/Submitter.ts"
import * as Submitter from "./Analytics/Submitter.ts"
import * as Verification from "./Analytics/Verification.ts"
import { log } from "./internal/Log.ts"
import * as MemoryOutbox from "./MemoryOutbox.ts"
import type * as Outbox from "./Outbox.ts"
import type * as Outcome from "./Outcome.ts"
import * as Settings from "./Settings.ts"
import * as Transport from "./Transport.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Service interface
// ---------------------------------------------------------------------------------------------------------------------

/** The answer to `verify`. */
export type { Proxy, Verification } from "./Analytics/Verification.ts"
/** The answer to a flush or a close: `{ delivered, dropped, rejected, pending }`. */
export type { Summary }

/**
 * The six calls. Each resolves when the message is accepted, not when it is delivered.
 * @category models @since 0.1.0
 */
export interface Calls<R = never> {
  /** Records who a user is: `identify({ userId: "u1", traits: { plan: "free" } })`. */
  readonly identify: (call: Call.Identify) => Effect.Effect<void, AnalyticsError, R>
  /** Records what a user did: `track({ userId: "u1", event: "Signed Up", properties: { plan: "free" } })`. */
  readonly track: (call: Call.Track) => Effect.Effect<void, AnalyticsError, R>
  /** Records the page that a user saw: `page({ anonymousId: "v1", name: "Pricing" })`. */
  readonly page: (call: Call.Page) => Effect.Effect<void, AnalyticsError, R>
  /** Records the screen of an app that a user saw: `screen({ userId: "u1", name: "Cart" })`. */
  readonly screen: (call: Call.Screen) => Effect.Effect<void, AnalyticsError, R>
  /** Records the group that a user belongs to: `group({ userId: "u1", groupId: "g1", traits: { employees: 329 } })`. */
  readonly group: (call: Call.Group) => Effect.Effect<void, AnalyticsError, R>
  /** Joins two ids of one user: `alias({ previousId: "v1", userId: "u1" })`. */
  readonly alias: (call: Call.Alias) => Effect.Effect<void, AnalyticsError, R>
}

/**
 * The six calls where an identity is in scope (`Enrichment.withIdentity`): they may leave it out.
 * @category models @since 0.1.0
 */
export type IdentifiedCalls<R = never> = {
  readonly [Type in Call.Type]: (
    call: Call.WithOptionalIdentity<Call.Calls[Type]>
  ) => Effect.Effect<void, AnalyticsError, R | CurrentIdentity>
}

/** A client: the six calls, flush, close and counts. @category models @since 0.1.0 */
export interface Service extends Calls {
  /** Resolves when everything that was accepted before it is delivered or dropped. Any number may overlap. */
  readonly flush: Effect.Effect<Summary>
  /**
   * Takes no more calls, delivers the accepted messages until `closeTimeout`, and drops the rest; a durable outbox keeps it.
   * The end of the layer's scope does the same. Idempotent.
   */
  readonly close: Effect.Effect<Summary>
  /** Counts since the client was made. */
  readonly stats: Effect.Effect<Outcome.Stats>
}

/** Records what users do. @category services @since 0.1.0 */
export class Analytics extends Context.Service<Analytics, Service>()("effect-analytics/Analytics") {}

// ---------------------------------------------------------------------------------------------------------------------
// Options
// ---------------------------------------------------------------------------------------------------------------------

/** What happens to calls before they are enqueued. @category options @since 0.1.0 */
export type CallOptions = Submitter.Options

/** The options of a client. Only `writeKey` is needed. @category options @since 0.1.0 */
export interface Options extends CallOptions, Outbox.Options, Delivery.Options, Transport.Options {}

// ---------------------------------------------------------------------------------------------------------------------
// Constructor
// ---------------------------------------------------------------------------------------------------------------------

/** A client over the outbox and the transport that are provided. @category constructors @since 0.1.0 */
export const make = Effect.fnUntraced(function* (
  options: CallOptions & Delivery.Options = {}
): Effect.fn.Return<Service, never, Outbox.Outbox | Transport.Transport | Scope.Scope> {
  const delivery = yield* Delivery.make(options)
  const { stats, ...submitter } = yield* Submitter.make(options, delivery)
  const calls: Calls = Call.byType((type) => (call: unknown) => submitter.submit(type, call))
  const verify = Verification.verify(yield* Transport.Transport)
  return AttachedSubmitter.attach(
    { ...calls, flush: submitter.flush(), close: submitter.close(), stats },
    { ...submitter, verify }
  )
})

// ---------------------------------------------------------------------------------------------------------------------
// Calls
// ---------------------------------------------------------------------------------------------------------------------

const calls: Calls<Analytics> = Call.byType(
  (type) => (call: unknown) => Effect.flatMap(Analytics, (analytics) => analytics[type](call as never))
)
/** Records who a user is, by the client in scope. @category calls @since 0.1.0 */
export const identify = calls.identify
/** Records what a user did, by the client in scope. @category calls @since 0.1.0 */
export const track = calls.track
/** Records the page that a user saw, by the client in scope. @category calls @since 0.1.0 */
export const page = calls.page
/** Records the screen of an app that a user saw, by the client in scope. @category calls @since 0.1.0 */
export const screen = calls.screen
/** Records the group that a user belongs to, by the client in scope. @category calls @since 0.1.0 */
export const group = calls.group
/** Joins two ids of one user, by the client in scope. @category calls @since 0.1.0 */
export const alias = calls.alias

/**
 * The six calls where an identity is in scope: `Analytics.identified.track({ event: "Signed In" })`.
 * @category calls @since 0.1.0
 */
export const identified: IdentifiedCalls<Analytics> = calls as IdentifiedCalls<Analytics>

/**
 * The same for a client under another key: `Analytics.identifiedCalls(yield* Marketing).track({ event: "Clicked" })`.
 * @category calls @since 0.1.0
 */
export const identifiedCalls = (analytics: Service): IdentifiedCalls => analytics as IdentifiedCalls

/** The six calls, each of which waits for the end of its message. @category models @since 0.1.0 */
export type ConfirmedCalls = {
  readonly [Type in Call.Type]: (call: Call.Calls[Type]) => Effect.Effect<void, AnalyticsError, Analytics>
}

/**
 * The six calls, each of which waits for the end of its message: `Analytics.confirmed.track({ … })` succeeds when the API has
 * answered 2xx for it, and fails with `DeliveryError` when it is dropped. For the request that must not answer before its
 * event is safe. Other calls cost what they cost; the message travels in a batch with others.
 * @category calls @since 0.1.0
 */
export const confirmed: ConfirmedCalls = Call.byType(
  (type) => (call: unknown) =>
    Effect.flatMap(Analytics, (analytics) => Confirmation.confirm(AttachedSubmitter.over(analytics), type, call))
)

/** Resolves when everything that was accepted before it is delivered or dropped. @category operations @since 0.1.0 */
export const flush: Effect.Effect<Summary, never, Analytics> = Effect.flatMap(Analytics, (analytics) => analytics.flush)

const within = (way: "flush" | "close", timeout: Settings.DurationInput): Effect.Effect<Summary, never, Analytics> =>
  Effect.flatMap(Analytics, (analytics) =>
    Effect.flatMap(
      Effect.sync(() => Settings.timeoutMillis(timeout)),
      (millis) => AttachedSubmitter.of(analytics)?.[way](millis) ?? analytics[way]
    )
  )

/**
 * A flush that waits no longer than this: messages that are left stay, and count as `pending`.
 * @category operations @since 0.1.0
 */
export const flushWithin = (timeout: Settings.DurationInput) => within("flush", timeout)

/** A close that takes no longer than this, instead of `closeTimeout`. @category operations @since 0.1.0 */
export const closeWithin = (timeout: Settings.DurationInput) => within("close", timeout)

/** The six calls for programs that want no error in their types. @category models @since 0.1.0 */
export type InfallibleCalls = {
  readonly [Type in Call.Type]: (call: Call.Calls[Type]) => Effect.Effect<boolean, never, Analytics>
}

/**
 * The six calls, each of which answers whether the message is accepted, and never fails: `Analytics.infallible.track({ … })`. A
 * call that is not accepted is reported to the observer, or logged, as every other is.
 * @category calls @since 0.1.0
 */
export const infallible: InfallibleCalls = Call.byType(
  (type) => (call: unknown) =>
    Effect.match(calls[type](call as never), { onSuccess: () => true, onFailure: () => false })
)

/**
 * Sends one message, track "effect-analytics check", to the API at once, past the outbox, and answers how it went: status, host,
 * region, clock skew, proxy. For readiness checks, and for "no events". Takes no longer than `requestTimeout`; no retry. The
 * message counts in no flush and no `stats`. A client of the program's own, such as a mock, has no API: `ok` is false there.
 * @category operations @since 0.1.0
 */
export const verify: Effect.Effect<Verification.Verification, never, Analytics> = /* @__PURE__ */ Effect.flatMap(
  Analytics,
  (analytics) =>
    AttachedSubmitter.of(analytics)?.verify ??
    Effect.succeed({ ok: false, detail: "the client has no transport", messageId: "" })
)

/**
 * Makes every call of a stream, and waits for room: a history of any length runs in constant memory. A call that is not valid
 * is reported to the observer and counted; the sink goes on. It fails when the client is closed, or its durable outbox is away:
 * what follows would be lost.
 *
 * ```ts
 * import * as Stream from "effect/Stream"
 * import * as Analytics from "effect-analytics/Analytics"
 *
 * const rows = Stream.make({ userId: "u1", event: "Order Completed" }, { userId: "u2", event: "Order Refunded" })
 *
 * export const load = rows.pipe(
 *   Stream.map((row) => ({ type: "track" as const, ...row })),
 *   Stream.run(Analytics.sink)
 * )
 * ```
 * @category calls @since 0.1.0
 */
export const sink: Sink.Sink<
  { readonly accepted: number; readonly rejected: number },
  Call.Any,
  never,
  AnalyticsError,
  Analytics
> = Sink.unwrap(
  Effect.map(Analytics, (analytics) => {
    const submitter = AttachedSubmitter.of(analytics)
    const submit = (call: Call.Any): Effect.Effect<void, AnalyticsError> =>
      submitter?.submit(call.type, call, { checks: submitter.checks, overflow: "wait" }) ??
      analytics[call.type](call as never)
    return Sink.reduceEffect(
      () => ({ accepted: 0, rejected: 0 }),
      (counts, call: Call.Any) =>
        Effect.matchEffect(submit(call), {
          onSuccess: () => Effect.succeed({ ...counts, accepted: counts.accepted + 1 }),
          onFailure: (error) =>
            error.reason._tag === "InvalidCall" || error.reason._tag === "PlanViolation"
              ? Effect.succeed({ ...counts, rejected: counts.rejected + 1 })
              : Effect.fail(error)
        })
    )
  })
)

// ---------------------------------------------------------------------------------------------------------------------
// Layers
// ---------------------------------------------------------------------------------------------------------------------

/** Over the `Outbox` and the `Transport` that are provided. @category layers @since 0.1.0 */
export const layerNoDeps = (
  options?: CallOptions & Delivery.Options
): Layer.Layer<Analytics, never, Outbox.Outbox | Transport.Transport> => Layer.effect(Analytics, make(options))

/**
 * In memory, over the `HttpClient` that is provided. Called twice it makes two clients: keep it in a constant.
 *
 * ```ts
 * import * as Layer from "effect/Layer"
 * import * as Redacted from "effect/Redacted"
 * import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
 * import * as Analytics from "effect-analytics/Analytics"
 *
 * export const Client = Analytics.layer({ writeKey: Redacted.make("YOUR_WRITE_KEY") }).pipe(
 *   Layer.provide(NodeHttpClient.layerUndici)
 * )
 * ```
 * @category layers @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<Analytics, never, HttpClient.HttpClient> =>
  layerNoDeps(options).pipe(Layer.provide([MemoryOutbox.layer(options), Transport.layer(options)]))

/**
 * In memory, over `fetch`.
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Redacted from "effect/Redacted"
 * import * as Analytics from "effect-analytics/Analytics"
 *
 * const Client = Analytics.layerFetch({ writeKey: Redacted.make("YOUR_WRITE_KEY") })
 *
 * Analytics.track({ userId: "u1", event: "Order Completed", properties: { total: 27.5 } }).pipe(
 *   Effect.provide(Client),
 *   Effect.runPromise
 * )
 * ```
 * @category layers @since 0.1.0
 */
export const layerFetch = (options: Options): Layer.Layer<Analytics> =>
  Layer.provide(layer(options), Transport.layerHttpClient())

/**
 * Names the clients of a layer: their metrics, spans and log lines carry the attribute `client`, so that several in one process
 * can be told apart. `Analytics.layer(options).pipe(Analytics.withName("product"))`
 * @category combinators @since 0.1.0
 */
export const withName =
  (client: string) =>
  <A, E, R>(layer: Layer.Layer<A, E, R>): Layer.Layer<A, E, R> =>
    Layer.provide(
      layer,
      Layer.effectContext(
        Effect.map(Effect.context<never>(), (context) => {
          const named = <Annotations extends object>(annotations: Context.Reference<Annotations>) =>
            Context.make(annotations, { ...Context.get(context, annotations), client })
          return named(Metric.CurrentMetricAttributes).pipe(
            Context.merge(named(References.CurrentLogAnnotations)),
            Context.merge(named(References.TracerSpanAnnotations))
          )
        })
      )
    )

/**
 * One client over several: each call goes to all destinations that its `integrations` do not switch off. Each has its own queue,
 * limits, outcomes and observer; one that is down holds up no other. A `messageId` of the caller's gets the name of the
 * destination, since the API removes duplicates across sources. A call fails if no destination accepts it, a confirmed one
 * if it is not delivered to all.
 *
 * ```ts
 * import * as Redacted from "effect/Redacted"
 * import * as Analytics from "effect-analytics/Analytics"
 * import * as Destination from "effect-analytics/Destination"
 *
 * const segment = Destination.segment({ writeKey: Redacted.make("KEY_OF_SEGMENT") })
 * const hightouch = Destination.hightouch({ writeKey: Redacted.make("KEY_OF_HIGHTOUCH") })
 *
 * export const Client = Analytics.layerFanOut([
 *   { name: segment.name, layer: Analytics.layerFetch(segment) },
 *   { name: hightouch.name, layer: Analytics.layerFetch(hightouch) }
 * ])
 * ```
 * @category layers @since 0.1.0
 */
export const layerFanOut = <E, R>(
  destinations: ReadonlyArray<{
    /** The name in the `integrations` of a call. `All: false` does not switch off `Segment.io`. */
    readonly name: string
    readonly layer: Layer.Layer<Analytics, E, R>
  }>
): Layer.Layer<Analytics, E, R> =>
  Layer.effect(
    Analytics,
    Effect.gen(function* () {
      yield* Effect.sync(() => Settings.names(destinations.map(({ name }) => name)))
      const built = yield* Effect.forEach(destinations, ({ layer, name }) =>
        // Fresh: the same layer for two names is two clients.
        Effect.map(Layer.build(withName(name)(Layer.fresh(layer))), (context) => ({
          name,
          service: Context.get(context, Analytics)
        }))
      )
      const { stats, ...submitter } = FanOut.make(
        built.map(({ name, service }) => ({ name, submitter: AttachedSubmitter.over(service), stats: service.stats }))
      )
      const calls: Calls = Call.byType((type) => (call: unknown) => submitter.submit(type, call))
      // At once, before the scope ends one after the other.
      yield* Effect.addFinalizer(() => submitter.close())
      return AttachedSubmitter.attach(
        { ...calls, flush: submitter.flush(), close: submitter.close(), stats },
        submitter
      )
    })
  )

/**
 * With options that are read from the configuration: `layerConfig({ writeKey: Config.Redacted("SEGMENT_KEY") })`. One that cannot
 * work is a `ConfigError`.
 * @category layers @since 0.1.0
 */
export const layerConfig = (
  options: Config.Wrap<Options>
): Layer.Layer<Analytics, Config.ConfigError, HttpClient.HttpClient> => Settings.layerWrapped(options, layer)

/**
 * As `layerConfig`, over an outbox: `SqlOutbox.layerConfig` reads the choice of the outbox from the configuration as well.
 * @category layers @since 0.1.0
 */
export const layerConfigOver = <A, E, R>(
  wrapped: Config.Wrap<Omit<Options, keyof Outbox.Options>>,
  outbox: Layer.Layer<A | Outbox.Outbox, E, R>
): Layer.Layer<Analytics | A | Outbox.Outbox, Config.ConfigError | E, HttpClient.HttpClient | R> =>
  Settings.layerWrapped(wrapped, (options) =>
    layerNoDeps(options).pipe(Layer.provideMerge(outbox), Layer.provide(Transport.layer(options)))
  )

/** The options that configuration cannot hold. @category options @since 0.1.0 */
export interface CodeOptions extends CallOptions, Pick<Options, "auth" | "headers"> {}

/**
 * With settings from the environment: `ANALYTICS_WRITE_KEY`, and each other setting that is set there: `ANALYTICS_HOST`, `_PATH`,
 * `_REGION`, `_BATCH_SIZE`, `_FLUSH_INTERVAL`, `_MAX_IN_FLIGHT`, `_MAX_QUEUE_SIZE`, `_MAX_QUEUE_BYTES`, `_OVERFLOW`,
 * `_MAX_RETRIES`, `_MAX_RETRY_DURATION`, `_MAX_RATE_LIMIT_DURATION`, `_REQUEST_TIMEOUT`, `_CLOSE_TIMEOUT`, `_GZIP` and
 * `_ALLOW_INSECURE_HOST`. Times are strings such as `10 seconds`. One that cannot work is a `ConfigError` that names the
 * variable.
 * @category layers @since 0.1.0
 */
export const layerFromConfig = (
  options: CodeOptions = {}
): Layer.Layer<Analytics, Config.ConfigError, HttpClient.HttpClient> =>
  fromConfig((settings) => layer({ ...settings, ...options }))

/**
 * As `layerFromConfig`, over an outbox: `layerFromConfigOver(SqlOutbox.layerFromConfig)` reads the choice of the outbox from the
 * environment as well.
 * @category layers @since 0.1.0
 */
export const layerFromConfigOver = <A, E, R>(
  outbox: Layer.Layer<A | Outbox.Outbox, E, R>,
  options: CodeOptions = {}
): Layer.Layer<
  Analytics | A | Outbox.Outbox,
  Config.ConfigError | E,
  HttpClient.HttpClient | Exclude<R, A | Outbox.Outbox>
> =>
  Layer.provideMerge(
    fromConfig((settings) =>
      Layer.provide(layerNoDeps({ ...settings, ...options }), Transport.layer({ ...settings, ...options }))
    ),
    outbox
  ) as never

/** A layer with settings from the environment. */
const fromConfig = <A, R>(
  layerOf: (settings: Options) => Layer.Layer<A, never, R>
): Layer.Layer<A, Config.ConfigError, R> =>
  Layer.unwrap(
    Effect.gen(function* () {
      for (const slip of yield* Settings.slipsInConfig) yield* log("Warn", slip)
      const writeKey = yield* Config.Redacted(Settings.variableOf("writeKey"))
      const settings = yield* Settings.config()
      return Settings.layerRead(layerOf({ ...settings, writeKey }), Settings.variableOf)
    })
  )

/**
 * Everything but the network: batches count as delivered, and are logged at debug level.
 * @category layers @since 0.1.0
 */
export const layerStub = (options: Omit<Options, keyof Transport.Options> = {}): Layer.Layer<Analytics> =>
  layerNoDeps(options).pipe(Layer.provide([MemoryOutbox.layer(options), Transport.layerStub]))

/** Accepts every call, and does nothing with it. @category layers @since 0.1.0 */
export const layerNoop: Layer.Layer<Analytics> = /* @__PURE__ */ Layer.sync(Analytics, () => {
  const summary = Effect.succeed({ delivered: 0, dropped: 0, rejected: 0, pending: 0 })
  const stats = { offered: 0, delivered: 0, pending: 0, dropped: 0, rejected: 0, inFlight: 0, pendingBytes: 0 }
  return {
    ...Call.byType(() => () => Effect.void),
    flush: summary,
    close: summary,
    stats: Effect.succeed(stats)
  }
})
