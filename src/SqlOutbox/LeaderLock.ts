/** The locks of leaders: an advisory lock of PostgreSQL, the lock of a file, and none. */
import * as Fs from "node:fs"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { SqliteFile } from "./SqliteFile.ts"

/** A lock for each epoch, held by the leader of that epoch for as long as its process and connection live. */
export interface LeaderLock {
  /** Whether the lock is held, as far as can be known: where that can't be known, it is. */
  readonly isHeld: (epoch: number) => Effect.Effect<boolean, SqlError>
  /** Holds the lock until the scope closes; answers whether it was free. */
  readonly hold: (epoch: number) => Effect.Effect<boolean, SqlError, Scope.Scope>
  /** Removes what is left of the lock of an epoch that is over. */
  readonly remove: (epoch: number) => Effect.Effect<void>
  /** Runs a statement where it fails once the lock is lost. */
  readonly guarded: <A>(statement: Effect.Effect<A, SqlError>) => Effect.Effect<A, SqlError>
}

/** For a database whose connections can't hold a lock: only the heartbeat decides. */
export const none: LeaderLock = {
  isHeld: () => Effect.succeed(true),
  hold: () => Effect.succeed(true),
  remove: () => Effect.void,
  guarded: (statement) => statement
}

/** PostgreSQL's lock of a session, on a connection of its own. Heartbeats go over that connection. */
export const advisory = (sql: SqlClient, table: string): LeaderLock => {
  const outbox = hash(table)
  let held: Context.Context<never> = Context.empty()
  return {
    isHeld: (epoch) =>
      Effect.map(
        sql`SELECT 1 AS one FROM pg_locks WHERE locktype = 'advisory' AND classid = ${outbox} AND objid = ${epoch}
          AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
        (rows) => rows.length > 0
      ),
    hold: Effect.fnUntraced(function* (epoch) {
      const connection = yield* sql.reserve
      const on = Context.make(sql.transactionService, [connection, 0] as const) as Context.Context<never>
      const onConnection = Effect.provideContext(on)
      const [row] = yield* onConnection(
        sql<{ held: boolean }>`SELECT pg_try_advisory_lock(${outbox}::int, ${epoch}::int) AS held`
      )
      if (row?.held !== true) return false
      held = on
      // The connection goes back to its pool: it must not keep the lock.
      yield* Effect.addFinalizer(() =>
        Effect.ignoreCause(
          Effect.timeoutOption(onConnection(sql`SELECT pg_advisory_unlock(${outbox}::int, ${epoch}::int)`), 1_000)
        )
      )
      return true
    }),
    remove: () => Effect.void,
    guarded: (statement) => Effect.suspend(() => Effect.provideContext(statement, held))
  }
}

/** The lock of a file beside the outbox, one for each epoch. It is SQLite's, which ends with the process. */
export const file = (outbox: SqliteFile): LeaderLock => {
  const fileOf = (epoch: number) => `${outbox.settings.file}-leader-${epoch}`
  const remove = (epoch: number) =>
    Effect.sync(() => {
      try {
        Fs.rmSync(fileOf(epoch), { force: true })
      } catch {
        // Another process has it open, on a system that keeps such files: it is empty.
      }
    })
  return {
    isHeld: (epoch) =>
      Effect.sync(() => {
        if (!Fs.existsSync(fileOf(epoch))) return false
        const release = outbox.hold(fileOf(epoch))
        release?.()
        return release === undefined
      }),
    hold: (epoch) =>
      Effect.acquireRelease(
        Effect.sync(() => outbox.hold(fileOf(epoch))),
        (release) => (release === undefined ? Effect.void : Effect.andThen(Effect.sync(release), remove(epoch)))
      ).pipe(Effect.map((release) => release !== undefined)),
    remove,
    guarded: (statement) => statement
  }
}

/** A whole number of 31 bits for a name. */
const hash = (name: string): number => {
  let sum = 5_381
  for (const character of `effect-analytics/${name}`) sum = (Math.imul(sum, 33) ^ character.charCodeAt(0)) >>> 0
  return sum & 0x7fffffff
}
