/**
 * The settings of a plain client. One that is misspelled, of another SDK, or of no use is refused by name; the layers of the
 * client check the values.
 */
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Analytics from "../Analytics.ts"
import { InvalidSetting } from "../AnalyticsError.ts"
import type * as Delivery from "../Delivery.ts"
import { isData } from "../internal/Json.ts"
import type * as Outbox from "../Outbox.ts"
import { Settings as Data, Flag, fromVariables, invalid, optionalFunction, slipsIn, variableOf } from "../Settings.ts"
import type * as TrackingPlan from "../TrackingPlan.ts"
import type * as Transport from "../Transport.ts"
import { type Log, standard } from "./Log.ts"
import type { Failure, Outcome } from "./Outcome.ts"
import type { PlanSettings } from "./Plan.ts"

/** The settings of a client. Only `writeKey` is needed. @category options @since 0.1.0 */
export interface Settings
  extends Omit<Outbox.Options, "overflow">,
    Omit<Analytics.CallOptions, "traceparent">,
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

/**
 * Settings of a client whose calls wait for room: for loading a history of any length.
 * @category options @since 0.1.0
 */
export interface WaitingSettings extends Omit<Settings, "overflow"> {
  /** A call waits until there is room, and so answers a promise. */
  readonly overflow: "wait"
  readonly outbox?: undefined
}

declare const durable: unique symbol

/**
 * An outbox whose messages survive the process: `sqlite` of `effect-analytics/sqlite` makes one.
 * @category models @since 0.1.0
 */
export interface DurableOutbox {
  readonly [durable]: never
}

/**
 * Settings of a client whose messages survive the process. The bound is the outbox's.
 * @category options @since 0.1.0
 */
export interface DurableSettings extends Omit<Settings, keyof Outbox.Options> {
  /** Where messages wait: `sqlite({ directory })` of `effect-analytics/sqlite`. Calls answer a promise. */
  readonly outbox: DurableOutbox
}

/** The settings of every kind of client. */
export interface AnySettings extends Omit<Settings, keyof PlanSettings | "overflow">, TrackingPlan.Policies {
  readonly auth?: Transport.Auth | undefined
  readonly overflow?: Outbox.Overflow | undefined
  readonly outbox?: Outbox.DurableSetting | undefined
  readonly plan?: TrackingPlan.Plan | undefined
}

// ---------------------------------------------------------------------------------------------------------------------
// Checks
// ---------------------------------------------------------------------------------------------------------------------

/** The settings that are switches. */
export const Switches = /* @__PURE__ */ Schema.Struct({
  strict: Schema.optional(Flag),
  stub: Schema.optional(Flag),
  closeOnSignals: Schema.optional(Flag)
})

/** Throws if a setting of the plain face cannot work. The layers check the others. */
export const check = (settings: AnySettings): void => {
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
  ...Object.keys(Data.fields),
  ...([
    ...(["writeKey", "auth", "outbox", "transform", "context", "integrations"] as const),
    ...(["stub", "strict", "fetch", "onError", "onOutcome", "logger", "closeOnSignals"] as const),
    ...(["plan", "onViolation", "events", "pages", "screens", "traits", "groupTraits"] as const),
    ...(["unplanned", "pii", "hashKey"] as const)
  ] satisfies ReadonlyArray<keyof AnySettings>)
])

// ---------------------------------------------------------------------------------------------------------------------
// Environment
// ---------------------------------------------------------------------------------------------------------------------

/** The error of a setting that came from the environment, by its variable. */
export const ofVariable = (error: unknown): unknown =>
  error instanceof InvalidSetting && error.setting in Data.fields
    ? new InvalidSetting({ setting: variableOf(error.setting), problem: error.problem })
    : error

/** The settings in `ANALYTICS_WRITE_KEY`, `ANALYTICS_HOST`, …. */
export const fromEnvironment = (): AnySettings => {
  const { process } = globalThis as { readonly process?: { readonly env?: Readonly<Record<string, string>> } }
  const environment = process?.env ?? {}
  // @effect-diagnostics-next-line globalConsole:off
  for (const slip of slipsIn((name) => name in environment)) standard.warn(`effect-analytics: ${slip}`)
  const writeKey = environment[variableOf("writeKey")]
  if (writeKey === undefined) return invalid(variableOf("writeKey"), "is not set, and no settings are given")
  return { ...fromVariables(environment), writeKey }
}
