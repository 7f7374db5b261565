/** `effect-analytics plan diff`: what changed between two plans, and what of it breaks something. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import type { Change } from "../../TrackingPlan/diff.ts"
import { Findings } from "../internal/Exit.ts"
import { toggle } from "../internal/Flags.ts"
import * as Output from "../internal/Output.ts"
import * as PlanFile from "../internal/PlanFile.ts"

const config = {
  before: Argument.String("before").pipe(
    Argument.withDescription("The plan as it was: JSON, a module, or - for stdin")
  ),
  after: Argument.String("after").pipe(Argument.withDescription("The plan as it is")),
  markdown: toggle("markdown", "Print Markdown, as a comment of a pull request")
}

export const diff = Command.make("diff", config, ({ after, before, markdown }) =>
  Effect.gen(function* () {
    const was = yield* PlanFile.plan(before)
    const is = yield* PlanFile.plan(after)
    const { diff, toMarkdown } = yield* Effect.promise(() => import("../../TrackingPlan/diff.ts"))
    const difference = diff(was, is)
    yield* Output.result(difference, () => (markdown ? toMarkdown(difference).trimEnd() : render(difference.changes)))
    if (difference.breaking) return yield* new Findings()
  })
).pipe(
  Command.withDescription("Compare two tracking plans. Exit code 3: a change breaks something"),
  Command.withExamples([
    {
      command: "git show main:plan.json | effect-analytics plan diff - plan.json --markdown",
      description: "In CI: what a branch changes"
    },
    {
      command: "effect-analytics plan diff plan.json src/plan.ts",
      description: "A plan that is written in TypeScript"
    }
  ])
)

/** The changes by event, the breaking ones marked, as a reviewer reads them. */
const render = (changes: ReadonlyArray<Change>): string => {
  if (changes.length === 0) return "no changes"
  const lines: Array<string> = []
  const width = Math.max(...changes.map(({ path }) => path.length))
  for (const [event, some] of Map.groupBy(changes, (change) => change.event)) {
    lines.push(Output.style("bold", event))
    for (const { breaking, breaks, detail, kind, path } of some) {
      const mark = kind === "added" ? "+" : kind === "removed" ? "-" : "~"
      const text = `  ${mark} ${width === 0 ? "" : `${path.padEnd(width)}  `}${detail}`
      lines.push(
        breaking ? `${Output.style("red", text)}  ${Output.style("red", `breaks ${breaks.join(", ")}`)}` : text
      )
    }
  }
  const breaking = changes.filter((change) => change.breaking).length
  lines.push("", `${Output.count(changes.length, "change")}, ${breaking} breaking`)
  return lines.join("\n")
}
