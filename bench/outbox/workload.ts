/**
 * What the benches of the outbox work on: messages of 471 bytes, a backlog of them, a peer, and programs of their own.
 */
import { fork } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Pg from "pg"
import { InvalidCall } from "../../src/AnalyticsError.ts"
import * as Message from "../../src/Message.ts"
import * as MessageId from "../../src/MessageId.ts"
import * as SqlOutbox from "../../src/SqlOutbox.ts"
import * as Transport from "../../src/Transport.ts"
import type { SinkOptions } from "../sink.ts"

/** UTF-8 bytes of a message, as in the measurements that the design began with. */
export const messageBytes = 471
const users = 500
/** The outbox's own table, in which raw drivers write what the outbox would. */
export const table = "analytics_outbox"

const call = (n: number, comment: string) => ({
  userId: `user-${String(n % users).padStart(4, "0")}`,
  event: "Purchased Item",
  properties: {
    orderId: "order-4711",
    revenue: 39.95,
    currency: "EUR",
    items: [{ sku: "G-32", quantity: 1 }],
    comment
  },
  context: { ip: "203.0.113.7", locale: "en-US" }
})

const nextId = Effect.runSync(MessageId.MessageIds)
const encoded = (n: number, comment: string): Message.Message => {
  const message = Message.encode({
    ...call(n, comment),
    type: "track",
    messageId: nextId(Date.now()),
    timestamp: new Date().toISOString(),
    context: { ...call(n, comment).context, library: Message.library }
  })
  if (message instanceof InvalidCall) throw message
  return message
}
const comment = "x".repeat(messageBytes - encoded(0, "").bytes)

/** A call that becomes a message of that size. */
export const callOf = (n: number) => call(n, comment)

/** Messages that need only be written. */
export const readyMessages = (count: number): Array<Message.Message> =>
  Array.from({ length: count }, (_, n) => encoded(n, comment))

/** So many callers, each with its part of the work, one after the other. */
export const byCallers = (callers: number, count: number, one: (n: number) => Effect.Effect<void, unknown>) =>
  Effect.forEach(
    Array.from({ length: callers }, (_, caller) => caller),
    (caller) =>
      Effect.gen(function* () {
        for (let n = caller; n < count; n += callers) yield* one(n)
      }),
    { concurrency: "unbounded", discard: true }
  )

export const median = (numbers: ReadonlyArray<number>): number => quantile(numbers, 0.5)

export const quantile = (numbers: ReadonlyArray<number>, part: number): number =>
  [...numbers].sort((one, other) => one - other)[
    Math.min(numbers.length - 1, Math.floor(numbers.length * part))
  ] as number

/** Nothing leaves: the one request that is made is never answered. */
export const silent = Layer.succeed(Transport.Transport, { send: () => Effect.never, envelopeBytes: 0 })

export const transportTo = (port: number) =>
  Transport.layerFetch({ writeKey: Redacted.make("bench"), host: `http://127.0.0.1:${port}` })

// ---------------------------------------------------------------------------------------------------------------------
// Places
// ---------------------------------------------------------------------------------------------------------------------

/** A directory for files of SQLite, that goes when it is no longer used. */
export const makeDirectory = () => {
  const directory = mkdtempSync(join(tmpdir(), "effect-analytics-bench-"))
  return { directory, file: join(directory, "outbox.db"), remove: () => rmSync(directory, { recursive: true }) }
}

/** Makes the tables of an outbox in a file, and opens it as the outbox does. */
export const rawSqlite = async (file: string): Promise<DatabaseSync> => {
  await Effect.runPromise(Effect.scoped(Layer.build(SqlOutbox.layerSqlite({ file }))))
  const database = new DatabaseSync(file)
  database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000")
  return database
}

// ---------------------------------------------------------------------------------------------------------------------
// Backlogs
// ---------------------------------------------------------------------------------------------------------------------

const id = "00000000-0000-7000-8000-000000000000"
const columns = "user_partition, type, message_id, bytes, payload, created_at"
const [head, tail] = encoded(0, comment)
  .json.replace(/"messageId":"[^"]*"/, `"messageId":"${id}"`)
  .split(id) as [string, string]

/** Lets so many messages wait, of all partitions in turn, and nothing else. */
export const seedSqlite = (database: DatabaseSync, count: number): void => {
  database.exec(`DELETE FROM ${table}`)
  database
    .prepare(
      `WITH RECURSIVE n (n, id) AS (
        SELECT 1, printf('00000000-0000-7000-8000-%012d', 1)
        UNION ALL SELECT n + 1, printf('00000000-0000-7000-8000-%012d', n + 1) FROM n WHERE n < ?
      ) INSERT INTO ${table} (${columns}) SELECT n % 64, 'track', id, ?, ? || id || ?, ? FROM n`
    )
    .run(count, messageBytes, head, tail, Date.now())
  // Nobody writes that much at once: who comes next would pay for it.
  database.exec("PRAGMA wal_checkpoint(TRUNCATE)")
}

/** The same in a table that is empty. What it left to be written behind its back is written before it answers. */
export const seedPostgres = async (client: Pg.Client, count: number): Promise<void> => {
  await client.query(
    `INSERT INTO ${table} (${columns})
      SELECT n % 64, 'track', id, $2, $3::text || id || $4::text, $5
      FROM (SELECT n, '00000000-0000-7000-8000-' || lpad(n::text, 12, '0') AS id FROM generate_series(1, $1::int) n) ids`,
    [count, messageBytes, head, tail, Date.now()]
  )
  await client.query("CHECKPOINT")
}

// ---------------------------------------------------------------------------------------------------------------------
// Programs
// ---------------------------------------------------------------------------------------------------------------------

export interface Program<Said> {
  /** The next thing it says. */
  readonly hear: () => Promise<Said>
  readonly say: (message: string) => void
  readonly signal: (signal: NodeJS.Signals) => void
  readonly stop: () => Promise<void>
}

/** Starts one of the programs beside this file, in a process of its own. */
export const start = <Said>(
  name: string,
  args: ReadonlyArray<string> = [],
  execArgv: ReadonlyArray<string> = []
): Program<Said> => {
  const child = fork(new URL(name, import.meta.url), args, {
    execArgv: [...execArgv],
    stdio: ["ignore", "inherit", "inherit", "ipc"]
  })
  const said: Array<Said> = []
  let heard: (() => void) | undefined
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()))
  child.on("message", (message) => {
    said.push(message as Said)
    heard?.()
  })
  return {
    hear: async () => {
      while (said.length === 0) {
        const { exitCode, signalCode } = child
        if (exitCode !== null || signalCode !== null) throw new Error(`${name} ended with ${exitCode ?? signalCode}`)
        await Promise.race([ended, new Promise<void>((resolve) => (heard = resolve))])
      }
      return said.shift() as Said
    },
    say: (message) => void child.send(message),
    signal: (signal) => void child.kill(signal),
    stop: () => {
      child.kill("SIGKILL")
      return ended
    }
  }
}

/** A peer that takes everything, and answers so many milliseconds after the end of a request. */
export const startSink = async (delay = 0): Promise<{ readonly port: number; readonly stop: () => Promise<void> }> => {
  const sink = start<number>("../sink.ts", [JSON.stringify({ count: "nothing", delay } satisfies SinkOptions)])
  return { port: await sink.hear(), stop: sink.stop }
}
