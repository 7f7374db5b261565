/** The proxy of the environment: requests go through it where Node can do so (24.14 or newer). */
import * as Http from "node:http"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as EnvironmentProxy from "../../internal/Proxy.ts"
import { type CommandError, usage } from "./Exit.ts"

const variables = ["https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY"]

export const variable = (name: string): Effect.Effect<string | undefined> =>
  Effect.map(Effect.orDie(Config.option(Config.String(name))), Option.getOrUndefined)

/** Sends all requests of this process through it. A value that is no URL is never quoted: a password may be in it. */
export const use: Effect.Effect<void, CommandError> = Effect.gen(function* () {
  if (!("setGlobalProxyFromEnv" in Http)) return
  for (const name of variables) {
    const value = yield* variable(name)
    if (value === undefined || value === "" || EnvironmentProxy.isProxy(value)) continue
    return yield* usage(`${name} is not the URL of a proxy`, "For example: http://proxy.example.com:8080")
  }
  yield* Effect.try({
    try: () => {
      Http.setGlobalProxyFromEnv()
      EnvironmentProxy.setUsed()
    },
    catch: () => usage("the proxy of the environment can't be used", "See the variables HTTPS_PROXY and HTTP_PROXY")
  })
})

/** Whether requests go through the proxy of the environment. */
export const isUsed: Effect.Effect<boolean> = Effect.map(
  variable("NODE_USE_ENV_PROXY"),
  (setting) => "setGlobalProxyFromEnv" in Http || setting === "1"
)
