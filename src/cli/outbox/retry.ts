/** `effect-analytics outbox retry`: dead letters wait again. */
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as OutboxPlace from "../internal/OutboxPlace.ts"
import * as Output from "../internal/Output.ts"

export const retry = Command.make("retry", OutboxPlace.flags, (flags) =>
  Effect.gen(function* () {
    const outbox = yield* OutboxPlace.open(flags)
    const retried = yield* Effect.mapError(outbox.retryDead, OutboxPlace.problemOf)
    yield* Output.result({ retried }, () => `${Output.count(retried, "dead letter")} will be tried again`)
  }).pipe(Effect.scoped)
).pipe(
  Command.withDescription("Let all dead letters wait again, after everything that waits now"),
  Command.withExamples([
    { command: "effect-analytics outbox retry --outbox ./outbox", description: "After the cause is mended" }
  ])
)
