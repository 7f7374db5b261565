import { setImmediate } from "node:timers/promises"
import { inspect } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Analytics from "../src/Analytics.ts"
import * as AnalyticsTest from "../src/AnalyticsTest.ts"
import * as Enrichment from "../src/Enrichment.ts"
import { library, type Wire } from "../src/Message.ts"
import * as plain from "../src/plain.ts"
import { createTestAnalytics } from "../src/plainTest.ts"
import * as Transform from "../src/Transform.ts"
import { deepFreeze, refused, say, sent } from "./calls.ts"
import { reasonOf } from "./errors.ts"

const client = AnalyticsTest.layer()
const signedUp = { userId: "u1", event: "Signed Up" }

/** The context of a message, without what is always in it. */
const contextOf = (message: Wire | undefined) => {
  const { library: _, ...context } = message?.context ?? {}
  return context
}

const identityOf = (message: Wire | undefined) => {
  const { anonymousId, userId } = message ?? {}
  return { userId, anonymousId }
}

describe("traceparent", () => {
  it.effect("is the span of the call, by W3C Trace Context, if the client is to add it", () =>
    Effect.gen(function* () {
      const call = say("track", signedUp)
      yield* Effect.withSpan(Effect.andThen(call, Effect.withSpan(call, "inner", { sampled: false })), "outer")
      yield* call
      yield* say("track", { ...signedUp, context: { traceparent: "its own" } }).pipe(Effect.withSpan("other"))
      yield* Analytics.flush
      const [outer, inner, none, own] = (yield* (yield* AnalyticsTest.Sent).messages).map(contextOf)
      assert.match(String(outer?.traceparent), /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/)
      assert.match(String(inner?.traceparent), /^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/)
      const traceOf = (context: typeof outer) => String(context?.traceparent).split("-")[1]
      assert.strictEqual(traceOf(inner), traceOf(outer))
      assert.deepStrictEqual([none, own], [{}, { traceparent: "its own" }])
    }).pipe(Effect.provide(AnalyticsTest.layer({ traceparent: true })))
  )

  it.effect("is not added unasked", () =>
    Effect.gen(function* () {
      const message = yield* Effect.withSpan(sent("track", signedUp), "request")
      assert.deepStrictEqual(contextOf(message), {})
    }).pipe(Effect.provide(client))
  )
})

describe("withContext", () => {
  it.effect("is in every call inside, and in none after", () =>
    Effect.gen(function* () {
      const request = Enrichment.withContext({ ip: "203.0.113.7", userAgent: "curl" })
      yield* request(Effect.andThen(say("track", signedUp), say("alias", { userId: "u1", previousId: "a1" })))
      yield* say("track", signedUp)
      yield* (yield* Analytics.Analytics).flush
      const contexts = (yield* (yield* AnalyticsTest.Sent).messages).map(contextOf)
      const inside = { ip: "203.0.113.7", userAgent: "curl" }
      assert.deepStrictEqual(contexts, [inside, inside, {}])
    }).pipe(Effect.provide(client))
  )

  it.effect(
    "nested ones add up key by key at the top level: the inner wins, what the call says itself wins over all",
    () =>
      Effect.gen(function* () {
        const context = { own: 3, both: "call", all: "call" }
        const message = yield* sent("track", { ...signedUp, context }).pipe(
          Enrichment.withContext({ inner: 2, both: "inner", all: "inner", app: { name: "inner" } }),
          Enrichment.withContext({ outer: 1, all: "outer", app: { name: "outer", version: "1" } })
        )
        assert.deepStrictEqual(contextOf(message), {
          outer: 1,
          inner: 2,
          own: 3,
          both: "call",
          all: "call",
          app: { name: "inner" }
        })
      }).pipe(Effect.provide(client))
  )

  it.effect("is also written with the effect first", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(contextOf(yield* Enrichment.withContext(sent("track", signedUp), { a: 1 })), { a: 1 })
    }).pipe(Effect.provide(client))
  )

  it.effect("context.library stays ours", () =>
    Effect.gen(function* () {
      const message = yield* Enrichment.withContext(sent("track", signedUp), { library: { name: "other" } })
      assert.deepStrictEqual<object>(message.context, { library })
    }).pipe(Effect.provide(client))
  )

  it.effect("is copied when it is given, and not changed", () =>
    Effect.gen(function* () {
      const context = { ip: "before", app: { name: "before" }, at: new Date(0) }
      const message = yield* Effect.suspend(() => {
        context.ip = "after"
        context.app.name = "after"
        return sent("track", signedUp)
      }).pipe(Enrichment.withContext(context))
      assert.deepStrictEqual(contextOf(message), {
        ip: "before",
        app: { name: "before" },
        at: "1970-01-01T00:00:00.000Z"
      })
      yield* Enrichment.withContext(sent("track", { ...signedUp, context: { b: 1 } }), deepFreeze({ a: { b: 1 } }))
    }).pipe(Effect.provide(client))
  )

  it.effect("that can't be sent makes the calls inside fail, with the path in it, and not the program", () =>
    Effect.gen(function* () {
      const circular: Record<string, unknown> = {}
      circular.app = { circular }
      const error = yield* refused("track", signedUp).pipe(
        Enrichment.withContext({ fine: 1 }),
        Enrichment.withContext(circular)
      )
      assert.deepStrictEqual(error.path, ["context", "app", "circular"])
      const list = yield* Enrichment.withContext(refused("track", signedUp), [1] as unknown as object)
      assert.deepStrictEqual([list.path, list.problem], [["context"], "must be an object"])
      yield* sent("track", signedUp)
    }).pipe(Effect.provide(client))
  )

  it.effect("is inherited by the fibers that are forked inside", () =>
    Effect.gen(function* () {
      yield* Effect.all([say("track", signedUp), say("track", signedUp)], { concurrency: 2 }).pipe(
        Enrichment.withContext({ a: 1 })
      )
      yield* (yield* Analytics.Analytics).flush
      assert.deepStrictEqual((yield* (yield* AnalyticsTest.Sent).messages).map(contextOf), [{ a: 1 }, { a: 1 }])
    }).pipe(Effect.provide(client))
  )
})

// ---------------------------------------------------------------------------------------------------------------------

/** What becomes of the identity of a call inside of another: the same for both faces. */
const identities: ReadonlyArray<{
  readonly rule: string
  readonly around: Enrichment.Identity
  readonly call: { readonly userId?: string | number | null; readonly anonymousId?: string | number | null }
  readonly sent: { readonly userId?: string; readonly anonymousId?: string }
}> = [
  { rule: "a call without one gets the one around it", around: { userId: "u1" }, call: {}, sent: { userId: "u1" } },
  {
    rule: "a call without one gets both ids around it",
    around: { userId: "u1", anonymousId: "v1" },
    call: {},
    sent: { userId: "u1", anonymousId: "v1" }
  },
  { rule: "a visitor is enough", around: { anonymousId: "v1" }, call: {}, sent: { anonymousId: "v1" } },
  { rule: "numbers become strings", around: { userId: 7 }, call: {}, sent: { userId: "7" } },
  {
    rule: "the visitor's id joins a call about the same user",
    around: { userId: "u1", anonymousId: "v1" },
    call: { userId: "u1" },
    sent: { userId: "u1", anonymousId: "v1" }
  },
  {
    rule: "the same user may be a number here and a string there",
    around: { userId: 7, anonymousId: "v1" },
    call: { userId: "7" },
    sent: { userId: "7", anonymousId: "v1" }
  },
  {
    rule: "the visitor's id joins a call that names the user for the first time",
    around: { anonymousId: "v1" },
    call: { userId: "u1" },
    sent: { userId: "u1", anonymousId: "v1" }
  },
  {
    rule: "a call about another user gets nothing of the one around it",
    around: { userId: "u1", anonymousId: "v1" },
    call: { userId: "u2" },
    sent: { userId: "u2" }
  },
  {
    rule: "a call about another user keeps a visitor's id of its own",
    around: { userId: "u1", anonymousId: "v1" },
    call: { userId: "u2", anonymousId: "v2" },
    sent: { userId: "u2", anonymousId: "v2" }
  },
  {
    rule: "a visitor's id of the call's own wins",
    around: { userId: "u1", anonymousId: "v1" },
    call: { anonymousId: "v2" },
    sent: { userId: "u1", anonymousId: "v2" }
  },
  {
    rule: "null is no id of the call's own",
    around: { userId: "u1", anonymousId: "v1" },
    call: { userId: null, anonymousId: null },
    sent: { userId: "u1", anonymousId: "v1" }
  }
]

describe("withIdentity", () => {
  it.effect.each(identities)("$rule", ({ around, call, sent: expected }) =>
    Effect.gen(function* () {
      const message = yield* Enrichment.withIdentity(sent("track", { event: "e", ...call }), deepFreeze(around))
      assert.deepStrictEqual(identityOf(message), { userId: undefined, anonymousId: undefined, ...expected })
    }).pipe(Effect.provide(client))
  )

  it.effect("is enough for all six calls of `identified`", () =>
    Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      const identified = Analytics.identifiedCalls(analytics)
      yield* Effect.gen(function* () {
        yield* identified.identify({ traits: { plan: "free" } })
        yield* identified.track({ event: "e" })
        yield* identified.page({ name: "Home" })
        yield* identified.screen({})
        yield* identified.group({ groupId: "g1" })
        yield* identified.alias({ previousId: "a1" })
      }).pipe(Enrichment.withIdentity({ userId: "u1" }))
      yield* analytics.flush
      const messages = yield* (yield* AnalyticsTest.Sent).messages
      assert.deepStrictEqual(
        messages.map(({ type, userId }) => [type, userId]),
        ["identify", "track", "page", "screen", "group", "alias"].map((type) => [type, "u1"])
      )
    }).pipe(Effect.provide(client))
  )

  it.effect("an inner one replaces the outer, and ends where it ends", () =>
    Effect.gen(function* () {
      const seen = yield* Effect.gen(function* () {
        const before = yield* sent("track", { event: "e" })
        const inside = yield* Enrichment.withIdentity(sent("track", { event: "e" }), { anonymousId: "v2" })
        const after = yield* sent("track", { event: "e" })
        return [before, inside, after].map(identityOf)
      }).pipe(Enrichment.withIdentity({ userId: "u1", anonymousId: "v1" }))
      const outer = { userId: "u1", anonymousId: "v1" }
      assert.deepStrictEqual(seen, [outer, { userId: undefined, anonymousId: "v2" }, outer])
      yield* refused("track", { event: "e" })
    }).pipe(Effect.provide(client))
  )

  it.effect("that is none is refused at the call", () =>
    Effect.gen(function* () {
      const error = yield* Enrichment.withIdentity(refused("track", { event: "e" }), { userId: " " })
      assert.deepStrictEqual(error.path, ["userId"])
    }).pipe(Effect.provide(client))
  )
})

// ---------------------------------------------------------------------------------------------------------------------

/** Every message must be about one request only: its event, its user, its visitor and its context. */
const assertUnmixed = (messages: ReadonlyArray<Wire>, requests: number, callsEach: number) => {
  const counts = new Map<string, number>()
  for (const message of messages) {
    assert(message.type === "track")
    const { n } = message.properties
    assert.deepStrictEqual(identityOf(message), { userId: `u${n}`, anonymousId: `v${n}` })
    assert.deepStrictEqual(contextOf(message), { ip: `ip${n}`, step: message.event })
    counts.set(`${n} ${message.event}`, (counts.get(`${n} ${message.event}`) ?? 0) + 1)
  }
  assert.strictEqual(counts.size, requests * callsEach)
  assert.strictEqual(messages.length, requests * callsEach)
}

describe("an id that throws when it is asked for a text", () => {
  const ids: ReadonlyArray<readonly [string, () => string]> = [
    ["a toString that is no function", () => JSON.parse(`{"toString":1}`)],
    ["no prototype", () => Object.create(null)],
    [
      "a Symbol.toPrimitive that throws",
      () => ({
        [Symbol.toPrimitive]: () => {
          throw new Error("boom")
        }
      })
    ]
  ].map(([name, id]) => [name as string, id as () => string])

  /** The id in the call and around it; who is around the call, and what the call says of its user. */
  const places = ids.flatMap(([name, id]) => [
    { name: `${name}, in the call`, around: { userId: "u1" }, userId: id() },
    { name: `${name}, around the call`, around: { userId: id() }, userId: undefined },
    { name: `${name}, in both`, around: { userId: id() }, userId: id() }
  ])

  it.effect.each(places)("is an InvalidCall, and no defect: $name", ({ around, userId }) =>
    Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      const call = { event: "Signed Up", ...(userId === undefined ? {} : { userId }) }
      const error = yield* reasonOf(Analytics.identifiedCalls(analytics).track(call)).pipe(
        Enrichment.withIdentity(around)
      )
      assert.deepStrictEqual([error._tag, "path" in error && error.path], ["InvalidCall", ["userId"]])
      assert.include(yield* analytics.stats, { offered: 1, rejected: 1 })
    }).pipe(Effect.provide(client))
  )

  it.each(places)("is false in a plain program, and told: $name", async ({ around, userId }) => {
    const failures: Array<plain.Failure> = []
    const analytics = createTestAnalytics({ strict: false, onError: (failure) => failures.push(failure) })
    const call = { event: "Signed Up", ...(userId === undefined ? {} : { userId }) }
    assert.isFalse(plain.withIdentity(around, () => analytics.identified.track(call)))
    assert.deepStrictEqual(
      failures.map(({ reason }) => reason),
      ["InvalidCall"]
    )
    await analytics.close()
  })

  it.effect.each(ids)("around a call of somebody else takes no part in it: %s", ([, id]) =>
    Effect.gen(function* () {
      const message = yield* sent("track", signedUp).pipe(Enrichment.withIdentity({ userId: id(), anonymousId: "a1" }))
      assert.deepStrictEqual(identityOf(message), { userId: "u1", anonymousId: undefined })
    }).pipe(Effect.provide(client))
  )
})

describe("surroundings", () => {
  it.effect("of 1,000 concurrent fibers never mix", () =>
    Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      const order: Array<number> = []
      const step = (n: number, event: string) =>
        Effect.gen(function* () {
          yield* Effect.yieldNow
          order.push(n)
          yield* Analytics.identifiedCalls(analytics).track({ event, properties: { n } })
          yield* Effect.yieldNow
        }).pipe(Enrichment.withContext({ step: event }))
      const request = (n: number) =>
        Effect.all([step(n, "a"), step(n, "b"), Effect.all([step(n, "c"), step(n, "d")], { concurrency: 2 })]).pipe(
          Enrichment.withIdentity({ userId: `u${n}`, anonymousId: `v${n}` }),
          Enrichment.withContext({ ip: `ip${n}`, step: "none" })
        )
      yield* Effect.forEach(
        Array.from({ length: 1_000 }, (_, n) => n),
        request,
        { concurrency: "unbounded" }
      )
      yield* analytics.flush
      assertUnmixed(yield* (yield* AnalyticsTest.Sent).messages, 1_000, 4)
      // They did run at the same time: nobody was done before the last one began.
      assert.isBelow(order.indexOf(999), order.lastIndexOf(0))
    }).pipe(Effect.provide(client))
  )

  it("of 1,000 concurrent promises never mix", async () => {
    await using analytics = createTestAnalytics()
    const order: Array<number> = []
    const step = (n: number, event: string) =>
      plain.withContext({ step: event }, async () => {
        await (n % 2 === 0 ? Promise.resolve() : setImmediate())
        order.push(n)
        analytics.identified.track({ event, properties: { n } })
      })
    const request = (n: number) =>
      plain.withContext({ ip: `ip${n}`, step: "none" }, () =>
        plain.withIdentity({ userId: `u${n}`, anonymousId: `v${n}` }, async () => {
          await step(n, "a")
          await step(n, "b")
          await Promise.all([step(n, "c"), step(n, "d")])
        })
      )
    await Promise.all(Array.from({ length: 1_000 }, (_, n) => request(n)))
    await analytics.flush()
    assertUnmixed(analytics.sent, 1_000, 4)
    assert.isBelow(order.indexOf(999), order.lastIndexOf(1))
  })
})

describe("surroundings in plain programs", () => {
  it.each(identities)("$rule", async ({ around, call, sent: expected }) => {
    await using analytics = createTestAnalytics()
    await plain.withIdentity(deepFreeze(around), async () => {
      await setImmediate()
      analytics.identified.track({ event: "e", ...call } as Parameters<typeof analytics.identified.track>[0])
    })
    await analytics.flush()
    assert.deepStrictEqual(identityOf(analytics.sent[0]), { userId: undefined, anonymousId: undefined, ...expected })
  })

  it("a context holds across awaits, timers and callbacks, nested ones add up, and it ends where it ends", async () => {
    await using analytics = createTestAnalytics()
    const answer = await plain.withContext({ outer: 1, both: "outer" }, async () => {
      await setImmediate()
      analytics.track(signedUp)
      await plain.withContext({ inner: 2, both: "inner" }, async () => {
        await Promise.resolve()
        analytics.track({ ...signedUp, context: { both: "call" } })
        await new Promise<void>((resolve) =>
          setTimeout(() => {
            analytics.track(signedUp)
            resolve()
          }, 0)
        )
      })
      analytics.track(signedUp)
      return "answer"
    })
    analytics.track(signedUp)
    await analytics.flush()
    assert.strictEqual(answer, "answer")
    assert.deepStrictEqual(analytics.sent.map(contextOf), [
      { outer: 1, both: "outer" },
      { outer: 1, inner: 2, both: "call" },
      { outer: 1, inner: 2, both: "inner" },
      { outer: 1, both: "outer" },
      {}
    ])
  })

  it("a context that can't be sent makes the calls inside answer false", async () => {
    const told: Array<string> = []
    await using analytics = createTestAnalytics({ strict: false, onError: ({ message }) => told.push(message) })
    const circular: Record<string, unknown> = {}
    circular.self = circular
    assert.isFalse(plain.withContext(circular, () => analytics.track(signedUp)))
    assert.deepStrictEqual(told, ['track "Signed Up": context.self is a circular reference'])
    assert.isTrue(analytics.track(signedUp))
  })

  it("is not left behind by a body that throws", async () => {
    await using analytics = createTestAnalytics({ onError: () => {} })
    const body = () => {
      throw new Error("theirs")
    }
    assert.throws(() => plain.withIdentity({ userId: "u1" }, body), "theirs")
    assert.throws(() => analytics.identified.track({ event: "e" }), "anonymousId is missing, and so is userId")
  })
})

// ---------------------------------------------------------------------------------------------------------------------

describe("transform", () => {
  const transforming = (transform: Transform.Transform) => Effect.provide(AnalyticsTest.layer({ transform }))
  /** A transform of JavaScript, which may answer with anything. */
  const answering = (answer: (message: Wire) => unknown) => transforming(answer as Transform.Transform)

  it.effect("sees the message as it would go over the wire", () => {
    const seen: Array<Wire> = []
    return Effect.gen(function* () {
      const call = { userId: 5, event: "e", properties: { at: new Date(0), big: 5n, gone: undefined } }
      const message = yield* sent("track", call).pipe(Enrichment.withContext({ ip: "203.0.113.7" }))
      assert.deepStrictEqual(seen, [message])
    }).pipe(transforming((message) => seen[seen.push(structuredClone(message)) - 1] as Wire))
  })

  it.effect("may answer with another message", () =>
    Effect.gen(function* () {
      const message = yield* sent("track", { ...signedUp, messageId: "m1", properties: { email: "a@example.com" } })
      assert.deepStrictEqual(
        [message.event, message.properties, message.messageId],
        ["Signed Up!", { email: "redacted" }, "m1"]
      )
    }).pipe(
      transforming((message) =>
        message.type === "track"
          ? { ...message, event: `${message.event}!`, properties: { email: "redacted" } }
          : message
      )
    )
  )

  it.effect("may set an optional field to null, which is the same as absent", () =>
    Effect.gen(function* () {
      const message = yield* sent("track", { ...signedUp, anonymousId: "a1", integrations: { All: false } })
      assert.deepStrictEqual(
        ["anonymousId", "integrations", "messageId"].map((name) => name in message),
        [false, false, true]
      )
      assert.isString(message.messageId)
    }).pipe(
      transforming((message) => ({ ...message, anonymousId: null, integrations: null, messageId: null }) as never)
    )
  )

  it.effect("may change its argument, and the caller's objects stay as they are", () =>
    Effect.gen(function* () {
      const call = {
        ...signedUp,
        properties: { user: { email: "a@example.com" }, list: [1] },
        context: { a: { b: 1 } }
      }
      const message = yield* sent("track", deepFreeze(call))
      assert.deepStrictEqual(message.properties, { user: {}, list: [1, 2] })
      assert.deepStrictEqual(contextOf(message), { a: {} })
      assert.deepStrictEqual(call.properties, { user: { email: "a@example.com" }, list: [1] })
    }).pipe(
      transforming((message) => {
        if (message.type !== "track") return message
        delete message.properties.user.email
        message.properties.list.push(2)
        delete message.context.a.b
        return message
      })
    )
  )

  it.effect("may change its argument, and the context around other calls stays as it is", () =>
    Effect.gen(function* () {
      const contexts = yield* Effect.all([sent("track", signedUp), sent("track", signedUp)]).pipe(
        Enrichment.withContext({ tags: ["a"], app: { name: "shop" } })
      )
      const once = { tags: ["a", "seen"], app: { name: "shop", seen: 1 } }
      assert.deepStrictEqual(contexts.map(contextOf), [once, once])
    }).pipe(
      transforming((message) => {
        message.context.tags.push("seen")
        message.context.app.seen = (message.context.app.seen ?? 0) + 1
        return message
      })
    )
  )

  it.effect("can't say who the library is, not even for others", () =>
    Effect.gen(function* () {
      const messages = [yield* sent("track", signedUp), yield* sent("track", signedUp)]
      const ours = { name: "effect-analytics", version: library.version }
      assert.deepStrictEqual<unknown>(
        messages.map(({ context }) => context.library),
        [ours, ours]
      )
      assert.deepStrictEqual<object>(library, ours)
    }).pipe(
      transforming((message) => {
        message.context.library.name = "other"
        return message
      }),
      // If it did, the tests after this one should not suffer.
      Effect.ensuring(Effect.sync(() => void Object.assign(library, { name: "effect-analytics" })))
    )
  )

  it.effect("what it removes never reaches the queue, the wire, an outcome or an error", () =>
    Effect.gen(function* () {
      const secret = "s3cret"
      const call = { ...signedUp, properties: { password: secret }, context: { token: secret } }
      yield* sent("track", call)
      yield* refused("track", { ...call, userId: 1, properties: { password: secret, refuse: true } })
      const wire = yield* AnalyticsTest.Sent
      const outcomes = yield* wire.outcomes
      assert.deepStrictEqual(
        outcomes.map(({ _tag }) => _tag),
        ["Delivered", "Refused"]
      )
      const queued = outcomes.flatMap((outcome) => ("messages" in outcome ? outcome.messages : []))
      const all = [queued.map(({ data, json }) => [data, json]), yield* wire.requests, outcomes]
      assert.notInclude(inspect(all, { depth: 20 }), secret)
      assert.notInclude(JSON.stringify(all), secret)
    }).pipe(
      transforming((message) => {
        if (message.type !== "track") return message
        if (message.properties.refuse) throw new Error(message.properties.password)
        Object.assign(message.properties, { password: "redacted" })
        Object.assign(message.context, { token: undefined })
        return message
      })
    )
  )

  it.effect("makes room: what is too large only before it is sent", () =>
    Effect.gen(function* () {
      const message = yield* sent("track", { ...signedUp, properties: { html: "x".repeat(100_000) } })
      assert.deepStrictEqual(message.properties, {})
    }).pipe(transforming((message) => ({ ...message, properties: {} }) as Wire))
  )

  it.effect("is not shown what is far too large: call and context together are refused with the limit", () => {
    const seen: Array<unknown> = []
    return Effect.gen(function* () {
      const html = "x".repeat(200_000)
      const call = { ...signedUp, properties: { html } }
      const error = yield* Enrichment.withContext(refused("track", call), { html })
      assert.include(error.problem, "32768")
      assert.isTrue(seen.every((message) => (message as Partial<Wire>).type === "track"))
    }).pipe(transforming((message) => seen[seen.push(message) - 1] as Wire))
  })

  it.effect("what it makes too large is refused", () =>
    Effect.gen(function* () {
      assert.isAbove((yield* refused("track", signedUp)).size ?? 0, 40_000)
    }).pipe(transforming((message) => ({ ...message, context: { html: "x".repeat(40_000) } })))
  )

  it.effect("drops with a reason: the call is fine, the observer is told, and it is counted as dropped", () =>
    Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      const wire = yield* AnalyticsTest.Sent
      yield* say("track", { userId: "u1", event: "debug" })
      yield* say("identify", { userId: "u1" })
      yield* analytics.flush
      assert.deepStrictEqual(
        (yield* wire.messages).map(({ type }) => type),
        ["identify"]
      )
      const [filtered] = yield* wire.outcomes
      assert.deepStrictEqual({ ...filtered }, { _tag: "Filtered", call: "track", reason: "no consent" })
      const { delivered, dropped, offered, rejected } = yield* analytics.stats
      assert.deepStrictEqual(
        { delivered, dropped, offered, rejected },
        { delivered: 1, dropped: 1, offered: 2, rejected: 0 }
      )
    }).pipe(transforming((message) => (message.type === "track" ? Transform.drop("no consent") : message)))
  )

  it("in a plain program a dropped call was not refused: true, no error, an outcome", async () => {
    const errors: Array<unknown> = []
    const outcomes: Array<plain.Outcome> = []
    await using analytics = createTestAnalytics({
      transform: () => plain.drop("sampled"),
      onError: (failure) => errors.push(failure),
      onOutcome: (outcome) => outcomes.push(outcome)
    })
    assert.isTrue(analytics.track(signedUp))
    assert.deepStrictEqual(await analytics.flush(), { delivered: 0, dropped: 0, rejected: 0, pending: 0 })
    assert.deepStrictEqual(
      outcomes.map((outcome) => ({ ...outcome })),
      [{ _tag: "Filtered", call: "track", reason: "sampled" }]
    )
    assert.deepStrictEqual(errors, [])
    assert.strictEqual(analytics.stats().dropped, 1)
  })

  it.effect("that throws refuses the call, without what it threw", () =>
    Effect.gen(function* () {
      const error = yield* refused("track", signedUp)
      assert.deepStrictEqual([error.path, error.problem], [[], "was not sent: transform threw"])
      assert.strictEqual((yield* (yield* Analytics.Analytics).stats).rejected, 1)
    }).pipe(
      transforming(() => {
        throw new Error("s3cret")
      })
    )
  )

  it.effect.each([
    ["undefined", () => undefined],
    ["null", () => null],
    ["a text", () => "message"],
    ["a number", () => 1],
    ["a list", (message: Wire) => [message]],
    ["a function", () => () => {}],
    ["a promise", (message: Wire) => Promise.resolve(message)],
    ["an effect", (message: Wire) => Effect.succeed(message)],
    ["another type", (message: Wire) => ({ ...message, type: "identify" })],
    ["nothing of it", () => ({})],
    ["a message without identity", ({ userId: _, ...message }: Wire) => message],
    ["a message without its event", (message: Wire) => ({ ...message, event: " " })],
    ["an invalid time", (message: Wire) => ({ ...message, timestamp: new Date(Number.NaN) })],
    ["a circle", (message: Wire) => Object.assign(message, { properties: { message } })],
    [
      "what throws when it is read",
      (message: Wire) => ({
        ...message,
        get properties() {
          throw new Error("s3cret")
        }
      })
    ]
  ] as const)("that answers with %s refuses the call: what was to be redacted is not sent as it is", ([, answer]) =>
    Effect.gen(function* () {
      const error = yield* refused("track", signedUp)
      assert.isNotEmpty(error.problem)
      assert.notInclude(error.message, "s3cret")
    }).pipe(answering(answer))
  )

  it.effect("what the protocol wants on a message is there again when it was removed", () =>
    Effect.gen(function* () {
      const message = yield* sent("track", { ...signedUp, messageId: "m1" })
      assert.match(message.messageId, /^[0-9a-f-]{36}$/)
      assert.strictEqual(message.timestamp, "1970-01-01T00:00:00.000Z")
      assert.deepStrictEqual(message.properties, {})
      assert.deepStrictEqual<object>(message.context, { library })
    }).pipe(answering(({ event, type, userId }: Wire & { readonly event?: string }) => ({ event, type, userId })))
  )

  it.effect("does not see what is not valid", () => {
    let seen = 0
    return Effect.gen(function* () {
      yield* refused("track", { event: "e" })
      assert.strictEqual(seen, 0)
    }).pipe(
      transforming((message) => {
        seen++
        return message
      })
    )
  })
})
