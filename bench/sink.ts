/**
 * The peer of all benchmarks, a `FaultSink` in a process of its own so that only the client's work is counted. It sends
 * its port, then answers questions.
 *
 * It counts by marks (`Floor.mark`), whatever the envelope of the client looks like; or not at all, as cheaply as it can;
 * or by ids and users, as the tests do.
 */
import { type Answer, FaultSink, type Totals } from "../test/FaultSink.ts"

export interface SinkOptions {
  /** Milliseconds from the end of a request to its answer. */
  readonly delay?: number
  /** Milliseconds, from the first request on, in which every answer is 503. */
  readonly outage?: number
  /** Never answers. */
  readonly silent?: boolean
  /** @default "marks" */
  readonly count?: "marks" | "nothing" | "ids"
}

/** What a sink is asked. `users` is for one that counts ids. */
export type Question =
  | "how many"
  | "book"
  | { readonly script: ReadonlyArray<Answer> }
  | { readonly users: ReadonlyArray<string> }

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

/** The books of a sink that counts ids. */
export interface Ids {
  readonly totals: Totals
  readonly taken: ReadonlyArray<string>
  /** The ids of each user, by first arrival. */
  readonly orders: ReadonlyArray<ReadonlyArray<string>>
}

const { count = "marks", delay = 0, outage = 0, silent = false }: SinkOptions = JSON.parse(process.argv[2] ?? "{}")

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

const take = (body: string): void => {
  const now = micros()
  if (requests++ === 0) first = now
  bytes += body.length
  for (const [, n = "", at] of body.matchAll(mark)) {
    events++
    if (isOut(now)) continue
    if (seen.has(n)) duplicates++
    else {
      seen.add(n)
      last = now
      latencies.push(now - Number(at))
    }
  }
}

const isOut = (now: number): boolean => silent || now - first < outage * 1_000

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

// All kinds of clients read this, and each finds its own word for success.
const later = delay === 0 ? {} : { delay }
const success: Answer = { status: 200, body: `{"success":true,"status":1,"code":200}`, ...later }
const failure: Answer = { status: 503, body: `{"code":503}`, ...later }

const sink = await FaultSink.start({
  remember: false,
  read:
    count === "ids"
      ? undefined
      : (body) => {
          if (count === "marks") take(body.toString("latin1"))
          return []
        },
  otherwise: () => (silent ? "silence" : count === "marks" && isOut(micros()) ? failure : success)
})

const answerTo = (question: Question): unknown => {
  if (question === "how many") return { requests, taken: seen.size, duplicates }
  if (question === "book") return book()
  if ("users" in question) {
    const orders = question.users.map((user) => sink.userOrder(user))
    return { totals: sink.totals(), taken: sink.takenIds(), orders } satisfies Ids
  }
  sink.respond(...question.script)
  return null
}

process.on("message", (question: Question) => process.send?.(answerTo(question)))
process.on("disconnect", () => process.exit())
process.send?.(sink.port)
