/** What the compiler refuses and what it takes. `tsc` is the judge; where a program can be run, it is run as well. */
import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as HttpClient from "effect/http/HttpClient"
import type * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Analytics from "../src/Analytics.ts"
import {
  type AnalyticsError,
  type CallError,
  type Closed,
  InvalidCall,
  type OutboxFull,
  type OutboxUnavailable,
  type PlanViolation,
  type QueueFull
} from "../src/AnalyticsError.ts"
import * as AnalyticsTest from "../src/AnalyticsTest.ts"
import type * as Call from "../src/Call.ts"
import * as Enrichment from "../src/Enrichment.ts"
import { type Client, createAnalytics, type Settings } from "../src/plain.ts"
import { createTestAnalytics } from "../src/plainTest.ts"
import { reasonOf } from "./errors.ts"

/** An interface of somebody's: it has no index signature. */
interface Order {
  readonly id: string
  readonly total: number
  readonly placedAt: Date
  readonly lines: ReadonlyArray<{ readonly sku: string; readonly note?: string | undefined }>
}
const order: Order = { id: "o1", total: 39.95, placedAt: new Date(0), lines: [{ sku: "a" }] }

/** What the API would not take, as far as a compiler can see it. Run as well: the client must refuse it all. */
const wrong = (analytics: Analytics.Calls): ReadonlyArray<Effect.Effect<void, AnalyticsError>> => [
  // @ts-expect-error nobody
  analytics.identify({}),
  // @ts-expect-error nobody
  analytics.identify({ traits: { plan: "free" } }),
  // @ts-expect-error nobody
  analytics.track({ event: "e" }),
  // @ts-expect-error nobody
  analytics.page({ name: "Home" }),
  // @ts-expect-error nobody
  analytics.screen({}),
  // @ts-expect-error nobody
  analytics.group({ groupId: "g1" }),
  // @ts-expect-error nobody
  analytics.track({ userId: undefined, event: "e" }),
  // @ts-expect-error nobody
  analytics.track({ userId: undefined, anonymousId: undefined, event: "e" }),
  // @ts-expect-error an id is a string or a number
  analytics.track({ userId: true, event: "e" }),
  // @ts-expect-error an alias needs the new id
  analytics.alias({ previousId: "a1" }),
  // @ts-expect-error an alias needs the user, a visitor is not enough
  analytics.alias({ anonymousId: "v1", previousId: "a1" }),
  // @ts-expect-error an alias needs the old id
  analytics.alias({ userId: "u1" }),
  // @ts-expect-error a group needs its id
  analytics.group({ userId: "u1" }),
  // @ts-expect-error an event needs a name
  analytics.track({ userId: "u1" }),
  // @ts-expect-error the name is a string
  analytics.track({ userId: "u1", event: 5 }),
  // @ts-expect-error a category needs a name
  analytics.page({ userId: "u1", category: "Docs" }),
  // @ts-expect-error a category needs a name
  analytics.page({ anonymousId: "v1", category: "Docs", name: undefined }),
  // @ts-expect-error a category needs a name
  analytics.screen({ userId: "u1", category: "Docs" }),
  // @ts-expect-error milliseconds are no timestamp
  analytics.track({ userId: "u1", event: "e", timestamp: 1_700_000_000_000 }),
  // @ts-expect-error a messageId is a string
  analytics.track({ userId: "u1", event: "e", messageId: 5 }),
  // @ts-expect-error properties are an object
  analytics.track({ userId: "u1", event: "e", properties: "text" }),
  // @ts-expect-error traits are an object
  analytics.identify({ userId: "u1", traits: 5 }),
  // @ts-expect-error properties are no list
  analytics.track({ userId: "u1", event: "e", properties: [1] }),
  // @ts-expect-error a call is an object
  analytics.track("e")
]

/** What it takes. Run as well: the client must take it all. */
const right = (analytics: Analytics.Calls): ReadonlyArray<Effect.Effect<void, AnalyticsError>> => [
  analytics.identify({ userId: "u1" }),
  analytics.identify({ userId: 5, anonymousId: "v1", traits: { plan: "free" } }),
  analytics.identify({ anonymousId: 5 }),
  analytics.identify({ userId: undefined, anonymousId: "v1" }),
  analytics.track({ userId: "u1", event: "e", properties: order }),
  analytics.track({ userId: "u1", event: "e", properties: { order, orders: [order] }, context: { order } }),
  analytics.identify({ userId: "u1", traits: order }),
  analytics.group({ userId: "u1", groupId: 5, traits: order }),
  analytics.page({ userId: "u1" }),
  analytics.page({ userId: "u1", name: "Home", category: "Docs" }),
  analytics.screen({ anonymousId: "v1", name: "Home", category: undefined }),
  analytics.alias({ userId: "u1", previousId: "a1", anonymousId: "v1" }),
  analytics.track({ userId: "u1", event: "e", timestamp: new Date(0) }),
  analytics.track({ userId: "u1", event: "e", timestamp: DateTime.makeUnsafe(0) }),
  analytics.track({ userId: "u1", event: "e", timestamp: DateTime.makeZonedUnsafe(0, { timeZone: "Europe/Rome" }) }),
  analytics.track({ userId: "u1", event: "e", timestamp: "2026-01-02T03:04:05Z", messageId: "m1" }),
  analytics.track({ userId: "u1", event: "e", integrations: { All: false, Mixpanel: { order } } }),
  // What is optional may also be undefined.
  analytics.track({ userId: "u1", event: "e", properties: undefined, context: undefined, timestamp: undefined })
]

/** A misspelled field is refused by the compiler; at run time it is data that travels along. */
const misspelled = (analytics: Analytics.Calls): ReadonlyArray<Effect.Effect<void, AnalyticsError>> => [
  // @ts-expect-error propertys
  analytics.track({ userId: "u1", event: "e", propertys: {} }),
  // @ts-expect-error an identify has traits
  analytics.identify({ userId: "u1", properties: {} })
]

describe("types of calls", () => {
  it.effect("what the compiler refuses is refused at run time too", () =>
    Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      for (const call of wrong(analytics)) {
        const exit = yield* Effect.exit(call)
        assert(Exit.isFailure(exit))
      }
      const { offered, rejected } = yield* analytics.stats
      assert.deepStrictEqual([offered, rejected], [24, 24])
    }).pipe(Effect.provide(AnalyticsTest.layer()))
  )

  it.effect("what the compiler takes is taken at run time too, interfaces included", () =>
    Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      yield* Effect.all([...right(analytics), ...misspelled(analytics)], { discard: true })
      const { offered, rejected } = yield* analytics.stats
      assert.deepStrictEqual([offered, rejected], [20, 0])
      yield* analytics.flush
    }).pipe(Effect.provide(AnalyticsTest.layer()))
  )

  it("are effects of nothing, that fail by name and need nothing", () => {
    expectTypeOf<ReturnType<Analytics.Service[Call.Type]>>().toEqualTypeOf<Effect.Effect<void, AnalyticsError, never>>()
    expectTypeOf<CallError>().toEqualTypeOf<
      InvalidCall | PlanViolation | QueueFull | OutboxFull | OutboxUnavailable | Closed
    >()
    expectTypeOf<Analytics.Service["flush"]>().toEqualTypeOf<Effect.Effect<Analytics.Summary, never, never>>()
    expectTypeOf<Analytics.Service["close"]>().toEqualTypeOf<Effect.Effect<Analytics.Summary, never, never>>()
  })

  it("of layers say what they need and how they fail", () => {
    expectTypeOf(Analytics.layer).returns.toEqualTypeOf<
      Layer.Layer<Analytics.Analytics, never, HttpClient.HttpClient>
    >()
    expectTypeOf(Analytics.layerFetch).returns.toEqualTypeOf<Layer.Layer<Analytics.Analytics>>()
    expectTypeOf(Analytics.layerNoop).toEqualTypeOf<Layer.Layer<Analytics.Analytics>>()
  })
})

describe("types of identified calls", () => {
  /** The identity is left out, and so it is needed. */
  const program = Analytics.identified.track({ event: "e" })

  it.effect("need an identity around them, and are content with one", () =>
    Effect.gen(function* () {
      expectTypeOf(program).toEqualTypeOf<
        Effect.Effect<void, AnalyticsError, Analytics.Analytics | Enrichment.CurrentIdentity>
      >()
      const identified = Enrichment.withIdentity(program, { userId: "u1" })
      expectTypeOf(identified).toEqualTypeOf<Effect.Effect<void, AnalyticsError, Analytics.Analytics>>()
      yield* identified
      // What a program that ignores its type gets: the call is refused.
      const ignored = program as Effect.Effect<void, AnalyticsError, Analytics.Analytics>
      assert.instanceOf(yield* reasonOf(ignored), InvalidCall)
    }).pipe(Effect.provide(AnalyticsTest.layer()))
  )

  it("do not run without one", () => {
    const runnable = Effect.provide(program, AnalyticsTest.layer())
    expectTypeOf(runnable).toEqualTypeOf<Effect.Effect<void, AnalyticsError, Enrichment.CurrentIdentity>>()
    expectTypeOf(runnable).not.toExtend<Parameters<typeof Effect.runPromise>[0]>()
    expectTypeOf(Enrichment.withIdentity(runnable, { userId: "u1" })).toExtend<
      Parameters<typeof Effect.runPromise>[0]
    >()
  })

  it("may leave out the identity, and nothing else", () => {
    type Identified<Type extends Call.Type> = Parameters<Analytics.IdentifiedCalls[Type]>[0]
    expectTypeOf<object>().toExtend<Identified<"identify">>()
    expectTypeOf<{ event: string }>().toExtend<Identified<"track">>()
    expectTypeOf<{ event: string; userId: string; anonymousId: number }>().toExtend<Identified<"track">>()
    expectTypeOf<{ properties: Order; event: string }>().toExtend<Identified<"track">>()
    expectTypeOf<object>().not.toExtend<Identified<"track">>()
    expectTypeOf<{ category: string }>().not.toExtend<Identified<"page">>()
    expectTypeOf<object>().not.toExtend<Identified<"group">>()
    expectTypeOf<object>().not.toExtend<Identified<"alias">>()
  })

  it("an identity is a user or a visitor", () => {
    expectTypeOf<{ userId: string }>().toExtend<Enrichment.Identity>()
    expectTypeOf<{ anonymousId: number }>().toExtend<Enrichment.Identity>()
    expectTypeOf<{ userId: number; anonymousId: string }>().toExtend<Enrichment.Identity>()
    expectTypeOf<{ userId: undefined; anonymousId: undefined }>().not.toExtend<Enrichment.Identity>()
    expectTypeOf<{ name: string }>().not.toExtend<Enrichment.Identity>()
  })
})

describe("types of settings", () => {
  const writeKey = "test-write-key"

  it("a plain client is refused what cannot work", () => {
    // Never called: what is shown is that these do not compile.
    const refused = [
      // @ts-expect-error a key is needed
      () => createAnalytics({}),
      // @ts-expect-error spill
      () => createAnalytics({ writeKey, overflow: "spill" }),
      // @ts-expect-error batchsize
      () => createAnalytics({ writeKey, batchsize: 10 }),
      // @ts-expect-error flushAt is another library's
      () => createAnalytics({ writeKey, flushAt: 10 }),
      // @ts-expect-error a plain key is plain text
      () => createAnalytics({ writeKey: Redacted.make("key") }),
      // @ts-expect-error mars
      () => createAnalytics({ writeKey, region: "mars" }),
      // @ts-expect-error a transform answers
      () => createAnalytics({ writeKey, transform: () => undefined })
    ]
    assert.lengthOf(refused, 7)
    expectTypeOf<NonNullable<Settings["overflow"]>>().toEqualTypeOf<"refuse" | "drop-oldest">()
  })

  it("so is a layer", () => {
    const key = Redacted.make(writeKey)
    const refused = [
      // @ts-expect-error a key is needed
      () => Analytics.layer({}),
      // @ts-expect-error a key is Redacted
      () => Analytics.layer({ writeKey }),
      // @ts-expect-error maxRetrys
      () => Analytics.layer({ writeKey: key, maxRetrys: 5 }),
      // @ts-expect-error a stub has no host
      () => Analytics.layerStub({ host: "https://example.com" })
    ]
    assert.lengthOf(refused, 4)
    expectTypeOf<"wait">().toExtend<Analytics.Options["overflow"]>()
  })

  it("undefined is the default for every setting but the key", () => {
    type Undefined = { readonly [Setting in Exclude<keyof Settings, "writeKey">]: undefined }
    expectTypeOf<Undefined & { writeKey: string }>().toExtend<Settings>()
    expectTypeOf<{ writeKey: undefined }>().not.toExtend<Settings>()
  })
})

describe("types of plain calls", () => {
  it("answer whether the message was accepted, and refuse what the Effect calls refuse", async () => {
    expectTypeOf<ReturnType<Client[Call.Type]>>().toEqualTypeOf<boolean>()
    expectTypeOf<Parameters<Client["track"]>>().toEqualTypeOf<Parameters<Analytics.Service["track"]>>()
    await using analytics = createTestAnalytics({ strict: false, onError: () => {} })
    assert.isTrue(analytics.track({ userId: "u1", event: "e", properties: order }))
    assert.isTrue(analytics.identify({ anonymousId: "v1", traits: order }))
    // @ts-expect-error nobody
    assert.isFalse(analytics.track({ event: "e" }))
    // @ts-expect-error a category needs a name
    assert.isFalse(analytics.page({ userId: "u1", category: "Docs" }))
    // @ts-expect-error the old id
    assert.isFalse(analytics.alias({ userId: "u1" }))
    // @ts-expect-error the group
    assert.isFalse(analytics.group({ userId: "u1" }))
  })
})
