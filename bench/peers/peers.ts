/**
 * What the clients cost, beside one another and beside a floor: `npm run bench:peers` prints the tables of
 * `docs/performance.md`, as markdown.
 *
 * Every client has a process of its own and every run a sink of its own; the clients take turns, and what is printed is
 * the median of the rounds. `--only burst,steady` runs some of the scenarios, `--clients floor,plain` some of
 * the clients, `--quick` one short round of each.
 */
import { type ChildProcess, execFileSync, fork } from "node:child_process"
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs"
import { cpus } from "node:os"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { gzipSync } from "node:zlib"
import * as esbuild from "esbuild"
import { event } from "../floor.ts"
import type { Book, SinkOptions } from "../sink.ts"
import { type Client, clients } from "./clients.ts"
import type { Options, Report } from "./contestant.ts"

const here = fileURLToPath(new URL(".", import.meta.url))
const root = fileURLToPath(new URL("../..", import.meta.url))
const scenarios = ["burst", "warm", "steady", "outage", "memory", "cold", "size"] as const
type Scenario = (typeof scenarios)[number]

const { values: flags } = parseArgs({
  options: {
    only: { type: "string", default: scenarios.join(",") },
    clients: { type: "string", default: "" },
    quick: { type: "boolean", default: false },
    rounds: { type: "string" }
  }
})
const wanted = new Set(flags.only.split(","))
for (const one of wanted) {
  if (!scenarios.includes(one as Scenario)) throw new Error(`no scenario ${one}: there are ${scenarios.join(", ")}`)
}
const rounds = Number(flags.rounds ?? (flags.quick ? 1 : 3))
const taking = clients.filter(({ name }) => flags.clients.split(",").some((part) => name.includes(part)))

/** The others are no dependency of the project: they are installed here, when they are missing. */
const modules = new URL("node_modules/", import.meta.url)
if (!existsSync(modules)) {
  const args = ["ci", "--no-audit", "--no-fund", "--ignore-scripts"]
  execFileSync("npm", args, { cwd: here, stdio: ["ignore", "ignore", "inherit"] })
}
execFileSync("npm", ["run", "build"], { cwd: root, stdio: ["ignore", "ignore", "inherit"] })

// ---------------------------------------------------------------------------------------------------------------------
// One run
// ---------------------------------------------------------------------------------------------------------------------

/** The next thing that a process says; nothing if it ends before. */
const heard = <A>(child: ChildProcess) =>
  new Promise<A | undefined>((resolve) => {
    const end = (message?: unknown) => {
      child.off("message", end)
      child.off("exit", gone)
      resolve(message as A | undefined)
    }
    const gone = () => end()
    child.once("message", end)
    child.once("exit", gone)
  })

interface Run {
  readonly report: Report
  readonly book: Book
}

/** Milliseconds after the calls in which a client may deliver what it has. */
const patience = 15_000

/** One client in one scenario; nothing if it does not get to the end. */
const run = async (
  client: Client,
  options: Omit<Options, "host">,
  sinkOptions: SinkOptions
): Promise<Run | undefined> => {
  const sink = fork(new URL("../sink.ts", import.meta.url), [JSON.stringify(sinkOptions)])
  const host = `http://127.0.0.1:${await heard<number>(sink)}`
  const child = fork(
    new URL("contestant.ts", import.meta.url),
    [client.name, JSON.stringify({ ...options, host } satisfies Options)],
    { stdio: ["ignore", "ignore", "ignore", "ipc"], execArgv: ["--expose-gc"] }
  )
  const timer = setTimeout(() => child.kill("SIGKILL"), 60_000)
  try {
    const called = await heard<{ readonly made: number }>(child)
    if (called === undefined) return undefined
    const end = Date.now() + (sinkOptions.silent === true ? 1_000 : patience)
    let before = 0
    let still = 0
    while (Date.now() < end) {
      sink.send("how many")
      const book = (await heard<Pick<Book, "requests" | "taken">>(sink)) as Pick<Book, "requests" | "taken">
      // What comes twice comes soon: an outage is watched for a while after its end.
      still = book.requests === before ? still + 1 : 0
      before = book.requests
      if (book.taken >= called.made && (sinkOptions.outage === undefined || still > 50)) break
      await sleep(20)
    }
    sink.send("book")
    const book = await heard<Book>(sink)
    child.send("end")
    const answer = await heard<{ readonly report: Report }>(child)
    return answer === undefined || book === undefined ? undefined : { report: answer.report, book }
  } finally {
    clearTimeout(timer)
    child.kill("SIGKILL")
    sink.kill()
  }
}

const median = (numbers: ReadonlyArray<number>): number => {
  const sorted = numbers.toSorted((a, b) => a - b)
  const at = (index: number) => sorted[Math.floor(index)] as number
  return (at((sorted.length - 1) / 2) + at(sorted.length / 2)) / 2
}

type Runs = ReadonlyMap<Client, ReadonlyArray<Run>>

/** All clients in turns, so that what the machine does meanwhile concerns all of them; `side` of them at a time. */
const inTurns = async (
  options: Omit<Options, "host">,
  sinkOptions: SinkOptions = {},
  side = 1,
  who: ReadonlyArray<Client> = taking
): Promise<Runs> => {
  const runs = new Map(who.map((client) => [client, [] as Array<Run>]))
  for (let round = 0; round < rounds; round++) {
    for (let first = 0; first < who.length; first += side) {
      await Promise.all(
        who.slice(first, first + side).map(async (client) => {
          const one = await run(client, options, sinkOptions)
          if (one !== undefined) runs.get(client)?.push(one)
        })
      )
    }
  }
  return runs
}

// ---------------------------------------------------------------------------------------------------------------------
// Tables
// ---------------------------------------------------------------------------------------------------------------------

const number = (value: number, digits = 1): string =>
  value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits })

const table = (title: string, head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>) => {
  console.log(`\n**${title}**\n`)
  console.log(`| ${["", ...head].join(" | ")} |`)
  console.log(`| --- |${head.map(() => " ---: |").join("")}`)
  for (const row of rows) console.log(`| ${row.join(" | ")} |`)
}

const rowsOf = (runs: Runs, columns: (of: (field: (run: Run) => number) => number) => ReadonlyArray<string>) =>
  [...runs].map(([client, all]) => [
    client.name,
    ...(all.length === 0 ? ["did not get to the end"] : columns((field) => median(all.map(field))))
  ])

const floorHttp = "floor: node:http"
const floorFetch = "floor: fetch"

const burst = async (calls: number) => {
  const runs = await inTurns({ scenario: "burst", calls })
  const medianOf = (name: string, field: (report: Report) => number) => {
    const all = [...runs].find(([client]) => client.name === name)?.[1] ?? []
    return all.length === 0 ? Number.NaN : median(all.map(({ report }) => field(report)))
  }
  const ratio = (value: number, floor: number) => (Number.isNaN(floor) ? "" : ` (${number(value / floor, 2)})`)
  const [http, fetched] = [medianOf(floorHttp, ({ cpu }) => cpu), medianOf(floorFetch, ({ cpu }) => cpu)]
  const call = medianOf(floorFetch, ({ p50 }) => p50)
  table(
    `Burst: ${number(calls, 0)} calls in chunks of 500; in brackets how many times the floor: of its call, and of its CPU over fetch and over node:http`,
    ["calls made", "call p50 µs", "mean µs", "p99 µs", "CPU µs a message, whole process", "peak MB over idle"],
    rowsOf(runs, (of) => {
      const [p50, cpu] = [of(({ report }) => report.p50), of(({ report }) => report.cpu)]
      return [
        number(
          of(({ report }) => report.calls),
          0
        ),
        `${number(p50)}${ratio(p50, call)}`,
        number(of(({ report }) => report.mean)),
        number(of(({ report }) => report.p99)),
        `${number(cpu)}${ratio(cpu, fetched)}${ratio(cpu, http)}`,
        number(
          of(({ report }) => report.peak),
          0
        )
      ]
    })
  )
}

const steady = async () => {
  const seconds = flags.quick ? 3 : 10
  const who = taking.filter(
    ({ name }) => name !== floorFetch && !name.endsWith("over fetch") && !name.endsWith("undici")
  )
  const runs = await inTurns({ scenario: "steady", calls: 2_000, seconds, maxInFlight: 4 }, { delay: 50 }, 1, who)
  table(
    `Steady: 2,000 calls a second for ${seconds} s, the sink answers after 50 ms, 4 requests in flight where that can be set`,
    ["call to sink p50 ms", "p99 ms", "CPU µs a message", "event loop p99 ms, idle", "busy"],
    rowsOf(runs, (of) =>
      of(({ report }) => report.calls) < 2_000 * seconds
        ? [`cannot: ${number(of(({ report }) => report.calls) / seconds / 1.5, 0)} a second`, "", "", "", ""]
        : [
            number(of(({ book }) => book.latency[0])),
            number(of(({ book }) => book.latency[1])),
            number(of(({ report }) => report.cpu)),
            number(of(({ report }) => report.idleDelay)),
            number(of(({ report }) => report.delay))
          ]
    )
  )
}

const outage = async () => {
  const calls = 5_000
  // Nobody has much to do here: several at a time change nothing but the time that it takes.
  const runs = await inTurns({ scenario: "outage", calls, maxInFlight: 1 }, { outage: 3_000 }, 4)
  table(
    "Outage: 503 for 3 s with 5,000 calls made at its beginning, one request at a time where that can be set",
    ["lost", "duplicates", "drained at s", "requests"],
    rowsOf(runs, (of) => [
      number(
        of(({ book, report }) => report.calls - book.taken),
        0
      ),
      number(
        of(({ book }) => book.duplicates),
        0
      ),
      of(({ book }) => book.taken) === 0 ? "" : number(of(({ book }) => book.drained) / 1_000),
      number(
        of(({ book }) => book.requests),
        0
      )
    ])
  )
}

const memory = async () => {
  const runs = await inTurns({ scenario: "memory", calls: 6_000 }, { silent: true }, 2)
  table(
    "Memory: the sink never answers; what each of 5,000 messages adds that wait",
    ["heap bytes a message", "times its JSON"],
    rowsOf(runs, (of) => {
      const heap = of(({ report }) => report.heap)
      return [number(heap, 0), number(heap / of(({ book }) => book.bytes), 2)]
    })
  )
}

// ---------------------------------------------------------------------------------------------------------------------
// Cold start
// ---------------------------------------------------------------------------------------------------------------------

const importTime = (entry: string): number => {
  // The time is taken before `process.stdout` is made, which is milliseconds of its own.
  const code = `const start = performance.now(); await import(${JSON.stringify(entry)}); const time = performance.now() - start; process.stdout.write(String(time)); process.exit()`
  return Number(execFileSync(process.execPath, ["--input-type=module", "-e", code], { cwd: here, encoding: "utf8" }))
}

const cold = async () => {
  const who = taking.filter(({ entry }) => entry !== undefined)
  const imports = new Map(who.map((client) => [client, [] as Array<number>]))
  for (let round = -1; round < rounds * 5; round++) {
    for (const client of who) {
      const time = importTime(client.entry as string)
      if (round >= 0) imports.get(client)?.push(time)
    }
  }
  const rows = who.map((client) => [client.name, number(median(imports.get(client) as Array<number>), 0)])
  table("Cold start", ["import ms"], rows)
}

// ---------------------------------------------------------------------------------------------------------------------
// Size
// ---------------------------------------------------------------------------------------------------------------------

const manifestOf = (
  folder: string
): { readonly name: string; readonly version: string; readonly dependencies?: object } =>
  JSON.parse(readFileSync(`${folder}/package.json`, "utf8"))

const sizeOf = (folder: string): number =>
  readdirSync(folder, { withFileTypes: true }).reduce((sum, entry) => {
    const path = `${folder}/${entry.name}`
    if (entry.name === "node_modules") return sum
    return sum + (entry.isDirectory() ? sizeOf(path) : entry.isFile() ? statSync(path).size : 0)
  }, 0)

/** The folders of everything that an installed package needs. */
const closure = (folder: string, base: string, known = new Set<string>()): Set<string> => {
  if (known.has(folder)) return known
  known.add(folder)
  for (const name of Object.keys(manifestOf(folder).dependencies ?? {})) {
    const found = [`${folder}/node_modules/${name}`, `${base}/${name}`].find((path) => existsSync(path))
    if (found !== undefined) closure(found, base, known)
  }
  return known
}

const installed = (name: string, beside: ReadonlyArray<string> = []) => {
  const ours = name === "effect-analytics"
  const folders = ours
    ? beside.map((other) => `${root}node_modules/${other}`)
    : [...closure(`${here}node_modules/${name}`, `${here}node_modules`)]
  const own = ours
    ? JSON.parse(
        execFileSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], { cwd: root, encoding: "utf8" })
      )
    : [{ unpackedSize: 0 }]
  const bytes = folders.reduce((sum, folder) => sum + sizeOf(folder), own[0].unpackedSize)
  return { megabytes: bytes / 1e6, packages: folders.length + (ours ? 1 : 0) }
}

const bundle = async (program: string) => {
  const { outputFiles } = await esbuild.build({
    stdin: { contents: program, resolveDir: here, loader: "js" },
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    platform: "node",
    target: "node22",
    logLevel: "silent"
  })
  const { contents } = outputFiles[0] as esbuild.OutputFile
  return { min: contents.length / 1_024, gzip: gzipSync(contents, { level: 9 }).length / 1_024 }
}

const size = async () => {
  const rows = []
  for (const client of taking.filter(({ entry }) => entry !== undefined)) {
    const { gzip, min } = await bundle(client.program as string)
    const { megabytes, packages } = installed(client.package as string, client.beside)
    rows.push([client.name, number(min, 0), number(gzip), number(megabytes, 2), String(packages)])
  }
  table("Size: on every machine the same", ["bundle KiB, min", "gzip", "installed MB", "packages"], rows)
}

// ---------------------------------------------------------------------------------------------------------------------

const versions = taking.flatMap(({ package: name }) =>
  name === undefined || name === "effect-analytics"
    ? []
    : [`${name} ${manifestOf(`${here}node_modules/${name}`).version}`]
)
const [cpu] = cpus()
const own = manifestOf(root.replace(/\/$/, ""))
console.log(
  `Node ${process.version}, ${process.platform} ${process.arch}, ${cpus().length} × ${cpu?.model.trim()}; medians of ${rounds} ${rounds === 1 ? "round" : "rounds"}; ${JSON.stringify(event).length} bytes an event, batches of 100; ${own.name} ${own.version} on effect ${manifestOf(`${root}node_modules/effect`).version}, ${versions.join(", ")}.`
)
const all = {
  burst: () => burst(50_000),
  // Most of a short burst is spent by the engine on compiling: a server lives longer.
  warm: () => burst(200_000),
  steady,
  outage,
  memory,
  cold,
  size
} satisfies Record<Scenario, () => Promise<void>>
for (const scenario of scenarios) if (wanted.has(scenario)) await all[scenario]()
