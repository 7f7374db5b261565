/**
 * How a command ends: its exit code, and the failures that carry one.
 *
 * 0: done. 1: failed. 2: wrong usage. 3: done, and something was found that a script should stop at. 130: interrupted.
 */
import * as Cause from "effect/Cause"
import * as CliError from "effect/cli/CliError"
import * as Data from "effect/Data"
import * as Exit from "effect/Exit"
import * as Runtime from "effect/Runtime"

/** A command that can't go on. The hint is what to do, or what to type instead. */
export class CommandError extends Data.TaggedError("CommandError")<{
  readonly kind: "failed" | "usage"
  readonly message: string
  readonly hint?: string | undefined
}> {
  override readonly [Runtime.errorExitCode] = this.kind === "usage" ? 2 : 1
  override readonly [Runtime.errorReported] = false
}

/** The command did what it was asked for, printed what it found, and a script should stop at it. */
export class Findings extends Data.TaggedError("Findings") {
  override readonly [Runtime.errorExitCode] = 3
  override readonly [Runtime.errorReported] = false
}

/** The command has failed, and has printed so itself. */
export class Failure extends Data.TaggedError("Failure") {
  override readonly [Runtime.errorReported] = false
}

export const failed = (message: string, hint?: string): CommandError =>
  new CommandError({ kind: "failed", message, hint })

export const usage = (message: string, hint?: string): CommandError =>
  new CommandError({ kind: "usage", message, hint })

/** The code that the process ends with. */
export const exitCodeOf = (exit: Exit.Exit<unknown, unknown>): number => {
  if (Exit.isSuccess(exit)) return 0
  if (Cause.hasInterruptsOnly(exit.cause)) return 130
  const error = Cause.squash(exit.cause)
  if (CliError.isCliError(error)) return error._tag === "ShowHelp" && error.errors.length === 0 ? 0 : 2
  return Runtime.getErrorExitCode(error)
}
