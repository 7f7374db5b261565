/**
 * One client in a process of its own: makes the calls of a scenario, waits until it is told that the sink has them, and
 * reports what it cost. Started by `peers.ts` with the name of the client, the scenario and the address of the sink.
 */
import { monitorEventLoopDelay } from "node:perf_hooks"
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises"
import { marked } from "../floor.ts"
import { clients, type Say } from "./clients.ts"

export interface Options {
  readonly scenario: "burst" | "steady" | "outage" | "memory"
  readonly host: string
  /** Calls to make: at once, or so many a second for `seconds`. */
  readonly calls: number
  readonly seconds?: number
  readonly maxInFlight?: number
}

export interface Report {
  /** The calls that were made: a client that is too slow is stopped before the end. */
  readonly calls: number
  /** Microseconds of a call. */
  readonly p50: number
  readonly mean: number
  readonly p99: number
  /** Microseconds of the CPU for each message, of the whole process until the sink has it. */
  readonly cpu: number
  /** Megabytes resident at most, over what the process had before the first call. */
  readonly peak: number
  /** Milliseconds: the 99th percentile of the delay of the event loop, idle and during the calls. */
  readonly idleDelay: number
  readonly delay: number
  /** Bytes of the heap for each message that waits. */
  readonly heap: number
}

/** A client that needs longer than this for its calls is stopped. */
const longest = 6_000
const chunk = 500
const interval = 2

const micros = () => Number(process.hrtime.bigint() / 1_000n)
const events = (from: number, count: number) => {
  const at = micros()
  return Array.from({ length: count }, (_, index) => marked(from + index, at))
}

const inChunks = async (say: Say, calls: number, times: Float64Array, from = 0): Promise<number> => {
  const start = performance.now()
  let made = from
  while (made < calls && performance.now() - start < longest) {
    await say(events(made, chunk), times, made)
    made += chunk
    await nextTurn()
  }
  return made
}

/** So many calls a second, in small portions as requests to a server would make them. */
const atPace = async (say: Say, calls: number, seconds: number, times: Float64Array): Promise<number> => {
  const start = performance.now()
  let made = 0
  while (made < calls * seconds) {
    const elapsed = performance.now() - start
    if (elapsed > seconds * 1_500) break
    const due = Math.min(calls * seconds, Math.floor((elapsed * calls) / 1_000)) - made
    if (due > 0) {
      await say(events(made, due), times, made)
      made += due
    }
    await sleep(interval)
  }
  return made
}

const delayDuring = async (body: () => Promise<unknown>): Promise<number> => {
  const histogram = monitorEventLoopDelay({ resolution: 2 })
  histogram.enable()
  await body()
  histogram.disable()
  return histogram.percentile(99) / 1e6
}

const heapUsed = () => {
  globalThis.gc?.()
  globalThis.gc?.()
  return process.memoryUsage().heapUsed
}

const ended = () => new Promise<void>((resolve) => process.once("message", () => resolve()))

const { calls, host, maxInFlight, scenario, seconds = 0 }: Options = JSON.parse(process.argv[3] ?? "")
const client = clients.find(({ name }) => name === process.argv[2])
if (client === undefined) throw new Error(`there is no client ${process.argv[2]}`)

const say = await client.start({ host, maxInFlight: maxInFlight ?? client.maxInFlight })
const total = scenario === "steady" ? calls * seconds : calls
const times = new Float64Array(total)
const idleDelay = scenario === "steady" ? await delayDuring(() => atPace(() => {}, calls, 1, times)) : 0
const idleRss = process.memoryUsage.rss()
const cpu = process.cpuUsage()
let made = 0
let delay = 0
let heap = 0
if (scenario === "steady") {
  delay = await delayDuring(async () => {
    made = await atPace(say, calls, seconds, times)
  })
} else if (scenario === "memory") {
  // The first ones bring up the client; what the others add is what a message costs.
  const before = await inChunks(say, 1_000, times)
  await sleep(500)
  const heapBefore = heapUsed()
  made = await inChunks(say, calls, times, before)
  await sleep(500)
  heap = (heapUsed() - heapBefore) / (made - before)
} else made = await inChunks(say, calls, times)
process.send?.({ made })
await ended()
const { system, user } = process.cpuUsage(cpu)
const sorted = times.subarray(0, made).toSorted()
const report: Report = {
  calls: made,
  p50: sorted[Math.floor(made / 2)] as number,
  mean: sorted.reduce((sum, time) => sum + time, 0) / made,
  p99: sorted[Math.floor(made * 0.99)] as number,
  cpu: (system + user) / made,
  peak: process.resourceUsage().maxRSS / 1_024 - idleRss / 2 ** 20,
  idleDelay,
  delay,
  heap
}
process.send?.({ report }, () => process.exit())
