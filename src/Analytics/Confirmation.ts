/**
 * A call that waits for the end of its message. Other calls pay nothing for it.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { AnalyticsError, type DeliveryError } from "../AnalyticsError.ts"
import type * as Call from "../Call.ts"
import type * as Message from "../Message.ts"
import type * as Outbox from "../Outbox.ts"
import type { Submitter } from "./Submitter.ts"

/**
 * Makes a call and waits for the end of its message: succeeds when it is delivered, fails when it is not accepted, or dropped.
 * A message that `transform` or a plan drops on purpose has no end to wait for.
 */
export const confirm = (
  { checks, onEnd, stateOf, submit }: Submitter,
  type: Call.Type,
  call: unknown
): Effect.Effect<void, AnalyticsError> =>
  Effect.suspend(() => {
    const end = Deferred.makeUnsafe<void, AnalyticsError>()
    let giveUp: (() => void) | undefined
    let messageId = ""
    const onMessage = (message: Message.Message) => {
      messageId = message.messageId
      giveUp = onEnd(message, (error) => Deferred.doneUnsafe(end, error === undefined ? Exit.void : lost(error)))
    }
    return submit(type, call, { checks, onMessage }).pipe(
      Effect.flatMap(() => {
        if (giveUp === undefined) return Effect.void
        const settledHere = Deferred.await(end)
        return stateOf === undefined ? settledHere : Effect.raceFirst(settledHere, settledElsewhere(stateOf(messageId)))
      }),
      Effect.ensuring(Effect.sync(() => giveUp?.()))
    )
  })

const lost = (reason: DeliveryError): Exit.Exit<never, AnalyticsError> => Exit.fail(new AnalyticsError({ reason }))

/** How often a durable outbox is asked what another process has made of a message. */
const stateInterval = "1 second"

/** Waits for the end of a message that another process settles. The second interval lets an outcome of this process come first. */
const settledElsewhere = Effect.fnUntraced(function* (state: ReturnType<Outbox.Durable["stateOf"]>) {
  while (true) {
    yield* Effect.sleep(stateInterval)
    const found = yield* Effect.orElseSucceed(state, () => "pending" as const)
    if (found === "pending") continue
    yield* Effect.sleep(stateInterval)
    return yield* found === "gone" ? Exit.void : lost(found)
  }
})
