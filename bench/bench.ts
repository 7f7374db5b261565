/**
 * What the client costs: `npm run bench`. Everything is measured in one run, in turns, against a floor that does the
 * least that any client must: stamp, stringify, join, one keep-alive connection. Medians; ratios mean more than numbers.
 */
import { fork } from "node:child_process"
import { gzipSync } from "node:zlib"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as esbuild from "esbuild"
import * as Analytics from "../src/Analytics.ts"
import * as MemoryOutbox from "../src/MemoryOutbox.ts"
import * as Observer from "../src/Observer.ts"
import { createAnalytics } from "../src/plain.ts"
import * as Transport from "../src/Transport.ts"
import { event, floorFetch, stamped } from "./floor.ts"

const median = (numbers: ReadonlyArray<number>): number =>
  [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)] as number

const print = (rows: Record<string, Record<string, string | number>>) => console.table(rows)

// ---------------------------------------------------------------------------------------------------------------------
// The call
// ---------------------------------------------------------------------------------------------------------------------

const floorCall = () => {
  const waiting: Array<string> = []
  return () => {
    waiting.push(stamped(event))
    if (waiting.length === 10_000) waiting.length = 0
  }
}

/** Nothing is sent while calls are timed: the transport takes its time, and the queue has room for all. */
const silent = Layer.succeed(Transport.Transport, { send: () => Effect.never, envelopeBytes: 0 })
const roomy = { maxQueueSize: 10_000_000, maxQueueBytes: 8_000_000_000, closeTimeout: 0 }
const quiet = Analytics.layerNoDeps(roomy).pipe(
  Layer.provide([MemoryOutbox.layer(roomy), silent]),
  Layer.provide(Observer.layer(() => Effect.void))
)

const rounds = 41
const callsInRound = 2_000

const benchCalls = async () => {
  const plain = createAnalytics({
    writeKey: "bench",
    host: "http://127.0.0.1:9",
    ...roomy,
    fetch: () => new Promise(() => {}),
    onError: () => {}
  })
  const runtime = ManagedRuntime.make(quiet)
  const analytics = await runtime.runPromise(Analytics.Analytics)
  const floor = floorCall()

  const timeSync = (call: () => void) => {
    const start = performance.now()
    for (let n = 0; n < callsInRound; n++) call()
    return ((performance.now() - start) / callsInRound) * 1_000
  }
  const calls = Effect.gen(function* () {
    for (let n = 0; n < callsInRound; n++) yield* analytics.track(event)
  })
  const timeEffect = async () => {
    const start = performance.now()
    await runtime.runPromise(calls)
    return ((performance.now() - start) / callsInRound) * 1_000
  }

  const times = { floor: [] as Array<number>, plain: [] as Array<number>, effect: [] as Array<number> }
  for (let round = -10; round < rounds; round++) {
    const one = { floor: timeSync(floor), plain: timeSync(() => plain.track(event)), effect: await timeEffect() }
    await new Promise(setImmediate)
    if (round < 0) continue
    for (const name of ["floor", "plain", "effect"] as const) times[name].push(one[name])
  }
  await plain.close()
  await runtime.dispose()
  const floorTime = median(times.floor)
  const row = (name: keyof typeof times) => ({
    "µs a call": median(times[name]).toFixed(2),
    "of the floor": (median(times[name]) / floorTime).toFixed(2)
  })
  const text = JSON.stringify(event).length
  console.log(
    `\nOne track (event of ${text} bytes before it is stamped), medians of ${rounds} rounds of ${callsInRound}`
  )
  print({ "floor (stamp, stringify)": row("floor"), "plain track": row("plain"), "Effect track": row("effect") })
}

// ---------------------------------------------------------------------------------------------------------------------
// End to end
// ---------------------------------------------------------------------------------------------------------------------

const messages = 50_000
const chunk = 500

/** In a process of its own, so that only the client's work is counted. */
const startSink = () => {
  const sink = fork(new URL("./sink.ts", import.meta.url), { stdio: ["ignore", "inherit", "inherit", "ipc"] })
  return new Promise<{ port: number; stop: () => void }>((resolve) =>
    sink.once("message", (port) => resolve({ port: port as number, stop: () => sink.kill() }))
  )
}

const benchEndToEnd = async () => {
  const { port, stop } = await startSink()
  const run = async (track: () => unknown, flush: () => Promise<unknown>) => {
    const cpu = process.cpuUsage()
    const start = performance.now()
    for (let sent = 0; sent < messages; sent += chunk) {
      for (let n = 0; n < chunk; n++) track()
      await new Promise(setImmediate)
    }
    await flush()
    const seconds = (performance.now() - start) / 1_000
    const { system, user } = process.cpuUsage(cpu)
    return { perSecond: messages / seconds, cpu: (system + user) / messages }
  }
  const results = {
    floor: [] as Array<{ perSecond: number; cpu: number }>,
    plain: [] as Array<{ perSecond: number; cpu: number }>
  }
  for (let round = -1; round < 5; round++) {
    const floor = floorFetch(`http://127.0.0.1:${port}/v1/batch`)
    const plain = createAnalytics({
      writeKey: "bench",
      host: `http://127.0.0.1:${port}`,
      maxQueueSize: messages,
      maxQueueBytes: 2 ** 30
    })
    const one = {
      floor: await run(() => floor.track(event), floor.flush),
      plain: await run(() => plain.track(event), plain.flush)
    }
    const { delivered } = plain.stats()
    if (delivered !== messages) throw new Error(`only ${delivered} of ${messages} were delivered`)
    await plain.close()
    if (round < 0) continue
    results.floor.push(one.floor)
    results.plain.push(one.plain)
  }
  stop()
  const cpu = (name: keyof typeof results) => median(results[name].map((one) => one.cpu))
  const row = (name: keyof typeof results) => ({
    "messages a second": Math.round(median(results[name].map((one) => one.perSecond))),
    "CPU µs a message": cpu(name).toFixed(1),
    "of the floor": (cpu(name) / cpu("floor")).toFixed(2)
  })
  console.log(`\n${messages} messages to a sink on loopback, batches of 100, one request at a time, medians of 5`)
  print({ "floor (fetch)": row("floor"), "plain client": row("plain") })
}

// ---------------------------------------------------------------------------------------------------------------------
// Bundle
// ---------------------------------------------------------------------------------------------------------------------

const bundle = async (code: string) => {
  const { outputFiles } = await esbuild.build({
    stdin: { contents: code, resolveDir: new URL("..", import.meta.url).pathname, loader: "ts" },
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    platform: "node",
    target: "node22"
  })
  const { contents } = outputFiles[0] as esbuild.OutputFile
  return {
    "min KB": (contents.length / 1024).toFixed(1),
    "gzip KB": (gzipSync(contents, { level: 9 }).length / 1024).toFixed(1)
  }
}

const benchBundle = async () => {
  console.log("\nBundles (esbuild, minified)")
  print({
    "plain client": await bundle(
      `import { createAnalytics } from "./src/plain.ts"; createAnalytics({ writeKey: "k" }).track({ userId: "u", event: "e" })`
    ),
    "Effect client": await bundle(
      `import * as Analytics from "./src/Analytics.ts"; globalThis.it = Analytics.layerFetch`
    )
  })
}

console.log(`Node ${process.version}, ${process.arch}`)
await benchCalls()
await benchEndToEnd()
await benchBundle()
