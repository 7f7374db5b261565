/**
 * The handlers of `docs/platforms.md`: they stand there as they are in `examples/platforms`, and do what it says with the
 * real frameworks. What they would send to the real API goes to a peer on loopback.
 */
import { fork } from "node:child_process"
import { once } from "node:events"
import { readdirSync, readFileSync } from "node:fs"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { afterAll, assert, beforeAll, beforeEach, describe, it, vi } from "@effect/vitest"
import { serve } from "@hono/node-server"
import type { APIGatewayProxyEventV2, Context } from "aws-lambda"
import * as Effect from "effect/Effect"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import type * as Message from "../src/Message.ts"
import { patience, run } from "./programs.ts"
import * as Peer from "./runtimes/peer.ts"

const root = new URL("../", import.meta.url)
const guide = readFileSync(new URL("docs/platforms.md", root), "utf8")
const handlers = readdirSync(new URL("examples/platforms", root))

describe("docs/platforms.md", () => {
  const blocks = Array.from(guide.matchAll(/^```ts\n([\s\S]*?)^```$/gm), ([, code]) => code)

  it.each(handlers)("has examples/platforms/%s as it is", (name) => {
    assert.include(blocks, readFileSync(new URL(`examples/platforms/${name}`, root), "utf8"))
  })

  it("has no other program", () => {
    assert.strictEqual(blocks.length, handlers.length)
  })
})

describe("examples/platforms", () => {
  let peer: Peer.Peer
  /** Where the API is, in the place of the real one: another book for each test. */
  let api = ""
  let books = 0
  const open = (...steps: ReadonlyArray<Peer.Step>) => {
    api = `${peer.url}/${++books}/${steps.join(",")}`
  }
  const received = (): ReadonlyArray<Message.Wire> =>
    peer.arrivals(String(books)).flatMap(({ text }) => JSON.parse(text).batch as ReadonlyArray<Message.Wire>)

  beforeAll(async () => {
    peer = await Peer.start()
    const { fetch } = globalThis
    globalThis.fetch = (url, init) => fetch(String(url).replace("https://api.segment.io", api), init)
    vi.stubEnv("SEGMENT_WRITE_KEY", "test-write-key")
  })
  afterAll(() => peer[Symbol.asyncDispose]())
  beforeEach(() => {
    vi.stubEnv("SEGMENT_WRITE_KEY", "test-write-key")
    open(200)
  })

  const browser = {
    "user-agent": "Mozilla/5.0",
    "accept-language": "de-CH,de;q=0.9",
    referer: "https://shop.example/cart",
    "x-request-id": "req-1"
  }

  /** The context of the one message that has arrived, without its sender. */
  const contextOf = (message: Message.Wire | undefined) => {
    const { library: _, ...context } = message?.context ?? {}
    return context
  }

  describe("lambda.ts", () => {
    const event = {
      rawPath: "/orders/1",
      rawQueryString: "coupon=x",
      headers: browser,
      requestContext: { domainName: "api.shop.example", http: { sourceIp: "203.0.113.7" } }
    } as unknown as APIGatewayProxyEventV2
    it("delivers before it answers, with what the request says", async () => {
      const { handler } = await import("../examples/platforms/lambda.ts")
      const context = { awsRequestId: "aws-1", getRemainingTimeInMillis: () => 30_000 } as Context
      assert.deepStrictEqual(await handler(event, context, () => {}), { statusCode: 204 })
      assert.deepStrictEqual(received().map(contextOf), [
        {
          ip: "203.0.113.7",
          userAgent: "Mozilla/5.0",
          locale: "de-CH",
          page: {
            path: "/orders/1",
            search: "?coupon=x",
            referrer: "https://shop.example/cart",
            url: "https://api.shop.example/orders/1?coupon=x"
          },
          requestId: "aws-1"
        }
      ])
    })

    /** An instance of its own, and how to invoke it with so many milliseconds left. */
    const launch = () => {
      const instance = fork(new URL("test/programs/lambda.ts", root), {
        execArgv: [
          "--conditions=effect-analytics-source",
          "--import",
          String(new URL("test/programs/toPeer.ts", root))
        ],
        env: { ...process.env, PEER: api }
      })
      const invoke = async (left: number) => {
        const answered = once(instance, "message")
        instance.send(left)
        assert.deepStrictEqual(await answered, [{ statusCode: 204 }, undefined])
      }
      return { instance, invoke }
    }
    const ids = () => received().map(({ messageId }) => messageId)

    it("answers in time when the API does not; thawed, a later invocation delivers what was left", async () => {
      open("silence", 200)
      const { instance, invoke } = launch()
      try {
        // The margin is all that is left: there is no time to wait for the API.
        await invoke(500)
        while (received().length === 0) await sleep(5)
        instance.kill("SIGSTOP")
        peer.hangUp()
        instance.kill("SIGCONT")
        const [first] = ids()
        for (
          let n = 0;
          n < 20 &&
          !ids()
            .slice(1)
            .includes(first ?? "");
          n++
        )
          await invoke(30_000)
        assert.include(ids().slice(1), first, "what was left was tried again, with its id")
      } finally {
        instance.kill("SIGKILL")
      }
    })

    it("answers early in an outage, however much time is left; a later invocation delivers", async () => {
      open("silence", 503, 200)
      const { instance, invoke } = launch()
      const attempts = () => peer.arrivals(String(books)).length
      try {
        await invoke(600_000)
        // Had it waited for longer than its patience, the request would have run into its timeout and been tried again.
        assert.strictEqual(attempts(), 1)
        const [first] = ids()
        for (let n = 0; n < 20 && attempts() < 3; n++) await invoke(600_000)
        const taken = peer.arrivals(String(books)).slice(2)
        const delivered = taken.flatMap(({ text }) => JSON.parse(text).batch as ReadonlyArray<Message.Wire>)
        assert.include(
          delivered.map(({ messageId }) => messageId),
          first
        )
      } finally {
        instance.kill("SIGKILL")
      }
    })
  })

  describe("vercel.ts", () => {
    it("answers at once, and has the function kept until everything is delivered", async () => {
      const kept: Array<Promise<unknown>> = []
      const symbol = Symbol.for("@vercel/request-context")
      Object.assign(globalThis, {
        [symbol]: { get: () => ({ waitUntil: (promise: Promise<unknown>) => void kept.push(promise) }) }
      })
      const { POST } = await import("../examples/platforms/vercel.ts")
      const headers = { ...browser, "x-real-ip": "203.0.113.7", "x-forwarded-for": "6.6.6.6" }
      const response = await POST(new Request("https://shop.example/orders/1", { method: "POST", headers }))
      assert.strictEqual(response.status, 204)
      assert.strictEqual(received().length, 0)
      assert.deepStrictEqual(await Promise.all(kept), [{ delivered: 1, dropped: 0, rejected: 0, pending: 0 }])
      const [message] = received()
      assert.strictEqual(message?.context.ip, "203.0.113.7")
      assert.strictEqual(message?.context.requestId, "req-1")
      Reflect.deleteProperty(globalThis, symbol)
    })
  })

  describe("worker.ts", () => {
    it("answers at once, and is kept until everything is delivered and the client closed", async () => {
      const kept: Array<Promise<unknown>> = []
      const { default: worker } = await import("../examples/platforms/worker.ts")
      const headers = { ...browser, "cf-connecting-ip": "203.0.113.7", "x-forwarded-for": "6.6.6.6" }
      const request = new Request("https://shop.example/orders/1", { method: "POST", headers })
      const env = { SEGMENT_WRITE_KEY: "test-write-key" }
      const ctx = { waitUntil: (promise: Promise<unknown>) => void kept.push(promise) }
      const response = await worker.fetch(request, env, ctx)
      assert.strictEqual(response.status, 204)
      assert.strictEqual(received().length, 0)
      assert.deepStrictEqual(await Promise.all(kept), [{ delivered: 1, dropped: 0, rejected: 0, pending: 0 }])
      assert.strictEqual(contextOf(received()[0]).ip, "203.0.113.7")
    })
  })

  /** The server that was asked. */
  let origin = ""

  /** Asks a server three times at the same time, through a proxy on the same machine. */
  const ask = async (port: number) => {
    origin = `http://127.0.0.1:${port}`
    const askFor = async (id: number) => {
      const headers = {
        ...browser,
        "content-type": "application/json",
        "x-request-id": `req-${id}`,
        "x-forwarded-for": `6.6.6.6, 203.0.113.${id}`
      }
      const body = JSON.stringify({ note: "x".repeat(100_000) })
      const response = await fetch(`${origin}/orders/${id}?coupon=x`, { method: "POST", headers, body })
      assert.strictEqual(response.status, 204)
    }
    await Promise.all([askFor(1), askFor(2), askFor(3)])
  }

  /** Looks at what was said while it was asked. */
  const check = () => {
    const messages = received()
    assert.strictEqual(messages.length, 3)
    for (const message of messages) {
      const id = message.type === "track" ? String(message.properties.orderId) : ""
      assert.deepStrictEqual(contextOf(message), {
        ip: `203.0.113.${id}`,
        userAgent: "Mozilla/5.0",
        locale: "de-CH",
        page: {
          path: `/orders/${id}`,
          search: "?coupon=x",
          referrer: "https://shop.example/cart",
          url: `${origin}/orders/${id}?coupon=x`
        },
        requestId: `req-${id}`
      })
    }
  }

  /** Listens on loopback for as long as the body takes. */
  const listening = async (listener: Http.RequestListener, body: (port: number) => Promise<void>) => {
    const server = Http.createServer(listener)
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    try {
      await body((server.address() as AddressInfo).port)
    } finally {
      server.closeAllConnections()
      server.close()
    }
  }

  it("express.ts puts each request's context into what is said in it", async () => {
    const { analytics, app } = await import("../examples/platforms/express.ts")
    await listening(app, ask)
    await analytics.close()
    check()
  })

  it("fastify.ts puts each request's context into what is said in it, and closes the client with the server", async () => {
    const { analytics, app } = await import("../examples/platforms/fastify.ts")
    await app.listen({ port: 0, host: "127.0.0.1" })
    await ask((app.server.address() as AddressInfo).port)
    await app.close()
    check()
    vi.spyOn(console, "warn").mockImplementation(() => {})
    assert.isFalse(analytics.track({ userId: "u1", event: "late" }))
  })

  it("hono.ts puts each request's context into what is said in it", async () => {
    const { analytics, app } = await import("../examples/platforms/hono.ts")
    const server = serve({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" })
    await new Promise((resolve) => server.once("listening", resolve))
    await ask((server.address() as AddressInfo).port)
    await new Promise((resolve) => server.close(resolve))
    await analytics.close()
    check()
  })

  it.live("effect.ts puts each request's context into what is said in it, and delivers at the end of the scope", () =>
    Effect.gen(function* () {
      const { app } = yield* Effect.promise(() => import("../examples/platforms/effect.ts"))
      const server = NodeHttpServer.layer(() => Http.createServer(), { port: 0, host: "127.0.0.1" })
      yield* HttpServer.HttpServer.use(({ address }) =>
        Effect.promise(() => ask("port" in address ? address.port : 0))
      ).pipe(Effect.provide(app.pipe(Layer.provideMerge(server), Layer.provide(Logger.layer([])))))
      check()
    })
  )

  it("managedRuntime.ts has one client for all requests, and delivers when the runtime is disposed of", async () => {
    const { app, runtime } = await import("../examples/platforms/managedRuntime.ts")
    await listening(app, ask)
    await runtime.dispose()
    const orders = received().map((message) => (message.type === "track" ? message.properties.orderId : undefined))
    assert.deepStrictEqual(orders.toSorted(), ["1", "2", "3"])
  })
})

describe("a runtime whose process has functions that throw, such as the edge runtime of Next.js", () => {
  const options = { timeout: patience }

  it.live(
    "has withContext and withIdentity by the global AsyncLocalStorage",
    () =>
      Effect.map(run("edge", "global"), (ended) =>
        assert.deepStrictEqual(ended, { code: 0, stdout: "u1 203.0.113.7", stderr: "" })
      ),
    options
  )

  it.live(
    "without one names what is missing; calls are accepted",
    () =>
      Effect.map(run("edge", "none"), ({ code, stdout }) => {
        assert.strictEqual(code, 0)
        assert.match(stdout, /withContext and withIdentity need AsyncLocalStorage.*; u1 undefined$/)
      }),
    options
  )
})
