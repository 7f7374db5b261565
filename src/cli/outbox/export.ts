/** `effect-analytics outbox export`: what waits, for another outbox, or what died, as NDJSON in constant memory. */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import { failed } from "../internal/Exit.ts"
import { optional, toggle } from "../internal/Flags.ts"
import * as OutboxPlace from "../internal/OutboxPlace.ts"

const config = {
  place: OutboxPlace.flags,
  after: optional(Flag.Int("after"), "Only what comes after this seq: an export that was cut off goes on"),
  dead: toggle("dead", "The dead letters, each with its reason, instead of what waits")
}

export const exportMessages = Command.make("export", config, ({ after, dead, place }) =>
  Effect.gen(function* () {
    const outbox = yield* OutboxPlace.open(place)
    const { stdout } = yield* Stdio.Stdio
    const lines = dead
      ? Stream.map(outbox.deadLetters, (letter) => {
          const line = JSON.stringify({ ...letter, diedAt: new Date(letter.diedAt).toISOString() })
          return `${line}\n`
        })
      : outbox.exportLines({ after })
    yield* lines.pipe(
      Stream.mapError(OutboxPlace.problemOf),
      Stream.mapArray((some) => [some.join("")]),
      Stream.run(stdout()),
      Effect.catchTag("PlatformError", () => Effect.fail(failed("stdout can't be written")))
    )
  }).pipe(Effect.scoped)
).pipe(
  Command.withDescription("Print what waits as NDJSON, the oldest first, each message with its place (seq)"),
  Command.withExamples([
    {
      command: "effect-analytics outbox export --outbox ./outbox > queue.ndjson",
      description: "A queue to carry to another outbox: outbox import"
    },
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
