import { inspect } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Analytics from "../src/Analytics.ts"
import { InvalidSetting } from "../src/AnalyticsError.ts"
import * as AnalyticsTest from "../src/AnalyticsTest.ts"
import { createAnalytics, type Settings } from "../src/plain.ts"
import { defaults, fromVariables, limits } from "../src/Settings.ts"

const nowhere = Layer.succeed(
  HttpClient.HttpClient,
  HttpClient.make((request) => Effect.succeed(HttpClientResponse.fromWeb(request, new Response("{}"))))
)

/** Settings as JavaScript gives them. */
type Given = Readonly<Record<string, unknown>>

/** Builds the layer with these options, and answers with what it fails with or dies of, if it does. */
const failureOf = <E>(layer: Layer.Layer<Analytics.Analytics, E>) =>
  Effect.match(Effect.sandbox(Effect.scoped(Layer.build(layer))), {
    onFailure: Cause.squash,
    onSuccess: () => undefined
  })

const options = ({ writeKey = "test-write-key", ...given }: Given) =>
  ({ ...given, writeKey: Redacted.make(writeKey) }) as unknown as Analytics.Options

/** Makes a plain client with these settings, and answers with what is thrown, if anything is. */
const thrownBy = async (given: Given) => {
  try {
    await createAnalytics({ writeKey: "test-write-key", ...given } as unknown as Settings).close()
    return undefined
  } catch (error) {
    return error
  }
}

const invalid: ReadonlyArray<readonly [setting: string, what: string, given: Given]> = [
  // What must be there, and can travel in a header.
  ["writeKey", "is blank", { writeKey: "" }],
  ["writeKey", "is all spaces", { writeKey: "   " }],
  ["writeKey", "is missing", { writeKey: null }],
  ["writeKey", "is a number", { writeKey: 12345 }],
  ["writeKey", "has a space", { writeKey: "s3cret key" }],
  ["writeKey", "has a line feed", { writeKey: "s3cret\n" }],
  ["writeKey", "has a carriage return and a header", { writeKey: "s3cret\r\nx-evil: 1" }],
  ["writeKey", "has a NUL", { writeKey: "s3cret\u0000" }],
  ["writeKey", "has a DEL", { writeKey: "s3cret\u007f" }],
  ["writeKey", "is not ASCII", { writeKey: "s3crét" }],

  // Where it goes.
  ["host", "is no URL", { host: "api.segment.io" }],
  ["host", "is blank", { host: "" }],
  ["host", "is a number", { host: 5 }],
  ["host", "has a user", { host: "https://s3cret@api.segment.io" }],
  ["host", "has a user and a password", { host: "https://user:s3cret@api.segment.io" }],
  ["host", "only looks like ours", { host: "https://api.segment.io@evil.example" }],
  ["host", "has a backslash", { host: "https://api.segment.io\\@evil.example" }],
  ["host", "has backslashes for slashes", { host: "https:\\\\api.segment.io" }],
  ["host", "is ftp", { host: "ftp://api.segment.io" }],
  ["host", "is a file", { host: "file:///etc/passwd" }],
  ["host", "is script", { host: "javascript:alert(1)" }],
  ["host", "is data", { host: "data:text/plain,x" }],
  ["host", "is a websocket", { host: "wss://api.segment.io" }],
  ["host", "is a blob", { host: "blob:https://api.segment.io/x" }],
  ["host", "is plain http", { host: "http://api.segment.io" }],
  ["host", "begins like loopback", { host: "http://127.0.0.1.evil.example" }],
  ["host", "begins like localhost", { host: "http://localhost.evil.example" }],
  ["host", "ends like localhost", { host: "http://evil-localhost" }],
  ["host", "is every address", { host: "http://0.0.0.0" }],
  ["host", "is http to a private network", { host: "http://10.0.0.1" }],
  ["host", "is http to an IPv6 address", { host: "http://[2001:db8::1]" }],
  ["host", "is http, and the opt-in is not true", { host: "http://10.0.0.1", allowInsecureHost: false }],
  ["host", "is ftp, which no opt-in allows", { host: "ftp://10.0.0.1", allowInsecureHost: true }],
  ["host", "has a query", { host: "https://api.segment.io/?key=s3cret" }],
  ["host", "has a fragment", { host: "https://api.segment.io/#s3cret" }],
  ["path", "does not begin with a slash", { path: "v1/batch" }],
  ["path", "is empty", { path: "" }],
  ["path", "has a query", { path: "/v1/batch?a=1" }],
  ["path", "has a fragment", { path: "/v1/batch#a" }],
  ["path", "has a backslash", { path: "/v1\\batch" }],
  ["path", "has a space", { path: "/v1 batch" }],
  ["path", "has a line feed", { path: "/v1\nbatch" }],
  ["path", "is not ASCII", { path: "/vé" }],
  ["path", "is a number", { path: 5 }],
  ["region", "is unknown", { region: "mars" }],
  ["region", "is of the prototype", { region: "toString" }],
  ["region", "stands beside a host", { region: "eu", host: "https://api.segment.io" }],
  ["allowInsecureHost", "is a word", { allowInsecureHost: "yes" }],

  // Numbers.
  ...(
    [
      ["batchSize", 0, limits.batchSize + 1],
      ["maxQueueSize", 0, Number.POSITIVE_INFINITY],
      ["maxQueueBytes", limits.messageBytes - 1, Number.POSITIVE_INFINITY],
      ["maxInFlight", 0, 1_001],
      ["maxRetries", -1, 1_001]
    ] as const
  ).flatMap(([setting, low, high]) =>
    [low, high, -5, 10.5, Number.NaN, "100", {}, true].map(
      (value) => [setting, `is ${inspect(value)}`, { [setting]: value }] as const
    )
  ),

  // Times.
  ...(["flushInterval", "requestTimeout", "closeTimeout"] as const).flatMap((setting) =>
    [-1, Number.NaN, Number.POSITIVE_INFINITY, "soon", "10", "10 bananas", "-5 seconds", Duration.infinity, true].map(
      (value) => [setting, `is ${inspect(value)}`, { [setting]: value }] as const
    )
  ),
  ["requestTimeout", "is no time at all", { requestTimeout: 0 }],

  // Words, switches, functions.
  ["overflow", "is unknown", { overflow: "throw" }],
  ["overflow", "is of the prototype", { overflow: "constructor" }],
  ["gzip", "is a word", { gzip: "yes" }],
  ["transform", "is no function", { transform: "redact" }]
]

const invalidPlain: typeof invalid = [
  ["fetch", "is no function", { fetch: "fetch" }],
  ["onError", "is no function", { onError: "warn" }],
  ["onOutcome", "is no function", { onOutcome: {} }],
  ["logger", "can't log", { logger: {} }],
  ["strict", "is a word", { strict: "yes" }],
  ["stub", "is a word", { stub: "yes" }]
]

const assertNames = (error: unknown, setting: string) => {
  assert.instanceOf(error, InvalidSetting)
  assert.strictEqual(error.setting, setting)
  assert.isNotEmpty(error.problem)
  assert.strictEqual(error.message, `effect-analytics: ${setting} ${error.problem}`)
  // Neither the key nor what a host carries.
  for (const shown of [error.message, String(error), error.stack, JSON.stringify(error), inspect(error)]) {
    assert.notInclude(shown, "s3cr")
  }
}

/** What the configuration says is a failure, with its path, and without its value. */
const assertConfigNames = (error: unknown, path: string) => {
  assert.instanceOf(error, Config.ConfigError)
  assert.include(error.message, path)
  for (const shown of [String(error), inspect(error)]) assert.notInclude(shown, "s3cr")
}

const fromEnvironment = (env: Record<string, string>) =>
  failureOf(
    Analytics.layerFromConfig().pipe(
      Layer.provide(nowhere),
      Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord(env)))
    )
  )

describe("Settings that cannot work", () => {
  it.effect.each(invalid)("fail the layer: %s %s", ([setting, , given]) =>
    Effect.gen(function* () {
      assertNames(yield* failureOf(Layer.provide(Analytics.layer(options(given)), nowhere)), setting)
    })
  )

  it.each([...invalid, ...invalidPlain])("throw when a plain client is made: %s %s", async (setting, _, given) => {
    assertNames(await thrownBy(given), setting)
  })

  it.effect("fail the other layers too: layerFetch, layerConfig, layerNoDeps, layerStub, AnalyticsTest.layer", () =>
    Effect.gen(function* () {
      const none = { batchSize: 0 }
      assertNames(yield* failureOf(Analytics.layerFetch(options(none))), "batchSize")
      assertNames(yield* failureOf(Analytics.layerStub(none)), "batchSize")
      assertNames(yield* failureOf(AnalyticsTest.layer(none)), "batchSize")
      const config = Analytics.layerConfig({
        writeKey: Config.succeed(Redacted.make("key")),
        batchSize: Config.succeed(0)
      })
      assertConfigNames(yield* failureOf(Layer.provide(config, nowhere)), "batchSize")
    })
  )

  it.effect("a writeKey that is not Redacted is none", () =>
    Effect.gen(function* () {
      const open = { writeKey: "s3cret" } as unknown as Analytics.Options
      assertNames(yield* failureOf(Layer.provide(Analytics.layer(open), nowhere)), "writeKey")
    })
  )

  it.effect("fail layerFromConfig, with the name of the variable", () =>
    Effect.gen(function* () {
      const key = { ANALYTICS_WRITE_KEY: "key" }
      assert.isUndefined(yield* fromEnvironment(key))
      assertConfigNames(yield* fromEnvironment({ ANALYTICS_WRITE_KEY: "s3cret key" }), "ANALYTICS_WRITE_KEY")
      for (const [variable, value] of [
        ["ANALYTICS_HOST", "http://api.segment.io"],
        ["ANALYTICS_PATH", "v1"],
        ["ANALYTICS_BATCH_SIZE", "2501"],
        ["ANALYTICS_MAX_IN_FLIGHT", "0"],
        ["ANALYTICS_MAX_QUEUE_SIZE", "0"],
        ["ANALYTICS_MAX_QUEUE_BYTES", "1"],
        ["ANALYTICS_MAX_RETRIES", "-1"],
        ["ANALYTICS_REQUEST_TIMEOUT", "0 seconds"]
      ] as const) {
        assertConfigNames(yield* fromEnvironment({ ...key, [variable]: value }), variable)
      }
    })
  )

  it.effect("what can't be read at all is a ConfigError", () =>
    Effect.gen(function* () {
      const key = { ANALYTICS_WRITE_KEY: "key" }
      for (const env of [
        {},
        { ...key, ANALYTICS_REGION: "mars" },
        { ...key, ANALYTICS_OVERFLOW: "throw" },
        { ...key, ANALYTICS_BATCH_SIZE: "many" },
        { ...key, ANALYTICS_FLUSH_INTERVAL: "soon" },
        { ...key, ANALYTICS_CLOSE_TIMEOUT: "later" },
        { ...key, ANALYTICS_GZIP: "perhaps" }
      ]) {
        assert.instanceOf(yield* fromEnvironment(env), Config.ConfigError)
      }
    })
  )
})

describe("Settings that work", () => {
  const valid: ReadonlyArray<readonly [what: string, given: Given]> = [
    ["the least", {}],
    ["the defaults themselves", { ...defaults }],
    ["undefined for all", Object.fromEntries(Object.keys(defaults).map((setting) => [setting, undefined]))],
    ["the smallest numbers", { batchSize: 1, maxQueueSize: 1, maxQueueBytes: 32_768, maxInFlight: 1, maxRetries: 0 }],
    ["the largest numbers", { batchSize: 2_500, maxInFlight: 1_000, maxRetries: 1_000 }],
    ["times as numbers", { flushInterval: 0, requestTimeout: 1, closeTimeout: 0 }],
    ["times as strings", { flushInterval: "10 seconds", requestTimeout: "1 millis", closeTimeout: "1 minute" }],
    ["times as durations", { flushInterval: Duration.seconds(1), closeTimeout: Duration.zero }],
    [
      "every printable character in a key",
      { writeKey: String.fromCharCode(...Array.from({ length: 94 }, (_, n) => 33 + n)) }
    ],
    ["drop-oldest", { overflow: "drop-oldest" }],
    ["switches", { gzip: true, allowInsecureHost: false }]
  ]

  it.effect.each(valid)("make a layer: %s", ([, given]) =>
    Effect.gen(function* () {
      assert.isUndefined(yield* failureOf(Layer.provide(Analytics.layer(options(given)), nowhere)))
    })
  )

  it.each(valid)("make a plain client: %s", async (_, given) => {
    assert.isUndefined(await thrownBy(given))
  })

  it.effect("no variable holds headers, in both faces", () =>
    Effect.gen(function* () {
      const environment = { ANALYTICS_WRITE_KEY: "key", ANALYTICS_HEADERS: "x-tenant: a" }
      assert.isUndefined(yield* fromEnvironment(environment))
      assert.deepStrictEqual(fromVariables(environment), {})
    })
  )

  it.effect("overflow wait is for those who can wait", () =>
    Effect.gen(function* () {
      const waiting = Analytics.layer(options({ overflow: "wait" }))
      assert.isUndefined(yield* failureOf(Layer.provide(waiting, nowhere)))
    })
  )

  const addresses: ReadonlyArray<readonly [Pick<Settings, "host" | "path" | "region" | "allowInsecureHost">, string]> =
    [
      [{}, "https://api.segment.io/v1/batch"],
      [{ region: "us" }, "https://api.segment.io/v1/batch"],
      [{ region: "eu" }, "https://events.eu1.segmentapis.com/v1/batch"],
      [{ region: "eu", path: "/v1/import" }, "https://events.eu1.segmentapis.com/v1/import"],
      [{ host: "https://cdp.example/prefix" }, "https://cdp.example/prefix/v1/batch"],
      [{ host: "https://cdp.example/a/b//", path: "/c" }, "https://cdp.example/a/b/c"],
      [{ host: "https://cdp.example:8443" }, "https://cdp.example:8443/v1/batch"],
      [{ host: "HTTPS://CDP.Example" }, "https://cdp.example/v1/batch"],
      [{ host: "http://localhost:3000" }, "http://localhost:3000/v1/batch"],
      [{ host: "http://127.0.0.1:3000/api" }, "http://127.0.0.1:3000/api/v1/batch"],
      [{ host: "http://127.8.9.1" }, "http://127.8.9.1/v1/batch"],
      [{ host: "http://[::1]:3000" }, "http://[::1]:3000/v1/batch"],
      [{ host: "http://2130706433" }, "http://127.0.0.1/v1/batch"],
      [{ host: "http://0x7f.1" }, "http://127.0.0.1/v1/batch"],
      [{ host: "http://cdp.internal:8080", allowInsecureHost: true }, "http://cdp.internal:8080/v1/batch"]
    ]

  it.each(addresses)("%j is the address %s", async (given, address) => {
    const asked: Array<string> = []
    const fetch: typeof globalThis.fetch = async (url) => {
      asked.push(String(url))
      return new Response("{}")
    }
    await using analytics = createAnalytics({ writeKey: "test-write-key", fetch, ...given })
    analytics.track({ userId: "u1", event: "e" })
    await analytics.flush()
    assert.deepStrictEqual(asked, [address])
  })
})
