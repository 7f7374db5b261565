#!/usr/bin/env node
/** The program `effect-analytics`. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Effect from "effect/Effect"
import * as Cli from "./cli.ts"

// `effect-analytics outbox export | head`: the reader has closed the pipe.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1))

NodeRuntime.runMain(Effect.provide(Cli.run, NodeServices.layer), {
  disableErrorReporting: true,
  teardown: (exit, onExit) => onExit(Cli.exitCodeOf(exit))
})
