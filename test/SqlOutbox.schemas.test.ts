/**
 * An outbox that another release has left: an older schema is brought to today's, and what waits in it is delivered; a newer
 * one is not touched. On stored outboxes of every release: `test/fixtures/makeOutboxFixtures.ts` made them.
 */
import * as Fs from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as SqlClient from "effect/sql/SqlClient"
import * as Outbox from "../src/Outbox.ts"
import * as SqlOutbox from "../src/SqlOutbox.ts"
import { delivered, directory, inFile, open } from "./outboxFiles.ts"
import { Postgres } from "./Postgres.ts"
import { layerLog } from "./support.ts"

const fixture = (version: number, ending: string) =>
  fileURLToPath(new URL(`fixtures/outbox-${version}.${ending}`, import.meta.url))

const versions = Fs.readdirSync(new URL("fixtures", import.meta.url)).flatMap((name) => {
  const [, version] = name.match(/^outbox-(\d+)\.db$/) ?? []
  return version === undefined ? [] : Number(version)
})
const newest = Math.max(...versions)

type Opened = Pick<Effect.Success<ReturnType<typeof open>>, "outbox" | "operations">

/** The messages in the order in which they are delivered, by their users. */
const delivers = Effect.fnUntraced(function* ({ outbox }: Opened, count: number) {
  const byUser: Record<string, Array<string>> = {}
  for (let taken = 0; taken < count; ) {
    const batch = yield* outbox.take(count - taken)
    yield* outbox.settle(delivered(batch))
    taken += batch.length
    for (const { json } of batch) {
      const { event, userId } = JSON.parse(json) as { readonly event: string; readonly userId: string }
      byUser[userId] = [...(byUser[userId] ?? []), event]
    }
  }
  return byUser
})

/** Of the events that are told by turns of four users, those of each. */
const byTurns = (kind: string, count: number) => {
  const byUser: Record<string, Array<string>> = {}
  for (let n = 1; n <= count; n++) {
    const user = `u${(n % 4) + 1}`
    byUser[user] = [...(byUser[user] ?? []), `${kind} ${n}`]
  }
  return byUser
}

/** Everything that waited is there, and is delivered in its order; dead letters can be tried again. */
const survives = Effect.fnUntraced(function* (opened: Opened) {
  const { operations, outbox } = opened
  const before = yield* operations.stats
  assert.deepStrictEqual([before.pending, before.dead], [24, 5])
  assert.strictEqual((yield* outbox.counts).pending, 24)
  assert.deepStrictEqual(yield* delivers(opened, 24), byTurns("event", 24))
  assert.strictEqual(yield* operations.retryDead, 5)
  assert.deepStrictEqual(yield* delivers(opened, 5), byTurns("dead", 5))
  const after = yield* operations.stats
  assert.deepStrictEqual([after.pending, after.dead], [0, 0])
  // What came with later schemas works.
  const { durable } = outbox
  assert(durable !== undefined)
  yield* durable.saveBackoff({ retries: 3, resumeAt: 4_711 })
  assert.deepStrictEqual(yield* durable.loadBackoff, { retries: 3, resumeAt: 4_711 })
})

describe("an outbox of another release, in SQLite", () => {
  const copy = (version: number) =>
    Effect.map(directory, (path) => {
      const file = join(path, "outbox.db")
      Fs.copyFileSync(fixture(version, "db"), file)
      return file
    })

  const schemaOf = (file: string) =>
    inFile(file, (database) =>
      database
        .prepare("SELECT name, sql FROM sqlite_master ORDER BY name")
        .all()
        .map((row) => ({ ...row }))
    )

  it("is stored for every schema that there is", () => {
    assert.deepStrictEqual(
      versions.toSorted((one, other) => one - other),
      Array.from({ length: newest }, (_, n) => n + 1)
    )
  })

  for (const version of versions) {
    it.effect(
      `P15 of version ${version}: all that waits is delivered in its order, and dead letters can be retried`,
      () =>
        Effect.gen(function* () {
          const client = yield* open({ file: yield* copy(version) })
          yield* survives(client)
          assert.deepStrictEqual(client.errors(), [])
        })
    )

    it.effect(`P15 of version ${version} becomes what a new one is`, () =>
      Effect.gen(function* () {
        const file = yield* copy(version)
        yield* Effect.scoped(open({ file }))
        const fresh = join(yield* directory, "outbox.db")
        yield* Effect.scoped(open({ file: fresh }))
        assert.deepStrictEqual(schemaOf(file), schemaOf(fresh))
      })
    )
  }

  const newer = Effect.tap(copy(newest), (file) =>
    Effect.sync(() =>
      inFile(file, (database) =>
        database.exec(`
          ALTER TABLE analytics_outbox ADD COLUMN priority INTEGER NOT NULL DEFAULT 7;
          DROP TABLE analytics_outbox_leader;
          INSERT INTO analytics_outbox_migrations (migration_id, name) VALUES (${newest + 1}, 'priority')
        `)
      )
    )
  )
  const refused = `the outbox has a schema of version ${newest + 1}, and this release knows ${newest}: it is left as it is`

  it.effect("P14 that is newer is refused, and not a byte of it is changed", () =>
    Effect.gen(function* () {
      const file = yield* newer
      const before = Fs.readFileSync(file)
      const error = yield* Effect.flip(Effect.scoped(open({ file })))
      assert.deepStrictEqual([error._tag, error.message], ["OutboxUnavailable", refused])
      assert.isTrue(Fs.readFileSync(file).equals(before))
      assert.isFalse(Fs.existsSync(`${file}-wal`))
      assert.isFalse(Fs.existsSync(`${file}.corrupt-1`))
    })
  )

  it.effect("P14 that is newer: with a fallback messages wait in memory, and it is not changed either", () =>
    Effect.gen(function* () {
      const file = yield* newer
      const before = Fs.readFileSync(file)
      yield* Effect.scoped(
        Effect.gen(function* () {
          const client = yield* open({ file, fallback: "memory" })
          assert.deepStrictEqual(client.errors(), [
            `${refused}: messages wait in memory, and are lost when the process ends`
          ])
        })
      )
      assert.isTrue(Fs.readFileSync(file).equals(before))
    })
  )
})

describe("an outbox of another release, in PostgreSQL", () => {
  const database = Effect.gen(function* () {
    const context = yield* Layer.build(Layer.fresh(Postgres.layerClient))
    return Context.get(context, SqlClient.SqlClient)
  })

  const stored = (version: number): Effect.Effect<SqlClient.SqlClient, unknown, Scope.Scope> =>
    Effect.tap(database, (sql) => {
      const statements = Fs.readFileSync(fixture(version, "sql"), "utf8").split(/;\n/).slice(0, -1)
      return Effect.forEach(statements, (statement) => sql.unsafe(statement))
    })

  const openIn = (sql: SqlClient.SqlClient) =>
    Effect.map(
      Layer.build(
        SqlOutbox.layer().pipe(Layer.provide(Layer.succeed(SqlClient.SqlClient, sql)), Layer.provide(layerLog([])))
      ),
      (context) => ({
        outbox: Context.get(context, Outbox.Outbox),
        operations: Context.get(context, SqlOutbox.SqlOutbox)
      })
    )

  const schemaOf = (sql: SqlClient.SqlClient) =>
    Effect.all([
      sql`SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns
        WHERE table_schema = 'public' ORDER BY table_name, ordinal_position`,
      sql`SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY indexname`
    ])

  const rowsOf = (sql: SqlClient.SqlClient) =>
    Effect.forEach(["", "_dead", "_migrations", "_state"], (suffix) =>
      sql.unsafe(`SELECT * FROM analytics_outbox${suffix} t ORDER BY t::text`)
    )

  for (const version of versions) {
    it.effect(
      `P15 of version ${version}: all that waits is delivered in its order, and dead letters can be retried`,
      () =>
        Effect.gen(function* () {
          yield* survives(yield* openIn(yield* stored(version)))
        })
    )

    it.effect(`P15 of version ${version} becomes what a new one is`, () =>
      Effect.gen(function* () {
        const sql = yield* stored(version)
        yield* Effect.scoped(openIn(sql))
        const fresh = yield* database
        yield* Effect.scoped(openIn(fresh))
        assert.deepStrictEqual(yield* schemaOf(sql), yield* schemaOf(fresh))
      })
    )
  }

  it.effect("P14 that is newer is refused, and nothing of it is changed", () =>
    Effect.gen(function* () {
      const sql = yield* stored(newest)
      yield* sql`ALTER TABLE analytics_outbox ADD COLUMN priority INTEGER NOT NULL DEFAULT 7`
      yield* sql`DROP TABLE analytics_outbox_leader`
      yield* sql`INSERT INTO analytics_outbox_migrations (migration_id, name) VALUES (${newest + 1}, 'priority')`
      const before = [yield* schemaOf(sql), yield* rowsOf(sql)]
      const error = yield* Effect.flip(Effect.scoped(openIn(sql)))
      assert.deepStrictEqual(
        [error._tag, error.message],
        [
          "OutboxUnavailable",
          `the outbox has a schema of version ${newest + 1}, and this release knows ${newest}: it is left as it is`
        ]
      )
      assert.deepStrictEqual([yield* schemaOf(sql), yield* rowsOf(sql)], before)
    })
  )
})
