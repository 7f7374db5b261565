import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Reactivity from "effect/reactivity/Reactivity"
import * as Scope from "effect/Scope"
import * as SqlClient from "effect/sql/SqlClient"
import * as TestClock from "effect/testing/TestClock"
import * as Analytics from "../src/Analytics.ts"
import * as SqliteClient from "../src/SqlOutbox/SqliteClient.ts"
import * as SqlOutbox from "../src/SqlOutbox.ts"
import { client, directory, transport, type Wire, wire } from "./durable.ts"
import { reasonOf } from "./errors.ts"
import { outboxSuite } from "./outboxSuite.ts"
import { Postgres } from "./Postgres.ts"
import { breathe, elapse, type Line, layerLog, lossesOf, numbered, pass, trackMany } from "./support.ts"

outboxSuite(
  "SQLite",
  (options) => Layer.unwrap(Effect.map(directory, (path) => SqlOutbox.layerSqlite({ directory: path, ...options }))),
  { full: "OutboxFull", lasting: true, breathe }
)

/** What another process does takes time that no false clock knows: as many questions as it takes answers. */
const breatheInPostgres = Effect.gen(function* () {
  const sql = yield* Effect.serviceOption(SqlClient.SqlClient)
  if (sql._tag === "Some") yield* Effect.repeat(Effect.andThen(breathe, sql.value`SELECT 1`), { times: 20 })
}).pipe(Effect.orDie)

const postgres = (options?: SqlOutbox.Options) =>
  Layer.provideMerge(SqlOutbox.layer(options), Layer.fresh(Postgres.layerClient))

outboxSuite("PostgreSQL", postgres, { full: "OutboxFull", lasting: true, breathe: breatheInPostgres })

// ---------------------------------------------------------------------------------------------------------------------
// Lives of one outbox
// ---------------------------------------------------------------------------------------------------------------------

/** A life of a client on the outbox in this directory. */
const life = <A, E, R>(
  path: string,
  over: Wire,
  body: Effect.Effect<A, E, R>,
  options: Omit<SqlOutbox.SqliteOptions, "directory"> = {}
) => Effect.provide(body, client(SqlOutbox.layerSqlite({ directory: path, ...options }), over))

const track = (event: string, userId = "u1") =>
  Analytics.Analytics.use((analytics) => analytics.track({ userId, event }))
const flush = Analytics.Analytics.use((analytics) => analytics.flush)
const stats = Analytics.Analytics.use((analytics) => analytics.stats)
const operations = SqlOutbox.SqlOutbox

/** Days pass sooner where nobody looks every second. */
const patient = { pollInterval: "10 minutes", lease: "1 hour", synchronous: "normal" } as const

/** Lets everything happen that waits for nothing longer than this. */
const awhile = elapse("10 minutes", "10 seconds")

/** Why messages were lost, each. */
const lost = (over: Wire) => lossesOf(over.outcomes).flatMap(([reason, count]) => Array<string>(count).fill(reason))

const never = () => wire(() => "never")
const down = (status: number) => wire(() => status)

describe("SqlOutbox: what is accepted", () => {
  it.effect("is there in the next life, and delivered then, in its order", () =>
    Effect.gen(function* () {
      const path = yield* directory
      yield* life(path, never(), trackMany(1, 3))
      const second = wire()
      assert.deepStrictEqual(yield* life(path, second, flush), { delivered: 3, dropped: 0, rejected: 0, pending: 0 })
      assert.deepStrictEqual(second.taken(), numbered(1, 3))
      const third = wire()
      assert.deepStrictEqual(yield* life(path, third, flush), { delivered: 0, dropped: 0, rejected: 0, pending: 0 })
      assert.deepStrictEqual(third.requests, [])
    })
  )

  it.effect("has the same messageId in every life", () =>
    Effect.gen(function* () {
      const path = yield* directory
      const [first, second] = [down(503), wire()]
      yield* life(path, first, Effect.andThen(trackMany(1, 1), pass("1 minute")))
      yield* life(path, second, awhile)
      const ids = [first, second].flatMap(({ requests }) =>
        requests.flatMap(({ messages }) => messages.map((one) => one.messageId))
      )
      assert(first.requests.length > 0)
      assert.strictEqual(new Set(ids).size, 1)
      assert.deepStrictEqual(second.taken(), ["event 1"])
    })
  )

  it.effect("stays where it is when the client closes first, and nobody calls that a loss", () =>
    Effect.gen(function* () {
      const path = yield* directory
      const wire = never()
      yield* life(
        path,
        wire,
        Effect.gen(function* () {
          yield* trackMany(1, 3)
          const analytics = yield* Analytics.Analytics
          assert.deepStrictEqual(yield* analytics.close, { delivered: 0, dropped: 0, rejected: 0, pending: 3 })
          assert.include(yield* analytics.stats, { offered: 3, pending: 3, dropped: 0, delivered: 0 })
          assert.strictEqual((yield* reasonOf(track("late")))._tag, "Closed")
        })
      )
      assert.deepStrictEqual(
        wire.outcomes.map(({ _tag }) => _tag),
        ["Refused"]
      )
    })
  )

  it.effect("I8 with a messageId that waits already is the same message", () =>
    Effect.gen(function* () {
      const path = yield* directory
      const call = { userId: "u1", event: "event 1", messageId: "an id\0with \\0, \\ and \0" }
      const twice = Effect.gen(function* () {
        const analytics = yield* Analytics.Analytics
        yield* analytics.track(call)
        yield* analytics.track(call)
        assert.strictEqual((yield* analytics.stats).pending, 1)
      })
      yield* life(path, never(), twice)
      const second = wire()
      yield* life(path, second, flush)
      const ids = second.requests.flatMap(({ messages }) => messages.map((sent) => sent.messageId))
      assert.deepStrictEqual(ids, [call.messageId])
    })
  )

  it.effect(
    "is written together with what is called at the same time, and each call is answered when it is there",
    () =>
      Effect.gen(function* () {
        const path = yield* directory
        const rows = () =>
          new DatabaseSync(join(path, "outbox.db")).prepare("SELECT 1 FROM analytics_outbox").all().length
        const body = Effect.gen(function* () {
          yield* track("event 0")
          assert.strictEqual(rows(), 1)
          yield* Effect.forEach(numbered(1, 250), (event) => track(event), { concurrency: "unbounded", discard: true })
          assert.strictEqual(rows(), 251)
          assert.include(yield* stats, { offered: 251, pending: 251 })
        })
        yield* life(path, never(), body)
      })
  )

  it.effect("is in the order of its user, whatever the others do", () =>
    Effect.gen(function* () {
      const path = yield* directory
      const users = Array.from({ length: 40 }, (_, user) => `user ${user}`)
      const say = Effect.forEach(
        numbered(1, 20),
        (event) => Effect.forEach(users, (user) => track(event, user), { concurrency: "unbounded" }),
        { discard: true }
      )
      yield* life(path, never(), say)
      const second = wire()
      assert.deepStrictEqual(yield* life(path, second, flush), { delivered: 800, dropped: 0, rejected: 0, pending: 0 })
      for (const user of users) {
        const theirs = second.requests.flatMap(({ messages }) => messages.filter((sent) => sent.userId === user))
        assert.deepStrictEqual(
          theirs.map((sent) => (sent.type === "track" ? sent.event : "")),
          numbered(1, 20)
        )
      }
    })
  )
})

describe("SqlOutbox: an outage", () => {
  /** 250 messages, 13 hours of these by turns (in memory it would be the end of them), and then none of it. */
  const outage = Effect.fnUntraced(function* (...statuses: ReadonlyArray<number>) {
    const path = yield* directory
    let isDown = true
    const over = wire((_, before) => (isDown ? (statuses[before % statuses.length] ?? 503) : 200))
    const body = Effect.gen(function* () {
      yield* trackMany(1, 250)
      yield* elapse("13 hours", "5 minutes")
      assert.include(yield* stats, { pending: 250, delivered: 0, dropped: 0 })
      isDown = false
      yield* awhile
      yield* trackMany(251, 251)
      yield* awhile
      assert.include(yield* operations.use((outbox) => outbox.stats), { pending: 0, dead: 0 })
    })
    yield* life(path, over, body, patient)
    assert.deepStrictEqual(over.taken(), numbered(1, 251))
    assert(over.outcomes.every(({ _tag }) => _tag === "Delivered"))
    return over.requests.filter(({ status }) => status !== 200).length
  })

  it.effect("H2 of 13 hours (503, 429, 408) loses nothing, without a storm and without dead letters", () =>
    Effect.gen(function* () {
      const attempts = yield* outage(503, 429, 408)
      // At most 60 s apart, and chance takes half of that: about 2,900.
      assert(attempts > 1_400 && attempts < 6_000, String(attempts))
    })
  )

  it.effect("H3 H13 a client that is refused (401, 403, 404, 302, 501) keeps everything", () =>
    outage(401, 403, 404, 302, 501)
  )

  it.effect("H3 a client that is refused says so once", () =>
    Effect.gen(function* () {
      const path = yield* directory
      const lines: Array<Line> = []
      yield* life(path, down(401), Effect.andThen(trackMany(1, 3), awhile)).pipe(Effect.provide(layerLog(lines)))
      const errors = lines.filter(({ level }) => level === "Error")
      assert.strictEqual(errors.length, 1)
      assert.include(errors[0]?.text, "check the write key")
    })
  )

  it.effect("H1 that goes on with Retry-After for longer than 12 hours loses nothing", () =>
    Effect.gen(function* () {
      const path = yield* directory
      let isDown = true
      const over = wire(() => (isDown ? { status: 429, headers: { "retry-after": "300" } } : 200))
      const body = Effect.gen(function* () {
        yield* trackMany(1, 3)
        yield* elapse("14 hours", "1 minute")
        isDown = false
        yield* awhile
      })
      yield* life(path, over, body, patient)
      assert.deepStrictEqual(over.taken(), numbered(1, 3))
    })
  )

  it.effect("is not forgotten: the next life waits for as long as this one would have", () =>
    Effect.gen(function* () {
      const path = yield* directory
      const limited = wire(() => ({ status: 429, headers: { "retry-after": "60" } }))
      yield* life(path, limited, Effect.andThen(trackMany(1, 1), breathe))
      const second = wire()
      const body = Effect.gen(function* () {
        yield* trackMany(2, 2)
        yield* elapse("59 seconds", "1 second")
        assert.deepStrictEqual(second.requests, [])
        yield* pass("2 seconds")
      })
      yield* life(path, second, body)
      assert.deepStrictEqual(second.taken(), numbered(1, 2))
      const third = wire()
      yield* life(path, third, Effect.andThen(trackMany(3, 3), breathe))
      assert.deepStrictEqual(third.taken(), numbered(3, 3))
    })
  )

  it.effect("is not begun anew by a restart: the backoff goes on where it was", () =>
    Effect.gen(function* () {
      const path = yield* directory
      yield* life(path, down(503), Effect.andThen(trackMany(1, 1), elapse("1 hour", "1 minute")), patient)
      const second = down(503)
      yield* life(path, second, elapse("10 minutes", "10 seconds"), patient)
      // From the beginning it would be ten attempts in the first minute.
      assert(second.requests.length <= 40, String(second.requests.length))
    })
  )

  it.effect("P18 a clock that is set back by a day does not stop the next life for longer than 5 minutes", () =>
    Effect.gen(function* () {
      const path = yield* directory
      yield* TestClock.adjust("48 hours")
      yield* life(path, down(503), Effect.andThen(trackMany(1, 1), awhile))
      yield* TestClock.setTime((yield* Clock.currentTimeMillis) - 24 * 3_600_000)
      const second = wire()
      yield* life(path, second, elapse("6 minutes", "1 second"))
      assert.deepStrictEqual(second.taken(), ["event 1"])
    })
  )
})

describe("SqlOutbox: what is too old", () => {
  it.effect(
    "is dropped with the reason max-age, and told, whether it waits or is tried again and again",
    () =>
      Effect.gen(function* () {
        const path = yield* directory
        const over = down(503)
        const body = Effect.gen(function* () {
          yield* trackMany(1, 3)
          yield* elapse("50 minutes", "30 seconds")
          yield* trackMany(4, 4)
          assert.include(yield* stats, { pending: 4, dropped: 0 })
          yield* elapse("30 minutes", "30 seconds")
          assert.include(yield* stats, { pending: 1, dropped: 3 })
        })
        yield* life(path, over, body, { maxAge: "1 hour" })
        assert.deepStrictEqual(lost(over), ["max-age", "max-age", "max-age"])
        yield* TestClock.adjust("2 hours")
        const second = wire()
        yield* life(path, second, awhile, { maxAge: "1 hour" })
        assert.deepStrictEqual(second.taken(), [])
        assert.deepStrictEqual(lost(second), ["max-age"])
      }),
    90_000
  )
})

describe("SqlOutbox: what the API rejects", () => {
  const rejecting = (...bad: ReadonlyArray<string>) =>
    wire((events) => (events.some((event) => bad.includes(event)) ? 400 : 200))

  it.effect("H9 is searched for, kept as a dead letter, and the rest is delivered", () =>
    Effect.gen(function* () {
      const path = yield* directory
      const over = rejecting("event 7")
      const body = Effect.gen(function* () {
        yield* trackMany(1, 10)
        yield* flush
        assert.include(yield* operations.use((outbox) => outbox.stats), { pending: 0, dead: 1 })
        assert.include(yield* stats, { offered: 10, delivered: 9, dropped: 1, pending: 0 })
      })
      yield* life(path, over, body)
      assert.deepStrictEqual(lost(over), ["rejected"])
      const rows = new DatabaseSync(join(path, "outbox.db")).prepare("SELECT * FROM analytics_outbox_dead").all()
      assert.strictEqual(rows.length, 1)
      assert.include({ ...rows[0] }, { reason: "rejected", status: 400 })
    })
  )

  it.effect("can be retried in a later life, as it was", () =>
    Effect.gen(function* () {
      const path = yield* directory
      yield* life(path, rejecting("event 1", "event 2"), Effect.andThen(trackMany(1, 3), flush))
      const second = wire()
      const body = Effect.gen(function* () {
        assert.strictEqual(yield* operations.use((outbox) => outbox.retryDead), 2)
        yield* flush
        assert.strictEqual((yield* operations.use((outbox) => outbox.stats)).dead, 0)
      })
      yield* life(path, second, body)
      assert.deepStrictEqual(second.taken(), numbered(1, 2))
    })
  )

  it.effect("is kept up to a number and an age, and can be purged by age", () =>
    Effect.gen(function* () {
      const path = yield* directory
      const options = { ...patient, maxDead: 3, maxDeadAge: "10 days" } as const
      const dead = Effect.map(
        operations.use((outbox) => outbox.stats),
        (stats) => stats.dead
      )
      const body = Effect.gen(function* () {
        yield* trackMany(1, 5)
        yield* flush
        yield* pass("10 minutes")
        assert.strictEqual(yield* dead, 3)
        yield* pass("2 days")
        yield* trackMany(6, 6)
        yield* flush
        assert.strictEqual(yield* operations.use((outbox) => outbox.purgeDead({ olderThan: "1 day" })), 3)
        assert.strictEqual(yield* dead, 1)
        yield* pass("11 days")
        assert.strictEqual(yield* dead, 0)
        yield* trackMany(7, 8)
        yield* flush
        assert.strictEqual(yield* operations.use((outbox) => outbox.purgeDead()), 2)
      })
      yield* life(path, rejecting(...numbered(1, 8)), body, options)
    })
  )
})

describe("SqlOutbox: an operator", () => {
  it.effect("sees how much waits, for how long, and who delivers", () =>
    Effect.gen(function* () {
      const path = yield* directory
      const body = Effect.gen(function* () {
        const nothing = yield* operations.use((outbox) => outbox.stats)
        assert.include(nothing, { pending: 0, pendingBytes: 0, oldestAge: 0, dead: 0 })
        yield* trackMany(1, 2)
        yield* pass("90 seconds")
        const some = yield* operations.use((outbox) => outbox.stats)
        assert.include(some, { pending: 2, oldestAge: 90_000 })
        assert.strictEqual(some.pendingBytes, (yield* stats).pendingBytes)
        assert.strictEqual(some.leader, "here")
      })
      yield* life(path, never(), body)
    })
  )

  it.effect("erases a user everywhere: as user, as visitor, as the old name of somebody, waiting or dead", () =>
    Effect.gen(function* () {
      const path = yield* directory
      const over = wire((events) => (events.includes("bad") ? 400 : "never"))
      const say = Effect.gen(function* () {
        const analytics = yield* Analytics.Analytics
        yield* analytics.track({ userId: "gone", event: "bad" })
        yield* analytics.track({ userId: "here", event: "bad" })
        yield* flush
        yield* analytics.track({ userId: "gone", event: "event" })
        yield* analytics.track({ anonymousId: "gone", event: "event" })
        yield* analytics.track({ userId: "here", event: "gone" })
        yield* analytics.alias({ userId: "new", previousId: "gone" })
        assert.deepStrictEqual(yield* operations.use((outbox) => outbox.purgeUser("gone")), { pending: 3, dead: 1 })
        assert.deepStrictEqual(yield* operations.use((outbox) => outbox.purgeUser("gone")), { pending: 0, dead: 0 })
        assert.include(yield* stats, { pending: 1, dropped: 5 })
      })
      yield* life(path, over, say)
      assert.deepStrictEqual(lost(over), ["rejected", "rejected", "erased", "erased", "erased"])
      const second = wire()
      yield* life(
        path,
        second,
        Effect.andThen(
          operations.use((outbox) => outbox.retryDead),
          flush
        )
      )
      assert.deepStrictEqual(second.taken(), ["gone", "bad"])
    })
  )
})

// ---------------------------------------------------------------------------------------------------------------------
// In the transaction of who calls
// ---------------------------------------------------------------------------------------------------------------------

/** A database of the program's own, as a program would have it. */
const ownSqlite = Layer.effect(
  SqlClient.SqlClient,
  Effect.gen(function* () {
    const database = yield* Effect.acquireRelease(
      Effect.sync(() => new DatabaseSync(":memory:")),
      (open) => Effect.sync(() => open.close())
    )
    return yield* SqliteClient.make({ open: () => database, failed: () => {} })
  })
).pipe(Layer.provide(Reactivity.layer))

const databases = [
  ["SQLite", ownSqlite, breathe],
  ["PostgreSQL", Layer.fresh(Postgres.layerClient), breatheInPostgres]
] as const

describe.each(databases)("SqlOutbox: a call inside of a transaction, %s", (_, database, breathe) => {
  const over = () => {
    const sent = wire()
    return { sent, layer: Layer.provideMerge(client(SqlOutbox.layer(), sent), database) }
  }
  const rows = Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    return (yield* sql`SELECT 1 AS one FROM orders`).length
  })
  const order = (number: number, end: Effect.Effect<unknown, string>) =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      return yield* sql.withTransaction(
        Effect.gen(function* () {
          yield* sql`INSERT INTO orders (number) VALUES (${number})`
          yield* track(`event ${number}`)
          yield* end
        })
      )
    })
  const makeTable = SqlClient.SqlClient.use((sql) => sql`CREATE TABLE orders (number INTEGER)`)

  it.effect("is committed with the rows of the caller, and delivered then", () => {
    const { layer, sent } = over()
    return Effect.gen(function* () {
      yield* makeTable
      yield* order(1, Effect.void)
      yield* order(2, Effect.void)
      yield* flush
      assert.strictEqual(yield* rows, 2)
      assert.deepStrictEqual(sent.taken(), numbered(1, 2))
    }).pipe(Effect.provide(layer))
  })

  it.effect("is rolled back with the rows of the caller: no event, and none counted", () => {
    const { layer, sent } = over()
    return Effect.gen(function* () {
      yield* makeTable
      assert.strictEqual(yield* Effect.flip(order(1, Effect.fail("no"))), "no")
      assert.strictEqual(yield* rows, 0)
      assert.include(yield* stats, { offered: 0, pending: 0 })
      yield* order(2, Effect.void)
      yield* flush
      assert.deepStrictEqual(sent.taken(), ["event 2"])
    }).pipe(Effect.provide(layer))
  })

  it.effect("is not delivered before the commit", () => {
    const { layer, sent } = over()
    return Effect.gen(function* () {
      yield* makeTable
      yield* order(
        1,
        Effect.gen(function* () {
          yield* breathe
          assert.deepStrictEqual(sent.requests, [])
        })
      )
      yield* flush
      assert.deepStrictEqual(sent.taken(), ["event 1"])
    }).pipe(Effect.provide(layer))
  })

  it.effect("and one outside, at the same time, do not mix", () => {
    const { layer, sent } = over()
    return Effect.gen(function* () {
      yield* makeTable
      const outside = yield* Effect.forkChild(track("outside", "u2"))
      yield* Effect.flip(order(1, Effect.fail("no")))
      yield* Fiber.join(outside)
      yield* flush
      assert.deepStrictEqual(sent.taken(), ["outside"])
    }).pipe(Effect.provide(layer))
  })
})

describe.each(databases)("SqlOutbox: an operator of a database of the program's own, %s", (_, database) => {
  it.effect("sees what waits and what died, retries, erases and purges", () => {
    const over = wire((events) => (events.includes("bad") ? 422 : 200))
    const body = Effect.gen(function* () {
      yield* track("bad", "gone")
      yield* track("bad", "here")
      yield* flush
      yield* track("good", "gone")
      yield* flush
      const outbox = yield* operations
      assert.include(yield* outbox.stats, { pending: 0, pendingBytes: 0, dead: 2 })
      assert.deepStrictEqual(yield* outbox.purgeUser("gone"), { pending: 0, dead: 1 })
      assert.strictEqual(yield* outbox.retryDead, 1)
      yield* flush
      assert.strictEqual((yield* outbox.stats).leader, "here")
      assert.strictEqual(yield* outbox.purgeDead(), 1)
      assert.include(yield* outbox.stats, { pending: 0, dead: 0 })
    })
    return body.pipe(Effect.provide(Layer.provideMerge(client(SqlOutbox.layer(), over), database)))
  })

  it.effect("has tables by the name that it gives them, and several outboxes if it likes", () => {
    const [one, other] = [wire(), wire()]
    const body = Effect.gen(function* () {
      yield* Effect.provide(Effect.andThen(track("one"), flush), client(SqlOutbox.layer({ table: "one" }), one))
      yield* Effect.provide(Effect.andThen(track("other"), flush), client(SqlOutbox.layer({ table: "other" }), other))
      const sql = yield* SqlClient.SqlClient
      assert.deepStrictEqual(yield* sql`SELECT 1 FROM one`, [])
      assert.deepStrictEqual(yield* sql`SELECT 1 FROM other`, [])
    })
    return body.pipe(
      Effect.provide(database),
      Effect.andThen(Effect.sync(() => assert.deepStrictEqual([one.taken(), other.taken()], [["one"], ["other"]])))
    )
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// Several of them
// ---------------------------------------------------------------------------------------------------------------------

describe("SqlOutbox: two clients on one file", () => {
  it.effect("one of them delivers the messages of both, and the other one takes its place", () =>
    Effect.gen(function* () {
      const path = yield* directory
      const [one, other] = [wire(), wire()]
      const leader = Effect.map(
        operations.use((outbox) => outbox.stats),
        (stats) => stats.leader
      )
      const second = client(SqlOutbox.layerSqlite({ directory: path }), other)
      const scope = yield* Scope.make()
      const first = yield* Layer.buildWithScope(client(SqlOutbox.layerSqlite({ directory: path }), one), scope)
      yield* pass("1 second")
      const body = Effect.gen(function* () {
        yield* pass("2 seconds")
        assert.strictEqual(yield* leader, "elsewhere")
        assert.strictEqual(yield* Effect.provide(leader, first), "here")
        yield* track("event 1")
        yield* Effect.provide(track("event 2"), first)
        yield* pass("1 second")
        assert.deepStrictEqual([one.taken(), other.taken()], [numbered(1, 2), []])
        yield* Scope.close(scope, Exit.void)
        yield* pass("1 second")
        yield* track("event 3")
        yield* breathe
        assert.strictEqual(yield* leader, "here")
        assert.deepStrictEqual(other.taken(), ["event 3"])
      })
      yield* Effect.provide(body, second)
    })
  )

  it.live("what the one that stands by writes is delivered at once, though the other looks once an hour", () =>
    Effect.gen(function* () {
      const path = yield* directory
      const [one, other] = [wire(), wire()]
      const hourly = { pollInterval: "1 hour" } as const
      const leads = operations.use((outbox) =>
        Effect.repeat(outbox.stats, { until: ({ leader }) => leader === "here" })
      )
      const second = Effect.gen(function* () {
        for (const event of numbered(1, 3)) yield* track(event)
      })
      const arrived = Effect.repeat(
        Effect.andThen(
          Effect.sleep("5 millis"),
          Effect.sync(() => one.taken().length)
        ),
        { until: (count) => count === 3 }
      )
      yield* life(path, one, Effect.andThen(leads, Effect.andThen(life(path, other, second, hourly), arrived)), hourly)
      assert.deepStrictEqual([one.taken(), other.taken()], [numbered(1, 3), []])
    })
  )

  it.effect("a flush waits for what the other has to deliver", () =>
    Effect.gen(function* () {
      const path = yield* directory
      const [one, other] = [wire(), wire()]
      const inner = Effect.gen(function* () {
        // The first one delivers.
        yield* track("event 1")
        const flushing = yield* Effect.forkChild(flush)
        yield* breathe
        assert.isUndefined(flushing.pollUnsafe())
        yield* elapse("3 seconds", "1 second")
        assert.deepStrictEqual(yield* Fiber.join(flushing), { delivered: 1, dropped: 0, rejected: 0, pending: 0 })
      })
      yield* life(path, one, Effect.andThen(pass("1 second"), life(path, other, inner)))
      assert.deepStrictEqual([one.taken(), other.taken()], [["event 1"], []])
    })
  )
})

describe("SqlOutbox: writers and relays", () => {
  it.live("what a writer wrote a relay delivers, and the writer's flush waits for its commits only", () =>
    Effect.gen(function* () {
      const sent = wire()
      yield* Effect.gen(function* () {
        yield* trackMany(1, 3)
        assert.deepStrictEqual(yield* flush, { delivered: 0, dropped: 0, rejected: 0, pending: 0 })
        assert.include(yield* stats, { offered: 3, pending: 3 })
        assert.deepStrictEqual(sent.requests, [])
        const relay = SqlOutbox.layerRelay().pipe(Layer.provide(transport(sent)))
        const drained = operations.use((outbox) =>
          Effect.repeat(outbox.stats, { until: ({ pending }) => pending === 0 })
        )
        yield* Effect.provide(drained, relay)
        assert.deepStrictEqual(sent.taken(), numbered(1, 3))
      }).pipe(
        Effect.provide(
          Analytics.layerNoDeps().pipe(
            Layer.provide(SqlOutbox.layerWriter()),
            Layer.provideMerge(Layer.fresh(Postgres.layerClient))
          )
        )
      )
    })
  )
})
