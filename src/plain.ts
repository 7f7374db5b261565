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
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as AttachedSubmitter from "./Analytics/AttachedSubmitter.ts"
import type { Check } from "./Analytics/Check.ts"
import * as Confirmation from "./Analytics/Confirmation.ts"
import type * as Submitter from "./Analytics/Submitter.ts"
import * as Analytics from "./Analytics.ts"
import * as Call from "./Call.ts"
import type * as CallTypes from "./CallTypes.ts"
import * as Enrichment from "./Enrichment.ts"
import * as MemoryOutbox from "./MemoryOutbox.ts"
import * as Observer from "./Observer.ts"
import * as Notifier from "./Outcome/Notifier.ts"
import { observerOf, unconfirmed } from "./plain/Callbacks.ts"
import * as CallStorage from "./plain/CallStorage.ts"
import type { AsyncClient, Client, Deadline, DurableClient } from "./plain/Client.ts"
import * as ExitWarning from "./plain/ExitWarning.ts"
import { logTo } from "./plain/Log.ts"
import {
  type AnySettings,
  check,
  type DurableSettings,
  fromEnvironment,
  ofVariable,
  type Settings,
  Switches,
  type WaitingSettings
} from "./plain/Settings.ts"
import * as Signals from "./plain/Signals.ts"
import { read, timeoutMillis } from "./Settings.ts"
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
export type * from "./plain/Client.ts"
export type { Log } from "./plain/Log.ts"
export type * from "./plain/Operations.ts"
export type * from "./plain/Outcome.ts"
export type { JsonPlan, OnViolation, PlanSettings } from "./plain/Plan.ts"
export type { DurableOutbox, DurableSettings, Settings, WaitingSettings } from "./plain/Settings.ts"
export { compose, drop, makeSwitch, redact, type Switch, sample, type Transform } from "./Transform.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Client
// ---------------------------------------------------------------------------------------------------------------------

/** @internal A client of any kind. */
export interface AnyClient extends Client {
  readonly planned?: unknown
  readonly outbox?: unknown
}

type Submit<Answer> = (
  service: Analytics.Service,
  type: CallTypes.Type,
  call: unknown,
  checks: ReadonlyArray<Check>,
  /** The function that the program has called: the stack of an error begins at its caller. */
  callee?: (...args: never) => unknown
) => Answer

/**
 * Makes a client. Throws an `InvalidSetting` that names a setting that cannot work.
 *
 * ```ts
 * import { createAnalytics } from "effect-analytics/plain"
 *
 * const analytics = createAnalytics({ writeKey: "YOUR_WRITE_KEY", closeOnSignals: true })
 * analytics.track({ userId: "u1", event: "Order Completed", properties: { total: 27.5 } })
 * await analytics.close()
 * ```
 * @category constructors @since 0.1.0
 */
export const createAnalytics: {
  /** With settings from the environment: `ANALYTICS_WRITE_KEY`, `ANALYTICS_HOST`, `ANALYTICS_BATCH_SIZE`, …. */
  (): Client
  (settings: DurableSettings): DurableClient
  (settings: WaitingSettings): AsyncClient
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

/** @internal Makes a client inside of services that the settings do not name: for the test client. */
export const createInside = (outer: Layer.Layer<never>, settings: AnySettings): AnyClient => {
  check(settings)
  const { fetch, logger, onError, onOutcome, outbox, plan, writeKey, ...options } = settings
  const { closeOnSignals, strict, stub } = read(Switches, settings)
  const isAsync = outbox !== undefined || options.overflow === "wait"

  const transport = stub
    ? Transport.layerStub
    : Transport.layerFetch({ ...options, writeKey: Redacted.make(writeKey) }, fetch)
  const queue = outbox === undefined ? MemoryOutbox.layer(options) : outbox.layer
  const bare = Layer.provide(Layer.provideMerge(Analytics.layerNoDeps(options), queue), transport)
  const layer = plan === undefined ? bare : Layer.provideMerge(plan.layer(settings), bare)
  const observer = observerOf(settings)
  const surroundings = Layer.mergeAll(Layer.succeed(Observer.Observer, observer?.observe), logTo(logger), outer)
  const scope = Scope.makeUnsafe()
  const services = Effect.runSync(Layer.buildWithScope(Layer.provideMerge(layer, surroundings), scope))
  const analytics = Context.get(services, Analytics.Analytics)
  const submitter = AttachedSubmitter.of(analytics) as Submitter.Submitter

  const submitNow: Submit<boolean> = (_service, type, call, checks, callee = submitNow) => {
    const callContext = CallStorage.current()
    const isNested = callContext.isCallback === true || Notifier.isNested(services)
    const submission = submitter.submitUnsafe(type, call, callContext, isNested, checks)
    if (submission === undefined) return true
    if (submission.notification !== undefined) Effect.runForkWith(services)(submission.notification)
    if (submission.error !== undefined && strict) {
      Error.captureStackTrace?.(submission.error, callee)
      throw submission.error
    }
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
  const calls = Call.byType((type) => {
    const make = (call: unknown): unknown => submit(analytics, type, call, submitter.checks, make)
    return make
  })

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
      Confirmation.confirm(submitter, type, call).pipe(
        Effect.match({ onSuccess: () => ({ delivered: true }), onFailure: unconfirmed }),
        inside(CallStorage.current())
      )
    )
  const deadline = ({ timeout }: Deadline = {}): number | undefined =>
    timeout === undefined ? undefined : timeoutMillis(timeout)

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
    outbox: outbox?.operations(services),
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

// ---------------------------------------------------------------------------------------------------------------------
// Context
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Gives every call inside this context, of every client and also after an `await`. Nested contexts add up, key by key at the
 * top level; the context of the call itself wins.
 * @category combinators @since 0.1.0
 */
export const withContext = <A>(context: CallTypes.ContextFields, body: () => A): A =>
  CallStorage.run((outer) => ({ ...outer, context: Enrichment.mergeContext(outer.context, context) }), body)

/**
 * Makes this user or visitor the subject of every call of `identified` inside, of every client and also after an `await`, unless
 * the call names another.
 * @category combinators @since 0.1.0
 */
export const withIdentity = <A>(identity: Enrichment.Identity, body: () => A): A =>
  CallStorage.run((outer) => ({ ...outer, identity: { ...identity } }), body)
