/** `effect-analytics outbox purge`: dead letters, everything about a user, or what was carried off are deleted. */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Prompt from "effect/cli/Prompt"
import * as TerminalCapabilities from "effect/cli/TerminalCapabilities"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { failed, usage } from "../internal/Exit.ts"
import { optional, toggle } from "../internal/Flags.ts"
import * as OutboxPlace from "../internal/OutboxPlace.ts"
import * as Output from "../internal/Output.ts"

const config = {
  place: OutboxPlace.flags,
  dead: toggle("dead", "Delete dead letters"),
  olderThan: optional(Flag.String("older-than"), 'Of the dead letters only those that died longer ago, as in "7 days"'),
  user: optional(Flag.String("user"), "Delete every message that names this user, waiting or dead"),
  through: optional(Flag.Int("through"), "Delete what waits up to this seq: it was exported, and imported elsewhere"),
  yes: toggle("yes", "Do not ask")
}

export const purge = Command.make("purge", config, ({ dead, olderThan, place, through, user, yes }) =>
  Effect.gen(function* () {
    if ([dead, through !== undefined, user !== undefined].filter(Boolean).length !== 1) {
      return yield* usage("nothing to delete was given", "One of --dead, --user ID and --through SEQ")
    }
    const age = olderThan === undefined ? undefined : Option.getOrUndefined(Duration.fromInput(olderThan as "7 days"))
    if (olderThan !== undefined && age === undefined) {
      return yield* usage(`--older-than ${olderThan} is no length of time`, 'For example: --older-than "7 days"')
    }
    const outbox = yield* OutboxPlace.open(place)
    const what = dead
      ? "dead letters"
      : user === undefined
        ? "what waits up to this place"
        : "every message of this user"
    if (!yes) {
      const { canPrompt } = yield* TerminalCapabilities.TerminalCapabilities
      if (!canPrompt) return yield* usage(`this would delete ${what} in ${outbox.name}`, "To do so: --yes")
      const sure = yield* Prompt.run(
        Prompt.Confirm({ message: `Delete ${what} in ${outbox.name}? This can't be undone.`, initial: false })
      )
      if (!sure) return yield* failed("nothing was deleted")
    }
    if (user !== undefined) {
      const gone = yield* Effect.mapError(outbox.purgeUser(user), OutboxPlace.problemOf)
      return yield* Output.result(
        { deleted: gone },
        () => `deleted ${Output.count(gone.pending, "waiting message")} and ${Output.count(gone.dead, "dead letter")}`
      )
    }
    if (through !== undefined) {
      const gone = yield* Effect.mapError(outbox.removeExported({ through }), OutboxPlace.problemOf)
      return yield* Output.result(
        { deleted: { pending: gone } },
        () => `deleted ${Output.count(gone, "waiting message")}`
      )
    }
    const gone = yield* Effect.mapError(outbox.purgeDead({ olderThan: age }), OutboxPlace.problemOf)
    yield* Output.result({ deleted: { dead: gone } }, () => `deleted ${Output.count(gone, "dead letter")}`)
  }).pipe(Effect.scoped)
).pipe(
  Command.withDescription("Delete dead letters, everything about a user, or what was carried to another outbox"),
  Command.withExamples([
    {
      command: 'effect-analytics outbox purge --outbox ./outbox --dead --older-than "7 days" --yes',
      description: "Old dead letters"
    },
    {
      command: "effect-analytics outbox purge --outbox ./outbox --user u1",
      description: "A request of erasure"
    }
  ])
)
