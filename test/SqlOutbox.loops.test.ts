/**
 * The fibers of a durable outbox: each is ended by a defect, and every call, flush and message is accounted for.
 *
 * The defect comes from the clock, which every loop asks: it dies where the loop under test asks it.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as SqlClient from "effect/sql/SqlClient"
import * as Analytics from "../src/Analytics.ts"
import * as MessageId from "../src/MessageId.ts"
import type * as Outbox from "../src/Outbox.ts"
import * as SqlOutbox from "../src/SqlOutbox.ts"
import { client, directory, type Wire, wire } from "./durable.ts"
import { Postgres } from "./Postgres.ts"
import { breathe, type Line, layerLog, numbered, pass, trackMany } from "./support.ts"

const track = (event: string) => Analytics.Analytics.use((analytics) => analytics.track({ userId: "u1", event }))
const flush = Analytics.Analytics.use((analytics) =>
  Effect.map(analytics.flush, ({ delivered, dropped }) => ({ delivered, dropped }))
)
const nothing = { delivered: 0, dropped: 0 }
const stats = Analytics.Analytics.use((analytics) => analytics.stats)

/** Lets what the database does happen as well: as many questions as it takes answers. */
const breatheHere = Effect.gen(function* () {
  const sql = yield* Effect.serviceOption(SqlClient.SqlClient)
  yield* breathe
  if (sql._tag === "Some") yield* Effect.repeat(Effect.andThen(breathe, sql.value`SELECT 1`), { times: 20 })
}).pipe(Effect.orDie)

/** A client over an outbox. No request ends, and so no backoff is remembered. */
const life = <A, E, R, L, RO, EO, RI>(
  outbox: Layer.Layer<RO | Outbox.Outbox, EO, RI>,
  over: Wire,
  body: Effect.Effect<A, E, R>,
  more: Layer.Layer<L>
) => Effect.provide(body, client(outbox, over, { requestTimeout: "1 hour" }).pipe(Layer.provide(more)))

const sqlite = Effect.map(directory, (path) => SqlOutbox.layerSqlite({ directory: path, pollInterval: "61 seconds" }))

/** The clock of the test, and a switch that makes it die for those that ask it so. */
const breakable = (dies: (asked: "monotonic" | Duration.Duration) => boolean) =>
  Effect.map(Clock.Clock, (clock) => {
    const state = { isBroken: false }
    const died = (asked: "monotonic" | Duration.Duration) => state.isBroken && dies(asked)
    const broken: Clock.Clock = Object.assign(Object.create(clock) as Clock.Clock, {
      sleep: (duration: Duration.Duration) => (died(duration) ? Effect.die("no clock") : clock.sleep(duration)),
      monotonicTimeNanos: Effect.suspend(() => (died("monotonic") ? Effect.die("no clock") : clock.monotonicTimeNanos))
    })
    return { state, layer: Layer.succeed(Clock.Clock, broken) }
  })

/** Everything of a client whose loop has ended: calls fail by name, a flush resolves, the rest is there for the next start. */
const endsLoudly = Effect.fnUntraced(function* <RI>(
  name: string,
  outbox: Layer.Layer<SqlOutbox.SqlOutbox | Outbox.Outbox, unknown, RI>,
  dies: (asked: "monotonic" | Duration.Duration) => boolean,
  kill: Effect.Effect<unknown, unknown, RI | Analytics.Analytics | SqlOutbox.SqlOutbox>,
  next: Layer.Layer<SqlOutbox.SqlOutbox | Outbox.Outbox, unknown, RI> = outbox
) {
  const lines: Array<Line> = []
  const over = wire(() => "never")
  const { layer, state } = yield* breakable(dies)
  const problem = `the outbox is stopped: its ${name} ended by a defect`
  const body = Effect.gen(function* () {
    yield* trackMany(1, 3)
    yield* breatheHere
    const before = yield* Effect.forkChild(flush)
    yield* breatheHere
    state.isBroken = true
    const during = yield* Effect.forkChild(Effect.exit(track("event 4")))
    yield* kill
    yield* breatheHere
    const answered = yield* Fiber.join(during)
    assert.strictEqual((yield* Effect.flip(track("late"))).message, problem)
    // What is committed waits for the next start, and no flush waits for it.
    assert.deepStrictEqual(yield* Fiber.join(before), nothing)
    assert.deepStrictEqual(yield* flush, nothing)
    const { delivered, dropped, offered, pending, rejected } = yield* stats
    assert.strictEqual(offered, delivered + dropped + pending + rejected)
    assert.strictEqual(rejected, Exit.isSuccess(answered) ? 1 : 2)
    return pending
  })
  const pending = yield* life(outbox, over, body, Layer.merge(layer, layerLog(lines)))
  const refused = over.outcomes.filter(({ _tag }) => _tag === "Refused")
  assert.strictEqual(refused.length, pending === 3 ? 2 : 1)
  const errors = lines.filter(({ level }) => level === "Error").map(({ text }) => text)
  assert.strictEqual(errors.length, 1)
  // A call that was on its way may be committed a moment later.
  assert.match(errors[0] ?? "", new RegExp(`^${problem}: calls fail, and [34] messages wait for the next start`))
  const second = wire()
  assert.deepStrictEqual(yield* life(next, second, flush, layerLog([])), { delivered: pending, dropped: 0 })
  assert.deepStrictEqual(second.taken(), numbered(1, pending))
})

describe("a fiber of a durable outbox that ends by a defect ends the client, and nothing is lost in silence", () => {
  const sleeps = (millis: number) => (asked: "monotonic" | Duration.Duration) =>
    asked !== "monotonic" && Duration.toMillis(asked) === millis

  it.effect("the group commit", () =>
    Effect.flatMap(sqlite, (outbox) =>
      endsLoudly("group commit", outbox, (asked) => asked === "monotonic", Effect.void)
    )
  )

  it.effect("the maintenance", () =>
    Effect.flatMap(sqlite, (outbox) => endsLoudly("maintenance", outbox, sleeps(61_000), pass("61 seconds")))
  )

  it.effect("the leadership", () =>
    Effect.flatMap(sqlite, (outbox) => endsLoudly("leadership", outbox, sleeps(2_000), pass("2 seconds")))
  )

  it.effect("the listener, whose connection was lost", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const terminate = sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND query LIKE 'LISTEN%'`
      const health = SqlOutbox.SqlOutbox.use((outbox) => outbox.health())
      const gone = Effect.repeat(Effect.andThen(Effect.andThen(terminate, breatheHere), health), {
        until: ({ healthy }) => !healthy
      })
      yield* endsLoudly("listener", SqlOutbox.layer({ pollInterval: "61 seconds" }), sleeps(1_000), gone)
    }).pipe(Effect.provide(Layer.fresh(Postgres.layerClient)))
  )

  it.effect("the announcements of a writer", () =>
    endsLoudly("announcements", SqlOutbox.layerWriter(), sleeps(10), pass("10 millis"), SqlOutbox.layer()).pipe(
      Effect.provide(Layer.fresh(Postgres.layerClient))
    )
  )
})

describe("a message that can't be written", () => {
  it.effect("is the error of its own call: those beside it and after it are delivered", () =>
    Effect.gen(function* () {
      const outbox = yield* sqlite
      let made = 0
      const ids = Layer.succeed(MessageId.MessageIds, () => (++made === 2 ? (42 as never) : `id-${made}`))
      const over = wire()
      const body = Effect.gen(function* () {
        const calls = yield* Effect.forEach(numbered(1, 3), (event) => Effect.exit(track(event)), {
          concurrency: "unbounded"
        })
        assert.deepStrictEqual(
          calls.map(({ _tag }) => _tag),
          ["Success", "Failure", "Success"]
        )
        yield* track("event 4")
        yield* flush
        assert.include(yield* stats, { offered: 4, delivered: 3, rejected: 1, pending: 0 })
      })
      yield* life(outbox, over, body, ids)
      assert.deepStrictEqual(over.taken(), ["event 1", "event 3", "event 4"])
    })
  )
})
