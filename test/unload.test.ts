/**
 * The end of a client, in states that `Delivery.test.ts` has not: it comes within its time, accounts for everything, and
 * leaves nobody waiting. The plain client is held to the same, on false timers.
 */
import { afterEach, assert, beforeEach, describe, it, vi } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Analytics from "../src/Analytics.ts"
import * as AnalyticsTest from "../src/AnalyticsTest.ts"
import * as Observer from "../src/Observer.ts"
import type { Client, Settings } from "../src/plain.ts"
import { createTestAnalytics } from "../src/plainTest.ts"
import { reasonOf } from "./errors.ts"
import { breathe, chance, elapse, events, losses, numbered, pass, trackMany } from "./support.ts"

const again = <A>(times: number, answer: A): Array<A> => Array.from({ length: times }, () => answer)

const slow = (status: number, delay: number) => ({ status, delay })

const limited = (seconds: string) => ({ status: 429, headers: { "retry-after": seconds } })

const layer = (options: AnalyticsTest.Options = {}) =>
  AnalyticsTest.layer({ closeTimeout: "5 seconds", ...options }).pipe(Layer.provide(chance(0.5)))

/** A client whose scope is the test's to end. */
const inScope = Effect.fnUntraced(function* (client: ReturnType<typeof layer>) {
  const scope = yield* Scope.make()
  const context = yield* Layer.buildWithScope(client, scope)
  return { context, end: Scope.close(scope, Exit.void) }
})

const account = Effect.gen(function* () {
  const analytics = yield* Analytics.Analytics
  const { delivered, dropped, inFlight, offered, pending, pendingBytes, rejected } = yield* analytics.stats
  assert.strictEqual(offered, delivered + dropped + pending + rejected)
  assert.strictEqual(pending === 0, pendingBytes === 0)
  return { delivered, dropped, pending, rejected, inFlight }
})

describe("unload: the end of the scope", () => {
  it.effect("in the middle of the search for a poison: what was found out stays, the rest is dropped", () =>
    Effect.gen(function* () {
      const { context, end } = yield* inScope(layer({ flushInterval: 10 }))
      yield* Effect.gen(function* () {
        const sent = yield* AnalyticsTest.Sent
        yield* sent.respond(slow(400, 1_000), slow(200, 1_000), slow(400, 1_000), slow(200, 3_000), "never")
        yield* trackMany(1, 8)
        yield* elapse(2_500, 100)
        const ending = yield* Effect.forkChild(end)
        yield* elapse(4_900, 100)
        assert.isUndefined(ending.pollUnsafe())
        yield* elapse(200, 100)
        yield* Fiber.join(ending)
        assert.deepStrictEqual(yield* account, { delivered: 6, dropped: 2, pending: 0, rejected: 0, inFlight: 0 })
        assert.deepStrictEqual(yield* losses, [["closed", 2]])
        assert.deepStrictEqual(yield* events, numbered(1, 6))
      }).pipe(Effect.provide(context))
    })
  )

  it.effect("during a flush: the flush is over with it, and says the same", () =>
    Effect.gen(function* () {
      const { context, end } = yield* inScope(layer({ batchSize: 2 }))
      yield* Effect.gen(function* () {
        const analytics = yield* Analytics.Analytics
        const sent = yield* AnalyticsTest.Sent
        yield* sent.respond(slow(200, 1_000), slow(401, 1_000), "never")
        yield* trackMany(1, 6)
        const flushes = [yield* Effect.forkChild(analytics.flush), yield* Effect.forkChild(analytics.flush)]
        yield* pass(500)
        const ending = yield* Effect.forkChild(end)
        yield* elapse(5_100, 100)
        yield* Fiber.join(ending)
        for (const flush of flushes)
          assert.deepStrictEqual(yield* Fiber.join(flush), { delivered: 2, dropped: 4, rejected: 0, pending: 0 })
        assert.deepStrictEqual(yield* losses, [
          ["misconfigured", 2],
          ["closed", 2]
        ])
      }).pipe(Effect.provide(context))
    })
  )

  it.effect("during a close: waits for it, and no longer", () =>
    Effect.gen(function* () {
      const { context, end } = yield* inScope(layer())
      yield* Effect.gen(function* () {
        const analytics = yield* Analytics.Analytics
        const sent = yield* AnalyticsTest.Sent
        yield* sent.respond("never")
        yield* trackMany(1, 3)
        const close = yield* Effect.forkChild(analytics.close)
        yield* elapse("3 seconds", 100)
        const ending = yield* Effect.forkChild(end)
        yield* elapse(1_900, 100)
        assert.isUndefined(ending.pollUnsafe())
        yield* elapse(100, 50)
        yield* Fiber.join(ending)
        assert.deepStrictEqual(yield* Fiber.join(close), { delivered: 0, dropped: 3, rejected: 0, pending: 0 })
      }).pipe(Effect.provide(context))
    })
  )

  it.effect("after a close that was interrupted: that one went on, and is waited for", () =>
    Effect.gen(function* () {
      const { context, end } = yield* inScope(layer())
      yield* Effect.gen(function* () {
        const analytics = yield* Analytics.Analytics
        const sent = yield* AnalyticsTest.Sent
        yield* sent.respond("never")
        yield* trackMany(1, 3)
        const close = yield* Effect.forkChild(analytics.close)
        yield* pass("1 seconds")
        close.interruptUnsafe()
        yield* breathe
        const ending = yield* Effect.forkChild(end)
        yield* elapse(4_000, 100)
        yield* Fiber.join(ending)
        assert.deepStrictEqual(yield* analytics.close, { delivered: 0, dropped: 3, rejected: 0, pending: 0 })
        assert.deepStrictEqual(yield* losses, [["closed", 3]])
      }).pipe(Effect.provide(context))
    })
  )

  it.effect("that is interrupted itself ends in its time all the same", () =>
    Effect.gen(function* () {
      const { context, end } = yield* inScope(layer())
      yield* Effect.gen(function* () {
        const sent = yield* AnalyticsTest.Sent
        yield* sent.respond("never")
        yield* trackMany(1, 3)
        const ending = yield* Effect.forkChild(end)
        yield* pass("1 seconds")
        ending.interruptUnsafe()
        yield* elapse("4 seconds", 100)
        assert.isDefined(ending.pollUnsafe())
        assert.deepStrictEqual(yield* account, { delivered: 0, dropped: 3, pending: 0, rejected: 0, inFlight: 0 })
      }).pipe(Effect.provide(context))
    })
  )

  it.effect("with three requests on their way takes what arrives, and drops what does not", () =>
    Effect.gen(function* () {
      const { context, end } = yield* inScope(layer({ batchSize: 1, maxInFlight: 3 }))
      yield* Effect.gen(function* () {
        const sent = yield* AnalyticsTest.Sent
        yield* sent.respond("never", slow(200, 2_000), limited("60"))
        yield* trackMany(1, 9)
        yield* pass(100)
        const ending = yield* Effect.forkChild(end)
        yield* elapse("5 seconds", 100)
        yield* Fiber.join(ending)
        assert.deepStrictEqual(yield* account, { delivered: 1, dropped: 8, pending: 0, rejected: 0, inFlight: 0 })
        const requests = (yield* sent.requests).length
        yield* elapse("1 hours", "1 minutes")
        assert.strictEqual((yield* sent.requests).length, requests)
      }).pipe(Effect.provide(context))
    })
  )

  it.effect.each([
    ["throws", () => Effect.die(new Error("mine"))],
    ["never ends", () => Effect.never]
  ] as const)("ends in its time even when the observer %s", ([, observer]) =>
    Effect.gen(function* () {
      const client = Analytics.layerStub({ closeTimeout: "5 seconds" }).pipe(Layer.provide(Observer.layer(observer)))
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(client, scope)
      yield* Effect.provide(trackMany(1, 3), context)
      yield* pass("1 seconds")
      const ending = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* elapse("10 seconds", 100)
      assert.isDefined(ending.pollUnsafe())
    })
  )
})

describe("unload: callers that wait for room", () => {
  const full = { maxQueueSize: 3, overflow: "wait" } as const

  it.effect("are let go by an interruption at any time, and leave nothing behind", () =>
    Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      const sent = yield* AnalyticsTest.Sent
      yield* sent.respond(slow(200, 1_000))
      yield* trackMany(1, 3)
      const callers = yield* Effect.forEach([4, 5, 6, 7], (n) => Effect.forkChild(trackMany(n, n)))
      yield* pass(500)
      for (const at of [0, 2]) yield* Fiber.interrupt(callers[at] as (typeof callers)[number])
      assert.deepStrictEqual(yield* account, { delivered: 0, dropped: 0, pending: 3, rejected: 0, inFlight: 3 })
      yield* elapse("1 seconds", 100)
      yield* analytics.flush
      assert.deepStrictEqual(yield* events, ["event 1", "event 2", "event 3", "event 5", "event 7"])
      assert.include(yield* analytics.stats, { offered: 5, delivered: 5, pending: 0 })
    }).pipe(Effect.provide(layer(full)))
  )

  it.effect("are let go by an interruption in the very moment in which there is room, and are accounted for", () =>
    Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      const sent = yield* AnalyticsTest.Sent
      yield* sent.respond(slow(200, 1_000))
      yield* trackMany(1, 3)
      const callers = yield* Effect.forEach([4, 5, 6], (n) => Effect.forkChild(trackMany(n, n)))
      yield* breathe
      const interrupting = yield* Effect.forkChild(
        Effect.andThen(
          Effect.sleep(1_000),
          Effect.sync(() => {
            for (const caller of callers) caller.interruptUnsafe()
          })
        )
      )
      yield* pass("1 seconds")
      yield* Fiber.await(interrupting)
      yield* analytics.flush
      const { delivered, offered, pending } = yield* analytics.stats
      assert.deepStrictEqual([pending, delivered], [0, offered])
      assert.strictEqual((yield* events).length, delivered)
    }).pipe(Effect.provide(layer(full)))
  )

  it.effect("are refused by the end of the scope, at once, and those that are interrupted then count nowhere", () =>
    Effect.gen(function* () {
      const { context, end } = yield* inScope(layer(full))
      yield* Effect.gen(function* () {
        const sent = yield* AnalyticsTest.Sent
        yield* sent.respond("never")
        yield* trackMany(1, 3)
        const [first, ...others] = yield* Effect.forEach([4, 5, 6], (n) => Effect.forkChild(reasonOf(trackMany(n, n))))
        yield* breathe
        first?.interruptUnsafe()
        const ending = yield* Effect.forkChild(end)
        yield* breathe
        for (const other of others) assert.strictEqual((yield* Fiber.join(other))._tag, "Closed")
        assert.isUndefined(ending.pollUnsafe())
        yield* elapse("5 seconds", 100)
        yield* Fiber.join(ending)
        assert.deepStrictEqual(yield* account, { delivered: 0, dropped: 3, pending: 0, rejected: 2, inFlight: 0 })
      }).pipe(Effect.provide(context))
    })
  )
})

describe("unload: the plain client", () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date"] })
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  interface State {
    readonly name: string
    readonly settings?: Partial<Settings>
    readonly answers?: ReadonlyArray<AnalyticsTest.Answer>
    readonly messages: number
    readonly after: number
    readonly delivered: number
  }

  const states: ReadonlyArray<State> = [
    { name: "idle", messages: 0, after: 0, delivered: 0 },
    { name: "about to begin", messages: 250, after: 0, delivered: 250 },
    { name: "grouping", settings: { flushInterval: "1 hour" }, messages: 7, after: 1_000, delivered: 7 },
    { name: "in flight", answers: [slow(200, 2_000)], messages: 5, after: 500, delivered: 5 },
    { name: "in flight without an answer", answers: again(9, "never"), messages: 5, after: 500, delivered: 0 },
    {
      name: "in backoff",
      settings: { maxRetries: 1_000 },
      answers: again(999, 503),
      messages: 5,
      after: 10_000,
      delivered: 0
    },
    { name: "rate limited for longer", answers: again(99, limited("60")), messages: 250, after: 500, delivered: 0 },
    {
      name: "searching for a poison",
      settings: { flushInterval: 10 },
      answers: [400, slow(200, 1_000), "never"],
      messages: 8,
      after: 500,
      delivered: 4
    }
  ]

  /** Whether a promise is settled once everything that can happen now has. */
  const isOver = async (promise: Promise<unknown>) => {
    let over = false
    const end = () => {
      over = true
    }
    promise.then(end, end)
    await vi.advanceTimersByTimeAsync(0)
    for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate)
    return over
  }

  const elapse = async (millis: number, client: Client) => {
    for (let passed = 0; passed < millis; passed += 100) {
      await isOver(Promise.resolve())
      await vi.advanceTimersByTimeAsync(100)
      const { delivered, dropped, offered, pending, rejected } = client.stats()
      assert.strictEqual(offered, delivered + dropped + pending + rejected)
    }
    await isOver(Promise.resolve())
  }

  for (const { after, answers, delivered, messages, name, settings } of states) {
    it(`while ${name} closes in its time, and says what became of it`, async () => {
      const reasons = new Set<string>()
      const client = createTestAnalytics({
        closeTimeout: "5 seconds",
        strict: false,
        onError: ({ reason }) => reasons.add(reason),
        logger: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
        ...settings
      })
      client.respond(...(answers ?? []))
      for (let n = 1; n <= messages; n++) client.track({ userId: "u1", event: `event ${n}` })
      if (after > 0) await elapse(after, client)
      const flush = client.flush()
      const [close, second] = [client.close(), client.close()]
      assert.isFalse(client.track({ userId: "u1", event: "late" }))
      await elapse(5_000, client)
      assert.isTrue(await isOver(close))
      const expected = { delivered, dropped: messages - delivered, pending: 0 }
      const closed = await close
      assert.deepInclude(closed, expected)
      assert.deepStrictEqual(await second, closed)
      assert.deepStrictEqual(await flush, { ...expected, rejected: 0 })
      assert.include(client.stats(), { pending: 0, inFlight: 0, rejected: 1, pendingBytes: 0 })
      assert.deepStrictEqual([...reasons].toSorted(), delivered < messages ? ["Closed", "closed"] : ["Closed"])
      const requests = client.requests.length
      assert.strictEqual(vi.getTimerCount(), 0)
      await vi.advanceTimersByTimeAsync(3_600_000)
      assert.strictEqual(client.requests.length, requests)
    })
  }
})
