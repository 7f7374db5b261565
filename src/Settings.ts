/**
 * The settings of a client: their Schema, their defaults, and the limits of the API. Layers, the plain face and the
 * configuration read them with the same Schema.
 *
 * A setting that cannot work is an `InvalidSetting` that names it; nothing is rounded or ignored in silence.
 */
import * as Cause from "effect/Cause"
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaParser from "effect/SchemaParser"
import { InvalidSetting } from "./AnalyticsError.ts"
import { firstProblem, typeOf } from "./internal/Issue.ts"

/**
 * What the Tracking API takes: https://segment.com/docs/connections/sources/catalog/libraries/server/http-api/
 * @category constants @since 0.1.0
 */
export const limits = {
  /** UTF-8 bytes of one message. */
  messageBytes: 32_768,
  /** UTF-8 bytes of one request, envelope included. */
  batchBytes: 500_000,
  /** Messages in one request. */
  batchSize: 2_500,
  /** Characters of a `messageId`. */
  messageId: 100,
  /** Containers inside one another, counted from the call. */
  depth: 64
} as const

/**
 * What a setting is when it is left out. Times in milliseconds, sizes in UTF-8 bytes.
 * @category constants @since 0.1.0
 */
export const defaults = {
  region: "us",
  path: "/v1/batch",
  batchSize: 100,
  maxQueueSize: 10_000,
  maxQueueBytes: 32 * 1024 * 1024,
  flushInterval: 0,
  maxInFlight: 1,
  overflow: "refuse",
  requestTimeout: 10_000,
  maxRetries: 10,
  maxRetryDuration: 12 * 3_600_000,
  maxRateLimitDuration: 12 * 3_600_000,
  // Below the 30 seconds that containers have after SIGTERM.
  closeTimeout: 20_000
} as const

/** The same of a durable outbox. @category constants @since 0.1.0 */
export const durableDefaults = {
  maxQueueSize: 1_000_000,
  maxQueueBytes: 1024 * 1024 * 1024,
  maxFileBytes: 2 * 1024 * 1024 * 1024,
  synchronous: "full",
  overflow: "refuse",
  maxInFlight: 1,
  role: "both",
  adoptDestination: false,
  fallback: "none",
  table: "analytics_outbox",
  lease: 10_000,
  pollInterval: 1_000,
  commitTimeout: 5_000,
  maxDead: 10_000,
  maxDeadAge: 30 * 24 * 3_600_000
} as const

type Unit = "nano" | "micro" | "milli" | "second" | "minute" | "hour" | "day" | "week"

/** A `Duration` of Effect, by what it is made of: the types of settings name nothing of another package. */
interface EffectDuration {
  readonly value: { readonly _tag: "Millis" | "Nanos" | "Infinity" | "NegativeInfinity" }
}

/**
 * A length of time: milliseconds, a text such as `"10 seconds"`, or a `Duration` of Effect.
 * @category models @since 0.1.0
 */
export type DurationInput = number | `${number} ${Unit | `${Unit}s`}` | EffectDuration

const regions = {
  us: "https://api.segment.io",
  eu: "https://events.eu1.segmentapis.com"
} as const
/** Where a workspace is. @category models @since 0.1.0 */
export type Region = keyof typeof regions

/** The region of an address, if it is one of Segment's. @category accessors @since 0.1.0 */
export const regionOf = ({ origin }: URL): Region | undefined =>
  (Object.keys(regions) as ReadonlyArray<Region>).find((region) => regions[region] === origin)

// ---------------------------------------------------------------------------------------------------------------------
// Schema
// ---------------------------------------------------------------------------------------------------------------------

/** A whole number within bounds. @category schemas @since 0.1.0 */
export const wholeNumber = (minimum: number, maximum: number = Number.MAX_SAFE_INTEGER) =>
  Schema.Int.check(Schema.isBetween({ minimum, maximum })).annotate({
    expected: `a whole number from ${minimum} to ${maximum}`
  })

/** A length of time of so many milliseconds, or more. @category schemas @since 0.1.0 */
export const lengthOfTime = (minimum: number) =>
  (
    Schema.Union([Schema.String, Schema.Number, Schema.Duration]) as unknown as Schema.Codec<
      number | `${number} ${Duration.Unit}` | Duration.Duration
    >
  )
    .check(Schema.makeFilter((given) => toMillis(given) >= minimum))
    .annotate({
      expected: `a length of time of at least ${minimum} ms: milliseconds or a string such as "10 seconds"`
    })

/** One of a few words. @category schemas @since 0.1.0 */
export const oneOf = <const Words extends ReadonlyArray<string>>(words: Words) =>
  Schema.Literals(words).annotate({ expected: `one of ${words.map((word) => `"${word}"`).join(", ")}` })

/** A switch. @category schemas @since 0.1.0 */
export const Flag = /* @__PURE__ */ Schema.Boolean.annotate({ expected: "true or false" })

const Text = Schema.String.annotate({ expected: "a string" })

/** The headers that the transport sets itself. */
const ownHeaders: ReadonlyArray<string> = [
  "authorization",
  "content-type",
  "content-encoding",
  "content-length",
  "user-agent",
  "x-retry-count"
]
/** Headers of the connection, which `fetch` refuses. */
const hopHeaders: ReadonlyArray<string> = ["connection", "expect", "keep-alive", "transfer-encoding", "upgrade"]

const isFurtherHeader = ([name, value]: readonly [string, string]): boolean =>
  /^[!#$%&'*+.^_`|~\w-]+$/.test(name) &&
  /^[\x20-\x7e]*$/.test(value) &&
  ![...ownHeaders, ...hopHeaders].includes(name.toLowerCase())

/**
 * The settings of the transport, without the write key. `endpoint` has the rules of the address as a whole.
 * @category schemas @since 0.1.0
 */
export const Transport = Schema.Struct({
  host: Schema.optional(Text),
  path: Schema.optional(Text),
  region: Schema.optional(oneOf(["us", "eu"])),
  allowInsecureHost: Schema.optional(Flag),
  requestTimeout: Schema.optional(lengthOfTime(1)),
  gzip: Schema.optional(Flag),
  headers: Schema.optional(
    Schema.Record(Schema.String, Schema.String)
      .check(Schema.makeFilter((headers) => Object.entries(headers).every(isFurtherHeader)))
      .annotate({
        expected: `an object of header names and printable ASCII, without ${[...ownHeaders, ...hopHeaders].join(", ")}`
      })
  )
})

/** The settings of the queue in memory. @category schemas @since 0.1.0 */
export const Queue = Schema.Struct({
  maxQueueSize: Schema.optional(wholeNumber(1)),
  maxQueueBytes: Schema.optional(wholeNumber(limits.messageBytes)),
  overflow: Schema.optional(oneOf(["refuse", "drop-oldest", "wait"]))
})

/** The settings of the delivery. @category schemas @since 0.1.0 */
export const Delivery = Schema.Struct({
  batchSize: Schema.optional(wholeNumber(1, limits.batchSize)),
  flushInterval: Schema.optional(lengthOfTime(0)),
  maxInFlight: Schema.optional(wholeNumber(1, 1_000)),
  maxRetries: Schema.optional(wholeNumber(0, 1_000)),
  maxRetryDuration: Schema.optional(lengthOfTime(0)),
  maxRateLimitDuration: Schema.optional(lengthOfTime(0)),
  closeTimeout: Schema.optional(lengthOfTime(0))
})

/** The deadline of a flush or a close. */
const Deadline = /* @__PURE__ */ Schema.Struct({ timeout: lengthOfTime(0) })

/** All settings of a client that are data. @category schemas @since 0.1.0 */
export const Settings = Schema.Struct({ ...Transport.fields, ...Queue.fields, ...Delivery.fields })

/** A length of time in milliseconds; `NaN` if it is none. @category reading @since 0.1.0 */
export const toMillis = (given: DurationInput): number => {
  const millis =
    typeof given === "number"
      ? given
      : Duration.toMillis(Option.getOrElse(Duration.fromInput(given as Duration.Input), () => Duration.infinity))
  return Number.isFinite(millis) ? millis : Number.NaN
}

/** Settings with the defaults filled in. */
type Complete<S, Defaults> = {
  readonly [Name in keyof S]-?: Name extends keyof Defaults ? Exclude<S[Name], undefined> : S[Name]
}

/**
 * Reads the settings of a Schema from options that may have others, and fills in the defaults. Throws an `InvalidSetting` that
 * names the first that cannot work.
 * @category reading @since 0.1.0
 */
export const read = <S extends Schema.Struct.Fields, Defaults extends object = typeof defaults>(
  schema: Schema.Struct<S>,
  options: object,
  known: Defaults = defaults as unknown as Defaults
): Complete<Schema.Struct<S>["Type"], Defaults> => {
  const given = Object.fromEntries(
    Object.keys(schema.fields).map((name) => [name, (options as Record<string, unknown>)[name]])
  )
  const decoded = SchemaParser.decodeUnknownResult(schema as unknown as Schema.Codec<object>)(given)
  if (Result.isFailure(decoded)) {
    const { expected, path, value } = firstProblem(decoded.failure, given)
    return invalid(String(path[0]), `must be ${expected}; it is ${typeOf(value)}`)
  }
  for (const name in given) given[name] ??= (known as Record<string, unknown>)[name]
  return given as Complete<Schema.Struct<S>["Type"], Defaults>
}

/** A deadline in milliseconds. @category reading @since 0.1.0 */
export const timeoutMillis = (timeout: DurationInput): number => toMillis(read(Deadline, { timeout }).timeout)

/** The name of a setting in the environment: `ANALYTICS_BATCH_SIZE`. @category accessors @since 0.1.0 */
export const variableOf = (setting: string): string =>
  `ANALYTICS_${setting.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`

/** The settings that are in the environment: all but the headers, which no single string holds. */
const inEnvironment = Object.entries(Settings.fields).filter(([name]) => name !== "headers")

/**
 * The settings in environment variables, for programs without a `ConfigProvider`. Throws an `InvalidSetting` that names a
 * variable whose value cannot work.
 * @category constructors @since 0.1.0
 */
export const fromVariables = (environment: Readonly<Record<string, string | undefined>>): typeof Settings.Type => {
  const settings: Record<string, unknown> = {}
  for (const [name] of inEnvironment) {
    const text = environment[variableOf(name)]
    if (text === undefined) continue
    settings[name] = name === "host" || name === "path" ? text : valueOf(text)
  }
  const decoded = SchemaParser.decodeUnknownResult(Settings)(settings)
  if (Result.isSuccess(decoded)) return decoded.success
  const problem = firstProblem(decoded.failure, settings)
  return invalid(variableOf(String(problem.path[0])), `must be ${problem.expected}; it is ${typeOf(problem.value)}`)
}

const valueOf = (text: string): unknown =>
  /^-?[\d.]+$/.test(text) ? Number(text) : text === "true" ? true : text === "false" ? false : text

/** Variables that only look like ours, and those that are meant: `ANALYTICS_BATCHSIZE`, `ANALYTICS_BATCH_SIZE`. */
const lookalikes: ReadonlyArray<readonly [lookalike: string, meant: string]> = [
  "writeKey",
  ...inEnvironment.map(([name]) => name)
]
  .map(variableOf)
  .map((meant) => [`ANALYTICS_${meant.slice("ANALYTICS_".length).replaceAll("_", "")}`, meant] as const)
  .filter(([lookalike, meant]) => lookalike !== meant)

/** Warnings for variables that only look like settings, such as `ANALYTICS_BATCHSIZE`. @category reading @since 0.1.0 */
export const slipsIn = (isSet: (variable: string) => boolean): ReadonlyArray<string> =>
  lookalikes.flatMap(([lookalike, meant]) =>
    isSet(lookalike) ? [`${lookalike} is not read: did you mean ${meant}?`] : []
  )

/** The same of the configuration. @category reading @since 0.1.0 */
export const slipsInConfig: Effect.Effect<ReadonlyArray<string>> = /* @__PURE__ */ Effect.suspend(() =>
  Effect.map(
    Effect.filter(
      lookalikes.map(([lookalike]) => lookalike),
      (name) => Effect.match(Config.String(name), { onSuccess: () => true, onFailure: () => false })
    ),
    (set) => slipsIn((name) => set.includes(name))
  )
)

/**
 * The settings in the environment: `ANALYTICS_HOST`, `ANALYTICS_BATCH_SIZE`, …, each only if it is set.
 * @category reading @since 0.1.0
 */
export const config = (): Config.Config<Omit<typeof Settings.Type, "headers">> =>
  Config.all(
    Object.fromEntries(
      inEnvironment.map(([name, field]) => [
        name,
        Config.map(Config.option(Config.schema(Schema.toType(field) as never, variableOf(name))), Option.getOrUndefined)
      ])
    )
  ) as Config.Config<typeof Settings.Type>

// ---------------------------------------------------------------------------------------------------------------------
// Readers
// ---------------------------------------------------------------------------------------------------------------------

/** By tag: the error may come from another evaluation of its module. */
const isInvalidSetting = (error: unknown): error is InvalidSetting =>
  (error as { readonly _tag?: unknown } | null | undefined)?._tag === "InvalidSetting"

/**
 * For settings that the program was given: the defect of one that cannot work becomes a failure.
 * @category reading @since 0.1.0
 */
export const catchInvalid =
  <E2>(failureOf: (error: InvalidSetting) => E2) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E | E2, R> =>
    Effect.catchDefect(self, (defect) =>
      isInvalidSetting(defect) ? Effect.fail(failureOf(defect)) : Effect.die(defect)
    )

/**
 * A layer whose settings were read from the configuration: one that cannot work is a `ConfigError` with its path there.
 * @category layers @since 0.1.0
 */
export const layerRead = <A, E, R>(
  layer: Layer.Layer<A, E, R>,
  nameOf: (setting: string) => string = (setting) => setting
): Layer.Layer<A, E | Config.ConfigError, R> =>
  Layer.catchCause(layer, (cause): Layer.Layer<A, E | Config.ConfigError> => {
    const error = Cause.squash(cause)
    if (!isInvalidSetting(error)) return Layer.effectContext(Effect.failCause(cause))
    const issue = new SchemaIssue.InvalidValue({ message: error.problem })
    const at = new SchemaIssue.Pointer([nameOf(error.setting)], issue)
    return Layer.effectContext(Effect.fail(new Config.ConfigError(new Schema.SchemaError(at))))
  })

/** A layer whose options are read from the configuration. @category layers @since 0.1.0 */
export const layerWrapped = <Options, A, E, R>(
  wrapped: Config.Wrap<Options>,
  layerOf: (options: Options) => Layer.Layer<A, E, R>
): Layer.Layer<A, E | Config.ConfigError, R> =>
  Layer.unwrap(Effect.map(Config.unwrap(wrapped), (options) => layerRead(layerOf(options))))

/** Throws the defect that names a setting. @category reading @since 0.1.0 */
export const invalid = (setting: string, problem: string): never => {
  throw new InvalidSetting({ setting, problem })
}

/** The names of destinations: at least one, none twice. @category reading @since 0.1.0 */
export const names = (given: ReadonlyArray<string>): ReadonlyArray<string> => {
  const isName = (name: unknown) => typeof name === "string" && /\S/.test(name) && name !== "All"
  return given.length > 0 && given.every(isName) && new Set(given).size === given.length
    ? given
    : invalid("destinations", "must have names that are not blank, none twice")
}

/** A function, if there is one. @category reading @since 0.1.0 */
export const optionalFunction = <F>(setting: string, value: F | undefined): F | undefined =>
  value === undefined || typeof value === "function" ? value : invalid(setting, "must be a function")

/** The value of a `Redacted`. Each copy of effect keeps the values of its own. @category reading @since 0.1.0 */
export const secret = <A>(setting: string, redacted: Redacted.Redacted<A>): A => {
  try {
    return Redacted.value(redacted)
  } catch {
    return invalid(
      setting,
      "is a Redacted that cannot be read: it was wiped, or there are two copies of effect (npm dedupe, npm ls effect)"
    )
  }
}

/**
 * A key that can travel in a header and in JSON as it is. It is never part of the error.
 * @category reading @since 0.1.0
 */
export const writeKey = (key: Redacted.Redacted<string>): string => {
  const value: unknown = Redacted.isRedacted(key) ? secret("writeKey", key) : undefined
  if (typeof value !== "string") return invalid("writeKey", "must be a string (in Effect a Redacted one)")
  if (value.trim() === "") return invalid("writeKey", "must not be blank")
  return /^[\x21-\x7e]+$/.test(value) ? value : invalid("writeKey", "must be printable ASCII without spaces")
}

const loopback = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/

/** The address of the batch endpoint. A path prefix in `host` is kept. @category reading @since 0.1.0 */
export const endpoint = (options: {
  readonly host?: string | undefined
  readonly path?: string | undefined
  readonly region?: Region | undefined
  readonly allowInsecureHost?: boolean | undefined
}): string => {
  if (options.host !== undefined && options.region !== undefined) {
    return invalid("region", "has no meaning beside host: give one of the two")
  }
  const host = options.host ?? regions[options.region ?? defaults.region]
  const url = typeof host === "string" && !host.includes("\\") && URL.canParse(host) ? new URL(host) : undefined
  if (url === undefined) return invalid("host", "must be a URL such as https://api.segment.io")
  if (url.username !== "" || url.password !== "") return invalid("host", "must not carry user info")
  if (url.search !== "" || url.hash !== "") return invalid("host", "must not carry a query or a fragment")
  if (url.protocol !== "https:" && url.protocol !== "http:") return invalid("host", "must be an https URL")
  if (url.protocol === "http:" && !loopback.test(url.hostname) && options.allowInsecureHost !== true) {
    return invalid("host", "must be https: plain http is for loopback, or for allowInsecureHost: true")
  }
  const path = options.path ?? defaults.path
  if (/\/v1(\/batch)?\/*$/.test(url.pathname) && path === defaults.path) {
    return invalid("host", `must not contain the path: ${path} is added to it (the setting path changes that)`)
  }
  if (typeof path !== "string" || !/^\/[\x21-\x7e]*$/.test(path) || /[\\?#]/.test(path)) {
    return invalid("path", "must start with / and hold neither a query nor a fragment")
  }
  return url.origin + url.pathname.replace(/\/+$/, "") + path
}
