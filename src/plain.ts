/**
 * The client for programs that are not written in Effect: six methods, a flush, a close.
 *
 * Settings that cannot work throw when the client is made. After that nothing throws and nothing waits: a call answers
 * whether it was accepted, and `onError` is told of everything that was not, or that was lost later.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import * as References from "effect/References"
import * as Scope from "effect/Scope"
import type { CallError, LossReason } from "./AnalyticsError.ts"
import * as Analytics from "./Client.ts"
import * as Enrichment from "./Enrichment.ts"
import { isData } from "./Json.ts"
import * as Message from "./Message.ts"
import * as Outbox from "./Outbox.ts"
import * as Outcome from "./Outcome.ts"
import { flag, invalid, optionalFunction } from "./Settings.ts"
import type * as TrackingPlan from "./TrackingPlan.ts"
import * as Transport from "./Transport.ts"

export { drop, type Identity, type Transform } from "./Enrichment.ts"
export type { Flushed } from "./Outbox.ts"
export type { Outcome, Stats } from "./Outcome.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Settings
// ---------------------------------------------------------------------------------------------------------------------

/** What `onError` is told. */
export interface Failure {
  /** The last HTTP status, if there was an answer. */
  readonly status?: number
  /** What happened, in a sentence without payload or write key. */
  readonly message: string
  /** Why: a call was not accepted (`InvalidCall`, `PlanViolation`, `QueueFull`, `Closed`), or accepted messages were lost. */
  readonly reason: CallError["_tag"] | LossReason
  /** The messages concerned, as plain data; none if a call was not valid or broke the plan, and so never became one. */
  readonly messages: ReadonlyArray<Message.Wire>
}

/** Where the client logs. `console` is one. */
export interface Log {
  readonly debug: (message: string) => void
  readonly info: (message: string) => void
  readonly warn: (message: string) => void
  readonly error: (message: string) => void
}

/** A plan, and what becomes of calls that break it. Calls that know nothing of the plan are checked as well. */
export interface PlanSettings<D extends TrackingPlan.Definition> extends TrackingPlan.Policies<D> {
  readonly plan: TrackingPlan.Plan<D>
}

export interface Settings extends Omit<Analytics.Options, "writeKey" | "overflow"> {
  /** The key of the source. Printable ASCII. */
  readonly writeKey: string
  /** What happens to a call when the bound is reached. A plain call cannot wait. @default "refuse" */
  readonly overflow?: Exclude<Outbox.Overflow, "wait"> | undefined
  /** Everything but the network: batches are answered with success. @default false */
  readonly stub?: boolean | undefined
  /** Throws what a call is not accepted for, instead of answering `false`: for tests and development. @default false */
  readonly strict?: boolean | undefined
  /** @default globalThis.fetch */
  readonly fetch?: typeof globalThis.fetch | undefined
  /** Is told of every call that is not accepted and of every loss. @default a warning in the log, for each kind not more than one in 10 s */
  readonly onError?: ((failure: Failure) => void) | undefined
  /** Is told of every outcome, deliveries included. */
  readonly onOutcome?: ((outcome: Outcome.Outcome) => void) | undefined
  /** Where the client logs. @default console, without `debug` */
  readonly logger?: Log | undefined
}

/** Settings of a client whose messages outlive the process. The bound is the outbox's. */
export interface DurableSettings extends Omit<Settings, keyof Outbox.Options> {
  /** Where messages wait: `sqlite({ directory })` of `effect-analytics/SqlOutbox`. Calls answer a promise then. */
  readonly outbox: Outbox.Durable
}

// ---------------------------------------------------------------------------------------------------------------------
// Client
// ---------------------------------------------------------------------------------------------------------------------

/**
 * The six calls. Each answers whether it may be forgotten: the message was accepted, or was dropped on purpose, by
 * `transform` or by the policy of the plan. Of what the plan has dropped `onError` is told.
 */
export type Calls<Answer = boolean> = { readonly [Type in Message.Type]: (call: Message.Calls[Type]) => Answer }

/** The six calls inside of `withIdentity`. */
export type IdentifiedCalls<Answer = boolean> = {
  readonly [Type in Message.Type]: (call: Message.Anonymous<Message.Calls[Type]>) => Answer
}

interface ClientOf<Answer> extends Calls<Answer> {
  /** The same six calls where the identity around them (`withIdentity`) is enough. */
  readonly identified: IdentifiedCalls<Answer>
  /** Resolves when everything accepted before it is delivered or dropped; says how much of it was. Never rejects. */
  readonly flush: () => Promise<Outbox.Flushed>
  /**
   * Takes no more calls, delivers what is there until `closeTimeout`, drops the rest; an outbox that outlives the process
   * keeps it. Idempotent, never rejects.
   */
  readonly close: () => Promise<Outbox.Flushed>
  /** Counts since the client was made. */
  readonly stats: () => Outcome.Stats
  readonly [Symbol.asyncDispose]: () => Promise<void>
}

export interface Client extends ClientOf<boolean> {}

/** A client whose messages outlive the process: a call resolves when its message is committed, or was not accepted. */
export interface DurableClient extends ClientOf<Promise<boolean>> {}

interface Planned<D extends TrackingPlan.Definition, Answer> {
  /** The calls of the plan: `planned.track("Order Completed", { orderId, total }, { userId })`. */
  readonly planned: TrackingPlan.AllCalls<D, Answer>
}

/** A client with a tracking plan. */
export interface PlannedClient<D extends TrackingPlan.Definition> extends Client, Planned<D, boolean> {}

/** A client with a tracking plan, whose messages outlive the process. */
export interface DurablePlannedClient<D extends TrackingPlan.Definition>
  extends DurableClient,
    Planned<D, Promise<boolean>> {}

interface AnySettings extends Settings, TrackingPlan.Policies {
  readonly outbox?: Outbox.Durable | undefined
  readonly plan?: TrackingPlan.Plan | undefined
}

interface InMemory {
  readonly outbox?: undefined
}
interface Unplanned {
  readonly plan?: undefined
}

type Say<Answer> = (
  service: Analytics.Service,
  type: Message.Type,
  call: unknown,
  checks?: ReadonlyArray<Enrichment.Check>
) => Answer

/** Makes a client. Throws an `InvalidSetting` that names the setting that cannot work. */
export const createAnalytics: {
  <D extends TrackingPlan.Definition>(settings: DurableSettings & PlanSettings<D>): DurablePlannedClient<D>
  (settings: DurableSettings & Unplanned): DurableClient
  <D extends TrackingPlan.Definition>(settings: Settings & InMemory & PlanSettings<D>): PlannedClient<D>
  (settings: Settings & InMemory & Unplanned): Client
} = (settings: AnySettings): never => {
  if (!isData(settings)) return invalid("settings", "must be an object")
  for (const [name, value] of Object.entries(settings)) {
    if (value !== undefined && !names.has(name)) return invalid(name, "is no setting")
  }
  const { fetch, logger, onError, onOutcome, outbox, plan, writeKey, ...options } = settings
  if ((options.overflow as Outbox.Overflow | undefined) === "wait") {
    return invalid("overflow", `must not be "wait": a plain call cannot wait`)
  }
  if (outbox !== undefined) {
    if (!Layer.isLayer(outbox?.layer)) return invalid("outbox", "must be made by sqlite")
    for (const name of ["maxQueueSize", "maxQueueBytes", "overflow"] as const) {
      if (options[name] !== undefined) return invalid(name, "belongs to the settings of the outbox, where there is one")
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
  const strict = flag("strict", settings.strict)
  const stub = flag("stub", settings.stub)
  const problem = plan?.problem(settings)
  if (problem !== undefined) throw problem

  const logLosses = onError === undefined ? Outcome.makeLogLosses() : () => Effect.void
  const observer: Outcome.Observer = (outcome) => {
    if (onOutcome !== undefined) Outcome.harmless(() => onOutcome(outcome))
    if (onError !== undefined) Outcome.harmless(() => blame(outcome, onError))
    return logLosses(outcome)
  }

  const transport = stub
    ? Transport.layerStub
    : Transport.layerFetch({ ...options, writeKey: Redacted.make(writeKey) }, fetch)
  const waiting = outbox === undefined ? Outbox.layerMemory(options) : outbox.layer
  const bare = Layer.provide(Analytics.layerNoDeps(options), [waiting, transport])
  const layer = plan === undefined ? bare : Layer.provide(plan.layer(settings), bare)
  const surroundings = Layer.merge(Outcome.layerObserver(observer), logTo(logger))
  const scope = Scope.makeUnsafe()
  const services = Effect.runSync(Layer.buildWithScope(Layer.provideMerge(layer, surroundings), scope))
  const analytics = Context.get(services, Analytics.Analytics)

  const here = () => storage?.getStore() ?? nowhere

  const sayNow: Say<boolean> = (service, type, call, checks) => answer(service.callUnsafe(type, call, here(), checks))

  const answer = (outcome: ReturnType<Analytics.Service["callUnsafe"]>): boolean => {
    if (outcome === undefined) return true
    Outcome.countUnsafe(outcome, services)
    const told = observer(outcome)
    if (!Exit.isExit(told)) Effect.runForkWith(services)(told)
    if (outcome._tag === "Refused" && strict) throw outcome.error
    return outcome._tag !== "Refused"
  }

  const sayDurably: Say<Promise<boolean>> = (service, type, call, checks) =>
    Effect.runPromiseWith(services)(
      service
        .say(type, call, checks)
        .pipe(Effect.as(true), strict ? (said) => said : Effect.orElseSucceed(() => false), Enrichment.within(here()))
    )

  const say: Say<unknown> = outbox === undefined ? sayNow : sayDurably
  const calls = Message.byType((type) => (call: unknown) => say(analytics, type, call))

  let closing: Promise<Outbox.Flushed> | undefined
  const close = () => {
    closing ??= Effect.runPromiseWith(services)(Effect.ensuring(analytics.close, Scope.close(scope, Exit.void)))
    return closing
  }

  const client = {
    ...calls,
    // The same calls: what is different about them is what they ask of the types.
    identified: calls,
    // Without a plan nobody can see it.
    planned: plan?.over(analytics, say),
    flush: () => Effect.runPromiseWith(services)(analytics.flush),
    close,
    stats: () => Effect.runSyncWith(services)(analytics.stats),
    [Symbol.asyncDispose]: async () => void (await close())
  }
  // Which of the four it is, the settings say.
  return client as never
}

/** The names of all settings: a misspelled one, or one of another SDK, must not be ignored in silence. */
const names: ReadonlySet<string> = new Set<keyof AnySettings>([
  ...(["writeKey", "host", "path", "region", "allowInsecureHost", "requestTimeout", "gzip"] as const),
  ...(["maxQueueSize", "maxQueueBytes", "overflow"] as const),
  ...(["batchSize", "flushInterval", "maxInFlight", "maxRetries", "closeTimeout", "transform"] as const),
  ...(["outbox", "stub", "strict", "fetch", "onError", "onOutcome", "logger"] as const),
  ...([
    "plan",
    "onViolation",
    "events",
    "pages",
    "screens",
    "traits",
    "groupTraits",
    "unplanned",
    "pii",
    "hashKey"
  ] as const)
])

const blame = (outcome: Outcome.Outcome, onError: (failure: Failure) => unknown): unknown => {
  const failure = Outcome.failureOf(outcome)
  if (failure === undefined) return undefined
  const { error, messages } = failure
  const status = error._tag === "DeliveryError" ? error.status : undefined
  return onError({
    ...(status === undefined ? {} : { status }),
    message: error.message,
    reason: error._tag === "DeliveryError" ? error.reason : error._tag,
    messages: messages.map((message) => message.data)
  })
}

const logTo = (logger: Log | undefined): Layer.Layer<never> => {
  const log = logger ?? console
  const write = Logger.make<unknown, void>(({ fiber, logLevel, message }) => {
    // A reason is in the line already.
    const { module, reason, ...annotations } = fiber.getRef(References.CurrentLogAnnotations)
    const facts = Object.entries(annotations).map(([name, value]) => `${name} ${String(value)}`)
    const words = Array.isArray(message) ? message.map(String).join(" ") : String(message)
    const line = `effect-analytics: ${words}${facts.length === 0 ? "" : ` (${facts.join(", ")})`}`
    Outcome.harmless(() => {
      if (logLevel === "Error" || logLevel === "Fatal") return log.error(line)
      if (logLevel === "Warn") return log.warn(line)
      return logLevel === "Info" ? log.info(line) : log.debug(line)
    })
  })
  const level = logger === undefined ? "Info" : "All"
  return Layer.merge(Logger.layer([write]), Layer.succeed(References.MinimumLogLevel, level))
}

// ---------------------------------------------------------------------------------------------------------------------
// Surroundings
// ---------------------------------------------------------------------------------------------------------------------

interface Storage {
  readonly getStore: () => Enrichment.Surroundings | undefined
  readonly run: <A>(surroundings: Enrichment.Surroundings, body: () => A) => A
}

const nowhere: Enrichment.Surroundings = { identity: undefined, context: {} }

/** Made when it is first needed: who never uses it never pays for it. */
let storage: Storage | undefined

const within = <A>(change: (outer: Enrichment.Surroundings) => Enrichment.Surroundings, body: () => A): A => {
  storage ??= makeStorage()
  return storage.run(change(storage.getStore() ?? nowhere), body)
}

const makeStorage = (): Storage => {
  const { process } = globalThis as {
    readonly process?: {
      readonly getBuiltinModule?: (id: string) => { readonly AsyncLocalStorage: new () => Storage } | undefined
    }
  }
  const hooks = process?.getBuiltinModule?.("node:async_hooks")
  if (hooks === undefined) throw new Error("withContext and withIdentity need AsyncLocalStorage, which is not here")
  return new hooks.AsyncLocalStorage()
}

/**
 * Every call inside, of every client and also after an `await`, carries this context. Nested ones add up, key by key at the top level, and
 * what a call says itself wins.
 */
export const withContext = <A>(context: Message.Data, body: () => A): A =>
  within((outer) => ({ ...outer, context: Enrichment.mergeContext(outer.context, context) }), body)

/** Every call of `identified` inside, of every client and also after an `await`, is about this user or visitor, unless it says so itself. */
export const withIdentity = <A>(identity: Enrichment.Identity, body: () => A): A =>
  within((outer) => ({ ...outer, identity: { ...identity } }), body)
