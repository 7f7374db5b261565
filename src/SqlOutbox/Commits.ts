/**
 * Calls that come close together are written together: a commit costs the same for a hundred messages as for one.
 *
 * A group is open for as long as the last commit took, and never for more than 5 ms: where a commit is cheap nobody waits
 * for others, and where it is dear they share it. Each call is answered when its message is committed.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import { type OutboxFull, OutboxUnavailable } from "../AnalyticsError.ts"
import * as Time from "../internal/Time.ts"
import type { NewEntry } from "./Tables.ts"

/** Messages in a group, at most. */
const maxGroup = 100
/** Milliseconds that a group stays open, at most. */
const maxWindow = 5

const over = new OutboxUnavailable({ problem: "is closed" })

type CommitError = OutboxFull | OutboxUnavailable

interface Waiting {
  readonly entry: NewEntry
  readonly done: Deferred.Deferred<void, CommitError>
  /** Nobody can take it back any more. */
  taken: boolean
}

export interface Commits {
  /**
   * Resolves when the message is committed. Who gives up before its group is written leaves it; after that the answer is
   * waited for, since the message may be there.
   */
  readonly add: (entry: NewEntry) => Effect.Effect<void, CommitError>
  /** Resolves when everything that was added before is committed, or is not. */
  readonly idle: Effect.Effect<void>
}

/** Starts to write groups, by `write`, one after the other. */
export const make = Effect.fnUntraced(function* (
  write: (entries: ReadonlyArray<NewEntry>) => Effect.Effect<void, CommitError>
): Effect.fn.Return<Commits, never, Scope.Scope> {
  let waiting: Array<Waiting> = []
  let writing: Deferred.Deferred<void> | undefined
  const some = Latch.makeUnsafe()
  const full = Latch.makeUnsafe()
  let window = 0
  let isOver = false

  const add: Commits["add"] = (entry) =>
    Effect.suspend(() => {
      if (isOver) return Effect.fail(over)
      const one: Waiting = { entry, done: Deferred.makeUnsafe(), taken: false }
      waiting.push(one)
      some.openUnsafe()
      if (waiting.length >= maxGroup) full.openUnsafe()
      return Effect.onInterrupt(Effect.interruptible(Deferred.await(one.done)), () => {
        if (one.taken) return Effect.exit(Deferred.await(one.done))
        waiting = waiting.filter((other) => other !== one)
        // Who waits for the last to be written need not wait for this one.
        Deferred.doneUnsafe(one.done, Exit.void)
        return Effect.void
      })
    })

  const answer = (group: ReadonlyArray<Waiting>, exit: Exit.Exit<void, CommitError>) => {
    for (const one of group) Deferred.doneUnsafe(one.done, exit)
  }

  const commit = Effect.gen(function* () {
    // Who calls in the same turn is in it, whatever the window.
    yield* Effect.yieldNow
    if (window >= 1 && waiting.length < maxGroup) yield* Effect.raceFirst(Effect.sleep(window), full.await)
    const group = waiting.splice(0, maxGroup)
    if (waiting.length === 0) some.closeUnsafe()
    if (waiting.length < maxGroup) full.closeUnsafe()
    if (group.length === 0) return
    for (const one of group) one.taken = true
    writing = Deferred.makeUnsafe()
    const start = yield* Time.monotonicMillis
    const exit = yield* Effect.exit(write(group.map(({ entry }) => entry)))
    window = Math.min(maxWindow, (yield* Time.monotonicMillis) - start)
    let answered = group
    if (Exit.isFailure(exit)) {
      // Those behind would only wait for the same; who comes when he hears of it is not one of them.
      answered = [...group, ...waiting.splice(0)]
      some.closeUnsafe()
      full.closeUnsafe()
    }
    answer(answered, exit)
    Deferred.doneUnsafe(writing, Exit.void)
    writing = undefined
  })

  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      isOver = true
      answer(waiting.splice(0), Exit.fail(over))
    })
  )
  // What is being written is written to its end.
  yield* Effect.forkScoped(
    Effect.forever(Effect.uninterruptibleMask((restore) => Effect.andThen(restore(some.await), commit)))
  )

  const idle = Effect.suspend(() => {
    const last = waiting.at(-1)
    if (last !== undefined) return Effect.asVoid(Effect.exit(Deferred.await(last.done)))
    return writing === undefined ? Effect.void : Deferred.await(writing)
  })

  return { add, idle }
})
