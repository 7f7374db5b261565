/** The server that the tests of the outbox stand on: what it promises them. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import * as PgClient from "@effect/sql-pg/PgClient"
import { assert, describe, it, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as SqlClient from "effect/sql/SqlClient"
import { vi } from "vitest"
import { Postgres } from "./Postgres.ts"

const options = { timeout: 60_000 }

const rows = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const kept = yield* sql<{ readonly id: number }>`SELECT id FROM kept ORDER BY id`
  return kept.map(({ id }) => id)
})

const createTable = Effect.flatMap(SqlClient.SqlClient, (sql) => sql`CREATE TABLE kept (id integer PRIMARY KEY)`)

/** Runs with a client on a database of its own. */
const at = (url: string) => Effect.provide(PgClient.layer({ url: Redacted.make(url) }))

const isAlive = (pid: number) => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

layer(Postgres.layerClient, { timeout: 60_000 })("the shared PostgreSQL server", (it) => {
  it.effect("answers @effect/sql-pg", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const answers = yield* sql<{ readonly sum: number }>`SELECT ${1}::int + ${2}::int AS sum`
      assert.deepEqual(answers, [{ sum: 3 }])
    })
  )

  it.effect("commits, and rolls back with a transaction that fails", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* createTable
      yield* sql.withTransaction(sql`INSERT INTO kept VALUES (1)`)
      const failed = yield* sql`INSERT INTO kept VALUES (2)`.pipe(
        Effect.andThen(sql`INSERT INTO kept VALUES (1)`),
        sql.withTransaction,
        Effect.flip
      )
      assert.strictEqual(failed.reason._tag, "UniqueViolation")
      assert.deepEqual(yield* rows, [1])
    })
  )

  it.effect("gives every user an empty database, which goes with the scope", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const databases = sql<{ readonly datname: string }>`SELECT datname FROM pg_database`
      const other = yield* Effect.gen(function* () {
        const theirs = yield* SqlClient.SqlClient
        const tables = yield* theirs`SELECT 1 FROM information_schema.tables WHERE table_schema = 'public'`
        assert.deepEqual(tables, [])
        const [{ name } = { name: "" }] = yield* theirs<{ readonly name: string }>`SELECT current_database() AS name`
        return name
      }).pipe(Effect.provide(Layer.fresh(Postgres.layerClient)))
      assert.notInclude(
        (yield* databases).map(({ datname }) => datname),
        other
      )
    })
  )
})

describe("a PostgreSQL server of one's own", () => {
  it.live.each(["fast", "immediate", "kill"] as const)(
    "keeps what was committed, on the same port, through: %s",
    (mode) =>
      Effect.gen(function* () {
        const server = yield* Effect.acquireRelease(
          Effect.promise(() => Postgres.start()),
          (server) => Effect.promise(() => server[Symbol.asyncDispose]())
        )
        const { pid, url } = server
        const database = yield* Effect.promise(() => server.database())
        yield* Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          yield* createTable
          yield* sql`INSERT INTO kept VALUES (1)`
          yield* Effect.promise(() => server.restart(mode))
          assert.strictEqual(server.url, url)
          assert.notStrictEqual(server.pid, pid)
        }).pipe(at(database))
        assert.deepEqual(yield* at(database)(rows), [1])
        assert.strictEqual(server.log.includes("database system was not properly shut down"), mode !== "fast")
      }),
    options
  )

  it("waits for the disk if it is told to", options, async () => {
    await using server = await Postgres.start({ fsync: true, settings: { max_connections: 7 } })
    const settings = await Effect.runPromise(
      Effect.flatMap(
        SqlClient.SqlClient,
        (sql) =>
          sql`SELECT current_setting('fsync') AS fsync, current_setting('full_page_writes') AS pages,
                     current_setting('max_connections') AS connections`
      ).pipe(at(server.url))
    )
    assert.deepEqual(settings, [{ fsync: "on", pages: "on", connections: "7" }])
  })

  it("says by name why it can't start, and leaves nothing", options, async () => {
    const place = Fs.mkdtempSync(Path.join(Os.tmpdir(), "effect-analytics-"))
    Fs.chmodSync(place, 0o755)
    vi.stubEnv("TMPDIR", place)
    const failure = await Postgres.start({ settings: { max_connections: "many" } }).catch(String)
    assert.match(String(failure), /PostgreSQL for the tests did not start: .*max_connections.*"many"/s)
    assert.deepEqual(Fs.readdirSync(place), [])
    Fs.rmdirSync(place)
  })

  it.each(["SIGTERM", "SIGKILL"] as const)(
    "leaves neither a process nor a directory when its owner ends by %s",
    options,
    async (signal) => {
      const owner = spawn(process.execPath, [fileURLToPath(new URL("programs/hostsPostgres.ts", import.meta.url))], {
        stdio: ["ignore", "pipe", "inherit"]
      })
      const [line] = await once(createInterface(owner.stdout), "line")
      const { directory, pid } = JSON.parse(line)
      assert.isTrue(isAlive(pid))
      assert.isTrue(Fs.existsSync(directory))
      owner.kill(signal)
      await vi.waitUntil(() => !isAlive(pid) && !Fs.existsSync(directory), { timeout: 30_000 })
    }
  )
})
