/**
 * The operations on a durable outbox: its state, its dead letters, and the erasure of a user's messages.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import type { Wire } from "../Message.ts"
import type { Database, SqlOutboxError } from "./Database.ts"
import * as Pages from "./Pages.ts"
import type { SqlOutboxService } from "./SqlOutboxService.ts"
import { makeTransfer, type Transfer } from "./Transfer.ts"

/** Counts of an outbox. @category models @since 0.1.0 */
export interface Stats {
  /** Pending messages, of all processes. */
  readonly pending: number
  /** UTF-8 bytes of them. */
  readonly pendingBytes: number
  /** Milliseconds since the oldest of them was written; 0 if there is none. */
  readonly oldestAge: number
  /** Messages that the API rejected. */
  readonly dead: number
  /** The relay that delivers: this process, another one, or none. */
  readonly leader: "here" | "elsewhere" | "none"
}

/** A message that the API rejected. @category models @since 0.1.0 */
export interface DeadLetter {
  readonly message: Wire
  readonly reason: string
  /** The last HTTP status, if there was an answer. */
  readonly status: number | undefined
  /** HTTP attempts made. */
  readonly attempts: number
  /** Milliseconds since 1970. */
  readonly diedAt: number
}

/** Whether an outbox is at work, and what is wrong if it is not. @category models @since 0.1.0 */
export type Health = { readonly healthy: true } | { readonly healthy: false; readonly problem: string }

/** What operators do with an outbox. @category models @since 0.1.0 */
export interface Operations extends Transfer {
  readonly stats: Effect.Effect<Stats, SqlOutboxError>
  /**
   * For the health check of a load balancer: unhealthy is an outbox that is stopped, whose database does not answer, whose
   * messages no relay delivers, or whose oldest message is older than `maxOldestAge`. Never fails.
   */
  readonly health: (options?: { readonly maxOldestAge?: Duration.Input | undefined }) => Effect.Effect<Health>
  /** Lets all dead letters wait again, after everything that waits now; answers how many do. */
  readonly retryDead: Effect.Effect<number, SqlOutboxError>
  /** Deletes the dead letters, or those that died longer ago than `olderThan`; answers how many. */
  readonly purgeDead: (options?: {
    readonly olderThan?: Duration.Input | undefined
  }) => Effect.Effect<number, SqlOutboxError>
  /**
   * Deletes every message that names this user, as `userId`, `anonymousId` or `previousId`, waiting or dead: for requests
   * of erasure. What is in a request at this moment can't be called back. Those that waited are dropped, with the reason
   * `erased`. A file of SQLite then holds nothing of them, if it is not larger than 16 MiB; in use by others for longer
   * than `commitTimeout`, it fails with `OutboxUnavailable`, and can be called again.
   */
  readonly purgeUser: (
    userId: string | number
  ) => Effect.Effect<{ readonly pending: number; readonly dead: number }, SqlOutboxError>
  /**
   * The pending messages, oldest first, read a page at a time in constant memory. Messages that are delivered meanwhile may be
   * missing.
   */
  readonly pendingMessages: Stream.Stream<Wire, SqlOutboxError>
  /** The dead letters by their `messageId`, read in the same way. */
  readonly deadLetters: Stream.Stream<DeadLetter, SqlOutboxError>
}

export const makeOperations = (database: Database, service: SqlOutboxService): Operations => {
  const { run, source, tables } = database
  const turn = Semaphore.makeUnsafe(1)
  /** One erasure after the other. */
  const erasing = <A>(erasure: Effect.Effect<A, SqlOutboxError>) =>
    turn.withPermits(1)(Effect.ensuring(erasure, Effect.ignore(run(source.overwrite(false)))))
  const stats = Effect.gen(function* () {
    const { bytes, count, oldestAge } = yield* run(tables.summary)
    return {
      pending: count,
      pendingBytes: bytes,
      oldestAge,
      dead: yield* run(tables.countDead()),
      leader: yield* service.leader
    }
  })
  return {
    ...makeTransfer(database, service),
    stats,

    health: ({ maxOldestAge = "10000 days" } = {}) =>
      Effect.suspend(() => {
        const error = service.stopped()
        return error === undefined ? stats : Effect.fail(error)
      }).pipe(
        Effect.map(({ leader, oldestAge, pending }): Health => {
          if (pending === 0) return { healthy: true }
          if (leader === "none") return { healthy: false, problem: "no relay delivers" }
          return oldestAge > Duration.toMillis(Duration.fromInputUnsafe(maxOldestAge))
            ? {
                healthy: false,
                problem: `the oldest message has waited for ${Duration.format(Duration.millis(oldestAge))}`
              }
            : { healthy: true }
        }),
        Effect.catch((error) => Effect.succeed<Health>({ healthy: false, problem: error.message }))
      ),

    retryDead: Effect.gen(function* () {
      const again = yield* run(tables.retryDead)
      yield* service.refresh
      return again.length
    }),

    purgeDead: ({ olderThan } = {}) =>
      Effect.gen(function* () {
        const age = olderThan === undefined ? -1 : Duration.toMillis(Duration.fromInputUnsafe(olderThan))
        return yield* run(tables.purgeDead((yield* Clock.currentTimeMillis) - age))
      }),

    purgeUser: Effect.fnUntraced(function* (userId: string | number) {
      const id = String(userId)
      yield* run(source.overwrite(true))
      const pending = yield* Pages.sumOf(Pages.pending(database), (page) =>
        service.erase(page.filter(({ message }) => names(message.json, id)))
      )
      const dead = yield* Pages.sumOf(Pages.dead(database), (page) => {
        const theirs = page.filter(({ payload }) => names(payload, id))
        return Effect.as(
          Effect.forEach(theirs, ({ key }) => run(tables.removeDead(key)), { discard: true }),
          theirs.length
        )
      })
      yield* run(source.scrub)
      return { pending, dead }
    }, erasing),

    pendingMessages: Pages.pending(database).pipe(
      Stream.flattenIterable,
      Stream.map(({ message }) => message.data)
    ),

    deadLetters: Pages.dead(database).pipe(
      Stream.flattenIterable,
      Stream.map(({ key, payload, ...fate }) => ({ message: JSON.parse(payload) as Wire, ...fate }))
    )
  }
}

const names = (json: string, id: string): boolean => {
  const message = JSON.parse(json) as Record<string, unknown>
  return [message.userId, message.anonymousId, message.previousId].includes(id)
}

/** The operations of plain programs: a promise for each effect. */
export const promisesOf = (operations: Operations) => ({
  stats: () => Effect.runPromise(operations.stats),
  health: (options?: Parameters<Operations["health"]>[0]) => Effect.runPromise(operations.health(options)),
  deadLetters: () => Stream.toAsyncIterable(operations.deadLetters),
  retryDead: () => Effect.runPromise(operations.retryDead),
  purgeDead: (options?: Parameters<Operations["purgeDead"]>[0]) => Effect.runPromise(operations.purgeDead(options)),
  purgeUser: (userId: string | number) => Effect.runPromise(operations.purgeUser(userId))
})
