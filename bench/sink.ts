/**
 * A peer of the benchmarks, in a process of its own so that only the client's work is counted: reads every request,
 * answers after a delay, or with failures for a while, or never, and keeps a book of the events that it took.
 *
 * Events are found by their mark (`Floor.mark`), whatever the envelope of the client looks like.
 */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { gunzipSync } from "node:zlib"

export interface SinkOptions {
  /** Milliseconds from the end of a request to its answer. */
  readonly delay?: number
  /** Milliseconds, from the first request on, in which every answer is 503. */
  readonly outage?: number
  /** Never answers. */
  readonly silent?: boolean
}

export interface Book {
  readonly requests: number
  /** Events in requests that were answered with success, each once. */
  readonly taken: number
  /** Those that came again. */
  readonly duplicates: number
  /** Milliseconds from the first request to the last event that was new. */
  readonly drained: number
  /** Milliseconds from a call to the end of the request that brought it: the median and the 99th percentile. */
  readonly latency: readonly [number, number]
  /** Bytes of an event on the wire, its part of the envelope included. */
  readonly bytes: number
}

const { delay = 0, outage = 0, silent = false }: SinkOptions = JSON.parse(process.argv[2] ?? "{}")

const mark = /"n":(\d+),"at":(\d+)/g
const seen = new Set<string>()
const latencies: Array<number> = []
let requests = 0
let events = 0
let bytes = 0
let duplicates = 0
let first = 0
let last = 0

const micros = () => Number(process.hrtime.bigint() / 1_000n)

const take = (body: string, ok: boolean, now: number) => {
  bytes += body.length
  for (const [, n = "", at] of body.matchAll(mark)) {
    events++
    if (!ok) continue
    if (seen.has(n)) duplicates++
    else {
      seen.add(n)
      last = now
      latencies.push(now - Number(at))
    }
  }
}

const book = (): Book => {
  const sorted = latencies.toSorted((a, b) => a - b)
  const at = (part: number) => (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0) / 1_000
  return {
    requests,
    taken: seen.size,
    duplicates,
    drained: (last - first) / 1_000,
    latency: [at(0.5), at(0.99)],
    bytes: bytes / events
  }
}

const server = createServer((request, response) => {
  const chunks: Array<Buffer> = []
  request.on("data", (chunk) => chunks.push(chunk))
  request.on("end", () => {
    const now = micros()
    if (requests++ === 0) first = now
    const ok = !silent && now - first >= outage * 1_000
    const raw = Buffer.concat(chunks)
    take((request.headers["content-encoding"] === "gzip" ? gunzipSync(raw) : raw).toString("latin1"), ok, now)
    if (silent) return
    // All kinds of clients read this, and each finds its own word for success.
    const text = ok ? `{"success":true,"status":1,"code":200}` : `{"code":503}`
    const headers = { "content-type": "application/json", "content-length": text.length }
    const answer = () => response.writeHead(ok ? 200 : 503, headers).end(text)
    if (delay === 0) answer()
    else setTimeout(answer, delay)
  })
})
// A client that keeps its connection longer than the server does would meet a reset.
server.keepAliveTimeout = 60_000
server.listen(0, "127.0.0.1", () => process.send?.((server.address() as AddressInfo).port))
process.on("message", (question) =>
  process.send?.(question === "how many" ? { requests, taken: seen.size, duplicates } : book())
)
process.on("disconnect", () => process.exit())
