/** What a durable outbox owes in the corners: calls on their way when it closes, what is erased or evicted while it is sent. */

import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as SqlClient from "effect/sql/SqlClient"
import * as TestClock from "effect/testing/TestClock"
import * as Analytics from "../src/Analytics.ts"
import * as Observer from "../src/Observer.ts"
import * as Outbox from "../src/Outbox.ts"
import * as Outcome from "../src/Outcome.ts"
import { createAnalytics } from "../src/plain.ts"
import * as SqlOutbox from "../src/SqlOutbox.ts"
import { sqlite } from "../src/sqlite.ts"
import { client, directory, type Wire, wire } from "./durable.ts"
import { invalidSettingOf, reasonOf } from "./errors.ts"
import { Postgres } from "./Postgres.ts"
import {
  breathe,
  chance,
  elapse,
  type Line,
  layerLog,
  lossesOf,
  message,
  numbered,
  pass,
  trackMany
} from "./support.ts"

const track = (event: string, userId = "u1") =>
  Analytics.Analytics.use((analytics) => analytics.track({ userId, event }))
const operations = SqlOutbox.SqlOutbox
const stats = Analytics.Analytics.use((analytics) => analytics.stats)

const life = <A, E, R>(
  path: string,
  over: Wire,
  body: Effect.Effect<A, E, R>,
  options: Omit<SqlOutbox.SqliteOptions, "directory"> = {},
  closeTimeout = 0
) => Effect.provide(body, client(SqlOutbox.layerSqlite({ directory: path, ...options }), over, { closeTimeout }))

/** Every message that was told an end, each as often as it was told. */
const told = ({ outcomes }: Wire) =>
  outcomes.flatMap((outcome) => ("messages" in outcome ? outcome.messages.map(({ messageId }) => messageId) : []))

describe("a durable client that closes", () => {
  it.effect("delivers the calls that are on their way, and takes no longer than that", () =>
    Effect.gen(function* () {
      const path = yield* directory
      const over = wire()
      const body = Effect.gen(function* () {
        const calls = yield* Effect.forEach(numbered(1, 3), (event) => Effect.forkChild(track(event)))
        const analytics = yield* Analytics.Analytics
        yield* Effect.yieldNow
        const closing = yield* Effect.forkChild(analytics.close)
        yield* Effect.forEach(calls, Fiber.join)
        yield* breathe
        assert.deepStrictEqual(yield* Fiber.join(closing), { delivered: 3, dropped: 0, rejected: 0, pending: 0 })
      })
      yield* life(path, over, body, {}, 75_000)
      assert.deepStrictEqual(over.taken(), numbered(1, 3))
    })
  )

  it.effect("does not wait for what another relay has to deliver", () =>
    Effect.gen(function* () {
      const path = yield* directory
      const [slow, other] = [wire(() => "never"), wire()]
      const inner = Effect.gen(function* () {
        yield* track("event 1")
        const analytics = yield* Analytics.Analytics
        assert.deepStrictEqual(yield* analytics.close, { delivered: 0, dropped: 0, rejected: 0, pending: 1 })
        assert.strictEqual((yield* analytics.stats).pending, 1)
      })
      yield* life(path, slow, Effect.andThen(pass("1 second"), life(path, other, inner, {}, 75_000)))
    })
  )

  it.effect("answers to whoever flushes, asks or calls afterwards, and does not open the file again", () =>
    Effect.gen(function* () {
      const path = yield* directory
      const scope = yield* Scope.make()
      const services = yield* Layer.buildWithScope(
        client(
          SqlOutbox.layerSqlite({ directory: path }),
          wire(() => "never"),
          { closeTimeout: 0 }
        ),
        scope
      )
      const after = Effect.gen(function* () {
        const analytics = yield* Analytics.Analytics
        assert.deepInclude(yield* analytics.flush, { delivered: 0, dropped: 0, pending: 2 })
        assert.strictEqual((yield* reasonOf(track("late")))._tag, "Closed")
      })
      yield* Effect.provide(
        Effect.andThen(
          trackMany(1, 2),
          Analytics.Analytics.use((one) => one.close)
        ),
        services
      )
      yield* Effect.provide(after, services)
      yield* Scope.close(scope, Exit.void)
      yield* Effect.provide(after, services)
      const outbox = yield* Effect.provide(operations, services)
      assert.strictEqual((yield* Effect.flip(outbox.stats)).message, "the outbox is closed")
    })
  )
})

describe("a flush of a durable outbox", () => {
  it.effect("is not over before the observer was told, though nothing is left in the database", () =>
    Effect.gen(function* () {
      const path = yield* directory
      const gate = yield* Deferred.make<void>()
      const told: Array<string> = []
      const observer = Observer.layer((outcome) =>
        Effect.andThen(
          Deferred.await(gate),
          Effect.sync(() => void told.push(outcome._tag))
        )
      )
      const body = Effect.gen(function* () {
        const outbox = yield* Outbox.Outbox
        yield* outbox.offer(message("event 1"))
        const messages = yield* outbox.take(1)
        const flush = yield* Effect.forkChild(Effect.map(outbox.flush(), (flushed) => ({ flushed, told: told.length })))
        yield* breathe
        yield* Effect.forkChild(outbox.settle(Outcome.Outcome.Delivered({ messages, status: 200, attempts: 1 })))
        // Somebody looks: the row is gone.
        yield* pass("1 second")
        assert.strictEqual((yield* outbox.counts).pending, 0)
        assert.isUndefined(flush.pollUnsafe())
        yield* Deferred.succeed(gate, undefined)
        assert.deepStrictEqual(yield* Fiber.join(flush), { flushed: { delivered: 1, dropped: 0, pending: 0 }, told: 1 })
      })
      const outbox = SqlOutbox.layerSqlite({ directory: path })
      yield* Effect.provide(body, Layer.provide(outbox, observer))
    })
  )
})

describe("a message that is erased", () => {
  it.effect("is not sent any more, though it was tried before", () =>
    Effect.gen(function* () {
      const path = yield* directory
      let isDown = true
      const over = wire(() => (isDown ? 503 : 200))
      const body = Effect.gen(function* () {
        yield* track("event", "gone")
        yield* track("event", "here")
        yield* elapse("1 minute", "1 second")
        assert.deepStrictEqual(yield* operations.use((outbox) => outbox.purgeUser("gone")), { pending: 1, dead: 0 })
        const before = over.requests.length
        isDown = false
        yield* elapse("10 minutes", "10 seconds")
        const users = over.requests.slice(before).flatMap(({ messages }) => messages.map(({ userId }) => userId))
        assert.deepStrictEqual(users, ["here"])
        assert.include(yield* stats, { offered: 2, pending: 0, dropped: 1, delivered: 1 })
      })
      yield* life(path, over, body)
      assert.strictEqual(new Set(told(over)).size, told(over).length)
    })
  )

  it.effect("takes nobody with it: the rest of its batch is delivered", () =>
    Effect.gen(function* () {
      const path = yield* directory
      let isErased = false
      const over = wire((events) => (events.length > 1 ? 400 : isErased ? 200 : 503))
      const body = Effect.gen(function* () {
        // One transaction, and so one batch; it is halved, and its first half fails until it is erased.
        yield* Effect.all([track("event", "gone"), track("event", "here")], { concurrency: 2 })
        yield* elapse("10 seconds", "1 second")
        yield* operations.use((outbox) => outbox.purgeUser("gone"))
        isErased = true
        yield* elapse("10 minutes", "10 seconds")
        assert.include(yield* stats, { offered: 2, pending: 0, dropped: 1, delivered: 1 })
      })
      yield* life(path, over, body)
      assert.strictEqual(over.requests[0]?.events.length, 2)
      assert.deepStrictEqual(over.taken(), ["event"])
    })
  )
})

describe("the files of an outbox", () => {
  it.effect("hold nothing of a user who is erased, while the outbox is in use", () =>
    Effect.gen(function* () {
      const path = yield* directory
      const users = Array.from({ length: 30 }, (_, n) => `user${n}@example.com`)
      const copies = (text: string) => readdirSync(path).filter((file) => readFileSync(join(path, file)).includes(text))
      const body = Effect.gen(function* () {
        const analytics = yield* Analytics.Analytics
        const outbox = yield* operations
        for (let n = 0; n < 40; n++) {
          const calls = users.map((userId, k) => ({ userId, event: "x".repeat((37 * (n * 30 + k)) % 600) || "x" }))
          yield* Effect.forEach(calls, analytics.track, { concurrency: "unbounded", discard: true })
        }
        // SQLite moves messages between its pages, and leaves copies behind, when others are deleted here and there.
        const database = new DatabaseSync(join(path, "outbox.db"))
        database.exec("PRAGMA secure_delete = ON")
        const remove = database.prepare("DELETE FROM analytics_outbox WHERE seq = ?")
        for (let n = 0; n < 600; n++) remove.run(1 + ((n * 7_919) % 1_200))
        database.close()
        for (const user of users.slice(0, 20)) {
          assert.isNotEmpty(copies(user))
          assert.isAbove((yield* outbox.purgeUser(user)).pending, 0)
          assert.deepStrictEqual(copies(user), [], user)
        }
        assert.isAbove((yield* outbox.stats).pending, 0)
      })
      const other = life(
        path,
        wire(() => "never"),
        body
      )
      yield* life(
        path,
        wire(() => "never"),
        other
      )
    })
  )
})

/** Databases that two processes share. */
const shared = [
  [
    "SQLite",
    Effect.map(
      directory,
      (path) =>
        (options: SqlOutbox.Options = {}) =>
          SqlOutbox.layerSqlite({ directory: path, ...options })
    )
  ],
  [
    "PostgreSQL",
    Effect.map(
      Layer.build(Layer.fresh(Postgres.layerClient)),
      (context) =>
        (options: SqlOutbox.Options = {}) =>
          Layer.provide(SqlOutbox.layer(options), Layer.succeedContext(context))
    )
  ]
] as const

describe.each(shared)("a message in %s that another process removes", (_, place) => {
  const removals = {
    "by the erasure of its user": (outbox: SqlOutbox.Operations) =>
      Effect.map(outbox.purgeUser("gone"), ({ pending }) => pending),
    "once it is exported": (outbox: SqlOutbox.Operations) =>
      Effect.flatMap(Stream.runCollect(Stream.take(outbox.exportLines(), 30)), (lines) =>
        outbox.removeExported({ through: JSON.parse(lines.at(-1) as string).seq })
      )
  }
  for (const [how, remove] of Object.entries(removals)) {
    it.effect(`is not sent any more, ${how}, though the relay has read it`, () =>
      Effect.gen(function* () {
        const outbox = (yield* place)()
        let isDown = true
        const [over, other] = [wire(() => (isDown ? 503 : 200)), wire()]
        const body = Effect.gen(function* () {
          for (let n = 1; n <= 30; n++) yield* track(`event ${n}`, "gone")
          yield* track("event 31", "here")
          yield* Effect.repeat(pass("1 second"), { until: () => over.requests.length > 0 })
          const operator = Effect.flatMap(operations, remove)
          const removed = yield* Effect.provide(operator, client(Layer.fresh(outbox), other))
          assert.strictEqual(removed, 30)
          isDown = false
          const flushing = yield* Effect.forkChild(Analytics.Analytics.use((analytics) => analytics.flush))
          yield* Effect.repeat(pass("10 seconds"), { until: () => flushing.pollUnsafe() !== undefined })
          // What another process removed is seen at the next count.
          yield* Effect.repeat(Effect.andThen(pass("10 seconds"), stats), { until: ({ pending }) => pending === 0 })
          assert.include(yield* stats, { delivered: 1, inFlight: 0 })
        })
        yield* Effect.provide(body, client(outbox, over, { closeTimeout: 0, batchSize: 10 }))
        assert.deepStrictEqual(over.taken(), ["event 31"])
        assert.deepStrictEqual(
          lossesOf(other.outcomes).map(([reason]) => reason),
          ["erased"]
        )
        assert.deepStrictEqual(lossesOf(over.outcomes), [])
      })
    )
  }
})

describe.each(shared)("a process that writes to %s, where another one delivers,", (_, place) => {
  /** The other one delivers to `over`. */
  const beside = Effect.fnUntraced(function* <A, E>(
    over: Wire,
    body: Effect.Effect<A, E, Analytics.Analytics | Outbox.Outbox>,
    options: SqlOutbox.Options = {}
  ) {
    const outbox = yield* place
    const leads = Effect.repeat(
      Effect.andThen(
        breathe,
        operations.use((one) => one.stats)
      ),
      { until: ({ leader }) => leader === "here" }
    )
    const writes = Effect.provide(body, client(Layer.fresh(outbox(options)), wire(), { closeTimeout: 0 }))
    return yield* Effect.provide(
      Effect.andThen(leads, writes),
      client(Layer.fresh(outbox()), over, { closeTimeout: 0 })
    )
  })

  it.effect("flushes, and counts as dropped what the other one has made a dead letter of", () =>
    Effect.gen(function* () {
      let isDown = true
      const over = wire((events) => (isDown ? 503 : events.includes("bad") ? 400 : 200))
      const body = Effect.gen(function* () {
        yield* Effect.forEach(["bad", "event 1", "bad", "event 2"], (event) => track(event), { discard: true })
        const flush = Analytics.Analytics.use((analytics) => analytics.flush)
        const flushed = yield* Effect.forkChild(flush)
        yield* Outbox.Outbox.use(({ flushRequested }) => flushRequested)
        isDown = false
        yield* Effect.repeat(pass("1 second"), { until: () => flushed.pollUnsafe() !== undefined })
        const { delivered, dropped, pending } = yield* Fiber.join(flushed)
        assert.deepStrictEqual([delivered, dropped, pending], [2, 2, 0])
        // Those of the first flush are not counted again.
        yield* track("event 3")
        const again = yield* Effect.forkChild(flush)
        yield* Effect.repeat(pass("1 second"), { until: () => again.pollUnsafe() !== undefined })
        assert.deepInclude(yield* Fiber.join(again), { delivered: 1, dropped: 0 })
      })
      yield* beside(over, body)
    })
  )

  it.effect("has room again as soon as the other one has made it", () =>
    Effect.gen(function* () {
      const over = wire()
      const body = Effect.gen(function* () {
        yield* trackMany(1, 3)
        yield* Effect.repeat(pass("200 millis"), { until: () => over.taken().length === 3 })
        // A count may be a second old.
        yield* pass("1 second")
        yield* trackMany(4, 6)
        yield* Effect.repeat(pass("200 millis"), { until: () => over.taken().length === 6 })
      })
      yield* beside(over, body, { maxQueueSize: 3 })
    })
  )
})

describe.each(shared)("the state of a message in %s", (_, place) => {
  it.effect("is known to a process that does not settle it", () =>
    Effect.gen(function* () {
      const outbox = (yield* place)()
      let isDown = true
      const [over, other] = [wire((events) => (isDown ? 503 : events.includes("bad") ? 400 : 200)), wire()]
      const stateOf = (messageId: string) =>
        Outbox.Outbox.use(({ durable }) => durable?.stateOf(messageId) ?? Effect.die("not durable"))
      const make = (event: string, messageId: string) =>
        Analytics.Analytics.use((analytics) => analytics.track({ userId: "u1", event, messageId }))
      const writer = Effect.gen(function* () {
        yield* make("good", "id\\1")
        yield* make("bad", "id\u00002")
        assert.deepStrictEqual([yield* stateOf("id\\1"), yield* stateOf("id\u00002")], ["pending", "pending"])
        isDown = false
        yield* Effect.repeat(pass("1 second"), { until: () => over.outcomes.length === 2 })
        assert.strictEqual(yield* stateOf("id\\1"), "gone")
        assert.deepInclude(yield* stateOf("id\u00002"), { reason: "rejected", status: 400 })
        // Made again, it waits again.
        isDown = true
        yield* make("bad", "id\u00002")
        assert.strictEqual(yield* stateOf("id\u00002"), "pending")
        assert.deepStrictEqual(other.outcomes, [])
      })
      const body = Effect.provide(writer, client(Layer.fresh(outbox), other, { closeTimeout: 0 }))
      const leads = Effect.repeat(
        Effect.andThen(
          breathe,
          operations.use((one) => one.stats)
        ),
        { until: ({ leader }) => leader === "here" }
      )
      yield* Effect.provide(Effect.andThen(leads, body), client(outbox, over, { closeTimeout: 0 }))
    })
  )

  it.effect("ends a confirmed call, whichever process settles it", () =>
    Effect.gen(function* () {
      const outbox = (yield* place)()
      const [over, other] = [wire((events) => (events.includes("bad") ? 400 : 200)), wire()]
      const writer = Effect.gen(function* () {
        const send = (event: string) => Effect.exit(Analytics.confirmed.track({ userId: "u1", event }))
        const calls = yield* Effect.forkChild(Effect.all([send("good"), send("bad")], { concurrency: "unbounded" }))
        yield* Effect.repeat(pass("1 second"), { until: () => calls.pollUnsafe() !== undefined })
        const [good, bad] = yield* Fiber.join(calls)
        assert.isTrue(Exit.isSuccess(good))
        assert.deepInclude(yield* reasonOf(bad), {
          reason: "rejected",
          status: 400
        })
        assert.deepStrictEqual(other.outcomes, [])
      })
      const body = Effect.provide(writer, client(Layer.fresh(outbox), other, { closeTimeout: 0 }))
      const leads = Effect.repeat(
        Effect.andThen(
          breathe,
          operations.use((one) => one.stats)
        ),
        { until: ({ leader }) => leader === "here" }
      )
      yield* Effect.provide(Effect.andThen(leads, body), client(outbox, over, { closeTimeout: 0 }))
    })
  )
})

describe("a confirmed call", () => {
  it.effect("in a transaction is refused: it would wait for its own commit", () =>
    Effect.gen(function* () {
      const over = wire()
      const body = Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const call = Analytics.confirmed.track({ userId: "u1", event: "paid" })
        const error = yield* reasonOf(sql.withTransaction(call))
        assert.strictEqual(
          error.message,
          "the outbox can't confirm a call inside of a transaction: it is delivered after the commit"
        )
        yield* sql.withTransaction(track("event 1"))
        yield* Analytics.Analytics.use((analytics) => analytics.flush)
        assert.deepStrictEqual(over.taken(), ["event 1"])
      })
      const outbox = SqlOutbox.layer()
      yield* Effect.provide(body, client(Layer.provideMerge(outbox, Layer.fresh(Postgres.layerClient)), over))
    })
  )

  it.effect("whose file is removed while it waits is told so, and not that its message is delivered", () =>
    Effect.gen(function* () {
      const path = yield* directory
      const body = Effect.gen(function* () {
        const call = yield* Effect.forkChild(Effect.exit(Analytics.confirmed.track({ userId: "u1", event: "paid" })))
        const pending = Effect.map(stats, (found) => found.pending)
        yield* Effect.repeat(Effect.andThen(breathe, pending), { until: (count) => count === 1 })
        rmSync(path, { recursive: true })
        yield* Effect.repeat(pass("1 second"), { until: () => call.pollUnsafe() !== undefined })
        assert.deepInclude(yield* reasonOf(yield* Fiber.join(call)), {
          reason: "broken",
          detail: "the outbox was replaced"
        })
      })
      yield* life(
        path,
        wire(() => "never"),
        body,
        { role: "writer" }
      )
    })
  )
})

describe("a relay that can't confirm in time that it is the leader", () => {
  it.effect("delivers what it held, once the database answers again", () =>
    Effect.gen(function* () {
      const path = yield* directory
      const over = wire((_, before) => (before < 3 ? 503 : 200))
      const body = Effect.gen(function* () {
        yield* trackMany(1, 3)
        // The next attempt is due later than a confirmation holds.
        yield* Effect.repeat(pass("1 second"), { until: () => over.requests.length === 3 })
        const other = new DatabaseSync(join(path, "outbox.db"))
        other.exec("BEGIN IMMEDIATE")
        yield* elapse("8 seconds", "200 millis")
        other.exec("ROLLBACK")
        other.close()
        yield* elapse("1 minute", "1 second")
        assert.deepStrictEqual(over.taken(), numbered(1, 3))
        assert.include(yield* stats, { pending: 0, inFlight: 0 })
      })
      yield* life(path, over, body, { lease: "2 seconds", commitTimeout: "40 millis" })
    }).pipe(Effect.provide(chance(1)))
  )
})

describe("drop-oldest of a durable outbox", () => {
  it.live("tells each message one end, while a relay delivers at the same time", () =>
    Effect.gen(function* () {
      const over = wire()
      const body = Effect.gen(function* () {
        // Where all that waits is on its way, the newest is refused.
        yield* Effect.forEach(numbered(1, 1_500), (event, n) => Effect.exit(track(event, `user ${n % 7}`)), {
          concurrency: 50,
          discard: true
        })
        yield* Analytics.Analytics.use((analytics) => analytics.flush)
        const { delivered, dropped, offered, pending, rejected } = yield* stats
        assert.deepStrictEqual([offered, pending, delivered + dropped + rejected], [1_500, 0, 1_500])
        assert(dropped > 0 && delivered > 0, `${dropped} ${delivered}`)
        return delivered + dropped
      })
      const outbox = SqlOutbox.layer({ maxQueueSize: 30, overflow: "drop-oldest" })
      const ended = yield* Effect.provide(
        body,
        client(Layer.provideMerge(outbox, Layer.fresh(Postgres.layerClient)), over, { closeTimeout: 5_000 })
      )
      const ids = told({ ...over, outcomes: over.outcomes.filter(({ _tag }) => _tag !== "Refused") })
      assert.strictEqual(ids.length, ended)
      assert.strictEqual(new Set(ids).size, ended)
    })
  )

  it.effect("evicts nothing in a transaction: what is rolled back would be there again", () =>
    Effect.gen(function* () {
      const over = wire(() => "never")
      const body = Effect.gen(function* () {
        yield* trackMany(1, 2)
        const sql = yield* SqlClient.SqlClient
        const error = yield* reasonOf(sql.withTransaction(track("event 3")))
        assert.include({ ...error }, { _tag: "OutboxFull", bound: "maxQueueSize", limit: 2 })
        assert.deepStrictEqual(lossesOf(over.outcomes), [])
      })
      const outbox = SqlOutbox.layer({ maxQueueSize: 2, overflow: "drop-oldest" })
      yield* Effect.provide(body, client(Layer.provideMerge(outbox, Layer.fresh(Postgres.layerClient)), over))
    })
  )
})

describe("a call in a transaction that commits late", () => {
  it.live("is delivered before what its user does afterwards, whatever of others was read meanwhile", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const over = wire()
      const body = Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const written = yield* Deferred.make<void>()
        const late = yield* Effect.forkChild(
          sql.withTransaction(
            Effect.gen(function* () {
              yield* track("first", "alice")
              yield* Deferred.succeed(written, undefined)
              yield* Deferred.await(gate)
            })
          )
        )
        yield* Deferred.await(written)
        yield* Effect.forEach(numbered(1, 700), (event) => track(event, "bob"), { concurrency: 100, discard: true })
        yield* Deferred.succeed(gate, undefined)
        yield* Fiber.join(late)
        yield* track("second", "alice")
        yield* Analytics.Analytics.use((analytics) => analytics.flush)
      })
      const outbox = SqlOutbox.layer()
      yield* Effect.provide(
        body,
        client(Layer.provideMerge(outbox, Layer.fresh(Postgres.layerClient)), over, { batchSize: 50 })
      )
      const alice = over.taken().filter((event) => event === "first" || event === "second")
      assert.deepStrictEqual(alice, ["first", "second"])
      assert.strictEqual(over.taken().length, 702)
    })
  )
})

describe("an outbox that can't be opened", () => {
  /** A schema of the future. */
  const futuristic = (path: string) => {
    const database = new DatabaseSync(join(path, "outbox.db"))
    database.exec(`CREATE TABLE analytics_outbox_migrations
      (migration_id INTEGER PRIMARY KEY, created_at TEXT NOT NULL DEFAULT current_timestamp, name TEXT NOT NULL)`)
    database.exec("INSERT INTO analytics_outbox_migrations (migration_id, name) VALUES (99, 'future')")
    database.close()
  }

  it.effect("is replaced by a queue in memory where that was asked for, and the log says so", () =>
    Effect.gen(function* () {
      const path = yield* directory
      futuristic(path)
      const over = wire()
      const lines: Array<Line> = []
      yield* Effect.provide(
        life(
          path,
          over,
          Effect.andThen(
            trackMany(1, 2),
            Analytics.Analytics.use((one) => one.flush)
          ),
          {
            fallback: "memory"
          }
        ),
        layerLog(lines)
      )
      assert.deepStrictEqual(over.taken(), numbered(1, 2))
      const [said] = lines.filter(({ level }) => level === "Error")
      assert.include(said?.text, "messages wait in memory, and are lost when the process ends")
    })
  )

  it.effect("is never replaced in a process that only writes, or only delivers: nobody would deliver, or write", () =>
    Effect.gen(function* () {
      const options = { fallback: "memory" } as object
      const layer = Layer.provide(SqlOutbox.layerWriter(options), Layer.fresh(Postgres.layerClient))
      const error = yield* invalidSettingOf(Effect.scoped(Layer.build(layer)))
      assert.strictEqual(error.setting, "fallback")
    })
  )

  it("because another process writes: the plain client waits for it a while, and throws by name", async () => {
    const path = await Effect.runPromise(Effect.scoped(Effect.map(directory, (it) => `${it}-locked`)))
    mkdirSync(path)
    const other = new DatabaseSync(join(path, "outbox.db"))
    other.exec("BEGIN EXCLUSIVE")
    const again = () => createAnalytics({ writeKey: "k", outbox: sqlite({ directory: path }), onError: () => {} })
    assert.throws(again, /the outbox failed \(LockTimeoutError\) \(SQLITE 5\)/)
    other.exec("ROLLBACK")
    other.close()
    await again().close()
  })
})

describe("a dead letter that is retried", () => {
  it.effect("is as old as its retry", () =>
    Effect.gen(function* () {
      const path = yield* directory
      const over = wire((_, before) => (before === 0 ? 400 : 200))
      const body = Effect.gen(function* () {
        yield* trackMany(1, 1)
        yield* Analytics.Analytics.use((analytics) => analytics.flush)
        yield* TestClock.adjust("2 hours")
        assert.strictEqual(yield* operations.use((outbox) => outbox.retryDead), 1)
        yield* Analytics.Analytics.use((analytics) => analytics.flush)
      })
      yield* life(path, over, body, { maxAge: "1 hour", pollInterval: "10 minutes", lease: "1 hour" })
      assert.deepStrictEqual(over.taken(), ["event 1"])
    })
  )
})
