import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/testing/TestClock"
import * as Analytics from "../src/Analytics.ts"
import * as Compat from "../src/compat.ts"
import * as OAuth from "../src/OAuth.ts"
import * as Observer from "../src/Observer.ts"
import type { Outcome } from "../src/Outcome.ts"
import { AuthServer, clientId, clientKey, keyId } from "./authServer.ts"
import { same } from "./compat/both.ts"
import { invalidSettingOf } from "./errors.ts"
import { lossesOf } from "./support.ts"

/** A client over real HTTP under a false clock, which the server shares unless it is told otherwise. */
const scenario = <A>(
  program: (server: AuthServer, outcomes: ReadonlyArray<Outcome>) => Effect.Effect<A, never, Analytics.Analytics>,
  options: Partial<OAuth.Options & Analytics.Options> = {},
  maxRetries = 0
) =>
  Effect.gen(function* () {
    const server = yield* Effect.acquireRelease(
      Effect.promise(() => new AuthServer().start()),
      (server) => Effect.promise(async () => server[Symbol.asyncDispose]())
    )
    const clock = yield* TestClock.testClockWith(Effect.succeed)
    yield* TestClock.setTime(Date.parse("2026-01-02T03:04:05Z"))
    server.now = () => clock.currentTimeMillisUnsafe()
    const outcomes: Array<Outcome> = []
    const auth = OAuth.makeRetrying(
      { clientId, keyId, clientKey: Redacted.make(clientKey), authServer: server.url, ...options },
      maxRetries
    )
    const client = Analytics.layerFetch({
      writeKey: Redacted.make("test-write-key"),
      host: server.url,
      auth,
      // Virtual time runs while real answers are on their way: on a busy machine far ahead of them.
      requestTimeout: "10 minutes",
      ...options
    })
    const observer = Observer.layer((outcome) => Effect.sync(() => void outcomes.push(outcome)))
    return yield* program(server, outcomes).pipe(Effect.provide(Layer.provide(client, observer)))
  })

const send = Effect.andThen(Analytics.track({ userId: "u1", event: "e" }), Analytics.flush).pipe(Effect.orDie)

/** The same, while time passes for the retries. */
const sendWithRetries = Effect.gen(function* () {
  const sending = yield* Effect.forkChild(send)
  // Answers come in real time.
  while (sending.pollUnsafe() === undefined) {
    yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
    yield* TestClock.adjust("100 millis")
  }
})

describe("OAuth", () => {
  it.effect("sends a token that the server gave for a signed assertion, and asks for one once", () =>
    scenario((server) =>
      Effect.gen(function* () {
        yield* send
        yield* send
        assert.deepStrictEqual(server.refused, [])
        assert.deepStrictEqual(server.batches, [
          ["Bearer token-1", 200],
          ["Bearer token-1", 200]
        ])
        assert.strictEqual(server.claims.length, 1)
      })
    )
  )

  it.effect("asks for another token after half of its life, by an assertion with an id of its own", () =>
    scenario((server) =>
      Effect.gen(function* () {
        yield* send
        yield* TestClock.adjust("29 minutes")
        yield* send
        yield* TestClock.adjust("2 minutes")
        yield* send
        assert.deepStrictEqual(
          server.batches.map(([token]) => token),
          ["Bearer token-1", "Bearer token-1", "Bearer token-2"]
        )
        assert.deepStrictEqual(server.refused, [])
      })
    )
  )

  it.effect("keeps a token that is valid if it gets no other, and asks again after 10 seconds", () =>
    scenario((server) =>
      Effect.gen(function* () {
        yield* send
        yield* TestClock.adjust("31 minutes")
        server.answers.push({ status: 503 })
        yield* send
        yield* send
        yield* TestClock.adjust("10 seconds")
        yield* send
        assert.deepStrictEqual(
          server.batches.map(([token]) => token),
          ["Bearer token-1", "Bearer token-1", "Bearer token-1", "Bearer token-2"]
        )
      })
    )
  )

  it.effect("learns from Date that the clock of this machine is wrong, and tries again with the right time", () =>
    scenario((server, outcomes) =>
      Effect.gen(function* () {
        const { now } = server
        server.now = () => now() - 3_600_000
        yield* sendWithRetries
        assert.strictEqual(server.refused.length, 1)
        assert.match(server.refused[0] ?? "", /time/)
        assert.deepStrictEqual(server.batches, [["Bearer token-1", 200]])
        assert.deepStrictEqual(lossesOf(outcomes), [])
      })
    )
  )

  it.effect.each([401, 403, 511])("gets another token when the API answers %i, and delivers", (status) =>
    scenario((server, outcomes) =>
      Effect.gen(function* () {
        server.apiAnswers.push(status)
        yield* sendWithRetries
        assert.deepStrictEqual(server.batches, [
          ["Bearer token-1", status],
          ["Bearer token-2", 200]
        ])
        assert.deepStrictEqual(lossesOf(outcomes), [])
      })
    )
  )

  it.effect("gets another token after a 400, which rejects the batch all the same", () =>
    scenario((server, outcomes) =>
      Effect.gen(function* () {
        server.apiAnswers.push(400)
        yield* send
        yield* send
        assert.deepStrictEqual(server.batches, [
          ["Bearer token-1", 400],
          ["Bearer token-2", 200]
        ])
        assert.deepStrictEqual(lossesOf(outcomes), [["rejected", 1]])
      })
    )
  )

  it.effect.each([
    { status: 500 },
    { status: 404 },
    { status: 302, headers: { location: "/elsewhere" } },
    { status: 200, body: "no JSON" },
    { status: 200, body: `{"access_token":"t"}` },
    { status: 429, headers: { "retry-after": "3" } },
    { status: 429 }
  ])("tries again after an answer of the server that may pass: %o", (answer) =>
    scenario((server, outcomes) =>
      Effect.gen(function* () {
        server.answers.push(answer)
        yield* sendWithRetries
        assert.deepStrictEqual(server.batches, [["Bearer token-1", 200]])
        assert.deepStrictEqual(lossesOf(outcomes), [])
      })
    )
  )

  it.effect("waits as long as a 429 of the server asks for", () =>
    scenario((server) =>
      Effect.gen(function* () {
        const startedAt = server.now()
        server.answers.push({ status: 429, headers: { "retry-after": "30" } })
        yield* sendWithRetries
        assert.isAtLeast(server.now() - startedAt, 30_000)
        assert.strictEqual(server.batches.length, 1)
      })
    )
  )

  it.effect("asks again within one attempt, as often as maxRetries says", () =>
    scenario(
      (server, outcomes) =>
        Effect.gen(function* () {
          server.answers.push({ status: 500 }, { status: 503 })
          yield* sendWithRetries
          assert.deepStrictEqual(server.batches, [["Bearer token-1", 200]])
          yield* TestClock.adjust(server.expiresIn * 1_000)
          server.answers.push({ status: 500 }, { status: 500 }, { status: 500 })
          yield* sendWithRetries
          assert.deepStrictEqual(lossesOf(outcomes), [["retries-exhausted", 1]])
          assert.deepStrictEqual(server.answers, [])
        }),
      { maxRetries: 0 },
      2
    )
  )

  it.effect("tells the end of one request for a token to all batches that wait for it", () =>
    scenario(
      (server) =>
        Effect.gen(function* () {
          server.answers.push({ status: 500 }, { status: 500 })
          for (const n of [1, 2, 3, 4]) yield* Effect.orDie(Analytics.track({ userId: "u1", event: `e${n}` }))
          const { dropped } = yield* Analytics.flush
          assert.deepStrictEqual([dropped, server.answers.length], [4, 1])
        }),
      { batchSize: 1, maxInFlight: 4, maxRetries: 0 }
    )
  )

  it.effect.each([400, 401, 415])(
    "drops the batch at once when the server answers %i: no retry changes that",
    (status) =>
      scenario((server, outcomes) =>
        Effect.gen(function* () {
          server.answers.push({ status })
          yield* send
          assert.deepStrictEqual(server.batches, [])
          assert.deepStrictEqual(lossesOf(outcomes), [["misconfigured", 1]])
          const [dropped] = outcomes
          assert.include(dropped?._tag === "Dropped" ? dropped.error.message : "", "authorization server")
        })
      )
  )

  it.effect("drops the batch when the key cannot sign", () =>
    scenario(
      (server, outcomes) =>
        Effect.gen(function* () {
          yield* send
          assert.deepStrictEqual(server.batches, [])
          const [dropped] = outcomes
          assert.include(dropped?._tag === "Dropped" ? dropped.error.message : "", "clientKey is no RSA key")
        }),
      { clientKey: Redacted.make("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----") }
    )
  )

  it.effect("refuses settings that cannot work, without the key in the error", () =>
    Effect.gen(function* () {
      const pem = "-----BEGIN RSA PRIVATE KEY-----\nc2VjcmV0\n-----END RSA PRIVATE KEY-----"
      const wrong: ReadonlyArray<[string, Partial<OAuth.Options>]> = [
        ["clientId", { clientId: " " }],
        ["keyId", { keyId: "" }],
        ["scope", { scope: "" }],
        ["authServer", { authServer: "http://example.com" }],
        ["clientKey", { clientKey: Redacted.make(pem) }]
      ]
      for (const [setting, options] of wrong) {
        const auth = OAuth.make({ clientId, keyId, clientKey: Redacted.make(clientKey), ...options })
        const client = Analytics.layerFetch({ writeKey: Redacted.make("test-write-key"), auth })
        const error = yield* invalidSettingOf(Effect.scoped(Layer.build(client)))
        assert.strictEqual(error.setting, setting)
        assert.notInclude(error.message, "c2VjcmV0")
      }
    })
  )
})

describe("OAuth: oauthSettings of compat", () => {
  const settingsOf = ({ url }: AuthServer) => ({
    writeKey: "test-write-key",
    host: url,
    flushAt: 1,
    oauthSettings: { clientId, clientKey, keyId, authServer: url }
  })

  const track = (analytics: Compat.Analytics) =>
    new Promise<unknown>((resolve) => analytics.track({ userId: "u1", event: "e" }, (error) => resolve(error)))

  it("send a token; listeners see neither the request for it nor the token", async () => {
    await using server = await new AuthServer().start()
    const analytics = new Compat.Analytics(settingsOf(server))
    const seen: Array<string> = []
    analytics.on("http_request", (request) => seen.push(JSON.stringify(request)))
    assert.isUndefined(await track(analytics))
    await analytics.closeAndFlush()
    assert.deepStrictEqual(server.batches, [["Bearer token-1", 200]])
    assert.strictEqual(seen.length, 1)
    assert.notMatch(seen.join(), /token-1|test-write-key/)
  })

  it("take an HTTP client of their own", async () => {
    await using server = await new AuthServer().start()
    const urls: Array<string> = []
    const inner = new Compat.FetchHTTPClient()
    const httpClient: Compat.HTTPClient = {
      makeRequest: (request) => {
        urls.push(request.url)
        return inner.makeRequest(request)
      }
    }
    const settings = settingsOf(server)
    const analytics = new Compat.Analytics({ ...settings, oauthSettings: { ...settings.oauthSettings, httpClient } })
    assert.isUndefined(await track(analytics))
    await analytics.closeAndFlush()
    assert.deepStrictEqual(urls, [`${server.url}/token`])
    assert.deepStrictEqual(server.batches, [["Bearer token-1", 200]])
  })

  it.each([
    { failures: 2, delivered: true },
    { failures: 3, delivered: false }
  ])("maxRetries are the requests of one attempt, as there: of 3, $failures fail", async ({ delivered, failures }) => {
    const answer = await same(async ({ sdk }) => {
      await using server = await new AuthServer().start()
      for (let n = 1; n <= failures; n++) server.answers.push({ status: 500 })
      const settings = settingsOf(server)
      const analytics = new sdk.Analytics({
        ...settings,
        maxRetries: 0,
        oauthSettings: { ...settings.oauthSettings, maxRetries: 3 }
      })
      const error = await new Promise((resolve) => analytics.track({ userId: "u1", event: "e" }, resolve))
      await analytics.closeAndFlush()
      return [error === undefined, server.answers.length, server.batches]
    })
    assert.deepStrictEqual(answer, [delivered, 0, delivered ? [["Bearer token-1", 200]] : []])
  })
})
