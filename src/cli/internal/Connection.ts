/**
 * Where messages go: the flags of every command that sends, and the environment behind them. A flag wins over the
 * environment.
 */
import * as Config from "effect/Config"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Settings from "../../Settings.ts"
import type * as Transport from "../../Transport.ts"
import { type CommandError, usage } from "./Exit.ts"
import { optional, toggle } from "./Flags.ts"
import * as Proxy from "./Proxy.ts"

export const flags = {
  writeKey: optional(
    Flag.Redacted("write-key"),
    "The key of the source. ANALYTICS_WRITE_KEY is safer: others can read the arguments of a process"
  ),
  host: optional(Flag.String("host"), "Where the API is (ANALYTICS_HOST). Default: https://api.segment.io"),
  path: optional(Flag.String("path"), "The batch endpoint below the host (ANALYTICS_PATH). Default: /v1/batch"),
  region: optional(
    Flag.Literals("region", ["us", "eu"]),
    "Where the workspace is, instead of a host (ANALYTICS_REGION)"
  ),
  allowInsecureHost: toggle(
    "allow-insecure-host",
    "Allow plain http to another machine (ANALYTICS_ALLOW_INSECURE_HOST)"
  ),
  requestTimeout: optional(
    Flag.String("request-timeout"),
    'How long an attempt may take, as in "10 seconds" (ANALYTICS_REQUEST_TIMEOUT)'
  ),
  gzip: toggle("gzip", "Compress requests (ANALYTICS_GZIP)")
}

export interface Flags {
  readonly writeKey: Redacted.Redacted<string> | undefined
  readonly host: string | undefined
  readonly path: string | undefined
  readonly region: "us" | "eu" | undefined
  readonly allowInsecureHost: boolean
  readonly requestTimeout: string | undefined
  readonly gzip: boolean
}

const environment = Config.all({
  writeKey: Config.map(Config.option(Config.Redacted(Settings.variableOf("writeKey"))), Option.getOrUndefined),
  settings: Settings.config()
})

export interface Connection extends Omit<Transport.Options, "writeKey"> {
  readonly writeKey: Redacted.Redacted<string> | undefined
  /** The address of the batch endpoint. */
  readonly endpoint: string
}

/** The settings of a connection, found valid. The key may be missing: see `withKey`. */
export const read = Effect.fnUntraced(function* (given: Flags): Effect.fn.Return<Connection, CommandError> {
  const known = yield* Effect.mapError(environment, (error) =>
    usage(`the environment has a setting that can't be: ${error.message.replace(/\s+/g, " ")}`)
  )
  const { settings } = known
  const options = {
    writeKey: given.writeKey ?? known.writeKey,
    // A host and a region exclude one another: the one that is a flag wins over the other in the environment.
    host: given.host ?? (given.region === undefined ? settings.host : undefined),
    region: given.region ?? (given.host === undefined ? settings.region : undefined),
    path: given.path ?? settings.path,
    allowInsecureHost: given.allowInsecureHost || settings.allowInsecureHost,
    requestTimeout: (given.requestTimeout ?? settings.requestTimeout) as Settings.DurationInput | undefined,
    gzip: given.gzip || settings.gzip
  }
  return yield* Effect.sync(() => {
    Settings.read(Settings.Transport, options)
    if (options.writeKey !== undefined) Settings.writeKey(options.writeKey)
    return { ...options, endpoint: Settings.endpoint(options) }
  }).pipe(Settings.catchInvalid(({ problem, setting }) => usageOf(setting, problem)))
})

/** The same, for commands that send: a key is needed, and the proxy of the environment is used. */
export const withKey = (given: Flags): Effect.Effect<Transport.Options, CommandError> =>
  Effect.flatMap(Effect.tap(read(given), Proxy.use), ({ writeKey, ...rest }) =>
    writeKey === undefined
      ? Effect.fail(
          usage("there is no write key", "Set ANALYTICS_WRITE_KEY, or give --write-key. To send nothing: --dry-run")
        )
      : Effect.succeed({ ...rest, writeKey })
  )

/** `requestTimeout` as `--request-timeout`. */
const flagOf = (setting: string) => `--${setting.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`

const hints: { readonly [setting: string]: string } = {
  host: "For example: --host https://api.segment.io, or --host http://127.0.0.1:8686 for the debugger",
  writeKey: "Copy the key of the source again: it is on the page of its settings"
}

/** The error of a setting that can't work, with the flag that it has here. */
export const usageOf = (setting: string, problem: string): CommandError =>
  usage(`${flagOf(setting)} ${problem}`, hints[setting])
