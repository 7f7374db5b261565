import { assert, describe, it } from "@effect/vitest"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiTest from "effect/http-api/HttpApiTest"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Analytics from "../src/Analytics.ts"
import {
  AnalyticsError,
  type CallError,
  Closed,
  DeliveryError,
  InvalidCall,
  OutboxFull,
  OutboxUnavailable,
  PlanViolation,
  QueueFull
} from "../src/AnalyticsError.ts"
import * as AnalyticsTest from "../src/AnalyticsTest.ts"
import * as MemoryOutbox from "../src/MemoryOutbox.ts"
import * as Transport from "../src/Transport.ts"

const invalid = { userId: "u1", event: "" }

describe("AnalyticsError", () => {
  const reasons: ReadonlyArray<CallError | DeliveryError> = [
    new InvalidCall({ call: "track", event: "e", path: ["properties", "items", 0], problem: "must be data" }),
    new PlanViolation({ call: "track", violation: "type", path: [], expected: "Expected a string", version: "2" }),
    new QueueFull({ bound: "maxQueueSize", limit: 10 }),
    new OutboxFull({ bound: "disk" }),
    new OutboxUnavailable({ problem: "is locked", code: "SQLITE 5" }),
    new Closed(),
    new DeliveryError({ reason: "rejected", status: 400, attempts: 1 })
  ]

  it.effect.each(reasons)("has the reason $_tag, whose words it has, and is the same after a way over JSON", (reason) =>
    Effect.gen(function* () {
      const codec = Schema.toCodecJson(AnalyticsError)
      const error = new AnalyticsError({ reason })
      assert.strictEqual(error.message, reason.message)
      const text = JSON.stringify(yield* Schema.encodeEffect(codec)(error))
      const again = yield* Schema.decodeUnknownEffect(codec)(JSON.parse(text))
      assert.instanceOf(again, AnalyticsError)
      assert.deepStrictEqual({ ...again.reason }, { ...reason })
      assert.strictEqual(again.message, error.message)
    })
  )

  it.effect("is taken by its reason: one of them, several, or all at the top level", () =>
    Effect.gen(function* () {
      const call = Analytics.track(invalid)
      const path = yield* Effect.catchReason(call, "AnalyticsError", "InvalidCall", ({ path }) => Effect.succeed(path))
      assert.deepStrictEqual(path, ["event"])
      const several = yield* call.pipe(
        Effect.as("accepted"),
        Effect.catchReasons("AnalyticsError", {
          QueueFull: () => Effect.succeed("full"),
          InvalidCall: () => Effect.succeed("not valid")
        })
      )
      assert.strictEqual(several, "not valid")
      const unwrapped = yield* call.pipe(
        Effect.as("accepted"),
        Effect.unwrapReason("AnalyticsError"),
        Effect.catchTag("InvalidCall", ({ problem }) => Effect.succeed(problem))
      )
      assert.match(unwrapped, /not blank/)
    }).pipe(Effect.provide(AnalyticsTest.layer()))
  )

  it.effect("is an error of an HttpApiEndpoint, as it is", () => {
    const Api = HttpApi.make("shop").add(
      HttpApiGroup.make("orders").add(HttpApiEndpoint.post("create", "/orders", { error: AnalyticsError }))
    )
    const orders = HttpApiBuilder.group(
      Api,
      "orders",
      Effect.fnUntraced(function* (handlers) {
        const { track } = yield* Analytics.Analytics
        return handlers.handle("create", () => track(invalid))
      })
    )
    return Effect.gen(function* () {
      const client = yield* HttpApiTest.groups(Api, ["orders"])
      const error = yield* Effect.flip(client.orders.create())
      assert.instanceOf(error, AnalyticsError)
      assert.deepInclude({ ...error.reason }, { _tag: "InvalidCall", call: "track", path: ["event"] })
    }).pipe(
      Effect.provide([Layer.provide(orders, AnalyticsTest.layer()), HttpServer.layerServices, HttpRouter.layer]),
      Effect.scoped
    )
  })
})

describe("infallible calls", () => {
  it.effect("answer whether the call is accepted, have no error in their types, and are told to the observer", () =>
    Effect.gen(function* () {
      const calls: Effect.Effect<ReadonlyArray<boolean>, never, Analytics.Analytics> = Effect.all([
        Analytics.infallible.track({ userId: "u1", event: "Signed In" }),
        Analytics.infallible.track(invalid)
      ])
      assert.deepStrictEqual(yield* calls, [true, false])
      const outcomes = yield* (yield* AnalyticsTest.Sent).outcomes
      assert.deepStrictEqual(
        outcomes.flatMap((outcome) => (outcome._tag === "Refused" ? [outcome.error._tag] : [])),
        ["InvalidCall"]
      )
    }).pipe(Effect.provide(AnalyticsTest.layer()))
  )
})

describe("a setting that cannot work", () => {
  const config = ConfigProvider.layer(ConfigProvider.fromUnknown({ KEY: "test-write-key", HOST: "ftp://a", SIZE: 0 }))

  it.effect("and that is read from the configuration is a ConfigError with its path, in every layer", () =>
    Effect.gen(function* () {
      const writeKey = Config.Redacted("KEY")
      const layers: ReadonlyArray<readonly [Layer.Layer<never, Config.ConfigError>, string]> = [
        [
          Layer.provide(Analytics.layerConfig({ writeKey, host: Config.String("HOST") }), Transport.layerHttpClient()),
          "host"
        ],
        [
          Layer.provide(Transport.layerConfig({ writeKey, host: Config.String("HOST") }), Transport.layerHttpClient()),
          "host"
        ],
        [MemoryOutbox.layerConfig({ maxQueueSize: Config.Int("SIZE") }), "maxQueueSize"]
      ]
      for (const [layer, path] of layers) {
        const error = yield* Effect.flip(Effect.scoped(Layer.build(layer)))
        assert.instanceOf(error, Config.ConfigError)
        assert.include(error.message, path)
      }
    }).pipe(Effect.provide(config))
  )

  it("and that is written in the program is no error in the type of a layer", () => {
    const layer: Layer.Layer<Analytics.Analytics> = Analytics.layerFetch({
      writeKey: Redacted.make("k"),
      host: "ftp://a"
    })
    assert.throws(() => Effect.runSync(Effect.scoped(Layer.build(layer))), /host must be an https URL/)
  })
})
