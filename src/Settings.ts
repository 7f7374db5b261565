/**
 * Every number in one place: what a setting is when it is left out, and what it may be.
 *
 * A setting that cannot work is an `InvalidSetting` that names it; nothing is rounded or ignored in silence.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { InvalidSetting } from "./AnalyticsError.ts"

/** What the Tracking API takes: https://segment.com/docs/connections/sources/catalog/libraries/server/http-api/ */
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

/** What a setting is when it is left out. Times in milliseconds, sizes in UTF-8 bytes. */
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
  closeTimeout: 75_000
} as const

/** The same of a durable outbox. */
export const durableDefaults = {
  maxQueueSize: 1_000_000,
  maxQueueBytes: 1024 * 1024 * 1024,
  maxFileBytes: 2 * 1024 * 1024 * 1024,
  table: "analytics_outbox",
  lease: 10_000,
  pollInterval: 1_000,
  commitTimeout: 5_000,
  maxAge: Number.POSITIVE_INFINITY,
  maxDead: 10_000,
  maxDeadAge: 30 * 24 * 3_600_000
} as const

const regions = {
  us: "https://api.segment.io",
  eu: "https://events.eu1.segmentapis.com"
} as const
export type Region = keyof typeof regions

/** Reads settings with the functions below; what they throw becomes the failure. */
export const read = <A>(settings: () => A): Effect.Effect<A, InvalidSetting> =>
  Effect.suspend(() => {
    try {
      return Effect.succeed(settings())
    } catch (error) {
      return error instanceof InvalidSetting ? Effect.fail(error) : Effect.die(error)
    }
  })

/** Throws what `read` turns into a failure. */
export const invalid = (setting: string, problem: string): never => {
  throw new InvalidSetting({ setting, problem })
}

/** The settings that are numbers when they are left out. */
type Numbers<D> = { [Name in keyof D]: D[Name] extends number ? Name : never }[keyof D] & string
type NumberSetting = Numbers<typeof defaults> | Numbers<typeof durableDefaults> | "timeout"

/** A whole number within bounds. */
export const integer = (
  setting: NumberSetting,
  value: number | undefined,
  min: number,
  max: number = Number.MAX_SAFE_INTEGER,
  known: { readonly [Name in NumberSetting]?: number } = defaults
): number => {
  const given: unknown = value ?? known[setting]
  return Number.isInteger(given) && (given as number) >= min && (given as number) <= max
    ? (given as number)
    : invalid(setting, `must be a whole number from ${min} to ${max}`)
}

/** A length of time, as milliseconds. */
export const millis = (
  setting: NumberSetting,
  value: Duration.Input | undefined,
  min: number,
  known: { readonly [Name in NumberSetting]?: number } = defaults
): number => {
  const given = value ?? known[setting]
  const time =
    typeof given === "number"
      ? given
      : given === undefined
        ? Number.NaN
        : Duration.toMillis(Option.getOrElse(Duration.fromInput(given), () => Duration.infinity))
  return Number.isFinite(time) && time >= min
    ? time
    : invalid(setting, `must be a length of time of at least ${min} ms: milliseconds or a string such as "10 seconds"`)
}

/** A switch. */
export const flag = (setting: string, value: boolean | undefined): boolean =>
  value === undefined || typeof value === "boolean" ? value === true : invalid(setting, "must be true or false")

/** A function, if there is one. */
export const optionalFunction = <F>(setting: string, value: F | undefined): F | undefined =>
  value === undefined || typeof value === "function" ? value : invalid(setting, "must be a function")

/** One of a few words. */
export const oneOf = <const Word extends string>(
  setting: string,
  value: Word | undefined,
  fallback: NoInfer<Word>,
  words: ReadonlyArray<Word>
): Word =>
  words.includes(value ?? fallback)
    ? (value ?? fallback)
    : invalid(setting, `must be one of ${words.map((word) => `"${word}"`).join(", ")}`)

/** A key that can travel in a header and in JSON as it is. It is never part of the error. */
export const writeKey = (key: Redacted.Redacted<string>): string => {
  const value: unknown = Redacted.isRedacted(key) ? Redacted.value(key) : undefined
  if (typeof value !== "string") return invalid("writeKey", "must be a string (in Effect a Redacted one)")
  if (value.trim() === "") return invalid("writeKey", "must not be blank")
  return /^[\x21-\x7e]+$/.test(value) ? value : invalid("writeKey", "must be printable ASCII without spaces")
}

const loopback = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/

/** The address of the batch endpoint. A path prefix in `host` is kept. */
export const endpoint = (options: {
  readonly host?: string | undefined
  readonly path?: string | undefined
  readonly region?: Region | undefined
  readonly allowInsecureHost?: boolean | undefined
}): string => {
  const insecure = flag("allowInsecureHost", options.allowInsecureHost)
  const region = oneOf("region", options.region, defaults.region, Object.keys(regions) as Array<Region>)
  if (options.host !== undefined && options.region !== undefined) {
    return invalid("region", "has no meaning beside host: give one of the two")
  }
  const host = options.host ?? regions[region]
  const url = typeof host === "string" && !host.includes("\\") && URL.canParse(host) ? new URL(host) : undefined
  if (url === undefined) return invalid("host", "must be a URL such as https://api.segment.io")
  if (url.username !== "" || url.password !== "") return invalid("host", "must not carry user info")
  if (url.search !== "" || url.hash !== "") return invalid("host", "must not carry a query or a fragment")
  if (url.protocol !== "https:" && url.protocol !== "http:") return invalid("host", "must be an https URL")
  if (url.protocol === "http:" && !loopback.test(url.hostname) && !insecure) {
    return invalid("host", "must be https: plain http is for loopback, or for allowInsecureHost: true")
  }
  const path = options.path ?? defaults.path
  if (typeof path !== "string" || !/^\/[\x21-\x7e]*$/.test(path) || /[\\?#]/.test(path)) {
    return invalid("path", "must start with / and hold neither a query nor a fragment")
  }
  return url.origin + url.pathname.replace(/\/+$/, "") + path
}
