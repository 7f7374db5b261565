import * as Zlib from "node:zlib"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it, vi } from "@effect/vitest"
import type * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/testing/TestClock"
import { library, Request } from "../src/Message.ts"
import * as Transport from "../src/Transport.ts"
import { invalidSettingOf } from "./errors.ts"
import { breathe, type message, messages, pass, peer } from "./support.ts"

const writeKey = Redacted.make("test-write-key")

/** Sends three messages as the attempt of this number. */
const send = (attempt = 0) =>
  Transport.Transport.use((transport) =>
    transport.send(messages(1, 3) as Arr.NonEmptyArray<ReturnType<typeof message>>, attempt)
  )

/** A transport over a wire that answers every request like this. */
const over = (
  answer: (
    request: HttpClientRequest.HttpClientRequest
  ) => Response | Effect.Effect<Response, HttpClientError.HttpClientError>,
  options: Partial<Transport.Options> = {}
) =>
  Transport.layer({ writeKey, ...options }).pipe(
    Layer.provide(
      Layer.succeed(
        HttpClient.HttpClient,
        HttpClient.make((request) => {
          const given = answer(request)
          return Effect.map(given instanceof Response ? Effect.succeed(given) : given, (response) =>
            HttpClientResponse.fromWeb(request, response)
          )
        })
      )
    )
  )

/** An answer of any status; `Response` itself knows none below 200. */
const response = (status: number, headers: Record<string, string> = {}, body: string | null = null) => {
  const made = new Response(status === 204 ? null : body, { status: Math.max(200, status), headers })
  return Object.defineProperty(made, "status", { value: status })
}

const bytesOf = ({ body }: HttpClientRequest.HttpClientRequest): Uint8Array =>
  body._tag === "Uint8Array" ? body.body : new Uint8Array()

const asked = (options: Partial<Transport.Options>, attempt = 0) =>
  Effect.gen(function* () {
    const requests: Array<HttpClientRequest.HttpClientRequest> = []
    const layer = over((request) => {
      requests.push(request)
      return response(200)
    }, options)
    yield* Effect.provide(send(attempt), layer)
    const [request] = requests
    assert(request !== undefined)
    return request
  })

describe("Transport: the request", () => {
  it.effect("is a POST of JSON with the key as Basic auth and the library as user agent", () =>
    Effect.gen(function* () {
      const { headers, method, url } = yield* asked({})
      assert.strictEqual(method, "POST")
      assert.strictEqual(url, "https://api.segment.io/v1/batch")
      assert.strictEqual(headers["content-type"], "application/json")
      assert.strictEqual(headers.authorization, `Basic ${btoa("test-write-key:")}`)
      assert.strictEqual(headers["user-agent"], `effect-analytics/${library.version}`)
      assert.isUndefined(headers["x-retry-count"])
      assert.isUndefined(headers["content-encoding"])
    })
  )

  it.effect.each([
    [{ region: "us" }, "https://api.segment.io/v1/batch"],
    [{ region: "eu" }, "https://events.eu1.segmentapis.com/v1/batch"],
    [{ host: "https://cdp.example" }, "https://cdp.example/v1/batch"],
    [{ host: "https://cdp.example/" }, "https://cdp.example/v1/batch"],
    [{ host: "https://cdp.example/segment/api/" }, "https://cdp.example/segment/api/v1/batch"],
    [{ host: "https://cdp.example/segment", path: "/import" }, "https://cdp.example/segment/import"],
    [{ path: "/v1/import" }, "https://api.segment.io/v1/import"],
    [{ host: "http://127.0.0.1:8080" }, "http://127.0.0.1:8080/v1/batch"],
    [{ host: "http://cdp.internal", allowInsecureHost: true }, "http://cdp.internal/v1/batch"]
  ] as const)("with %j goes to %s", ([options, url]) =>
    Effect.gen(function* () {
      assert.strictEqual((yield* asked(options)).url, url)
    })
  )

  it.effect.each([1, 2, 17])("says in X-Retry-Count that %i attempts were made before", (attempt) =>
    Effect.gen(function* () {
      assert.strictEqual((yield* asked({}, attempt)).headers["x-retry-count"], String(attempt))
    })
  )

  it.effect("has the messages byte for byte as they were encoded, the key, and the time at which it leaves", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(Date.UTC(2026, 0, 2, 3, 4, 5, 678))
      const text = new TextDecoder().decode(bytesOf(yield* asked({})))
      const batch = messages(1, 3).map(({ json }) => json)
      assert.strictEqual(
        text,
        `{"batch":[${batch.join(",")}],"writeKey":"test-write-key","sentAt":"2026-01-02T03:04:05.678Z"}`
      )
      assert.isTrue(Schema.is(Schema.fromJsonString(Request).from)(text))
    })
  )

  it.effect("is stamped anew on every attempt", () =>
    Effect.gen(function* () {
      const sentAt = (request: HttpClientRequest.HttpClientRequest) =>
        JSON.parse(new TextDecoder().decode(bytesOf(request))).sentAt
      yield* TestClock.setTime(1_000)
      assert.strictEqual(sentAt(yield* asked({})), "1970-01-01T00:00:01.000Z")
      yield* TestClock.adjust(500)
      assert.strictEqual(sentAt(yield* asked({}, 1)), "1970-01-01T00:00:01.500Z")
    })
  )

  it.effect("H17 says how many bytes it has besides the messages", () =>
    Effect.gen(function* () {
      const transport = yield* Transport.Transport
      for (const key of ["k", `"\\`.repeat(20)]) {
        const options = { writeKey: Redacted.make(key) }
        const own = yield* Effect.provide(
          Transport.Transport,
          over(() => response(200), options)
        )
        const bytes = bytesOf(yield* asked(options)).byteLength
        const inside = messages(1, 3).reduce((sum, one) => sum + one.bytes + 1, -1)
        assert.strictEqual(own.envelopeBytes, bytes - inside)
      }
      assert.isAbove(transport.envelopeBytes, 0)
    }).pipe(Effect.provide(over(() => response(200))))
  )

  it.effect("with gzip is compressed, and says so", () =>
    Effect.gen(function* () {
      const plain = yield* asked({})
      const zipped = yield* asked({ gzip: true })
      assert.strictEqual(zipped.headers["content-encoding"], "gzip")
      assert.strictEqual(zipped.headers["content-type"], "application/json")
      assert.deepStrictEqual(Zlib.gunzipSync(bytesOf(zipped)).toString(), Buffer.from(bytesOf(plain)).toString())
      assert.isBelow(bytesOf(zipped).byteLength, bytesOf(plain).byteLength)
    })
  )

  it.effect("the stub sends nothing, and calls it delivered", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* send(), Transport.SendResult.Delivered({ status: 200 }))
    }).pipe(Effect.provide(Transport.layerStub))
  )
})

// One row for each status of wire.md: what it is, and what it is with `Retry-After: 7`.
const table: ReadonlyArray<
  readonly [status: number, plain: Transport.SendResult["_tag"], limited: Transport.SendResult["_tag"]]
> = [
  ...[200, 201, 202, 204, 299].map((status) => [status, "Delivered", "Delivered"] as const),
  ...[100, 103, 199, 408, 410, 425, 429, 460].map((status) => [status, "Transient", "Limited"] as const),
  ...[500, 502, 503, 504, 506, 507, 508, 520, 529, 599].map((status) => [status, "Transient", "Limited"] as const),
  ...[400, 413, 422].map((status) => [status, "Rejected", "Rejected"] as const),
  // 0 is what a browser makes of a redirect that is not followed.
  ...[0, 300, 301, 302, 303, 304, 307, 308].map((status) => [status, "Misconfigured", "Misconfigured"] as const),
  ...[401, 402, 403, 404, 405, 406, 409, 411, 414, 415, 418, 421, 431, 451, 499].map(
    (status) => [status, "Misconfigured", "Misconfigured"] as const
  ),
  ...[501, 505, 511].map((status) => [status, "Misconfigured", "Misconfigured"] as const)
]

describe("Transport: the answer", () => {
  it.effect.each(table)("H14 %i is %s, and with Retry-After %s", ([status, plain, limited]) =>
    Effect.gen(function* () {
      const without = yield* Effect.provide(
        send(),
        over(() => response(status))
      )
      const asking = yield* Effect.provide(
        send(),
        over(() => response(status, { "retry-after": "7" }))
      )
      assert.deepStrictEqual([without._tag, without.status], [plain, status])
      assert.deepStrictEqual([asking._tag, asking.status], [limited, status])
      if (asking._tag === "Limited") assert.strictEqual(asking.delay, 7_000)
    })
  )

  const json = { "content-type": "application/json" }
  const html = { "content-type": "text/html; charset=utf-8" }

  it.effect.each([
    ["H11 an HTML page by its type", html, "Welcome to the airport", "Transient"],
    ["H11 an HTML page by its type, empty", html, "", "Transient"],
    ["H11 an HTML page by its text", { "content-type": "text/plain" }, "\n <!DOCTYPE html><p>Log in", "Transient"],
    ["H11 an HTML page without a type", {}, "<html><body>Log in</body></html>", "Transient"],
    ["H11 an XHTML page", { "content-type": "application/xhtml+xml" }, "<p/>", "Transient"],
    ["H11 an HTML page in capitals", { "content-type": "TEXT/HTML" }, "", "Transient"],
    ["H11 an HTML page whose text is in capitals", {}, "\n\n<HTML>", "Transient"],
    ["an HTML page in a parameter of its type", { "content-type": "application/json; of=text/html" }, "", "Delivered"],
    ["success: false in a longer word", json, `{"successful":false}`, "Delivered"],
    ["H12 success: false", json, `{"success": false}`, "Rejected"],
    ["H12 success: false without a type", {}, ` { "error": "no", "success" : false } `, "Rejected"],
    ["success: true", json, `{"success":true}`, "Delivered"],
    ["success: false deeper inside", json, `{"data":{"success":false}}`, "Delivered"],
    ["a text that looks like JSON", json, `{"success":false`, "Delivered"],
    ["null", json, "null success", "Delivered"],
    ["plain text", { "content-type": "text/plain" }, "OK, <html> is not here", "Delivered"],
    ["nothing", {}, "", "Delivered"]
  ] as const)("200 with %s", ([, headers, body, expected]) =>
    Effect.gen(function* () {
      const answer = yield* Effect.provide(
        send(),
        over(() => response(200, headers, body))
      )
      assert.strictEqual(answer._tag, expected)
      assert.strictEqual(answer.status, 200)
      if (answer._tag === "Transient") assert.strictEqual(answer.detail, "an HTML page instead of an API's answer")
    })
  )

  it.effect("H12 success: false is seen though it comes in pieces", () =>
    Effect.gen(function* () {
      const pieces = ReadableStream.from(
        ["{", `"succ`, `ess":fal`, "se}"].map((text) => new TextEncoder().encode(text))
      )
      const answer = yield* Effect.provide(
        send(),
        over(() => new Response(pieces, { status: 200 }))
      )
      assert.deepStrictEqual(answer, Transport.SendResult.Rejected({ status: 200, detail: "success: false" }))
    })
  )

  it.effect("H5 of a body without end 64 KiB are read, without any wait", () =>
    Effect.gen(function* () {
      let pulled = 0
      const body = new ReadableStream({
        // It goes on for 1 MiB, and then stalls.
        pull: (controller) =>
          pulled++ < 1_024 ? controller.enqueue(new Uint8Array(1_024)) : new Promise<void>(() => {})
      })
      const answer = yield* Effect.provide(
        send(),
        over(() => new Response(body, { status: 200 }))
      )
      assert.deepStrictEqual(answer, Transport.SendResult.Delivered({ status: 200 }))
      assert.isAtLeast(pulled, 64)
      assert.isAtMost(pulled, 66)
    })
  )

  it.effect("H16 no answer in time is a timeout, and the request is let go", () =>
    Effect.gen(function* () {
      let ended = false
      const never = Effect.onInterrupt(Effect.never, () =>
        Effect.sync(() => {
          ended = true
        })
      )
      const fiber = yield* Effect.forkChild(
        Effect.provide(
          send(),
          over(() => never, { requestTimeout: "3 seconds" })
        )
      )
      yield* pass(2_999)
      assert.isUndefined(fiber.pollUnsafe())
      yield* pass(1)
      assert.deepStrictEqual(
        fiber.pollUnsafe(),
        yield* Effect.exit(Effect.succeed(Transport.SendResult.Transient({ detail: "timeout" })))
      )
      assert.isTrue(ended)
    })
  )

  it.effect("H5 the body of an answer gets what is left of the time, and no more", () =>
    Effect.gen(function* () {
      const stalled = () => new Response(new ReadableStream({}), { status: 200 })
      const slow = Effect.delay(Effect.sync(stalled), "2 seconds")
      const fiber = yield* Effect.forkChild(
        Effect.provide(
          send(),
          over(() => slow, { requestTimeout: "3 seconds" })
        )
      )
      yield* pass(2_999)
      assert.isUndefined(fiber.pollUnsafe())
      yield* pass(1)
      yield* breathe
      assert.strictEqual((yield* Effect.fromNullishOr(fiber.pollUnsafe()))._tag, "Success")
    })
  )

  it.effect.each([
    [401, {}, Transport.SendResult.Misconfigured({ status: 401 })],
    [429, { "retry-after": "7" }, Transport.SendResult.Limited({ status: 429, delay: 7_000 })],
    [503, {}, Transport.SendResult.Transient({ status: 503 })]
  ] as const)("of %i is the same if the client makes a failure of it", ([status, headers, expected]) =>
    Effect.gen(function* () {
      const client = HttpClient.make((request) =>
        Effect.succeed(HttpClientResponse.fromWeb(request, response(status, headers)))
      )
      const layer = Transport.layer({ writeKey }).pipe(
        Layer.provide(Layer.succeed(HttpClient.HttpClient, HttpClient.filterStatusOk(client)))
      )
      assert.deepStrictEqual(yield* Effect.provide(send(), layer), expected)
    })
  )

  /** An error in so many others. */
  const nested = (depth: number, cause: unknown): unknown =>
    depth === 0 ? cause : new Error("secret", { cause: nested(depth - 1, cause) })
  const cyclic: { cause?: unknown } = {}
  cyclic.cause = cyclic

  it.effect.each([
    ["its code", nested(1, { code: "CERT_HAS_EXPIRED" }), "CERT_HAS_EXPIRED"],
    ["a code four errors deep", nested(4, { code: "ECONNRESET" }), "ECONNRESET"],
    ["a code deeper than anybody nests", nested(5, { code: "ECONNRESET" }), "network"],
    ["no code", new TypeError("secret"), "network"],
    ["a code that is no text", nested(1, { code: 7 }), "network"],
    ["a code behind one that is no text", { code: 7, cause: { code: "ECONNRESET" } }, "ECONNRESET"],
    ["a text", "secret", "network"],
    ["null", nested(1, null), "network"],
    ["itself", cyclic, "network"]
  ] as ReadonlyArray<readonly [string, unknown, string]>)(
    "a failed connection is told by its code, not by its text: %s",
    ([, cause, detail]) =>
      Effect.gen(function* () {
        const failing = over(
          (request) =>
            new HttpClientError.HttpClientError({ reason: new HttpClientError.TransportError({ request, cause }) })
        )
        assert.deepStrictEqual(yield* Effect.provide(send(), failing), Transport.SendResult.Transient({ detail }))
      })
  )
})

describe("Transport.layerFetch", () => {
  it.effect.each([
    [undefined],
    [{}],
    [{ status: 200 }],
    [{ status: 200, headers: {} }],
    [{ status: "200", headers: new Headers() }]
  ])("a fetch that answers %j is no delivery: it is no Response", ([answer]) =>
    Effect.gen(function* () {
      const fetch = (async () => answer) as unknown as typeof globalThis.fetch
      const result = yield* Effect.provide(send(), Transport.layerFetch({ writeKey }, fetch))
      assert.deepStrictEqual(result, Transport.SendResult.Misconfigured({ detail: "fetch answered no Response" }))
    })
  )

  it.effect.each<[boolean, string]>([
    [false, "string"],
    [true, "object"]
  ] as const)("with gzip %s gives fetch a body that is a %s", ([gzip, type]) =>
    Effect.gen(function* () {
      const bodies: Array<unknown> = []
      const fetch: typeof globalThis.fetch = async (_, init) => {
        bodies.push(init?.body)
        return new Response()
      }
      yield* Effect.provide(send(), Transport.layerFetch({ writeKey, gzip }, fetch))
      assert.deepStrictEqual(
        bodies.map((body) => typeof body),
        [type]
      )
    })
  )

  it.effect("takes the global fetch as it is at each request", () =>
    Effect.gen(function* () {
      const asked: Array<string> = []
      const stub = (name: string) =>
        vi.stubGlobal("fetch", async () => {
          asked.push(name)
          return new Response()
        })
      stub("first")
      const transport = yield* Layer.build(Transport.layerFetch({ writeKey }))
      yield* Effect.provide(send(), transport)
      stub("second")
      yield* Effect.provide(send(), transport)
      assert.deepStrictEqual(asked, ["first", "second"])
    }).pipe(Effect.ensuring(Effect.sync(() => vi.unstubAllGlobals())))
  )

  it.effect("refuses a runtime without fetch, and a fetch that is no function", () =>
    Effect.gen(function* () {
      const refusal = (fetch?: typeof globalThis.fetch) =>
        Effect.map(
          invalidSettingOf(Effect.provide(send(), Transport.layerFetch({ writeKey }, fetch))),
          ({ setting }) => setting
        )
      assert.strictEqual(yield* refusal("fetch" as never), "fetch")
      vi.stubGlobal("fetch", undefined)
      assert.strictEqual(yield* refusal(), "fetch")
      const own: typeof globalThis.fetch = async () => new Response()
      const result = yield* Effect.provide(send(), Transport.layerFetch({ writeKey }, own))
      assert.deepStrictEqual(result, Transport.SendResult.Delivered({ status: 200 }))
    }).pipe(Effect.ensuring(Effect.sync(() => vi.unstubAllGlobals())))
  )
})

describe("Transport: a RequestInit of the program", () => {
  it.effect.each([
    ["none", undefined],
    ["keepalive", { keepalive: true }],
    ["what only another fetch knows", { keepalive: true, proxy: "http://proxy.example" }],
    ["another redirect, which is not taken", { redirect: "follow" }]
  ] as ReadonlyArray<readonly [string, RequestInit | undefined]>)(
    "reaches fetch, and redirects stay manual: %s",
    ([, init]) => {
      const inits: Array<RequestInit | undefined> = []
      const fetch: typeof globalThis.fetch = async (_url, given) => {
        inits.push(given)
        return new Response(null, { status: 200 })
      }
      const surroundings = Layer.merge(
        Layer.succeed(FetchHttpClient.Fetch, fetch),
        init === undefined ? Layer.empty : Layer.succeed(FetchHttpClient.RequestInit, init)
      )
      return Effect.gen(function* () {
        assert.strictEqual((yield* send())._tag, "Delivered")
        assert.strictEqual(inits.length, 1)
        assert.deepInclude(inits[0], { ...init, method: "POST", redirect: "manual" })
      }).pipe(
        Effect.provide(Transport.layer({ writeKey }).pipe(Layer.provide(FetchHttpClient.layer))),
        Effect.provide(surroundings)
      )
    }
  )
})

const http = (client: Layer.Layer<HttpClient.HttpClient>) => (options: Transport.Options) =>
  Transport.layer(options).pipe(Layer.provide(client))

const transports = [
  ["fetch", Transport.layerFetch],
  ["HttpClient over fetch", http(FetchHttpClient.layer)],
  ["HttpClient over node:http", http(NodeHttpClient.layerNodeHttp)],
  ["HttpClient over undici", http(NodeHttpClient.layerUndici)]
] as const

for (const [name, transport] of transports) {
  /** One attempt over a real connection. */
  const attempt = (host: string, options: Partial<Transport.Options> = {}) =>
    send().pipe(Effect.provide(transport({ writeKey, host, ...options })))

  describe(`Transport: over ${name} and a real socket`, () => {
    it.live("delivers what was encoded", () =>
      Effect.gen(function* () {
        const { host, received } = yield* peer()
        const answer = yield* attempt(`${host}/prefix`)
        assert.deepStrictEqual(answer, Transport.SendResult.Delivered({ status: 200 }))
        const [request] = received
        assert.deepStrictEqual([request?.method, request?.url], ["POST", "/prefix/v1/batch"])
        assert.strictEqual(request?.headers.authorization, `Basic ${btoa("test-write-key:")}`)
        assert.strictEqual(request?.headers["user-agent"], `effect-analytics/${library.version}`)
        assert.include(
          request?.body.toString(),
          messages(1, 3)
            .map(({ json }) => json)
            .join(",")
        )
      })
    )

    it.live("delivers it compressed", () =>
      Effect.gen(function* () {
        const { host, received } = yield* peer()
        assert.strictEqual((yield* attempt(host, { gzip: true }))._tag, "Delivered")
        const [request] = received
        assert.strictEqual(request?.headers["content-encoding"], "gzip")
        assert.strictEqual(JSON.parse(Zlib.gunzipSync(request?.body ?? "").toString()).batch.length, 3)
      })
    )

    it.live("sends no header that traces it", () =>
      Effect.gen(function* () {
        const { host, received } = yield* peer()
        yield* Effect.withSpan(attempt(host), "around")
        assert.isUndefined(received[0]?.headers.traceparent)
        assert.isUndefined(received[0]?.headers.b3)
      })
    )

    it.live.each([301, 302, 303, 307, 308])("H13 does not follow %i", (status) =>
      Effect.gen(function* () {
        const { host, received } = yield* peer((response, { url }) => {
          if (url === "/elsewhere") response.writeHead(200).end()
          else response.writeHead(status, { location: "/elsewhere" }).end()
        })
        assert.deepStrictEqual(yield* attempt(host), Transport.SendResult.Misconfigured({ status }))
        assert.deepStrictEqual(
          received.map(({ method, url }) => [method, url]),
          [["POST", "/v1/batch"]]
        )
      })
    )

    it.live("H14 takes 204 without a body", () =>
      Effect.gen(function* () {
        const { host } = yield* peer((response) => void response.writeHead(204).end())
        assert.deepStrictEqual(yield* attempt(host), Transport.SendResult.Delivered({ status: 204 }))
      })
    )

    it.live("H4 a body that breaks after a 2xx changes nothing: it is delivered", () =>
      Effect.gen(function* () {
        const { host } = yield* peer((response, _, socket) => {
          response.writeHead(200, { "content-type": "application/json", "content-length": "1000" })
          response.write(`{"success":`, () => socket.destroy())
        })
        assert.deepStrictEqual(yield* attempt(host), Transport.SendResult.Delivered({ status: 200 }))
      })
    )

    it.live("H5 a body that stalls after a 2xx is delivered when the time is over, and the connection let go", () =>
      Effect.gen(function* () {
        const { host, quiet } = yield* peer((response) => {
          response.writeHead(200, { "content-type": "application/json" })
          response.write(`{"success":`)
        })
        assert.deepStrictEqual(
          yield* attempt(host, { requestTimeout: 150 }),
          Transport.SendResult.Delivered({ status: 200 })
        )
        yield* Effect.promise(quiet)
      })
    )

    it.live("H5 a body without end is read up to 64 KB, and the connection let go", () =>
      Effect.gen(function* () {
        const { host, quiet } = yield* peer((response, _, socket) => {
          response.writeHead(200, { "content-type": "text/plain" })
          const more = () => {
            while (!socket.destroyed && response.write("x".repeat(8_192)));
            if (!socket.destroyed) response.once("drain", more)
          }
          more()
        })
        assert.deepStrictEqual(
          yield* attempt(host, { requestTimeout: "1 hour" }),
          Transport.SendResult.Delivered({ status: 200 })
        )
        yield* Effect.promise(quiet)
      })
    )

    it.live(
      "H5 a body that is small only as long as it is compressed is read up to 64 KB, and the connection let go",
      () =>
        Effect.gen(function* () {
          // Who reads it to its end is told of a refusal.
          const body = Zlib.gzipSync(`${" ".repeat(20_000_000)}{"success":false}`)
          assert.isBelow(body.byteLength, 64 * 1024)
          const { host, quiet } = yield* peer((response) => {
            const length = { "content-length": body.byteLength, connection: "close" }
            response.writeHead(200, { "content-type": "application/json", "content-encoding": "gzip", ...length })
            response.end(body)
          })
          assert.deepStrictEqual(yield* attempt(host), Transport.SendResult.Delivered({ status: 200 }))
          yield* Effect.promise(quiet)
        })
    )

    it.live("H5 an answer that claims to be endless is not waited for either", () =>
      Effect.gen(function* () {
        const { host, quiet } = yield* peer((response) => {
          response.writeHead(200, { "content-type": "text/plain", "content-length": "1000000000000" })
          response.write("x".repeat(100_000))
        })
        assert.strictEqual((yield* attempt(host, { requestTimeout: "1 hour" }))._tag, "Delivered")
        yield* Effect.promise(quiet)
      })
    )

    it.live("H5 no answer in time is a timeout, and the connection let go", () =>
      Effect.gen(function* () {
        const { host, quiet } = yield* peer(() => {})
        assert.deepStrictEqual(
          yield* attempt(host, { requestTimeout: 150 }),
          Transport.SendResult.Transient({ detail: "timeout" })
        )
        yield* Effect.promise(quiet)
      })
    )

    it.live("H4 a connection that breaks before an answer may go well the next time", () =>
      Effect.gen(function* () {
        const { host } = yield* peer((_, __, socket) => void socket.resetAndDestroy())
        const answer = yield* attempt(host)
        assert(answer._tag === "Transient")
        assert.isUndefined(answer.status)
        assert.include(["ECONNRESET", "UND_ERR_SOCKET", "network"], answer.detail)
      })
    )

    it.live("H6 a refused connection says ECONNREFUSED", () =>
      Effect.gen(function* () {
        const { host } = yield* Effect.scoped(peer())
        assert.deepStrictEqual(yield* attempt(host), Transport.SendResult.Transient({ detail: "ECONNREFUSED" }))
      })
    )

    it.live("H6 a name that nobody knows may be known the next time", () =>
      Effect.gen(function* () {
        const answer = yield* attempt("https://nobody.invalid")
        assert(answer._tag === "Transient")
        assert.include(["ENOTFOUND", "EAI_AGAIN"], answer.detail)
      })
    )

    it.live("H11 a captive portal is no delivery", () =>
      Effect.gen(function* () {
        const { host } = yield* peer(
          (response) => void response.writeHead(200, { "content-type": "text/html" }).end("<h1>Pay here</h1>")
        )
        assert.strictEqual((yield* attempt(host))._tag, "Transient")
      })
    )
  })
}
