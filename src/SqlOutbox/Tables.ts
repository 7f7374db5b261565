/**
 * What a durable outbox stores, and every statement about it, for SQLite and for PostgreSQL.
 *
 * All of it begins with one name: messages that wait, messages that were rejected (dead letters), the lanes and who leases
 * them, the relays that are alive, and what is to be known after a restart. Values are bound, never written into a statement.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Migrator from "effect/sql/Migrator"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { OutboxUnavailable } from "../AnalyticsError.ts"
import { Message, type Type } from "../Message.ts"

/** A message, and where it stands. */
export interface Entry {
  readonly seq: number
  readonly lane: number
  readonly message: Message
  /** Time of day in milliseconds, by the clock of the process that wrote it. */
  readonly createdAt: number
}

/** A message that is to be written. */
export type NewEntry = Omit<Entry, "seq">

interface Row {
  readonly seq: number
  readonly lane: number
  readonly type: Type
  readonly message_id: string
  readonly bytes: number
  readonly payload: string
  readonly created_at: number
}

/** Why a message is a dead letter. */
export interface Death {
  readonly reason: string
  readonly status: number | undefined
  readonly attempts: number
}

/** How large a message is. */
export interface Size {
  readonly bytes: number
}

/** PostgreSQL's texts can't hold a NUL; a payload never does, since JSON writes it as an escape. */
const toText = (id: string): string => id.replaceAll("\\", "\\\\").replaceAll("\0", "\\0")
const fromText = (text: string): string =>
  text.includes("\\") ? text.replace(/\\(\\|0)/g, (_, escaped) => (escaped === "0" ? "\0" : escaped)) : text

const toEntry = (row: Row): Entry => ({
  seq: row.seq,
  lane: row.lane,
  message: new Message(row.type, fromText(row.message_id), row.payload, row.bytes),
  createdAt: row.created_at
})

export type Tables = Effect.Success<ReturnType<typeof make>>

/** The statements, over a client of one of the two databases. */
export const make = Effect.fnUntraced(function* (sql: SqlClient, name: string) {
  const isPostgres = yield* sql.onDialectOrElse({
    sqlite: () => Effect.succeed(false),
    pg: () => Effect.succeed(true),
    orElse: () => Effect.fail(new OutboxUnavailable({ problem: "needs SQLite or PostgreSQL" }))
  })
  const table = (suffix: string) => sql(`${name}${suffix}`)
  const [outbox, dead, lanes, relays, state] = ["", "_dead", "_lanes", "_relays", "_state"].map(table)
  const plain = (text: string) => sql.literal(text)
  /** Whole numbers of 64 bits come as text from PostgreSQL. */
  const number = (expression: string) => plain(isPostgres ? `(${expression})::float8` : expression)
  const columns = plain(
    `${isPostgres ? "seq::float8 AS seq" : "seq"}, lane, type, message_id, bytes, payload, created_at`
  )

  const letter = plain("message_id, lane, type, bytes, payload, created_at")
  const fate = plain("seq, died_at, reason, status, attempts")
  const onSecondDeath = plain(`ON CONFLICT (message_id) DO UPDATE
    SET seq = excluded.seq, died_at = excluded.died_at, reason = excluded.reason, status = excluded.status, attempts = excluded.attempts`)

  /** A list of whole numbers as one value. */
  const list = (numbers: Iterable<number>) =>
    isPostgres
      ? sql`(SELECT unnest(${[...numbers]}::bigint[]))`
      : sql`(SELECT value FROM json_each(${`[${[...numbers].join(",")}]`}))`

  /** The time that leases go by: PostgreSQL's own where several machines share one. */
  const withNow = <A, E>(use: (now: ReturnType<typeof plain> | number) => Effect.Effect<A, E>): Effect.Effect<A, E> =>
    isPostgres
      ? use(plain("(extract(epoch from clock_timestamp()) * 1000)"))
      : Effect.flatMap(Clock.currentTimeMillis, use)

  const values = new Map<number, string>()
  /** The places of so many new entries, in the words of the dialect. */
  const placesOf = (entries: number): string => {
    const known = values.get(entries)
    if (known !== undefined) return known
    let place = 0
    const one = () => `(${Array.from({ length: 6 }, () => (isPostgres ? `$${++place}` : "?")).join(", ")})`
    const made = Array.from({ length: entries }, one).join(", ")
    values.set(entries, made)
    return made
  }

  const insert = (entries: ReadonlyArray<NewEntry>): Effect.Effect<ReadonlyArray<Size>, SqlError> =>
    sql.unsafe(
      `INSERT INTO ${name} (lane, type, message_id, bytes, payload, created_at) VALUES ${placesOf(entries.length)}
       ON CONFLICT (message_id) DO NOTHING RETURNING bytes`,
      entries.flatMap(({ createdAt, lane, message }) => [
        lane,
        message.type,
        toText(message.messageId),
        message.bytes,
        message.json,
        createdAt
      ])
    )

  const entries = (rows: Effect.Effect<ReadonlyArray<Row>, SqlError>) =>
    Effect.map(rows, (all) => all.map(toEntry).sort((one, other) => one.seq - other.seq))

  return {
    sql,
    isPostgres,

    // -----------------------------------------------------------------------------------------------------------------
    // Messages
    // -----------------------------------------------------------------------------------------------------------------

    /** Writes messages, in one statement; answers with the sizes of those that were not there yet. */
    insert,

    /**
     * The oldest messages of these lanes, each after the one that was read last, in their order: at most `most`, and of
     * one lane at most `each`.
     */
    read: (after: ReadonlyMap<number, number>, each: number, most: number) =>
      entries(
        isPostgres
          ? sql<Row>`SELECT ${columns} FROM unnest(${[...after.keys()]}::int[], ${[...after.values()]}::bigint[]) AS l (of, after)
              CROSS JOIN LATERAL (SELECT * FROM ${outbox} m WHERE m.lane = l.of AND m.seq > l.after ORDER BY m.seq LIMIT ${each}) o
              ORDER BY o.seq LIMIT ${most}`
          : sql<Row>`SELECT ${columns} FROM ${outbox} o WHERE o.seq IN
              (SELECT n.seq FROM json_each(${JSON.stringify([...after])}) l, ${outbox} n WHERE n.seq IN
                (SELECT m.seq FROM ${outbox} m WHERE m.lane = l.value->>0 AND m.seq > l.value->>1 ORDER BY m.seq LIMIT ${each})
                ORDER BY n.seq LIMIT ${most})`
      ),

    /** Removes messages; answers with the sizes of those that were there. */
    remove: (seqs: Iterable<number>) => sql<Size>`DELETE FROM ${outbox} WHERE seq IN ${list(seqs)} RETURNING bytes`,

    /** Makes dead letters of messages; answers as `remove` does. */
    bury: Effect.fnUntraced(function* (seqs: ReadonlyArray<number>, { attempts, reason, status }: Death) {
      const now = yield* Clock.currentTimeMillis
      const facts = sql`seq, ${now}::float8, ${reason}::text, ${status ?? null}::int, ${attempts}::int`
      if (isPostgres) {
        return yield* sql<Size>`WITH gone AS (DELETE FROM ${outbox} WHERE seq IN ${list(seqs)} RETURNING *)
          INSERT INTO ${dead} (${letter}, ${fate}) SELECT ${letter}, ${facts} FROM gone ${onSecondDeath} RETURNING bytes`
      }
      return yield* sql.withTransaction(
        Effect.andThen(
          sql`INSERT INTO ${dead} (${letter}, ${fate}) SELECT ${letter}, seq, ${now}, ${reason}, ${status ?? null}, ${attempts}
            FROM ${outbox} WHERE seq IN ${list(seqs)} ${onSecondDeath}`,
          sql<Size>`DELETE FROM ${outbox} WHERE seq IN ${list(seqs)} RETURNING bytes`
        )
      )
    }),

    /** Removes the oldest messages but for these. */
    evict: (count: number, but: Iterable<number>) =>
      entries(
        sql<Row>`DELETE FROM ${outbox} WHERE seq IN
          (SELECT m.seq FROM ${outbox} m WHERE m.seq NOT IN ${list(but)} ORDER BY m.seq LIMIT ${count}) RETURNING ${columns}`
      ),

    /** How many messages wait, and how large they are together. */
    tally: Effect.map(
      sql<{
        count: number
        bytes: number
      }>`SELECT ${number("count(*)")} AS count, ${number("coalesce(sum(bytes), 0)")} AS bytes FROM ${outbox}`,
      (rows) => rows[0] as { readonly count: number; readonly bytes: number }
    ),

    /** The newest message there is; 0 if there is none. */
    last: Effect.map(
      sql<{ seq: number }>`SELECT ${number("coalesce(max(seq), 0)")} AS seq FROM ${outbox}`,
      (rows) => rows[0]?.seq ?? 0
    ),

    /** How many messages wait that are not newer than this one. */
    countUntil: (seq: number) =>
      Effect.map(
        sql<{ count: number }>`SELECT ${number("count(*)")} AS count FROM ${outbox} WHERE seq <= ${seq}`,
        (rows) => rows[0]?.count ?? 0
      ),

    /** Whether a message waits that is not newer than this one. */
    hasUntil: (seq: number) =>
      Effect.map(sql`SELECT 1 AS one FROM ${outbox} WHERE seq <= ${seq} LIMIT 1`, (rows) => rows.length > 0),

    /** When the oldest message was written. */
    oldest: Effect.map(
      sql<{ created_at: number }>`SELECT created_at FROM ${outbox} ORDER BY seq LIMIT 1`,
      (rows) => rows[0]?.created_at
    ),

    /** Messages in their order, a page at a time. */
    page: (after: number, limit: number) =>
      entries(sql<Row>`SELECT ${columns} FROM ${outbox} o WHERE o.seq > ${after} ORDER BY o.seq LIMIT ${limit}`),

    // -----------------------------------------------------------------------------------------------------------------
    // Dead letters
    // -----------------------------------------------------------------------------------------------------------------

    countDead: Effect.map(
      sql<{ count: number }>`SELECT ${number("count(*)")} AS count FROM ${dead}`,
      (rows) => rows[0]?.count ?? 0
    ),

    /** Lets dead letters wait again; answers with the sizes of those that do. */
    retryDead: isPostgres
      ? sql<Size>`WITH again AS (DELETE FROM ${dead} RETURNING *)
          INSERT INTO ${outbox} (${letter}) SELECT ${letter} FROM again ORDER BY seq
          ON CONFLICT (message_id) DO NOTHING RETURNING bytes`
      : sql.withTransaction(
          Effect.tap(
            sql<Size>`INSERT INTO ${outbox} (${letter}) SELECT ${letter} FROM ${dead} WHERE true ORDER BY seq
              ON CONFLICT (message_id) DO NOTHING RETURNING bytes`,
            () => sql`DELETE FROM ${dead}`
          )
        ),

    /** Removes dead letters that died before this time of day; answers how many. */
    purgeDead: (before: number) =>
      Effect.map(sql`DELETE FROM ${dead} WHERE died_at < ${before} RETURNING 1 AS one`, (rows) => rows.length),

    /** Leaves only so many of the newest dead letters. */
    boundDead: (max: number) =>
      Effect.asVoid(
        sql`DELETE FROM ${dead} WHERE message_id IN (SELECT message_id FROM ${dead} ORDER BY died_at DESC, message_id LIMIT ${isPostgres ? plain("ALL") : -1} OFFSET ${max})`
      ),

    /** Dead letters, a page at a time, by their ids. */
    pageDead: (after: string, limit: number) =>
      Effect.map(
        sql<Row>`SELECT message_id, payload FROM ${dead} WHERE message_id > ${after} ORDER BY message_id LIMIT ${limit}`,
        (rows) => rows.map((row) => ({ key: row.message_id, payload: row.payload }))
      ),

    removeDead: (key: string) => Effect.asVoid(sql`DELETE FROM ${dead} WHERE message_id = ${key}`),

    // -----------------------------------------------------------------------------------------------------------------
    // Lanes
    // -----------------------------------------------------------------------------------------------------------------

    countLanes: Effect.map(
      sql<{ count: number }>`SELECT ${number("count(*)")} AS count FROM ${lanes}`,
      (rows) => rows[0]?.count ?? 0
    ),

    /** Makes the lanes, if nobody did yet. */
    makeLanes: (count: number) =>
      isPostgres
        ? sql`INSERT INTO ${lanes} (lane, lease_until) SELECT lane, 0 FROM generate_series(0, ${count - 1}::int) AS lane
            WHERE NOT EXISTS (SELECT 1 FROM ${lanes}) ON CONFLICT (lane) DO NOTHING`
        : sql`INSERT INTO ${lanes} (lane, lease_until) SELECT value, 0 FROM json_each(${JSON.stringify(Array.from({ length: count }, (_, lane) => lane))})
            WHERE NOT EXISTS (SELECT 1 FROM ${lanes})`,

    /** Says that this relay is alive; answers who else is, by when their lease was to end. */
    report: (relay: string, lease: number) =>
      withNow((now) =>
        Effect.gen(function* () {
          yield* sql`INSERT INTO ${relays} (relay, seen_until) VALUES (${relay}, ${now} + ${lease})
            ON CONFLICT (relay) DO UPDATE SET seen_until = excluded.seen_until`
          yield* sql`DELETE FROM ${relays} WHERE seen_until < ${now} OR seen_until > ${now} + ${2 * lease}`
          return yield* Effect.map(sql<{ relay: string }>`SELECT relay FROM ${relays}`, (rows) =>
            rows.map((row) => row.relay)
          )
        })
      ),

    /** Prolongs the leases of a relay; answers which it still has. */
    renew: (relay: string, lease: number) =>
      withNow((now) =>
        Effect.map(
          sql<{
            lane: number
          }>`UPDATE ${lanes} SET lease_until = ${now} + ${lease} WHERE lease_by = ${relay} RETURNING lane`,
          (rows) => rows.map((row) => row.lane)
        )
      ),

    /** Leases lanes that nobody has, or whose lease is over; one that ends too far ahead was set by another clock. */
    lease: (relay: string, lease: number, count: number) =>
      withNow((now) =>
        Effect.map(
          sql<{ lane: number }>`UPDATE ${lanes} SET lease_by = ${relay}, lease_until = ${now} + ${lease} WHERE lane IN
            (SELECT lane FROM ${lanes} WHERE lease_by IS NULL OR lease_until <= ${now} OR lease_until > ${now} + ${2 * lease}
              ORDER BY lane LIMIT ${count} ${plain(isPostgres ? "FOR UPDATE SKIP LOCKED" : "")}) RETURNING lane`,
          (rows) => rows.map((row) => row.lane)
        )
      ),

    /** Gives lanes back. */
    release: (relay: string, which: Iterable<number>) =>
      Effect.asVoid(
        sql`UPDATE ${lanes} SET lease_by = NULL, lease_until = 0 WHERE lease_by = ${relay} AND lane IN ${list(which)}`
      ),

    /** Takes everything from a relay that is gone. */
    bereave: (relay: string) =>
      Effect.andThen(
        sql`UPDATE ${lanes} SET lease_by = NULL, lease_until = 0 WHERE lease_by = ${relay}`,
        Effect.asVoid(sql`DELETE FROM ${relays} WHERE relay = ${relay}`)
      ),

    /** How many lanes are leased. */
    countLeased: withNow((now) =>
      Effect.map(
        sql<{
          count: number
        }>`SELECT ${number("count(*)")} AS count FROM ${lanes} WHERE lease_by IS NOT NULL AND lease_until > ${now}`,
        (rows) => rows[0]?.count ?? 0
      )
    ),

    // -----------------------------------------------------------------------------------------------------------------
    // What is to be known after a restart
    // -----------------------------------------------------------------------------------------------------------------

    get: (key: string) =>
      Effect.map(sql<{ value: string }>`SELECT value FROM ${state} WHERE name = ${key}`, (rows) => rows[0]?.value),

    set: (key: string, value: string | undefined) =>
      Effect.asVoid(
        value === undefined
          ? sql`DELETE FROM ${state} WHERE name = ${key}`
          : sql`INSERT INTO ${state} (name, value) VALUES (${key}, ${value}) ON CONFLICT (name) DO UPDATE SET value = excluded.value`
      )
  }
})

// ---------------------------------------------------------------------------------------------------------------------
// Migrations
// ---------------------------------------------------------------------------------------------------------------------

/** Every schema that was ever released can be brought to this one; a migration that is released does not change. */
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
      // With the sizes in it, what waits is counted without reading it.
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
      // Where a dead letter was in the order of its user.
      `ALTER TABLE ${name}_dead ADD COLUMN seq BIGINT NOT NULL DEFAULT 0`
    )
  }
}

/** Brings the database to the newest schema. One that is newer still is not touched. */
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
