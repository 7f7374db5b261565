/**
 * A `SqlClient` on Node's own SQLite, for one file of the outbox's own.
 *
 * `node:sqlite` is synchronous: whatever waits inside of it stops the whole process. So a locked file is waited for only
 * a few milliseconds in there; a caller that can wait longer tries again. Effect's own driver for it is not there yet for this
 * version of effect; when it is, this file goes.
 */
import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite"
import * as Effect from "effect/Effect"
import * as Reactivity from "effect/reactivity/Reactivity"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import * as SqlClient from "effect/sql/SqlClient"
import type { Connection } from "effect/sql/SqlConnection"
import { classifySqliteError, SqlError } from "effect/sql/SqlError"
import * as Statement from "effect/sql/Statement"
import { OutboxUnavailable } from "../AnalyticsError.ts"
import { codeOf, type ErrorCode } from "./ErrorCode.ts"

/** The database behind the client. It may be replaced by another at any time: `open` is asked for each statement. */
export interface Source {
  readonly open: () => DatabaseSync
  /** Receives the code of every error before the caller does. */
  readonly failed: (code: ErrorCode) => void
}

/** Opens a file. A statement waits for its lock for so many milliseconds, and the process with it. */
export const connect = (file: string, timeout: number): DatabaseSync => {
  // Not imported: where it is missing, the outbox in PostgreSQL works all the same.
  const sqlite = process.getBuiltinModule("node:sqlite")
  if (sqlite === undefined) throw new OutboxUnavailable({ problem: "needs node:sqlite, which is not here" })
  return new sqlite.DatabaseSync(file, { timeout })
}

const maxStatements = 256

/** A transaction that reads first and writes later could be refused the lock in its middle. */
const begin = "BEGIN IMMEDIATE"

export const make = Effect.fnUntraced(function* (
  source: Source
): Effect.fn.Return<SqlClient.SqlClient, never, Reactivity.Reactivity> {
  const statements = new WeakMap<DatabaseSync, Map<string, StatementSync>>()

  const prepare = (sql: string): StatementSync => {
    const database = source.open()
    const known = statements.get(database) ?? new Map<string, StatementSync>()
    statements.set(database, known)
    const one = known.get(sql) ?? database.prepare(sql)
    // The least recently used goes first.
    known.delete(sql)
    known.set(sql, one)
    if (known.size > maxStatements) known.delete(known.keys().next().value as string)
    return one
  }

  /** Whether a transaction was begun and not ended by us. */
  let inside = false

  /** SQLite ends a transaction by itself when the disk is full: what comes after must not be on its own. */
  const follow = <A>(sql: string, body: () => A): A => {
    if (inside && !source.open().isTransaction && sql !== "ROLLBACK") throw new Error("the transaction has ended")
    const answer = body()
    // One that could not begin, since the file was locked, was never there.
    if (sql === begin) inside = true
    if (sql === "COMMIT" || sql === "ROLLBACK") inside = false
    return answer
  }

  const attempt = <A>(operation: string, body: () => A): Effect.Effect<A, SqlError> =>
    Effect.try({
      try: body,
      catch: (cause) => {
        const code = codeOf(cause)
        source.failed(code)
        const reason = classifySqliteError(typeof code === "number" ? { code, cause } : cause, {
          message: cause instanceof Error ? cause.message : "unknown",
          operation
        })
        return new SqlError({ reason })
      }
    })

  const run = (sql: string, params: ReadonlyArray<unknown>) =>
    attempt("execute", () => follow(sql, () => prepare(sql).all(...(params as ReadonlyArray<SQLInputValue>))))

  const runRaw = (sql: string, params: ReadonlyArray<unknown>) =>
    attempt("execute", () => follow(sql, () => prepare(sql).run(...(params as ReadonlyArray<SQLInputValue>))))

  const runValues = (sql: string, params: ReadonlyArray<unknown>) =>
    Effect.map(run(sql, params), (rows) => rows.map((row) => Object.values(row)))

  const connection: Connection = {
    execute: (sql, params, transformRows) =>
      transformRows === undefined ? run(sql, params) : Effect.map(run(sql, params), transformRows),
    executeRaw: runRaw,
    executeStream: (sql, params) => Stream.unwrap(Effect.map(run(sql, params), Stream.fromIterable)),
    executeValues: runValues,
    executeValuesUnprepared: runValues,
    executeUnprepared: (sql, params, transformRows) => connection.execute(sql, params, transformRows)
  }

  const acquirers = SqlClient.makeSqliteAcquirers({
    connection: Effect.succeed(connection),
    semaphore: yield* Semaphore.make(1),
    isTransaction: () => {
      const is = source.open().isTransaction
      // Asked when one fails: then nothing more of it is to come.
      if (!is) inside = false
      return is
    }
  })
  return yield* SqlClient.make({
    ...acquirers,
    compiler: Statement.makeCompilerSqlite(),
    driver: "node:sqlite",
    spanAttributes: [["db.system.name", "sqlite"]],
    beginTransaction: begin,
    prepareTransactionControls: true,
    releaseSavepoint: (name) => `RELEASE SAVEPOINT ${name}`
  })
}, Effect.provide(Reactivity.layer))
