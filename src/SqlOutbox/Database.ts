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
import type * as Migrator from "effect/sql/Migrator"
import * as SqlClient from "effect/sql/SqlClient"
import { isSqlError, type SqlError } from "effect/sql/SqlError"
import { OutboxFull, OutboxUnavailable } from "../AnalyticsError.ts"
import { durableDefaults } from "../Settings.ts"
import * as Tables from "./Tables.ts"

/** What is different about where the database is. */
export interface Place {
  readonly client: SqlClient.SqlClient
  /** Who we are, for others to know whether we are gone. */
  readonly address: string
  readonly isGone: (address: string) => boolean
  /** Whether there is another database now, which may be empty, because the old one broke. */
  readonly replaced: () => boolean
  /** Called when the tables are there. */
  readonly started: () => void
  /** Gives back what is no longer used. */
  readonly tidy: () => void
}

export type Fault = OutboxFull | OutboxUnavailable

export interface Database {
  readonly tables: Tables.Tables
  readonly place: Place
  /** Runs a statement for the outbox itself: whoever's transaction is around has nothing to do with it. */
  readonly ask: <A>(statement: Effect.Effect<A, SqlError>) => Effect.Effect<A, Fault>
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

  const prepare = Effect.gen(function* () {
    yield* Tables.migrate(client, options.table)
    yield* tables.makeLanes(options.lanes ?? durableDefaults.lanes)
    yield* Effect.sync(place.started)
  }).pipe(Effect.provideService(SqlClient.SqlClient, client))

  /** What a program traces is its own statements. */
  const aside = <A, E>(statement: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.withTracerEnabled(
      Effect.updateContext(statement, (context: Context.Context<never>) =>
        Context.omit(client.transactionService)(context)
      ),
      false
    )

  const patient = <A, E>(statement: Effect.Effect<A, E>) =>
    statement.pipe(
      Effect.retry({ while: isLocked, schedule: soon }),
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

  const prepared = patient(aside(prepare))

  const ask: Database["ask"] = (statement) => {
    const once = patient(aside(statement))
    return Effect.catch(once, (fault) => {
      if (!place.replaced()) return Effect.fail(fault)
      for (const callback of callbacks) callback()
      return Effect.andThen(prepared, once)
    })
  }

  yield* prepared
  return { tables, place, ask, askInside: patient, onReplaced: (callback) => void callbacks.push(callback) }
})

const soon = Schedule.jittered(Schedule.spaced("8 millis"))

const isLocked = (error: unknown): boolean => isSqlError(error) && error.reason._tag === "LockTimeoutError"

const codeOf = (cause: unknown): string | number | undefined => {
  const code = typeof cause === "object" && cause !== null && "code" in cause ? cause.code : undefined
  return typeof code === "string" || typeof code === "number" ? code : undefined
}

/** What an error of the database is to a caller. Its own text is left out: it could quote a row. */
const faultOf = (error: unknown): Fault => {
  if (error instanceof OutboxUnavailable || error instanceof OutboxFull) return error
  const cause = isSqlError(error) ? error.reason.cause : (error as Migrator.MigrationError).cause
  if (cause instanceof OutboxUnavailable) return cause
  if (isSqlError(cause)) return faultOf(cause)
  const code = codeOf(cause)
  // SQLITE_FULL, and PostgreSQL's disk_full.
  if (code === "53100" || (typeof code === "number" && (code & 0xff) === 13)) return new OutboxFull({ bound: "disk" })
  const name = typeof code === "number" ? `SQLITE ${code}` : code
  const reason = isSqlError(error) ? error.reason._tag : "unknown"
  return new OutboxUnavailable({ problem: `failed (${reason})`, ...(name === undefined ? {} : { code: name }) })
}
