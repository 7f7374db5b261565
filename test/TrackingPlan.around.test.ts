/** Several plans around one client, wrappers around planned clients, and callers that share a plan. */
import { createHmac } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Schema from "effect/Schema"
import * as AttachedSubmitter from "../src/Analytics/AttachedSubmitter.ts"
import * as Analytics from "../src/Analytics.ts"
import * as AnalyticsTest from "../src/AnalyticsTest.ts"
import type * as Call from "../src/Call.ts"
import type * as Message from "../src/Message.ts"
import * as TrackingPlan from "../src/TrackingPlan.ts"
import { reasonOf } from "./errors.ts"
import { type Line, layerLog } from "./support.ts"

const who = { userId: "u1" }
const secret = "p@initech.com"

const shop = TrackingPlan.make({
  name: "shop",
  events: {
    Ordered: Schema.Struct({ total: Schema.Int, email: Schema.String.annotate({ pii: true }) }),
    Old: Schema.Struct({}).annotate({ deprecated: true })
  }
})

/** Of another team, for the same client. */
const growth = TrackingPlan.make({
  name: "growth",
  events: {
    Clicked: Schema.Struct({ at: Schema.DateTimeUtc }),
    Ordered: Schema.Struct({ email: Schema.String, campaign: Schema.optionalKey(Schema.String) })
  }
})

const at = DateTime.makeUnsafe("2026-01-02T03:04:05Z")
const order = { total: 1, email: secret }
const wrong = { total: "many" as unknown as number, email: secret }

const sent = Effect.gen(function* () {
  yield* (yield* Analytics.Analytics).flush
  return (yield* (yield* AnalyticsTest.Sent).messages) as ReadonlyArray<Message.Wire & Call.Data>
})

/** What was sent with these layers around the client, the first next to it. */
const through = <E>(
  call: Effect.Effect<void, E, Analytics.Analytics>,
  ...around: ReadonlyArray<Layer.Layer<Analytics.Analytics, unknown, Analytics.Analytics>>
) =>
  Effect.gen(function* () {
    yield* call
    return yield* sent
  }).pipe(
    Effect.provide(
      around.reduce<Layer.Layer<Analytics.Analytics | AnalyticsTest.Sent, unknown>>(
        (client, layer) => Layer.provideMerge(layer, client),
        AnalyticsTest.layer()
      ),
      { local: true }
    )
  )

/** As many write one: a copy of the client, with some of it changed. */
const wrapper = (change: (client: Analytics.Analytics["Service"]) => Partial<Analytics.Analytics["Service"]>) =>
  Layer.effect(
    Analytics.Analytics,
    Analytics.Analytics.useSync((client) => ({ ...client, ...change(client) }))
  )

const flagged = (messages: ReadonlyArray<Message.Wire>) =>
  messages.map(({ context }) => (context.protocols?.violations ?? []).map((one: { field: string }) => one.field))

const untyped = (event: string, properties: object) =>
  Analytics.Analytics.use((analytics) => analytics.track({ ...who, event, properties }))

describe("TrackingPlan: several plans around a client", () => {
  const strictly = shop.layer({ onViolation: "flag", pii: "hash", hashKey: "k" })
  const loosely = growth.layer({ unplanned: "allow" })
  const hashed = createHmac("sha256", "k").update(secret).digest("hex")

  it.effect.each([
    ["the first", [strictly, loosely]],
    ["the second", [loosely, strictly]]
  ] as const)("a planned call follows the policies of its plan, also where that is %s", ([, layers]) =>
    Effect.gen(function* () {
      const messages = yield* through(shop.track("Ordered", wrong, who), ...layers)
      assert.deepStrictEqual(flagged(messages), [["properties.total"]])
      assert.deepStrictEqual(messages[0]?.properties, { total: "many", email: hashed })
    })
  )

  it.effect.each([
    ["next to the client", [strictly, loosely]],
    ["around another", [loosely, strictly]]
  ] as const)("so does an untyped one, where the plan is %s", ([, layers]) =>
    Effect.gen(function* () {
      const messages = yield* through(untyped("Ordered", wrong), ...layers)
      assert.deepStrictEqual(flagged(messages), [["properties.total"]])
      assert.deepStrictEqual(messages[0]?.properties, { total: "many", email: hashed })
    })
  )

  it.effect("each judges what was said, whatever another one takes out of it", () =>
    Effect.gen(function* () {
      const dropping = shop.layer({ pii: "drop" })
      const flagging = growth.layer({ onViolation: "flag" })
      for (const layers of [
        [dropping, flagging],
        [flagging, dropping]
      ]) {
        const messages = yield* through(untyped("Ordered", order), ...layers)
        // The email is required in both plans, and dropped by one: nothing was wrong with the call.
        assert.deepStrictEqual(flagged(messages), [[]])
        assert.deepStrictEqual(messages[0]?.properties, { total: 1 })
      }
    })
  )

  it.effect("a call has to pass them all", () =>
    Effect.gen(function* () {
      const closed = growth.layer({ unplanned: "fail" })
      const error = yield* reasonOf(through(shop.track("Old", {}, who), strictly, closed))
      assert.deepInclude(error, { _tag: "PlanViolation", event: "Old", violation: "unplanned" })
      const other = yield* reasonOf(through(growth.track("Clicked", { at }, who), shop.layer({ unplanned: "fail" })))
      assert.deepInclude(other, { _tag: "PlanViolation", event: "Clicked" })
    })
  )

  it.effect("flags of one plan are no violations of another, whose context is strict", () =>
    Effect.gen(function* () {
      const strict = TrackingPlan.make({
        context: Schema.Struct({ tenant: Schema.optionalKey(Schema.String) }).annotate({ strict: true })
      })
      const messages = yield* through(untyped("Ordered", wrong), strictly, strict.layer())
      assert.deepStrictEqual(flagged(messages), [["properties.total"]])
      const unknown = Analytics.Analytics.use((analytics) => analytics.track({ ...who, event: "E", context: { x: 1 } }))
      const error = yield* reasonOf(through(unknown, strict.layer()))
      assert.deepInclude(error, { violation: "unexpected", path: ["context", "x"] })
    })
  )
})

describe("TrackingPlan: a wrapper around a planned client", () => {
  const policies = { onViolation: "flag", pii: "hash", hashKey: "k" } as const
  const renamed = wrapper((client) => ({
    track: (call) => client.track({ ...call, context: { ...call.context, wrapped: true } })
  }))

  it.effect("planned calls follow the policies of the plan inside", () =>
    Effect.gen(function* () {
      const messages = yield* through(shop.track("Ordered", wrong, who), shop.layer(policies), renamed)
      assert.deepStrictEqual(flagged(messages), [["properties.total"]])
      assert.match(messages[0]?.properties.email, /^[0-9a-f]{64}$/)
    })
  )

  it.effect("untyped calls too, and they go through the wrapper", () =>
    Effect.gen(function* () {
      const messages = yield* through(untyped("Ordered", wrong), shop.layer(policies), renamed)
      assert.deepStrictEqual(flagged(messages), [["properties.total"]])
      assert.isTrue(messages[0]?.context.wrapped)
    })
  )

  it.effect("so do calls that say nothing of checks, in both faces", () =>
    Effect.gen(function* () {
      const call = { ...who, event: "Ordered", properties: wrong }
      const both = Analytics.Analytics.use((analytics) =>
        Effect.tap(AttachedSubmitter.over(analytics).submit("track", call), () => {
          AttachedSubmitter.over(analytics).submitUnsafe("track", call, { identity: undefined, context: {} }, false)
          return Effect.void
        })
      )
      const messages = yield* through(
        both,
        shop.layer(policies),
        wrapper(() => ({}))
      )
      assert.deepStrictEqual(flagged(messages), [["properties.total"], ["properties.total"]])
    })
  )

  it.effect("a service of the plan over the wrapper follows them as well", () =>
    Effect.gen(function* () {
      class Tracking extends TrackingPlan.Service<Tracking>()("test/Tracking", shop) {}
      const call = Effect.gen(function* () {
        const analytics = yield* Analytics.Analytics
        const planned = Tracking.plan.over(analytics, (service, type, data, checks) =>
          AttachedSubmitter.over(service).submit(type, data, { checks })
        )
        yield* planned.track("Ordered", wrong, who)
      })
      const messages = yield* through(
        call,
        shop.layer(policies),
        wrapper(() => ({}))
      )
      assert.deepStrictEqual(flagged(messages), [["properties.total"]])
    })
  )
})

describe("TrackingPlan: callers that share a plan", () => {
  const counted = (tenant: string) =>
    Effect.map(
      Metric.value(
        Metric.withAttributes(TrackingPlan.violationsTotal, {
          tenant,
          event: "Ordered",
          violation: "type",
          action: "fail"
        })
      ),
      ({ count }) => count
    )
  const as = (tenant: string) => Effect.provideService(Metric.CurrentMetricAttributes, { tenant })

  it.effect.each([
    ["over a bare client", (client: Layer.Layer<Analytics.Analytics | AnalyticsTest.Sent, unknown>) => client],
    [
      "with the plan around the client",
      (client: Layer.Layer<Analytics.Analytics | AnalyticsTest.Sent, unknown>) =>
        Layer.provideMerge(shop.layer(), client)
    ]
  ] as const)("each violation counts with the attributes around its own call, %s", ([, layer]) =>
    Effect.gen(function* () {
      yield* Effect.flip(shop.track("Ordered", wrong, who)).pipe(as("a"))
      yield* Effect.flip(shop.track("Ordered", wrong, who)).pipe(as("b"))
      yield* Effect.flip(untyped("Ordered", wrong).pipe(Effect.provide(shop.layer()))).pipe(as("b"))
      assert.deepStrictEqual([yield* counted("a"), yield* counted("b")], [1, 2])
    }).pipe(
      Effect.provide(layer(AnalyticsTest.layer()), { local: true }),
      Effect.provideService(Metric.MetricRegistry, new Map())
    )
  )

  it.effect("a deprecated event warns where it is called", () => {
    const lines: Array<Line> = []
    return Effect.gen(function* () {
      yield* shop.track("Old", {}, who).pipe(Effect.annotateLogs({ request: "r1" }))
      yield* shop.track("Old", {}, who).pipe(Effect.annotateLogs({ request: "r2" }))
      assert.deepStrictEqual(
        lines.map(({ annotations, text }) => [text, annotations.request]),
        [[`track "Old" is deprecated`, "r1"]]
      )
    }).pipe(
      Effect.provide(layerLog(lines)),
      Effect.provide(Layer.provideMerge(shop.layer({ hashKey: "k" }), AnalyticsTest.layer()))
    )
  })
})
