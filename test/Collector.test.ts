import { execFile } from "node:child_process"
import { request as httpRequest } from "node:http"
import { connect } from "node:net"
import { promisify } from "node:util"
import { gzipSync } from "node:zlib"
import { assert, describe, it } from "@effect/vitest"
import RudderAnalytics from "@rudderstack/rudder-sdk-node"
import { Analytics as SegmentAnalytics } from "@segment/analytics-node"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Analytics from "effect-analytics/Analytics"
import { formatPath, InvalidCall, PlanViolation } from "effect-analytics/AnalyticsError"
import * as Collector from "effect-analytics/Collector"
import * as TrackingPlan from "effect-analytics/TrackingPlan"
import * as PlanJson from "effect-analytics/TrackingPlan/json"
import { problemsOf } from "../src/cli/internal/Problems.ts"
import * as Settings from "../src/Settings.ts"

const key = "a-key-for-the-collector"
const basic = `Basic ${btoa(`${key}:`)}`

interface Answered {
  readonly status: number
  readonly text: string
  readonly headers: Headers
}

/** Sends a body as it is, or as JSON. A connection that breaks answers with status 0. */
const post = (
  path: string,
  body: unknown,
  headers: Record<string, string> = { authorization: basic }
): Effect.Effect<Answered, never, Collector.Collector> =>
  Effect.flatMap(Collector.Collector, ({ url }) =>
    Effect.promise(async () => {
      const sent = typeof body === "string" || body instanceof Uint8Array ? body : JSON.stringify(body)
      try {
        const response = await fetch(url + path, { method: "POST", headers, body: sent as string })
        return { status: response.status, text: await response.text(), headers: response.headers }
      } catch {
        return { status: 0, text: "", headers: new Headers() }
      }
    })
  )

const batch = (...messages: ReadonlyArray<unknown>) => post("/v1/batch", { batch: messages })
const order = { type: "track", userId: "u1", event: "Order Completed", properties: { total: 39.95 } }

const kept = Collector.Collector.use(({ messages }) => messages)
const requests = Collector.Collector.use(({ requests }) => requests)
const last = Effect.map(kept, (messages) => messages.at(-1) as Collector.Received)
const verdicts = Effect.map(kept, (messages) => messages.map(({ verdict }) => verdict))

const run = <A, E>(
  body: Effect.Effect<A, E, Collector.Collector>,
  options?: Collector.Options
): Effect.Effect<A, unknown> => body.pipe(Effect.provide(Collector.layer(options)), Effect.scoped)

describe("the Tracking API of the collector", () => {
  it.live("takes the six single calls, and their type from the path", () =>
    run(
      Effect.gen(function* () {
        const calls = {
          identify: { userId: "u1", traits: { plan: "free" } },
          track: { userId: "u1", event: "Signed Up" },
          page: { anonymousId: "a1", name: "Home" },
          screen: { anonymousId: "a1", name: "Orders" },
          group: { userId: "u1", groupId: "g1" },
          alias: { userId: "u1", previousId: "a1" }
        }
        for (const [type, call] of Object.entries(calls)) {
          const { status, text } = yield* post(`/v1/${type}`, call)
          assert.strictEqual(status, 200)
          assert.deepStrictEqual(JSON.parse(text), { success: true })
        }
        const messages = yield* kept
        assert.deepStrictEqual(
          messages.map(({ type }) => type),
          Object.keys(calls)
        )
        assert.isTrue(messages.every(({ verdict }) => verdict === "delivered"))
        assert.deepStrictEqual(
          messages.map(({ user }) => user),
          ["u1", "u1", "a1", "a1", "u1", "u1"]
        )
      })
    )
  )

  it.live("takes batches at /v1/batch and /v1/import, plain and gzip", () =>
    run(
      Effect.gen(function* () {
        const text = JSON.stringify({ batch: [order, { ...order, event: "Signed Up" }] })
        assert.strictEqual((yield* post("/v1/import", text)).status, 200)
        const zipped = yield* post("/v1/batch", gzipSync(text), { authorization: basic, "content-encoding": "gzip" })
        assert.strictEqual(zipped.status, 200)
        const [plain, gzip] = yield* requests
        assert.strictEqual(plain?.path, "/v1/import")
        assert.strictEqual(plain?.bytes, plain?.decodedBytes)
        assert.strictEqual(gzip?.decodedBytes, text.length)
        assert.isBelow(gzip?.bytes ?? 0, text.length)
        assert.strictEqual((yield* kept).length, 4)
      })
    )
  )

  it.live("finds the write key as Basic user, Bearer token or in the body, and keeps it nowhere", () =>
    run(
      Effect.gen(function* () {
        yield* post("/v1/track", order, { authorization: basic })
        yield* post("/v1/track", order, { authorization: `Bearer ${key}` })
        yield* post("/v1/track", { ...order, writeKey: key }, {})
        yield* post("/v1/batch", { batch: [{ ...order, writeKey: key }], writeKey: key }, {})
        yield* post("/v1/track", order, { authorization: `Basic ${btoa("another-key-with-the-same-end-ctor:")}` })
        const sources = (yield* kept).map(({ source }) => source)
        assert.deepStrictEqual(sources, ["…ctor", "…ctor", "…ctor", "…ctor", "…ctor (2)"])
        const everything = JSON.stringify([yield* kept, yield* requests])
        assert.notInclude(everything, key)
        assert.notInclude(everything, btoa(`${key}:`))
      })
    )
  )

  it.live("answers 401 without a write key, and to a key that is not on the list", () =>
    run(
      Effect.gen(function* () {
        const nobody = yield* post("/v1/batch", { batch: [order] }, {})
        assert.strictEqual(nobody.status, 401)
        assert.include(nobody.text, "no write key")
        assert.strictEqual(
          (yield* post("/v1/batch", { batch: [order] }, { authorization: "Bearer other" })).status,
          401
        )
        assert.strictEqual((yield* batch(order)).status, 200)
        assert.deepStrictEqual(yield* verdicts, ["failed", "failed", "delivered"])
      }),
      { writeKeys: [Redacted.make(key)] }
    )
  )

  it.live("answers 200 to bad events, as the real API does, and records which it would drop, where and why", () =>
    run(
      Effect.gen(function* () {
        const { status } = yield* batch(
          order,
          { type: "track", event: "No user" },
          { type: "track", userId: "u1" },
          { type: "track", userId: " ", event: "Blank user" },
          { type: "purchase", userId: "u1" },
          "a text",
          { ...order, properties: "none" },
          { type: "alias", userId: "u1" }
        )
        assert.strictEqual(status, 200)
        const problems = (yield* kept).map(({ problems }) => problems.map(({ path, rule }) => `${rule} ${path}`))
        assert.deepStrictEqual(problems, [
          [],
          ["call anonymousId"],
          ["call event"],
          ["call userId"],
          ["type type"],
          ["type "],
          ["call properties"],
          ["call previousId"]
        ])
        assert.deepStrictEqual(yield* verdicts, ["delivered", ...Array.from({ length: 7 }, () => "rejected" as const)])
      })
    )
  )

  it.live("takes null in an optional field for absent, and numbers for ids, as SDKs send them", () =>
    run(
      Effect.gen(function* () {
        yield* batch({ ...order, userId: null, anonymousId: "a1" }, { ...order, userId: 42, context: null })
        assert.deepStrictEqual(yield* verdicts, ["delivered", "delivered"])
        assert.strictEqual((yield* last).user, "42")
      })
    )
  )

  it.live("recognises a messageId that was taken before, but not one whose request failed", () =>
    run(
      Effect.gen(function* () {
        const { respond } = yield* Collector.Collector
        const message = { ...order, messageId: "m1" }
        yield* respond(503)
        assert.strictEqual((yield* batch(message)).status, 503)
        assert.strictEqual((yield* batch(message)).status, 200)
        assert.strictEqual((yield* batch(message)).status, 200)
        assert.deepStrictEqual(yield* verdicts, ["failed", "delivered", "duplicate"])
        assert.deepStrictEqual(
          (yield* requests).map(({ attempt }) => attempt),
          [1, 2, 3]
        )
        assert.include((yield* last).problems[0]?.problem, "message 2")
      })
    )
  )

  it.live("holds to the limits: 32 KB a message, 500 KB and 2,500 messages a batch", () =>
    run(
      Effect.gen(function* () {
        const large = { ...order, properties: { note: "x".repeat(33_000) } }
        assert.strictEqual((yield* batch(order, large)).status, 400)
        assert.deepStrictEqual(yield* verdicts, ["failed", "rejected"])
        assert.strictEqual((yield* last).problems[0]?.rule, "message-bytes")
        assert.strictEqual((yield* last).problems[0]?.path, "properties.note")
        const heavy = { ...order, properties: { note: "x".repeat(30_000) } }
        assert.strictEqual((yield* batch(...Array.from({ length: 17 }, () => heavy))).status, 400)
        assert.strictEqual((yield* last).problems[0]?.rule, "batch-bytes")
        const small = { type: "page", userId: "u" }
        assert.strictEqual((yield* batch(...Array.from({ length: 2_501 }, () => small))).status, 200)
        assert.strictEqual((yield* last).problems[0]?.rule, "batch-size")
        assert.strictEqual((yield* batch(...Array.from({ length: 2_500 }, () => small))).status, 200)
        assert.strictEqual((yield* last).verdict, "delivered")
      })
    )
  )

  it.live("answers 404 to a path that the API does not have, and records that somebody tried", () =>
    run(
      Effect.gen(function* () {
        assert.strictEqual((yield* post("/v2/batch?writeKey=secret", { batch: [order] })).status, 404)
        const [request] = yield* requests
        assert.strictEqual(request?.path, "/v2/batch")
        assert.include(request?.problem, "/v1/batch")
        assert.deepStrictEqual(yield* kept, [])
      })
    )
  )

  it.live(
    "refuses bodies that cannot be read, before they cost memory: too large, a gzip bomb, too deep, no JSON",
    () =>
      run(
        Effect.gen(function* () {
          const zipped = { authorization: basic, "content-encoding": "gzip" }
          assert.strictEqual((yield* post("/v1/batch", " ".repeat(1_000_001))).status, 413)
          const bomb = gzipSync(Buffer.alloc(100_000_000, 32))
          assert.isBelow(bomb.length, 110_000)
          const before = process.memoryUsage().arrayBuffers
          assert.strictEqual((yield* post("/v1/batch", bomb, zipped)).status, 413)
          assert.isBelow(process.memoryUsage().arrayBuffers - before, 20_000_000)
          // Small enough by itself, but far too much for what it was.
          assert.strictEqual((yield* post("/v1/batch", gzipSync(Buffer.alloc(3_000_000, 32)), zipped)).status, 413)
          assert.strictEqual((yield* post("/v1/batch", "no gzip", zipped)).status, 400)
          const twice = { ...zipped, "content-encoding": "gzip, gzip" }
          assert.strictEqual((yield* post("/v1/batch", gzipSync(gzipSync("{}")), twice)).status, 415)
          assert.strictEqual((yield* post("/v1/batch", "[".repeat(400_000))).status, 400)
          assert.strictEqual((yield* post("/v1/batch", `{"batch":[`)).status, 400)
          assert.strictEqual((yield* post("/v1/batch", Buffer.from([0xff, 0xfe]))).status, 400)
          assert.strictEqual((yield* post("/v1/batch", { batch: [] })).status, 400)
          assert.deepStrictEqual(yield* kept, [])
          assert.isTrue((yield* requests).every(({ problem }) => problem !== undefined))
          assert.strictEqual((yield* post("/v1/track", order)).status, 200)
        })
      )
  )
})

describe("faults on request", () => {
  it.live("answers from the script, then as before: statuses, headers, delays, resets", () =>
    run(
      Effect.gen(function* () {
        const { respond } = yield* Collector.Collector
        yield* respond(503, { status: 429, headers: { "retry-after": "7" } }, "reset before", "reset after", {
          status: 200,
          delay: "30 millis"
        })
        const message = { ...order, messageId: "m1" }
        assert.strictEqual((yield* batch(message)).status, 503)
        const limited = yield* batch(message)
        assert.strictEqual(limited.status, 429)
        assert.strictEqual(limited.headers.get("retry-after"), "7")
        assert.strictEqual((yield* batch(message)).status, 0)
        assert.strictEqual((yield* batch(message)).status, 0)
        const startedAt = performance.now()
        assert.strictEqual((yield* batch(message)).status, 200)
        assert.isAtLeast(performance.now() - startedAt, 29)
        // The message of the lost answer was taken: what comes after it is a duplicate.
        assert.deepStrictEqual(yield* verdicts, ["failed", "failed", "delivered", "duplicate"])
        const attempts = (yield* requests).map(({ fault, retryAfter, status }) => fault ?? retryAfter ?? status)
        assert.deepStrictEqual(attempts, [503, 7_000, "reset before", "reset after", 200])
      })
    )
  )

  it.live("can take a batch and lose the answer, or stay silent", () =>
    run(
      Effect.gen(function* () {
        const { respond, url } = yield* Collector.Collector
        yield* respond({ status: 503, taken: true }, "silence")
        const message = { ...order, messageId: "m1" }
        assert.strictEqual((yield* batch(message)).status, 503)
        assert.strictEqual((yield* last).verdict, "delivered")
        const timeout = yield* Effect.promise((signal) =>
          fetch(`${url}/v1/track`, {
            method: "POST",
            headers: { authorization: basic },
            body: JSON.stringify(message),
            signal: AbortSignal.any([signal, AbortSignal.timeout(200)])
          }).then(
            () => "answered",
            (error: Error) => error.name
          )
        )
        assert.strictEqual(timeout, "TimeoutError")
      })
    )
  )

  it.effect("a client retries against it without a port, under the test's clock", () =>
    Effect.gen(function* () {
      const { messages, requests, respond } = yield* Collector.Collector
      const analytics = yield* Analytics.Analytics
      yield* respond({ status: 429, headers: { "retry-after": "5" } }, "reset after")
      yield* analytics.track({ userId: "u1", event: "Signed Up", messageId: "m1" })
      const flush = yield* Effect.forkChild(analytics.flush)
      while ((yield* requests).length < 3) yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(flush)
      assert.deepStrictEqual(
        (yield* requests).map(({ attempt, status }) => [attempt, status]),
        [
          [1, 429],
          [2, 0],
          [3, 200]
        ]
      )
      assert.deepStrictEqual(
        (yield* messages).map(({ verdict }) => verdict),
        ["failed", "delivered", "duplicate"]
      )
      assert.strictEqual((yield* analytics.stats).delivered, 1)
    }).pipe(
      Effect.provide(
        Analytics.layer({ writeKey: Redacted.make("test-write-key") }).pipe(Layer.provideMerge(Collector.layerTest()))
      )
    )
  )

  it.effect("the test layer judges like the server", () =>
    Effect.gen(function* () {
      const client = yield* HttpClient.HttpClient
      const { messages } = yield* Collector.Collector
      const request = HttpClientRequest.post("http://anywhere.test/v1/track").pipe(
        HttpClientRequest.bodyJsonUnsafe({ userId: "u1" }),
        HttpClientRequest.basicAuth(key, "")
      )
      assert.strictEqual((yield* client.execute(request)).status, 200)
      assert.strictEqual((yield* client.get("http://anywhere.test/nothing")).status, 404)
      assert.deepStrictEqual(
        (yield* messages).map(({ verdict }) => verdict),
        ["rejected"]
      )
    }).pipe(Effect.provide(Collector.layerTest()))
  )
})

describe("what is kept", () => {
  it.live("is bounded by count: the oldest messages leave, the totals stay", () =>
    run(
      Effect.gen(function* () {
        for (let n = 0; n < 30; n++) yield* batch({ ...order, messageId: `m${n}` })
        const messages = yield* kept
        assert.deepStrictEqual(
          messages.map(({ messageId }) => messageId),
          ["m25", "m26", "m27", "m28", "m29"]
        )
        assert.strictEqual((yield* Collector.Collector.use(({ totals }) => totals)).messages, 30)
        // What left the memory is still recognised.
        yield* batch({ ...order, messageId: "m0" })
        assert.strictEqual((yield* last).verdict, "duplicate")
      }),
      { maxMessages: 5 }
    )
  )

  it.live("is bounded by bytes", () =>
    run(
      Effect.gen(function* () {
        for (let n = 0; n < 30; n++) yield* batch({ ...order, properties: { note: "x".repeat(10_000) } })
        const bytes = (yield* kept).reduce((sum, { size }) => sum + size, 0)
        assert.isAbove(bytes, 20_000)
        assert.isAtMost(bytes, 50_000)
      }),
      { maxBytes: 50_000 }
    )
  )

  it.live("streams what arrives, and goes on after everything was cleared", () =>
    run(
      Effect.gen(function* () {
        const { clear, messages, stream } = yield* Collector.Collector
        yield* batch({ ...order, messageId: "before" })
        const reader = yield* stream.pipe(
          Stream.take(2),
          Stream.runCollect,
          Effect.forkChild({ startImmediately: true })
        )
        yield* batch({ ...order, messageId: "m1" })
        yield* clear
        assert.deepStrictEqual(yield* messages, [])
        yield* batch({ ...order, messageId: "m2" })
        const seen = yield* Fiber.join(reader)
        assert.deepStrictEqual(
          seen.map(({ messageId }) => messageId),
          ["m1", "m2"]
        )
      })
    )
  )
})

describe("a tracking plan", () => {
  const plan = TrackingPlan.make({
    name: "shop",
    events: {
      "Order Completed": Schema.Struct({ total: Schema.Finite, items: Schema.optional(Schema.Array(Schema.String)) }),
      "Signed Up": Schema.Struct({ plan: Schema.Literals(["free", "pro"]) })
    }
  })
  const coverage = Collector.Collector.use(({ coverage }) => coverage)

  it("has the path of a field as the errors and the flags of the client have it", () => {
    const path = ["properties", "items", 0, "unit price"]
    const text = `properties.items[0]["unit price"]`
    const broken = { call: "track", path, problem: "is wrong" }
    assert.include(new InvalidCall(broken).message, `track: ${text} is wrong`)
    assert.deepStrictEqual(problemsOf("track", {}, new InvalidCall(broken))[0], { path: text, problem: "is wrong" })
    const violation = new PlanViolation({ call: "track", violation: "type", path, expected: "Expected number" })
    assert.include(violation.message, ` at ${text}: Expected number`)
    assert.strictEqual(formatPath(["properties", "scores", "*"]), "properties.scores.*")
  })

  it.live("finds violations with their path, and shows what was seen of the plan", () =>
    run(
      Effect.gen(function* () {
        yield* batch(
          order,
          { ...order, properties: { total: "39.95" } },
          { ...order, properties: { total: 1, items: ["tea", 3] } },
          { ...order, event: "Cart Viewed" }
        )
        assert.deepStrictEqual(yield* verdicts, ["delivered", "violation", "violation", "delivered"])
        const paths = (yield* kept).map(({ problems }) => problems.map(({ path, rule }) => `${rule} ${path}`))
        assert.deepStrictEqual(paths, [
          [],
          ["plan properties.total"],
          ["plan properties.items[1]"],
          ["unplanned event"]
        ])
        assert.deepStrictEqual(yield* coverage, {
          name: "shop",
          planned: [
            { type: "track", name: "Order Completed", seen: 3, violations: 2 },
            { type: "track", name: "Signed Up", seen: 0, violations: 0 }
          ],
          unplanned: [{ type: "track", name: "Cart Viewed", seen: 1, violations: 0 }]
        })
      }),
      { plan }
    )
  )

  it.live("judges what is there already when it is loaded later, and lets go of it again", () =>
    run(
      Effect.gen(function* () {
        const { loadPlan, totals } = yield* Collector.Collector
        yield* batch({ ...order, properties: {} }, { type: "track", userId: "u1" })
        assert.deepStrictEqual(yield* verdicts, ["delivered", "rejected"])
        yield* loadPlan(PlanJson.fromJson(PlanJson.toJson(plan)))
        assert.deepStrictEqual(yield* verdicts, ["violation", "rejected"])
        assert.strictEqual((yield* totals).verdicts.violation, 1)
        yield* loadPlan(undefined)
        assert.deepStrictEqual(yield* verdicts, ["delivered", "rejected"])
        assert.isUndefined(yield* coverage)
      })
    )
  )
})

describe("any SDK of the ecosystem", () => {
  it.live("@segment/analytics-node delivers, and nothing of it would be rejected", () =>
    run(
      Effect.gen(function* () {
        const { url } = yield* Collector.Collector
        yield* Effect.promise(async () => {
          const analytics = new SegmentAnalytics({ writeKey: key, host: url, flushAt: 3 })
          analytics.identify({ userId: "u1", traits: { plan: "free" } })
          analytics.track({ userId: "u1", event: "Signed Up", timestamp: new Date() })
          analytics.page({ anonymousId: "a1", name: "Home" })
          analytics.group({ userId: "u1", groupId: "g1" })
          analytics.alias({ userId: "u1", previousId: "a1" })
          await analytics.closeAndFlush()
        })
        assert.deepStrictEqual((yield* kept).map(({ type }) => type).toSorted(), [
          "alias",
          "group",
          "identify",
          "page",
          "track"
        ])
        assert.isTrue((yield* kept).every(({ verdict }) => verdict === "delivered"))
        assert.include((yield* last).library, "@segment/analytics-node")
        assert.strictEqual((yield* last).source, "…ctor")
        assert.isBelow(Math.abs((yield* last).latency ?? Number.NaN), 60_000)
      })
    )
  )

  it.live("@rudderstack/rudder-sdk-node delivers, and nothing of it would be rejected", () =>
    run(
      Effect.gen(function* () {
        const { url } = yield* Collector.Collector
        yield* Effect.promise(async () => {
          const client = new RudderAnalytics(key, { dataPlaneUrl: url, flushAt: 2, logLevel: "off" })
          client.identify({ userId: "u1", traits: { plan: "free" } })
          client.track({ userId: "u1", event: "Signed Up" })
          client.screen({ userId: "u1", name: "Orders" })
          await client.flush()
        })
        yield* Effect.repeat(kept, { until: (messages) => messages.length >= 3 })
        assert.deepStrictEqual(yield* verdicts, ["delivered", "delivered", "delivered"])
        assert.include((yield* last).library, "analytics-node 3")
        assert.isTrue((yield* requests).some(({ headers }) => headers["content-encoding"] === "gzip"))
      })
    )
  )

  it.live("curl delivers", () =>
    run(
      Effect.gen(function* () {
        const { url } = yield* Collector.Collector
        const body = JSON.stringify({ userId: "u1", event: "Signed Up" })
        const printed = yield* Effect.promise(async () => {
          const curl = promisify(execFile)("curl", ["-sS", "-m", "10", `${url}/v1/track`, "-u", `${key}:`, "-d", body])
          return (await curl).stdout
        })
        assert.strictEqual(printed, `{"success":true}`)
        assert.strictEqual((yield* last).verdict, "delivered")
      })
    )
  )
})

describe("strangers", () => {
  /** A request whose headers are as given, `Host` included. */
  const raw = (headers: Record<string, string>, method = "POST", path = "/v1/track") =>
    Effect.flatMap(Collector.Collector, ({ url }) =>
      Effect.promise(
        () =>
          new Promise<{ readonly status: number; readonly headers: Record<string, unknown> }>((resolve, reject) => {
            const request = httpRequest(new URL(path, url), { method, headers, agent: false }, (response) => {
              response.resume()
              response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers }))
            })
            request.on("error", reject)
            request.end(method === "POST" ? JSON.stringify({ ...order, writeKey: key }) : undefined)
          })
      )
    )

  it.live("a host that is not on the list gets nothing, however it is written", () =>
    run(
      Effect.gen(function* () {
        const { url } = yield* Collector.Collector
        const { port } = new URL(url)
        for (const host of [
          "evil.example",
          `evil.example:${port}`,
          "127.0.0.1",
          "127.0.0.1:1",
          `127.0.0.1.evil.example:${port}`,
          `0x7f.1:${port}`,
          `2130706433:${port}`,
          `LOCALHOST.evil:${port}`
        ]) {
          assert.strictEqual((yield* raw({ host })).status, 421, host)
        }
        for (const host of [`localhost:${port}`, `127.0.0.1:${port}`, `[::1]:${port}`, "host.docker.internal:8686"]) {
          assert.strictEqual((yield* raw({ host })).status, 200, host)
        }
        assert.strictEqual((yield* kept).length, 4)
      }),
      { allowedHosts: ["host.docker.internal:8686"] }
    )
  )

  it.live("a page of another origin may not send, unless its origin is on the list", () =>
    run(
      Effect.gen(function* () {
        for (const headers of [
          { origin: "https://evil.example" },
          { origin: "null" },
          { "sec-fetch-site": "cross-site" },
          { origin: "http://localhost:3001", "sec-fetch-site": "same-site" }
        ]) {
          const answer = yield* raw(headers)
          assert.strictEqual(answer.status, 403)
          assert.isUndefined(answer.headers["access-control-allow-origin"])
        }
        const allowed = { origin: "http://localhost:3000", "sec-fetch-site": "same-site" }
        const answer = yield* raw(allowed)
        assert.strictEqual(answer.status, 200)
        assert.strictEqual(answer.headers["access-control-allow-origin"], "http://localhost:3000")
        assert.isUndefined(answer.headers["access-control-allow-credentials"])
        assert.strictEqual((yield* raw(allowed, "OPTIONS")).status, 204)
        assert.strictEqual((yield* raw({ origin: "https://evil.example" }, "OPTIONS")).status, 403)
        assert.strictEqual((yield* kept).length, 1)
      }),
      { allowedOrigins: ["http://localhost:3000"] }
    )
  )

  it.live("listens on loopback only", () =>
    run(
      Effect.gen(function* () {
        const { url } = yield* Collector.Collector
        assert.strictEqual(new URL(url).hostname, "127.0.0.1")
        const reached = yield* Effect.promise(
          () =>
            new Promise<boolean>((resolve) => {
              const socket = connect({ host: "127.0.0.2", port: Number(new URL(url).port) }, () => resolve(true))
              socket.on("error", () => resolve(false))
              socket.on("connect", () => socket.destroy())
            })
        )
        assert.isFalse(reached)
      })
    )
  )

  const refused = (options: Collector.Options, environment: Record<string, string> = {}) =>
    Effect.scoped(Layer.build(Collector.layer(options))).pipe(
      Settings.catchInvalid((error) => error),
      Effect.flip,
      Effect.provide(ConfigProvider.layer(ConfigProvider.fromUnknown(environment))),
      Effect.map((error) => (error._tag === "InvalidSetting" ? error.setting : error._tag))
    )

  it.live("is not started for all the world, or in production, unless asked", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* refused({ host: "0.0.0.0" }), "host")
      assert.strictEqual(yield* refused({ host: "::" }), "host")
      assert.strictEqual(yield* refused({ host: "0x7f.1" }), "host")
      assert.strictEqual(yield* refused({ host: "0.0.0.0", token: Redacted.make("short") }), "token")
      assert.strictEqual(yield* refused({ port: 70_000 }), "port")
      assert.strictEqual(yield* refused({ maxMessages: 0 }), "maxMessages")
      assert.strictEqual(yield* refused({}, { NODE_ENV: "production" }), "allowProduction")
      const production = ConfigProvider.layer(ConfigProvider.fromUnknown({ NODE_ENV: "production" }))
      yield* Effect.scoped(Layer.build(Layer.provide(Collector.layer({ allowProduction: true }), production)))
      const everywhere = { host: "0.0.0.0", token: Redacted.make("a-token-of-twenty-chars") }
      yield* Effect.scoped(Layer.build(Collector.layer(everywhere)))
    })
  )

  it.live("a port that is taken is an error that says so", () =>
    run(
      Effect.gen(function* () {
        const { url } = yield* Collector.Collector
        assert.strictEqual(yield* refused({ port: Number(new URL(url).port) }), "ServeError")
      })
    )
  )
})
