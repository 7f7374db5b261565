/**
 * What a durable outbox stores, and every statement about it, for SQLite and for PostgreSQL.
 *
 * All of it begins with one name: messages that wait, messages that were rejected (dead letters), the lanes and who leases
 * them, the relays that are alive, and what is to be known after a restart. Values are bound, never written into a statement.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { Statement } from "effect/sql/Statement"
import { OutboxUnavailable } from "../AnalyticsError.ts"
import type { Type } from "../Call.ts"
import { Message } from "../Message.ts"

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

interface DeadRow extends Pick<Row, "message_id" | "payload"> {
  readonly reason: string
  readonly status: number | null
  readonly attempts: number
  readonly died_at: number
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

/** Where it was. */
export interface Removed extends Size {
  readonly seq: number
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

  const removed = plain(isPostgres ? "seq::float8 AS seq, bytes" : "seq, bytes")
  const letter = plain("message_id, lane, type, bytes, payload")
  const fate = plain("created_at, seq, died_at, reason, status, attempts")
  const onSecondDeath = plain(`ON CONFLICT (message_id) DO UPDATE
    SET seq = excluded.seq, died_at = excluded.died_at, reason = excluded.reason, status = excluded.status, attempts = excluded.attempts`)

  /** Whether a column is one of these whole numbers, which are one value. */
  const oneOf = (numbers: Iterable<number>) =>
    isPostgres
      ? sql`= ANY(${[...numbers]}::bigint[])`
      : sql`IN (SELECT value FROM json_each(${`[${[...numbers].join(",")}]`}))`

  /**
   * PostgreSQL keeps the plan of a statement that is prepared. Made while nothing waited, as is usual, it reads the whole
   * table once much waits: what deliveries are made of is planned each time, for a hundredth of that.
   */
  const planned = <A extends object>(statement: Statement<A>): Effect.Effect<ReadonlyArray<A>, SqlError> =>
    isPostgres ? statement.unprepared : statement

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
     * one lane at most `each`. PostgreSQL leaves out those in `but`.
     */
    read: (after: ReadonlyMap<number, number>, each: number, most: number, but: Iterable<number>) =>
      entries(
        isPostgres
          ? planned(sql<Row>`SELECT ${columns} FROM unnest(${[...after.keys()]}::int[], ${[...after.values()]}::bigint[]) AS l (of, after)
              CROSS JOIN LATERAL (SELECT * FROM ${outbox} m WHERE m.lane = l.of AND m.seq > l.after AND m.seq <> ALL (${[...but]}::bigint[]) ORDER BY m.seq LIMIT ${each}) o
              ORDER BY o.seq LIMIT ${most}`)
          : sql<Row>`SELECT ${columns} FROM ${outbox} o WHERE o.seq IN
              (SELECT n.seq FROM json_each(${JSON.stringify([...after])}) l, ${outbox} n WHERE n.seq IN
                (SELECT m.seq FROM ${outbox} m WHERE m.lane = l.value->>0 AND m.seq > l.value->>1 ORDER BY m.seq LIMIT ${each})
                ORDER BY n.seq LIMIT ${most})`
      ),

    /** Removes messages; answers with those that were there. */
    remove: (seqs: Iterable<number>) =>
      planned(sql<Removed>`DELETE FROM ${outbox} WHERE seq ${oneOf(seqs)} RETURNING ${removed}`),

    /** Makes dead letters of messages; answers as `remove` does. */
    bury: Effect.fnUntraced(function* (seqs: ReadonlyArray<number>, { attempts, reason, status }: Death) {
      const now = yield* Clock.currentTimeMillis
      const facts = sql`created_at, seq, ${now}::float8, ${reason}::text, ${status ?? null}::int, ${attempts}::int`
      if (isPostgres) {
        return yield* planned(sql<Removed>`WITH gone AS (DELETE FROM ${outbox} WHERE seq ${oneOf(seqs)} RETURNING *)
          INSERT INTO ${dead} (${letter}, ${fate}) SELECT ${letter}, ${facts} FROM gone ${onSecondDeath} RETURNING ${removed}`)
      }
      return yield* sql.withTransaction(
        Effect.andThen(
          sql`INSERT INTO ${dead} (${letter}, ${fate}) SELECT ${letter}, created_at, seq, ${now}, ${reason}, ${status ?? null}, ${attempts}
            FROM ${outbox} WHERE seq ${oneOf(seqs)} ${onSecondDeath}`,
          sql<Removed>`DELETE FROM ${outbox} WHERE seq ${oneOf(seqs)} RETURNING ${removed}`
        )
      )
    }),

    /** Removes the oldest messages but for these. */
    evict: (count: number, but: Iterable<number>) =>
      entries(
        sql<Row>`DELETE FROM ${outbox} WHERE seq IN
          (SELECT m.seq FROM ${outbox} m WHERE NOT m.seq ${oneOf(but)} ORDER BY m.seq LIMIT ${count}) RETURNING ${columns}`
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

    /**
     * Whether a message waits that is not newer than this one, but for these. For a relay: one that no other has leased.
     */
    waits: (until: number, but: Iterable<number>, relay?: string) =>
      withNow((now) =>
        Effect.map(
          sql`SELECT 1 AS one FROM ${outbox} WHERE seq <= ${until} AND NOT seq ${oneOf(but)} ${
            relay === undefined
              ? plain("")
              : sql`AND lane NOT IN (SELECT lane FROM ${lanes} WHERE lease_by <> ${relay} AND lease_until > ${now})`
          } ORDER BY seq LIMIT 1`,
          (rows) => rows.length > 0
        )
      ),

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

    /** Lets dead letters wait again, as if they had been written now; answers with the sizes of those that do. */
    retryDead: Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      if (isPostgres) {
        return yield* sql<Size>`WITH again AS (DELETE FROM ${dead} RETURNING *)
          INSERT INTO ${outbox} (${letter}, created_at) SELECT ${letter}, ${now}::float8 FROM again ORDER BY seq
          ON CONFLICT (message_id) DO NOTHING RETURNING bytes`
      }
      return yield* sql.withTransaction(
        Effect.tap(
          sql<Size>`INSERT INTO ${outbox} (${letter}, created_at) SELECT ${letter}, ${now} FROM ${dead} WHERE true ORDER BY seq
            ON CONFLICT (message_id) DO NOTHING RETURNING bytes`,
          () => sql`DELETE FROM ${dead}`
        )
      )
    }),

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
        sql<DeadRow>`SELECT message_id, payload, reason, status, attempts, died_at FROM ${dead} WHERE message_id > ${after} ORDER BY message_id LIMIT ${limit}`,
        (rows) =>
          rows.map(({ attempts, died_at, message_id, payload, reason, status }) => ({
            key: message_id,
            payload,
            reason,
            status: status ?? undefined,
            attempts,
            diedAt: died_at
          }))
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
        sql`UPDATE ${lanes} SET lease_by = NULL, lease_until = 0 WHERE lease_by = ${relay} AND lane ${oneOf(which)}`
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
