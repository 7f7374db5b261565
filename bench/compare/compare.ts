/**
 * The same faults for two clients: `npm run compare:faults` prints the table of `docs/reliability.md`, as markdown.
 *
 * Each case has a peer of its own and each client a process of its own. What became of the messages is read in the
 * books of the peer; what the client said of them is compared with that.
 */
import { execFileSync, fork } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { FaultSink } from "../../test/FaultSink.ts"
import { type Case, makeCases } from "./cases.ts"
import type { Report } from "./client.ts"

const here = fileURLToPath(new URL(".", import.meta.url))
const manifest = new URL("node_modules/@segment/analytics-node/package.json", import.meta.url)

/** The other client is no dependency of the project: it is installed here, when it is missing. */
if (!existsSync(manifest)) {
  execFileSync("npm", ["ci", "--no-audit", "--no-fund"], { cwd: here, stdio: ["ignore", "ignore", "inherit"] })
}
const { version }: { readonly version: string } = JSON.parse(readFileSync(manifest, "utf8"))
const own: { readonly version: string } = JSON.parse(
  readFileSync(new URL("../../package.json", import.meta.url), "utf8")
)

interface Ran {
  readonly report: Report | undefined
  readonly exit: number | NodeJS.Signals | null
  readonly rss: number
}

const patience = 60_000

const run = (client: string, host: string, { alone, calls, closeTimeout = 15_000 }: Case): Promise<Ran> =>
  new Promise((resolve) => {
    const child = fork(new URL("client.ts", import.meta.url), [client, host, calls, String(closeTimeout)], {
      stdio: ["ignore", "ignore", "ignore", "ipc"],
      execArgv: alone === undefined ? [] : [`--max-old-space-size=${alone.heap}`]
    })
    let report: Report | undefined
    let rss = 0
    const look = () => {
      try {
        const [, pages = "0"] = readFileSync(`/proc/${child.pid}/statm`, "utf8").split(" ")
        rss = Math.max(rss, Number(pages) * 4_096)
      } catch {
        // Gone, or not Linux: then nothing is said of memory.
      }
    }
    const looking = setInterval(look, 50)
    const timer = setTimeout(() => child.kill("SIGKILL"), patience)
    child.on("message", (message) => {
      report = message as Report
    })
    child.once("close", (code, signal) => {
      clearTimeout(timer)
      clearInterval(looking)
      resolve({ report, exit: signal ?? code, rss })
    })
  })

/** What became of ten messages: as the peer has it, beside what the client said. */
const verdict = ({ report }: Ran, sink: FaultSink): ReadonlyArray<string> => {
  if (report === undefined) return ["**crashed**"]
  const taken = new Set(sink.takenIds())
  const delivered = new Set(report.delivered)
  const lost = new Set(report.lost)
  const sums = { delivered: 0, told: 0, silent: 0, untrue: 0, wrongly: 0 }
  for (let n = 1; n <= report.made; n++) {
    const id = `id ${n}`
    if (taken.has(id)) sums[lost.has(id) ? "wrongly" : "delivered"]++
    else sums[delivered.has(id) ? "untrue" : lost.has(id) ? "told" : "silent"]++
  }
  const say = (count: number, words: string) => (count === 0 ? [] : [`${count} ${words}`])
  const [silent, untrue] = [say(sums.silent, "lost in silence"), say(sums.untrue, "lost, and called delivered")]
  return [
    ...say(sums.delivered, "delivered"),
    ...say(sums.wrongly, "delivered, and called lost"),
    ...say(sums.told, "lost, and told so"),
    ...silent.map((words) => `**${words}**`),
    ...untrue.map((words) => `**${words}**`)
  ]
}

const survival = ({ exit, report, rss }: Ran): ReadonlyArray<string> => {
  const made = (report?.made ?? 0).toLocaleString("en")
  const memory = rss === 0 ? [] : [`at most ${Math.round(rss / 2 ** 20)} MB resident`]
  return report?.closed === true
    ? [`all ${made} calls answered`, ...memory]
    : [`**crashed (${exit}) after ${made} calls**`, ...memory]
}

const cell = async (client: string, which: number): Promise<string> => {
  await using elsewhere = await FaultSink.start()
  const one = makeCases(elsewhere)[which] as Case
  const sink = await FaultSink.start(one.peer)
  try {
    sink.respond(...(one.script ?? []))
    const { host } = sink
    if (one.alone !== undefined) {
      await sink.stop()
      return survival(await run(client, host, one)).join("; ")
    }
    const ran = await run(client, host, one)
    const left = ran.report?.closed === true ? [] : ["**did not end**"]
    const { remark } = one
    return [...verdict(ran, sink), ...left, ...(remark === undefined ? [] : [remark(sink)])].join("; ")
  } finally {
    if (one.alone === undefined) await sink.stop()
  }
}

const only = process.argv[2]
await using nowhere = await FaultSink.start()
console.log(`| | fault | effect-analytics ${own.version} | @segment/analytics-node ${version} |`)
console.log("| --- | --- | --- | --- |")
for (const [which, { fault, id }] of makeCases(nowhere).entries()) {
  if (only !== undefined && id !== only) continue
  console.log(`| ${id} | ${fault} | ${await cell("ours", which)} | ${await cell("theirs", which)} |`)
}
