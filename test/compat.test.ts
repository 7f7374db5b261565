import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { assert, describe, it, vi } from "@effect/vitest"
import type { Analytics, AnalyticsSettings, Context, HTTPClientRequest, Plugin } from "@segment/analytics-node"
import { different, next, Peer, runHere, same, type Tools } from "./compat/both.ts"

const user = { userId: "u1" } as const
const time = new Date("2026-01-02T03:04:05.678Z")

/** Tracks "event 1", "event 2", …. */
const trackMany = (analytics: Analytics, count: number) => {
  for (let n = 1; n <= count; n++) analytics.track({ ...user, event: `event ${n}` })
}

/** The promise of a callback. */
const called = (call: (callback: (error?: unknown, ctx?: Context) => void) => void) =>
  new Promise<{ readonly error: unknown; readonly ctx: Context | undefined }>((resolve) =>
    call((error, ctx) => resolve({ error, ctx }))
  )

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** What a function throws. */
const thrown = (run: () => unknown): { readonly name: string; readonly message: string; readonly field: unknown } => {
  try {
    run()
  } catch (error) {
    const { field, message, name } = error as Error & { readonly field?: unknown }
    return { name, message, field }
  }
  return assert.fail("nothing was thrown")
}

/** A plugin that notes the events it sees. */
const plugin = (type: Plugin["type"], name: string, hook?: Plugin["track"]): Plugin => ({
  name,
  type,
  version: "1.0.0",
  isLoaded: () => true,
  load: async () => {},
  ...(hook === undefined ? {} : { track: hook, identify: hook, page: hook, screen: hook, group: hook, alias: hook })
})

describe("compat: the six methods reach the peer as those of @segment/analytics-node do", () => {
  it("with all fields", async () => {
    const common = {
      context: { ip: "10.0.0.1", page: { url: "https://example.com" } },
      timestamp: time,
      integrations: { All: false, Mixpanel: true, Amplitude: { sessionId: 5 } },
      anonymousId: "v1"
    }
    const events = await same(async ({ make, peer }) => {
      const analytics = make()
      analytics.identify({ ...common, ...user, messageId: "given 1", traits: { email: "a@example.com", at: time } })
      analytics.track({ ...common, ...user, messageId: "given 2", event: "Ordered", properties: { items: [{ n: 1 }] } })
      analytics.page({ ...common, ...user, messageId: "given 3", name: "Home", category: "Docs", properties: { a: 1 } })
      analytics.screen({
        ...common,
        ...user,
        messageId: "given 4",
        name: "Home",
        category: "Docs",
        properties: { a: 1 }
      })
      analytics.group({ ...common, ...user, messageId: "given 5", groupId: "g1", traits: { employees: 5 } })
      const { anonymousId, ...others } = common
      analytics.alias({ ...others, userId: "u2", previousId: "u1", messageId: "given 6" })
      await analytics.flush()
      return peer.events
    })
    assert.deepStrictEqual(
      events.map(({ type }) => type),
      ["identify", "track", "page", "screen", "group", "alias"]
    )
  })

  it("with as few as possible", async () => {
    const events = await same(async ({ make, peer }) => {
      const analytics = make()
      analytics.identify(user)
      analytics.track({ anonymousId: "v1", event: "Ordered" })
      analytics.page(user)
      analytics.screen({ ...user, name: "Cart" })
      analytics.group({ ...user, groupId: "g1" })
      analytics.alias({ userId: "u2", previousId: "u1" })
      await analytics.flush()
      return peer.events
    })
    assert.strictEqual(events.length, 6)
  })

  it("also when they are handed on without their object", async () => {
    await same(async ({ make, peer }) => {
      const { closeAndFlush, identify, track } = make()
      identify(user)
      track({ ...user, event: "Ordered" })
      await closeAndFlush()
      return peer.events
    })
  })

  it("with null where a field is absent", async () => {
    await same(async ({ make, peer }) => {
      const analytics = make()
      analytics.identify({ ...user, traits: null } as never)
      analytics.group({ ...user, groupId: "g1", traits: null } as never)
      analytics.track({ ...user, event: "e", properties: null } as never)
      analytics.page({ ...user, properties: null, context: null, integrations: null } as never)
      analytics.alias({ userId: "u2", previousId: "u1" })
      await analytics.flush()
      return peer.events
    })
  })

  it("throw at once where the call can never be an event", async () => {
    const errors = await same(async ({ make }) => {
      const analytics = make()
      const wrong = analytics as unknown as Record<string, (call?: unknown) => void>
      return [
        thrown(() => wrong.track?.({ event: "no identity" })),
        thrown(() => wrong.track?.({ userId: 5, event: "a number" })),
        thrown(() => wrong.track?.({ userId: null, anonymousId: undefined, event: "none" })),
        thrown(() => wrong.track?.({ ...user })),
        thrown(() => wrong.track?.({ ...user, event: 5 })),
        thrown(() => wrong.track?.({ ...user, event: "e", properties: [1] })),
        thrown(() => wrong.identify?.({ ...user, traits: "all" })),
        thrown(() => wrong.group?.({ ...user, groupId: "g1", traits: [] })),
        thrown(() => wrong.page?.({ name: "Home" })),
        thrown(() => wrong.alias?.({}))
      ]
    })
    assert.deepStrictEqual(errors[0], {
      name: "Error",
      message: ".userId/anonymousId/previousId/groupId is nil",
      field: ".userId/anonymousId/previousId/groupId"
    })
  })

  it("call their callback with the context of the event", async () => {
    const seen = await same(async ({ make, sdk }) => {
      const analytics = make({ flushAt: 1 })
      const { ctx, error } = await called((callback) => analytics.track({ ...user, event: "Ordered" }, callback))
      const { context, messageId, timestamp, ...event } = { ...ctx?.event }
      assert.isString(messageId)
      assert.instanceOf(timestamp, Date)
      return [error, ctx instanceof sdk.Context, ctx?.failedDelivery(), event.event, event.properties, event.userId]
    })
    assert.deepStrictEqual(seen, [undefined, true, undefined, "Ordered", {}, "u1"])
  })

  it("call their callback with an error if the event is not delivered", async () => {
    const { here, there } = await different(async ({ make, peer }) => {
      const analytics = make({ flushAt: 1 })
      peer.answers.push(400)
      const { ctx, error } = await called((callback) => analytics.track({ ...user, event: "Ordered" }, callback))
      assert.strictEqual(ctx?.failedDelivery()?.reason, error)
      return reasonOf(error)
    })
    assert.strictEqual(there, "[400] Bad Request")
    assert.match(here, /^refused by the API \(status 400, http:.*, 1 attempt\)$/)
  })
})

// ---------------------------------------------------------------------------------------------------------------------

describe("compat: the settings", () => {
  it("writeKey is needed, and travels in the header and the body", async () => {
    await same(async ({ make, peer, sdk }) => {
      const missing = thrown(() => new sdk.Analytics({ writeKey: "" }))
      const analytics = make()
      trackMany(analytics, 1)
      await analytics.flush()
      const [{ body, headers } = assert.fail()] = peer.requests
      return [missing, headers.authorization, headers["content-type"], body.writeKey, Object.keys(body)]
    })
  })

  it("host and path make the address as a URL does", async () => {
    const paths = await same(async ({ make, peer }) => {
      const settings: Array<Partial<AnalyticsSettings>> = [
        {},
        { path: "/v2/events" },
        { path: "v3" },
        { host: `${peer.host}/` },
        { host: `${peer.host}/replaced`, path: "/kept/" }
      ]
      for (const each of settings) {
        const analytics = make(each)
        trackMany(analytics, 1)
        await analytics.flush()
      }
      return peer.requests.map(({ path }) => path)
    })
    assert.deepStrictEqual(paths, ["/v1/batch", "/v2/events", "/v3", "/v1/batch", "/kept"])
  })

  it("host that is no URL throws", async () => {
    await same(async ({ make }) => thrown(() => make({ host: "no url" })).name)
  })

  it.each(["flushAt", "maxEventsInBatch"] as const)("%s is the size of a batch, which then leaves", async (name) => {
    const sizes = await same(async ({ make, peer }) => {
      const analytics = make({ [name]: 3, flushInterval: 60_000 })
      trackMany(analytics, 6)
      await next(analytics, "drained")
      trackMany(analytics, 2)
      await analytics.flush()
      return peer.batchSizes.sort()
    })
    assert.deepStrictEqual(sizes, [2, 3, 3])
  })

  it("flushAt is 15 if it is left out", async () => {
    assert.deepStrictEqual(
      await same(async ({ make, peer }) => {
        const analytics = make()
        trackMany(analytics, 15)
        await next(analytics, "drained")
        return peer.batchSizes
      }),
      [15]
    )
  })

  it("flushAt below 1 is 1", async () => {
    assert.deepStrictEqual(
      await same(async ({ make, peer }) => {
        const analytics = make({ flushAt: 0 })
        trackMany(analytics, 2)
        await next(analytics, "drained")
        return peer.batchSizes
      }),
      [1, 1]
    )
  })

  it("flushInterval is how long a batch waits for more", async () => {
    assert.deepStrictEqual(
      await same(async ({ make, peer }) => {
        const analytics = make({ flushInterval: 50 })
        trackMany(analytics, 2)
        await next(analytics, "drained")
        return peer.batchSizes
      }),
      [2]
    )
  })

  it("maxRetries counts what comes after the first attempt, which the header says", async () => {
    const attempts = await same(async ({ make, peer }) => {
      const analytics = make({ flushAt: 1, maxRetries: 1 })
      peer.answers.push(503, 500)
      const { error } = await called((callback) => analytics.track({ ...user, event: "Ordered" }, callback))
      return [error instanceof Error, peer.requests.map(({ headers }) => headers["x-retry-count"])]
    })
    assert.deepStrictEqual(attempts, [true, [undefined, "1"]])
  })

  it("maxRetries and durations may be Infinity, maxRetries below 0 is 0", async () => {
    const seen = await same(async ({ make, peer }) => {
      const forever = { maxRetries: Infinity, maxTotalBackoffDuration: Infinity, maxRateLimitDuration: Infinity }
      peer.answers.push(503)
      const ends = []
      for (const settings of [forever, { maxRetries: -1 }]) {
        const analytics = make({ flushAt: 1, ...settings })
        const { error } = await called((callback) => analytics.track({ ...user, event: "e" }, callback))
        ends.push(error, peer.requests.length)
        peer.answers.push(503)
      }
      return [ends[0], ends[1], ends[3]]
    })
    assert.deepStrictEqual(seen.slice(0, 2), [undefined, 2])
  })

  it.each([
    200, 204, 401, 403, 404, 408, 409, 410, 422, 429, 451, 460, 499, 500, 501, 502, 503, 504, 505, 507, 511, 520, 599,
    700
  ])("of the statuses, %i is tried again or is not", async (status) => {
    await same(async ({ make, peer }) => {
      const analytics = make({ flushAt: 1, maxRetries: 1 })
      peer.answers.push(status)
      const { error } = await called((callback) => analytics.track({ ...user, event: "e" }, callback))
      return [error === undefined, peer.requests.length]
    })
  })

  it("httpRequestTimeout ends an attempt, which is tried again", async () => {
    assert.deepStrictEqual(
      await same(async ({ make, peer }) => {
        const analytics = make({ flushAt: 1, httpRequestTimeout: 100 })
        peer.answers.push({ status: 200, delay: 2_000 })
        const { error } = await called((callback) => analytics.track({ ...user, event: "Ordered" }, callback))
        return [error, peer.requests.length]
      }),
      [undefined, 2]
    )
  })

  it("disable sends nothing, and everything counts as delivered", async () => {
    assert.deepStrictEqual(
      await same(async ({ make, peer }) => {
        const analytics = make({ disable: true, flushAt: 1 })
        const requests: Array<unknown> = []
        analytics.on("http_request", (request) => requests.push(request))
        const { error } = await called((callback) => analytics.track({ ...user, event: "Ordered" }, callback))
        return [error, peer.requests.length, requests]
      }),
      [undefined, 0, []]
    )
  })

  it("httpClient as a function is called as fetch is", async () => {
    const [calls] = await same(async ({ make }) => {
      const calls: Array<unknown> = []
      const analytics = make({
        host: "https://example.com",
        flushAt: 1,
        httpClient: async (url, { body, headers, method, signal }) => {
          const { "User-Agent": agent, ...others } = headers
          assert.isString(agent)
          assert.isFalse(signal.aborted)
          calls.push([url, method, others, JSON.parse(body).batch.length])
          return { status: 200, statusText: "OK" }
        }
      })
      const { error } = await called((callback) => analytics.track({ ...user, event: "Ordered" }, callback))
      return [calls, error]
    })
    assert.deepStrictEqual(calls, [
      [
        "https://example.com/v1/batch",
        "POST",
        { "Content-Type": "application/json", Authorization: `Basic ${btoa("test-write-key:")}` },
        1
      ]
    ])
  })

  it("httpClient as an object makes the requests; what it rejects with is tried again", async () => {
    const [requests] = await same(async ({ make }) => {
      const requests: Array<unknown> = []
      class Client {
        readonly statuses = [0, 503, 201]
        async makeRequest({ httpRequestTimeout, method, url }: HTTPClientRequest) {
          requests.push({ url, method, httpRequestTimeout })
          const status = this.statuses.shift() ?? 500
          if (status === 0) throw new Error("no network")
          return { status, statusText: "", headers: { "X-A": 1 }, text: async () => "ok" }
        }
      }
      const analytics = make({
        host: "https://example.com",
        flushAt: 1,
        httpRequestTimeout: 5_000,
        httpClient: new Client()
      })
      const { error } = await called((callback) => analytics.track({ ...user, event: "Ordered" }, callback))
      return [requests, error]
    })
    assert.deepStrictEqual(
      requests,
      Array.from({ length: 3 }, () => ({
        url: "https://example.com/v1/batch",
        method: "POST",
        httpRequestTimeout: 5_000
      }))
    )
  })

  it("FetchHTTPClient makes a request by itself", async () => {
    await same(async ({ peer, sdk }) => {
      const request = { url: `${peer.host}/x`, method: "POST" as const, headers: {}, body: `{"batch":[]}` }
      const response = await new sdk.FetchHTTPClient().makeRequest({ ...request, httpRequestTimeout: 1_000 })
      const own = await new sdk.FetchHTTPClient(async (url) => ({ status: 202, statusText: url })).makeRequest({
        ...request,
        url: "own",
        httpRequestTimeout: 1_000
      })
      return [response.status, await response.text?.(), own, peer.requests.map(({ path }) => path)]
    })
  })

  it("maxTotalBackoffDuration ends the retries of a batch", async () => {
    assert.isTrue(
      await same(async ({ make, peer }) => {
        const analytics = make({ flushAt: 1, maxRetries: 100, maxTotalBackoffDuration: 0 })
        peer.answers.push(503, 503, 503)
        const { error } = await called((callback) => analytics.track({ ...user, event: "Ordered" }, callback))
        return error instanceof Error && peer.requests.length === 2
      })
    )
  })

  it("maxRateLimitDuration ends the wait for the end of a limit, without a request", async () => {
    assert.deepStrictEqual(
      await same(async ({ make, peer }) => {
        const analytics = make({ flushAt: 1, maxRateLimitDuration: 1 })
        peer.answers.push({ status: 429, headers: { "retry-after": "60" } })
        const { error } = await called((callback) => analytics.track({ ...user, event: "Ordered" }, callback))
        return [error instanceof Error, peer.requests.length]
      }),
      [true, 1]
    )
  })
})

// ---------------------------------------------------------------------------------------------------------------------

describe("compat: the events of the emitter", () => {
  it.each(["identify", "track", "page", "screen", "group", "alias"] as const)(
    "%s comes with the context when such an event is delivered",
    async (type) => {
      const seen = await same(async ({ make }) => {
        const analytics = make()
        const seen: Array<unknown> = []
        analytics.on(type, (ctx) => seen.push([ctx.event.type, ctx.failedDelivery()]))
        analytics.track({ ...user, event: "Ordered" })
        analytics.identify(user)
        analytics.page(user)
        analytics.screen(user)
        analytics.group({ ...user, groupId: "g1" })
        analytics.alias({ userId: "u2", previousId: "u1" })
        await analytics.flush()
        return seen
      })
      assert.deepStrictEqual(seen, [[type, undefined]])
    }
  )

  it("error comes with the code, the reason and the context of an event that is not delivered", async () => {
    const seen = await same(async ({ make, peer }) => {
      const analytics = make({ flushAt: 2 })
      peer.answers.push(400, 400, 400)
      const seen: Array<unknown> = []
      analytics.on("track", () => seen.push("delivered"))
      analytics.on("error", ({ code, ctx, reason }) => seen.push([code, reason instanceof Error, ctx?.event.event]))
      trackMany(analytics, 2)
      await next(analytics, "drained")
      return seen
    })
    assert.deepStrictEqual(seen, [
      ["delivery_failure", true, "event 1"],
      ["delivery_failure", true, "event 2"]
    ])
  })

  it("http_request and http_response come with each attempt; here without the write key", async () => {
    const { here, there } = await different(async ({ make, peer }) => {
      const analytics = make({ flushAt: 1 })
      peer.answers.push({ status: 503, headers: { "X-Peer": "yes" } })
      const seen: Array<unknown> = []
      analytics.on("http_request", ({ body, headers, method, url }) => {
        const { batch, writeKey } = JSON.parse(body)
        seen.push([method, url.replace(peer.host, ""), headers.Authorization, headers["X-Retry-Count"], writeKey])
        assert.strictEqual(batch[0].event, `"writeKey":"test-write-key"`)
      })
      analytics.on("http_response", ({ body, headers, status, statusText, url }) => {
        seen.push([status, statusText, url.replace(peer.host, ""), headers["x-peer"], JSON.parse(body).writeKey])
      })
      await called((callback) => analytics.track({ ...user, event: `"writeKey":"test-write-key"` }, callback))
      return seen
    })
    const exchanges = (authorization: string, key: string) => [
      ["POST", "/v1/batch", authorization, undefined, key],
      [503, "Service Unavailable", "/v1/batch", "yes", key],
      ["POST", "/v1/batch", authorization, "1", key],
      [200, "OK", "/v1/batch", undefined, key]
    ]
    assert.deepStrictEqual(there, exchanges(`Basic ${btoa("test-write-key:")}`, "test-write-key"))
    assert.deepStrictEqual(here, exchanges("[redacted]", "[redacted]"))
  })

  it("call_after_close comes at once, with the event; nothing is sent", async () => {
    const seen = await same(async ({ make, peer }) => {
      const analytics = make()
      const seen: Array<unknown> = []
      analytics.on("call_after_close", (event) => seen.push([event.type, event.event]))
      await analytics.closeAndFlush()
      analytics.track({ ...user, event: "too late" })
      return [...seen, peer.requests.length]
    })
    assert.deepStrictEqual(seen, [["track", "too late"], 0])
  })

  it("drained comes when no event is left, callbacks included", async () => {
    const seen = await same(async ({ make }) => {
      const analytics = make({ flushAt: 2 })
      const seen: Array<unknown> = []
      analytics.on("drained", () => seen.push("drained"))
      const drained = next(analytics, "drained")
      analytics.track({ ...user, event: "e" }, () => seen.push("callback"))
      analytics.track({ ...user, event: "e" })
      await drained
      return seen
    })
    assert.deepStrictEqual(seen, ["callback", "drained"])
  })

  it("register and deregister come with the names; the first is the client's own destination", async () => {
    const seen = await same(async ({ make }) => {
      const analytics = make()
      const seen: Array<unknown> = []
      analytics.on("register", (names) => seen.push(["register", names]))
      analytics.on("deregister", (names) => seen.push(["deregister", names]))
      await analytics.ready
      await analytics.register(plugin("before", "one"), plugin("after", "two"))
      await analytics.deregister("one", "nobody")
      return seen
    })
    assert.deepStrictEqual(seen, [
      ["register", ["Segment.io"]],
      ["register", ["one", "two"]],
      ["deregister", ["one", "nobody"]]
    ])
  })

  it("initialize and flush can be listened to, and do not come", async () => {
    const seen = await same(async ({ make }) => {
      const analytics = make()
      const seen: Array<unknown> = []
      analytics.on("initialize", () => seen.push("initialize"))
      analytics.on("flush" as never, () => seen.push("flush"))
      trackMany(analytics, 1)
      await analytics.flush()
      await analytics.closeAndFlush()
      return seen
    })
    assert.deepStrictEqual(seen, [])
  })

  it("reach all listeners in order, once those of once, none that off has removed; all three answer the client", async () => {
    const seen = await same(async ({ make }) => {
      const analytics = make({ flushAt: 1 })
      const seen: Array<unknown> = []
      const removed = () => seen.push("removed")
      const answers = [
        analytics.on("track", () => seen.push("on")),
        analytics.once("track", () => seen.push("once")),
        analytics.on("track", removed),
        analytics.off("track", removed)
      ]
      for (const n of [1, 2]) {
        trackMany(analytics, n)
        await next(analytics, "drained")
      }
      return [seen, answers.every((answer) => answer === analytics)]
    })
    assert.deepStrictEqual(seen, [["on", "once", "on", "on"], true])
  })

  it("a listener that throws is an error with the code unknown, and ends nothing", async () => {
    const seen = await same(async ({ make, peer }) => {
      const analytics = make({ flushAt: 1 })
      const seen: Array<unknown> = []
      analytics.on("error", ({ code, ctx, reason }) => seen.push([code, reasonOf(reason), ctx]))
      analytics.once("track", () => {
        throw new Error("of a listener")
      })
      trackMany(analytics, 1)
      await next(analytics, "drained")
      trackMany(analytics, 1)
      await next(analytics, "drained")
      return [seen, peer.requests.length]
    })
    assert.deepStrictEqual(seen, [[["unknown", "of a listener", undefined]], 2])
  })
})

// ---------------------------------------------------------------------------------------------------------------------

describe("compat: plugins", () => {
  it("before, enrichment, destination and after see an event in this order; utility sees none", async () => {
    const seen = await same(async ({ make }) => {
      const analytics = make()
      const seen: Array<unknown> = []
      const note = (type: Plugin["type"], name: string) =>
        plugin(type, name, async (ctx) => {
          await Promise.resolve()
          seen.push([name, ctx.event.event])
          return ctx
        })
      await analytics.register(
        note("utility", "utility"),
        note("after", "after"),
        note("destination", "destination"),
        note("enrichment", "enrichment 1"),
        note("before", "before 1"),
        note("enrichment", "enrichment 2"),
        note("before", "before 2")
      )
      analytics.track({ ...user, event: "Ordered" })
      await analytics.flush()
      return seen
    })
    assert.deepStrictEqual(
      seen,
      ["before 1", "before 2", "enrichment 1", "enrichment 2", "destination", "after"].map((name) => [name, "Ordered"])
    )
  })

  it.each(["before", "enrichment"] as const)("%s changes what is sent", async (type) => {
    const events = await same(async ({ make, peer }) => {
      const analytics = make()
      await analytics.register(
        plugin(type, "changes", (ctx) => {
          ctx.updateEvent("properties.list.0.deep", 1)
          ctx.updateEvent("context.app", { name: "shop" })
          ctx.updateEvent("context.app.version", "1.2.3")
          ctx.updateEvent("integrations.Off", { on: true })
          ctx.updateEvent("integrations.On", { on: true })
          ctx.updateEvent("properties.__proto__.polluted", true)
          ctx.event.userId = "u2"
          return ctx
        })
      )
      analytics.track({ ...user, event: "Ordered", integrations: { Off: false } })
      await analytics.flush()
      return peer.events
    })
    assert.deepInclude(events[0], {
      userId: "u2",
      properties: { list: [{ deep: 1 }] },
      integrations: { Off: false, On: { on: true } },
      context: { app: { name: "shop", version: "1.2.3" } }
    })
  })

  it.each([undefined, null])("one that sets messageId to %s does not keep its event from an end", async (messageId) => {
    const seen = await same(async ({ make, peer }) => {
      const analytics = make()
      await analytics.register(
        plugin("enrichment", "removes", (ctx) => {
          Object.assign(ctx.event, { messageId })
          return ctx
        })
      )
      const ended = called((callback) => analytics.track({ ...user, event: "Ordered" }, callback))
      await analytics.closeAndFlush()
      return [(await ended).error, peer.events[0]?.event]
    })
    assert.deepStrictEqual(seen, [undefined, "Ordered"])
  })

  it("one that makes something else of a call loses it, and here that is told", async () => {
    const { here, there } = await different(async ({ make }) => {
      const analytics = make()
      await analytics.register(
        plugin("enrichment", "changes", (ctx) => {
          Object.assign(ctx.event, { type: "other" })
          return ctx
        })
      )
      const ended = called((callback) => analytics.track({ ...user, event: "Ordered" }, callback))
      await analytics.closeAndFlush()
      const { error } = await ended
      return error === undefined ? "no error" : reasonOf(error)
    })
    assert.strictEqual(there, "no error")
    assert.strictEqual(here, ".type is none of the six calls")
  })

  it.each(["before", "enrichment"] as const)("%s may answer with another context", async (type) => {
    const seen = await same(async ({ make, peer, sdk }) => {
      const analytics = make()
      await analytics.register(plugin(type, "replaces", (ctx) => new sdk.Context({ ...ctx.event, event: "replaced" })))
      const { ctx } = await called((callback) => {
        analytics.track({ ...user, event: "Ordered" }, callback)
        void analytics.flush()
      })
      return [ctx?.event.event, peer.events[0]?.event]
    })
    assert.deepStrictEqual(seen, ["replaced", "replaced"])
  })

  it.each([
    [
      "throws",
      () => {
        throw new Error("no consent")
      }
    ],
    [
      "rejects",
      async () => {
        throw new Error("no consent")
      }
    ],
    ["cancels with an error", (ctx: Context) => ctx.cancel(new Error("no consent"))],
    ["cancels", (ctx: Context) => ctx.cancel()]
  ] satisfies Array<[string, Plugin["track"]]>)("before that %s ends the event, which is told", async (_, hook) => {
    const seen = await same(async ({ make, peer }) => {
      const analytics = make({ flushAt: 1 })
      await analytics.register(plugin("before", "consent", hook))
      const seen: Array<unknown> = []
      const tell = (reason: unknown) =>
        reason instanceof Error ? reason.message : { ...(reason as Record<string, unknown>) }
      analytics.on("error", ({ code, ctx, reason }) => seen.push([code, tell(reason), ctx?.event.event]))
      const { error } = await called((callback) => analytics.track({ ...user, event: "Ordered" }, callback))
      await Promise.resolve()
      return [seen, tell(error), peer.requests.length]
    })
    assert.strictEqual(seen[2], 0)
    assert.strictEqual((seen[0] as Array<unknown>).length, 1)
  })

  it.each(["enrichment", "destination", "after"] as const)("%s that throws ends nothing", async (type) => {
    const seen = await same(async ({ make, peer }) => {
      const analytics = make()
      const errors: Array<unknown> = []
      analytics.on("error", (error) => errors.push(error))
      await analytics.register(
        plugin(type, "fails", () => {
          throw new Error("broken")
        })
      )
      const delivered = next(analytics, "track")
      analytics.track({ ...user, event: "Ordered" })
      void analytics.flush()
      const [ctx] = (await delivered) as [Context]
      return [
        peer.events.length,
        errors,
        ctx.logs().some(({ level, message }) => level === "error" && message === "plugin Error")
      ]
    })
    assert.deepStrictEqual(seen, [1, [], true])
  })

  it("enrichment that cancels ends nothing, and is in the log as a warning", async () => {
    const seen = await same(async ({ make, peer }) => {
      const analytics = make({ flushAt: 1 })
      await analytics.register(plugin("enrichment", "cancels", (ctx) => ctx.cancel()))
      const { ctx, error } = await called((callback) => analytics.track({ ...user, event: "e" }, callback))
      const warnings = ctx?.logs().filter(({ level }) => level === "warn" || level === "error")
      return [error, peer.events.length, warnings?.map(({ level, message }) => [level, message])]
    })
    assert.deepStrictEqual(seen, [undefined, 1, [["warn", "plugin Error"]]])
  })

  it("after comes after the delivery, and knows whether it failed", async () => {
    const seen = await same(async ({ make, peer }) => {
      const analytics = make({ flushAt: 1 })
      const seen: Array<unknown> = []
      await analytics.register(
        plugin("after", "audit", (ctx) => {
          seen.push([
            peer.requests.length,
            ctx.failedDelivery() !== undefined,
            ctx.event.context?.library !== undefined
          ])
          return ctx
        })
      )
      peer.answers.push(200, 400)
      for (const _ of [1, 2]) {
        trackMany(analytics, 1)
        await next(analytics, "drained")
      }
      return seen
    })
    assert.deepStrictEqual(seen, [
      [1, false, true],
      [2, true, true]
    ])
  })

  it("integrations switch destinations off, by each of their names; All does not switch off the client itself", async () => {
    const seen = await same(async ({ make, peer }) => {
      const analytics = make({ flushInterval: 500 })
      const seen: Array<unknown> = []
      const note = (name: string, alternativeNames: Array<string> = []): Plugin => ({
        ...plugin("destination", name, (ctx) => {
          seen.push(`${name}: ${ctx.event.event}`)
          return ctx
        }),
        alternativeNames
      })
      await analytics.register(note("A"), note("B", ["B by another name"]))
      analytics.track({ ...user, event: "all" })
      analytics.track({ ...user, event: "none", integrations: { All: false } })
      analytics.track({ ...user, event: "only A", integrations: { All: false, A: {} } })
      analytics.track({ ...user, event: "not B", integrations: { "B by another name": false } })
      analytics.track({ ...user, event: "not us", integrations: { "Segment.io": false } })
      await analytics.flush()
      return [seen.sort(), peer.events.map(({ event }) => event)]
    })
    assert.deepStrictEqual(seen, [
      ["A: all", "A: not B", "A: not us", "A: only A", "B: all", "B: not us"],
      ["all", "none", "only A", "not B"]
    ])
  })

  it("events wait until plugins are loaded, which get the client; destinations need not be", async () => {
    const seen = await same(async ({ make, peer }) => {
      const analytics = make({ flushAt: 1 })
      const seen: Array<unknown> = []
      let finish = () => {}
      const loading = new Promise<void>((resolve) => {
        finish = resolve
      })
      const registered = analytics.register(
        {
          ...plugin("enrichment", "slow"),
          load: (_, instance) => loading.then(() => seen.push(instance === analytics))
        },
        { ...plugin("destination", "slower"), load: () => new Promise(() => {}) }
      )
      trackMany(analytics, 1)
      await new Promise((resolve) => setTimeout(resolve, 20))
      seen.push(peer.requests.length)
      finish()
      await registered
      await next(analytics, "drained")
      seen.push(peer.requests.length)
      return seen
    })
    assert.deepStrictEqual(seen, [0, true, 1])
  })

  it.each(["before", "destination"] as const)("%s that does not load is left out, which is said", async (type) => {
    const warn = vi.spyOn(console, "warn").mockImplementation(() => {})
    const seen = await same(async ({ make, peer }) => {
      const analytics = make()
      const used: Array<unknown> = []
      await analytics.register({
        ...plugin(type, "broken", (ctx) => {
          used.push(ctx)
          return ctx
        }),
        load: async () => {
          throw new Error("no licence")
        }
      })
      trackMany(analytics, 1)
      await analytics.flush()
      return [used, peer.events.length]
    })
    assert.deepStrictEqual(seen, [[], 1])
    assert.strictEqual(warn.mock.calls.length, 2)
    for (const words of warn.mock.calls) assert.match(words.join(" "), /broken.*no licence/s)
  })

  it("a plugin that is deregistered is unloaded and sees no event; one that does not unload stays", async () => {
    vi.spyOn(console, "warn").mockImplementation(() => {})
    const seen = await same(async ({ make }) => {
      const analytics = make()
      const seen: Array<unknown> = []
      const note = (name: string, unload: () => unknown): Plugin => ({
        ...plugin("before", name, (ctx) => {
          seen.push(name)
          return ctx
        }),
        unload
      })
      await analytics.register(
        note("gone", () => seen.push("unloaded")),
        note("stays", () => Promise.reject(new Error("not now")))
      )
      await analytics.deregister("gone", "stays")
      trackMany(analytics, 1)
      await analytics.flush()
      return seen
    })
    assert.deepStrictEqual(seen, ["unloaded", "stays"])
  })

  it("keep the order of the events", async () => {
    const events = await same(async ({ make, peer }) => {
      const analytics = make()
      void analytics.register(plugin("enrichment", "waits", async (ctx) => ctx))
      trackMany(analytics, 10)
      await analytics.flush()
      return peer.events.map(({ event }) => event)
    })
    assert.deepStrictEqual(events[9], "event 10")
  })
})

// ---------------------------------------------------------------------------------------------------------------------

describe("compat: flush and close", () => {
  it("flush waits for deliveries and callbacks, and answers nothing", async () => {
    const seen = await same(async ({ make, peer }) => {
      const analytics = make()
      const seen: Array<unknown> = []
      analytics.track({ ...user, event: "e" }, async () => {
        await new Promise((resolve) => setTimeout(resolve, 20))
        seen.push("callback")
      })
      const answer = await analytics.flush()
      analytics.track({ ...user, event: "e" })
      await analytics.flush({ timeout: 5_000 })
      return [...seen, answer, peer.batchSizes]
    })
    assert.deepStrictEqual(seen, ["callback", undefined, [1, 1]])
  })

  it("flush waits for events in plugins", async () => {
    const sizes = await same(async ({ make, peer }) => {
      const analytics = make({ flushInterval: 60_000 })
      await analytics.register(
        plugin("enrichment", "waits", async (ctx) => {
          await new Promise((resolve) => setTimeout(resolve, 20))
          return ctx
        })
      )
      trackMany(analytics, 3)
      await analytics.flush()
      return peer.events.length
    })
    assert.strictEqual(sizes, 3)
  })

  it("flush of nothing is done at once, also after a close", async () => {
    await same(async ({ make, peer }) => {
      const analytics = make()
      await analytics.flush()
      await analytics.closeAndFlush()
      await analytics.closeAndFlush()
      await analytics.flush()
      return peer.requests.length
    })
  })

  it.each([
    ["closeAndFlush()", (analytics: Analytics) => analytics.closeAndFlush()],
    ["flush({ close: true })", (analytics: Analytics) => analytics.flush({ close: true })]
  ] as const)("%s takes no more events, and delivers those that are there", async (_, close) => {
    const seen = await same(async ({ make, peer }) => {
      const analytics = make()
      trackMany(analytics, 2)
      const closed = close(analytics)
      analytics.track({ ...user, event: "too late" })
      await closed
      return peer.events.map(({ event }) => event)
    })
    assert.deepStrictEqual(seen, ["event 1", "event 2"])
  })

  it("closeAndFlush({ timeout }) ends in time; the callback of what is left gets an error", async () => {
    const seen = await same(async ({ make, peer }) => {
      const analytics = make()
      peer.answers.push(...Array.from({ length: 20 }, () => 503))
      const failed = called((callback) => analytics.track({ ...user, event: "e" }, callback))
      const startedAt = performance.now()
      await analytics.closeAndFlush({ timeout: 200 })
      const took = performance.now() - startedAt
      const { ctx, error } = await failed
      return [took >= 190 && took < 1_500, error instanceof Error, ctx?.failedDelivery()?.reason === error]
    })
    assert.deepStrictEqual(seen, [true, true, true])
  })
})

// ---------------------------------------------------------------------------------------------------------------------

describe("compat: the process", () => {
  it("lives until its events are delivered, and then ends by itself", async () => {
    const peer = await new Peer().start()
    const program = fileURLToPath(new URL("programs/endsCompat.ts", import.meta.url))
    await promisify(execFile)(process.execPath, [program, peer.host], { timeout: 20_000 })
    peer.stop()
    assert.deepStrictEqual(peer.batchSizes, [1])
  })
})

// ---------------------------------------------------------------------------------------------------------------------

describe("compat: what @segment/analytics-node loses in silence is told here", () => {
  /** Whether an event counts as delivered, and whether the peer has it. */
  const endOf =
    (act: (tools: Tools, analytics: Analytics, callback: (error?: unknown) => void) => unknown, settings = {}) =>
    async (tools: Tools) => {
      const analytics = tools.make({ flushAt: 1, ...settings })
      const { error } = await called((callback) => void act(tools, analytics, callback))
      return { delivered: error === undefined, sent: tools.peer.events.length > 0 }
    }
  const silentlyLost = { delivered: true, sent: false }
  const told = { delivered: false, sent: false }

  it("an event that is no JSON", async () => {
    const circular: Record<string, unknown> = {}
    circular.self = circular
    const { here, there } = await different(
      endOf((_, analytics, callback) => analytics.track({ ...user, event: "e", properties: circular }, callback))
    )
    assert.deepStrictEqual([there, here], [silentlyLost, told])
  })

  it("an event that the API would not take: it answers 200, and drops it", async () => {
    const { here, there } = await different(
      endOf((_, analytics, callback) => analytics.track({ userId: " ", event: "e" }, callback))
    )
    assert.deepStrictEqual([there, here], [{ delivered: true, sent: true }, told])
  })

  it("an answer that is a redirect", async () => {
    const redirected = endOf(({ peer }, analytics, callback) => {
      peer.answers.push({ status: 304 })
      analytics.track({ ...user, event: "e" }, callback)
    })
    const { here, there } = await different(redirected)
    assert.deepStrictEqual([there.delivered, here.delivered], [true, false])
  })

  it.each([
    ["an HTML page", { status: 200, headers: { "content-type": "text/html" } }],
    ["success: false", { status: 201 }]
  ])("an answer that is %s", async (_, answer) => {
    const { here, there } = await different(
      endOf(
        ({ peer }, analytics, callback) => {
          peer.answers.push(answer)
          analytics.track({ ...user, event: "e" }, callback)
        },
        { maxRetries: 0 }
      )
    )
    assert.deepStrictEqual([there.delivered, here.delivered], [true, false])
  })

  it("an event whose request a listener of http_request would prevent", async () => {
    const { here, there } = await different(
      endOf(
        (_, analytics, callback) => {
          analytics.on("http_request", () => {
            throw new Error("of a listener")
          })
          analytics.track({ ...user, event: "e" }, callback)
        },
        { maxRetries: 0 }
      )
    )
    assert.deepStrictEqual([there, here], [told, { delivered: true, sent: true }])
  })

  it.each([
    ["425", { status: 425 }, 1],
    ["Retry-After with 503", { status: 503, headers: { "retry-after": "1" } }, 0]
  ])("a batch that is answered %s", async (_, answer, maxRetries) => {
    const { here, there } = await different(
      endOf(
        ({ peer }, analytics, callback) => {
          peer.answers.push(answer)
          analytics.track({ ...user, event: "e" }, callback)
        },
        { maxRetries }
      )
    )
    assert.deepStrictEqual([there.delivered, here.delivered], [false, true])
  })

  it("an event with a bigint", async () => {
    const { here, there } = await different(
      endOf((_, analytics, callback) => analytics.track({ ...user, event: "e", properties: { n: 1n } }, callback))
    )
    assert.deepStrictEqual([there, here], [silentlyLost, { delivered: true, sent: true }])
  })

  it("the batch of an event that the API refuses: the others are delivered", async () => {
    const { here, there } = await different(async ({ make, peer }) => {
      const analytics = make({ flushAt: 2 })
      // The batch; then, here, each of its halves.
      peer.answers.push(400, 400, 200)
      const ends = ["refused", "good"].map((event) =>
        called((callback) => analytics.track({ ...user, event }, callback))
      )
      return (await Promise.all(ends)).map(({ error }) => error === undefined)
    })
    assert.deepStrictEqual(
      [there, here],
      [
        [false, false],
        [false, true]
      ]
    )
  })

  it("a call after the close, by its callback", async () => {
    const { here } = await different(async ({ make }) => {
      const analytics = make()
      await analytics.closeAndFlush()
      const end = called((callback) => analytics.track({ ...user, event: "e" }, callback)).then(({ error }) =>
        reasonOf(error)
      )
      return Promise.race([end, new Promise((resolve) => setTimeout(resolve, 500, "no callback"))])
    })
    assert.strictEqual(here, "the client is closed")
  })

  it("a flush with a timeout keeps what it could not deliver", async () => {
    const { here, there } = await different(async ({ make, peer }) => {
      const analytics = make()
      peer.answers.push(503)
      const end = called((callback) => analytics.track({ ...user, event: "e" }, callback))
      await analytics.flush({ timeout: 100 })
      return (await end).error === undefined
    })
    assert.deepStrictEqual([there, here], [false, true])
  })

  it("flushes may overlap", async () => {
    vi.spyOn(console, "warn").mockImplementation(() => {})
    const { here, there } = await different(async ({ make, peer }) => {
      const analytics = make()
      peer.answers.push({ status: 200, delay: 100 })
      trackMany(analytics, 1)
      let isDelivered = false
      analytics.on("track", () => {
        isDelivered = true
      })
      void analytics.flush()
      await analytics.flush()
      return isDelivered
    })
    assert.deepStrictEqual([there, here], [false, true])
  })

  it("the program's object may change after the call, and plugins change none of it", async () => {
    const { here, there } = await different(async ({ make, peer }) => {
      const analytics = make()
      await analytics.register(
        plugin("before", "adds", (ctx) => {
          ctx.updateEvent("properties.added", true)
          return ctx
        })
      )
      const properties: Record<string, unknown> = { n: 1 }
      analytics.track({ ...user, event: "e", properties })
      properties.n = 2
      await analytics.flush()
      return [peer.events[0]?.properties, properties]
    })
    assert.deepStrictEqual(there, [
      { n: 2, added: true },
      { n: 2, added: true }
    ])
    assert.deepStrictEqual(here, [{ n: 1, added: true }, { n: 2 }])
  })

  it("an event that is too large: sizes are those of the UTF-8 text", async () => {
    const { here, there } = await different(async ({ make }) => {
      const analytics = make({ flushAt: 1 })
      const properties = { text: "a".repeat(40_000) }
      return reasonOf(
        (await called((callback) => analytics.track({ ...user, event: "e", properties }, callback))).error
      )
    })
    assert.strictEqual(there, "undefined")
    assert.match(here, /^track "e": the message is 40\d{3} bytes, the limit is 32768$/)
  })

  it("a before plugin that answers nothing ends the event, with a reason of its own", async () => {
    const seen = await runHere(async ({ make, peer }) => {
      const analytics = make({ flushAt: 1 })
      await analytics.register(plugin("before", "forgets", () => undefined as never))
      const { error } = await called((callback) => analytics.track({ ...user, event: "e" }, callback))
      return [(error as { readonly reason?: unknown }).reason, peer.requests.length]
    })
    assert.deepStrictEqual(seen, ["Context Cancel", 0])
  })

  it("the queue has a bound, events in plugins included; who is refused learns it", async () => {
    const seen = await runHere(async ({ make, peer }) => {
      const analytics = make({ maxQueueSize: 2 } as object)
      const errors: Array<unknown> = []
      analytics.on("error", ({ reason }) => errors.push(reasonOf(reason)))
      trackMany(analytics, 3)
      await analytics.flush()
      await analytics.register(plugin("enrichment", "waits", async (ctx) => ctx))
      trackMany(analytics, 3)
      await analytics.flush()
      return [errors, peer.events.length]
    })
    const full = "the queue is full (maxQueueSize 2)"
    assert.deepStrictEqual(seen, [[full, full], 4])
  })

  it("without a callback and a listener a loss is logged; with one of them it is not", async () => {
    const warn = vi.spyOn(console, "warn").mockImplementation(() => {})
    await runHere(async ({ make, peer }) => {
      const analytics = make({ flushAt: 1 })
      peer.answers.push(400, 400, 400)
      await called((callback) => analytics.track({ ...user, event: "e" }, callback))
      const listener = () => {}
      analytics.on("error", listener)
      trackMany(analytics, 1)
      await analytics.flush()
      assert.deepStrictEqual(warn.mock.calls, [])
      analytics.off("error", listener)
      trackMany(analytics, 1)
      await analytics.flush()
    })
    assert.strictEqual(warn.mock.calls.length, 1)
    assert.match(String(warn.mock.calls[0]), /^effect-analytics: 1 message was lost: refused by the API \(status 400/)
  })

  it("an event whose id the program gave twice has two ends", async () => {
    const seen = await same(async ({ make }) => {
      const analytics = make({ flushAt: 1 })
      const ends = [1, 2].map(() =>
        called((callback) => analytics.track({ ...user, event: "e", messageId: "given twice" }, callback))
      )
      return (await Promise.all(ends)).map(({ error }) => error)
    })
    assert.deepStrictEqual(seen, [undefined, undefined])
  })

  it("a listener and a callback may make calls, which have their ends", async () => {
    const events = await same(async ({ make, peer }) => {
      const analytics = make({ flushAt: 1 })
      analytics.once("track", () => analytics.identify(user))
      const identified = next(analytics, "identify")
      const inner = await called((callback) =>
        analytics.track({ ...user, event: "e" }, () => analytics.track({ ...user, event: "inner" }, callback))
      )
      await identified
      return [inner.error, peer.events.map(({ type }) => type).sort()]
    })
    assert.deepStrictEqual(events, [undefined, ["identify", "track", "track"]])
  })

  it("a page with a category and no name is sent; here its category is a property", async () => {
    const { here, there } = await different(async ({ make, peer }) => {
      const analytics = make()
      analytics.page({ ...user, category: "Docs", properties: { a: 1 } })
      analytics.screen({ ...user, category: "Docs", properties: { a: 1 } })
      await analytics.flush()
      return peer.events.map(({ category, name, properties }) => ({ category, name, properties }))
    })
    assert.deepStrictEqual(there, [
      { category: "Docs", name: undefined, properties: { a: 1, category: "Docs" } },
      { category: "Docs", name: undefined, properties: { a: 1 } }
    ])
    const asProperty = { category: undefined, name: undefined, properties: { a: 1, category: "Docs" } }
    assert.deepStrictEqual(here, [asProperty, asProperty])
  })
})
