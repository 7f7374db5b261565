/**
 * The peer of the portable program: a Tracking API whose answers are written in the address, so that a program that can
 * do no more than `fetch` has a script for each of its clients, and can read what arrived.
 *
 * `POST /BOOK/503,200/v1/batch` is answered by the first step the first time, by the second one the second time, and by
 * the last one from then on. `GET /BOOK` answers with every request that was made of that book. Any origin may ask.
 */
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import * as Zlib from "node:zlib"

/** How a request is answered: with a status, with none by a connection that is cut, or never. */
export type Step = 200 | 302 | 401 | 429 | 503 | "cut" | "silence"

/** A request as it arrived. */
export interface Arrival {
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  /** The body, unpacked. */
  readonly text: string
  /** Milliseconds since the peer was started. */
  readonly at: number
}

export interface Peer extends AsyncDisposable {
  readonly url: string
  /** What arrived in a book. */
  readonly arrivals: (book: string) => ReadonlyArray<Arrival>
  /** Closes every connection, whatever is going on in it. */
  readonly hangUp: () => void
}

const read = async (request: Http.IncomingMessage): Promise<string> => {
  const chunks: Array<Buffer> = []
  for await (const chunk of request) chunks.push(chunk)
  const body = Buffer.concat(chunks)
  return (request.headers["content-encoding"] === "gzip" ? Zlib.gunzipSync(body) : body).toString()
}

/** What a browser wants to hear before it lets a page of another origin send a key, and see `Retry-After`. */
const anyOrigin = {
  "access-control-allow-origin": "*",
  "access-control-allow-headers": "authorization, content-type, content-encoding, user-agent, x-retry-count",
  "access-control-allow-methods": "GET, POST",
  "access-control-expose-headers": "retry-after"
}

export const start = async (): Promise<Peer> => {
  const books = new Map<string, Array<Arrival>>()
  const arrivals = (book: string) => books.get(book) ?? []

  const answer = async (request: Http.IncomingMessage, response: Http.ServerResponse) => {
    const { headers, method = "", url = "/" } = request
    const end = (status: number, body: unknown, more: Readonly<Record<string, string>> = {}) =>
      response
        .writeHead(status, { ...anyOrigin, "content-type": "application/json", ...more })
        .end(status === 204 ? "" : JSON.stringify(body))
    if (method === "OPTIONS") return end(204, undefined)
    const [, book = "", script, ...rest] = url.split("/")
    if (method === "GET" && script === undefined) return end(200, arrivals(book))

    const text = await read(request)
    const before = arrivals(book)
    const arrival = { method, path: `/${rest.join("/")}`, headers: headers as Record<string, string>, text }
    books.set(book, [...before, { ...arrival, at: performance.now() }])
    const steps = (script ?? "200").split(",")
    const step = steps[Math.min(before.length, steps.length - 1)]
    if (step === "cut") return request.socket.destroy()
    if (step === "silence") return undefined
    if (step === "302") return end(302, {}, { location: `/${book}/200/elsewhere` })
    if (step === "429") return end(429, {}, { "retry-after": "1" })
    return end(Number(step), { success: step === "200" })
  }

  const server = Http.createServer((request, response) => {
    answer(request, response).catch(() => request.socket.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    arrivals,
    hangUp: () => server.closeAllConnections(),
    [Symbol.asyncDispose]: () => {
      server.closeAllConnections()
      return new Promise((resolve) => server.close(() => resolve()))
    }
  }
}
