/**
 * A page that shows what a collector receives, live: `Debugger.layer({ port: 8686 })` starts both, and `Debugger` has the
 * URL to open.
 */
import { readFileSync } from "node:fs"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as HttpServerError from "effect/http/HttpServerError"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Collector from "./Collector.ts"
import * as Routes from "./Debugger/Routes.ts"

/** The debugger in scope. @category services @since 0.1.0 */
export class Debugger extends Context.Service<
  Debugger,
  {
    /** The page, with the token of this start: `http://127.0.0.1:8686/#…`. Whoever has this URL sees every event. */
    readonly url: string
  }
>()("effect-analytics/Debugger") {}

/**
 * A collector and its page, for as long as the scope lasts. Needs `@effect/platform-node` to be installed.
 * @category layers @since 0.1.0
 */
export const layer = (
  options: Collector.Options = {}
): Layer.Layer<Debugger | Collector.Collector, HttpServerError.ServeError> =>
  Layer.unwrap(
    Effect.map(Collector.check(options), (checked) =>
      Collector.layerWith(checked, ({ token, url }) =>
        Layer.effect(
          Debugger,
          Effect.gen(function* () {
            yield* Routes.install({ url, token, assets: assets(), maxMessages: checked.maxMessages })
            return { url: `${url}/#${Redacted.value(token)}` }
          })
        )
      )
    )
  )

const files = {
  "index.html": "text/html; charset=utf-8",
  "style.css": "text/css; charset=utf-8",
  "page.js": "text/javascript; charset=utf-8",
  "dom.js": "text/javascript; charset=utf-8",
  "rows.js": "text/javascript; charset=utf-8",
  "list.js": "text/javascript; charset=utf-8",
  "detail.js": "text/javascript; charset=utf-8",
  "timeline.js": "text/javascript; charset=utf-8",
  "coverage.js": "text/javascript; charset=utf-8"
} as const

/** The files of the page, which lie beside this module. No path of a request reaches the disk. */
const assets = (): ReadonlyArray<Routes.Asset> =>
  Object.entries(files).map(([name, contentType]) => ({
    path: name === "index.html" ? "/" : `/debugger/${name}`,
    contentType,
    text: readFileSync(new URL(`./Debugger/page/${name}`, import.meta.url), "utf8")
  }))
