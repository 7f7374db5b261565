/** The runtimes, each from its npm package, and how the portable program gets into it and its checks come out. */
import { execFile, spawn } from "node:child_process"
import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import * as path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { promisify } from "node:util"
import { chromiumFiles, flags } from "../chromium.ts"
import type { Peer } from "./peer.ts"
import type { Check } from "./program.ts"

export interface Host {
  readonly name: string
  /** The version that is installed. Rejects if it is not, or can't be started. */
  readonly version: () => Promise<string>
  /** Runs what was built in the folder `app`. Rejects if that can't be done. */
  readonly run: (app: string, peer: Peer) => Promise<ReadonlyArray<Check>>
}

export const packages = path.join(import.meta.dirname, "packages")
const installed = (...names: ReadonlyArray<string>) => path.join(packages, "node_modules", ...names)

/** What a whole run may take, in milliseconds. Far more than it does: who is late hangs. */
const patience = 300_000

/** What a program prints; it has to end by itself, and well. */
const output = async (file: string, args: ReadonlyArray<string>, cwd = packages, env = process.env) => {
  const { stdout } = await promisify(execFile)(file, args, { cwd, env, timeout: patience, killSignal: "SIGKILL" })
  return stdout.trim()
}

const versionOf = async (file: string, args: ReadonlyArray<string> = [], env = process.env) =>
  /\d+(\.\d+)+|\d+(-\d+)+/.exec(await output(file, [...args, "--version"], packages, env))?.[0] ?? "unknown"

// ---------------------------------------------------------------------------------------------------------------------
// Node, Bun, Deno
// ---------------------------------------------------------------------------------------------------------------------

/** A runtime that runs a file as a process. */
const processes = (name: string, file: string, ...args: ReadonlyArray<string>): Host => ({
  name,
  version: () => versionOf(file),
  run: async (app, peer) => {
    const printed = await output(file, [...args, "server.js", peer.url, name.replace(" ", "-")], app)
    const checks: ReadonlyArray<Check> = JSON.parse(printed.split("\n").at(-1) ?? "")
    const book = `${name.replace(" ", "-")}-ends`
    await output(file, [...args, "ends.js", peer.url, book], app)
    const attempts = peer.arrivals(book).length
    const promise = "plain: a script that says something and ends still delivers, after a 503"
    return [...checks, attempts === 2 ? { promise } : { promise, problem: `${attempts} attempts` }]
  }
})

// ---------------------------------------------------------------------------------------------------------------------
// workerd
// ---------------------------------------------------------------------------------------------------------------------

const visits = 20

const workerd: Host = {
  name: "workerd",
  version: () => versionOf(installed("workerd", "bin", "workerd")),
  run: async (app, peer) => {
    const child = spawn(installed("workerd", "bin", "workerd"), ["serve", "--control-fd=3", "workerd.capnp"], {
      cwd: app,
      env: { ...process.env, PEER: peer.url },
      stdio: ["ignore", "ignore", "inherit", "pipe"]
    })
    try {
      const ports = await listening(child.stdio[3] as NodeJS.ReadableStream, ["today", "bare", "guide"])
      const get = async (worker: string, route: string, headers = {}) => {
        const signal = AbortSignal.timeout(patience)
        const response = await fetch(`http://127.0.0.1:${ports.get(worker)}/${route}`, { headers, signal })
        if (!response.ok) throw new Error(`${route} is answered ${response.status}`)
        return response
      }
      const checks: Array<Check> = []
      const check = (promise: string, problem: string | undefined) => checks.push({ promise, problem })
      for (const worker of ["today", "bare"]) {
        const ran = (await (await get(worker, `program/workerd-${worker}`)).json()) as ReadonlyArray<Check>
        for (const { problem, promise } of ran) check(`${worker}: ${promise}`, problem)
      }

      for (let visit = 0; visit < 3; visit++) await get("today", "shared/workerd-shared")
      const many = Array.from({ length: visits }, (_, visit) => visit)
      const answers = await Promise.all(many.map(async () => (await get("today", "visit/workerd-visits")).text()))
      const refused = answers.every((answer) => answer.includes(`"earlyCall":false`))
      check("plain: a call in global scope is refused", refused ? undefined : String(answers[0]))
      await Promise.all(many.map((visit) => get("guide", "orders", { "cf-connecting-ip": `203.0.113.${visit}` })))
      for (const book of ["workerd-visits", "guide"]) {
        const arrived = () => peer.arrivals(book).flatMap(({ text }) => JSON.parse(text).batch)
        for (let tries = 0; arrived().length < visits && tries < 250; tries++) await sleep(20)
        const senders = new Set(arrived().map(({ context }) => context.ip)).size
        const whole = arrived().length === visits && (book !== "guide" || senders === visits)
        const problem = whole ? undefined : `${arrived().length} of ${visits}, from ${senders} addresses`
        check(`${book}: a client a request, closed with waitUntil, delivers all`, problem)
      }
      // What the guide warns of. When this fails, workers have changed, and the guide is to be changed.
      const shared = peer.arrivals("workerd-shared").length
      check("plain: a client that requests share stalls", shared < 3 ? undefined : `all ${shared} were delivered`)
      return checks
    } finally {
      child.kill("SIGKILL")
    }
  }
}

/** The ports of workerd's sockets, as it tells them on its control pipe. */
const listening = (control: NodeJS.ReadableStream, sockets: ReadonlyArray<string>) =>
  new Promise<ReadonlyMap<string, number>>((resolve, reject) => {
    const ports = new Map<string, number>()
    let text = ""
    control.on("data", (chunk: Buffer) => {
      text += chunk.toString()
      const lines = text.split("\n")
      text = lines.pop() ?? ""
      for (const line of lines) {
        const told: { readonly socket?: string; readonly port?: number } = JSON.parse(line)
        if (told.socket !== undefined && told.port !== undefined) ports.set(told.socket, told.port)
      }
      if (sockets.every((socket) => ports.has(socket))) resolve(ports)
    })
    control.on("close", () => reject(new Error("it ended before it listened")))
  })

// ---------------------------------------------------------------------------------------------------------------------
// Chromium
// ---------------------------------------------------------------------------------------------------------------------

const chromium: Host = {
  name: "Chromium",
  version: async () => {
    const { env, file } = await chromiumFiles()
    return versionOf(file, [], env)
  },
  run: async (app, peer) => {
    const { env, file } = await chromiumFiles()
    const script = await readFile(path.join(app, "page.js"))
    const source = `/page.js?${new URLSearchParams({ peer: peer.url, run: "chromium" })}`
    const reported = Promise.withResolvers<ReadonlyArray<Check>>()
    // The page is from another origin than the peer: what it may do there is for the peer to allow.
    const server = Http.createServer(async (request, response) => {
      if (request.url === source) return response.writeHead(200, { "content-type": "text/javascript" }).end(script)
      if (request.url === "/report") {
        const chunks: Array<Buffer> = []
        for await (const chunk of request) chunks.push(chunk)
        response.end()
        return reported.resolve(JSON.parse(Buffer.concat(chunks).toString()))
      }
      return response
        .writeHead(200, { "content-type": "text/html" })
        .end(`<script type="module" src="${source}"></script>`)
    })
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
    const args = [...flags, `--user-data-dir=${path.join(app, "profile")}`, address]
    // A group of its own: a browser is several processes.
    const child = spawn(file, args, { env, detached: true, stdio: "ignore" })
    const timer = setTimeout(() => reported.reject(new Error(`no report in ${patience / 1_000} s`)), patience)
    child.once("exit", (code, signal) => reported.reject(new Error(`it ended with ${signal ?? code}`)))
    child.once("error", reported.reject)
    try {
      return await reported.promise
    } finally {
      clearTimeout(timer)
      if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, "SIGKILL")
      server.closeAllConnections()
      server.close()
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Next.js
// ---------------------------------------------------------------------------------------------------------------------

/** No runtime, but a house of its own: it decides what of a program there is in a request, and what comes after one. */
const next: Host = {
  name: "Next.js",
  version: () => versionOf(process.execPath, [installed("next", "dist", "bin", "next")]),
  run: async (app, peer) => {
    // It wants the site below the folder that it is installed in, and no links.
    const site = path.join(packages, ".site")
    await rm(site, { recursive: true, force: true })
    await mkdir(path.join(site, "app", "orders"), { recursive: true })
    await cp(path.join(import.meta.dirname, "next"), site, { recursive: true })
    await cp(path.join(app, "next.js"), path.join(site, "app", "orders", "route.js"))
    await cp(path.join(app, "node_modules"), path.join(site, "node_modules"), { recursive: true })
    const config = { outputFileTracingRoot: packages, turbopack: { root: packages } }
    await writeFile(path.join(site, "next.config.mjs"), `export default ${JSON.stringify(config)}`)
    const cli = [installed("next", "dist", "bin", "next")]
    const { SEGMENT_WRITE_KEY: _, ...building }: NodeJS.ProcessEnv = { ...process.env, NEXT_TELEMETRY_DISABLED: "1" }
    // Without a key, as in CI. It rejects if the build fails.
    await output(process.execPath, [...cli, "build", site], site, building)
    const env = { ...building, SEGMENT_WRITE_KEY: "test-write-key", PEER: `${peer.url}/next/503,200` }
    const toPeer = path.join(import.meta.dirname, "..", "programs", "toPeer.ts")
    const args = ["--import", toPeer, ...cli, "start", "--port", "0", "--hostname", "127.0.0.1", site]
    const child = spawn(process.execPath, args, { cwd: site, env, stdio: ["ignore", "pipe", "inherit"] })
    try {
      const address = await said(child.stdout, /http:\/\/127\.0\.0\.1:\d+/)
      const ask = async (id: number) => {
        const headers = { "x-real-ip": `203.0.113.${id}`, "x-request-id": `req-${id}` }
        const signal = AbortSignal.timeout(patience)
        const { status } = await fetch(`${address}/orders?id=${id}`, { method: "POST", headers, signal })
        return status
      }
      const statuses = await Promise.all([ask(1), ask(2), ask(3)])
      const arrived = () =>
        peer.arrivals("next").flatMap(({ text }, at) => (at === 0 ? [] : JSON.parse(text).batch)) as ReadonlyArray<{
          readonly context: {
            readonly ip: string
            readonly requestId: string
            readonly page: { readonly search: string }
          }
        }>
      for (let tries = 0; arrived().length < 3 && tries < 250; tries++) await sleep(20)
      const contexts = arrived().map(({ context }) => `${context.ip} ${context.requestId} ${context.page.search}`)
      const expected = [1, 2, 3].map((id) => `203.0.113.${id} req-${id} ?id=${id}`)
      const kept = JSON.stringify(contexts.toSorted()) === JSON.stringify(expected)
      const copies = await visitCopies(address, peer)
      return [
        { promise: "guide: the site builds without a key" },
        ...copies,
        {
          promise: "guide: a route answers",
          problem: statuses.every((status) => status === 204) ? undefined : statuses.join()
        },
        {
          promise: "guide: after the answer everything is delivered, each with the context of its request",
          problem: kept ? undefined : contexts.join(", ")
        }
      ]
    } finally {
      child.kill("SIGKILL")
      await rm(site, { recursive: true, force: true })
    }
  }
}

/** The parts of the site have copies of the package. They share the client of instrumentation, context and identity. */
const visitCopies = async (address: string, peer: Peer): Promise<ReadonlyArray<Check>> => {
  const ask = async (route: string, init: RequestInit = {}) => {
    const response = await fetch(`${address}${route}`, {
      redirect: "manual",
      signal: AbortSignal.timeout(patience),
      ...init
    })
    return `${response.headers.get("location") ?? ""} ${await response.text()}`
  }
  // A form without scripts: its action is in a hidden field.
  const action = /name="([$]ACTION_ID_[^"]+)"/.exec(await ask("/action"))?.[1] ?? "no action"
  const body = new FormData()
  body.append(action, "")
  const answers: Readonly<Record<string, string>> = {
    "app route": await ask("/route", { method: "POST" }),
    "pages api": await ask("/api/order"),
    page: await ask("/order"),
    "server action": await ask("/action", { method: "POST", body })
  }
  const edge = await ask("/edge", { method: "POST" })
  const arrived = peer.arrivals("next").flatMap(({ text }) => JSON.parse(text).batch) as ReadonlyArray<{
    readonly event: string
    readonly userId: string
    readonly context: { readonly from?: string }
  }>
  const has = (event: string, from: string) =>
    arrived.some((message) => message.event === event && message.userId === from && message.context.from === from)
  return [
    ...Object.entries(answers).map(([from, answer]) => {
      const isWhole = answer.includes("true,false,true") && has("Ordered", from) && has("Other", from)
      return {
        promise: `copies: ${from} calls the client of instrumentation, with plan, context and identity`,
        ...(isWhole ? {} : { problem: `${answer.slice(0, 300)} ${JSON.stringify(arrived)}` })
      }
    }),
    {
      promise: "edge: withContext and withIdentity hold across an await",
      ...(edge.includes("true") && has("Ordered", "edge") ? {} : { problem: edge.slice(0, 300) })
    }
  ]
}

/** What a program prints, as soon as it is there. */
const said = (stream: NodeJS.ReadableStream, pattern: RegExp) =>
  new Promise<string>((resolve, reject) => {
    let text = ""
    stream.on("data", (chunk: Buffer) => {
      text += chunk.toString()
      const found = pattern.exec(text)?.[0]
      if (found !== undefined) resolve(found)
    })
    stream.on("close", () => reject(new Error(`it ended without a word of ${pattern}`)))
  })

export const hosts: ReadonlyArray<Host> = [
  processes("Node 22", installed("node-22", "bin", "node")),
  processes("Node 24", installed("node-24", "bin", "node")),
  processes("Node 26", installed("node-26", "bin", "node")),
  processes("Bun", installed("bun", "bin", "bun.exe")),
  // Nothing but the network: no files, no environment.
  processes("Deno", installed("deno", "deno"), "run", "--no-prompt", "--allow-net"),
  workerd,
  chromium,
  next
]
