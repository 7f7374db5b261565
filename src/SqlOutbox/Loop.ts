/**
 * The fibers of an outbox. Each runs for as long as its scope; one that ends by a defect is reported, so that nothing waits
 * for a fiber that is gone.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import { OutboxUnavailable } from "../AnalyticsError.ts"

/** Reports the end of a loop, as the error that everything gets which would wait for it. */
export type OnDefect = (error: OutboxUnavailable, cause: Cause.Cause<never>) => Effect.Effect<void>

/** Repeats `step` until the scope closes. A defect of it ends the loop, and is reported with the name of the loop. */
export const fork = (name: string, step: Effect.Effect<unknown>, onDefect: OnDefect) =>
  Effect.forever(step).pipe(
    Effect.onExit(
      (exit: Exit.Exit<never>): Effect.Effect<void> =>
        Exit.isFailure(exit) && !Cause.hasInterruptsOnly(exit.cause)
          ? onDefect(new OutboxUnavailable({ problem: `is stopped: its ${name} ended by a defect` }), exit.cause)
          : Effect.void
    ),
    Effect.exit,
    Effect.forkScoped
  ) as Effect.Effect<void, never, Scope.Scope>
