/**
 * `npm run test:projects`: real projects, each in a folder of its own with the library installed from its tarball, send real
 * events to a local peer. Prints a table, as markdown, and under it what failed.
 *
 * Their tools (jest, TypeScript, Express, …) are installed by this command, in `packages`, when they are missing; they are no
 * part of the project's own install. Next.js and Workers are in `npm run test:runtimes`. `-- express` runs one project.
 */
import { execFile, execFileSync, spawn } from "node:child_process"
import { copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync } from "node:fs"
import * as path from "node:path"
import { promisify } from "node:util"
import { tarballIn } from "../../.ci/tarball.ts"
import * as Peer from "../runtimes/peer.ts"

const here = import.meta.dirname
const root = path.join(here, "..", "..")
const packages = path.join(here, "packages")
// Below the tools, so that a project finds them as if they were its own.
const work = path.join(packages, ".projects")

const node = path.dirname(process.execPath)
const env = {
  ...process.env,
  PATH: [path.join(packages, "node_modules", ".bin"), node, process.env.PATH].join(path.delimiter)
}
const npm = (cwd: string, ...args: ReadonlyArray<string>) =>
  execFileSync("npm", [...args, "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"], {
    cwd,
    env,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"]
  })

const install = () => {
  const [wanted, done] = [
    path.join(packages, "package-lock.json"),
    path.join(packages, "node_modules", "installed.json")
  ]
  if (existsSync(done) && readFileSync(done, "utf8") === readFileSync(wanted, "utf8")) return
  npm(packages, "ci", "--ignore-scripts")
  copyFileSync(wanted, done)
}

// ---------------------------------------------------------------------------------------------------------------------
// Projects
// ---------------------------------------------------------------------------------------------------------------------

interface Project {
  readonly name: string
  /** What has to arrive: types, or names of events. */
  readonly arrives: ReadonlyArray<string>
  /** What is installed beside the library. */
  readonly beside?: ReadonlyArray<string>
  /** Rejects if the project does not run as it should. */
  readonly run: (cwd: string, peer: string) => Promise<void>
}

/** Runs a program of the project; it has to end by itself, and well. */
const program = async (cwd: string, peer: string, file: string, ...args: ReadonlyArray<string>) => {
  const { stdout } = await promisify(execFile)(file, args, {
    cwd,
    env: { ...env, PEER: peer },
    timeout: 120_000,
    killSignal: "SIGKILL"
  }).catch((error: { readonly message: string; readonly stdout?: string }) => {
    throw new Error(`${error.message}\n${error.stdout ?? ""}`)
  })
  return stdout
}

const typeScript = async (cwd: string, peer: string) => {
  await program(cwd, peer, "tsc", "-p", cwd)
  const printed = await program(cwd, peer, process.execPath, "out/main.js")
  const expected = { failures: ["PlanViolation"], sent: ["page"] }
  if (printed.trim() !== JSON.stringify(expected)) throw new Error(`it prints ${printed}`)
}

const main = async (cwd: string, peer: string) => void (await program(cwd, peer, process.execPath, "main.js"))
const jest = async (cwd: string, peer: string) => void (await program(cwd, peer, "jest", "--ci", "--runInBand"))

/** Asks an Express server, ends it as an orchestrator does, and waits for its end. */
const express = async (cwd: string, peer: string) => {
  const server = spawn(process.execPath, ["main.js"], {
    cwd,
    env: { ...env, PEER: peer },
    stdio: ["ignore", "pipe", "inherit"]
  })
  const ended = new Promise<string>((resolve) => server.on("exit", (code, signal) => resolve(String(code ?? signal))))
  try {
    const address = await new Promise<string>((resolve, reject) => {
      server.stdout.once("data", (line: Buffer) => resolve(line.toString().trim()))
      server.once("exit", () => reject(new Error("the server does not start")))
    })
    await Promise.all([1, 2].map((id) => fetch(`${address}/orders/${id}`, { method: "POST" })))
    server.kill("SIGTERM")
    const end = await ended
    if (end !== "0") throw new Error(`the server ends with ${end}`)
  } finally {
    server.kill("SIGKILL")
  }
}

/** Bundles a handler for Lambda in both formats, and calls it. */
const lambda = async (cwd: string, peer: string) => {
  for (const [format, extension] of [
    ["esm", "mjs"],
    ["cjs", "cjs"]
  ] as const) {
    const bundle = `out/handler.${extension}`
    const options = ["--bundle", "--minify", "--platform=node", "--target=node22", `--format=${format}`]
    await program(cwd, peer, "esbuild", "handler.ts", ...options, `--outfile=${bundle}`)
    const call = `import("./${bundle}").then(({ handler }) => handler({ userId: "u1" })).then((it) => console.log(it.delivered))`
    const delivered = await program(cwd, peer, process.execPath, "--eval", call)
    if (delivered.trim() !== "1") throw new Error(`${format}: ${delivered} are delivered`)
  }
}

/** Bundles a program with each bundler into one file, and runs each. */
const bundlers = async (cwd: string, peer: string) => {
  await program(cwd, peer, process.execPath, "build.js")
  for (const bundler of ["webpack", "rollup", "vite"]) {
    await program(cwd, peer, process.execPath, `out/${bundler}.mjs`)
  }
}

const projects: ReadonlyArray<Project> = [
  { name: "typescript-esm", arrives: ["Planned", "Durable"], run: typeScript },
  { name: "typescript-cjs", arrives: ["Planned", "Durable"], run: typeScript },
  { name: "require", arrives: ["Required", "Durable"], run: main },
  { name: "jest-defaults", arrives: ["Tested"], run: jest },
  { name: "jest-babel", arrives: ["Tested"], run: jest },
  { name: "jest-ts", arrives: ["Tested"], run: jest },
  { name: "jest-swc", arrives: ["Tested"], run: jest },
  { name: "vitest", arrives: ["Tested"], run: async (cwd, peer) => void (await program(cwd, peer, "vitest", "run")) },
  {
    name: "editor",
    arrives: [],
    run: async (cwd, peer) => void (await program(cwd, peer, process.execPath, "hover.js"))
  },
  {
    name: "node-test",
    arrives: ["Tested"],
    run: async (cwd, peer) => void (await program(cwd, peer, process.execPath, "--test"))
  },
  { name: "express", arrives: ["Order Completed", "Order Completed"], run: express },
  { name: "lambda", arrives: ["Invoked", "Invoked"], run: lambda },
  { name: "bundlers", arrives: ["webpack", "rollup", "vite"].flatMap(() => ["Bundled", "Durable"]), run: bundlers },
  {
    name: "both",
    arrives: ["Context of require", "Identity of import", "Context of import", "Signed Up"],
    beside: ["effect"],
    run: main
  }
]

/** What the messages of a project have to say of their surroundings. */
const surroundings: { readonly [event: string]: (message: Message) => boolean } = {
  Planned: ({ context, userId }) => context.userAgent === "test" && userId === "5",
  Required: ({ userId }) => userId === "u1",
  Tested: ({ context }) => context.ip === "203.0.113.7",
  Bundled: ({ context }) => context.ip === "203.0.113.7",
  "Order Completed": ({ context }) => context.ip === "127.0.0.1",
  "Context of require": ({ context }) => context.ip === "203.0.113.1",
  "Identity of import": ({ context, userId }) => context.ip === "203.0.113.1" && userId === "u2",
  "Context of import": ({ context }) => context.ip === "203.0.113.2"
}

interface Message {
  readonly event: string
  readonly userId?: string
  readonly context: { readonly ip?: string; readonly userAgent?: string }
}

const check = async ({ arrives, beside = [], name, run }: Project, tarball: string, peer: Peer.Peer) => {
  const cwd = path.join(work, name)
  cpSync(path.join(here, "folders", name), cwd, { recursive: true })
  const others = beside.map((other) => {
    const { version } = JSON.parse(readFileSync(path.join(root, "node_modules", other, "package.json"), "utf8"))
    return `${other}@${version}`
  })
  npm(cwd, "install", "--prefer-offline", "--ignore-scripts", "--no-package-lock", tarball, ...others)
  await run(cwd, `${peer.url}/${name}/200`)
  const messages: ReadonlyArray<Message> = peer.arrivals(name).flatMap(({ text }) => JSON.parse(text).batch)
  const arrived = messages.map(({ event }) => event)
  if (JSON.stringify(arrived.toSorted()) !== JSON.stringify(arrives.toSorted())) {
    throw new Error(`${JSON.stringify(arrived)} arrived, not ${JSON.stringify(arrives)}`)
  }
  for (const message of messages) {
    if (surroundings[message.event]?.(message) === false)
      throw new Error(`${JSON.stringify(message)} has other surroundings`)
  }
}

// ---------------------------------------------------------------------------------------------------------------------

const failures: Array<string> = []
try {
  await using peer = await Peer.start()
  install()
  rmSync(work, { recursive: true, force: true })
  mkdirSync(work)
  const tarball = tarballIn(work)
  console.log("| project | events that arrived | seconds |\n| --- | --- | ---: |")
  const names = process.argv.slice(2)
  for (const project of projects.filter(({ name }) => names.length === 0 || names.includes(name))) {
    const start = performance.now()
    const failure = await check(project, tarball, peer).then(
      () => undefined,
      (error: Error) => error.message
    )
    const seconds = ((performance.now() - start) / 1_000).toFixed(1)
    console.log(`| ${project.name} | ${failure === undefined ? project.arrives.length : "**failed**"} | ${seconds} |`)
    if (failure !== undefined) failures.push(`${project.name}: ${failure}`)
  }
} finally {
  rmSync(work, { recursive: true, force: true, maxRetries: 5 })
}
for (const failure of failures) console.error(`FAILED: ${failure}`)
process.exitCode = failures.length === 0 ? 0 : 1
