/** `effect-analytics debugger`: a Tracking API on this machine, with a page that shows what it receives. */

import * as Context from "effect/Context"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Settings from "../Settings.ts"
import { usageOf } from "./internal/Connection.ts"
import { type CommandError, failed } from "./internal/Exit.ts"
import { optional, toggle } from "./internal/Flags.ts"
import * as Input from "./internal/Input.ts"
import * as Output from "./internal/Output.ts"
import * as PlanFile from "./internal/PlanFile.ts"

const several = (name: string, description: string) =>
  Flag.String(name).pipe(Flag.withDescription(description), Flag.atLeast(0))

const config = {
  port: Flag.Int("port").pipe(
    Flag.withDefault(8686),
    Flag.withDescription("The port; 0 is any free one (default 8686)")
  ),
  host: optional(Flag.String("bind"), "The address to listen on. One that is not loopback needs a token"),
  token: optional(
    Flag.Redacted("token"),
    "What the page asks for, 16 characters or more. Default: a new one each time"
  ),
  plan: optional(Flag.String("plan"), "A tracking plan that every message is checked against: JSON, or a module"),
  allowedHosts: several("allowed-host", 'A further Host header, as in "host.docker.internal:8686"; as often as needed'),
  allowedOrigins: several("allowed-origin", "An origin whose pages may send events; as often as needed"),
  maxMessages: optional(Flag.Int("max-messages"), "Messages that are kept. Default: 10000"),
  allowProduction: toggle("allow-production", "Start even where NODE_ENV is production")
}

export const debuggerCommand = Command.make("debugger", config, ({ plan, ...options }) =>
  Effect.gen(function* () {
    const definition = plan === undefined ? undefined : yield* PlanFile.plan(plan)
    // Loaded when it is needed: the other commands need no HTTP server.
    const Collector = yield* Effect.promise(() => import("../Collector.ts"))
    const Debugger = yield* Effect.promise(() => import("../Debugger.ts"))
    const services = yield* Layer.build(Debugger.layer({ ...options, plan: definition })).pipe(
      Settings.catchInvalid(({ problem, setting }) => usageOf(setting === "host" ? "bind" : setting, problem)),
      Effect.catchTag("ServeError", ({ cause }) => Effect.fail(portError(options.port, cause)))
    )
    const { url } = Context.get(services, Debugger.Debugger)
    const { url: host } = Context.get(services, Collector.Collector)
    yield* Output.result({ url, host }, () =>
      [
        `${Output.style("bold", "Page")}     ${Output.style("cyan", url)}`,
        `${Output.style("bold", "Send to")}  ${host}  (the host of an SDK, or ANALYTICS_HOST)`,
        Output.style("dim", "Ctrl-C stops it")
      ].join("\n")
    )
    return yield* Effect.never
  }).pipe(Effect.scoped)
).pipe(
  Command.withDescription("See every event that an SDK sends, and why it would be refused"),
  Command.withExamples([
    { command: "effect-analytics debugger", description: "Then send to http://127.0.0.1:8686 with any SDK" },
    { command: "effect-analytics debugger --plan plan.json", description: "Check what arrives against a tracking plan" }
  ])
)

const portError = (port: number, cause: unknown): CommandError =>
  Input.codeOf(cause) === "EADDRINUSE"
    ? failed(
        `port ${port} is in use`,
        "Another debugger may be running. Give --port 8687, or --port 0 for any free one"
      )
    : failed(Input.withCode(`port ${port} can't be listened on`, cause), "Give another --port, or another --bind")
