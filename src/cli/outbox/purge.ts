/** `effect-analytics outbox purge`: dead letters, or everything about a user, are deleted. */
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
  yes: toggle("yes", "Do not ask")
}

export const purge = Command.make("purge", config, ({ dead, olderThan, place, user, yes }) =>
  Effect.gen(function* () {
    if (dead === (user !== undefined)) {
      return yield* usage("nothing to delete was given", "Either --dead, or --user ID")
    }
    const age = olderThan === undefined ? undefined : Option.getOrUndefined(Duration.fromInput(olderThan as "7 days"))
    if (olderThan !== undefined && age === undefined) {
      return yield* usage(`--older-than ${olderThan} is no length of time`, 'For example: --older-than "7 days"')
    }
    const outbox = yield* OutboxPlace.open(place)
    const what = user === undefined ? "dead letters" : "every message of this user"
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
    const gone = yield* Effect.mapError(outbox.purgeDead({ olderThan: age }), OutboxPlace.problemOf)
    yield* Output.result({ deleted: { dead: gone } }, () => `deleted ${Output.count(gone, "dead letter")}`)
  }).pipe(Effect.scoped)
).pipe(
  Command.withDescription("Delete dead letters, or everything about a user"),
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
