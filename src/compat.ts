/**
 * The client of `@segment/analytics-node`, over the pipeline of this package: a program moves by changing its import.
 *
 * It behaves as that client does where a program could depend on it. Where that client loses events without a word, the callback,
 * the listeners of `error`, or else the log learn of it. `docs/migrating.md` lists each difference.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { type CallError, Closed, QueueFull } from "./AnalyticsError.ts"
import * as Call from "./Call.ts"
import { Context } from "./compat/Context.ts"
import { Emitter } from "./compat/Emitter.ts"
import * as EventFactory from "./compat/EventFactory.ts"
import { fetchOver } from "./compat/HTTPClient.ts"
import type {
  AliasParams,
  CloseAndFlushParams,
  FlushParams,
  GroupParams,
  IdentifyParams,
  PageParams,
  SegmentEvent,
  TrackParams
} from "./compat/Params.ts"
import { ownName, type PluginOf, Plugins } from "./compat/Plugins.ts"
import type { AnalyticsSettings, Callback, Events, OAuthSettings } from "./compat/Types.ts"
import { ValidationError } from "./compat/ValidationError.ts"
import { ignoreThrows } from "./internal/Callback.ts"
import { log } from "./internal/Log.ts"
import { library } from "./Message.ts"
import * as OAuth from "./OAuth.ts"
import * as Observer from "./Observer.ts"
import * as LossLog from "./Outcome/LossLog.ts"
import type { Dropped, Outcome, Refused } from "./Outcome.ts"
import { logTo } from "./plain/Log.ts"
import type { AnySettings } from "./plain/Settings.ts"
import { type AnyClient, createInside } from "./plain.ts"
import * as Settings from "./Settings.ts"
import * as Transport from "./Transport.ts"

export { Context } from "./compat/Context.ts"
export type {
  HTTPClient,
  HTTPClientRequest,
  HTTPFetchFn,
  HTTPFetchRequest,
  HTTPResponse
} from "./compat/HTTPClient.ts"
export { FetchHTTPClient } from "./compat/HTTPClient.ts"
export type {
  AliasParams,
  GroupParams,
  GroupTraits,
  IdentifyParams,
  PageParams,
  TrackParams,
  UserTraits
} from "./compat/Params.ts"
export type { AnalyticsSettings, OAuthSettings } from "./compat/Types.ts"
export { ValidationError } from "./compat/ValidationError.ts"

/** A plugin. @category models @since 0.1.0 */
export interface Plugin extends PluginOf<Analytics> {}

/** An event whose end is not known yet: it is in a plugin, in the pipeline, or in its callback. */
interface Pending {
  /** Resolves when the event has reached the pipeline, or has ended before. */
  readonly arrived: Promise<void>
  /** Resolves when the callback and the listeners know the end. */
  readonly ended: Promise<void>
}

/** An event in the pipeline. */
interface Submitted {
  readonly ctx: Context
  readonly messageId: string
  readonly resolve: () => void
}

/** The longest time that the end of an event waits for the promise of its callback, in milliseconds. */
const callbackTimeout = 1_000

/**
 * A client. Its methods may be called without it.
 *
 * ```ts
 * import { Analytics } from "effect-analytics/compat"
 *
 * const analytics = new Analytics({ writeKey: "YOUR_WRITE_KEY" })
 * analytics.on("error", ({ code, reason }) => console.warn(code, reason))
 * analytics.track({ userId: "u1", event: "Order Completed", properties: { total: 27.5 } })
 * await analytics.closeAndFlush()
 * ```
 * @category models @since 0.1.0
 */
export class Analytics extends Emitter<Events> {
  /** Resolves when the client is ready. Calls need not wait for it. */
  readonly ready: Promise<void>

  readonly #client: AnyClient
  readonly #plugins: Plugins<Analytics>
  readonly #maxQueueSize: number
  readonly #closeTimeout: number
  readonly #pending = new Set<Pending>()
  /** Events in the pipeline, by `messageId`: the program may have given one twice. */
  readonly #submitted = new Map<string, ReadonlyArray<Submitted>>()
  /** The event that is just being submitted. */
  #submitting: Submitted | undefined
  /** How the pipeline lost an event. */
  readonly #lost = new WeakMap<Context, Refused | Dropped>()
  readonly #losses = LossLog.make()
  #isClosed = false

  constructor(settings: AnalyticsSettings) {
    super()
    if (!settings.writeKey) throw new ValidationError("writeKey", "writeKey is missing.")
    const flushInterval = settings.flushInterval ?? 10_000
    this.#closeTimeout = Math.max(60_000, flushInterval) * 1.25
    this.#maxQueueSize = settings.maxQueueSize ?? defaultQueue.maxQueueSize
    this.#client = createInside(
      Observer.layer((outcome) => this.#observe(outcome)),
      this.#coreSettings(settings, flushInterval)
    )
    this.#plugins = new Plugins<Analytics>(this, this.#destination(), (line) => runLog(log("Warn", line)))
    this.#bind()
    // Listeners that are added now learn of it, as of any other registration.
    this.ready = Promise.resolve().then(() => void this.emit("register", [ownName]))
    this.emit("initialize", settings)
  }

  /** The version of this package. */
  get VERSION(): string {
    return library.version
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Calls
  // -------------------------------------------------------------------------------------------------------------------

  /** Joins two ids of one user. */
  alias(params: AliasParams, callback?: Callback): void {
    this.#dispatch(EventFactory.alias(params), callback)
  }

  /** Records the group that a user belongs to. */
  group(params: GroupParams, callback?: Callback): void {
    this.#dispatch(EventFactory.group(params), callback)
  }

  /** Records who a user is. */
  identify(params: IdentifyParams, callback?: Callback): void {
    this.#dispatch(EventFactory.identify(params), callback)
  }

  /** Records the page that a user saw. */
  page(params: PageParams, callback?: Callback): void {
    this.#dispatch(EventFactory.page(params), callback)
  }

  /** Records the screen of an app that a user saw. */
  screen(params: PageParams, callback?: Callback): void {
    this.#dispatch(EventFactory.screen(params), callback)
  }

  /** Records what a user did. */
  track(params: TrackParams, callback?: Callback): void {
    this.#dispatch(EventFactory.track(params), callback)
  }

  #dispatch(event: SegmentEvent, callback: Callback | undefined): void {
    const ctx = new Context(event)
    if (this.#isClosed) {
      this.#refuse(ctx, new Closed())
      void this.#callBack(callback, ctx)
      if (!this.hasListeners("call_after_close")) this.#logUntold(ctx, callback)
      this.emit("call_after_close", event)
      return
    }
    let arrive = () => {}
    const arrived = new Promise<void>((resolve) => {
      arrive = resolve
    })
    const ended = this.#process(ctx, callback, arrive).then(() => this.#remove(pending))
    const pending: Pending = { arrived, ended }
    this.#pending.add(pending)
  }

  #remove(pending: Pending): void {
    this.#pending.delete(pending)
    if (this.#pending.size === 0) this.#emitSafely(() => this.emit("drained"))
  }

  /** Takes an event through the plugins, and tells its end. */
  async #process(given: Context, callback: Callback | undefined, arrive: () => void): Promise<void> {
    let ctx = given
    try {
      // What plugins hold counts as well. The pipeline sees to the rest.
      if (this.#pending.size < this.#maxQueueSize) {
        ctx = await this.#plugins.run(given, arrive)
        // No destination has a method for it.
        if (!isCall(ctx.event.type)) throw new ValidationError(".type", "is none of the six calls")
      } else this.#refuse(ctx, new QueueFull({ bound: "maxQueueSize", limit: this.#maxQueueSize }))
    } catch (reason) {
      ctx.setFailedDelivery({ reason })
    }
    arrive()
    if (!this.hasListeners("error")) this.#logUntold(ctx, callback)
    await this.#callBack(callback, ctx)
    const failed = ctx.failedDelivery()
    this.#emitSafely(() =>
      failed === undefined
        ? this.emit(ctx.event.type, ctx)
        : this.emit("error", { code: "delivery_failure", reason: failed.reason, ctx })
    )
  }

  async #callBack(callback: Callback | undefined, ctx: Context): Promise<void> {
    // Never inside of the call.
    await undefined
    if (callback === undefined) return
    const failed = ctx.failedDelivery()
    try {
      const answer: unknown = failed === undefined ? callback(undefined, ctx) : callback(failed.reason, ctx)
      await within(callbackTimeout, Promise.resolve(answer))
    } catch (error) {
      ctx.log("warn", "Callback Error", { error })
    }
  }

  /** What a listener throws is an error for the listeners of `error`; what one of those throws is its own affair. */
  #emitSafely(emit: () => void): void {
    try {
      emit()
    } catch (reason) {
      ignoreThrows(() => this.emit("error", { code: "unknown", reason }))
    }
  }

  /** Logs a loss of the pipeline that nobody else hears of. */
  #logUntold(ctx: Context, callback: Callback | undefined): void {
    const lost = this.#lost.get(ctx)
    if (lost !== undefined && callback === undefined) runLog(this.#losses.add(lost))
  }

  #refuse(ctx: Context, error: CallError): void {
    this.#lose(ctx, { _tag: "Refused", call: ctx.event.type, error, message: undefined })
  }

  #lose(ctx: Context, lost: Refused | Dropped): void {
    this.#lost.set(ctx, lost)
    ctx.setFailedDelivery({ reason: lost.error })
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Pipeline
  // -------------------------------------------------------------------------------------------------------------------

  #coreSettings(settings: AnalyticsSettings, flushInterval: number): AnySettings {
    const { httpClient, httpRequestTimeout = Settings.defaults.requestTimeout } = settings
    const url = new URL(settings.path || Settings.defaults.path, settings.host ?? "https://api.segment.io")
    const exchange = {
      onRequest: (request: Events["http_request"][0]) => this.#emitSafely(() => this.emit("http_request", request)),
      onResponse: (response: Events["http_response"][0]) => this.#emitSafely(() => this.emit("http_response", response))
    }
    return {
      ...defaultQueue,
      ...definedOf({
        writeKey: settings.writeKey,
        maxRetries: settings.maxRetries === undefined ? undefined : Math.min(1_000, Math.max(0, settings.maxRetries)),
        maxRetryDuration: millisOf(settings.maxTotalBackoffDuration),
        maxRateLimitDuration: millisOf(settings.maxRateLimitDuration),
        maxQueueSize: settings.maxQueueSize,
        maxQueueBytes: settings.maxQueueBytes
      }),
      writeKey: settings.writeKey,
      host: url.origin,
      path: (url.pathname.replace(/\/$/, "") || "/") + url.search,
      // As there: a proxy inside of a network needs no https.
      allowInsecureHost: true,
      batchSize: Math.min(Settings.limits.batchSize, Math.max(1, settings.flushAt ?? settings.maxEventsInBatch ?? 15)),
      flushInterval,
      maxInFlight: 50,
      requestTimeout: httpRequestTimeout,
      closeTimeout: this.#closeTimeout,
      stub: Boolean(settings.disable),
      fetch: fetchOver(httpClient, httpRequestTimeout, exchange),
      auth: settings.oauthSettings === undefined ? undefined : authOf(settings.oauthSettings, settings)
    }
  }

  /** The pipeline, as the destination that it is among the plugins. */
  #destination(): Plugin {
    const submit = (ctx: Context) => this.#submit(ctx)
    return {
      name: ownName,
      type: "destination",
      version: "1.0.0",
      isLoaded: () => true,
      load: async () => {},
      alias: submit,
      group: submit,
      identify: submit,
      page: submit,
      screen: submit,
      track: submit
    }
  }

  /** Resolves at the end of the message: then the context knows whether it was delivered. */
  async #submit(ctx: Context): Promise<Context> {
    ctx.updateEvent("context.library", library)
    // A plugin may have taken the id away: the end of the message is found by it.
    ctx.event.messageId ??= EventFactory.makeMessageId()
    await new Promise<void>((resolve) => {
      const submitted = { ctx, messageId: String(ctx.event.messageId), resolve }
      this.#submitted.set(submitted.messageId, [...(this.#submitted.get(submitted.messageId) ?? []), submitted])
      this.#submitting = submitted
      this.#client[ctx.event.type](callOf(ctx.event) as never)
      this.#submitting = undefined
    })
    return ctx
  }

  /** Ends the events of an outcome. What waits for them goes on later, outside of the pipeline. */
  #observe(outcome: Outcome): Effect.Effect<void> {
    switch (outcome._tag) {
      case "Refused":
        if (this.#submitting !== undefined) this.#settle(this.#submitting, outcome)
        break
      case "Delivered":
      case "Dropped":
        for (const message of outcome.messages) {
          const submitted = this.#submitted.get(message.messageId)?.[0]
          if (submitted === undefined) continue
          this.#settle(submitted, outcome._tag === "Dropped" ? { ...outcome, messages: [message] } : undefined)
        }
    }
    return Effect.void
  }

  #settle(submitted: Submitted, lost: Refused | Dropped | undefined): void {
    const { ctx, messageId, resolve } = submitted
    const others = this.#submitted.get(messageId)?.filter((other) => other !== submitted) ?? []
    if (others.length === 0) this.#submitted.delete(messageId)
    else this.#submitted.set(messageId, others)
    if (lost !== undefined) this.#lose(ctx, lost)
    resolve()
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Plugins
  // -------------------------------------------------------------------------------------------------------------------

  /** Adds plugins. Resolves when they are loaded; events wait until then. */
  async register(...plugins: Array<Plugin>): Promise<void> {
    await this.#plugins.register(plugins)
    this.emit(
      "register",
      plugins.map(({ name }) => name)
    )
  }

  /** Unloads and removes plugins. */
  async deregister(...pluginNames: Array<string>): Promise<void> {
    await this.#plugins.deregister(pluginNames)
    this.emit("deregister", pluginNames)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Flush
  // -------------------------------------------------------------------------------------------------------------------

  /**
   * Resolves when every event that was made before has its end, callbacks included, or at the timeout. Events that are left then
   * stay, unless the flush closes the client: then they are dropped, and their callbacks get the reason.
   */
  async flush({ close = false, timeout }: FlushParams = {}): Promise<void> {
    if (close) this.#isClosed = true
    const pending = Array.from(this.#pending)
    const settled = Promise.all([this.#deliver(pending), ...pending.map(({ ended }) => ended)])
    await (timeout ? within(timeout, settled) : settled)
    if (!close) return
    await this.#client.close({ timeout: 0 })
    await within(callbackTimeout, settled)
    runLog(this.#losses.close)
  }

  /** Takes no more events, and flushes. The default timeout is 75 seconds. */
  closeAndFlush({ timeout = this.#closeTimeout }: CloseAndFlushParams = {}): Promise<void> {
    return this.flush({ timeout, close: true })
  }

  async #deliver(pending: ReadonlyArray<Pending>): Promise<void> {
    // Those that are there need not wait for plugins.
    void this.#client.flush()
    await Promise.all(pending.map(({ arrived }) => arrived))
    await this.#client.flush()
  }

  /** Methods can be handed on without their object. */
  #bind(): void {
    const own = this as unknown as Record<string, unknown>
    for (
      let prototype = Object.getPrototypeOf(this);
      prototype !== Object.prototype;
      prototype = Object.getPrototypeOf(prototype)
    ) {
      for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(prototype))) {
        if (name === "constructor" || typeof value !== "function" || Object.hasOwn(this, name)) continue
        own[name] = value.bind(this)
      }
    }
  }
}

// As there.
// biome-ignore lint/style/noDefaultExport: programs import it in both ways
export default Analytics

// ---------------------------------------------------------------------------------------------------------------------
// Core
// ---------------------------------------------------------------------------------------------------------------------

/** The bound of the queue. `@segment/analytics-node` has none. */
const defaultQueue = { maxQueueSize: 100_000, maxQueueBytes: 256 * 1024 * 1024 }

/** Plugins may write what they like. */
const isCall = (type: string): boolean => (Call.types as ReadonlyArray<string>).includes(type)

/** The call of the core that an event is. */
const callOf = ({ category, name, ...event }: SegmentEvent): unknown => {
  const isView = event.type === "page" || event.type === "screen"
  return {
    ...event,
    ...(name === undefined ? {} : { name }),
    // A category needs a name here; without one it is a property.
    ...(category === undefined ? {} : name === undefined ? {} : { category }),
    ...(isView && category !== undefined && name === undefined ? { properties: { category, ...event.properties } } : {})
  }
}

/** Requests for tokens go over an HTTP client of their own, if there is one, and listeners see nothing of them. */
const authOf = (
  { clientKey, httpClient, maxRetries, ...options }: OAuthSettings,
  ofClient: AnalyticsSettings
): Transport.Auth => {
  // As there, the first request is one of them.
  const requests = maxRetries ?? ofClient.maxRetries ?? Settings.defaults.maxRetries
  const retries = Math.max(0, (Math.trunc(requests) || 1) - 1)
  const auth = OAuth.makeRetrying({ ...options, clientKey: Redacted.make(clientKey) }, retries)
  const fetch = fetchOver(httpClient ?? ofClient.httpClient, Settings.defaults.requestTimeout)
  return { start: (client) => Effect.provide(auth.start(client), Transport.layerHttpClient(fetch)) }
}

const definedOf = <A extends object>(options: A) =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as {
    [Name in keyof A]: Exclude<A[Name], undefined>
  }

/** In milliseconds: 10 years, for a program that says `Infinity`. */
const longest = 10 * 365 * 86_400_000

const millisOf = (seconds: number | undefined): number | undefined =>
  seconds === undefined ? undefined : Math.min(longest, seconds * 1_000)

// ---------------------------------------------------------------------------------------------------------------------
// Time and log
// ---------------------------------------------------------------------------------------------------------------------

/** Waits for a promise, but no longer than this, in milliseconds. */
const within = async (timeout: number, promise: Promise<unknown>): Promise<void> => {
  let timer: ReturnType<typeof setTimeout> | undefined
  const ended = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, timeout)
  })
  try {
    await Promise.race([promise, ended])
  } finally {
    clearTimeout(timer)
  }
}

const runLog = (lines: Effect.Effect<void>): void => Effect.runSync(Effect.provide(lines, logTo(undefined)))
