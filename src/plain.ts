/**
 * The client for programs that are not written in Effect: six methods, a flush, a close.
 *
 * Settings that cannot work throw when the client is made. After that nothing throws and nothing waits: a call answers whether
 * it was accepted, and `onError` gets every call that was not, and every later loss.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import * as References from "effect/References"
import * as Scope from "effect/Scope"
import * as Analytics from "./Analytics.ts"
import { type AnalyticsError, InvalidSetting, type LossReason } from "./AnalyticsError.ts"
import * as Call from "./Call.ts"
import type * as CallTypes from "./CallTypes.ts"
import type * as Delivery from "./Delivery.ts"
import * as Enrichment from "./Enrichment.ts"
import { ignoreThrows, textOf } from "./internal/Callback.ts"
import * as CallStorage from "./internal/CallStorage.ts"
import type { Check } from "./internal/Check.ts"
import * as ExitWarning from "./internal/ExitWarning.ts"
import { isData } from "./internal/Json.ts"
import { log } from "./internal/Log.ts"
import * as LossLog from "./internal/LossLog.ts"
import * as Notifier from "./internal/Notifier.ts"
import * as Signals from "./internal/Signals.ts"
import * as Submitter from "./internal/Submitter.ts"
import * as MemoryOutbox from "./MemoryOutbox.ts"
import * as Observer from "./Observer.ts"
import type * as Outbox from "./Outbox.ts"
import { type Outcome as AnyOutcome, failureOf as failureIn, type Stats } from "./Outcome.ts"
import type { CallError, Outcome } from "./plain/Outcome.ts"
import type { PlanSettings } from "./plain/Plan.ts"
import {
  type DurationInput,
  flag,
  fromVariables,
  invalid,
  millis,
  optionalFunction,
  Settings as Schema,
  variableOf
} from "./Settings.ts"
import type * as TrackingPlan from "./TrackingPlan.ts"
import * as Transport from "./Transport.ts"

export type { Proxy, Summary, Verification } from "./Analytics.ts"
export type {
  Alias,
  ContextFields,
  Data,
  Group,
  GroupTraits,
  Id,
  Identify,
  Integrations,
  Page,
  Screen,
  Track,
  UserTraits,
  Wire
} from "./CallTypes.ts"
export type { Identity } from "./Enrichment.ts"
export type { Stats } from "./Outcome.ts"
export type * from "./plain/Outcome.ts"
export type { JsonPlan, OnViolation, PlanSettings } from "./plain/Plan.ts"
export { compose, drop, redact, sample, type Transform } from "./Transform.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Settings
// ---------------------------------------------------------------------------------------------------------------------

/** What `onError` receives. */
export interface Failure {
  /** The last HTTP status, if there was an answer. */
  readonly status?: number
  /** The failure in a sentence, without payload or write key. */
  readonly message: string
  /** A call was not accepted (`InvalidCall`, `PlanViolation`, `QueueFull`, `Closed`), or accepted messages were lost. */
  readonly reason: CallError["_tag"] | LossReason
  /** The messages concerned, as plain data; none if a call was not valid or broke the plan, and so never became one. */
  readonly messages: ReadonlyArray<CallTypes.Wire>
}

/** The target of the client's log lines. `console` is one. */
export interface Log {
  /** Details, such as each attempt. */
  readonly debug: (message: string) => void
  /** What goes well again. */
  readonly info: (message: string) => void
  /** Losses and outages. */
  readonly warn: (message: string) => void
  /** What needs somebody. */
  readonly error: (message: string) => void
}

/** The settings of a client. Only `writeKey` is needed. */
export interface Settings
  extends Omit<Outbox.Options, "overflow">,
    Analytics.CallOptions,
    Delivery.Options,
    Transport.EndpointOptions,
    PlanSettings {
  /** The key of the source. Printable ASCII. */
  readonly writeKey: string
  /** What happens to a call when the bound is reached. @default "refuse" */
  readonly overflow?: Exclude<Outbox.Overflow, "wait"> | undefined
  /** @default `globalThis.fetch` as it is when a request is sent */
  readonly fetch?: Fetch | undefined
  /** Everything but the network: batches count as delivered. @default false */
  readonly stub?: boolean | undefined
  /** Throws the reason why a call is not accepted, instead of answering `false`: for tests and development. @default false */
  readonly strict?: boolean | undefined
  /**
   * Receives every call that is not accepted and every loss. It may call the client: the failures of these calls are logged,
   * and do not come back to it. @default a warning in the log, each kind at most once in 10 seconds
   */
  readonly onError?: ((failure: Failure) => void) | undefined
  /** Receives every outcome, deliveries included. */
  readonly onOutcome?: ((outcome: Outcome) => void) | undefined
  /** The target of log lines. It must not call the client. @default console, without `debug` */
  readonly logger?: Log | undefined
  /**
   * Closes the client when the process gets SIGTERM or SIGINT, within `closeTimeout`. The signal then has its usual effect:
   * it ends the process, unless the program has a handler of its own. A second signal ends the process at once. @default false
   */
  readonly closeOnSignals?: boolean | undefined
}

/** The type of `fetch` of the runtime, where it has one. */
type Fetch = typeof globalThis extends { readonly fetch: infer F } ? F : never

/** Settings of a client whose calls wait for room: for loading a history of any length. */
export interface WaitingSettings extends Omit<Settings, "overflow"> {
  /** A call waits until there is room, and so answers a promise. */
  readonly overflow: "wait"
  readonly outbox?: undefined
}

declare const durable: unique symbol

/** An outbox whose messages survive the process: `sqlite` of `effect-analytics/sqlite` makes one. */
export interface DurableOutbox {
  readonly [durable]: never
}

/** Settings of a client whose messages survive the process. The bound is the outbox's. */
export interface DurableSettings extends Omit<Settings, keyof Outbox.Options> {
  /** Where messages wait: `sqlite({ directory })` of `effect-analytics/sqlite`. Calls answer a promise. */
  readonly outbox: DurableOutbox
}

// ---------------------------------------------------------------------------------------------------------------------
// Client
// ---------------------------------------------------------------------------------------------------------------------

/**
 * The six calls. Each answers `true` if the message was accepted, or dropped on purpose by `transform` or by the policy of the
 * plan, and `false` if it was refused.
 */
export interface Calls<Answer = boolean> {
  /** Records who a user is: `identify({ userId: "u1", traits: { plan: "free" } })`. */
  readonly identify: (call: CallTypes.Identify) => Answer
  /** Records what a user did: `track({ userId: "u1", event: "Signed Up", properties: { plan: "free" } })`. */
  readonly track: (call: CallTypes.Track) => Answer
  /** Records the page that a user saw: `page({ anonymousId: "v1", name: "Pricing" })`. */
  readonly page: (call: CallTypes.Page) => Answer
  /** Records the screen of an app that a user saw: `screen({ userId: "u1", name: "Cart" })`. */
  readonly screen: (call: CallTypes.Screen) => Answer
  /** Records the group that a user belongs to: `group({ userId: "u1", groupId: "g1", traits: { employees: 329 } })`. */
  readonly group: (call: CallTypes.Group) => Answer
  /** Joins two ids of one user: `alias({ previousId: "v1", userId: "u1" })`. */
  readonly alias: (call: CallTypes.Alias) => Answer
}

/** The six calls inside of `withIdentity`: they may leave the identity out. */
export type IdentifiedCalls<Answer = boolean> = {
  readonly [T in CallTypes.Type]: (call: CallTypes.WithOptionalIdentity<CallTypes.Calls[T]>) => Answer
}

/** The end of the message of a confirmed call. */
export interface Confirmation {
  /** Whether the API has answered 2xx for the message; `true` also for a message that was dropped on purpose. */
  readonly delivered: boolean
  /** If it is not delivered: why the call was not accepted, or the message dropped. */
  readonly reason?: Failure["reason"]
  /** The same in a sentence. */
  readonly message?: string
  /** The last HTTP status, if there was an answer. */
  readonly status?: number
}

/** The deadline of a flush or a close. */
export interface Deadline {
  /** Milliseconds or a text such as `"2 seconds"`. */
  readonly timeout?: DurationInput | undefined
}

/** A client. `Answer` is `boolean`, or `Promise<boolean>` where accepting takes time. */
export interface Client<Answer = boolean> extends Calls<Answer> {
  /** The same six calls where the identity in scope (`withIdentity`) is enough. */
  readonly identified: IdentifiedCalls<Answer>
  /**
   * The same six calls, each of which waits for the end of its message: for the request that must not answer before its event
   * is safe. Never rejects. Other calls cost what they cost; the message travels in a batch with others.
   */
  readonly confirmed: Calls<Promise<Confirmation>>
  /**
   * Resolves when everything that was accepted before it is delivered or dropped, or at the timeout. Never rejects, but for a
   * timeout that is no length of time.
   */
  readonly flush: (deadline?: Deadline) => Promise<Analytics.Summary>
  /**
   * Takes no more calls, delivers the accepted messages until the timeout (`closeTimeout` if none is given), and drops the
   * rest; a durable outbox keeps it. Idempotent.
   */
  readonly close: (deadline?: Deadline) => Promise<Analytics.Summary>
  /**
   * Sends one message, track "effect-analytics check", to the API at once, past the outbox, and answers how it went: status,
   * host, region, clock skew, proxy. For readiness checks, and for "no events". Takes no longer than `requestTimeout`, without
   * a retry, and never rejects. The message counts in no flush and no `stats`.
   */
  readonly verify: () => Promise<Analytics.Verification>
  /** Counts since the client was made. */
  readonly stats: () => Stats
  /** Closes the client: `await using analytics = createAnalytics()`. */
  readonly [Symbol.asyncDispose]: () => Promise<void>
}

/** A client whose calls take time (a durable outbox, `overflow: "wait"`): a call resolves when it is accepted, or refused. */
export interface AsyncClient extends Client<Promise<boolean>> {}

/** @internal The settings of every kind of client. */
export interface AnySettings extends Omit<Settings, keyof PlanSettings | "overflow">, TrackingPlan.Policies {
  readonly auth?: Transport.Auth | undefined
  readonly overflow?: Outbox.Overflow | undefined
  readonly outbox?: Outbox.DurableSetting | undefined
  readonly plan?: TrackingPlan.Plan | undefined
}

/** @internal A client of any kind. */
export interface AnyClient extends Client {
  readonly planned?: unknown
}

type Submit<Answer> = (
  service: Analytics.Service,
  type: CallTypes.Type,
  call: unknown,
  checks: ReadonlyArray<Check>
) => Answer

/** Makes a client. Throws an `InvalidSetting` that names a setting that cannot work. */
export const createAnalytics: {
  /** With settings from the environment: `ANALYTICS_WRITE_KEY`, `ANALYTICS_HOST`, `ANALYTICS_BATCH_SIZE`, …. */
  (): Client
  (settings: DurableSettings | WaitingSettings): AsyncClient
  (settings: Settings & { readonly outbox?: undefined }): Client
} = (settings?: unknown): never => create(settings as AnySettings | undefined, createAnalytics) as never

/**
 * @internal Makes a client for a function that is called by the program: the stack of an error begins at its caller. Without
 * settings they come from the environment, and an error names the variable.
 */
export const create = (settings: AnySettings | undefined, callee: (...args: never) => unknown): AnyClient => {
  try {
    return createInside(Layer.empty, settings === undefined ? fromEnvironment() : settings)
  } catch (cause) {
    const error = settings === undefined ? ofVariable(cause) : cause
    if (error instanceof Error) Error.captureStackTrace?.(error, callee)
    throw error
  }
}

const ofVariable = (error: unknown): unknown =>
  error instanceof InvalidSetting && error.setting in Schema.fields
    ? new InvalidSetting({ setting: variableOf(error.setting), problem: error.problem })
    : error

/** The settings in `ANALYTICS_WRITE_KEY`, `ANALYTICS_HOST`, …. */
const fromEnvironment = (): AnySettings => {
  const { process } = globalThis as { readonly process?: { readonly env?: Readonly<Record<string, string>> } }
  const environment = process?.env ?? {}
  const writeKey = environment[variableOf("writeKey")]
  if (writeKey === undefined) return invalid(variableOf("writeKey"), "is not set, and no settings are given")
  return { ...fromVariables(environment), writeKey }
}

/** @internal Makes a client inside of services that the settings do not name: for the test client. */
export const createInside = (outer: Layer.Layer<never>, settings: AnySettings): AnyClient => {
  check(settings)
  const { fetch, logger, onError, onOutcome, outbox, plan, writeKey, ...options } = settings
  const strict = flag("strict", settings.strict)
  const stub = flag("stub", settings.stub)
  const closeOnSignals = flag("closeOnSignals", settings.closeOnSignals)
  const isAsync = outbox !== undefined || options.overflow === "wait"

  const transport = stub
    ? Transport.layerStub
    : Transport.layerFetch({ ...options, writeKey: Redacted.make(writeKey) }, fetch)
  const queue = outbox === undefined ? MemoryOutbox.layer(options) : outbox.layer
  const bare = Layer.provide(Analytics.layerNoDeps(options), [queue, transport])
  const layer = plan === undefined ? bare : Layer.provide(plan.layer(settings), bare)
  const observer = observerOf(settings)
  const surroundings = Layer.mergeAll(Layer.succeed(Observer.Observer, observer?.observe), logTo(logger), outer)
  const scope = Scope.makeUnsafe()
  const services = Effect.runSync(Layer.buildWithScope(Layer.provideMerge(layer, surroundings), scope))
  const analytics = Context.get(services, Analytics.Analytics)
  const submitter = Submitter.of(analytics) as Submitter.Submitter

  const submitNow: Submit<boolean> = (_service, type, call, checks) => {
    const callContext = CallStorage.current()
    const isNested = callContext.isCallback === true || Notifier.isNested(services)
    const submission = submitter.submitUnsafe(type, call, callContext, isNested, checks)
    if (submission === undefined) return true
    if (submission.notification !== undefined) Effect.runForkWith(services)(submission.notification)
    if (submission.error !== undefined && strict) throw submission.error
    return submission.error === undefined
  }

  const submitLater: Submit<Promise<boolean>> = (_service, type, call, checks) => {
    const callContext = CallStorage.current()
    return Effect.runPromiseWith(services)(
      submitter
        .submit(type, call, { checks })
        .pipe(
          Effect.as(true),
          strict ? Effect.mapError(({ reason }) => reason) : Effect.orElseSucceed(() => false),
          inside(callContext)
        )
    )
  }

  const submit: Submit<unknown> = isAsync ? submitLater : submitNow
  const calls = Call.byType((type) => (call: unknown) => submit(analytics, type, call, submitter.checks))

  const run = Effect.runPromiseWith(services)
  const inside =
    (callContext: CallStorage.StoredContext) =>
    <A, E>(self: Effect.Effect<A, E>) =>
      Effect.provideService(
        Enrichment.provideCallContext(callContext)(self),
        Notifier.IsObserving,
        callContext.isCallback === true
      )
  const confirm = (type: Call.Type) => (call: unknown) =>
    run(
      Submitter.confirm(submitter, type, call).pipe(
        Effect.match({ onSuccess: () => ({ delivered: true }), onFailure: unconfirmed }),
        inside(CallStorage.current())
      )
    )
  const deadline = ({ timeout }: Deadline = {}): number | undefined =>
    timeout === undefined ? undefined : millis("timeout", timeout, 0)

  const stats = () => Effect.runSyncWith(services)(analytics.stats)
  let closing: Promise<Analytics.Summary> | undefined
  const close = async (options?: Deadline): Promise<Analytics.Summary> => {
    const timeout = deadline(options)
    closing ??= run(
      submitter
        .close(timeout)
        .pipe(
          Effect.ensuring(observer?.close ?? Effect.void),
          Effect.ensuring(Scope.close(scope, Exit.void)),
          Effect.ensuring(Effect.sync(() => stop()))
        )
    )
    return closing
  }

  const ends = [
    closeOnSignals ? Signals.onEnd(close) : () => {},
    // A durable outbox keeps its messages.
    outbox === undefined
      ? ExitWarning.watch({ pending: () => stats().pending, warn: (line) => (logger ?? console).error(line) })
      : () => {}
  ]
  const stop = () => {
    for (const end of ends) end()
  }

  const client = {
    ...calls,
    // The same calls: only their types differ.
    identified: calls,
    // Without a plan the types hide it.
    planned: plan?.over(analytics, submit),
    confirmed: Call.byType(confirm),
    flush: async (options?: Deadline) => run(submitter.flush(deadline(options))),
    close,
    verify: () => run(Effect.provideService(Analytics.verify, Analytics.Analytics, analytics)),
    stats,
    [Symbol.asyncDispose]: async () => void (await close())
  }
  // Calls answer promises if the settings ask for that: the overloads of `createAnalytics` know.
  return client as unknown as AnyClient
}

/** Throws if a setting of the plain face cannot work. The layers check the others. */
const check = (settings: AnySettings): void => {
  if (!isData(settings)) return invalid("settings", "must be an object")
  for (const [name, value] of Object.entries(settings)) {
    if (value !== undefined && !names.has(name)) return invalid(name, notASetting(name))
  }
  const { fetch, logger, onError, onOutcome, outbox, plan } = settings
  if (outbox !== undefined) {
    if (!Layer.isLayer(outbox?.layer)) return invalid("outbox", "must be made by sqlite")
    if (isForeign(outbox.layer)) {
      return invalid(
        "outbox",
        "was made by another copy of effect-analytics: import both, or require both (in Effect programs sqlite is in effect-analytics/SqlOutbox)"
      )
    }
    for (const name of ["maxQueueSize", "maxQueueBytes", "overflow"] as const) {
      if (settings[name] !== undefined)
        return invalid(name, "belongs to the settings of the outbox, where there is one")
    }
  }
  optionalFunction("fetch", fetch)
  optionalFunction("onError", onError)
  optionalFunction("onOutcome", onOutcome)
  for (const level of ["debug", "info", "warn", "error"] as const) {
    if (logger !== undefined && typeof logger?.[level] !== "function") {
      return invalid("logger", `must have a function ${level}, as console has`)
    }
  }
  if (plan !== undefined && typeof plan?.problem !== "function") return invalid("plan", "must be made by TrackingPlan")
  if (plan !== undefined && isForeign(plan.layer(settings))) {
    return invalid(
      "plan",
      "was made with another copy of effect: a plan of Schemas needs createAnalytics of effect-analytics/planned, a plan from JSON fromJson of effect-analytics/jsonPlan"
    )
  }
  const problem = plan?.problem(settings)
  if (problem !== undefined) throw problem
}

/**
 * Whether a layer was made by another copy of effect, such as the one inside of the plain bundles. It looks like ours, and
 * would give verdicts that are not true.
 */
const isForeign = (layer: object): boolean => Object.getPrototypeOf(layer) !== Object.getPrototypeOf(Layer.empty)
/** Settings of other SDKs, and what they are called here. */
const otherNames: Readonly<Record<string, keyof AnySettings>> = {
  flushAt: "batchSize",
  maxEventsInBatch: "batchSize",
  maxBatchSize: "batchSize",
  disable: "stub",
  enable: "stub",
  httpClient: "fetch",
  httpRequestTimeout: "requestTimeout",
  timeout: "requestTimeout",
  endpoint: "host",
  dataPlaneUrl: "host",
  dataplane: "host",
  maxQueueLength: "maxQueueSize",
  retryCount: "maxRetries",
  errorHandler: "onError"
}

const notASetting = (name: string): string => {
  const letters = (text: string) => text.replace(/[^a-z]/gi, "").toLowerCase()
  const meant = otherNames[name] ?? Array.from(names).find((known) => letters(known) === letters(name))
  return meant === undefined ? "is no setting" : `is no setting: it is called ${meant} here`
}

/** The names of all settings: a misspelled one, or one of another SDK, must not be ignored in silence. */
const names: ReadonlySet<string> = new Set<string>([
  ...Object.keys(Schema.fields),
  ...([
    ...(["writeKey", "auth", "outbox", "transform", "context", "integrations"] as const),
    ...(["stub", "strict", "fetch", "onError", "onOutcome", "logger", "closeOnSignals"] as const),
    ...(["plan", "onViolation", "events", "pages", "screens", "traits", "groupTraits"] as const),
    ...(["unplanned", "pii", "hashKey"] as const)
  ] satisfies ReadonlyArray<keyof AnySettings>)
])

// ---------------------------------------------------------------------------------------------------------------------
// Callbacks and log
// ---------------------------------------------------------------------------------------------------------------------

interface CallbackObserver {
  readonly observe: Observer.Observer
  /** Logs what the log of losses has held back. */
  readonly close: Effect.Effect<void>
}

/** The callbacks of the settings as an observer; none if there are none. */
const observerOf = ({ onError, onOutcome }: AnySettings): CallbackObserver | undefined => {
  if (onError === undefined && onOutcome === undefined) return undefined
  const losses = onError === undefined ? LossLog.make() : undefined
  const failed = new Set<string>()
  let failures: Effect.Effect<void> = Effect.void

  const call = (name: string, callback: () => unknown) =>
    CallStorage.runCallback(() =>
      ignoreThrows(callback, (cause) => {
        if (failed.has(name)) return
        failed.add(name)
        failures = Effect.andThen(failures, log("Error", `${name} threw: ${textOf(cause)}`))
      })
    )

  return {
    observe: (outcome) => {
      if (onOutcome !== undefined) call("onOutcome", () => onOutcome(outcome))
      const failure = onError === undefined ? undefined : failureOf(outcome)
      if (failure !== undefined) call("onError", () => onError?.(failure))
      const logged = losses?.add(outcome) ?? Effect.void
      if (failures === Effect.void) return logged
      const reported = Effect.andThen(logged, failures)
      failures = Effect.void
      return reported
    },
    close: Effect.suspend(() => Effect.andThen(losses?.close ?? Effect.void, failures))
  }
}

const unconfirmed = ({ reason }: AnalyticsError): Confirmation => ({
  delivered: false,
  reason: reason._tag === "DeliveryError" ? reason.reason : reason._tag,
  message: reason.message,
  ...(reason._tag === "DeliveryError" && reason.status !== undefined ? { status: reason.status } : {})
})

const failureOf = (outcome: AnyOutcome): Failure | undefined => {
  const failure = failureIn(outcome)
  if (failure === undefined) return undefined
  const { error, messages } = failure
  const status = error._tag === "DeliveryError" ? error.status : undefined
  return {
    ...(status === undefined ? {} : { status }),
    message: error.message,
    reason: error._tag === "DeliveryError" ? error.reason : error._tag,
    messages: messages.map((message) => message.data)
  }
}

/** @internal The logger of a client: log lines go to this target, or to the console. */
export const logTo = (logger: Log | undefined): Layer.Layer<never> => {
  const standard: Log = console
  const target = logger ?? standard
  let hasThrown = false
  const write = Logger.make<unknown, void>(({ fiber, logLevel, message }) => {
    // The line has the reason already.
    const { module, reason, ...annotations } = fiber.getRef(References.CurrentLogAnnotations)
    const facts = Object.entries(annotations).map(([name, value]) => `${name} ${String(value)}`)
    const words = Array.isArray(message) ? message.map(String).join(" ") : String(message)
    const line = `effect-analytics: ${words}${facts.length === 0 ? "" : ` (${facts.join(", ")})`}`
    ignoreThrows(
      () => {
        if (logLevel === "Error" || logLevel === "Fatal") return target.error(line)
        if (logLevel === "Warn") return target.warn(line)
        return logLevel === "Info" ? target.info(line) : target.debug(line)
      },
      (cause) => {
        if (hasThrown) return
        hasThrown = true
        // The program's own logger cannot report its own failure.
        // @effect-diagnostics-next-line globalConsole:off
        ignoreThrows(() => standard.error(`effect-analytics: logger threw: ${textOf(cause)}; it did not log: ${line}`))
      }
    )
  })
  const level = logger === undefined ? "Info" : "All"
  return Layer.merge(Logger.layer([write]), Layer.succeed(References.MinimumLogLevel, level))
}

// ---------------------------------------------------------------------------------------------------------------------
// Context
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Gives every call inside this context, of every client and also after an `await`. Nested contexts add up, key by key at the
 * top level; the context of the call itself wins.
 */
export const withContext = <A>(context: CallTypes.ContextFields, body: () => A): A =>
  CallStorage.run((outer) => ({ ...outer, context: Enrichment.mergeContext(outer.context, context) }), body)

/**
 * Makes this user or visitor the subject of every call of `identified` inside, of every client and also after an `await`, unless
 * the call names another.
 */
export const withIdentity = <A>(identity: Enrichment.Identity, body: () => A): A =>
  CallStorage.run((outer) => ({ ...outer, identity: { ...identity } }), body)
