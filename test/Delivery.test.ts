import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as Analytics from "../src/Analytics.ts"
import * as AnalyticsTest from "../src/AnalyticsTest.ts"
import { toResponse } from "../src/internal/FakeServer.ts"
import * as Observer from "../src/Observer.ts"
import { reasonOf } from "./errors.ts"
import {
  attemptedAt,
  breathe,
  chance,
  elapse,
  events,
  type Line,
  layerLog,
  losses,
  numbered,
  pass,
  sizes,
  trackMany
} from "./support.ts"

describe("Delivery", () => {
  it.effect("sends the first message at once when idle, and what arrives during its request as the next batch", () =>
    Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      const sent = yield* AnalyticsTest.Sent
      yield* sent.respond({ status: 200, delay: 1_000 })
      yield* trackMany(1, 1)
      yield* breathe
      yield* trackMany(2, 51)
      yield* pass(500)
      yield* trackMany(52, 61)
      yield* pass(500)
      yield* analytics.flush
      assert.deepStrictEqual(yield* sizes, [1, 60])
    }).pipe(Effect.provide(AnalyticsTest.layer()))
  )

  it.effect("delivers what is waiting when the window closes", () =>
    Effect.gen(function* () {
      yield* trackMany(1, 3)
      yield* pass("4 seconds")
      yield* trackMany(4, 5)
      yield* pass("5999 millis")
      assert.deepStrictEqual(yield* sizes, [])
      yield* pass("1 millis")
      assert.deepStrictEqual(yield* sizes, [5])
    }).pipe(Effect.provide(AnalyticsTest.layer({ flushInterval: "10 seconds" })))
  )

  it.effect("a flush hurries the open group", () =>
    Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      yield* trackMany(1, 3)
      yield* pass("4 seconds")
      assert.deepStrictEqual(yield* sizes, [])
      assert.deepStrictEqual(yield* analytics.flush, { delivered: 3, dropped: 0, rejected: 0, pending: 0 })
      assert.deepStrictEqual(yield* sizes, [3])
      yield* trackMany(4, 5)
      yield* pass("9999 millis")
      assert.deepStrictEqual(yield* sizes, [3])
      yield* pass("1 millis")
      assert.deepStrictEqual(yield* sizes, [3, 2])
    }).pipe(Effect.provide(AnalyticsTest.layer({ flushInterval: "10 seconds" })))
  )

  it.effect("keeps the order in which calls were accepted", () =>
    Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      yield* trackMany(1, 1234)
      yield* analytics.flush
      assert.deepStrictEqual(yield* events, numbered(1, 1234))
    }).pipe(Effect.provide(AnalyticsTest.layer()))
  )

  it.effect("has no more than maxInFlight requests on their way", () =>
    Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      const sent = yield* AnalyticsTest.Sent
      yield* sent.respond(...Array.from({ length: 10 }, () => ({ status: 200, delay: 1_000 })))
      yield* trackMany(1, 1000)
      const flush = yield* Effect.forkChild(analytics.flush, { startImmediately: true })
      for (const requests of [3, 6, 9, 10]) {
        yield* breathe
        assert.strictEqual((yield* sent.requests).length, requests)
        yield* pass(1_000)
      }
      assert.deepStrictEqual(yield* Fiber.join(flush), { delivered: 1000, dropped: 0, rejected: 0, pending: 0 })
    }).pipe(Effect.provide(AnalyticsTest.layer({ maxInFlight: 3 })))
  )

  it.effect("a close drops what it can't deliver in time, and says so", () =>
    Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      const sent = yield* AnalyticsTest.Sent
      yield* sent.respond(200, "never")
      yield* trackMany(1, 250)
      const close = yield* Effect.forkChild(analytics.close, { startImmediately: true })
      yield* pass("2 seconds")
      assert.deepStrictEqual(yield* Fiber.join(close), { delivered: 100, dropped: 150, rejected: 0, pending: 0 })
      assert.deepStrictEqual(yield* analytics.close, { delivered: 100, dropped: 150, rejected: 0, pending: 0 })
      assert.strictEqual((yield* reasonOf(analytics.track({ userId: "u1", event: "late" })))._tag, "Closed")
    }).pipe(Effect.provide(AnalyticsTest.layer({ closeTimeout: "2 seconds" })))
  )
})

describe("Delivery: the size of a batch", () => {
  /** The UTF-8 bytes of each request. */
  const requestBytes = AnalyticsTest.Sent.use((sent) =>
    Effect.map(sent.requests, (all) => all.map(({ text }) => new TextEncoder().encode(text).length))
  )

  /** Tracks messages that are so many bytes long, or a little less: of characters of three bytes each. */
  const trackLarge = Effect.fnUntraced(function* (count: number, bytes: number) {
    const analytics = yield* Analytics.Analytics
    for (let n = 1; n <= count; n++) {
      const properties = { text: "€".repeat(Math.floor((bytes - 330) / 3)) }
      yield* analytics.track({ userId: "u1", event: `event ${n}`, properties })
    }
  })

  it.effect.each([32_700, 20_000, 7_001])(
    "H17 is at most 500,000 bytes with its envelope, with messages of %i",
    (bytes) =>
      Effect.gen(function* () {
        const analytics = yield* Analytics.Analytics
        yield* trackLarge(150, bytes)
        yield* analytics.flush
        const sent = yield* requestBytes
        assert.isTrue(sent.every((size) => size <= 500_000))
        // And it is used: no more of them fit.
        assert.isTrue(sent.slice(0, -1).every((size) => size > 500_000 - bytes))
        assert.deepStrictEqual(yield* events, numbered(1, 150))
      }).pipe(Effect.provide(AnalyticsTest.layer({ batchSize: 2_500, flushInterval: 10 })))
  )

  it.effect("H17 what is left of one take is filled up with the next: no request is smaller than it must be", () =>
    Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      const sent = yield* AnalyticsTest.Sent
      yield* sent.respond({ status: 200, delay: 1_000 })
      yield* trackMany(0, 0)
      yield* breathe
      // Eighty of these fit into a request, and a hundred are taken at a time.
      yield* trackLarge(300, 6_280)
      yield* pass(1_000)
      yield* analytics.flush
      assert.deepStrictEqual(yield* sizes, [1, 80, 80, 80, 60])
    }).pipe(Effect.provide(AnalyticsTest.layer()))
  )

  it.effect("H17 is at most 500,000 bytes, to the byte", () =>
    Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      const sent = yield* AnalyticsTest.Sent
      // One to learn what a message and an envelope weigh.
      const properties = (length: number) => ({ text: "x".repeat(length) })
      const call = (event: string, length: number) =>
        analytics.track({ userId: "u1", messageId: event, event, properties: properties(length) })
      yield* call("event 00", 0)
      yield* analytics.flush
      const [request] = yield* sent.requests
      const message = JSON.stringify(request?.body.batch[0]).length
      const envelope = (request?.text.length ?? 0) - message
      // Sixteen that fill a request but for one byte, sixteen that fill it, and sixteen that are one byte too many.
      const room = 499_999 - envelope - 15
      const each = Math.floor(room / 16) - message
      for (const extra of [0, 1, 2]) {
        for (let n = 1; n <= 16; n++) {
          yield* call(`event ${10 + n}`, each + (n === 16 ? room - 16 * (each + message) + extra : 0))
        }
        yield* analytics.flush
      }
      assert.deepStrictEqual(yield* sizes, [1, 16, 16, 15, 1])
      assert.deepStrictEqual((yield* requestBytes).slice(1, 3), [499_999, 500_000])
    }).pipe(Effect.provide(AnalyticsTest.layer({ flushInterval: 10 })))
  )

  it.effect("grows with the load, up to batchSize", () =>
    Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      const sent = yield* AnalyticsTest.Sent
      yield* sent.respond(...Array.from({ length: 8 }, () => ({ status: 200, delay: 100 })))
      let tracked = 0
      for (const load of [1, 2, 5, 10, 50, 250]) {
        yield* trackMany(tracked + 1, tracked + load)
        tracked += load
        yield* pass(100)
      }
      yield* elapse("1 seconds", 100)
      yield* analytics.flush
      assert.deepStrictEqual(yield* sizes, [1, 2, 5, 10, 50, 100, 100, 50])
    }).pipe(Effect.provide(AnalyticsTest.layer()))
  )
})

describe("Delivery: a flush", () => {
  it.effect("waits for what was accepted before it, and not for what comes later", () =>
    Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      const sent = yield* AnalyticsTest.Sent
      yield* sent.respond({ status: 200, delay: 1_000 }, { status: 401, delay: 1_000 }, "never")
      yield* trackMany(1, 20)
      const flush = yield* Effect.forkChild(analytics.flush, { startImmediately: true })
      yield* breathe
      yield* trackMany(21, 30)
      const later = yield* Effect.forkChild(analytics.flush, { startImmediately: true })
      yield* elapse("1999 millis", 1)
      assert.isUndefined(flush.pollUnsafe())
      yield* elapse(3, 1)
      assert.deepStrictEqual(yield* Fiber.join(flush), { delivered: 10, dropped: 10, rejected: 0, pending: 0 })
      assert.isUndefined(later.pollUnsafe())
    }).pipe(Effect.provide(AnalyticsTest.layer({ batchSize: 10 })))
  )

  it.effect("hurries only what is there: the next window is as long as ever", () =>
    Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      yield* trackMany(1, 3)
      yield* Effect.all([analytics.flush, analytics.flush, analytics.flush], { concurrency: 3 })
      yield* trackMany(4, 4)
      yield* pass("59 minutes")
      assert.deepStrictEqual(yield* sizes, [3])
    }).pipe(Effect.provide(AnalyticsTest.layer({ flushInterval: "1 hours" })))
  )
})

describe("Delivery: a close", () => {
  interface State {
    readonly name: string
    readonly options?: AnalyticsTest.Options
    readonly answers?: ReadonlyArray<AnalyticsTest.Answer>
    /** How many messages are accepted, and how long the client has had for them. */
    readonly messages: number
    readonly after?: number
    readonly delivered: number
    readonly dropped: number
  }

  const states: ReadonlyArray<State> = [
    { name: "idle", messages: 0, delivered: 0, dropped: 0 },
    { name: "grouping", options: { flushInterval: "1 hours" }, messages: 7, after: 1_000, delivered: 7, dropped: 0 },
    { name: "about to begin", messages: 250, delivered: 250, dropped: 0 },
    {
      name: "in flight",
      answers: [{ status: 200, delay: 2_000 }],
      messages: 5,
      after: 1_000,
      delivered: 5,
      dropped: 0
    },
    {
      name: "in flight, without an answer",
      answers: ["never", "never"],
      messages: 5,
      after: 1,
      delivered: 0,
      dropped: 5
    },
    { name: "in backoff", answers: [503, 503, 503], messages: 1, after: 300, delivered: 1, dropped: 0 },
    {
      name: "in backoff, for longer",
      answers: Array(20).fill(503),
      messages: 5,
      after: 60_000,
      delivered: 0,
      dropped: 5
    },
    {
      name: "rate limited",
      answers: [{ status: 429, headers: { "retry-after": "2" } }],
      messages: 1,
      after: 500,
      delivered: 1,
      dropped: 0
    },
    {
      name: "rate limited for longer",
      answers: [{ status: 429, headers: { "retry-after": "60" } }],
      messages: 250,
      after: 500,
      delivered: 0,
      dropped: 250
    }
  ]

  const layer = (options: AnalyticsTest.Options = {}) =>
    AnalyticsTest.layer({ closeTimeout: "5 seconds", ...options }).pipe(Layer.provide(chance(0.5)))

  const begin = Effect.fnUntraced(function* ({ after, answers, messages }: State) {
    const sent = yield* AnalyticsTest.Sent
    yield* sent.respond(...(answers ?? []))
    yield* trackMany(1, messages)
    if (after !== undefined) yield* elapse(after, 100)
  })

  /** The same client without the test layer, which would close it by itself. */
  const unattended = ({ answers, options }: State) => {
    const script = [...(answers ?? [])]
    const wire = HttpClient.make((request) =>
      Effect.gen(function* () {
        const answer = script.shift() ?? 200
        if (answer === "never" || answer === "network error") return yield* Effect.never
        if (typeof answer === "object") yield* Effect.sleep(answer.delay ?? 0)
        return HttpClientResponse.fromWeb(request, toResponse(answer))
      })
    )
    return Analytics.layer({ writeKey: Redacted.make("test-write-key"), closeTimeout: "5 seconds", ...options }).pipe(
      Layer.provide([Layer.succeed(HttpClient.HttpClient, wire), chance(0.5)])
    )
  }

  it.effect.each(states)("while $name a close ends in its time, and a second close answers the same", (state) =>
    Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      const { delivered, dropped, messages } = state
      yield* begin(state)
      const first = yield* Effect.forkChild(analytics.close, { startImmediately: true })
      const second = yield* Effect.forkChild(analytics.close, { startImmediately: true })
      yield* breathe
      assert.strictEqual((yield* reasonOf(analytics.track({ userId: "u1", event: "late" })))._tag, "Closed")
      yield* elapse("5 seconds", 100)
      const closed = yield* Fiber.join(first)
      assert.deepInclude(closed, { delivered, dropped, pending: 0 })
      assert.deepStrictEqual(yield* Fiber.join(second), closed)
      assert.deepStrictEqual(yield* analytics.close, closed)
      const flushed = yield* analytics.flush
      assert.deepStrictEqual(flushed, { delivered: 0, dropped: 0, rejected: 1 - closed.rejected, pending: 0 })
      assert.include(yield* analytics.stats, { offered: messages + 1, pending: 0, rejected: 1, inFlight: 0 })
      assert.isTrue((yield* losses).every(([reason]) => reason === "closed"))
      // What is closed does nothing more.
      const sent = yield* AnalyticsTest.Sent
      const requests = (yield* sent.requests).length
      yield* elapse("1 hours", "1 minutes")
      assert.strictEqual((yield* sent.requests).length, requests)
    }).pipe(Effect.provide(layer(state.options)))
  )

  it.effect.each(states)("while $name the end of the scope is a close", (state) =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(unattended(state), scope)
      yield* Effect.gen(function* () {
        const analytics = yield* Analytics.Analytics
        yield* trackMany(1, state.messages)
        if (state.after !== undefined) yield* elapse(state.after, 100)
        const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
        yield* elapse("5 seconds", 100)
        yield* Fiber.join(closing)
        const { delivered, dropped, pending } = yield* analytics.stats
        assert.deepStrictEqual(
          { delivered, dropped, pending },
          { delivered: state.delivered, dropped: state.dropped, pending: 0 }
        )
        assert.strictEqual((yield* reasonOf(analytics.track({ userId: "u1", event: "late" })))._tag, "Closed")
      }).pipe(Effect.provide(context))
    })
  )

  it.effect.each([
    { when: "nothing was delivered in all its time", answers: Array(20).fill(503), lines: 1 },
    { when: "something was delivered", answers: [200, ...Array(20).fill(503)], lines: 0 },
    { when: "everything was rejected", answers: [401, 401], lines: 0 },
    { when: "the program has closed the client itself", answers: Array(20).fill(503), closes: true, lines: 0 }
  ])("by the end of a layer logs a warning if the wait was in vain: $when", ({ answers, closes, lines: expected }) =>
    Effect.gen(function* () {
      const lines: Array<Line> = []
      const scope = yield* Scope.make()
      const state = { name: "", answers, options: { batchSize: 5 }, messages: 10, delivered: 0, dropped: 0 }
      const context = yield* Layer.buildWithScope(Layer.provide(unattended(state), layerLog(lines)), scope)
      yield* Effect.provide(trackMany(1, state.messages), context)
      const end = Scope.close(scope, Exit.void)
      const close = Analytics.closeWithin("5 seconds").pipe(Effect.provide(context), Effect.provide(layerLog(lines)))
      const closing = yield* Effect.forkChild(closes === true ? Effect.andThen(close, end) : end, {
        startImmediately: true
      })
      yield* elapse("5 seconds", 100)
      yield* Fiber.join(closing)
      const vain = lines.filter(
        ({ level, text }) => level === "Warn" && text.startsWith("the end of a layer waited 5 s")
      )
      assert.strictEqual(vain.length, expected)
      if (expected > 0)
        assert.match(vain[0]?.text ?? "", /nothing was delivered; 10 messages are left\..*ManagedRuntime/)
    })
  )

  it.effect("by the end of a layer that may not wait logs no warning", () => {
    const lines: Array<Line> = []
    return Effect.gen(function* () {
      const state = { name: "", answers: [], messages: 3, delivered: 0, dropped: 3 }
      const client = Layer.provide(
        unattended({ ...state, options: { flushInterval: "1 hour", closeTimeout: 0 } }),
        layerLog(lines)
      )
      yield* Effect.provide(trackMany(1, 3), client)
      assert.isFalse(lines.some(({ text }) => text.startsWith("the end of a layer waited")))
    })
  })

  it.effect("answers with the ends of what it waited for, and not with those before", () =>
    Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      const sent = yield* AnalyticsTest.Sent
      yield* sent.respond(200, 400)
      yield* trackMany(1, 1)
      yield* analytics.flush
      yield* trackMany(2, 2)
      yield* analytics.flush
      yield* trackMany(3, 3)
      assert.deepStrictEqual(yield* Analytics.closeWithin("1 seconds"), {
        delivered: 1,
        dropped: 0,
        rejected: 0,
        pending: 0
      })
    }).pipe(Effect.provide(AnalyticsTest.layer()))
  )

  it.effect("while the queue is full refuses those who wait for room, and delivers those who had it", () =>
    Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      const sent = yield* AnalyticsTest.Sent
      yield* sent.respond({ status: 200, delay: 1_000 })
      yield* trackMany(1, 3)
      const waiting = yield* Effect.forEach([4, 5, 6], (n) => Effect.forkChild(reasonOf(trackMany(n, n))))
      yield* pass(500)
      const close = yield* Effect.forkChild(analytics.close, { startImmediately: true })
      yield* breathe
      for (const one of waiting) assert.strictEqual((yield* Fiber.join(one))._tag, "Closed")
      yield* elapse("1 seconds", 100)
      assert.deepStrictEqual(yield* Fiber.join(close), { delivered: 3, dropped: 0, rejected: 3, pending: 0 })
      assert.deepStrictEqual(yield* events, numbered(1, 3))
      assert.include(yield* analytics.stats, { offered: 6, delivered: 3, rejected: 3 })
    }).pipe(Effect.provide(layer({ maxQueueSize: 3, overflow: "wait" })))
  )
})

describe("Delivery: an observer that never answers", () => {
  const silent = (options: AnalyticsTest.Options) =>
    AnalyticsTest.layer(options).pipe(Layer.provide(Observer.layer(() => Effect.never)))

  it.effect("holds up a flush for 5 seconds a batch, and no longer", () =>
    Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      yield* trackMany(1, 30)
      const flush = yield* Effect.forkChild(analytics.flush, { startImmediately: true })
      for (const batch of [1, 2, 3]) {
        yield* breathe
        assert.strictEqual((yield* sizes).length, batch)
        assert.isUndefined(flush.pollUnsafe())
        yield* pass("5 seconds")
      }
      assert.isDefined(flush.pollUnsafe())
      assert.deepStrictEqual(yield* Fiber.join(flush), { delivered: 30, dropped: 0, rejected: 0, pending: 0 })
    }).pipe(Effect.provide(silent({ batchSize: 10, flushInterval: 10 })))
  )

  it.effect.each([
    ["the batch that is told", 10, 0, "5 seconds"],
    ["the batch that is told, and what is dropped then", 30, 20, "10 seconds"]
  ] as const)("holds up a close for 5 seconds, for each of: %s", ([, messages, dropped, time]) =>
    Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      yield* trackMany(1, messages)
      const close = yield* Effect.forkChild(analytics.close, { startImmediately: true })
      yield* breathe
      yield* pass("300 millis")
      assert.isUndefined(close.pollUnsafe())
      yield* elapse(time, "100 millis")
      assert.isDefined(close.pollUnsafe())
      assert.deepStrictEqual(yield* Fiber.join(close), {
        delivered: messages - dropped,
        dropped,
        rejected: 0,
        pending: 0
      })
    }).pipe(Effect.provide(silent({ batchSize: 10, flushInterval: 10, closeTimeout: 300 })))
  )
})

describe("Delivery: several requests in flight", () => {
  /** A message each millisecond, answers that take so long, and when each request left. */
  const departures = Effect.fnUntraced(function* (answer: number, millis: number, burst: number) {
    const sent = yield* AnalyticsTest.Sent
    yield* sent.respond(...Array.from({ length: 500 }, () => ({ status: 200, delay: answer })))
    for (let n = 1; n <= millis; n++) {
      yield* trackMany(n * burst, n * burst + burst - 1)
      yield* pass(1)
    }
    return yield* attemptedAt
  })
  it.effect("a batch that is full leaves at once", () =>
    Effect.gen(function* () {
      const times = yield* departures(40, 60, 50)
      // A hundred messages are there every two milliseconds: the slots are what is waited for, and nothing else.
      assert.deepStrictEqual(times.filter((time) => time < 40).length, 4)
    }).pipe(Effect.provide(AnalyticsTest.layer({ maxInFlight: 4, batchSize: 100 })))
  )
})
