/**
 * The schemas of a durable outbox, step by step: a database of every released schema can be brought to the newest one. A
 * released step does not change.
 */
import * as Effect from "effect/Effect"
import * as Migrator from "effect/sql/Migrator"
import type { SqlClient } from "effect/sql/SqlClient"
import { OutboxUnavailable } from "../AnalyticsError.ts"

const migrations = (sql: SqlClient, name: string) => {
  const words = sql.onDialectOrElse({
    pg: () => ({ seq: "BIGSERIAL PRIMARY KEY", time: "DOUBLE PRECISION" }),
    orElse: () => ({ seq: "INTEGER PRIMARY KEY AUTOINCREMENT", time: "INTEGER" })
  })
  const all = (...statements: ReadonlyArray<string>) =>
    Effect.forEach(statements, (text) => sql.unsafe(text), { discard: true })
  return {
    "0001_create": all(
      `CREATE TABLE ${name} (
        seq ${words.seq},
        lane INTEGER NOT NULL,
        type TEXT NOT NULL,
        message_id TEXT NOT NULL UNIQUE,
        bytes INTEGER NOT NULL,
        payload TEXT NOT NULL,
        created_at ${words.time} NOT NULL
      )`,
      `CREATE INDEX ${name}_by_lane ON ${name} (lane, seq, bytes)`,
      `CREATE TABLE ${name}_dead (
        message_id TEXT PRIMARY KEY,
        lane INTEGER NOT NULL,
        type TEXT NOT NULL,
        bytes INTEGER NOT NULL,
        payload TEXT NOT NULL,
        created_at ${words.time} NOT NULL,
        died_at ${words.time} NOT NULL,
        reason TEXT NOT NULL,
        status INTEGER,
        attempts INTEGER NOT NULL
      )`,
      `CREATE INDEX ${name}_dead_by_time ON ${name}_dead (died_at)`,
      `CREATE TABLE ${name}_lanes (lane INTEGER PRIMARY KEY, lease_by TEXT, lease_until ${words.time} NOT NULL)`,
      `CREATE TABLE ${name}_relays (relay TEXT PRIMARY KEY, seen_until ${words.time} NOT NULL)`
    ),
    "0002_state": all(
      `CREATE TABLE ${name}_state (name TEXT PRIMARY KEY, value TEXT NOT NULL)`,
      // The place of a dead letter in the order of its user.
      `ALTER TABLE ${name}_dead ADD COLUMN seq BIGINT NOT NULL DEFAULT 0`
    ),
    "0003_leader": all(
      // One relay delivers. The partition of a user only keeps requests apart that are in flight at the same time.
      `INSERT INTO ${name}_state (name, value)
        SELECT 'partitions', CAST(CASE count(*) WHEN 0 THEN 64 ELSE count(*) END AS TEXT) FROM ${name}_lanes`,
      `DROP TABLE ${name}_lanes`,
      `DROP TABLE ${name}_relays`,
      `DROP INDEX ${name}_by_lane`,
      `ALTER TABLE ${name} RENAME COLUMN lane TO user_partition`,
      `ALTER TABLE ${name}_dead RENAME COLUMN lane TO user_partition`,
      // The messages are counted by this index, without a look at their payloads.
      `CREATE INDEX ${name}_by_bytes ON ${name} (bytes)`,
      `CREATE TABLE ${name}_leader (id INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, beat INTEGER NOT NULL, holder TEXT)`,
      `INSERT INTO ${name}_leader (id, epoch, beat) VALUES (1, 0, 0)`
    )
  }
}

/** Brings the database to the newest schema. A database that is newer is not changed. */
export const migrate = Effect.fnUntraced(function* (sql: SqlClient, name: string) {
  const known = migrations(sql, name)
  const newest = Object.keys(known).length
  const table = `${name}_migrations`
  const exists = yield* sql.onDialectOrElse({
    pg: () => sql`SELECT 1 AS one WHERE to_regclass(${table}) IS NOT NULL`,
    orElse: () => sql`SELECT 1 AS one FROM sqlite_master WHERE type = 'table' AND name = ${table}`
  })
  if (exists.length > 0) {
    const [found] = yield* sql<{ version: number | null }>`SELECT max(migration_id) AS version FROM ${sql(table)}`
    const version = found?.version ?? 0
    if (version === newest) return
    if (version > newest) {
      return yield* new OutboxUnavailable({
        problem: `has a schema of version ${version}, and this release knows ${newest}: it is left as it is`
      })
    }
  }
  yield* Migrator.make({})({ table, loader: Migrator.fromRecord(known) })
})
