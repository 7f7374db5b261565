/**
 * Group commit: calls that come close together share a transaction, which costs the same for a hundred messages as for one.
 *
 * A group is open for as long as the last commit took, 5 ms at most: a call waits for others only where a commit is slow.
 * Each call is answered when its message is committed.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import { type OutboxFull, OutboxUnavailable } from "../AnalyticsError.ts"
import * as Time from "../internal/Time.ts"
import * as Loop from "./Loop.ts"
import type { NewRow } from "./Tables.ts"

/** Messages in a group, at most. */
const maxGroup = 100
/** Milliseconds that a group stays open, at most. */
const maxWindow = 5

const closed = new OutboxUnavailable({ problem: "is closed" })

type CommitError = OutboxFull | OutboxUnavailable

interface Waiting {
  readonly row: NewRow
  readonly done: Deferred.Deferred<void, CommitError>
  /** It is being written, and can't be taken back. */
  taken: boolean
}

export interface GroupCommit {
  /**
   * Resolves when the message is committed. An interrupted call leaves its group if that is not being written yet; else it
   * waits for the answer, since the message may be there.
   */
  readonly add: (row: NewRow) => Effect.Effect<void, CommitError>
  /** Resolves when everything that was added before is committed, or is not. */
  readonly idle: Effect.Effect<void>
}

/**
 * Starts to write groups, by `write`, one after the other.
 */
export const make = Effect.fnUntraced(function* (
  write: (rows: ReadonlyArray<NewRow>) => Effect.Effect<void, CommitError>,
  onDefect: Loop.OnDefect
): Effect.fn.Return<GroupCommit, never, Scope.Scope> {
  let waiting: Array<Waiting> = []
  /** The last group that was written, or is being written. */
  let group: ReadonlyArray<Waiting> = []
  const some = Latch.makeUnsafe()
  const full = Latch.makeUnsafe()
  let window = 0
  let over: OutboxUnavailable | undefined

  const add: GroupCommit["add"] = (row) =>
    Effect.suspend(() => {
      if (over !== undefined) return Effect.fail(over)
      const one: Waiting = { row, done: Deferred.makeUnsafe(), taken: false }
      waiting.push(one)
      some.openUnsafe()
      if (waiting.length >= maxGroup) full.openUnsafe()
      return Effect.onInterrupt(Effect.interruptible(Deferred.await(one.done)), () => {
        if (one.taken) return Effect.exit(Deferred.await(one.done))
        waiting = waiting.filter((other) => other !== one)
        // `idle` may wait for it.
        Deferred.doneUnsafe(one.done, Exit.void)
        return Effect.void
      })
    })

  const answer = (group: ReadonlyArray<Waiting>, exit: Exit.Exit<void, CommitError>) => {
    for (const one of group) Deferred.doneUnsafe(one.done, exit)
  }

  const commit = Effect.gen(function* () {
    // Calls of the same turn are in this group, whatever the window.
    yield* Effect.yieldNow
    if (window >= 1 && waiting.length < maxGroup) yield* Effect.raceFirst(Effect.sleep(window), full.await)
    group = waiting.splice(0, maxGroup)
    if (waiting.length === 0) some.closeUnsafe()
    if (waiting.length < maxGroup) full.closeUnsafe()
    if (group.length === 0) return
    for (const one of group) one.taken = true
    const start = yield* Time.monotonicMillis
    const exit = yield* Effect.exit(write(group.map(({ row }) => row)))
    window = Math.min(maxWindow, (yield* Time.monotonicMillis) - start)
    if (Exit.isSuccess(exit)) answer(group, exit)
    else {
      // Calls behind this group would wait for the same failure. An answered call may add the next one at once.
      const failed = [...group, ...waiting.splice(0)]
      some.closeUnsafe()
      full.closeUnsafe()
      answer(failed, exit)
    }
  })

  const end = (error: OutboxUnavailable) =>
    Effect.sync(() => {
      over ??= error
      answer([...group, ...waiting.splice(0)], Exit.fail(over))
    })
  yield* Effect.addFinalizer(() => end(closed))
  // A group that is being written is written to its end.
  yield* Loop.fork(
    "group commit",
    Effect.uninterruptibleMask((restore) => Effect.andThen(restore(some.await), commit)),
    (error, cause) => Effect.andThen(end(error), onDefect(error, cause))
  )

  const idle = Effect.suspend(() =>
    Effect.forEach([...group, ...waiting], ({ done }) => Effect.exit(Deferred.await(done)), { discard: true })
  )

  return { add, idle }
})
