/**
 * A history of a million lines through `effect-analytics import` to a peer on this machine, twice: once without a break, and
 * once with `kill -9` in the middle and a second run that goes on. Prints lines per second, of the wall and (on Linux) of the
 * processor, and what the heap holds after each full collection. It fails if a line is not accounted for, or if the heap
 * grows with the file.
 *
 *     npm run bench:import [-- --lines 1000000]
 */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import * as Fs from "node:fs"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import * as Os from "node:os"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"

const { values } = parseArgs({ options: { lines: { type: "string", default: "1000000" } } })
const lines = Number(values.lines)
/** Every so many lines one is no call. */
const badEvery = 10_000
const bad = Math.ceil(lines / badEvery)

// ---------------------------------------------------------------------------------------------------------------------
// The peer
// ---------------------------------------------------------------------------------------------------------------------

const mark = /"messageId":"([^"]+)"/g
let ids = new Set<string>()
let arrived = 0
let onArrived: () => void = () => {}

const server = Http.createServer((request, response) => {
  const chunks: Array<Buffer> = []
  request.on("data", (chunk) => chunks.push(chunk))
  request.on("end", () => {
    for (const [, id = ""] of Buffer.concat(chunks).toString("latin1").matchAll(mark)) {
      arrived++
      ids.add(id)
    }
    response.writeHead(200, { "content-type": "application/json" }).end('{"success":true}')
    onArrived()
  })
})
server.listen(0, "127.0.0.1")
await once(server, "listening")
const host = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

// ---------------------------------------------------------------------------------------------------------------------
// The command
// ---------------------------------------------------------------------------------------------------------------------

const directory = Fs.mkdtempSync(Path.join(Os.tmpdir(), "effect-analytics-bench-"))
process.on("exit", () => Fs.rmSync(directory, { recursive: true, force: true }))
const file = Path.join(directory, "events.ndjson")
const output = Fs.createWriteStream(file)
for (let n = 0; n < lines; n += badEvery) {
  const some = Array.from({ length: Math.min(badEvery, lines - n) }, (_, index) =>
    index === 0
      ? '{"type":"track"}\n'
      : `{"type":"track","userId":"u${(n + index) % 5_000}","event":"Order Completed","timestamp":"2026-01-02T03:04:05.678Z","properties":{"orderId":"o${n + index}","total":39.95,"currency":"EUR","products":["a","b"]}}\n`
  )
  if (!output.write(some.join(""))) await once(output, "drain")
}
await new Promise((resolve) => output.end(resolve))

const bin = fileURLToPath(new URL("../src/bin.ts", import.meta.url))

/** Seconds of processor time that a process has used, as Linux counts them: in hundredths. */
const processorSecondsOf = ({ pid }: ChildProcess): number => {
  try {
    const fields = Fs.readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? []
    return (Number(fields[11]) + Number(fields[12])) / 100
  } catch {
    return 0
  }
}

/** Megabytes that were left after each full collection. */
const heapsIn = (trace: string): ReadonlyArray<number> =>
  Array.from(trace.matchAll(/Mark-Compact [\d.]+ \([\d.]+\) -> ([\d.]+)/g), ([, megabytes]) => Number(megabytes))

const runImport = async (killAfter = Number.POSITIVE_INFINITY) => {
  const args = ["--trace-gc", "--conditions=effect-analytics-source", bin, "import", file, "--json"]
  const child = spawn(process.execPath, args, {
    env: { PATH: process.env.PATH, ANALYTICS_WRITE_KEY: "bench", ANALYTICS_HOST: host },
    stdio: ["ignore", "pipe", "pipe"]
  })
  let seconds = 0
  const sampler = setInterval(() => {
    seconds = Math.max(seconds, processorSecondsOf(child))
  }, 100)
  let stdout = ""
  let stderr = ""
  child.stdout.on("data", (text) => {
    stdout += text
  })
  child.stderr.on("data", (text) => {
    stderr += text
  })
  onArrived = () => {
    if (arrived >= killAfter) child.kill("SIGKILL")
  }
  const [, signal] = await once(child, "close")
  clearInterval(sampler)
  const [json] = stdout.split("\n").filter((line) => line.startsWith("{"))
  if (json === undefined && signal === null) throw new Error(stderr)
  return { signal, seconds, heaps: heapsIn(stdout), summary: json === undefined ? undefined : JSON.parse(json) }
}

// ---------------------------------------------------------------------------------------------------------------------
// Both ways
// ---------------------------------------------------------------------------------------------------------------------

const problems: Array<string> = []
const expect = (what: string, found: unknown, expected: unknown) => {
  if (found !== expected) problems.push(`${what}: ${found}, expected ${expected}`)
}
const highest = (heaps: ReadonlyArray<number>) => Math.round(Math.max(0, ...heaps))
const number = (value: number) => value.toLocaleString("en")

const account = (summary: Record<string, unknown>) => {
  expect("lines", summary.lines, lines)
  expect("delivered", summary.delivered, lines - bad)
  expect("rejected", summary.rejected, bad)
  expect("different messages at the peer", ids.size, lines - bad)
  const side = Fs.readFileSync(String(summary.rejectedFile), "utf8").trimEnd().split("\n")
  expect("lines of the side file", new Set(side).size, bad)
  expect("lines of the side file, all of them", side.length, bad)
}

console.log(`${number(lines)} lines, ${number(Math.round(Fs.statSync(file).size / 1_048_576))} MB\n`)

const whole = await runImport()
account(whole.summary)
const half = Math.ceil(whole.heaps.length / 2)
const [early, late] = [whole.heaps.slice(0, half), whole.heaps.slice(half)]
console.log("without a break")
console.log(`  ${number(whole.summary.linesPerSecond)} lines/s`)
if (whole.seconds > 0) console.log(`  ${number(Math.round(lines / whole.seconds))} lines in a second of the processor`)
console.log(
  `  heap after ${whole.heaps.length} full collections: ${highest(early)} MB at most in the first half, ${highest(late)} MB in the second`
)
if (highest(late) > 1.2 * highest(early)) problems.push("the heap grows with the file")

ids = new Set()
arrived = 0
const killed = await runImport(lines / 2)
expect("the signal", killed.signal, "SIGKILL")
const before = arrived
const second = await runImport()
account(second.summary)
console.log("\nkilled in the middle, and resumed")
console.log(`  ${number(before)} messages had arrived; resumed after ${number(second.summary.resumedAfter)} lines`)
console.log(`  ${number(arrived - ids.size)} messages arrived twice, with the same id`)
console.log(`  ${number(second.summary.linesPerSecond)} lines/s`)
console.log(
  `  ${number(second.summary.lines)} lines: ${number(second.summary.delivered)} delivered, ${number(second.summary.rejected)} rejected`
)

server.close()
server.closeAllConnections()
for (const problem of problems) console.error(`FAILED ${problem}`)
process.exitCode = problems.length === 0 ? 0 : 1
