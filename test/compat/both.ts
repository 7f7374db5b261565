/** Runs the same program over `@segment/analytics-node` and over `effect-analytics/compat`. */
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import { assert } from "@effect/vitest"
import * as Incumbent from "@segment/analytics-node"
import * as Compat from "../../src/compat.ts"

export type Sdk = typeof Incumbent

/** What the peer answers to a request: a status, or all of it. */
export type Answer =
  | number
  | { readonly status: number; readonly headers?: Record<string, string>; readonly delay?: number }

interface Received {
  readonly path: string
  readonly headers: Http.IncomingHttpHeaders
  readonly body: { readonly batch: Array<Record<string, unknown>>; readonly writeKey: string; readonly sentAt: string }
}

/** A peer on loopback that answers as it is told, and then with 200. */
export class Peer {
  readonly requests: Array<Received> = []
  readonly answers: Array<Answer> = []
  host = ""
  readonly #server = Http.createServer((request, response) => {
    const chunks: Array<Buffer> = []
    request.on("data", (chunk: Buffer) => chunks.push(chunk))
    request.on("end", () => {
      const body = JSON.parse(Buffer.concat(chunks).toString())
      this.requests.push({ path: request.url ?? "", headers: request.headers, body })
      const answer = this.answers.shift() ?? 200
      const { delay = 0, headers = {}, status } = typeof answer === "number" ? { status: answer } : answer
      setTimeout(() => response.writeHead(status, headers).end(`{"success":${status === 200}}`), delay)
    })
  })

  async start(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve))
    this.host = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
    return this
  }

  stop(): void {
    this.#server.closeAllConnections()
    this.#server.close()
  }

  /** The events of all requests, without what differs by design: ids and times of the client's own, its name, its runtime. */
  get events(): Array<Record<string, unknown>> {
    return this.requests.flatMap(({ body }) => body.batch.map(comparable))
  }

  get batchSizes(): Array<number> {
    return this.requests.map(({ body }) => body.batch.length)
  }
}

const comparable = ({ _metadata, context, messageId, timestamp, ...event }: Record<string, unknown>) => {
  const { library, ...rest } = context as Record<string, unknown>
  assert.isObject(library)
  return {
    ...event,
    context: rest,
    messageId: String(messageId).startsWith("given") ? messageId : "an id",
    timestamp: String(timestamp).startsWith("2026-01") ? timestamp : "a time"
  }
}

export interface Tools {
  readonly sdk: Sdk
  readonly peer: Peer
  /** A client of the peer. */
  readonly make: (settings?: Partial<Incumbent.AnalyticsSettings>) => Incumbent.Analytics
}

const run = async <A>(sdk: Sdk, program: (tools: Tools) => Promise<A>): Promise<A> => {
  const peer = await new Peer().start()
  const made: Array<Incumbent.Analytics> = []
  const make: Tools["make"] = (settings = {}) => {
    const analytics = new sdk.Analytics({ writeKey: "test-write-key", host: peer.host, ...settings })
    made.push(analytics)
    return analytics
  }
  try {
    return await program({ sdk, peer, make })
  } finally {
    await Promise.all(made.map((analytics) => analytics.closeAndFlush({ timeout: 1_000 })))
    peer.stop()
  }
}

const runThere = <A>(program: (tools: Tools) => Promise<A>): Promise<A> => run(Incumbent, program)
export const runHere = <A>(program: (tools: Tools) => Promise<A>): Promise<A> => run(Compat as unknown as Sdk, program)

/** The answer of the program, which is the same over both. */
export const same = async <A>(program: (tools: Tools) => Promise<A>): Promise<A> => {
  const [there, here] = await Promise.all([runThere(program), runHere(program)])
  assert.deepStrictEqual(here, there)
  return here
}

/** The answers of the program over both, where they differ by design. */
export const different = async <A>(
  program: (tools: Tools) => Promise<A>
): Promise<{ readonly there: A; readonly here: A }> => {
  const [there, here] = await Promise.all([runThere(program), runHere(program)])
  assert.notDeepEqual(here, there)
  return { there, here }
}

/** The next event of this name. */
export const next = <Name extends "error" | "track" | "identify" | "http_response" | "register" | "drained">(
  analytics: Incumbent.Analytics,
  name: Name
): Promise<ReadonlyArray<unknown>> =>
  new Promise((resolve) => {
    analytics.once(name, (...args: ReadonlyArray<unknown>) => resolve(args))
  })
