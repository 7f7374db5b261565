import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import * as Analytics from "../src/Analytics.ts"
import * as AnalyticsTest from "../src/AnalyticsTest.ts"
import * as Observer from "../src/Observer.ts"
import { reasonOf } from "./errors.ts"
import { elapse, events, type Line, layerLog, numbered, pass, trackMany } from "./support.ts"

const invalid = { userId: "u1", event: " " } as const

describe("Observer.Observer", () => {
  const lines: Array<Line> = []

  it.effect(
    "by default logs losses at warning level: at most one line in 10 s of each kind, with the count since",
    () =>
      Effect.gen(function* () {
        lines.length = 0
        const analytics = yield* Analytics.Analytics
        const sent = yield* AnalyticsTest.Sent
        const warnings = () => lines.filter(({ level }) => level === "Warn").map(({ text }) => text)
        yield* sent.respond(400, 400, 400)
        for (let n = 0; n < 50; n++) yield* Effect.ignore(analytics.track(invalid))
        assert.strictEqual(warnings().length, 1)
        assert.match(warnings()[0] ?? "", /^1 call was not accepted: track: event must be/)
        // Another kind has a line of its own.
        yield* trackMany(1, 3)
        yield* analytics.flush
        assert.strictEqual(warnings().length, 2)
        assert.match(
          warnings()[1] ?? "",
          /^1 message was lost: refused by the API \(status 400, https:\/\/api.segment.io\/v1\/batch, 3 attempts\)/
        )
        yield* pass("9999 millis")
        yield* Effect.ignore(analytics.track(invalid))
        assert.strictEqual(warnings().length, 2)
        yield* pass(1)
        yield* Effect.ignore(analytics.track(invalid))
        assert.match(warnings()[2] ?? "", /^51 calls were not accepted: track: /)
        assert.deepStrictEqual(
          lines.filter(({ level }) => level === "Warn").map(({ annotations }) => annotations.reason),
          ["InvalidCall", "rejected", "InvalidCall"]
        )
      }).pipe(Effect.provide(AnalyticsTest.layer({ flushInterval: 10 }).pipe(Layer.provideMerge(layerLog(lines)))))
  )

  it.effect("by default says nothing of what goes well, nor of what transform drops on purpose", () =>
    Effect.gen(function* () {
      lines.length = 0
      const analytics = yield* Analytics.Analytics
      yield* trackMany(1, 10)
      yield* analytics.flush
      assert.deepStrictEqual(
        lines.filter(({ level }) => level !== "Debug"),
        []
      )
      assert.isAbove(lines.length, 0)
    }).pipe(Effect.provide(AnalyticsTest.layer().pipe(Layer.provideMerge(layerLog(lines)))))
  )

  it.live("layerOnError may make calls in fibers of its own, and is not told of them", () =>
    Effect.gen(function* () {
      let told = 0
      const call = Analytics.track({ userId: "u1", event: "" })
      const context = yield* Layer.build(
        AnalyticsTest.layer().pipe(
          Layer.provide(
            Observer.layerOnError(() => {
              told++
              if (told < 100) Effect.runFork(Effect.ignore(Effect.provideContext(call, context)))
            })
          )
        )
      )
      yield* Effect.ignore(Effect.provideContext(call, context))
      yield* Effect.sleep("20 millis")
      assert.strictEqual(told, 1)
    })
  )

  const said: Array<readonly [number | undefined, string]> = []

  it.effect("layerOnError is told of every loss with status and message, and of nothing else", () =>
    Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      const sent = yield* AnalyticsTest.Sent
      yield* sent.respond(200, 401, "network error")
      yield* trackMany(1, 1)
      yield* analytics.flush
      assert.deepStrictEqual(said, [])
      yield* trackMany(2, 2)
      yield* analytics.flush
      yield* trackMany(3, 3)
      yield* analytics.flush
      yield* Effect.ignore(analytics.track(invalid))
      assert.deepStrictEqual(
        said.map(([status]) => status),
        [401, undefined, undefined]
      )
      assert.match(said[0]?.[1] ?? "", /check the write key/)
      assert.match(said[1]?.[1] ?? "", /network/)
      assert.match(said[2]?.[1] ?? "", /track: .*event/)
    }).pipe(
      Effect.provide(
        AnalyticsTest.layer({ maxRetries: 0 }).pipe(
          Layer.provide(Observer.layerOnError((status, message) => said.push([status, message])))
        )
      )
    )
  )

  it.effect.each([
    [
      "throws",
      () => {
        throw new Error("boom")
      }
    ],
    ["dies", () => Effect.die("boom")],
    ["is interrupted", () => Effect.interrupt]
  ] as ReadonlyArray<readonly [string, Observer.Observer]>)("that %s harms nobody, and is logged", ([, observer]) => {
    const failures: Array<Line> = []
    return Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      const sent = yield* AnalyticsTest.Sent
      yield* sent.respond(200, 401, 200)
      yield* trackMany(1, 30)
      assert.strictEqual((yield* reasonOf(analytics.track(invalid)))._tag, "InvalidCall")
      assert.deepStrictEqual(yield* analytics.flush, { delivered: 20, dropped: 10, rejected: 1, pending: 0 })
      assert.deepStrictEqual(yield* events, [...numbered(1, 10), ...numbered(21, 30)])
      const told = failures.filter(({ text }) => text.includes("the observer failed"))
      assert.strictEqual(told.length, 1)
    }).pipe(
      Effect.provide(
        AnalyticsTest.layer({ batchSize: 10, flushInterval: 10 }).pipe(
          Layer.provide(Observer.layer(observer)),
          Layer.provideMerge(layerLog(failures))
        )
      )
    )
  })
})

describe("Outcome: metrics", () => {
  /** The values of all metrics, by name and attributes. */
  const read = Effect.map(Metric.snapshot, (all) =>
    Object.fromEntries(
      all
        .filter(({ id }) => id.startsWith("analytics_"))
        .map(({ attributes, id, state }) => {
          const labels = Object.entries(attributes ?? {})
            .toSorted()
            .map(([, value]) => value)
          const { count, sum, value } = state as { count?: number; sum?: number; value?: number }
          return [[id, ...labels].join(" "), value ?? (sum === undefined ? count : { count, sum })]
        })
    )
  )

  const fresh = <A, E>(effect: Effect.Effect<A, E>) =>
    Effect.suspend(() => Effect.provideService(effect, Metric.MetricRegistry, new Map()))

  it.effect("count messages by type, outcome and reason, bytes by outcome, batches, requests and retries", () =>
    Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      const sent = yield* AnalyticsTest.Sent
      yield* sent.respond({ status: 200, delay: 30 }, 503, 401)
      yield* trackMany(1, 3)
      yield* analytics.identify({ userId: "u1" })
      yield* elapse("1 seconds", 10)
      yield* Effect.ignore(analytics.track(invalid))
      yield* trackMany(4, 5)
      yield* elapse("2 seconds", 10)
      const bytes = (yield* sent.outcomes).map((outcome) =>
        "messages" in outcome ? outcome.messages.reduce((sum, { bytes }) => sum + bytes, 0) : 0
      )
      const metrics = yield* read
      assert.deepStrictEqual(metrics, {
        "analytics_messages_total delivered ok track": 3,
        "analytics_messages_total delivered ok identify": 1,
        "analytics_messages_total refused InvalidCall track": 1,
        "analytics_messages_total dropped misconfigured track": 2,
        "analytics_bytes_total delivered": bytes[0],
        "analytics_bytes_total dropped": bytes[2],
        analytics_queue_depth: 0,
        analytics_batch_size: { count: 3, sum: 8 },
        analytics_request_duration_ms: { count: 3, sum: 30 },
        analytics_retries_total: 1
      })
    }).pipe(Effect.provide(AnalyticsTest.layer({ flushInterval: 10 })), fresh)
  )

  it.effect("say how deep the queues of all clients are, and forget a client that is gone", () =>
    Effect.gen(function* () {
      const depth = Effect.map(read, (metrics) => metrics.analytics_queue_depth)
      const client = (messages: number) =>
        Effect.provide(
          Effect.gen(function* () {
            yield* trackMany(1, messages)
            return yield* depth
          }),
          AnalyticsTest.layer({ flushInterval: "1 hours" }),
          { local: true }
        )
      assert.strictEqual(yield* client(3), 3)
      yield* Effect.provide(
        Effect.gen(function* () {
          yield* trackMany(1, 4)
          assert.strictEqual(yield* client(3), 7)
          assert.strictEqual(yield* depth, 4)
          yield* Analytics.Analytics.use(({ flush }) => flush)
          assert.strictEqual(yield* depth, 0)
        }),
        AnalyticsTest.layer({ flushInterval: "1 hours" }),
        { local: true }
      )
      assert.isUndefined(yield* depth)
    }).pipe(fresh)
  )

  it.effect("clients under attributes of their own have a depth of their own, which goes when they go", () =>
    Effect.gen(function* () {
      const depths = Effect.map(read, (metrics) =>
        Object.fromEntries(Object.entries(metrics).filter(([name]) => name.startsWith("analytics_queue_depth")))
      )
      const client = Effect.fnUntraced(function* (attributes: Record<string, string>, messages: number) {
        const scope = yield* Scope.make()
        const context = yield* Layer.buildWithScope(AnalyticsTest.layer({ flushInterval: "1 hours" }), scope).pipe(
          Effect.provideService(Metric.CurrentMetricAttributes, attributes)
        )
        yield* Effect.provide(trackMany(1, messages), context)
        return { close: Scope.close(scope, Exit.void) }
      })
      const first = yield* client({ app: "a" }, 1)
      const second = yield* client({ app: "b" }, 2)
      const third = yield* client({ app: "b" }, 4)
      assert.deepStrictEqual(yield* depths, { "analytics_queue_depth a": 1, "analytics_queue_depth b": 6 })
      yield* second.close
      assert.deepStrictEqual(yield* depths, { "analytics_queue_depth a": 1, "analytics_queue_depth b": 4 })
      yield* first.close
      assert.deepStrictEqual(yield* depths, { "analytics_queue_depth b": 4 })
      yield* third.close
      assert.deepStrictEqual(yield* depths, {})
    }).pipe(fresh)
  )
})

describe("Outcome: spans", () => {
  const recording = () => {
    const spans: Array<Tracer.NativeSpan> = []
    const tracer = Tracer.make({
      span: (options) => {
        const span = new Tracer.NativeSpan(options)
        spans.push(span)
        return span
      }
    })
    return { spans, tracer }
  }

  it.effect("there is exactly one for each batch, and none for a call or an attempt", () => {
    const { spans, tracer } = recording()
    return Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      const sent = yield* AnalyticsTest.Sent
      yield* sent.respond(503, 200, 401)
      yield* trackMany(1, 20)
      yield* elapse("1 seconds", 50)
      yield* analytics.flush
      const told = spans.map(
        ({ attributes, name, status }) => [name, status._tag, Object.fromEntries(attributes)] as const
      )
      const bytes = (yield* sent.outcomes).map((outcome) =>
        "messages" in outcome ? outcome.messages.reduce((sum, { bytes }) => sum + bytes, 0) : 0
      )
      const facts = told.map(([name, ended, attributes]) => {
        return {
          name,
          ended,
          retries: attributes["http.request.resend_count"],
          messages: attributes["messaging.batch.message_count"],
          status: attributes["http.response.status_code"],
          bytes: attributes["messaging.message.body.size"]
        }
      })
      assert.deepStrictEqual(facts, [
        {
          name: "Analytics.deliver",
          ended: "Ended",
          retries: 1,
          messages: 10,
          status: 200,
          bytes: (bytes[0] ?? 0) + 9
        },
        {
          name: "Analytics.deliver",
          ended: "Ended",
          retries: 0,
          messages: 10,
          status: 401,
          bytes: (bytes[1] ?? 0) + 9
        }
      ])
    }).pipe(
      Effect.provide(
        AnalyticsTest.layer({ batchSize: 10, flushInterval: 10 }).pipe(
          Layer.provide(Layer.succeed(Tracer.Tracer, tracer))
        )
      ),
      Effect.provideService(Tracer.Tracer, tracer)
    )
  })

  it.effect(
    "it is a root of kind client, whatever span the client was made in, and counts the requests of a search",
    () => {
      const { spans, tracer } = recording()
      return Effect.gen(function* () {
        const analytics = yield* Analytics.Analytics
        const sent = yield* AnalyticsTest.Sent
        yield* sent.respond(503, 400, 200, 400)
        yield* trackMany(1, 2)
        yield* elapse("1 seconds", 50)
        yield* analytics.flush
        const delivery = spans.filter(({ name }) => name === "Analytics.deliver")
        assert.deepStrictEqual(
          delivery.map(({ attributes, kind, parent }) => [
            kind,
            parent._tag,
            attributes.get("http.request.resend_count")
          ]),
          [["client", "None", 3]]
        )
      }).pipe(
        Effect.provide(AnalyticsTest.layer({ flushInterval: 10 })),
        Effect.withSpan("the program"),
        Effect.provideService(Tracer.Tracer, tracer)
      )
    }
  )

  it.effect("links to the sampled spans in which the calls were made, each once and 128 at most", () => {
    const { spans, tracer } = recording()
    return Effect.gen(function* () {
      yield* Effect.withSpan(trackMany(1, 2), "request")
      yield* Effect.withSpan(trackMany(3, 3), "not sampled", { sampled: false })
      yield* trackMany(4, 4)
      yield* Analytics.flush
      for (let n = 0; n < 200; n++) yield* Effect.withSpan(trackMany(n, n), "one of many")
      yield* Analytics.flush
      const linked = spans
        .filter(({ name }) => name === "Analytics.deliver")
        .map(({ links }) => links.map(({ span }) => (span._tag === "Span" ? span.name : "")))
      assert.deepStrictEqual(linked, [["request"], Array(128).fill("one of many")])
    }).pipe(
      Effect.provide(AnalyticsTest.layer({ batchSize: 1_000, flushInterval: "1 hour" })),
      Effect.provideService(Tracer.Tracer, tracer)
    )
  })

  it.effect("names the API, by the conventions of OpenTelemetry, and never the key", () => {
    const { spans, tracer } = recording()
    return Effect.gen(function* () {
      yield* trackMany(1, 1)
      yield* Analytics.flush
      assert.deepInclude(Object.fromEntries(spans[0]?.attributes ?? []), {
        "messaging.system": "effect-analytics",
        "messaging.operation.type": "send",
        "http.request.method": "POST",
        "url.full": "https://api.segment.io/v1/batch",
        "server.address": "api.segment.io"
      })
      assert.notInclude(JSON.stringify([...(spans[0]?.attributes ?? [])]), "test-write-key")
    }).pipe(Effect.provide(AnalyticsTest.layer()), Effect.provideService(Tracer.Tracer, tracer))
  })
})

describe("Analytics.withName", () => {
  it.effect(
    "names a client in its metrics, its spans and its log lines, beside the attributes that are in scope",
    () => {
      const lines: Array<Line> = []
      const spans: Array<Tracer.NativeSpan> = []
      const tracer = Tracer.make({
        span: (options) => {
          const span = new Tracer.NativeSpan(options)
          spans.push(span)
          return span
        }
      })
      const use = Effect.gen(function* () {
        yield* (yield* AnalyticsTest.Sent).respond(400)
        yield* trackMany(1, 1)
        yield* Analytics.flush
      })
      const client = (name: string) =>
        AnalyticsTest.layer().pipe(Analytics.withName(name), Layer.provideMerge(layerLog(lines)))
      return Effect.gen(function* () {
        for (const name of ["product", "marketing"]) yield* Effect.provide(use, client(name), { local: true })
        const metrics = yield* Metric.snapshot
        const delivered = metrics.filter(({ id }) => id === "analytics_messages_total")
        assert.deepStrictEqual(
          delivered.map(({ attributes }) => [attributes?.client, attributes?.app, attributes?.outcome]),
          [
            ["product", "shop", "dropped"],
            ["marketing", "shop", "dropped"]
          ]
        )
        assert.deepStrictEqual(
          spans.map(({ attributes }) => attributes.get("client")),
          ["product", "marketing"]
        )
        assert.deepStrictEqual(
          lines.filter(({ level }) => level === "Warn").map(({ annotations }) => annotations.client),
          ["product", "marketing"]
        )
      }).pipe(
        Effect.provideService(Metric.CurrentMetricAttributes, { app: "shop" }),
        Effect.provideService(Metric.MetricRegistry, new Map()),
        Effect.provideService(Tracer.Tracer, tracer)
      )
    }
  )
})
