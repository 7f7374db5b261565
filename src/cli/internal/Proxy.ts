/** The proxy of the environment: requests go through it where Node can do so (24.14 or newer). */
import * as Http from "node:http"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { type CommandError, usage } from "./Exit.ts"

/** Where Node reads it, in its order. */
const variables = { "https:": ["https_proxy", "HTTPS_PROXY"], "http:": ["http_proxy", "HTTP_PROXY"] } as const

export const variable = (name: string): Effect.Effect<string | undefined> =>
  Effect.map(Effect.orDie(Config.option(Config.String(name))), Option.getOrUndefined)

/** Sends all requests of this process through it. A value that is no URL is never quoted: a password may be in it. */
export const use: Effect.Effect<void, CommandError> = Effect.gen(function* () {
  if (!("setGlobalProxyFromEnv" in Http)) return
  for (const name of Object.values(variables).flat()) {
    const value = yield* variable(name)
    if (value === undefined || value === "" || isProxy(value)) continue
    return yield* usage(`${name} is not the URL of a proxy`, "For example: http://proxy.example.com:8080")
  }
  yield* Effect.try({
    try: () => Http.setGlobalProxyFromEnv(),
    catch: () => usage("the proxy of the environment can't be used", "See the variables HTTPS_PROXY and HTTP_PROXY")
  })
})

const isProxy = (value: string): boolean => URL.canParse(value) && /^https?:$/.test(new URL(value).protocol)

/** The host of the proxy for this address, without its password; the name of the variable where it is no URL. */
export const hostFor = Effect.fnUntraced(function* (url: URL) {
  const excluded = ((yield* variable("no_proxy")) ?? (yield* variable("NO_PROXY")) ?? "").split(/[\s,]+/)
  const isExcluded = excluded.some(
    (name) => name === "*" || name === url.hostname || (name.startsWith(".") && url.hostname.endsWith(name))
  )
  if (isExcluded) return undefined
  for (const name of variables[url.protocol === "https:" ? "https:" : "http:"]) {
    const value = yield* variable(name)
    if (value !== undefined && value !== "") return isProxy(value) ? new URL(value).host : `the value of ${name}`
  }
  return undefined
})

/** Whether requests go through the proxy of the environment. */
export const isUsed: Effect.Effect<boolean> = Effect.map(
  variable("NODE_USE_ENV_PROXY"),
  (setting) => "setGlobalProxyFromEnv" in Http || setting === "1"
)
