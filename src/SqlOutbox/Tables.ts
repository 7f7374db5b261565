/**
 * The tables of a durable outbox, and every statement about them, for SQLite and for PostgreSQL.
 *
 * Their names have one prefix: pending messages, dead letters, the relay that delivers (leader), and the state that
 * survives a restart. Values are bound, never written into a statement.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { Statement } from "effect/sql/Statement"
import { type LossReason, OutboxUnavailable } from "../AnalyticsError.ts"
import type { Type } from "../Call.ts"
import { Message } from "../Message.ts"

/** A stored message. */
export interface Entry {
  readonly seq: number
  /** The same for all messages of a user. */
  readonly partition: number
  readonly message: Message
  /** Time of day in milliseconds, by the clock of the process that wrote it. */
  readonly createdAt: number
}

/** The values of a message that is to be written. */
export interface NewRow {
  readonly values: ReadonlyArray<string | number>
}

/** The row of a message. Throws what the database could not store, in the words of the field. */
export const toRow = (message: Message, partition: number, createdAt: number): NewRow => {
  const { bytes, json, messageId, type } = message
  if (
    typeof messageId !== "string" ||
    typeof type !== "string" ||
    typeof json !== "string" ||
    !Number.isInteger(bytes)
  ) {
    throw new TypeError("not a message")
  }
  return { values: [partition, type, toText(messageId), bytes, json, createdAt] }
}

interface Row {
  readonly seq: number
  readonly user_partition: number
  readonly type: Type
  readonly message_id: string
  readonly bytes: number
  readonly payload: string
  readonly created_at: number
}

interface DeadRow extends Pick<Row, "message_id" | "payload"> {
  readonly reason: LossReason
  readonly status: number | null
  readonly attempts: number
  readonly died_at: number
}

/** The reason of a dead letter. */
export interface Death {
  readonly reason: LossReason
  readonly status: number | undefined
  readonly attempts: number
}

export interface LeaderRow {
  /** Rises by one or more with every change of the leader. */
  readonly epoch: number
  /** Changes as long as the leader is alive. */
  readonly beat: number
  readonly holder: string | null
}

/** The name of the state that holds the fingerprint of the destination. */
export const destinationKey = "destination"

/** What is pending. */
export interface Summary {
  readonly count: number
  readonly bytes: number
  readonly newest: number
  /** Milliseconds; 0 if nothing is pending. */
  readonly oldestAge: number
}

/** The size of a message. */
export interface Size {
  readonly bytes: number
}

/** The bytes of messages together. */
export const sum = (sizes: ReadonlyArray<Size>): number => sizes.reduce((bytes, size) => bytes + size.bytes, 0)

/** A message that was there. */
export interface Removed extends Size {
  readonly seq: number
}

/** PostgreSQL's texts can't hold a NUL; a payload never does, since JSON writes it as an escape. */
const toText = (id: string): string => id.replaceAll("\\", "\\\\").replaceAll("\0", "\\0")
const fromText = (text: string): string =>
  text.includes("\\") ? text.replace(/\\(\\|0)/g, (_, escaped) => (escaped === "0" ? "\0" : escaped)) : text

const toEntry = (row: Row): Entry => ({
  seq: row.seq,
  partition: row.user_partition,
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
  const [outbox, dead, leader, state] = ["", "_dead", "_leader", "_state"].map(table)
  const plain = (text: string) => sql.literal(text)
  /** Whole numbers of 64 bits come as text from PostgreSQL. */
  const number = (expression: string) => plain(isPostgres ? `(${expression})::float8` : expression)
  const columns = plain(
    `${isPostgres ? "seq::float8 AS seq" : "seq"}, user_partition, type, message_id, bytes, payload, created_at`
  )

  const removed = plain(isPostgres ? "seq::float8 AS seq, bytes" : "seq, bytes")
  const letter = plain("message_id, user_partition, type, bytes, payload")
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

  const values = new Map<number, string>()
  /** The placeholders of so many new rows. */
  const placesOf = (entries: number): string => {
    const known = values.get(entries)
    if (known !== undefined) return known
    let place = 0
    const one = () => `(${Array.from({ length: 6 }, () => (isPostgres ? `$${++place}` : "?")).join(", ")})`
    const made = Array.from({ length: entries }, one).join(", ")
    values.set(entries, made)
    return made
  }

  const insert = (rows: ReadonlyArray<NewRow>): Effect.Effect<ReadonlyArray<Size>, SqlError> =>
    sql.unsafe(
      `INSERT INTO ${name} (user_partition, type, message_id, bytes, payload, created_at) VALUES ${placesOf(rows.length)}
       ON CONFLICT (message_id) DO NOTHING RETURNING bytes`,
      rows.flatMap(({ values }) => values)
    )

  const entries = (rows: Effect.Effect<ReadonlyArray<Row>, SqlError>) =>
    Effect.map(rows, (all) => all.map(toEntry).sort((one, other) => one.seq - other.seq))

  /** Whether a statement found anything. */
  const found = (rows: Effect.Effect<ReadonlyArray<unknown>, SqlError>) => Effect.map(rows, ({ length }) => length > 0)

  return {
    sql,
    name,
    isPostgres,

    // -----------------------------------------------------------------------------------------------------------------
    // Messages
    // -----------------------------------------------------------------------------------------------------------------

    /** Writes messages, in one statement; answers with the sizes of those that were not there yet. */
    insert,

    /**
     * The oldest messages after a place, in their order; none if they are of another destination than this. PostgreSQL leaves
     * out those in `but`.
     */
    read: (after: number, limit: number, but: Iterable<number> = [], destination?: string) => {
      const isOurs =
        destination === undefined
          ? plain("")
          : sql`AND NOT EXISTS (SELECT 1 FROM ${state} WHERE name = ${destinationKey} AND value <> ${destination})`
      const others = isPostgres ? sql`AND m.seq <> ALL (${[...but]}::bigint[])` : plain("")
      return entries(
        planned(
          sql<Row>`SELECT ${columns} FROM ${outbox} m WHERE m.seq > ${after} ${others} ${isOurs} ORDER BY m.seq LIMIT ${limit}`
        )
      )
    },

    /** Removes messages; answers with those that were there. */
    remove: (seqs: Iterable<number>) =>
      planned(sql<Removed>`DELETE FROM ${outbox} WHERE seq ${oneOf(seqs)} RETURNING ${removed}`),

    /** The places among these where no message is any more. */
    missing: (seqs: ReadonlyArray<number>) =>
      Effect.map(
        planned(sql<{ seq: number }>`SELECT ${number("seq")} AS seq FROM ${outbox} WHERE seq ${oneOf(seqs)}`),
        (rows) => {
          const there = new Set(rows.map(({ seq }) => seq))
          return seqs.filter((seq) => !there.has(seq))
        }
      ),

    /** Makes dead letters of messages; answers as `remove` does. */
    moveToDeadLetters: Effect.fnUntraced(function* (seqs: ReadonlyArray<number>, { attempts, reason, status }: Death) {
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

    /** What is pending, in one look: how many messages, their bytes, the newest (0 if there is none), the age of the oldest. */
    summary: Effect.gen(function* () {
      const [row] = yield* sql<Omit<Summary, "oldestAge"> & { readonly oldest: number | null }>`SELECT
        ${number("count(*)")} AS count, ${number("coalesce(sum(bytes), 0)")} AS bytes,
        ${number(`coalesce((SELECT max(seq) FROM ${name}), 0)`)} AS newest,
        (SELECT created_at FROM ${outbox} ORDER BY seq LIMIT 1) AS oldest FROM ${outbox}`
      const { oldest = null, ...counts } = row ?? { count: 0, bytes: 0, newest: 0 }
      const now = yield* Clock.currentTimeMillis
      return { ...counts, oldestAge: Math.max(0, now - (oldest ?? now)) } satisfies Summary
    }),

    /** Whether a message is pending that is not newer than this one, but for these. */
    hasPending: (until: number, but: Iterable<number>) =>
      found(sql`SELECT 1 AS one FROM ${outbox} WHERE seq <= ${until} AND NOT seq ${oneOf(but)} ORDER BY seq LIMIT 1`),

    /** Whether a message is pending or dead; nothing if it is neither. */
    find: (messageId: string) =>
      Effect.map(
        sql<
          Death & { readonly dead: number }
        >`SELECT 0 AS dead, '' AS reason, CAST(NULL AS INTEGER) AS status, 0 AS attempts
            FROM ${outbox} WHERE message_id = ${toText(messageId)}
          UNION ALL SELECT 1 AS dead, reason, status, attempts FROM ${dead} WHERE message_id = ${toText(messageId)} ORDER BY dead`,
        ([row]) =>
          row === undefined
            ? undefined
            : row.dead === 0
              ? ("pending" as const)
              : { reason: row.reason, status: row.status ?? undefined, attempts: row.attempts }
      ),

    // -----------------------------------------------------------------------------------------------------------------
    // Dead letters
    // -----------------------------------------------------------------------------------------------------------------

    /** How many there are, of messages up to a place if one is given. */
    countDead: (until = Number.MAX_SAFE_INTEGER) =>
      Effect.map(
        sql<{ count: number }>`SELECT ${number("count(*)")} AS count FROM ${dead} WHERE seq <= ${until}`,
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
    // The leader
    // -----------------------------------------------------------------------------------------------------------------

    /** The relay that delivers, or delivered last. */
    readLeader: Effect.map(
      sql<LeaderRow>`SELECT epoch, beat, holder FROM ${leader} WHERE id = 1`,
      (rows) => rows[0] as LeaderRow
    ),

    /** Ends an epoch and begins another; answers whether the epoch was still the present one. */
    beginEpoch: (from: number, epoch: number, holder: string) =>
      found(
        sql`UPDATE ${leader} SET epoch = ${epoch}, beat = 0, holder = ${holder} WHERE epoch = ${from} RETURNING 1 AS one`
      ),

    /** Shows that the leader is alive; answers whether it still is the leader. */
    heartbeat: (epoch: number) =>
      found(sql`UPDATE ${leader} SET beat = (beat + 1) % 1000000 WHERE epoch = ${epoch} RETURNING 1 AS one`),

    /** Leaves the place of the leader to the next. */
    resign: (epoch: number) => found(sql`UPDATE ${leader} SET holder = NULL WHERE epoch = ${epoch} RETURNING 1 AS one`),

    // -----------------------------------------------------------------------------------------------------------------
    // State that survives a restart
    // -----------------------------------------------------------------------------------------------------------------

    get: (key: string) =>
      Effect.map(sql<{ value: string }>`SELECT value FROM ${state} WHERE name = ${key}`, (rows) => rows[0]?.value),

    set: (key: string, value: string | undefined) =>
      Effect.asVoid(
        value === undefined
          ? sql`DELETE FROM ${state} WHERE name = ${key}`
          : sql`INSERT INTO ${state} (name, value) VALUES (${key}, ${value}) ON CONFLICT (name) DO UPDATE SET value = excluded.value`
      ),

    /** Sets what is not set yet. */
    setOnce: (key: string, value: string) =>
      Effect.asVoid(sql`INSERT INTO ${state} (name, value) VALUES (${key}, ${value}) ON CONFLICT (name) DO NOTHING`)
  }
})
