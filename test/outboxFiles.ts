/** What the tests of outbox files share: files in directories that are removed, and clients of them. */
import * as Fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { assert } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Message } from "../src/Message.ts"
import * as Observer from "../src/Observer.ts"
import * as Outbox from "../src/Outbox.ts"
import * as Outcome from "../src/Outcome.ts"
import * as SqlOutbox from "../src/SqlOutbox.ts"
import { type Line, layerLog, messages } from "./support.ts"

/** A directory of its own, gone when the scope closes. */
export const directory = Effect.acquireRelease(
  Effect.sync(() => Fs.mkdtempSync(join(tmpdir(), "effect-analytics-files-"))),
  (path) => Effect.sync(() => Fs.rmSync(path, { recursive: true, force: true }))
)

export type Batch = Outcome.Delivered["messages"]

/** One client of an outbox, and what it told. */
export interface Client {
  readonly outbox: Outbox.Outbox["Service"]
  readonly operations: SqlOutbox.Operations
  readonly outcomes: ReadonlyArray<Outcome.Outcome>
  /** What was logged as an error. */
  readonly errors: () => ReadonlyArray<string>
}

/** Opens an outbox for as long as the scope lasts. */
export const open = Effect.fnUntraced(function* (options: SqlOutbox.SqliteOptions) {
  const outcomes: Array<Outcome.Outcome> = []
  const lines: Array<Line> = []
  const context = yield* Layer.build(
    SqlOutbox.layerSqlite(options).pipe(
      Layer.provide(Observer.layer((outcome) => Effect.sync(() => void outcomes.push(outcome)))),
      Layer.provide(layerLog(lines))
    )
  )
  const client: Client = {
    outbox: Context.get(context, Outbox.Outbox),
    operations: Context.get(context, SqlOutbox.SqlOutbox),
    outcomes,
    errors: () => lines.filter(({ level }) => level === "Error").map(({ text }) => text)
  }
  return client
})

export const offerAll = ({ outbox }: Client, from: number, to: number) =>
  Effect.forEach(messages(from, to), (message) => outbox.offer(message), { discard: true })

export const eventsOf = (batch: ReadonlyArray<Message>) =>
  batch.map(({ messageId }) => messageId.slice("id of ".length))
export const numbered = (from: number, to: number) => eventsOf(messages(from, to))

export const delivered = (batch: Batch) => Outcome.Outcome.Delivered({ messages: batch, status: 200, attempts: 1 })

/** Takes so many messages, as they come, and delivers them; answers with their events. */
export const drain = Effect.fnUntraced(function* ({ outbox }: Client, count: number) {
  const taken: Array<Message> = []
  while (taken.length < count) {
    const batch = yield* outbox.take(count - taken.length)
    yield* outbox.settle(delivered(batch))
    taken.push(...batch)
  }
  return eventsOf(taken)
})

/** However things went: what was accepted and is known of is settled or there, and what was settled was told, once. */
export const obeysTheLaw = Effect.fnUntraced(function* ({ outbox, outcomes }: Client) {
  const { accepted, delivered, dropped, pending, taken } = yield* outbox.counts
  assert.strictEqual(accepted, delivered + dropped + pending)
  assert.isAtLeast(pending, taken)
  const told = outcomes.flatMap((outcome) => ("messages" in outcome ? outcome.messages : []))
  assert.strictEqual(told.length, delivered + dropped)
  assert.strictEqual(new Set(told.map(({ messageId }) => messageId)).size, told.length)
})

/** Looks into a file, or writes to it, as another program would. */
export const inFile = <A>(file: string, use: (database: DatabaseSync) => A): A => {
  // The process that has it may be writing.
  const database = new DatabaseSync(file, { timeout: 5_000 })
  try {
    return use(database)
  } finally {
    database.close()
  }
}

export const idsIn = (file: string) =>
  inFile(file, (database) =>
    database
      .prepare("SELECT message_id FROM analytics_outbox ORDER BY seq")
      .all()
      .map((row) => String(row.message_id).slice("id of ".length))
  )

/** Brings everything into the file itself, and takes what others have read of it as out of date. */
export const settleFile = (file: string) =>
  inFile(file, (database) => {
    database.exec("INSERT INTO analytics_outbox_state (name, value) VALUES ('test', 'x')")
    database.exec("PRAGMA wal_checkpoint(TRUNCATE)")
  })
