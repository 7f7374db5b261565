/**
 * What a command prints: results on stdout, for people or as one JSON value with `--json`; errors and progress on stderr.
 *
 * Colours are for terminals, and `NO_COLOR` turns them off.
 */
import { styleText } from "node:util"
import * as Console from "effect/Console"
import * as Flag from "effect/cli/Flag"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import * as Effect from "effect/Effect"
import type { CommandError } from "./Exit.ts"

/** Whether results are JSON. */
export const Json = GlobalFlag.Setting("json")({
  flag: Flag.Boolean("json").pipe(
    Flag.withoutNegation,
    Flag.withDefault(false),
    Flag.withDescription("Print the result as JSON on stdout, errors as JSON on stderr")
  )
})

/** Prints a result. */
export const result = (
  json: unknown,
  text: () => string
): Effect.Effect<void, never, GlobalFlag.Setting.Identifier<"json">> =>
  Effect.flatMap(Json, (isJson) => Console.log(isJson ? JSON.stringify(json) : text()))

type Style = "bold" | "dim" | "red" | "green" | "yellow" | "cyan"

/** Text in a style, where stdout is a terminal that shows it. */
export const style = (name: Style, text: string): string => styleText(name, text, { stream: process.stdout })

/** Prints an error: what is wrong, and what to do about it. */
export const error = ({ hint, kind, message }: CommandError, isJson: boolean): Effect.Effect<void> => {
  if (isJson)
    return Console.error(JSON.stringify({ error: { kind, message, ...(hint === undefined ? {} : { hint }) } }))
  const title = styleText(["bold", "red"], "error:", { stream: process.stderr })
  return Console.error(`${title} ${message}${hint === undefined ? "" : `\n  ${hint}`}`)
}

/** `1 line`, `2 lines`, `1,234 lines`. */
export const count = (amount: number, noun: string): string =>
  `${amount.toLocaleString("en")} ${noun}${amount === 1 ? "" : "s"}`

/** `12 s`, `3 min 5 s`, `2 h 10 min`. */
export const duration = (millis: number): string => {
  const seconds = Math.ceil(millis / 1_000)
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`
  return `${Math.floor(seconds / 3_600)} h ${Math.floor((seconds % 3_600) / 60)} min`
}
