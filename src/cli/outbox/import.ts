/** `effect-analytics outbox import`: what `outbox export` printed waits in another outbox. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import { CommandError, Findings } from "../internal/Exit.ts"
import * as Input from "../internal/Input.ts"
import * as OutboxPlace from "../internal/OutboxPlace.ts"
import * as Output from "../internal/Output.ts"

const config = {
  file: Argument.String("file").pipe(Argument.withDescription("What `outbox export` printed; - is stdin")),
  place: OutboxPlace.flags
}

export const importMessages = Command.make("import", config, ({ file, place }) =>
  Effect.gen(function* () {
    const outbox = yield* OutboxPlace.open(place)
    const sum = yield* Effect.mapError(outbox.importLines(Input.stream(file)), (error) =>
      error instanceof CommandError ? error : OutboxPlace.problemOf(error)
    )
    yield* Output.result(
      sum,
      () =>
        `stored ${Output.count(sum.imported, "message")}${
          sum.refused === 0 ? "" : `, refused ${Output.count(sum.refused, "line")} without a message`
        }`
    )
    if (sum.refused > 0) return yield* new Findings()
  }).pipe(Effect.scoped)
).pipe(
  Command.withDescription("Store what was exported; a message that is there already stays one"),
  Command.withExamples([
    {
      command: "effect-analytics outbox import queue.ndjson --outbox ./outbox",
      description: "A queue of another machine"
    }
  ])
)
