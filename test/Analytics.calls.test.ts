/** The functions of the module `Analytics`, and the service as its users see it. */
import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Analytics from "../src/Analytics.ts"
import { OutboxUnavailable } from "../src/AnalyticsError.ts"
import * as AnalyticsTest from "../src/AnalyticsTest.ts"
import * as Call from "../src/Call.ts"
import * as Enrichment from "../src/Enrichment.ts"
import * as MemoryOutbox from "../src/MemoryOutbox.ts"
import * as Outbox from "../src/Outbox.ts"
import * as TrackingPlan from "../src/TrackingPlan.ts"
import * as Transport from "../src/Transport.ts"
import { invalidSettingOf, reasonOf } from "./errors.ts"
import { breathe, type Line, layerLog, peer, trackMany } from "./support.ts"

const messages = Effect.flatMap(AnalyticsTest.Sent, (sent) => sent.messages)

describe("the functions of the module", () => {
  it.effect("make the six calls of the client in scope", () =>
    Effect.gen(function* () {
      yield* Analytics.identify({ userId: "u1" })
      yield* Analytics.track({ userId: "u1", event: "Signed Up" })
      yield* Analytics.page({ anonymousId: "v1", name: "Home" })
      yield* Analytics.screen({ userId: "u1" })
      yield* Analytics.group({ userId: "u1", groupId: "g1" })
      yield* Analytics.alias({ userId: "u1", previousId: "v1" })
      assert.deepStrictEqual(yield* Analytics.flush, { delivered: 6, dropped: 0, rejected: 0, pending: 0 })
      assert.deepStrictEqual(
        (yield* messages).map(({ type }) => type),
        [...Call.types]
      )
    }).pipe(Effect.provide(AnalyticsTest.layer()))
  )

  it.effect("of `identified` take the identity in scope", () =>
    Effect.gen(function* () {
      const call = Analytics.identified.track({ event: "Signed In" })
      expectTypeOf(call).toExtend<Effect.Effect<void, unknown, Analytics.Analytics | Enrichment.CurrentIdentity>>()
      yield* Enrichment.withIdentity(call, { userId: "u1" })
      yield* Analytics.flush
      assert.deepInclude((yield* messages)[0], { userId: "u1", event: "Signed In" })
    }).pipe(Effect.provide(AnalyticsTest.layer()))
  )
})

describe("a mock of the service", () => {
  const calls: Array<unknown> = []
  const Mock = Layer.mock(Analytics.Analytics, { track: (call) => Effect.sync(() => void calls.push(call)) })

  it.effect("needs the calls that a program makes, and nothing else", () =>
    Effect.gen(function* () {
      yield* Analytics.track({ userId: "u1", event: "Signed Up" })
      assert.deepStrictEqual(calls.splice(0), [{ userId: "u1", event: "Signed Up" }])
    }).pipe(Effect.provide(Mock))
  )

  it.effect("gets the calls of a plan that keep it, and no others", () =>
    Effect.gen(function* () {
      const plan = TrackingPlan.make({ events: { Ordered: Schema.Struct({ id: Schema.NonEmptyString }) } })
      yield* plan.track("Ordered", { id: "o1" }, { userId: "u1" })
      assert.strictEqual((yield* reasonOf(plan.track("Ordered", { id: "" }, { userId: "u1" })))._tag, "PlanViolation")
      assert.deepStrictEqual(calls.splice(0), [{ userId: "u1", event: "Ordered", properties: { id: "o1" } }])
    }).pipe(Effect.provide(Mock))
  )
})

describe("a planned call over a mock", () => {
  it.effect("fails as it would over a client, when a field of it is wrong", () =>
    Effect.gen(function* () {
      const plan = TrackingPlan.make({ events: { Ordered: Schema.Struct({ id: Schema.NonEmptyString }) } })
      const call = plan.track("Ordered", { id: "o1" }, { userId: "u1", messageId: 5 as never })
      assert.deepInclude(yield* reasonOf(call), { _tag: "InvalidCall", path: ["messageId"] })
    }).pipe(Effect.provide(Layer.mock(Analytics.Analytics, { track: () => Effect.void })))
  )
})

describe("confirmed calls", () => {
  const send = (event: string) => Analytics.confirmed.track({ userId: "u1", event })

  it.effect("succeed when their message is delivered, and do not wait for those behind it", () =>
    Effect.gen(function* () {
      yield* (yield* AnalyticsTest.Sent).respond(200, "never")
      const confirmed = yield* Effect.forkChild(send("Contract Signed"), { startImmediately: true })
      yield* Analytics.track({ userId: "u1", event: "Signed In" })
      yield* Fiber.join(confirmed)
      assert.deepStrictEqual(
        (yield* messages).map((message) => message.type === "track" && message.event),
        ["Contract Signed"]
      )
      assert.deepInclude(yield* Analytics.closeWithin(0), { dropped: 1 })
    }).pipe(Effect.provide(AnalyticsTest.layer({ batchSize: 1 })))
  )

  it.effect("fail with the reason why their message is dropped, or not accepted", () =>
    Effect.gen(function* () {
      yield* (yield* AnalyticsTest.Sent).respond(400)
      assert.deepInclude(yield* reasonOf(send("Contract Signed")), {
        _tag: "DeliveryError",
        reason: "rejected",
        status: 400
      })
      assert.strictEqual((yield* reasonOf(send("")))._tag, "InvalidCall")
    }).pipe(Effect.provide(AnalyticsTest.layer()))
  )
})

describe("a flush with a deadline", () => {
  it.effect("answers with what is delivered, dropped and pending by then, and the calls that were not accepted", () =>
    Effect.gen(function* () {
      yield* (yield* AnalyticsTest.Sent).respond(200, 400, "never")
      yield* Effect.ignore(Analytics.track({ userId: "u1", event: "" }))
      yield* trackMany(1, 3)
      const flush = yield* Effect.forkChild(Analytics.flushWithin("2 seconds"), { startImmediately: true })
      yield* breathe
      yield* TestClock.adjust("1999 millis")
      assert.isUndefined(flush.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* Fiber.join(flush), { delivered: 1, dropped: 1, rejected: 1, pending: 1 })
    }).pipe(Effect.provide(AnalyticsTest.layer({ batchSize: 1 })))
  )

  it.effect("counts nothing that came after it", () =>
    Effect.gen(function* () {
      yield* (yield* AnalyticsTest.Sent).respond("never")
      yield* trackMany(1, 1)
      yield* breathe
      const flush = yield* Effect.forkChild(Analytics.flushWithin("2 seconds"), { startImmediately: true })
      yield* trackMany(2, 30)
      yield* breathe
      assert.deepInclude(yield* Analytics.Analytics.use(({ stats }) => stats), { delivered: 29, pending: 1 })
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* Fiber.join(flush), { delivered: 0, dropped: 0, rejected: 0, pending: 1 })
    }).pipe(Effect.provide(AnalyticsTest.layer({ maxInFlight: 2 })))
  )

  it.effect("names a deadline that is no length of time", () =>
    Effect.gen(function* () {
      const error = yield* invalidSettingOf(Analytics.flushWithin(Number.NaN))
      assert.deepInclude(error, { _tag: "InvalidSetting", setting: "timeout" })
    }).pipe(Effect.provide(AnalyticsTest.layer()))
  )

  it.effect("a close has one too, which takes the place of closeTimeout", () =>
    Effect.gen(function* () {
      yield* (yield* AnalyticsTest.Sent).respond("never")
      yield* trackMany(1, 2)
      const close = yield* Effect.forkChild(Analytics.closeWithin("1 second"))
      yield* breathe
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Fiber.join(close), { delivered: 0, dropped: 2, rejected: 0, pending: 0 })
    }).pipe(Effect.provide(AnalyticsTest.layer({ closeTimeout: "1 hour" })))
  )
})

describe("the sink", () => {
  const row = (n: number): Call.Any => ({ type: "track", userId: n === 3 ? "" : "u1", event: `event ${n}` })

  it.effect("makes every call of a stream, waits for room, and counts those that were not accepted", () =>
    Effect.gen(function* () {
      const loaded = yield* Stream.run(Stream.map(Stream.range(1, 500), row), Analytics.sink)
      assert.deepStrictEqual(loaded, { accepted: 499, rejected: 1 })
      yield* Analytics.flush
      assert.deepInclude(yield* Analytics.Analytics.use(({ stats }) => stats), {
        delivered: 499,
        rejected: 1,
        pending: 0
      })
    }).pipe(Effect.provide(AnalyticsTest.layer({ maxQueueSize: 10 })))
  )

  it.effect("waits for room in a client that makes room by dropping the oldest, too", () =>
    Effect.gen(function* () {
      const loaded = yield* Stream.run(Stream.map(Stream.range(10, 109), row), Analytics.sink)
      assert.deepStrictEqual(loaded, { accepted: 100, rejected: 0 })
      assert.deepInclude(yield* Analytics.flush, { dropped: 0, pending: 0 })
      assert.deepInclude(yield* Analytics.Analytics.use(({ stats }) => stats), { delivered: 100, dropped: 0 })
    }).pipe(Effect.provide(AnalyticsTest.layer({ maxQueueSize: 10, overflow: "drop-oldest" })))
  )

  it.effect("fails when the outbox is away: the rows that follow would be lost", () => {
    const away = Effect.map(MemoryOutbox.make({}), (outbox) =>
      Outbox.Outbox.of({
        ...outbox,
        offer: () => Effect.fail(new OutboxUnavailable({ problem: "is away" })),
        offerUnsafe: () => ({ error: new OutboxUnavailable({ problem: "is away" }), notification: undefined })
      })
    )
    let read = 0
    const rows = Stream.tap(Stream.map(Stream.range(1, 500), row), () => Effect.sync(() => read++))
    return Effect.gen(function* () {
      const error = yield* reasonOf(Stream.run(rows, Analytics.sink))
      assert.strictEqual(error._tag, "OutboxUnavailable")
      assert.isBelow(read, 500)
    }).pipe(
      Effect.provide(
        Analytics.layerNoDeps().pipe(
          Layer.provide(Layer.effect(Outbox.Outbox, away)),
          Layer.provide(Transport.layerStub)
        )
      )
    )
  })

  it.effect("fails when the client is closed", () =>
    Effect.gen(function* () {
      yield* Analytics.closeWithin(0)
      const error = yield* reasonOf(Stream.run(Stream.make(row(1)), Analytics.sink))
      assert.strictEqual(error._tag, "Closed")
    }).pipe(Effect.provide(AnalyticsTest.layer()))
  )
})

describe("defaults under every call", () => {
  it.effect("the call wins over the context in scope, and that over the setting, key by key at the top level", () =>
    Effect.gen(function* () {
      const call = { userId: "u1", event: "e", context: { c: "call" }, integrations: { Mixpanel: false } }
      yield* Enrichment.withContext(Analytics.track(call), { b: "scope", c: "scope" })
      yield* Analytics.flush
      const [message] = yield* messages
      assert.deepInclude(message?.context, { a: "setting", b: "scope", c: "call" })
      assert.deepStrictEqual(message?.integrations, { All: false, Mixpanel: false })
    }).pipe(
      Effect.provide(
        AnalyticsTest.layer({
          context: { a: "setting", b: "setting", c: "setting" },
          integrations: { All: false, Mixpanel: true }
        })
      )
    )
  )

  it.effect.each([
    ["context", { context: [1] }],
    ["integrations", { integrations: "all" }]
  ] as ReadonlyArray<readonly [string, object]>)("a setting %s that is no object is named", ([setting, options]) =>
    Effect.gen(function* () {
      const error = yield* invalidSettingOf(Effect.provide(Analytics.flush, AnalyticsTest.layer(options as never)))
      assert.deepInclude(error, { _tag: "InvalidSetting", setting })
    })
  )
})

describe("slips that the API would not notice", () => {
  const lines: Array<Line> = []
  it.effect("are logged once each, and sent as they are", () =>
    Effect.gen(function* () {
      const slip = { userId: "undefined", event: "e", propertes: { a: 1 } } as Call.Track
      yield* Analytics.track(slip)
      yield* Analytics.track(slip)
      assert.deepStrictEqual(
        lines.filter(({ level }) => level === "Warn").map(({ text }) => text),
        ["track: propertes is no field of this call", 'track: userId is the text "undefined"']
      )
      yield* Analytics.flush
      assert.strictEqual((yield* messages).length, 2)
    }).pipe(Effect.provide(Layer.provideMerge(AnalyticsTest.layer(), layerLog(lines))))
  )
})

describe("an outage", () => {
  const lines: Array<Line> = []
  const warnings = () => lines.filter(({ level }) => level === "Warn")

  it.effect("is logged after the third failure in a row, with the facts; and so is its end", () =>
    Effect.gen(function* () {
      yield* (yield* AnalyticsTest.Sent).respond("network error", 503, 503, 503)
      yield* trackMany(1, 7)
      const flush = yield* Effect.forkChild(Analytics.flush)
      yield* breathe
      assert.deepStrictEqual(warnings(), [])
      for (let n = 0; n < 100; n++) yield* Effect.andThen(TestClock.adjust("1 second"), breathe)
      assert.deepInclude(yield* Fiber.join(flush), { delivered: 7 })
      const [outage, recovery, ...others] = warnings()
      assert.match(outage?.text ?? "", /^3 attempts failed in a row; 7 messages wait; next attempt in \d+\.\d s$/)
      assert.deepInclude(outage?.annotations, { destination: "https://api.segment.io/v1/batch", status: 503 })
      assert.match(recovery?.text ?? "", /^delivering again, after \d+\.\d s$/)
      assert.deepStrictEqual(others, [])
    }).pipe(Effect.provide(Layer.provideMerge(AnalyticsTest.layer(), layerLog(lines))))
  )

  it.effect("under TestClock is told at once: a test over a real network waits for a clock that stands still", () =>
    Effect.gen(function* () {
      lines.length = 0
      const { host } = yield* Effect.scoped(peer())
      const client = Analytics.layerFetch({ writeKey: Redacted.make("test-write-key"), host, closeTimeout: 0 })
      const waits = Effect.gen(function* () {
        yield* trackMany(1, 1)
        yield* Effect.repeat(breathe, { until: () => warnings().length > 0 })
      })
      yield* Effect.provide(waits, Layer.provide(client, layerLog(lines)), { local: true })
      assert.match(warnings()[0]?.text ?? "", /^the request failed, and the next attempt waits for TestClock: /)
      assert.deepInclude(warnings()[0]?.annotations, { destination: `${host}/v1/batch`, detail: "ECONNREFUSED" })
    })
  )

  it.effect("so is a rate limit that lasts for 30 seconds", () =>
    Effect.gen(function* () {
      lines.length = 0
      const limited = { status: 429, headers: { "retry-after": "20" } }
      yield* (yield* AnalyticsTest.Sent).respond(limited, limited, limited)
      yield* trackMany(1, 1)
      for (let n = 0; n < 80; n++) yield* Effect.andThen(TestClock.adjust("1 second"), breathe)
      const [limit, recovery] = warnings()
      assert.match(limit?.text ?? "", /^rate limited for 40\.0 s; 1 message waits; next attempt in 20\.0 s$/)
      assert.match(recovery?.text ?? "", /^delivering again/)
    }).pipe(Effect.provide(Layer.provideMerge(AnalyticsTest.layer(), layerLog(lines))))
  )
})

describe("a test of a program with several clients", () => {
  class Marketing extends Context.Service<Marketing, Analytics.Service>()("test/Marketing") {}
  const MarketingTest = AnalyticsTest.forClient(Marketing)

  it.effect("has a record for each, and answers for each", () =>
    Effect.gen(function* () {
      const marketing = yield* Marketing
      yield* (yield* MarketingTest.Sent).respond(400)
      yield* marketing.track({ anonymousId: "v1", event: "Campaign Clicked" })
      yield* Analytics.track({ userId: "u1", event: "Signed In" })
      assert.deepInclude(yield* marketing.flush, { delivered: 0, dropped: 1 })
      yield* Analytics.flush
      assert.deepStrictEqual(
        (yield* messages).map((message) => message.type === "track" && message.event),
        ["Signed In"]
      )
      assert.deepStrictEqual(yield* (yield* MarketingTest.Sent).messages, [])
      assert.lengthOf(yield* (yield* MarketingTest.Sent).requests, 1)
    }).pipe(Effect.provide([AnalyticsTest.layer(), MarketingTest.layer({ maxRetries: 0 })]))
  )
})
