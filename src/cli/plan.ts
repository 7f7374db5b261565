/** `effect-analytics plan`: tracking plans in CI. */
import * as Command from "effect/cli/Command"
import { check } from "./plan/check.ts"
import { diff } from "./plan/diff.ts"
import { generate } from "./plan/generate.ts"

export const plan = Command.make("plan").pipe(
  Command.withDescription("Check, compare and generate tracking plans"),
  Command.withSubcommands([check, diff, generate])
)
