import { createHook } from "node:async_hooks"
import { subscribe, unsubscribe } from "node:diagnostics_channel"
import { setImmediate } from "node:timers/promises"
import { assert, describe, it, vi } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { InvalidSetting } from "../src/AnalyticsError.ts"
import type * as Message from "../src/Message.ts"
import {
  type Client,
  compose,
  createAnalytics,
  drop,
  type Failure,
  makeSwitch,
  redact,
  type Settings,
  sample
} from "../src/plain.ts"
import { createTestAnalytics } from "../src/plainTest.ts"

const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

const track = { userId: "u1", event: "Purchased Item", properties: { revenue: 39.95 } } as const

const eventOf = (wire: Message.Wire) => (wire.type === "track" ? wire.event : wire.type)

/** What the making of a client throws. */
const refused = (settings: Partial<Settings>): InvalidSetting => {
  try {
    createAnalytics({ writeKey: "test-write-key", logger: quiet, ...settings })
  } catch (error) {
    assert.instanceOf(error, InvalidSetting)
    return error
  }
  return assert.fail(`was taken: ${JSON.stringify(settings)}`)
}

/** A `fetch` that answers 200 and remembers. */
const recording = () => {
  const requests: Array<{ readonly url: string; readonly init: RequestInit | undefined }> = []
  const fetch: typeof globalThis.fetch = async (url, init) => {
    requests.push({ url: String(url), init })
    return new Response(`{"success":true}`, { status: 200 })
  }
  return { requests, fetch }
}

describe("createAnalytics: what a call answers", () => {
  it("is whether the message was accepted; a flush says what became of it", async () => {
    const { fetch, requests } = recording()
    const analytics = createAnalytics({ writeKey: "test-write-key", fetch })
    assert.isTrue(analytics.track(track))
    assert.isTrue(analytics.identify({ userId: "u1", traits: { plan: "free" } }))
    assert.isTrue(analytics.page({ anonymousId: "a1", name: "Home" }))
    assert.isTrue(analytics.screen({ userId: 42, name: "Start" }))
    assert.isTrue(analytics.group({ userId: "u1", groupId: "g1" }))
    assert.isTrue(analytics.alias({ userId: "u2", previousId: "u1" }))
    assert.deepStrictEqual(await analytics.flush(), { delivered: 6, dropped: 0, rejected: 0, pending: 0 })
    assert.deepStrictEqual(await analytics.flush(), { delivered: 0, dropped: 0, rejected: 0, pending: 0 })
    await analytics.close()
    const read = ({ init }: { readonly init: RequestInit | undefined }) => new Response(init?.body).json()
    const bodies = (await Promise.all(requests.map(read))) as Array<Message.Request>
    assert.deepStrictEqual(
      bodies.flatMap(({ batch }) => batch.map(({ type }) => type)),
      ["track", "identify", "page", "screen", "group", "alias"]
    )
  })

  it("is false for a call that is not valid, and onError is told why", async () => {
    const failures: Array<Failure> = []
    const analytics = createTestAnalytics({ strict: false, onError: (failure) => failures.push(failure) })
    assert.isFalse(analytics.track({ userId: "u1", event: " " }))
    // @ts-expect-error no identity
    assert.isFalse(analytics.track({ event: "e" }))
    // @ts-expect-error no call at all
    assert.isFalse(analytics.track(undefined))
    await analytics.close()
    assert.deepStrictEqual(
      failures.map(({ messages, reason, status }) => ({ messages, reason, status })),
      Array.from({ length: 3 }, () => ({ messages: [], reason: "InvalidCall" as const, status: undefined }))
    )
    assert.match(failures[0]?.message ?? "", /event/)
    assert.match(failures[1]?.message ?? "", /anonymousId is missing, and so is userId/)
    assert.deepStrictEqual(analytics.sent, [])
    assert.strictEqual(analytics.stats().rejected, 3)
  })

  it("is false when the queue is full; the message concerned is told as plain data", async () => {
    const failures: Array<Failure> = []
    const analytics = createTestAnalytics({
      strict: false,
      maxQueueSize: 1,
      flushInterval: "1 hour",
      onError: (failure) => failures.push(failure)
    })
    assert.isTrue(analytics.track(track))
    assert.isFalse(analytics.track({ ...track, event: "one too many" }))
    const [failure] = failures
    assert.deepStrictEqual([failure?.reason, failure?.messages.map(eventOf)], ["QueueFull", ["one too many"]])
    assert.isFalse(Object.hasOwn(failure ?? {}, "status"))
    await analytics.close()
    assert.deepStrictEqual(analytics.sent.map(eventOf), ["Purchased Item"])
  })

  it("is true when an older one had to go for it, which is told", async () => {
    const failures: Array<Failure> = []
    const analytics = createTestAnalytics({
      overflow: "drop-oldest",
      maxQueueSize: 1,
      flushInterval: "1 hour",
      onError: (failure) => failures.push(failure)
    })
    assert.isTrue(analytics.track({ ...track, event: "old" }))
    assert.isTrue(analytics.track({ ...track, event: "new" }))
    assert.deepStrictEqual(
      failures.map(({ messages, reason }) => [reason, messages.map(eventOf)]),
      [["evicted", ["old"]]]
    )
    await analytics.close()
    assert.deepStrictEqual(analytics.sent.map(eventOf), ["new"])
  })

  it("is true when an older one had to go for it, whose report makes a call in turn; a flush does not wait for it", async () => {
    const gate = Promise.withResolvers<Response>()
    let nested = 0
    const analytics = createAnalytics({
      writeKey: "test-write-key",
      overflow: "drop-oldest",
      maxQueueSize: 6,
      batchSize: 1,
      fetch: () => gate.promise.then((response) => response.clone()),
      logger: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
      onOutcome: ({ _tag }) => {
        if (_tag === "Dropped" && nested++ < 3) analytics.track({ userId: "u1", event: "Lost" })
      }
    })
    for (let n = 1; n <= 6; n++) analytics.track({ userId: "u1", event: `event ${n}` })
    // The first is on its way, and stays.
    await setImmediate()
    const flushed = analytics.flush({ timeout: "20 seconds" })
    assert.isTrue(analytics.track({ userId: "u1", event: "event 7" }))
    gate.resolve(new Response(null, { status: 200 }))
    assert.deepInclude(await flushed, { pending: 0 })
    const { delivered, dropped, offered, pending, rejected } = analytics.stats()
    assert.strictEqual(offered, delivered + dropped + pending + rejected)
    await analytics.close()
  })

  it("is true for what transform drops on purpose, which is no error", async () => {
    const failures: Array<Failure> = []
    const outcomes: Array<string> = []
    const analytics = createTestAnalytics({
      transform: (message) => (message.type === "identify" ? message : drop("no consent")),
      onError: (failure) => failures.push(failure),
      onOutcome: ({ _tag }) => outcomes.push(_tag)
    })
    assert.isTrue(analytics.track(track))
    await analytics.close()
    assert.deepStrictEqual([failures, outcomes, analytics.sent], [[], ["Filtered"], []])
    assert.include(analytics.stats(), { offered: 1, dropped: 1, delivered: 0, pending: 0, rejected: 0 })
  })

  it("with strict is an exception", async () => {
    const failures: Array<Failure> = []
    const analytics = createAnalytics({
      writeKey: "test-write-key",
      strict: true,
      stub: true,
      logger: quiet,
      onError: (failure) => failures.push(failure)
    })
    assert.throws(() => analytics.track({ userId: "u1", event: "" }), /event/)
    assert.isTrue(analytics.track(track))
    await analytics.close()
    assert.throws(() => analytics.track(track), /closed/)
    assert.deepStrictEqual(
      failures.map(({ reason }) => reason),
      ["InvalidCall", "Closed"]
    )
  })
})

describe("createAnalytics: what went wrong later", () => {
  it("is told with the status and the messages as plain data, and flush says how much", async () => {
    const failures: Array<Failure> = []
    const analytics = createTestAnalytics({
      flushInterval: 5,
      logger: quiet,
      onError: (failure) => failures.push(failure)
    })
    analytics.respond(401)
    analytics.track({ ...track, messageId: "m1" })
    analytics.track({ ...track, messageId: "m2" })
    assert.deepStrictEqual(await analytics.flush(), { delivered: 0, dropped: 2, rejected: 0, pending: 0 })
    assert.strictEqual(failures.length, 1)
    const [failure] = failures
    assert.deepStrictEqual(Object.keys(failure ?? {}).toSorted(), ["message", "messages", "reason", "status"])
    assert.deepStrictEqual([failure?.status, failure?.reason], [401, "misconfigured"])
    assert.match(failure?.message ?? "", /write key.*401/)
    const [first] = failure?.messages ?? []
    assert(first?.type === "track")
    assert.deepStrictEqual([first.messageId, first.properties], ["m1", { revenue: 39.95 }])
    await analytics.close()
  })

  it("has no status when there was no answer", async () => {
    const failures: Array<Failure> = []
    const analytics = createTestAnalytics({ maxRetries: 0, onError: (failure) => failures.push(failure) })
    analytics.respond("network error")
    analytics.track(track)
    await analytics.flush()
    const [failure] = failures
    assert.deepStrictEqual([failure?.reason, Object.hasOwn(failure ?? {}, "status")], ["retries-exhausted", false])
    await analytics.close()
  })

  it("is a loss to onError, and an outcome to onOutcome, as deliveries are", async () => {
    const outcomes: Array<string> = []
    const analytics = createTestAnalytics({ onError: () => {}, onOutcome: ({ _tag }) => outcomes.push(_tag) })
    analytics.track(track)
    await analytics.flush()
    analytics.respond(400)
    analytics.track(track)
    await analytics.flush()
    await analytics.close()
    assert.deepStrictEqual(outcomes, ["Delivered", "Dropped"])
  })

  it("is told to the end when a fetch throws before it has begun", async () => {
    const failures: Array<Failure> = []
    const fetch = () => {
      throw new Error("boom")
    }
    const onError = (failure: Failure) => failures.push(failure)
    const analytics = createAnalytics({ writeKey: "test-write-key", fetch, maxRetries: 0, onError })
    analytics.track(track)
    assert.deepStrictEqual(await analytics.close(), { delivered: 0, dropped: 1, rejected: 0, pending: 0 })
    assert.deepStrictEqual(
      failures.map(({ reason }) => reason),
      ["retries-exhausted"]
    )
  })

  it("harms nobody when the callbacks throw", async () => {
    const { fetch, requests } = recording()
    const boom = () => {
      throw new Error("boom")
    }
    const logger = { debug: boom, info: boom, warn: boom, error: boom }
    const analytics = createAnalytics({
      writeKey: "test-write-key",
      fetch,
      onError: boom,
      onOutcome: boom,
      logger
    })
    assert.isFalse(analytics.track({ userId: "u1", event: "" }))
    assert.isTrue(analytics.track(track))
    assert.deepStrictEqual(await analytics.flush(), { delivered: 1, dropped: 0, rejected: 1, pending: 0 })
    assert.deepStrictEqual(await analytics.close(), { delivered: 0, dropped: 0, rejected: 0, pending: 0 })
    assert.isFalse(analytics.track(track))
    assert.strictEqual(requests.length, 1)
  })

  it("harms nobody when the callbacks are async and reject", async () => {
    const unhandled: Array<unknown> = []
    const listener = (reason: unknown) => void unhandled.push(reason)
    process.on("unhandledRejection", listener)
    let calls = 0
    // As JavaScript may have it: a promise where nobody asked for one.
    const boom = (async () => {
      calls++
      throw new Error("boom")
    }) as () => never
    const logger = { debug: boom, info: boom, warn: boom, error: boom }
    for (const settings of [{ onError: boom }, { onOutcome: boom }, { transform: boom }, { logger }]) {
      calls = 0
      const fetch = async () => new Response(null, { status: 401 })
      const analytics = createAnalytics({ writeKey: "test-write-key", fetch, logger: quiet, ...settings })
      // What a transform answers with a promise is not sent as it is.
      assert.strictEqual(analytics.track(track), !("transform" in settings))
      assert.isFalse(analytics.track({ userId: "u1", event: "" }))
      await analytics.flush()
      await analytics.close()
      assert.isAbove(calls, 0)
    }
    // Rejections are told once all that was due has run.
    await setImmediate()
    await setImmediate()
    process.off("unhandledRejection", listener)
    assert.deepStrictEqual(unhandled, [])
  })

  it("is logged as a warning if nobody else is told, and not a line for each", async () => {
    const lines: Array<string> = []
    const logger = { ...quiet, warn: (line: string) => lines.push(line) }
    const analytics = createAnalytics({ writeKey: "test-write-key", stub: true, logger })
    for (let n = 0; n < 100; n++) analytics.track({ userId: "u1", event: "" })
    await analytics.close()
    analytics.track(track)
    assert.strictEqual(lines.length, 3)
    assert.match(
      lines[0] ?? "",
      /^effect-analytics: 1 call was not accepted: track: event must be a string that is not blank/
    )
    assert.match(lines[1] ?? "", /closed; 99 calls were not accepted: track: event/)
    assert.match(lines[2] ?? "", /the client is closed/)
  })

  it("is not logged as a warning if onError is told", async () => {
    const lines: Array<string> = []
    const logger = { ...quiet, warn: (line: string) => lines.push(line) }
    const analytics = createAnalytics({ writeKey: "test-write-key", stub: true, logger, onError: () => {} })
    analytics.track({ userId: "u1", event: "" })
    await analytics.close()
    assert.deepStrictEqual(lines, [])
  })
})

describe("createAnalytics: settings", () => {
  it.each([
    ["writeKey", { writeKey: "" }],
    ["writeKey", { writeKey: "  " }],
    ["writeKey", { writeKey: "key\r\nx-header: 1" }],
    ["writeKey", { writeKey: "schlüssel" }],
    ["writeKey", { writeKey: undefined as unknown as string }],
    ["host", { host: "api.segment.io" }],
    ["host", { host: "" }],
    ["host", { host: "ftp://api.segment.io" }],
    ["host", { host: "http://api.segment.io" }],
    ["host", { host: "https://api.segment.io@evil.example" }],
    ["host", { host: "https://user:password@api.segment.io" }],
    ["host", { host: "https://api.segment.io\\@evil.example" }],
    ["host", { host: "https://api.segment.io?x=1" }],
    ["host", { host: "http://127.0.0.1.evil.example" }],
    ["path", { path: "v1/batch" }],
    ["path", { path: "/v1/batch?x" }],
    ["region", { region: "asia" as "eu" }],
    ["region", { region: "eu", host: "https://cdp.example" }],
    ["batchSize", { batchSize: 0 }],
    ["batchSize", { batchSize: 2_501 }],
    ["batchSize", { batchSize: 1.5 }],
    ["batchSize", { batchSize: Number.NaN }],
    ["batchSize", { batchSize: "100" as unknown as number }],
    ["flushInterval", { flushInterval: -1 }],
    ["flushInterval", { flushInterval: "soon" as "1 second" }],
    ["flushInterval", { flushInterval: Number.POSITIVE_INFINITY }],
    ["maxQueueSize", { maxQueueSize: 0 }],
    ["maxQueueBytes", { maxQueueBytes: 32_767 }],
    ["maxInFlight", { maxInFlight: 0 }],
    ["overflow", { overflow: "explode" as "refuse" }],
    ["maxRetries", { maxRetries: -1 }],
    ["requestTimeout", { requestTimeout: 0 }],
    ["closeTimeout", { closeTimeout: -1 }],
    ["fetch", { fetch: "fetch" as unknown as typeof fetch }]
  ] as ReadonlyArray<readonly [string, Partial<Settings>]>)(
    "%s that cannot work throws, and is named: %j",
    (setting, settings) => {
      const error = refused(settings)
      assert.strictEqual(error.setting, setting)
      assert.match(error.message, new RegExp(`^effect-analytics: ${setting} `))
    }
  )

  it.each([
    { host: "http://localhost:8080" },
    { host: "http://127.0.0.1" },
    { host: "http://[::1]:8080" },
    { host: "http://cdp.internal", allowInsecureHost: true },
    { region: "eu" },
    { batchSize: 2_500, maxQueueBytes: 32_768, maxQueueSize: 1, maxRetries: 0, closeTimeout: 0, flushInterval: 0 },
    { flushInterval: "10 seconds", requestTimeout: Duration.seconds(3), closeTimeout: 1_000 },
    { overflow: "drop-oldest" },
    { gzip: true }
  ] as ReadonlyArray<Partial<Settings>>)("takes %j", async (settings) => {
    const analytics = createAnalytics({ writeKey: "test-write-key", logger: quiet, ...settings })
    assert.deepStrictEqual(await analytics.close(), { delivered: 0, dropped: 0, rejected: 0, pending: 0 })
  })

  it.each([
    ["flushAt", { flushAt: 1 }],
    ["apiHost", { apiHost: "https://cdp.example" }],
    ["disabled", { disabled: false }],
    // What JSON has a key for and no value is one all the same.
    ["writekey", { writekey: null }]
  ])("%s, which is no setting, throws and is named", (setting, settings) => {
    const error = refused(settings as Partial<Settings>)
    assert.strictEqual(error.setting, setting)
    assert.match(error.message, new RegExp(`^effect-analytics: ${setting} is no setting`))
  })

  it.each([null, "test-write-key", 5, []])("%j in the place of settings throws, and is named", (settings) => {
    try {
      createAnalytics(settings as never)
    } catch (error) {
      assert.instanceOf(error, InvalidSetting)
      assert.strictEqual(error.setting, "settings")
      return
    }
    assert.fail("was taken")
  })

  it("host, path and gzip say where and how the batch goes", async () => {
    const { fetch, requests } = recording()
    const options = { writeKey: "k", host: "https://cdp.example/in", path: "/import", gzip: true, fetch }
    const analytics = createAnalytics(options)
    analytics.track(track)
    await analytics.close()
    const [request] = requests
    assert.strictEqual(request?.url, "https://cdp.example/in/import")
    assert.strictEqual(request?.init?.redirect, "manual")
    const headers = new Headers(request?.init?.headers)
    assert.strictEqual(headers.get("content-encoding"), "gzip")
    assert.strictEqual(headers.get("authorization"), `Basic ${btoa("k:")}`)
  })

  it("batchSize and flushInterval say how messages are grouped, maxInFlight how many batches are out", async () => {
    const analytics = createTestAnalytics({ batchSize: 2, flushInterval: "1 hour", maxInFlight: 2 })
    for (let n = 1; n <= 5; n++) analytics.track({ userId: "u1", event: `event ${n}` })
    assert.deepStrictEqual(await analytics.flush(), { delivered: 5, dropped: 0, rejected: 0, pending: 0 })
    assert.deepStrictEqual(
      analytics.requests.map(({ body }) => body.batch.length),
      [2, 2, 1]
    )
    await analytics.close()
  })

  it("requestTimeout ends an attempt, closeTimeout a close", async () => {
    const failures: Array<Failure> = []
    const onError = (failure: Failure) => failures.push(failure)
    const slow = createTestAnalytics({ requestTimeout: 20, maxRetries: 0, onError })
    slow.respond("never")
    slow.track(track)
    assert.deepStrictEqual(await slow.flush(), { delivered: 0, dropped: 1, rejected: 0, pending: 0 })
    await slow.close()
    const dead = createTestAnalytics({ closeTimeout: 20, onError })
    dead.respond("never")
    dead.track(track)
    assert.deepStrictEqual(await dead.close(), { delivered: 0, dropped: 1, rejected: 0, pending: 0 })
    assert.deepStrictEqual(
      failures.map(({ reason }) => reason),
      ["retries-exhausted", "closed"]
    )
    assert.match(failures[0]?.message ?? "", /timeout/)
  })

  it("stub delivers without a wire, and without a key", async () => {
    const { fetch, requests } = recording()
    const debug: Array<string> = []
    const logger = { ...quiet, debug: (line: string) => debug.push(line) }
    const analytics = createAnalytics({ writeKey: "", stub: true, fetch, logger })
    analytics.track(track)
    assert.deepStrictEqual(await analytics.flush(), { delivered: 1, dropped: 0, rejected: 0, pending: 0 })
    await analytics.close()
    assert.deepStrictEqual(requests, [])
    assert.isTrue(debug.some((line) => line.includes("stub: 1 messages not sent")))
  })

  it("logger gets the way of a batch at debug level, and the loud error", async () => {
    const lines: Array<string> = []
    const logger = {
      debug: (line: string) => lines.push(`debug ${line}`),
      info: (line: string) => lines.push(`info ${line}`),
      warn: (line: string) => lines.push(`warn ${line}`),
      error: (line: string) => lines.push(`error ${line}`)
    }
    const fetch = async () => new Response(null, { status: 401 })
    const analytics = createAnalytics({ writeKey: "test-write-key", fetch, logger })
    analytics.track(track)
    await analytics.close()
    assert.deepStrictEqual(lines, [
      "debug effect-analytics: batch: Misconfigured (messages 1, attempts 1, status 401)",
      "error effect-analytics: the API refuses this client: check the write key and the host (destination https://api.segment.io/v1/batch, status 401)",
      "warn effect-analytics: 1 message was lost: the API refuses this client: check the write key and the host (status 401, https://api.segment.io/v1/batch, 1 attempt)"
    ])
  })

  it("fetch is the one of the moment in which a request is sent, if none is given", async () => {
    const [first, second] = [recording(), recording()]
    vi.stubGlobal("fetch", first.fetch)
    const analytics = createAnalytics({ writeKey: "test-write-key" })
    vi.stubGlobal("fetch", second.fetch)
    analytics.track(track)
    await analytics.close()
    vi.unstubAllGlobals()
    assert.deepStrictEqual([first.requests.length, second.requests.length], [0, 1])
  })
})

describe("createAnalytics: flush and close", () => {
  it("a close delivers what is there, is one however often it is asked for, and ends the calls", async () => {
    const failures: Array<Failure> = []
    const analytics = createTestAnalytics({
      strict: false,
      flushInterval: "1 hour",
      onError: (failure) => failures.push(failure)
    })
    for (let n = 1; n <= 250; n++) analytics.track({ userId: "u1", event: `event ${n}` })
    const [first, second] = await Promise.all([analytics.close(), analytics.close()])
    assert.deepStrictEqual(
      [first, second],
      [
        { delivered: 250, dropped: 0, rejected: 0, pending: 0 },
        { delivered: 250, dropped: 0, rejected: 0, pending: 0 }
      ]
    )
    assert.deepStrictEqual(await analytics.close(), { delivered: 250, dropped: 0, rejected: 0, pending: 0 })
    assert.isFalse(analytics.track(track))
    assert.deepStrictEqual(await analytics.flush(), { delivered: 0, dropped: 0, rejected: 1, pending: 0 })
    assert.deepStrictEqual(
      failures.map(({ messages, reason }) => [reason, messages.map(eventOf)]),
      [["Closed", ["Purchased Item"]]]
    )
    assert.deepStrictEqual(
      analytics.sent.map(eventOf),
      Array.from({ length: 250 }, (_, n) => `event ${n + 1}`)
    )
  })

  it("a call in the moment of a close is refused, or delivered, but never lost", async () => {
    const analytics = createTestAnalytics({ strict: false, onError: () => {} })
    let accepted = 0
    const close = analytics.close()
    for (let n = 0; n < 100; n++) {
      if (analytics.track(track)) accepted++
      if (n % 10 === 0) await Promise.resolve()
    }
    const { delivered } = await close
    assert.strictEqual(delivered, accepted)
    assert.include(analytics.stats(), { offered: 100, delivered: accepted, rejected: 100 - accepted, pending: 0 })
  })

  it("await using closes", async () => {
    const client = createTestAnalytics({ flushInterval: "1 hour", logger: quiet })
    {
      await using analytics = client
      analytics.track(track)
    }
    assert.strictEqual(client.sent.length, 1)
    assert.throws(() => client.track(track), /closed/)
  })

  it("flushes overlap", async () => {
    const analytics = createTestAnalytics({ flushInterval: "1 hour" })
    analytics.track(track)
    const first = analytics.flush()
    analytics.track(track)
    const sums = await Promise.all([first, analytics.flush(), analytics.flush()])
    assert.deepStrictEqual(
      sums.map(({ delivered }) => delivered),
      [1, 2, 2]
    )
    await analytics.close()
  })

  it("stats account for every call at every moment", async () => {
    const analytics = createTestAnalytics({ strict: false, flushInterval: "1 hour", onError: () => {} })
    const law = () => {
      const { delivered, dropped, offered, pending, rejected } = analytics.stats()
      assert.strictEqual(offered, delivered + pending + dropped + rejected)
      return { delivered, dropped, pending, rejected }
    }
    analytics.track(track)
    analytics.track({ userId: "u1", event: "" })
    assert.deepStrictEqual(law(), { delivered: 0, dropped: 0, pending: 1, rejected: 1 })
    await analytics.flush()
    analytics.respond(400)
    analytics.track(track)
    await analytics.flush()
    assert.deepStrictEqual(law(), { delivered: 1, dropped: 1, pending: 0, rejected: 1 })
    await analytics.close()
  })
})

describe("createAnalytics: what a call costs", () => {
  /** Fibers are numbered, so two of ours tell how many were started between them. */
  const fibers = () => Effect.runSync(Effect.fiberId)

  /** What a piece of code starts: fibers, and by kind promises, timers and ticks. */
  const startedBy = (body: () => void) => {
    const resources: Record<string, number> = {}
    const hook = createHook({
      init: (_, kind) => {
        resources[kind] = (resources[kind] ?? 0) + 1
      }
    })
    const before = fibers()
    hook.enable()
    body()
    hook.disable()
    return { fibers: fibers() - before - 1, ...resources }
  }

  const fiftyCalls = (analytics: Client) => () => {
    for (let n = 0; n < 50; n++) analytics.track(track)
  }

  it("an accepted call starts no fiber and no promise, and sets no timer", async () => {
    const analytics = createTestAnalytics({ flushInterval: "1 hour" })
    // The first call wakes the loop, and starts no fiber either. What follows is the calls' own.
    assert.strictEqual(startedBy(() => analytics.track(track)).fibers, 0)
    assert.deepStrictEqual(startedBy(fiftyCalls(analytics)), { fibers: 0 })
    assert.deepStrictEqual(await analytics.close(), { delivered: 51, dropped: 0, rejected: 0, pending: 0 })
  })

  it("a refused call that onError is told of starts no fiber either", async () => {
    const told: Array<string> = []
    const analytics = createTestAnalytics({
      strict: false,
      flushInterval: "1 hour",
      onError: ({ reason }) => told.push(reason)
    })
    const refusals = () => {
      for (let n = 0; n < 50; n++) analytics.track({ userId: "u1", event: "" })
    }
    refusals()
    assert.deepStrictEqual(startedBy(refusals), { fibers: 0 })
    assert.deepStrictEqual(
      told,
      Array.from({ length: 100 }, () => "InvalidCall")
    )
    await analytics.close()
  })

  it("which is seen here where there are some", () => {
    const { fibers, PROMISE } = startedBy(() => {
      Effect.runFork(Effect.sync(() => {}))
      void Promise.resolve()
    }) as Record<string, number>
    assert.deepStrictEqual({ fibers, PROMISE }, { fibers: 1, PROMISE: 1 })
  })
})

describe("createAnalytics: settings that come from elsewhere", () => {
  it.each([
    ["flushAt", "batchSize"],
    ["httpClient", "fetch"],
    ["writekey", "writeKey"],
    ["flush_interval", "flushInterval"]
  ])("the name of another SDK is told what it is called here: %s", (name, meant) => {
    const error = refused({ [name]: 1 } as never)
    assert.strictEqual(error.message, `effect-analytics: ${name} is no setting: it is called ${meant} here`)
  })

  it("a host that contains the path is told so", () => {
    const hosts = ["https://api.segment.io/v1", "https://api.segment.io/v1/batch"]
    for (const host of hosts)
      assert.match(refused({ host }).message, /host must not contain the path: \/v1\/batch is added/)
    createAnalytics({ writeKey: "k", host: "https://cdp.example/v1", path: "/import", stub: true })
  })

  it("the stack of what is thrown begins at the caller, and names the package", () => {
    const stack = refused({ writeKey: "" }).stack ?? ""
    assert.match(
      stack,
      /^(InvalidSetting: )?effect-analytics: writeKey must not be blank\n\s+at refused .*plain\.test\.ts/
    )
  })

  it("without settings they are read from ANALYTICS_*, and a wrong one names its variable", async () => {
    const { fetch, requests } = recording()
    vi.stubGlobal("fetch", fetch)
    vi.stubEnv("ANALYTICS_WRITE_KEY", "from-env")
    vi.stubEnv("ANALYTICS_HOST", "https://cdp.example")
    vi.stubEnv("ANALYTICS_BATCH_SIZE", "2")
    const analytics = createAnalytics()
    for (let n = 0; n < 5; n++) analytics.track(track)
    await analytics.close()
    vi.unstubAllGlobals()
    assert.strictEqual(requests.length, 3)
    assert.match(String(requests[0]?.url), /^https:\/\/cdp\.example\/v1\/batch/)
    vi.stubEnv("ANALYTICS_BATCH_SIZE", "many")
    assert.throws(() => createAnalytics(), /ANALYTICS_BATCH_SIZE/)
    vi.stubEnv("ANALYTICS_BATCH_SIZE", "2")
    vi.stubEnv("ANALYTICS_HOST", "http://cdp.example")
    assert.throws(() => createAnalytics(), /ANALYTICS_HOST must be https/)
    vi.stubEnv("ANALYTICS_HOST", "127.0.0.1")
    assert.throws(() => createAnalytics(), /ANALYTICS_HOST must be (?!a string)/)
    vi.stubEnv("ANALYTICS_WRITE_KEY", undefined)
    vi.stubEnv("ANALYTICS_BATCH_SIZE", undefined)
    assert.throws(() => createAnalytics(), /ANALYTICS_WRITE_KEY is not set, and no settings are given/)
  })

  it("headers go with every request, but for those that the transport sets itself", async () => {
    await using analytics = createTestAnalytics({ headers: { "X-Tenant": "a" } })
    analytics.track(track)
    await analytics.flush()
    assert.include(analytics.requests[0]?.headers, { "x-tenant": "a", "content-type": "application/json" })
    for (const headers of [{ Authorization: "x" }, { "a b": "x" }, { a: "ü" }, { a: "b\r\nc: d" }, { Expect: "x" }]) {
      assert.match(refused({ headers }).message, /headers must be/)
    }
  })

  it("transforms compose: redaction, sampling, and one of your own", async () => {
    const transform = compose(redact(["email"]), sample(0.5), (message) => ({
      ...message,
      context: { ...message.context, seen: true }
    }))
    await using analytics = createTestAnalytics({ transform })
    for (let user = 0; user < 200; user++) {
      for (let n = 0; n < 2; n++) analytics.identify({ userId: `user ${user}`, traits: { email: "e", plan: "p" } })
    }
    await analytics.flush()
    const users = Map.groupBy(analytics.sent, ({ userId }) => userId)
    assert.isTrue(Array.from(users.values()).every(({ length }) => length === 2))
    assert.isAbove(users.size, 50)
    assert.isBelow(users.size, 150)
    for (const message of analytics.sent) {
      assert.deepInclude(message, { traits: { plan: "p" } })
      assert.isTrue(message.context.seen)
    }
  })

  it("redact removes fields wherever a call may have them", async () => {
    const analytics = createTestAnalytics({ transform: redact(["email"]) })
    const email = "ada@example.com"
    analytics.track({
      userId: "u1",
      event: "e",
      properties: { email },
      traits: {},
      context: { traits: { email } }
    } as never)
    analytics.identify({ userId: "u1", traits: { email, plan: "free" } })
    await analytics.flush()
    assert.notInclude(JSON.stringify(analytics.sent), email)
    assert.include(JSON.stringify(analytics.sent), "free")
    await analytics.close()
  })

  it.each([10, -1, Number.NaN])("sample refuses %s, which is no share", (share) => {
    assert.throws(() => sample(share), "sample must be a share from 0 to 1")
  })

  it("a switch drops every message while it is off, and can be taken back", async () => {
    const tracking = makeSwitch("no consent")
    const reasons: Array<string> = []
    await using analytics = createTestAnalytics({
      transform: compose(tracking.transform, redact(["email"])),
      onOutcome: (outcome) => {
        if (outcome._tag === "Filtered") reasons.push(outcome.reason)
      }
    })
    const call = (event: string) => analytics.track({ userId: "u1", event })
    call("before")
    tracking.off()
    assert.isTrue(call("without"))
    tracking.on()
    call("after")
    await analytics.flush()
    assert.deepStrictEqual(
      analytics.sent.map((message) => message.type === "track" && message.event),
      ["before", "after"]
    )
    assert.deepStrictEqual(reasons, ["no consent"])
  })

  it("variables that only look like settings are named, with what is meant", async () => {
    const warn = vi.spyOn(console, "warn").mockImplementation(() => {})
    vi.stubEnv("ANALYTICS_WRITE_KEY", "test-write-key")
    vi.stubEnv("ANALYTICS_BATCHSIZE", "5")
    await createAnalytics().close()
    assert.deepStrictEqual(warn.mock.calls, [
      ["effect-analytics: ANALYTICS_BATCHSIZE is not read: did you mean ANALYTICS_BATCH_SIZE?"]
    ])
  })

  it("a test client forgets between two tests", async () => {
    await using analytics = createTestAnalytics()
    analytics.track(track)
    await analytics.flush()
    analytics.reset()
    assert.deepStrictEqual([analytics.sent, analytics.requests], [[], []])
  })
})

describe("createAnalytics: confirmed calls", () => {
  it("wait for the end of their message, and not for what else is queued", async () => {
    const analytics = createTestAnalytics({ batchSize: 1, maxRetries: 0, strict: false, onError: () => {} })
    analytics.respond(200, 400, "network error", "never")
    const all = ["delivered", "rejected", "failed"].map((event) => analytics.confirmed.track({ userId: "u1", event }))
    analytics.track({ userId: "u1", event: "never" })
    const [delivered, rejected, failed] = await Promise.all(all)
    assert.deepStrictEqual(delivered, { delivered: true })
    assert.deepInclude(rejected, { delivered: false, reason: "rejected", status: 400 })
    assert.deepInclude(failed, { delivered: false, reason: "retries-exhausted" })
    assert.strictEqual(analytics.stats().pending, 1)
    await analytics.close({ timeout: 0 })
  })

  it("say why a call was not accepted, and that a message was dropped by the close", async () => {
    const analytics = createTestAnalytics({ strict: false, onError: () => {} })
    analytics.respond("never")
    const invalid = await analytics.confirmed.track({ userId: "u1", event: "" })
    assert.deepInclude(invalid, { delivered: false, reason: "InvalidCall" })
    const lost = analytics.confirmed.track({ userId: "u1", event: "e" })
    await analytics.close({ timeout: 0 })
    assert.deepInclude(await lost, { delivered: false, reason: "closed" })
    assert.deepInclude(await analytics.confirmed.track({ userId: "u1", event: "e" }), { reason: "Closed" })
  })

  it("are about their own client, whatever another one makes of the same id", async () => {
    const call = { userId: "u1", event: "e", messageId: "m1" }
    const one = createTestAnalytics({ onError: () => {} })
    await using other = createTestAnalytics()
    one.respond("never")
    const answer = one.confirmed.track(call)
    assert.deepStrictEqual(await other.confirmed.track(call), { delivered: true })
    await one.close({ timeout: 0 })
    assert.deepInclude(await answer, { delivered: false, reason: "closed" })
  })

  it("have nothing to wait for where transform drops the message", async () => {
    await using analytics = createTestAnalytics({ transform: () => drop("noise") })
    assert.deepStrictEqual(await analytics.confirmed.track({ userId: "u1", event: "e" }), { delivered: true })
  })
})

describe("createAnalytics: what an operator asks", () => {
  it("stats have the oldest pending call, the last failure, and the pause that the API asked for", async () => {
    vi.useFakeTimers({ toFake: ["Date"], now: 5_000 })
    const analytics = createTestAnalytics({ strict: false, onError: () => {} })
    analytics.respond({ status: 429, headers: { "retry-after": "30" } })
    assert.notProperty(analytics.stats(), "oldestPendingAt")
    analytics.track({ userId: "u1", event: "first" })
    vi.setSystemTime(6_000)
    analytics.track({ userId: "u1", event: "second" })
    while (analytics.requests.length === 0) await setImmediate()
    await setImmediate()
    const { lastFailure, limitedUntil, oldestPendingAt } = analytics.stats()
    assert.strictEqual(oldestPendingAt, 5_000)
    assert.deepStrictEqual(lastFailure, { status: 429, at: 6_000 })
    assert.isAbove(limitedUntil ?? 0, 30_000)
    assert.isAtMost(limitedUntil ?? 0, 36_001)
    vi.useRealTimers()
    await analytics.close({ timeout: 0 })
  })

  it("diagnostics_channel publishes batches, losses and refused calls, without payload", async () => {
    const events: Array<unknown> = []
    const listen = (event: unknown) => void events.push(event)
    subscribe("effect-analytics:outcome", listen)
    const analytics = createTestAnalytics({ strict: false, onError: () => {} })
    analytics.respond(200, 401)
    analytics.track(track)
    await analytics.flush()
    analytics.track(track)
    await analytics.flush()
    analytics.track({ userId: "u1", event: "" })
    await analytics.close()
    unsubscribe("effect-analytics:outcome", listen)
    const [delivered, dropped, refused] = events
    const bytes = 300
    assert.containsSubset(delivered, { outcome: "delivered", messages: 1, status: 200, attempts: 1 })
    assert.isAbove((delivered as { readonly bytes: number }).bytes, bytes / 2)
    assert.containsSubset(dropped, {
      outcome: "dropped",
      messages: 1,
      reason: "misconfigured",
      status: 401,
      attempts: 1
    })
    assert.deepStrictEqual(refused, { outcome: "refused", messages: 1, bytes: 0, reason: "InvalidCall" })
    assert.notInclude(JSON.stringify(events), "Purchased")
  })

  it("diagnostics_channel does not hear of calls that a subscriber makes: they would have no end", async () => {
    const heard: Array<string> = []
    const analytics = createTestAnalytics({ strict: false, onError: () => {} })
    const listen = (event: unknown) => {
      heard.push((event as { readonly outcome: string }).outcome)
      analytics.track({ userId: "u1", event: "Heard" })
      analytics.track({ userId: "u1", event: "" })
    }
    subscribe("effect-analytics:outcome", listen)
    analytics.track({ userId: "u1", event: "Signed Up" })
    analytics.track({ userId: "u1", event: "" })
    for (let turn = 0; turn < 5; turn++) await analytics.flush()
    unsubscribe("effect-analytics:outcome", listen)
    assert.deepStrictEqual(heard, ["refused", "delivered"])
    await analytics.close()
  })

  it("a fetch that answers no Response is named, at once, and not tried again", async () => {
    for (const answer of [undefined, { ok: true }]) {
      let calls = 0
      const failures: Array<Failure> = []
      const fetch = async () => {
        calls++
        return answer as unknown as Response
      }
      const onError = (failure: Failure) => void failures.push(failure)
      const analytics = createAnalytics({ writeKey: "test-write-key", fetch, onError, logger: quiet })
      analytics.track(track)
      await analytics.close()
      assert.strictEqual(calls, 1)
      assert.match(failures[0]?.message ?? "", /fetch answered no Response/)
    }
  })

  it("with overflow wait a call is a promise that waits for room: a history of any length is loaded", async () => {
    const { fetch, requests } = recording()
    const analytics = createAnalytics({ writeKey: "test-write-key", fetch, overflow: "wait", maxQueueSize: 10 })
    for (let n = 0; n < 500; n++) assert.isTrue(await analytics.track({ userId: "u1", event: `event ${n}` }))
    await analytics.close()
    assert.include(analytics.stats(), { offered: 500, delivered: 500, rejected: 0 })
    assert.isAbove(requests.length, 1)
  })

  it("flush and close take a deadline, and name one that is none", async () => {
    const analytics = createTestAnalytics({ strict: false, onError: () => {} })
    analytics.respond("never")
    analytics.track(track)
    assert.deepStrictEqual(await analytics.flush({ timeout: 20 }), {
      delivered: 0,
      dropped: 0,
      rejected: 0,
      pending: 1
    })
    const error = await analytics.flush({ timeout: "soon" as never }).catch((thrown) => thrown)
    assert.deepInclude(error, { _tag: "InvalidSetting", setting: "timeout" })
    assert.deepStrictEqual(await analytics.close({ timeout: 20 }), {
      delivered: 0,
      dropped: 1,
      rejected: 0,
      pending: 0
    })
  })
})

describe("createTestAnalytics", () => {
  it("is the real client over a wire that remembers, and is answered from a script", async () => {
    const analytics = createTestAnalytics()
    analytics.respond({ status: 503, headers: { "content-type": "text/plain" }, body: "busy" }, 200)
    analytics.track(track)
    await analytics.flush()
    assert.deepStrictEqual(analytics.sent.map(eventOf), ["Purchased Item"])
    assert.deepStrictEqual(
      analytics.requests.map(({ answer, headers }) => [
        typeof answer === "object" ? answer.status : answer,
        headers["x-retry-count"]
      ]),
      [
        [503, undefined],
        [200, "1"]
      ]
    )
    assert.strictEqual(analytics.requests[0]?.body.writeKey, "test-write-key")
    await analytics.close()
  })

  it("throws at a call that is not valid, unless told otherwise", async () => {
    const strict = createTestAnalytics({ onError: () => {} })
    assert.throws(() => strict.track({ userId: "", event: "e" }), /userId/)
    const lenient = createTestAnalytics({ strict: false, onError: () => {} })
    assert.isFalse(lenient.track({ userId: "", event: "e" }))
    await Promise.all([strict.close(), lenient.close()])
  })

  it("rejects at its close if what was told is not what was counted", async () => {
    const analytics = createTestAnalytics({
      // Who is told holds the very list, and takes a message out of it.
      onOutcome: (outcome) => {
        if (outcome._tag === "Delivered") (outcome.messages as unknown as Array<unknown>).pop()
      }
    })
    analytics.track(track)
    const ended = await analytics.close().then(
      () => "was taken",
      (error: Error) => error.message
    )
    assert.match(ended, /^the reported outcomes differ/)
    await using honest = createTestAnalytics()
    honest.track(track)
  })

  it("reads what is compressed", async () => {
    const analytics = createTestAnalytics({ gzip: true })
    analytics.track(track)
    await analytics.close()
    assert.deepStrictEqual(analytics.sent.map(eventOf), ["Purchased Item"])
  })
})
