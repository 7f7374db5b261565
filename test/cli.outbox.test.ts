/** `outbox`: what an operator sees of a durable outbox, and does with it, on SQLite and on PostgreSQL. */
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as PgClient from "@effect/sql-pg/PgClient"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as Analytics from "../src/Analytics.ts"
import * as SqlOutbox from "../src/SqlOutbox.ts"
import * as Transport from "../src/Transport.ts"
import { batchOf, directory, run, to } from "./cli.ts"
import { Postgres } from "./Postgres.ts"
import { peer } from "./support.ts"

const options = { timeout: 120_000 }

/** Three messages of u1 and two of u2 wait; two of u3 are dead letters. */
const fill = Effect.fnUntraced(function* (outbox: Parameters<typeof clientOver>[0]) {
  const refusing = yield* peer((response, { body }) => void response.writeHead(body.includes("u3") ? 400 : 503).end())
  yield* Effect.gen(function* () {
    const analytics = yield* Analytics.Analytics
    for (const event of ["d1", "d2"]) yield* analytics.track({ userId: "u3", event })
    yield* Effect.promise(() => refusing.until(1))
    yield* analytics.flush
  }).pipe(Effect.provide(clientOver(outbox, refusing.host)))
  yield* Effect.gen(function* () {
    const analytics = yield* Analytics.Analytics
    for (const userId of ["u1", "u2", "u1", "u2", "u1"]) yield* analytics.track({ userId, event: `of ${userId}` })
  }).pipe(Effect.provide(clientOver(outbox, refusing.host)))
})

const clientOver = (outbox: ReturnType<typeof SqlOutbox.layerSqlite>, host: string) =>
  Analytics.layerNoDeps({ closeTimeout: 0 }).pipe(
    Layer.provide(outbox),
    Layer.provide(Transport.layerFetch({ writeKey: Redacted.make("test-write-key"), host }))
  )

/** What every outbox does, wherever it is. */
const suite = (env: NodeJS.ProcessEnv, ...where: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const outbox = (...args: ReadonlyArray<string>) => run(["outbox", ...args, ...where], { env })
    const json = (...args: ReadonlyArray<string>) =>
      Effect.map(outbox(...args, "--json"), ({ code, stderr, stdout }) => {
        assert.deepStrictEqual([code, stderr], [0, ""])
        return JSON.parse(stdout)
      })
    const ndjson = (...args: ReadonlyArray<string>) =>
      Effect.map(outbox("export", ...args), ({ code, stderr, stdout }) => {
        assert.deepStrictEqual([code, stderr], [0, ""])
        return stdout === ""
          ? []
          : stdout
              .trimEnd()
              .split("\n")
              .map((line) => JSON.parse(line))
      })

    assert.deepInclude(yield* json("stats"), { pending: 5, dead: 2, leader: "none" })
    const people = yield* outbox("stats")
    assert.match(people.stdout, /\n {2}5 messages waiting, [\d,]+ bytes; the oldest for .*\n {2}2 dead letters\n/)

    const places = yield* ndjson()
    const waiting = places.map(({ message }) => message)
    assert.deepStrictEqual(
      waiting.map(({ event }) => event),
      ["of u1", "of u2", "of u1", "of u2", "of u1"]
    )
    // An export that was cut off goes on after its last line.
    assert.deepStrictEqual(yield* ndjson("--after", String(places[2].seq)), places.slice(3))
    const dead = yield* ndjson("--dead")
    assert.deepStrictEqual(dead.map(({ message, reason, status }) => [message.event, reason, status]).sort(), [
      ["d1", "rejected", 400],
      ["d2", "rejected", 400]
    ])

    // What is exported can be sent from here, with the ids that it has.
    const { host, received } = yield* peer()
    const exported = (yield* outbox("export")).stdout
    const cwd = yield* directory
    const imported = yield* run(["import", "-", "--json"], { cwd, env: to(host), stdin: exported })
    assert.deepInclude(JSON.parse(imported.stdout), { lines: 5, delivered: 5 })
    assert.deepStrictEqual(
      received
        .flatMap(batchOf)
        .map(({ messageId }) => messageId)
        .sort(),
      waiting.map(({ messageId }) => messageId).sort()
    )

    const unsure = yield* outbox("purge", "--user", "u2")
    assert.deepStrictEqual([unsure.code, unsure.stdout], [2, ""])
    assert.match(unsure.stderr, /this would delete every message of this user in .*\n {2}To do so: --yes/)
    assert.deepStrictEqual(yield* json("purge", "--user", "u2", "--yes"), { deleted: { pending: 2, dead: 0 } })
    assert.deepStrictEqual(yield* json("purge", "--dead", "--older-than", "1 day", "--yes"), { deleted: { dead: 0 } })
    assert.deepStrictEqual(yield* json("retry"), { retried: 2 })
    assert.deepInclude(yield* json("stats"), { pending: 5, dead: 0 })
    assert.deepStrictEqual(yield* ndjson("--dead"), [])
    assert.deepStrictEqual(yield* json("purge", "--dead", "--yes"), { deleted: { dead: 0 } })

    // It can be carried to another outbox, and removed here: what was written meanwhile stays.
    const carried = yield* ndjson()
    const file = Path.join(cwd, "queue.ndjson")
    Fs.writeFileSync(file, exported)
    const elsewhere = yield* directory
    yield* Effect.scoped(Layer.build(SqlOutbox.layerSqlite({ directory: elsewhere })))
    const there = (...args: ReadonlyArray<string>) => run(["outbox", ...args, "--outbox", elsewhere])
    const stored = yield* there("import", file)
    assert.deepStrictEqual([stored.code, stored.stdout], [0, "stored 5 messages\n"])
    const again = yield* run(["outbox", "import", "-", "--json", "--outbox", elsewhere], {
      stdin: `${exported}{"seq":1}\n`
    })
    assert.deepStrictEqual([again.code, JSON.parse(again.stdout)], [3, { imported: 5, refused: 1 }])
    assert.deepStrictEqual(
      (yield* there("export")).stdout
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line).message),
      waiting
    )
    assert.deepStrictEqual(yield* json("purge", "--through", String(carried[2].seq), "--yes"), {
      deleted: { pending: 3 }
    })
    assert.deepStrictEqual(yield* ndjson(), carried.slice(3))
  })

describe("outbox", options, () => {
  it.live("in a file of SQLite", () =>
    Effect.gen(function* () {
      const path = yield* directory
      yield* fill(SqlOutbox.layerSqlite({ directory: path }))
      yield* suite({}, "--outbox", path)
    })
  )

  it.live("that a client has by its environment", () =>
    Effect.gen(function* () {
      const path = yield* directory
      yield* Effect.scoped(Layer.build(SqlOutbox.layerSqlite({ directory: path })))
      const env = { ANALYTICS_OUTBOX: "sqlite", ANALYTICS_OUTBOX_DIRECTORY: path }
      const { stdout } = yield* run(["outbox", "stats", "--json"], { env })
      assert.deepInclude(JSON.parse(stdout), { pending: 0, dead: 0 })
    })
  )

  it.live("in PostgreSQL, named by the environment, in tables of another name", () =>
    Effect.gen(function* () {
      const url = yield* Postgres.scopedDatabase
      const client = PgClient.layer({ url: Redacted.make(url) })
      yield* fill(SqlOutbox.layer({ table: "events_out" }).pipe(Layer.provide(client), Layer.orDie))
      yield* suite({ ANALYTICS_OUTBOX: url }, "--table", "events_out")
      const other = yield* run(["outbox", "stats"], { env: { ANALYTICS_OUTBOX: url } })
      assert.strictEqual(other.code, 1)
      assert.match(
        other.stderr,
        /holds no outbox called analytics_outbox\n {2}Give the name of its tables with --table/
      )
      assert.notInclude(other.stderr, new URL(url).password)
    })
  )

  it.live("that is not there is not made, and a file that is something else is left alone", () =>
    Effect.gen(function* () {
      const path = yield* directory
      const missing = yield* run(["outbox", "stats", "--outbox", path])
      assert.deepStrictEqual([missing.code, Fs.readdirSync(path)], [1, []])
      assert.match(missing.stderr, /outbox\.db is not there/)
      const text = Path.join(path, "notes.txt")
      Fs.writeFileSync(text, "something else\n".repeat(100))
      const other = yield* run(["outbox", "stats", "--outbox", text])
      assert.deepStrictEqual([other.code, Fs.readdirSync(path)], [1, ["notes.txt"]])
      const nowhere = yield* run(["outbox", "stats", "--outbox", "postgres://u:test-password@127.0.0.1:1/db"])
      assert.strictEqual(nowhere.code, 1)
      assert.match(nowhere.stderr, /127\.0\.0\.1:1\/db can't be r/)
      assert.notInclude(nowhere.stderr, "test-password")
      assert.strictEqual((yield* run(["outbox", "stats"])).code, 2)
    })
  )

  it.live("is exported in constant memory: its pages are read one after the other", () =>
    Effect.gen(function* () {
      const path = yield* directory
      const outbox = SqlOutbox.layerSqlite({ directory: path })
      const count = 1_203
      yield* Effect.gen(function* () {
        const analytics = yield* Analytics.Analytics
        yield* Effect.forEach(
          Array.from({ length: count }, (_, n) => n),
          (n) => analytics.track({ userId: `u${n % 5}`, event: `event ${n}` }),
          { concurrency: "unbounded", discard: true }
        )
      }).pipe(Effect.provide(clientOver(outbox, "http://127.0.0.1:1")))
      const { stdout } = yield* run(["outbox", "export", "--outbox", path])
      const events = stdout
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line).message.event)
      assert.deepStrictEqual([events.length, new Set(events).size], [count, count])
      // A reader that stops after three messages has read one page.
      const first = yield* SqlOutbox.SqlOutbox.use(({ pendingMessages }) =>
        Stream.runCollect(Stream.take(pendingMessages, 3))
      ).pipe(Effect.provide(outbox))
      assert.deepStrictEqual(
        Array.from(first, (message) => message.type),
        ["track", "track", "track"]
      )
    })
  )
})
