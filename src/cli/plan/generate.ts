/** `effect-analytics plan generate`: the TypeScript of a plan that is kept elsewhere. */

import * as Console from "effect/Console"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import { Findings, usage } from "../internal/Exit.ts"
import { optional, toggle } from "../internal/Flags.ts"
import * as Input from "../internal/Input.ts"
import * as Output from "../internal/Output.ts"
import * as PlanFile from "../internal/PlanFile.ts"

const config = {
  plan: Argument.String("plan").pipe(Argument.withDescription("The plan: JSON, a module, or - for stdin")),
  name: Flag.String("name").pipe(
    Flag.withDefault("plan"),
    Flag.withDescription('What the plan is called in the module (default "plan")')
  ),
  out: optional(Flag.String("out"), "The file to write. Default: stdout"),
  check: toggle("check", "Write nothing: exit with 3 if the file of --out is out of date")
}

export const generate = Command.make("generate", config, ({ check, name, out, plan }) =>
  Effect.gen(function* () {
    if (check && out === undefined) {
      return yield* usage(
        "--check needs --out",
        "For example: effect-analytics plan generate plan.json --out src/plan.ts --check"
      )
    }
    const json = yield* PlanFile.json(plan)
    const { generate: generateSource } = yield* Effect.promise(() => import("../../TrackingPlan/codegen.ts"))
    const source = yield* PlanFile.reading(plan, () => generateSource(json as object, { name }))
    if (out === undefined) {
      const isJson = yield* Output.Json
      return yield* Console.log(isJson ? JSON.stringify({ source }) : source.trimEnd())
    }
    const files = yield* FileSystem.FileSystem
    const reported = <A, E extends Parameters<typeof Input.unreadable>[1]>(effect: Effect.Effect<A, E>) =>
      Effect.mapError(effect, (error) => Input.unreadable(out, error))
    if (check) {
      const isCurrent = (yield* reported(files.readFileString(out))) === source
      yield* Output.result({ file: out, current: isCurrent }, () =>
        isCurrent ? `${out} is up to date` : `${out} is out of date: run it again without --check`
      )
      return isCurrent ? undefined : yield* new Findings()
    }
    yield* reported(files.writeFileString(out, source))
    yield* Output.result({ file: out, bytes: Buffer.byteLength(source) }, () => `wrote ${out}`)
  })
).pipe(
  Command.withDescription("Generate TypeScript from a tracking plan"),
  Command.withExamples([
    { command: "effect-analytics plan generate plan.json --out src/plan.ts", description: "Write the module" },
    {
      command: "effect-analytics plan generate plan.json --out src/plan.ts --check",
      description: "In CI: is the module up to date?"
    }
  ])
)
