/** `effect-analytics outbox export`: what waits, or what died, as NDJSON in constant memory. */
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import { failed } from "../internal/Exit.ts"
import { toggle } from "../internal/Flags.ts"
import * as OutboxPlace from "../internal/OutboxPlace.ts"

const config = {
  place: OutboxPlace.flags,
  dead: toggle("dead", "The dead letters, each with its reason, instead of what waits")
}

export const exportMessages = Command.make("export", config, ({ dead, place }) =>
  Effect.gen(function* () {
    const outbox = yield* OutboxPlace.open(place)
    const { stdout } = yield* Stdio.Stdio
    const values: Stream.Stream<object, Parameters<typeof OutboxPlace.problemOf>[0]> = dead
      ? Stream.map(outbox.deadLetters, (letter) => ({ ...letter, diedAt: new Date(letter.diedAt).toISOString() }))
      : outbox.pendingMessages
    yield* values.pipe(
      Stream.mapError(OutboxPlace.problemOf),
      Stream.mapArray((some) => [some.map((value) => `${JSON.stringify(value)}\n`).join("")]),
      Stream.run(stdout()),
      Effect.catchTag("PlatformError", () => Effect.fail(failed("stdout can't be written")))
    )
  }).pipe(Effect.scoped)
).pipe(
  Command.withDescription("Print what waits as NDJSON, the oldest first"),
  Command.withExamples([
    {
      command: "effect-analytics outbox export --outbox ./outbox | effect-analytics import -",
      description: "Send what waits from here; ids stay the same"
    },
    {
      command: "effect-analytics outbox export --outbox ./outbox --dead | jq .reason",
      description: "Why did messages die?"
    }
  ])
)
