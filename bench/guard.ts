/**
 * Holds the client to what it cost when `guard.json` was written: `npm run bench:guard`, and a step of CI.
 *
 * A machine is fast or slow, busy or not; a ratio to the floor in the same run is neither. Client and floor take turns
 * in many short rounds, and the median of their ratios may be a quarter above the recorded one. Each must hold in
 * one try of three: noise comes and goes, a client that became slower stays.
 *
 * `--record` writes `guard.json` anew, from the median of five tries.
 */
// The published package has its Schemas compiled; from source they are interpreted.
import "effect/schema/SchemaJITCompiler/enable"
import { fork } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"
import * as Effect from "effect/Effect"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Analytics from "../src/Analytics.ts"
import { createAnalytics } from "../src/plain.ts"
import { type Event, floorFetch, marked, stamped } from "./floor.ts"

/** How many times the floor something is. */
interface Ratios {
  /** A call of the plain client, without what comes after it: to stamping and encoding. */
  readonly plainCall: number
  /** A call in Effect, run by a fiber that makes many. */
  readonly effectCall: number
  /** CPU of the whole process from the call to the answer, over `fetch`. */
  readonly cpu: number
}
const names = ["plainCall", "effectCall", "cpu"] as const satisfies ReadonlyArray<keyof Ratios>

const tolerance = 1.25
const tries = 3
const record = new URL("guard.json", import.meta.url)

const median = (numbers: ReadonlyArray<number>): number =>
  numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] as number

const turn = () => new Promise(setImmediate)
const room = { maxQueueSize: 1_000_000, maxQueueBytes: 2 ** 31, closeTimeout: 0 }

// ---------------------------------------------------------------------------------------------------------------------
// Calls
// ---------------------------------------------------------------------------------------------------------------------

const callRounds = 60
const callsInRound = 500

/** Clients of a peer that takes everything and answers at once: what is timed is the call alone. */
const measureCalls = async (events: ReadonlyArray<Event>) => {
  const fetch = () => Promise.resolve(new Response(null, { status: 200 }))
  const plain = createAnalytics({ writeKey: "guard", fetch, ...room })
  const runtime = ManagedRuntime.make(Analytics.layerStub(room))
  const analytics = await runtime.runPromise(Analytics.Analytics)
  const calls = Effect.gen(function* () {
    for (const event of events) yield* analytics.track(event)
  })
  const waiting: Array<string> = []
  const time = (body: () => void) => {
    const start = performance.now()
    body()
    return performance.now() - start
  }
  const plainCalls: Array<number> = []
  const effectCalls: Array<number> = []
  for (let round = -20; round < callRounds; round++) {
    waiting.length = 0
    const floor = time(() => {
      for (const event of events) waiting.push(stamped(event))
    })
    const byPlain = time(() => {
      for (const event of events) plain.track(event)
    })
    const byEffect = time(() => runtime.runSync(calls))
    await plain.flush()
    await runtime.runPromise(analytics.flush)
    if (round < 0) continue
    plainCalls.push(byPlain / floor)
    effectCalls.push(byEffect / floor)
  }
  await plain.close()
  await runtime.dispose()
  return { plainCall: median(plainCalls), effectCall: median(effectCalls) }
}

// ---------------------------------------------------------------------------------------------------------------------
// CPU
// ---------------------------------------------------------------------------------------------------------------------

const cpuRounds = 25
const messagesInRound = 2_000

const measureCpu = async (host: string) => {
  const plain = createAnalytics({ writeKey: "guard", host, ...room })
  const floor = floorFetch(`${host}/v1/batch`)
  const spent = async (track: (event: Event) => unknown, flush: () => Promise<unknown>) => {
    const before = process.cpuUsage()
    for (let n = 0; n < messagesInRound; n++) {
      track(marked(n, 0))
      if (n % callsInRound === 0) await turn()
    }
    await flush()
    const { system, user } = process.cpuUsage(before)
    return system + user
  }
  const ratios: Array<number> = []
  for (let round = -5; round < cpuRounds; round++) {
    const least = await spent(floor.track, floor.flush)
    const ours = await spent(plain.track, plain.flush)
    if (round >= 0) ratios.push(ours / least)
  }
  await plain.close()
  return { cpu: median(ratios) }
}

// ---------------------------------------------------------------------------------------------------------------------

const sink = fork(new URL("sink.ts", import.meta.url), ["{}"])
const port = await new Promise((resolve) => sink.once("message", resolve))
const measure = async (): Promise<Ratios> => ({
  ...(await measureCalls(Array.from({ length: callsInRound }, (_, n) => marked(n, 0)))),
  ...(await measureCpu(`http://127.0.0.1:${port}`))
})

if (process.argv.includes("--record")) {
  const all: Array<Ratios> = []
  for (let n = 0; n < 5; n++) all.push(await measure())
  const recorded = names.map((name) => [name, Number(median(all.map((one) => one[name])).toFixed(2))])
  const how = `node bench/guard.ts --record: medians of 5, on Node ${process.version}, ${process.arch}`
  writeFileSync(record, `${JSON.stringify({ how, ...Object.fromEntries(recorded) }, null, 2)}\n`)
  console.log(readFileSync(record, "utf8"))
} else {
  const recorded: Ratios = JSON.parse(readFileSync(record, "utf8"))
  const held = new Set<keyof Ratios>()
  for (let n = 1; n <= tries && held.size < names.length; n++) {
    const measured = await measure()
    for (const name of names) {
      const limit = recorded[name] * tolerance
      const holds = measured[name] <= limit
      if (holds) held.add(name)
      const verdict = holds ? "holds" : "is too much"
      console.log(
        `${name}: ${measured[name].toFixed(2)} times the floor, recorded ${recorded[name]}, at most ${limit.toFixed(2)}: ${verdict}`
      )
    }
  }
  const broken = names.filter((name) => !held.has(name))
  if (broken.length > 0) {
    console.error(`in none of ${tries} tries: ${broken.join(", ")}`)
    process.exitCode = 1
  }
}
sink.kill()
