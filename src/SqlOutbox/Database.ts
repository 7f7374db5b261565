/**
 * The database as the outbox needs it: every statement ends within a time, and fails with a named error.
 *
 * A lock is waited for without blocking the process; a file that broke is replaced, and its tables are made again.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Semaphore from "effect/Semaphore"
import type * as Migrator from "effect/sql/Migrator"
import * as SqlClient from "effect/sql/SqlClient"
import { isSqlError, type SqlError } from "effect/sql/SqlError"
import { OutboxFull, OutboxUnavailable } from "../AnalyticsError.ts"
import { log } from "../internal/Log.ts"
import { codeOf, toOutboxError } from "./ErrorCode.ts"
import type { LeaderLock } from "./LeaderLock.ts"
import { migrate } from "./Migrations.ts"
import * as Tables from "./Tables.ts"

/** What differs between an embedded file and the application's database. */
export interface DatabaseSource {
  readonly client: SqlClient.SqlClient
  readonly lock: LeaderLock
  /** Calls back when another process may have written, for as long as the scope lasts; absent where it can't know. */
  readonly listen?: ((callback: () => void) => Effect.Effect<void, SqlError>) | undefined
  /** Makes other processes listen up; absent where they notice by themselves. */
  readonly notify?: Effect.Effect<void, SqlError> | undefined
  /** Whether the database was replaced, because the old one broke or is gone. The new one may be empty. */
  readonly replaced: () => boolean
  /** Whether nothing new can be written, since the rest of the disk is needed to delete what is delivered. */
  readonly isFull: () => boolean
  /** Whether it must be open without waiting for anything. */
  readonly startsAtOnce: boolean
  /** Called once, when the tables are there. */
  readonly started: () => void
  /**
   * Begins, or ends, to overwrite what is deleted. Only for an erasure: it takes as much of the log as is deleted, which a disk
   * that is full does not have.
   */
  readonly overwrite: (isOn: boolean) => Effect.Effect<unknown, SqlError>
  /** After an erasure: removes copies of what was deleted from the disk, as far as that is up to the outbox. */
  readonly scrub: Effect.Effect<void, SqlError>
  /** Gives unused space back. */
  readonly maintain: () => void
}

export type SqlOutboxError = OutboxFull | OutboxUnavailable

export interface Database {
  readonly tables: Tables.Tables
  readonly source: DatabaseSource
  /** How many partitions the users are spread over. */
  readonly partitions: number
  /** Runs a statement of the outbox's own, outside of any transaction of the caller. */
  readonly run: <A>(statement: Effect.Effect<A, SqlError>) => Effect.Effect<A, SqlOutboxError>
  /** The same for a statement that names places of messages: it fails once the database was replaced. */
  readonly runSameGeneration: <A>(statement: Effect.Effect<A, SqlError>) => Effect.Effect<A, SqlOutboxError>
  /** How often the database was replaced. */
  readonly generation: () => number
  /** Calls back when the database was replaced: nothing that was known of the old one holds. */
  readonly onReplaced: (callback: () => void) => void
  /** Logs that the database is away: once, until it is back. */
  readonly watched: <A>(work: Effect.Effect<A, SqlOutboxError>) => Effect.Effect<A, SqlOutboxError>
  /** Whether it is away, as far as is known. */
  readonly isAway: () => boolean
  /** Tries again until the database answers. */
  readonly persist: <A>(work: Effect.Effect<A, SqlOutboxError>) => Effect.Effect<A>
  /** Runs a statement in the transaction of the caller. */
  readonly runInTransaction: <A>(statement: Effect.Effect<A, SqlError>) => Effect.Effect<A, SqlOutboxError>
}

export const make = Effect.fnUntraced(function* (
  source: DatabaseSource,
  options: {
    readonly table: string
    /** Milliseconds that a statement may take, locks included. */
    readonly timeout: number
    /** Milliseconds between two tries. */
    readonly pollInterval: number
  }
): Effect.fn.Return<Database, SqlOutboxError> {
  const { client } = source
  const tables = yield* Tables.make(client, options.table)
  const callbacks: Array<() => void> = []
  let generation = 0
  let isPrepared = false
  let partitions: number | undefined

  const prepare = Effect.gen(function* () {
    yield* migrate(client, options.table)
    return Number(yield* tables.get("partitions"))
  }).pipe(Effect.provideService(SqlClient.SqlClient, client))

  /** Outside of the transaction, and of the trace, of the caller. */
  const detached = <A, E>(statement: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.withTracerEnabled(
      Effect.updateContext(statement, (context: Context.Context<never>) =>
        Context.omit(client.transactionService)(context)
      ),
      false
    )

  const withTimeout = <A, E>(statement: Effect.Effect<A, E>) =>
    statement.pipe(
      Effect.timeoutOrElse({
        duration: options.timeout,
        orElse: () =>
          Effect.fail(
            new OutboxUnavailable({
              problem: `did not answer within ${Duration.format(Duration.millis(options.timeout))}`
            })
          )
      }),
      // A connection that is lost inside of a transaction is a defect, not a failure.
      Effect.catchCause((cause) =>
        Cause.hasInterrupts(cause) ? Effect.interrupt : Effect.fail(errorOf(Cause.squash(cause)))
      )
    )

  const withLockRetry = <A, E>(statement: Effect.Effect<A, E>) =>
    withTimeout(Effect.retry(statement, { while: isLocked, schedule: soon }))

  const first = source.startsAtOnce ? withTimeout : withLockRetry

  const preparing = yield* Semaphore.make(1)
  const prepared: Effect.Effect<void, SqlOutboxError> = Effect.suspend(() =>
    isPrepared
      ? Effect.void
      : Effect.map((partitions === undefined ? first : withLockRetry)(detached(prepare)), (found) => {
          if (partitions === undefined) source.started()
          partitions = found
          isPrepared = true
        })
  ).pipe(preparing.withPermits(1))

  const wasReplaced = (): boolean => {
    if (!source.replaced()) return false
    generation++
    isPrepared = false
    for (const callback of callbacks) callback()
    return true
  }

  const run = <A, E>(statement: Effect.Effect<A, E>): Effect.Effect<A, SqlOutboxError> => {
    const asked = Effect.suspend(() => {
      const answer = withLockRetry(detached(statement))
      return isPrepared ? answer : Effect.andThen(prepared, answer)
    })
    return Effect.matchEffect(asked, {
      onFailure: (error) => (wasReplaced() ? asked : Effect.fail(error)),
      // What was written to a file that was set aside meanwhile is lost.
      onSuccess: (value) => (wasReplaced() ? asked : Effect.succeed(value))
    })
  }

  const runSameGeneration = <A>(statement: Effect.Effect<A, SqlError>): Effect.Effect<A, SqlOutboxError> =>
    Effect.suspend(() => {
      const before = generation
      const gone = Effect.fail(new OutboxUnavailable({ problem: "was replaced" }))
      return run(
        Effect.suspend((): Effect.Effect<A, SqlError | OutboxUnavailable> => (generation === before ? statement : gone))
      )
    })

  let isAway = false
  const watched: Database["watched"] = (work) =>
    Effect.matchEffect(work, {
      onSuccess: (value) => {
        isAway = false
        return Effect.succeed(value)
      },
      onFailure: (error) => {
        const logged = isAway ? Effect.void : log("Error", `${error.message}: deliveries wait`)
        isAway = true
        return Effect.andThen(logged, Effect.fail(error))
      }
    })
  const persist: Database["persist"] = (work) =>
    Effect.catch(watched(work), () => Effect.andThen(Effect.sleep(options.pollInterval), persist(work)))

  yield* run(Effect.void)
  return {
    tables,
    source,
    get partitions() {
      return partitions as number
    },
    run,
    runSameGeneration,
    watched,
    isAway: () => isAway,
    persist,
    runInTransaction: withTimeout,
    generation: () => generation,
    onReplaced: (callback) => void callbacks.push(callback)
  }
})

const soon = Schedule.jittered(Schedule.spaced("8 millis"))

/** Errors that pass: another transaction was in the way. */
const passing: ReadonlySet<string> = new Set(["LockTimeoutError", "DeadlockError", "SerializationError"])
const isLocked = (error: unknown): boolean => isSqlError(error) && passing.has(error.reason._tag)

/** The error of the outbox for one of the database. */
const errorOf = (error: unknown): SqlOutboxError => {
  if (error instanceof OutboxUnavailable || error instanceof OutboxFull) return error
  const cause = isSqlError(error) ? error.reason.cause : (error as Migrator.MigrationError).cause
  if (cause instanceof OutboxUnavailable || cause instanceof OutboxFull) return cause
  if (isSqlError(cause)) return errorOf(cause)
  return toOutboxError(`failed (${isSqlError(error) ? error.reason._tag : "unknown"})`, codeOf(cause))
}
