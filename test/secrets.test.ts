/** The write key goes where it must, and is seen nowhere else: not printed, not logged, not recorded. */
import { inspect } from "node:util"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as Redacted from "effect/Redacted"
import * as References from "effect/References"
import * as Tracer from "effect/Tracer"
import * as Analytics from "../src/Analytics.ts"
import * as Observer from "../src/Observer.ts"
import { createAnalytics } from "../src/plain.ts"
import * as Transport from "../src/Transport.ts"
import { peer, trackMany } from "./support.ts"

const key = "s3cr3t-writeKey-that-nobody-may-see"
const forms = [key, btoa(key), btoa(`${key}:`), encodeURIComponent(`${key}:`), key.slice(3, 20)]

/** Every way in which people print things. */
const shown = (value: unknown): string => {
  const json = (() => {
    try {
      return JSON.stringify(value)
    } catch (error) {
      return String(error)
    }
  })()
  const error = value instanceof Error ? [value.stack, value.message, value.toString()] : []
  return [inspect(value, { depth: 10, showHidden: true, getters: true }), json, String(value), ...error].join("\n")
}

/** Fails if the key is in what was printed, and if nothing was. */
const assertSilent = (printed: ReadonlyArray<string>, expected: RegExp) => {
  const all = printed.join("\n")
  for (const form of forms) assert.isFalse(all.includes(form), `the key is in: ${around(all, form)}`)
  assert.match(all, expected)
}

const around = (text: string, form: string) =>
  text.slice(Math.max(0, text.indexOf(form) - 200), text.indexOf(form) + 50)

/** Everything that a client logs, prints, traces, counts and tells, as text. */
const recorder = () => {
  const printed: Array<string> = []
  const print = (...values: ReadonlyArray<unknown>) => {
    for (const value of values) printed.push(shown(value))
  }
  const tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      spans.push(span)
      return span
    }
  })
  const spans: Array<Tracer.NativeSpan> = []
  const loggers = [Logger.formatLogFmt, Logger.formatJson, Logger.formatSimple, Logger.formatStructured]
  const layer = Layer.mergeAll(
    Logger.layer([
      ...loggers.map((format) => Logger.map(format as Logger.Logger<unknown, unknown>, print)),
      Logger.make<unknown, void>(({ cause, message }) => print(message, cause, Cause.pretty(cause)))
    ]),
    Layer.succeed(References.MinimumLogLevel, "All"),
    Layer.succeed(Tracer.Tracer, tracer),
    Layer.succeed(Metric.MetricRegistry, new Map()),
    Observer.layer((outcome) =>
      Effect.andThen(
        Effect.sync(() => print(outcome, ...("error" in outcome ? [outcome.error] : []))),
        // What is told is logged as well, and an observer that dies with it is reported.
        Effect.andThen(Effect.logInfo("outcome", outcome), Effect.die(outcome))
      )
    )
  )
  const finish = Effect.map(Metric.snapshot, (metrics) => {
    print(metrics)
    for (const span of spans) print(span.name, Object.fromEntries(span.attributes), span.events, span.status)
  })
  return { printed, print, layer, finish }
}

const statuses = [200, 204, 302, 400, 401, 413, 429, 500, 503]

const clients = [
  ["fetch", FetchHttpClient.layer],
  ["node:http", NodeHttpClient.layerNodeHttp],
  ["undici", NodeHttpClient.layerUndici]
] as const

describe("the write key is in nothing that is printed or recorded", () => {
  for (const [name, http] of clients) {
    it.live.each([...statuses, "reset", "silence", "HTML", "success: false", "an echo of the request"] as const)(
      `over ${name}, when the answer is %s`,
      (answer) =>
        Effect.gen(function* () {
          const { finish, layer, print, printed } = recorder()
          const { host, received } = yield* peer((response, { body, headers }, socket) => {
            if (typeof answer === "number") {
              response
                .writeHead(answer, {
                  location: "/elsewhere",
                  "retry-after": "x",
                  "x-echo": String(headers.authorization)
                })
                .end()
            } else if (answer === "reset") socket.resetAndDestroy()
            else if (answer === "HTML") response.writeHead(200, { "content-type": "text/html" }).end(`<p>${body}`)
            else if (answer === "success: false") response.writeHead(200).end(`{"success":false,"echo":${body}}`)
            else if (answer !== "silence")
              response.writeHead(400, { "x-echo": String(headers.authorization) }).end(body)
          })
          const options = {
            writeKey: Redacted.make(key),
            host,
            maxRetries: 0,
            requestTimeout: 500,
            flushInterval: 5
          }
          const exit = yield* Effect.gen(function* () {
            const analytics = yield* Analytics.Analytics
            print(analytics, options)
            yield* trackMany(1, 3)
            print(yield* Effect.exit(analytics.track({ userId: "u1", event: "" })))
            print(yield* analytics.flush, yield* analytics.stats)
            yield* analytics.close
            print(yield* Effect.exit(analytics.track({ userId: "u1", event: "late" })))
            yield* finish
          }).pipe(
            Effect.withSpan("around"),
            Effect.provide(Analytics.layer(options).pipe(Layer.provide(http), Layer.provideMerge(layer))),
            Effect.exit
          )
          print(exit)
          assert.isTrue(Exit.isSuccess(exit))
          // It was there, where it belongs.
          assert.strictEqual(received[0]?.headers.authorization, `Basic ${btoa(`${key}:`)}`)
          assert.include(received[0]?.body.toString(), key)
          assertSilent(printed, /Analytics\.deliver[\s\S]*batch: |batch: [\s\S]*Analytics\.deliver/)
        })
    )
  }

  it.live("over fetch, when nobody is there", () =>
    Effect.gen(function* () {
      const { finish, layer, print, printed } = recorder()
      const { host } = yield* Effect.scoped(peer())
      yield* Effect.gen(function* () {
        const analytics = yield* Analytics.Analytics
        yield* trackMany(1, 3)
        print(yield* analytics.flush)
        yield* finish
      }).pipe(
        Effect.provide(
          Analytics.layerFetch({ writeKey: Redacted.make(key), host, maxRetries: 0, flushInterval: 5 }).pipe(
            Layer.provideMerge(layer)
          )
        )
      )
      assertSilent(printed, /ECONNREFUSED/)
    })
  )

  it.effect("with the stub", () =>
    Effect.gen(function* () {
      const { finish, layer, print, printed } = recorder()
      yield* Effect.gen(function* () {
        yield* trackMany(1, 3)
        print(yield* Analytics.Analytics.use(({ flush }) => flush))
        yield* finish
      }).pipe(Effect.provide(Analytics.layerStub({ flushInterval: 0 }).pipe(Layer.provideMerge(layer))))
      assertSilent(printed, /stub: /)
    })
  )

  it.effect.each([
    ["a host that is none", { host: "nowhere" }],
    ["a key with a line break", { writeKey: Redacted.make(`${key}\r\n`) }],
    ["a key with a blank", { writeKey: Redacted.make(`${key} `) }],
    ["a key that is not redacted", { writeKey: key as unknown as Redacted.Redacted<string> }],
    ["a host that carries it", { host: `https://${key}@api.segment.io` }],
    ["a host that carries it as a query", { host: `https://api.segment.io?key=${key}` }],
    ["a path that carries it", { path: `batch/${key}` }],
    ["a size that is none", { batchSize: -1 }]
  ] as ReadonlyArray<readonly [string, Partial<Analytics.Options>]>)("when a layer fails for %s", ([, wrong]) =>
    Effect.gen(function* () {
      const { layer, print, printed } = recorder()
      const exit = yield* Effect.exit(
        Effect.provide(
          Analytics.Analytics,
          Analytics.layerFetch({ writeKey: Redacted.make(key), ...wrong }).pipe(Layer.provideMerge(layer))
        )
      )
      assert(Exit.isFailure(exit))
      print(exit, exit.cause, Cause.pretty(exit.cause), Cause.squash(exit.cause))
      assertSilent(printed, /InvalidSetting/)
    })
  )

  it.effect("when the configuration is wrong", () =>
    Effect.gen(function* () {
      const { print, printed } = recorder()
      const env = { ANALYTICS_WRITE_KEY: key, ANALYTICS_BATCH_SIZE: "many" }
      const exit = yield* Effect.exit(
        Effect.provide(
          Analytics.Analytics,
          Analytics.layerFromConfig().pipe(Layer.provide(FetchHttpClient.layer))
        ).pipe(Effect.provide(ConfigProvider.layer(ConfigProvider.fromUnknown(env))))
      )
      assert(Exit.isFailure(exit))
      print(exit, Cause.pretty(exit.cause), Cause.squash(exit.cause))
      assertSilent(printed, /BATCH_SIZE/)
    })
  )

  it.effect("when a transport is printed", () =>
    Effect.gen(function* () {
      const transport = yield* Transport.Transport
      assertSilent([shown(transport)], /envelopeBytes/)
    }).pipe(
      Effect.provide(Transport.layer({ writeKey: Redacted.make(key) }).pipe(Layer.provide(FetchHttpClient.layer)))
    )
  )

  it.live.each(["success", "failure", "thrown"] as const)("of the plain client: %s", (kind) =>
    Effect.gen(function* () {
      const { print, printed } = recorder()
      const { host } = yield* peer((response) => void response.writeHead(kind === "success" ? 200 : 401).end())
      const log = (line: string) => print(line)
      const logger = { debug: log, info: log, warn: log, error: log }
      const fetch: typeof globalThis.fetch =
        kind === "thrown"
          ? (_url, init) => Promise.reject(Object.assign(new Error(`failed: ${String(init?.headers)}`), { init }))
          : globalThis.fetch
      const analytics = createAnalytics({
        writeKey: key,
        host,
        fetch,
        logger,
        maxRetries: 0,
        onError: print,
        onOutcome: print
      })
      print(analytics)
      analytics.track({ userId: "u1", event: "e" })
      analytics.track({ userId: "u1", event: "" })
      print(yield* Effect.promise(() => analytics.flush()), analytics.stats())
      print(yield* Effect.promise(() => analytics.close()))
      assertSilent(printed, kind === "success" ? /Delivered/ : /Dropped/)
      for (const wrong of [{ writeKey: `${key}\n` }, { host: `https://${key}@x.example` }, { batchSize: 0 }]) {
        try {
          createAnalytics({ writeKey: key, ...wrong })
          assert.fail("was taken")
        } catch (error) {
          print(error)
        }
      }
      assertSilent(printed, /InvalidSetting/)
    })
  )

  it("which would be found", () => {
    for (const value of [{ key }, new Error(key), [`Basic ${btoa(`${key}:`)}`], new Map([["k", key]])]) {
      assert.throws(() => assertSilent([shown(value)], /./), /the key is in/)
    }
  })
})
