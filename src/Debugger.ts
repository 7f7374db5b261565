/**
 * A page that shows what a collector receives, live: `Debugger.layer({ port: 8686 })` starts both, and `Debugger` has the
 * URL to open.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as HttpServerError from "effect/http/HttpServerError"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type { InvalidSetting } from "./AnalyticsError.ts"
import * as Collector from "./Collector.ts"

export class Debugger extends Context.Service<
  Debugger,
  {
    /** The page, with the token of this start in the fragment: `http://127.0.0.1:8686/#…`. Whoever has it sees everything. */
    readonly url: string
  }
>()("effect-analytics/Debugger") {}

/** A collector and its page, for as long as the scope lasts. Needs `@effect/platform-node` to be installed. */
export const layer = (
  options: Collector.Options = {}
): Layer.Layer<Debugger | Collector.Collector, InvalidSetting | HttpServerError.ServeError> =>
  Layer.unwrap(
    Effect.map(Collector.check(options), (checked) =>
      Collector.layerWith(checked, ({ token, url }) =>
        Layer.succeed(Debugger, { url: `${url}/#${Redacted.value(token)}` })
      )
    )
  )
