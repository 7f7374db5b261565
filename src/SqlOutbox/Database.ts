/**
 * The database as the outbox needs it: statements that end, one way or the other, and a fault with a name.
 *
 * A lock is waited for without stopping the process; a file that broke is replaced, and its tables are made again.
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
import { durableDefaults } from "../Settings.ts"
import { migrate } from "./Migrations.ts"
import * as Tables from "./Tables.ts"

/** What is different about where the database is. */
export interface Place {
  readonly client: SqlClient.SqlClient
  /** Who we are, for others to know whether we are gone. */
  readonly address: string
  readonly isGone: (address: string) => boolean
  /** Whether there is another database now, which may be empty, because the old one broke or is gone. */
  readonly replaced: () => boolean
  /** Whether nothing new can be written, since the rest of the disk is needed to remove what is delivered. */
  readonly isFull: () => boolean
  /** Whether it must be open without waiting for anything. */
  readonly startsAtOnce: boolean
  /** Called once, when the tables are there. */
  readonly started: () => void
  /** Gives back what is no longer used. */
  readonly tidy: () => void
}

export type Fault = OutboxFull | OutboxUnavailable

export interface Database {
  readonly tables: Tables.Tables
  readonly place: Place
  /** How many lanes there are. */
  readonly lanes: number
  /** Runs a statement for the outbox itself: whoever's transaction is around has nothing to do with it. */
  readonly ask: <A>(statement: Effect.Effect<A, SqlError>) => Effect.Effect<A, Fault>
  /** The same for a statement that names places of messages: in another database they are those of others, and it fails. */
  readonly askHere: <A>(statement: Effect.Effect<A, SqlError>) => Effect.Effect<A, Fault>
  /** How many databases there were before this one. */
  readonly era: () => number
  /** Calls back when there is another database than before: nothing that was known of the old one holds. */
  readonly onReplaced: (callback: () => void) => void
  /** Runs a statement in the transaction that is around. */
  readonly askInside: <A>(statement: Effect.Effect<A, SqlError>) => Effect.Effect<A, Fault>
}

export const make = Effect.fnUntraced(function* (
  place: Place,
  options: {
    readonly table: string
    readonly lanes: number | undefined
    /** Milliseconds that a statement may take, locks included. */
    readonly timeout: number
  }
): Effect.fn.Return<Database, Fault> {
  const { client } = place
  const tables = yield* Tables.make(client, options.table)
  const callbacks: Array<() => void> = []
  let era = 0
  let isPrepared = false
  /** Whoever makes the lanes anew makes as many: messages on their way in are spread over them. */
  let lanes: number | undefined

  const prepare = Effect.gen(function* () {
    yield* migrate(client, options.table)
    yield* tables.makeLanes(lanes ?? options.lanes ?? durableDefaults.lanes)
    const found = yield* tables.countLanes
    if (lanes !== undefined && lanes !== found) {
      return yield* new OutboxUnavailable({ problem: `has ${found} lanes now, and had ${lanes}: restart this process` })
    }
    return found
  }).pipe(Effect.provideService(SqlClient.SqlClient, client))

  /** What a program traces is its own statements. */
  const aside = <A, E>(statement: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.withTracerEnabled(
      Effect.updateContext(statement, (context: Context.Context<never>) =>
        Context.omit(client.transactionService)(context)
      ),
      false
    )

  const once = <A, E>(statement: Effect.Effect<A, E>) =>
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
        Cause.hasInterrupts(cause) ? Effect.interrupt : Effect.fail(faultOf(Cause.squash(cause)))
      )
    )

  const patient = <A, E>(statement: Effect.Effect<A, E>) =>
    once(Effect.retry(statement, { while: isLocked, schedule: soon }))

  const first = place.startsAtOnce ? once : patient

  const preparing = yield* Semaphore.make(1)
  const prepared: Effect.Effect<void, Fault> = Effect.suspend(() =>
    isPrepared
      ? Effect.void
      : Effect.map((lanes === undefined ? first : patient)(aside(prepare)), (found) => {
          if (lanes === undefined) place.started()
          lanes = found
          isPrepared = true
        })
  ).pipe(preparing.withPermits(1))

  const wasReplaced = (): boolean => {
    if (!place.replaced()) return false
    era++
    isPrepared = false
    for (const callback of callbacks) callback()
    return true
  }

  const ask = <A, E>(statement: Effect.Effect<A, E>): Effect.Effect<A, Fault> => {
    const asked = Effect.suspend(() => {
      const answer = patient(aside(statement))
      return isPrepared ? answer : Effect.andThen(prepared, answer)
    })
    return Effect.matchEffect(asked, {
      onFailure: (fault) => (wasReplaced() ? asked : Effect.fail(fault)),
      // What was written to a file that was set aside meanwhile is not written.
      onSuccess: (value) => (wasReplaced() ? asked : Effect.succeed(value))
    })
  }

  const askHere = <A>(statement: Effect.Effect<A, SqlError>): Effect.Effect<A, Fault> =>
    Effect.suspend(() => {
      const here = era
      const gone = Effect.fail(new OutboxUnavailable({ problem: "was replaced" }))
      return ask(
        Effect.suspend((): Effect.Effect<A, SqlError | OutboxUnavailable> => (era === here ? statement : gone))
      )
    })

  return {
    tables,
    place,
    lanes: yield* ask(tables.countLanes),
    ask,
    askHere,
    askInside: once,
    era: () => era,
    onReplaced: (callback) => void callbacks.push(callback)
  }
})

const soon = Schedule.jittered(Schedule.spaced("8 millis"))

/** What goes well the next time: somebody else was in the way. */
const passing: ReadonlySet<string> = new Set(["LockTimeoutError", "DeadlockError", "SerializationError"])
const isLocked = (error: unknown): boolean => isSqlError(error) && passing.has(error.reason._tag)

const codeOf = (cause: unknown): string | number | undefined => {
  const code = typeof cause === "object" && cause !== null && "code" in cause ? cause.code : undefined
  return typeof code === "string" || typeof code === "number" ? code : undefined
}

/** What an error of the database is to a caller. Its own text is left out: it could quote a row. */
const faultOf = (error: unknown): Fault => {
  if (error instanceof OutboxUnavailable || error instanceof OutboxFull) return error
  const cause = isSqlError(error) ? error.reason.cause : (error as Migrator.MigrationError).cause
  if (cause instanceof OutboxUnavailable || cause instanceof OutboxFull) return cause
  if (isSqlError(cause)) return faultOf(cause)
  const code = codeOf(cause)
  // SQLITE_FULL, and PostgreSQL's disk_full.
  if (code === "53100" || (typeof code === "number" && (code & 0xff) === 13)) return new OutboxFull({ bound: "disk" })
  const name = typeof code === "number" ? `SQLITE ${code}` : code
  const reason = isSqlError(error) ? error.reason._tag : "unknown"
  return new OutboxUnavailable({ problem: `failed (${reason})`, ...(name === undefined ? {} : { code: name }) })
}
