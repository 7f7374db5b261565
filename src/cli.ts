/**
 * The command line, as a command of `effect/cli`: `bin.ts` runs it. The tree of files below `cli/` is the tree of commands.
 */
import * as Cause from "effect/Cause"
import * as Console from "effect/Console"
import * as CliConfig from "effect/cli/CliConfig"
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import * as Stdio from "effect/Stdio"
import { alias } from "./cli/alias.ts"
import { check } from "./cli/check.ts"
import { debuggerCommand } from "./cli/debugger.ts"
import { e2e } from "./cli/e2e.ts"
import { group } from "./cli/group.ts"
import { identify } from "./cli/identify.ts"
import { importCommand } from "./cli/import.ts"
import { CommandError, usage } from "./cli/internal/Exit.ts"
import * as Output from "./cli/internal/Output.ts"
import { outbox } from "./cli/outbox.ts"
import { page } from "./cli/page.ts"
import { plan } from "./cli/plan.ts"
import { screen } from "./cli/screen.ts"
import { track } from "./cli/track.ts"
import { library } from "./Message.ts"

export { exitCodeOf } from "./cli/internal/Exit.ts"

export const cli = Command.make("effect-analytics").pipe(
  Command.withDescription("Send, import and check analytics events, and see them arrive"),
  Command.withExamples([
    { command: "effect-analytics debugger", description: "See every event, and why it would be refused" },
    { command: "effect-analytics check", description: "Find out why nothing arrives" },
    { command: "effect-analytics import events.ndjson.gz", description: "Send a history" },
    { command: "effect-analytics --completions zsh > _effect-analytics", description: "Completions of a shell" }
  ]),
  Command.withSubcommands([
    { group: "Send one event", commands: [track, identify, page, screen, group, alias] },
    { group: "Send many", commands: [importCommand] },
    { group: "Look", commands: [debuggerCommand, check] },
    { group: "Operate", commands: [plan, outbox] },
    { group: "Test", commands: [e2e] }
  ]),
  Command.withGlobalFlags([Output.Json])
)

/** Whether these arguments ask for JSON, whatever else is wrong with them. */
const wantsJson = (args: ReadonlyArray<string>) => args.includes("--json")

/** Help goes to stdout when it is asked for; what is wrong with a command goes to stderr, and names the help. */
const presenter = (isJson: boolean): CliOutput.Presenter => ({
  present: (event) => {
    if (event._tag !== "InvalidInvocation") return CliOutput.defaultPresenter.present(event)
    const message = event.errors.map((error) => error.message).join("\n")
    return Output.error(usage(message, `See: ${event.commandPath.join(" ")} --help`), isJson)
  }
})

/** Runs the command of these arguments, and reports its failure. The exit code is `exitCodeOf` how it exits. */
export const run = Effect.gen(function* () {
  const args = yield* Effect.flatMap(Stdio.Stdio, (stdio) => stdio.args)
  const isJson = wantsJson(args)
  return yield* Command.runWith(cli, { version: library.version })(args).pipe(
    Effect.tapError((error) => (error instanceof CommandError ? Output.error(error, isJson) : Effect.void)),
    Effect.tapCause((cause) =>
      Cause.hasDies(cause)
        ? Console.error(`This is a mistake of effect-analytics. Please report it:\n${Cause.pretty(cause)}`)
        : Effect.void
    ),
    Effect.provide([
      CliConfig.layer({ builtIns: [GlobalFlag.Help, GlobalFlag.Version, GlobalFlag.Completions, GlobalFlag.LogLevel] }),
      CliOutput.layerPresenter(presenter(isJson)),
      // Results are on stdout. What the client logs is in the result: --log-level shows it all the same.
      Logger.layer([Logger.withConsoleError(Logger.formatLogFmt)]),
      Layer.succeed(References.MinimumLogLevel, "None")
    ])
  )
})
