import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as LayerMap from "effect/LayerMap"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import * as References from "effect/References"
import * as Scope from "effect/Scope"
import * as Analytics from "../src/Analytics.ts"
import * as AnalyticsTest from "../src/AnalyticsTest.ts"
import type { Track } from "../src/Call.ts"
import { toResponse } from "../src/internal/FakeServer.ts"
import * as MemoryOutbox from "../src/MemoryOutbox.ts"
import type { Request, Wire } from "../src/Message.ts"
import { MessageIds } from "../src/MessageId.ts"
import * as Observer from "../src/Observer.ts"
import type * as Outcome from "../src/Outcome.ts"
import * as Transform from "../src/Transform.ts"
import * as Transport from "../src/Transport.ts"
import { invalidSettingOf, reasonOf } from "./errors.ts"
import {
  breathe,
  chance,
  elapse,
  eventOf,
  events,
  type Line,
  layerLog,
  lossesOf,
  numbered,
  pass,
  peer,
  sizes,
  trackMany
} from "./support.ts"

interface Asked {
  readonly url: string
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: Request
}

/** An `HttpClient` that answers 200 and remembers. */
const recording = (requests: Array<Asked>) =>
  Layer.succeed(
    HttpClient.HttpClient,
    HttpClient.make((request, url) =>
      Effect.sync(() => {
        const bytes = request.body._tag === "Uint8Array" ? request.body.body : new Uint8Array()
        requests.push({
          url: url.toString(),
          headers: request.headers,
          body: JSON.parse(new TextDecoder().decode(bytes))
        })
        return HttpClientResponse.fromWeb(request, new Response(null, { status: 200 }))
      })
    )
  )

const flushed = Analytics.Analytics.use(({ flush }) => flush)

describe("Analytics: the six calls", () => {
  it.effect("resolve when they are accepted, and not when they are delivered", () =>
    Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      const sent = yield* AnalyticsTest.Sent
      yield* sent.respond("never")
      yield* analytics.identify({ userId: "u1", traits: { plan: "free" } })
      yield* analytics.track({ userId: "u1", event: "Purchased Item", properties: { revenue: 39.95 } })
      yield* analytics.page({ anonymousId: "a1", name: "Home", category: "Docs" })
      yield* analytics.screen({ userId: 7, name: "Start" })
      yield* analytics.group({ userId: "u1", groupId: "g1" })
      yield* analytics.alias({ userId: "u2", previousId: "u1" })
      assert.deepStrictEqual(yield* sent.messages, [])
      assert.include(yield* analytics.stats, { offered: 6, pending: 6, delivered: 0, dropped: 0, rejected: 0 })
    }).pipe(Effect.provide(AnalyticsTest.layer()))
  )

  it.effect("count at every moment: offered = delivered + pending + dropped + rejected", () =>
    Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      const sent = yield* AnalyticsTest.Sent
      const law = Effect.map(analytics.stats, ({ delivered, dropped, offered, pending, rejected }) => {
        assert.strictEqual(offered, delivered + pending + dropped + rejected)
        return [offered, delivered, pending, dropped, rejected]
      })
      assert.deepStrictEqual(yield* law, [0, 0, 0, 0, 0])
      yield* trackMany(1, 5)
      assert.deepStrictEqual(yield* law, [5, 0, 5, 0, 0])
      yield* Effect.ignore(analytics.track({ userId: "u1", event: "" }))
      yield* Effect.ignore(trackMany(6, 6))
      assert.deepStrictEqual(yield* law, [7, 0, 5, 0, 2])
      yield* sent.respond(200, { status: 401, delay: 1_000 })
      yield* pass(1)
      assert.deepStrictEqual(yield* law, [7, 2, 3, 0, 2])
      assert.isAtLeast((yield* analytics.stats).inFlight, 2)
      yield* pass(999)
      assert.deepStrictEqual(yield* law, [7, 2, 1, 2, 2])
      yield* flushed
      assert.deepStrictEqual(yield* law, [7, 3, 0, 2, 2])
      assert.include(yield* analytics.stats, { inFlight: 0, pendingBytes: 0 })
    }).pipe(Effect.provide(AnalyticsTest.layer({ maxQueueSize: 5, batchSize: 2, flushInterval: "10 seconds" })))
  )

  it.effect("with overflow wait suspend, and get in when there is room", () =>
    Effect.gen(function* () {
      const sent = yield* AnalyticsTest.Sent
      yield* sent.respond({ status: 200, delay: 1_000 })
      yield* Effect.forkChild(trackMany(1, 20))
      yield* breathe
      assert.include(yield* Analytics.Analytics.use(({ stats }) => stats), { pending: 2, offered: 2 })
      yield* pass("1 seconds")
      yield* flushed
      assert.deepStrictEqual(yield* events, numbered(1, 20))
    }).pipe(Effect.provide(AnalyticsTest.layer({ maxQueueSize: 2, overflow: "wait" })))
  )

  it.effect("have the ids that the layer is given", () =>
    Effect.gen(function* () {
      yield* trackMany(1, 2)
      yield* flushed
      const sent = yield* AnalyticsTest.Sent
      assert.deepStrictEqual(
        (yield* sent.messages).map(({ messageId }) => messageId),
        ["id 1", "id 2"]
      )
    }).pipe(
      Effect.provide(
        AnalyticsTest.layer().pipe(
          Layer.provide(
            Layer.sync(MessageIds, () => {
              let last = 0
              return () => `id ${++last}`
            })
          )
        )
      )
    )
  )
})

describe("Analytics: what others provide", () => {
  it.effect("MessageIds that throw are a refused call, and no defect; who brings an id needs none of them", () =>
    Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      assert.strictEqual((yield* reasonOf(analytics.track({ userId: "u1", event: "e" })))._tag, "InvalidCall")
      yield* analytics.track({ userId: "u1", event: "event 1", messageId: "m1" })
      yield* flushed
      assert.deepStrictEqual(yield* events, ["event 1"])
      assert.include(yield* analytics.stats, { offered: 2, rejected: 1, delivered: 1 })
    }).pipe(
      Effect.provide(
        AnalyticsTest.layer().pipe(
          Layer.provide(
            Layer.succeed(MessageIds, () => {
              throw new Error("boom")
            })
          )
        )
      )
    )
  )

  it.effect("a logger that throws harms nothing: neither a delivery, nor a loss, nor a call", () => {
    let asked = 0
    const logger = Logger.make(() => {
      asked++
      throw new Error("boom")
    })
    const client = AnalyticsTest.layer({ flushInterval: 10 }).pipe(
      Layer.provide(Layer.merge(Logger.layer([logger]), Layer.succeed(References.MinimumLogLevel, "All" as const)))
    )
    return Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      const sent = yield* AnalyticsTest.Sent
      yield* sent.respond(200, 401)
      yield* trackMany(1, 3)
      assert.deepStrictEqual(yield* flushed, { delivered: 3, dropped: 0, rejected: 0, pending: 0 })
      yield* trackMany(4, 6)
      assert.deepStrictEqual(yield* flushed, { delivered: 0, dropped: 3, rejected: 0, pending: 0 })
      const refused = yield* reasonOf(analytics.track({ userId: "u1", event: "" }))
      assert.strictEqual(refused._tag, "InvalidCall")
      yield* trackMany(7, 9)
      assert.deepStrictEqual(yield* flushed, { delivered: 3, dropped: 0, rejected: 1, pending: 0 })
      assert.isAbove(asked, 0)
    }).pipe(Effect.provide(client))
  })

  /** A client over an `HttpClient` that fails where the status is not 2xx; how many messages each request had. */
  const failing = (answers: ReadonlyArray<AnalyticsTest.Answer>, requests: Array<number>) => {
    const script = [...answers]
    const client = HttpClient.make((request) =>
      Effect.sync(() => {
        const bytes = request.body._tag === "Uint8Array" ? request.body.body : new Uint8Array()
        requests.push(JSON.parse(new TextDecoder().decode(bytes)).batch.length)
        const answer = script.shift() ?? 200
        return HttpClientResponse.fromWeb(request, toResponse(answer as Exclude<typeof answer, string>))
      })
    )
    return Analytics.layer({ writeKey: Redacted.make("k"), closeTimeout: 0, flushInterval: 10 }).pipe(
      Layer.provide([Layer.succeed(HttpClient.HttpClient, HttpClient.filterStatusOk(client)), chance(0.5)])
    )
  }

  it.effect.each([
    ["401 is misconfigured, after one request", [401], { delivered: 0, dropped: 4 }, "misconfigured", [4]],
    ["302 is misconfigured, after one request", [302], { delivered: 0, dropped: 4 }, "misconfigured", [4]],
    ["400 is searched", [400, 200, 400, 200, 400], { delivered: 3, dropped: 1 }, "rejected", [4, 2, 2, 1, 1]],
    ["503 is tried again", [503], { delivered: 4, dropped: 0 }, undefined, [4, 4]]
  ] as const)("an HttpClient that makes failures of statuses: %s", ([, answers, expected, reason, sizes]) => {
    const requests: Array<number> = []
    const reasons: Array<string> = []
    const observer = Observer.layer((outcome) =>
      Effect.sync(() => {
        if (outcome._tag === "Dropped") reasons.push(outcome.error.reason)
      })
    )
    return Effect.gen(function* () {
      yield* trackMany(1, 4)
      const flush = yield* Effect.forkChild(flushed)
      yield* elapse("2 seconds", 50)
      assert.deepStrictEqual(yield* Fiber.join(flush), { ...expected, rejected: 0, pending: 0 })
      assert.deepStrictEqual<ReadonlyArray<number>>(requests, sizes)
      assert.deepStrictEqual(reasons, reason === undefined ? [] : [reason])
    }).pipe(Effect.provide(failing(answers, requests).pipe(Layer.provide(observer))))
  })

  it.effect("an HttpClient that makes failures of statuses: the Retry-After of a 429 is obeyed", () => {
    const requests: Array<number> = []
    const answers = [{ status: 429, headers: { "retry-after": "7" } }]
    return Effect.gen(function* () {
      yield* trackMany(1, 4)
      // The window, and then the wait.
      yield* pass(10)
      yield* pass(6_999)
      assert.deepStrictEqual(requests, [4])
      yield* pass(1)
      assert.deepStrictEqual(requests, [4, 4])
      assert.include(yield* Analytics.Analytics.use(({ stats }) => stats), { delivered: 4, pending: 0 })
    }).pipe(Effect.provide(failing(answers, requests)))
  })
})

describe("Analytics: who interrupts a call", () => {
  const ways: ReadonlyArray<readonly [string, AnalyticsTest.Options, Track]> = [
    ["refused", {}, { userId: "u1", event: "" }],
    ["refused for want of room", { maxQueueSize: 1 }, { userId: "u1", event: "e" }],
    ["filtered", { transform: () => Transform.drop("no consent") }, { userId: "u1", event: "e" }],
    ["evicting", { overflow: "drop-oldest", maxQueueSize: 2 }, { userId: "u1", event: "e" }],
    ["waiting for room", { overflow: "wait", maxQueueSize: 1 }, { userId: "u1", event: "e" }]
  ]

  it.effect.each(ways)("never comes between its counting and its telling: %s", ([, options, call]) => {
    /** The observer of a program; the test layer has one of its own before it. */
    const told = { rejected: 0, dropped: 0 }
    const observer = Observer.layer((outcome) =>
      Effect.sync(() => {
        if (outcome._tag === "Refused") told.rejected++
        if (outcome._tag === "Filtered") told.dropped++
        if (outcome._tag === "Dropped") told.dropped += outcome.messages.length
      })
    )
    // The window never closes: nothing but the calls ends a message.
    const client = AnalyticsTest.layer({ ...options, flushInterval: "1 hour" }).pipe(Layer.provide(observer))
    return Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      for (const steps of [3, 4, 5, 8]) {
        for (let turn = 0; turn < 60; turn++) {
          const fiber = yield* Effect.ignore(analytics.track(call)).pipe(
            Effect.provideService(References.MaxOpsBeforeYield, steps),
            Effect.forkChild
          )
          for (let wait = 0; wait < turn; wait++) yield* Effect.yieldNow
          yield* Fiber.interrupt(fiber)
          const { dropped, rejected } = yield* analytics.stats
          assert.deepStrictEqual(told, { rejected, dropped })
        }
      }
      assert.isAbove((yield* analytics.stats).offered, 0)
    }).pipe(Effect.provide(client))
  })

  it.effect("a call waits for an observer that never answers for 5 seconds, and no longer", () => {
    const client = AnalyticsTest.layer().pipe(Layer.provide(Observer.layer(() => Effect.never)))
    return Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      const call = yield* Effect.forkChild(reasonOf(analytics.track({ userId: "u1", event: "" })))
      yield* pass(4_999)
      assert.isUndefined(call.pollUnsafe())
      yield* pass(1)
      // Looked at, and not waited for: it could be for ever.
      assert.isDefined(call.pollUnsafe())
      assert.strictEqual((yield* Fiber.join(call))._tag, "InvalidCall")
    }).pipe(Effect.provide(client))
  })
})

describe("Analytics: layers", () => {
  it.effect("layer sends over the HttpClient that is provided, and its end delivers what is there", () =>
    Effect.gen(function* () {
      const requests: Array<Asked> = []
      yield* trackMany(1, 3).pipe(
        Effect.provide(
          Analytics.layer({ writeKey: Redacted.make("key one"), region: "eu" }).pipe(Layer.provide(recording(requests)))
        ),
        invalidSettingOf,
        Effect.map(({ setting }) => assert.strictEqual(setting, "writeKey"))
      )
      yield* trackMany(1, 3).pipe(
        Effect.provide(
          Analytics.layer({ writeKey: Redacted.make("key-one"), region: "eu" }).pipe(Layer.provide(recording(requests)))
        )
      )
      assert.deepStrictEqual(
        requests.flatMap(({ body }) => body.batch.map(eventOf)),
        numbered(1, 3)
      )
      assert.strictEqual(requests[0]?.url, "https://events.eu1.segmentapis.com/v1/batch")
      assert.strictEqual(requests[0]?.body.writeKey, "key-one")
    })
  )

  it.live("layerFetch brings its own", () =>
    Effect.gen(function* () {
      const { host, received } = yield* peer()
      yield* trackMany(1, 3).pipe(
        Effect.provide(Analytics.layerFetch({ writeKey: Redacted.make("k"), host, flushInterval: 10 }))
      )
      assert.strictEqual(received.length, 1)
    })
  )

  it.effect("layerConfig reads its options from the configuration", () =>
    Effect.gen(function* () {
      const requests: Array<Asked> = []
      const layer = Analytics.layerConfig({
        writeKey: Config.Redacted("SEGMENT_KEY"),
        host: Config.String("SEGMENT_HOST"),
        flushInterval: Config.Duration("SEGMENT_WINDOW"),
        batchSize: Config.Int("SEGMENT_BATCH")
      })
      yield* Effect.gen(function* () {
        yield* trackMany(1, 3)
        assert.strictEqual(requests.length, 0)
        yield* flushed
      }).pipe(
        Effect.provide(layer.pipe(Layer.provide(recording(requests)))),
        Effect.provide(
          ConfigProvider.layer(
            ConfigProvider.fromUnknown({
              SEGMENT_KEY: "from-config",
              SEGMENT_HOST: "https://cdp.example",
              SEGMENT_WINDOW: "1 hour",
              SEGMENT_BATCH: "2"
            })
          )
        )
      )
      assert.deepStrictEqual(
        requests.map(({ body, url }) => [url, body.writeKey, body.batch.length]),
        [
          ["https://cdp.example/v1/batch", "from-config", 2],
          ["https://cdp.example/v1/batch", "from-config", 1]
        ]
      )
    })
  )

  const fromEnvironment = (env: Record<string, string>, requests: Array<Asked> = []) =>
    Effect.gen(function* () {
      yield* trackMany(1, 3)
      return yield* flushed
    }).pipe(
      Effect.provide(Analytics.layerFromConfig().pipe(Layer.provide(recording(requests)))),
      Effect.provide(ConfigProvider.layer(ConfigProvider.fromUnknown(env)))
    )

  it.effect("layerFromConfig reads ANALYTICS_*, of which only the key is needed", () =>
    Effect.gen(function* () {
      const requests: Array<Asked> = []
      assert.deepStrictEqual(yield* fromEnvironment({ ANALYTICS_WRITE_KEY: "from-env" }, requests), {
        delivered: 3,
        dropped: 0,
        rejected: 0,
        pending: 0
      })
      const all = {
        ANALYTICS_WRITE_KEY: "from-env",
        ANALYTICS_HOST: "https://cdp.example/in",
        ANALYTICS_PATH: "/batch",
        ANALYTICS_BATCH_SIZE: "1",
        ANALYTICS_FLUSH_INTERVAL: "1 hour",
        ANALYTICS_MAX_IN_FLIGHT: "2",
        ANALYTICS_MAX_QUEUE_SIZE: "3",
        ANALYTICS_MAX_QUEUE_BYTES: "40000",
        ANALYTICS_OVERFLOW: "wait",
        ANALYTICS_MAX_RETRIES: "0",
        ANALYTICS_REQUEST_TIMEOUT: "1 second",
        ANALYTICS_CLOSE_TIMEOUT: "1 second",
        ANALYTICS_GZIP: "false"
      }
      requests.length = 0
      yield* fromEnvironment(all, requests)
      assert.deepStrictEqual(
        requests.map(({ body, url }) => [url, body.writeKey, body.batch.length]),
        Array.from({ length: 3 }, () => ["https://cdp.example/in/batch", "from-env", 1])
      )
    })
  )

  it.effect("layerFromConfig names variables that only look like its own", () => {
    const lines: Array<Line> = []
    return Effect.gen(function* () {
      yield* Effect.provide(
        fromEnvironment({ ANALYTICS_WRITE_KEY: "k", ANALYTICS_BATCHSIZE: "5", ANALYTICS_HOST: "https://cdp.example" }),
        layerLog(lines)
      )
      assert.deepStrictEqual(
        lines.filter(({ level }) => level === "Warn").map(({ text }) => text),
        ["ANALYTICS_BATCHSIZE is not read: did you mean ANALYTICS_BATCH_SIZE?"]
      )
    })
  })

  it.effect("layerFromConfig takes what the environment cannot hold from the program", () =>
    Effect.gen(function* () {
      const requests: Array<Asked> = []
      const transform = (message: Wire) => ({ ...message, context: { ...message.context, tenant: "t1" } })
      yield* Effect.andThen(trackMany(1, 1), flushed).pipe(
        Effect.provide(
          Analytics.layerFromConfig({ transform, headers: { "x-tenant": "t1" } }).pipe(
            Layer.provide(recording(requests)),
            Layer.provide(ConfigProvider.layer(ConfigProvider.fromUnknown({ ANALYTICS_WRITE_KEY: "k" })))
          )
        )
      )
      assert.strictEqual(requests[0]?.body.batch[0]?.context.tenant, "t1")
      assert.strictEqual(requests[0]?.headers["x-tenant"], "t1")
    })
  )

  it.effect("layerFromConfig allows plain http where ANALYTICS_ALLOW_INSECURE_HOST says so", () =>
    Effect.gen(function* () {
      const env = { ANALYTICS_WRITE_KEY: "k", ANALYTICS_HOST: "http://cdp.internal" }
      const requests: Array<Asked> = []
      yield* fromEnvironment({ ...env, ANALYTICS_ALLOW_INSECURE_HOST: "true" }, requests)
      assert.strictEqual(requests[0]?.url, "http://cdp.internal/v1/batch")
      const refused = yield* Effect.flip(fromEnvironment({ ...env, ANALYTICS_ALLOW_INSECURE_HOST: "false" }))
      assert.strictEqual(refused._tag, "ConfigError")
      assert.include(refused.message, "ANALYTICS_HOST")
    })
  )

  it.effect.each([
    [{}, "ANALYTICS_WRITE_KEY"],
    [{ ANALYTICS_WRITE_KEY: " " }, "ANALYTICS_WRITE_KEY"],
    [{ ANALYTICS_WRITE_KEY: "k", ANALYTICS_REGION: "asia" }, "ANALYTICS_REGION"],
    [{ ANALYTICS_WRITE_KEY: "k", ANALYTICS_BATCH_SIZE: "many" }, "ANALYTICS_BATCH_SIZE"],
    [{ ANALYTICS_WRITE_KEY: "k", ANALYTICS_BATCH_SIZE: "0" }, "ANALYTICS_BATCH_SIZE"],
    [{ ANALYTICS_WRITE_KEY: "k", ANALYTICS_HOST: "http://cdp.example" }, "ANALYTICS_HOST"]
  ] as ReadonlyArray<readonly [Record<string, string>, string]>)("layerFromConfig refuses %j by %s", ([env, name]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(fromEnvironment(env))
      assert.strictEqual(error._tag, "ConfigError")
      assert.include(error.message, name)
    })
  )

  it.effect("layerStub does everything but send, and says so at debug level", () => {
    const lines: Array<Line> = []
    return Effect.gen(function* () {
      yield* trackMany(1, 3)
      assert.deepStrictEqual(yield* flushed, { delivered: 3, dropped: 0, rejected: 0, pending: 0 })
      const analytics = yield* Analytics.Analytics
      assert.strictEqual((yield* reasonOf(analytics.track({ userId: "", event: "e" })))._tag, "InvalidCall")
      assert.isTrue(lines.some(({ level, text }) => level === "Debug" && text.startsWith("stub: ")))
    }).pipe(Effect.provide(Layer.provideMerge(Analytics.layerStub({ flushInterval: 10 }), layerLog(lines))))
  })

  it.effect("layerNoop takes everything, and does nothing with it", () =>
    Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      yield* analytics.track({ userId: "", event: "" })
      yield* trackMany(1, 3)
      assert.deepStrictEqual(yield* analytics.flush, { delivered: 0, dropped: 0, rejected: 0, pending: 0 })
      assert.deepStrictEqual(yield* analytics.close, { delivered: 0, dropped: 0, rejected: 0, pending: 0 })
      assert.include(yield* analytics.stats, { offered: 0, pending: 0 })
    }).pipe(Effect.provide(Analytics.layerNoop))
  )

  it.effect("layerNoDeps sends over a transport of yours, out of an outbox of yours", () => {
    const batches: Array<ReadonlyArray<string>> = []
    const transport = Layer.succeed(Transport.Transport, {
      send: (messages) =>
        Effect.sync(() => {
          batches.push(messages.map(({ data }) => eventOf(data)))
          return Transport.SendResult.Delivered({ status: 202 })
        }),
      envelopeBytes: 0
    })
    return Effect.gen(function* () {
      yield* trackMany(1, 5)
      assert.deepStrictEqual(yield* flushed, { delivered: 5, dropped: 0, rejected: 0, pending: 0 })
      assert.deepStrictEqual(batches, [numbered(1, 2), numbered(3, 4), numbered(5, 5)])
    }).pipe(
      Effect.provide(
        Analytics.layerNoDeps({ batchSize: 2, flushInterval: 10 }).pipe(
          Layer.provide([transport, MemoryOutbox.layer({ maxQueueSize: 5 })])
        )
      )
    )
  })
})

describe("Analytics: several clients", () => {
  class Marketing extends Context.Service<Marketing, Analytics.Analytics["Service"]>()("test/Marketing") {}

  it.effect("a second one is a second key over the same shape", () => {
    const requests: Array<Asked> = []
    const client = (writeKey: string) => Analytics.layer({ writeKey: Redacted.make(writeKey) })
    const marketing = Layer.effect(Marketing, Analytics.Analytics).pipe(Layer.provide(client("marketing")))
    return Effect.gen(function* () {
      const [product, marketing] = [yield* Analytics.Analytics, yield* Marketing]
      yield* product.track({ userId: "u1", event: "of the product" })
      yield* marketing.track({ userId: "u1", event: "of marketing" })
      yield* product.close
      yield* marketing.flush
      assert.strictEqual((yield* reasonOf(product.track({ userId: "u1", event: "late" })))._tag, "Closed")
      yield* marketing.track({ userId: "u1", event: "still open" })
      yield* marketing.flush
      assert.deepStrictEqual(
        requests.map(({ body }) => [body.writeKey, ...body.batch.map(eventOf)]),
        [
          ["product", "of the product"],
          ["marketing", "of marketing"],
          ["marketing", "still open"]
        ]
      )
    }).pipe(Effect.provide(Layer.merge(client("product"), marketing).pipe(Layer.provide(recording(requests)))))
  })

  const asked: Array<Asked> = []

  class Tenants extends LayerMap.Service<Tenants>()("test/Tenants", {
    lookup: (tenant: string) =>
      Analytics.layer({ writeKey: Redacted.make(`key-of-${tenant}`), flushInterval: "1 hour" }).pipe(
        Layer.provide(recording(asked))
      ),
    idleTimeToLive: "5 minutes"
  }) {}

  it.effect("many of them by key, each made when it is needed, and closed when it idles", () =>
    Effect.gen(function* () {
      yield* trackMany(1, 2).pipe(Effect.provide(Tenants.get("acme")))
      yield* trackMany(3, 3).pipe(Effect.provide(Tenants.get("umbrella")))
      yield* trackMany(4, 4).pipe(Effect.provide(Tenants.get("acme")))
      assert.deepStrictEqual(asked, [])
      yield* pass("5 minutes")
      assert.deepStrictEqual(asked.map(({ body }) => [body.writeKey, ...body.batch.map(eventOf)]).toSorted(), [
        ["key-of-acme", "event 1", "event 2", "event 4"],
        ["key-of-umbrella", "event 3"]
      ])
    }).pipe(Effect.provide(Tenants.layer))
  )
})

describe("AnalyticsTest", () => {
  it.effect("answers from a script, then with 200, and remembers attempts, batches and outcomes", () =>
    Effect.gen(function* () {
      const sent = yield* AnalyticsTest.Sent
      yield* sent.respond({ status: 401, headers: { "x-request-id": "1" }, body: "{}" }, "network error")
      yield* trackMany(1, 5)
      yield* elapse("1 seconds", 10)
      assert.deepStrictEqual(yield* sizes, [2, 1])
      assert.deepStrictEqual(yield* events, numbered(3, 5))
      const requests = yield* sent.requests
      assert.deepStrictEqual(
        requests.map(({ answer, body }) => [answer, body.batch.length]),
        [
          [{ status: 401, headers: { "x-request-id": "1" }, body: "{}" }, 2],
          ["network error", 2],
          [200, 2],
          [200, 1]
        ]
      )
      assert.strictEqual(requests[0]?.headers.authorization, `Basic ${btoa("test-write-key:")}`)
      assert.deepStrictEqual(
        (yield* sent.outcomes).map(({ _tag }) => _tag),
        ["Dropped", "Delivered", "Delivered"]
      )
    }).pipe(Effect.provide(AnalyticsTest.layer({ batchSize: 2, flushInterval: 10 })))
  )

  it.effect.each([
    ["left out", {}],
    ["undefined", { closeTimeout: undefined }]
  ] as const)("does not wait at its end for what is not answered: closeTimeout %s", ([, options]) =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(AnalyticsTest.layer(options), scope)
      const { outcomes, respond } = Context.get(context, AnalyticsTest.Sent)
      yield* respond("never")
      yield* Effect.provide(trackMany(1, 1), context)
      yield* breathe
      // No time passes here.
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* breathe
      assert.isDefined(closing.pollUnsafe())
      assert.deepStrictEqual(lossesOf(yield* outcomes), [["closed", 1]])
    })
  )

  it.effect("tells the observer around it as well", () => {
    const told: Array<string> = []
    const observer = Observer.layer(({ _tag }) => Effect.sync(() => void told.push(_tag)))
    return Effect.gen(function* () {
      yield* trackMany(1, 1)
      yield* flushed
      assert.deepStrictEqual(told, ["Delivered"])
    }).pipe(Effect.provide(AnalyticsTest.layer().pipe(Layer.provide(observer))))
  })

  /** What the test layer finds at the end of a test. */
  const verdict = (test: Effect.Effect<void, unknown, Analytics.Analytics>) =>
    Effect.map(Effect.exit(Effect.provide(test, AnalyticsTest.layer({ flushInterval: "1 hour" }))), (exit) =>
      Exit.isSuccess(exit) ? "nothing" : Cause.pretty(exit.cause)
    )

  /** Makes the client of a test say other counts than its own. */
  const lie = (about: Partial<Outcome.Stats>) =>
    Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      yield* trackMany(1, 3)
      Object.assign(analytics, { stats: Effect.map(analytics.stats, (stats) => ({ ...stats, ...about })) })
    })

  it.effect("finds nothing to say against an honest client", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* verdict(lie({})), "nothing")
    })
  )

  it.effect.each([
    [{ offered: 4 }, /not every message is accounted for/],
    [{ pending: 1 }, /still holds messages/],
    [{ delivered: 3, dropped: 0 }, /the reported outcomes differ/],
    [{ offered: 4, rejected: 1 }, /the reported outcomes differ/]
  ] as const)("fails a test whose client says %j, and it is not so", ([about, found]) =>
    Effect.gen(function* () {
      assert.match(yield* verdict(lie(about)), found)
    })
  )
})
