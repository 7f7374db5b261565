/** The command line as a process, bundled from its source. */
import { type ChildProcess, spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import * as Effect from "effect/Effect"
import { afterAll } from "vitest"
import { bundleBin } from "../.ci/bin.ts"

const built = Fs.mkdtempSync(Path.join(Os.tmpdir(), "effect-analytics-bin-"))
await bundleBin(built, ".mjs", { minify: false })
// The debugger reads its page beside its module.
Fs.symlinkSync(fileURLToPath(new URL("../src/Debugger", import.meta.url)), Path.join(built, "Debugger"))
afterAll(() => Fs.rmSync(built, { recursive: true, force: true }))

const bin = Path.join(built, "bin-main.mjs")

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export interface Options {
  readonly env?: NodeJS.ProcessEnv
  readonly stdin?: string | Uint8Array
  readonly cwd?: string
  /** Options of Node itself. */
  readonly node?: ReadonlyArray<string>
}

export interface Running {
  readonly child: ChildProcess
  readonly ended: Promise<Ended>
}

/** Starts a command. Its environment is what is given here, and nothing else. */
export const start = (args: ReadonlyArray<string>, { cwd, env, node = [], stdin = "" }: Options = {}): Running => {
  const child = spawn(process.execPath, [...node, bin, ...args], {
    cwd,
    env: { PATH: process.env.PATH, NODE_COMPILE_CACHE: Path.join(Os.tmpdir(), "effect-analytics-test-cache"), ...env },
    stdio: ["pipe", "pipe", "pipe"]
  })
  let stdout = ""
  let stderr = ""
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text
  })
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text
  })
  // A command that does not read stdin may be gone before it is written.
  child.stdin.on("error", () => {})
  child.stdin.end(stdin)
  const ended = new Promise<Ended>((resolve) =>
    child.once("close", (code, signal) => resolve({ code, signal, stdout, stderr }))
  )
  return { child, ended }
}

/** Runs a command to its end. */
export const run = (args: ReadonlyArray<string>, options?: Options): Effect.Effect<Ended> =>
  Effect.promise(() => start(args, options).ended)

/** A directory for as long as the scope lasts. */
export const directory = Effect.acquireRelease(
  Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "effect-analytics-cli-"))),
  (path) => Effect.sync(() => Fs.rmSync(path, { recursive: true, force: true }))
)

/** The key that commands are given. */
export const writeKey = "test-write-key"

/** What points a command to a peer. */
export const to = (host: string): NodeJS.ProcessEnv => ({ ANALYTICS_WRITE_KEY: writeKey, ANALYTICS_HOST: host })

/** The messages in the body of a request. */
export const batchOf = ({ body }: { readonly body: Buffer }): ReadonlyArray<Record<string, unknown>> =>
  JSON.parse(body.toString()).batch
