/** Values of other realms and libraries: promises that are not native, callbacks and dates of another realm, a `fetch` that comes late. */
import * as Vm from "node:vm"
import { assert, describe, it, vi } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Analytics from "../src/Analytics.ts"
import type { InvalidCall } from "../src/AnalyticsError.ts"
import * as Observer from "../src/Observer.ts"
import { createAnalytics, type Log, type Settings } from "../src/plain.ts"
import { createTestAnalytics } from "../src/plainTest.ts"
import { reasonOf } from "./errors.ts"
import { patience, run } from "./programs.ts"

/** A value that is made in another realm. */
const foreign = <A>(code: string): A => Vm.runInNewContext(code) as A

describe("a callback whose promise rejects", () => {
  const rejecting: Readonly<Record<string, () => unknown>> = {
    "of another realm": foreign("async () => { throw new Error('boom') }"),
    "that is a thenable of a library": () => ({
      // biome-ignore lint/suspicious/noThenProperty: promises of libraries have one
      then: (_: unknown, onRejected?: (cause: unknown) => void) => void onRejected?.(new Error("boom"))
    }),
    "with a value that has no text": async () => {
      throw Object.create(null)
    },
    "whose then throws": () => ({
      // biome-ignore lint/suspicious/noThenProperty: promises of libraries have one
      get then() {
        throw new Error("boom")
      }
    }),
    "by a subclass of Promise": () =>
      new (class extends Promise<never> {})((_, reject) => {
        reject(new Error("boom"))
      })
  }
  const places = ["onError", "onOutcome", "transform", "logger"] as const

  it.each(Object.keys(rejecting).flatMap((kind) => places.map((place) => ({ kind, place }))))(
    "$kind, as $place, ends nothing",
    async ({ kind, place }) => {
      const unhandled: Array<unknown> = []
      const listener = (reason: unknown) => void unhandled.push(reason)
      process.on("unhandledRejection", listener)
      const callback = rejecting[kind] as () => never
      const quiet: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }
      const logger: Log = { debug: callback, info: callback, warn: callback, error: callback }
      const settings: Partial<Settings> = place === "logger" ? { logger } : { logger: quiet, [place]: callback }
      const client = createTestAnalytics({ strict: false, ...settings })
      assert.isFalse(client.track({ userId: "u1", event: "" }))
      client.respond(400)
      assert.strictEqual(client.track({ userId: "u1", event: "Signed Up" }), place !== "transform")
      await client.close()
      // A rejection is reported when all that was due has run.
      for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve))
      process.off("unhandledRejection", listener)
      assert.deepStrictEqual(unhandled, [])
      assert.deepInclude(client.stats(), { offered: 2, pending: 0, delivered: 0 })
    }
  )

  it.live(
    "where another Promise is the global one, the process goes on",
    () => Effect.map(run("replacedPromise"), (ended) => assert.deepInclude(ended, { code: 0, stdout: "went on" })),
    { timeout: patience }
  )

  it.live("layerOnError ignores it as well", () =>
    Effect.gen(function* () {
      const onError = foreign<() => void>("async () => { throw new Error('boom') }")
      const client = Layer.provide(Analytics.layerStub(), Observer.layerOnError(onError))
      const stats = yield* Effect.provide(
        Effect.andThen(
          Effect.ignore(Analytics.track({ userId: "u1", event: "" })),
          Analytics.Analytics.use(({ stats }) => stats)
        ),
        client
      )
      assert.strictEqual(stats.rejected, 1)
    })
  )
})

describe("data of another realm", () => {
  it("is the same as data of this one", async () => {
    const client = createTestAnalytics()
    const properties = foreign<Record<string, unknown>>(`({
      date: new Date(0), map: new Map([["a", 1]]), set: new Set([1]), error: new TypeError("no"), list: [1, { a: 2 }],
      boxed: new Number(1), invalid: new Date(NaN)
    })`)
    client.track({ userId: "u1", event: "Signed Up", properties, timestamp: foreign("new Date(0)") })
    await client.close()
    const [message] = client.sent
    assert.strictEqual(message?.timestamp, "1970-01-01T00:00:00.000Z")
    assert.deepStrictEqual(message?.type === "track" && message.properties, {
      date: "1970-01-01T00:00:00.000Z",
      map: { a: 1 },
      set: [1],
      error: { name: "TypeError", message: "no" },
      list: [1, { a: 2 }],
      boxed: 1,
      invalid: null
    })
  })

  it("an invalid date is no absent timestamp", () => {
    const client = createTestAnalytics({ strict: false, onError: () => {} })
    assert.isFalse(client.track({ userId: "u1", event: "Signed Up", timestamp: foreign("new Date(NaN)") }))
    assert.isFalse(client.track({ userId: "u1", event: "Signed Up", timestamp: new Date(Number.NaN) }))
  })

  it("binary data is refused", () => {
    const client = createTestAnalytics({ strict: false, onError: () => {} })
    for (const code of ["new Uint8Array(1)", "new ArrayBuffer(1)", "new DataView(new ArrayBuffer(1))"]) {
      assert.isFalse(client.track({ userId: "u1", event: "Signed Up", properties: { data: foreign(code) } }))
    }
  })
})

describe("fetch", () => {
  const answering = () => {
    let requests = 0
    const fetch = async () => {
      requests++
      return new Response("{}")
    }
    return { fetch, requests: () => requests }
  }

  it("of the moment of a request is used by the Effect face as well", async () => {
    const [first, second] = [answering(), answering()]
    vi.stubGlobal("fetch", first.fetch)
    const program = Effect.gen(function* () {
      vi.stubGlobal("fetch", second.fetch)
      yield* Analytics.track({ userId: "u1", event: "Signed Up" })
      yield* Analytics.flush
    })
    await Effect.runPromise(
      Effect.provide(program, Analytics.layerFetch({ writeKey: Redacted.make("test-write-key") }))
    )
    vi.unstubAllGlobals()
    assert.deepStrictEqual([first.requests(), second.requests()], [0, 1])
  })

  it("of the settings is used whatever the global one is", async () => {
    const [own, global] = [answering(), answering()]
    vi.stubGlobal("fetch", global.fetch)
    const client = createAnalytics({ writeKey: "test-write-key", fetch: own.fetch })
    client.track({ userId: "u1", event: "Signed Up" })
    await client.close()
    vi.unstubAllGlobals()
    assert.deepStrictEqual([own.requests(), global.requests()], [1, 0])
  })

  it("that is missing is named when the client is made, in both faces", async () => {
    vi.stubGlobal("fetch", undefined)
    const exit = await Effect.runPromiseExit(
      Effect.scoped(Layer.build(Analytics.layerFetch({ writeKey: Redacted.make("test-write-key") })))
    )
    assert.throws(() => createAnalytics({ writeKey: "test-write-key" }), /fetch is missing, and this runtime has none/)
    assert.doesNotThrow(() => createAnalytics({ writeKey: "test-write-key", stub: true }))
    vi.unstubAllGlobals()
    assert.match(Exit.isSuccess(exit) ? "" : String(Cause.squash(exit.cause)), /^InvalidSetting: .*fetch is missing/)
  })
})

describe("ids that are numbers", () => {
  it("are refused where JavaScript has rounded them, with the advice to use strings", async () => {
    const errors: Array<string> = []
    const client = createTestAnalytics({ strict: false, onError: ({ message }) => errors.push(message) })
    for (const number of ["800356270543470622", "800356270543470623", "9007199254740992", "-9007199254740992", "1.5"]) {
      assert.isFalse(client.track({ userId: Number(number), event: "Signed Up" }))
      assert.isFalse(client.group({ userId: "u1", groupId: Number(number) }))
      assert.isFalse(client.alias({ userId: "u1", previousId: Number(number) }))
    }
    assert.strictEqual(errors.length, 15)
    for (const error of errors) assert.match(error, /write larger ones as strings/)
    assert.isTrue(client.track({ userId: Number.MAX_SAFE_INTEGER, event: "Signed Up" }))
    assert.isTrue(client.track({ userId: 800356270543470622n, event: "Signed Up" }))
    await client.close()
    assert.deepStrictEqual(
      client.sent.map(({ userId }) => userId),
      ["9007199254740991", "800356270543470622"]
    )
  })

  it.effect("are refused by the Effect face as well", () =>
    Effect.gen(function* () {
      const error = yield* reasonOf(Analytics.track({ userId: 2 ** 53, event: "Signed Up" }))
      assert.deepStrictEqual((error as InvalidCall).path, ["userId"])
    }).pipe(Effect.provide(Analytics.layerStub()))
  )
})
