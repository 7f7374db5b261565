/** What operators see of a durable outbox, and how they carry its messages to another one. */
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as Analytics from "../src/Analytics.ts"
import * as OutboxPlace from "../src/cli/internal/OutboxPlace.ts"
import * as SqlOutbox from "../src/SqlOutbox.ts"
import { client, directory, type Wire, wire } from "./durable.ts"
import { Postgres } from "./Postgres.ts"
import { breathe, layerLog, lossesOf, numbered, pass, trackMany } from "./support.ts"

const operations = SqlOutbox.SqlOutbox
const flush = Analytics.Analytics.use((analytics) => analytics.flush)
const health = (options?: Parameters<SqlOutbox.Operations["health"]>[0]) =>
  operations.use((outbox) => outbox.health(options))

const life = <A, E, R>(
  path: string,
  over: Wire,
  body: Effect.Effect<A, E, R>,
  options: Omit<SqlOutbox.SqliteOptions, "directory"> = {}
) => Effect.provide(body, client(SqlOutbox.layerSqlite({ directory: path, ...options }), over))

const exported = (after?: number) => operations.use((outbox) => Stream.runCollect(outbox.exportLines({ after })))

describe("the health of an outbox", () => {
  it.effect("is good as long as messages leave, and not once the oldest waits for too long", () =>
    Effect.gen(function* () {
      const body = Effect.gen(function* () {
        assert.deepStrictEqual(yield* health(), { healthy: true })
        yield* trackMany(1, 1)
        yield* pass("90 seconds")
        assert.deepStrictEqual(yield* health({ maxOldestAge: "2 minutes" }), { healthy: true })
        assert.deepStrictEqual(yield* health({ maxOldestAge: "1 minute" }), {
          healthy: false,
          problem: "the oldest message has waited for 1m 30s"
        })
      })
      yield* life(
        yield* directory,
        wire(() => "never"),
        body
      )
    })
  )

  it.effect("is not good while no relay is there, and good again when one is", () =>
    Effect.gen(function* () {
      const writer = yield* Layer.build(Analytics.layerNoDeps().pipe(Layer.provideMerge(SqlOutbox.layerWriter())))
      const body = Effect.gen(function* () {
        assert.deepStrictEqual(yield* health(), { healthy: true })
        yield* trackMany(1, 1)
        assert.deepStrictEqual(yield* health(), { healthy: false, problem: "no relay delivers" })
        const outbox = yield* operations
        const relay = client(
          SqlOutbox.layer(),
          wire(() => "never")
        )
        const here = Effect.repeat(Effect.andThen(breathe, outbox.health()), { until: ({ healthy }) => healthy })
        assert.deepStrictEqual(yield* Effect.provide(here, relay), { healthy: true })
      })
      yield* Effect.provide(body, writer)
    }).pipe(Effect.provide(Layer.fresh(Postgres.layerClient)))
  )

  it.effect("is not good once the only relay has died, whose name is still there", () =>
    Effect.gen(function* () {
      const path = yield* directory
      const body = Effect.gen(function* () {
        yield* trackMany(1, 1)
        const database = new DatabaseSync(join(path, "outbox.db"))
        // As a relay leaves it that was killed: its lock has ended with its process.
        database.exec("UPDATE analytics_outbox_leader SET epoch = epoch + 1, holder = 'killed'")
        database.close()
        assert.strictEqual((yield* operations.use((outbox) => outbox.stats)).leader, "none")
        assert.deepStrictEqual(yield* health(), { healthy: false, problem: "no relay delivers" })
      })
      yield* life(path, wire(), body, { role: "writer" })
    })
  )

  it.effect("is not good where the outbox could not be opened, or is closed", () =>
    Effect.gen(function* () {
      const path = yield* directory
      const options = { file: `${path}/outbox.db/below.db`, fallback: "memory" } as const
      const memory = yield* Layer.build(
        Layer.provide(SqlOutbox.layerSqlite({ ...options, file: "/dev/null/x" }), layerLog([]))
      )
      assert.strictEqual((yield* Context.get(memory, operations).health()).healthy, false)
      const closed = yield* Effect.scoped(
        Effect.map(Layer.build(SqlOutbox.layerSqlite({ directory: path })), (context) =>
          Context.get(context, operations)
        )
      )
      assert.deepStrictEqual(yield* closed.health(), { healthy: false, problem: "the outbox is closed" })
    })
  )
})

describe("an operator of a file, who takes time", () => {
  it.effect("does not keep a program that starts meanwhile from delivering", () =>
    Effect.gen(function* () {
      const path = yield* directory
      yield* life(
        path,
        wire(() => "never"),
        trackMany(1, 1)
      )
      const opened = yield* OutboxPlace.open({ outbox: Redacted.make(path), table: undefined })
      yield* pass("1 minute")
      assert.strictEqual((yield* opened.stats).leader, "none")
      const over = wire()
      yield* life(path, over, Effect.andThen(trackMany(2, 2), flush))
      assert.deepStrictEqual(over.taken(), numbered(1, 2))
    })
  )
})

describe("the metrics of an outbox", () => {
  it.effect("are its pending messages, the age of the oldest, and whether this process delivers", () =>
    Effect.gen(function* () {
      const body = Effect.gen(function* () {
        yield* trackMany(1, 3)
        yield* pass("60 seconds")
        const snapshot = yield* Metric.snapshot
        const value = (id: string) => snapshot.find((metric) => metric.id === id)?.state
        assert.deepInclude(value("analytics_outbox_pending"), { value: 3 })
        assert.deepInclude(value("analytics_outbox_leader"), { value: 1 })
        const age = value("analytics_outbox_oldest_age_ms") as { readonly value: number }
        assert(age.value >= 40_000 && age.value <= 60_000, String(age.value))
      })
      yield* life(
        yield* directory,
        wire(() => "never"),
        body
      )
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map()))
  )
})

describe("a queue that is carried to another outbox", () => {
  it.effect("is delivered there in its order, whichever database it comes from, and each message once", () =>
    Effect.gen(function* () {
      const path = yield* directory
      const lines = yield* life(
        path,
        wire(() => "never"),
        Effect.andThen(trackMany(1, 1_200), exported())
      )
      assert.strictEqual(lines.length, 1_200)
      const over = wire()
      const body = Effect.gen(function* () {
        const outbox = yield* operations
        // As a file is read: in pieces, whatever the lines.
        const text = lines.join("")
        const pieces = Stream.fromIterable(text.match(/[\s\S]{1,5000}/g) ?? [])
        assert.deepStrictEqual(yield* outbox.importLines(pieces), { imported: 1_200, refused: 0 })
        yield* flush
      })
      yield* Effect.provide(
        body,
        client(Layer.provideMerge(SqlOutbox.layer(), Layer.fresh(Postgres.layerClient)), over)
      )
      assert.deepStrictEqual(over.taken(), numbered(1, 1_200))
      const ids = over.requests.flatMap(({ messages }) => messages.map((sent) => sent.messageId))
      assert.deepStrictEqual(
        ids,
        lines.map((line) => JSON.parse(line).message.messageId)
      )
    })
  )

  it.effect("can be resumed after a place, and imported twice", () =>
    Effect.gen(function* () {
      const path = yield* directory
      const body = Effect.gen(function* () {
        yield* trackMany(1, 10)
        const lines = yield* exported()
        const { seq } = JSON.parse(lines[3] as string)
        assert.deepStrictEqual(yield* exported(seq), lines.slice(4))
        const outbox = yield* operations
        assert.deepStrictEqual(yield* outbox.importLines(Stream.fromIterable(lines)), { imported: 10, refused: 0 })
        assert.strictEqual((yield* outbox.stats).pending, 10)
      })
      yield* life(
        path,
        wire(() => "never"),
        body
      )
    })
  )

  it.effect("is removed where it came from, up to a place, and reported as erased", () =>
    Effect.gen(function* () {
      const over = wire(() => "never")
      const body = Effect.gen(function* () {
        yield* trackMany(1, 1_200)
        const lines = yield* exported()
        const outbox = yield* operations
        assert.strictEqual(yield* outbox.removeExported({ through: JSON.parse(lines[999] as string).seq }), 1_000)
        assert.strictEqual((yield* outbox.stats).pending, 200)
        assert.deepStrictEqual(yield* exported(), lines.slice(1_000))
      })
      yield* life(yield* directory, over, body)
      assert(lossesOf(over.outcomes).every(([reason]) => reason === "erased"))
      assert.strictEqual(
        lossesOf(over.outcomes).reduce((sum, [, count]) => sum + count, 0),
        1_000
      )
    })
  )

  it.effect("refuses lines that are no messages, and takes the others", () =>
    Effect.gen(function* () {
      const path = yield* directory
      const [line] = yield* life(
        path,
        wire(() => "never"),
        Effect.andThen(trackMany(1, 1), exported())
      )
      const good = JSON.parse(line as string)
      const bad = [
        "not JSON",
        "null",
        JSON.stringify({ seq: 1 }),
        JSON.stringify({ seq: 1, message: { ...good.message, type: "delete" } }),
        JSON.stringify({ seq: 1, message: { ...good.message, messageId: 42 } }),
        JSON.stringify({ seq: 1, message: { ...good.message, userId: " " } }),
        JSON.stringify({ seq: 1, message: { ...good.message, properties: { large: "x".repeat(40_000) } } })
      ]
      const over = wire()
      const lines = Stream.fromIterable([...bad.map((text) => `${text}\n`), "\n", line as string])
      const body = operations.use((outbox) => outbox.importLines(lines))
      assert.deepStrictEqual(
        yield* life(
          yield* directory,
          over,
          Effect.tap(body, () => flush)
        ),
        { imported: 1, refused: 7 }
      )
      assert.deepStrictEqual(over.taken(), ["event 1"])
    })
  )

  it.effect("stops at the bound of the other outbox, and goes on when there is room", () =>
    Effect.gen(function* () {
      const path = yield* directory
      const lines = yield* life(
        path,
        wire(() => "never"),
        Effect.andThen(trackMany(1, 10), exported())
      )
      const over = wire()
      const body = Effect.gen(function* () {
        const outbox = yield* operations
        const error = yield* Effect.flip(outbox.importLines(Stream.fromIterable(lines)))
        assert.strictEqual(error._tag, "OutboxFull")
        yield* flush
        yield* Effect.ignore(outbox.importLines(Stream.fromIterable(lines.slice(4))))
        yield* flush
        yield* Effect.ignore(outbox.importLines(Stream.fromIterable(lines.slice(8))))
        yield* flush
      })
      yield* life(yield* directory, over, body, { maxQueueSize: 4 })
      assert.deepStrictEqual([...new Set(over.taken())], numbered(1, 10))
    })
  )
})
