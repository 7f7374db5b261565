/** `effect-analytics outbox stats`: the number of pending messages, their age, and the relay that delivers. */
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as OutboxPlace from "../internal/OutboxPlace.ts"
import * as Output from "../internal/Output.ts"

export const stats = Command.make("stats", OutboxPlace.flags, (flags) =>
  Effect.gen(function* () {
    const outbox = yield* OutboxPlace.open(flags)
    const found = yield* Effect.mapError(outbox.stats, OutboxPlace.problemOf)
    const { dead, leader, oldestAge, pending, pendingBytes } = found
    yield* Output.result({ pending, pendingBytes, oldestAge, dead, leader }, () =>
      [
        Output.style("bold", outbox.name),
        `  ${Output.count(pending, "message")} waiting, ${Output.count(pendingBytes, "byte")}${
          pending === 0 ? "" : `; the oldest for ${Output.duration(oldestAge)}`
        }`,
        `  ${Output.count(dead, "dead letter")}`,
        leader === "none" ? "  no relay delivers" : "  a relay delivers"
      ].join("\n")
    )
  }).pipe(Effect.scoped)
).pipe(
  Command.withDescription(
    "Show the pending messages, the age of the oldest, the dead letters, and whether a relay delivers"
  ),
  Command.withExamples([
    { command: "effect-analytics outbox stats --outbox ./outbox", description: "A file of SQLite" },
    {
      command: "ANALYTICS_OUTBOX=postgres://app@db/shop effect-analytics outbox stats --json",
      description: "PostgreSQL, for a monitor"
    }
  ])
)
