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
import * as Analytics from "../src/Analytics.ts"
import * as MessageId from "../src/MessageId.ts"
import * as SqlOutbox from "../src/SqlOutbox.ts"
import { client, directory, type Wire, wire } from "./durable.ts"
import { breathe, type Line, layerLog, numbered, pass, trackMany } from "./support.ts"

const track = (event: string) => Analytics.Analytics.use((analytics) => analytics.track({ userId: "u1", event }))
const flush = Analytics.Analytics.use((analytics) => analytics.flush)
const stats = Analytics.Analytics.use((analytics) => analytics.stats)

const life = <A, E, R, L>(path: string, over: Wire, body: Effect.Effect<A, E, R>, more: Layer.Layer<L>) =>
  Effect.provide(
    body,
    client(SqlOutbox.layerSqlite({ directory: path, pollInterval: "61 seconds" }), over, {
      // No request ends, and so no backoff is remembered.
      requestTimeout: "1 hour"
    }).pipe(Layer.provide(more))
  )

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
const endsLoudly = Effect.fnUntraced(function* (
  name: string,
  dies: (asked: "monotonic" | Duration.Duration) => boolean,
  kill: Effect.Effect<unknown>
) {
  const path = yield* directory
  const lines: Array<Line> = []
  const over = wire(() => "never")
  const { layer, state } = yield* breakable(dies)
  const problem = `the outbox is stopped: its ${name} ended by a defect`
  const body = Effect.gen(function* () {
    yield* trackMany(1, 3)
    yield* breathe
    const before = yield* Effect.forkChild(flush)
    yield* breathe
    state.isBroken = true
    const during = yield* Effect.forkChild(Effect.exit(track("event 4")))
    yield* kill
    yield* breathe
    const answered = yield* Fiber.join(during)
    assert.strictEqual((yield* Effect.flip(track("late"))).message, problem)
    // What is committed waits for the next start, and no flush waits for it.
    assert.deepStrictEqual(yield* Fiber.join(before), { delivered: 0, dropped: 0 })
    assert.deepStrictEqual(yield* flush, { delivered: 0, dropped: 0 })
    const { delivered, dropped, offered, pending, rejected } = yield* stats
    assert.strictEqual(offered, delivered + dropped + pending + rejected)
    assert.strictEqual(rejected, Exit.isSuccess(answered) ? 1 : 2)
    return pending
  })
  const pending = yield* life(path, over, body, Layer.merge(layer, layerLog(lines)))
  const refused = over.outcomes.filter(({ _tag }) => _tag === "Refused")
  assert.strictEqual(refused.length, pending === 3 ? 2 : 1)
  const errors = lines.filter(({ level }) => level === "Error").map(({ text }) => text)
  assert.strictEqual(errors.length, 1)
  assert.include(errors[0], `${problem}: calls fail, and ${pending} messages wait for the next start`)
  const second = wire()
  assert.deepStrictEqual(yield* life(path, second, flush, layerLog([])), { delivered: pending, dropped: 0 })
  assert.deepStrictEqual(second.taken(), numbered(1, pending))
})

describe("a fiber of a durable outbox that ends by a defect ends the client, and nothing is lost in silence", () => {
  it.effect("the group commit", () => endsLoudly("group commit", (asked) => asked === "monotonic", Effect.void))

  it.effect("the maintenance", () =>
    endsLoudly(
      "maintenance",
      (asked) => asked !== "monotonic" && Duration.toMillis(asked) === 61_000,
      pass("61 seconds")
    )
  )
})

describe("a message that can't be written", () => {
  it.effect("is the error of its own call: those beside it and after it are delivered", () =>
    Effect.gen(function* () {
      const path = yield* directory
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
      yield* life(path, over, body, ids)
      assert.deepStrictEqual(over.taken(), ["event 1", "event 3", "event 4"])
    })
  )
})
