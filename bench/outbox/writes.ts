/**
 * What a durable call costs: many at a time, through the whole call and as messages that need only be written, against a
 * raw driver that writes the same rows to the same tables, a hundred in a transaction.
 */
import type { DatabaseSync } from "node:sqlite"
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Redacted from "effect/Redacted"
import * as Pg from "pg"
import * as Analytics from "../../src/Analytics.ts"
import type * as Message from "../../src/Message.ts"
import * as Outbox from "../../src/Outbox.ts"
import * as SqlOutbox from "../../src/SqlOutbox.ts"
import { Postgres } from "../../test/Postgres.ts"
import { part, type Target } from "./targets.ts"
import { byCallers, callOf, makeDirectory, median, rawSqlite, readyMessages, silent, table } from "./workload.ts"

const inTransaction = 100
/** Fibers that call at the same time, each again as soon as its message is committed. */
const callers = 500
const roomy = { maxQueueSize: 100_000_000, maxQueueBytes: 2 ** 40 }

type Write = (messages: ReadonlyArray<Message.Message>) => Promise<void>

const columns = "user_partition, type, message_id, bytes, payload, created_at"

const values = ({ bytes, json, messageId, type, user }: Message.Message) => [
  (user ?? 0) % 64,
  type,
  messageId,
  bytes,
  json,
  Date.now()
]

const rawSqliteWrite = (database: DatabaseSync): Write => {
  const insert = database.prepare(`INSERT INTO ${table} (${columns}) VALUES (?, ?, ?, ?, ?, ?)`)
  return async (messages) => {
    for (let at = 0; at < messages.length; at += inTransaction) {
      database.exec("BEGIN IMMEDIATE")
      for (const message of messages.slice(at, at + inTransaction)) insert.run(...values(message))
      database.exec("COMMIT")
      // Whoever writes for a server lets it do something else in between.
      await new Promise(setImmediate)
    }
  }
}

const rawPostgresWrite = (client: Pg.Client): Write => {
  const row = (n: number) => `(${Array.from({ length: 6 }, (_, column) => `$${n * 6 + column + 1}`).join(", ")})`
  const text = `INSERT INTO ${table} (${columns}) VALUES ${Array.from({ length: inTransaction }, (_, n) => row(n)).join(", ")}`
  return async (messages) => {
    for (let at = 0; at < messages.length; at += inTransaction) {
      const rows = messages.slice(at, at + inTransaction)
      await client.query({ name: "insert", text, values: rows.flatMap(values) })
    }
  }
}

const writers = async <E>(
  layer: Layer.Layer<Outbox.Outbox | SqlOutbox.SqlOutbox, E>
): Promise<{ readonly offers: Write; readonly calls: Write; readonly close: () => Promise<void> }> => {
  const runtime = ManagedRuntime.make(
    Analytics.layerNoDeps({ closeTimeout: 0 }).pipe(Layer.provide(silent), Layer.provideMerge(layer))
  )
  const analytics = await runtime.runPromise(Analytics.Analytics)
  const outbox = await runtime.runPromise(Outbox.Outbox)
  return {
    offers: (messages) =>
      runtime.runPromise(byCallers(callers, messages.length, (n) => outbox.offer(messages[n] as Message.Message))),
    calls: ({ length }) => runtime.runPromise(byCallers(callers, length, (n) => analytics.track(callOf(n)))),
    close: () => runtime.dispose()
  }
}

const compare = async (
  name: string,
  writes: { readonly raw: Write; readonly offers: Write; readonly calls: Write },
  count: number,
  rounds: number
): Promise<{ readonly offers: number; readonly calls: number }> => {
  const names = ["raw", "offers", "calls"] as const
  const rates = { raw: [] as Array<number>, offers: [] as Array<number>, calls: [] as Array<number> }
  for (let round = -2; round < rounds; round++) {
    for (const kind of names) {
      const messages = readyMessages(count)
      const start = performance.now()
      await writes[kind](messages)
      if (round >= 0) rates[kind].push((count / (performance.now() - start)) * 1_000)
    }
  }
  const ratio = (kind: (typeof names)[number]) =>
    median(rates[kind].map((rate, at) => rate / (rates.raw[at] as number)))
  const row = (kind: (typeof names)[number]) => ({
    "rows a second": Math.round(median(rates[kind])),
    "µs a row": (1e6 / median(rates[kind])).toFixed(1),
    "of raw": ratio(kind).toFixed(2)
  })
  console.log(
    `\n${name}: ${count} messages by ${callers} callers, medians of ${rounds} rounds; raw: ${inTransaction} rows a transaction`
  )
  console.table({ "raw driver": row("raw"), "ready messages": row("offers"), "calls (track)": row("calls") })
  return { offers: ratio("offers"), calls: ratio("calls") }
}

export const writesToSqlite = async (): Promise<ReadonlyArray<Target>> => {
  const [ours, theirs] = [makeDirectory(), makeDirectory()]
  const database = await rawSqlite(theirs.file)
  const { close, ...durable } = await writers(SqlOutbox.layerSqlite({ directory: ours.directory, ...roomy }))
  const ratios = await compare("SQLite, synchronous=FULL", { raw: rawSqliteWrite(database), ...durable }, 20_000, 9)
  await close()
  database.close()
  ours.remove()
  theirs.remove()
  return [
    part("Durable calls, of raw SQLite", ratios.calls, 0.45),
    part("Ready messages, of raw SQLite", ratios.offers, 0.45)
  ]
}

export const writesToPostgres = async (): Promise<ReadonlyArray<Target>> => {
  await using server = await Postgres.start({ fsync: true })
  const [ours, theirs] = [await server.database(), await server.database()]
  const prepared = ManagedRuntime.make(writerLayer(theirs))
  await prepared.runPromise(Outbox.Outbox)
  await prepared.dispose()
  const client = new Pg.Client({ connectionString: theirs })
  await client.connect()
  const { close, ...durable } = await writers(writerLayer(ours))
  const ratios = await compare("PostgreSQL, fsync on", { raw: rawPostgresWrite(client), ...durable }, 10_000, 9)
  await close()
  await client.end()
  return [
    part("Durable calls, of raw PostgreSQL", ratios.calls, 0.4),
    part("Ready messages, of raw PostgreSQL", ratios.offers, 0.4)
  ]
}

const writerLayer = (url: string) =>
  SqlOutbox.layerWriter(roomy).pipe(Layer.provide(PgClient.layer({ url: Redacted.make(url) })))
