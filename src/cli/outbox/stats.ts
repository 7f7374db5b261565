/** `effect-analytics outbox stats`: how much waits, and for how long. */
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as OutboxPlace from "../internal/OutboxPlace.ts"
import * as Output from "../internal/Output.ts"

export const stats = Command.make("stats", OutboxPlace.flags, (flags) =>
  Effect.gen(function* () {
    const outbox = yield* OutboxPlace.open(flags)
    const found = yield* Effect.mapError(outbox.stats, OutboxPlace.problemOf)
    const { dead, lanes, oldestAge, pending, pendingBytes } = found
    yield* Output.result(
      { pending, pendingBytes, oldestAge, dead, lanes: { total: lanes.total, leased: lanes.leased } },
      () =>
        [
          Output.style("bold", outbox.name),
          `  ${Output.count(pending, "message")} waiting, ${Output.count(pendingBytes, "byte")}${
            pending === 0 ? "" : `; the oldest for ${Output.duration(oldestAge)}`
          }`,
          `  ${Output.count(dead, "dead letter")}`,
          `  ${lanes.leased} of ${lanes.total} lanes leased${lanes.leased === 0 ? ": nobody delivers" : ""}`
        ].join("\n")
    )
  }).pipe(Effect.scoped)
).pipe(
  Command.withDescription("Show how much waits, for how long, and what died"),
  Command.withExamples([
    { command: "effect-analytics outbox stats --outbox ./outbox", description: "A file of SQLite" },
    {
      command: "ANALYTICS_OUTBOX=postgres://app@db/shop effect-analytics outbox stats --json",
      description: "PostgreSQL, for a monitor"
    }
  ])
)
