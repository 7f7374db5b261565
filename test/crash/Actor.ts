/** Somebody in a crash story: a real process that is killed, paused and started again, and keeps its name and its users. */
import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import type { Readable } from "node:stream"
import { fileURLToPath } from "node:url"
import * as esbuild from "esbuild"
import { type Life, type Order, pipe } from "./Life.ts"

export type Role = "embedded" | "writer" | "relay"

/** The programs of all roles, bundled: a process that is killed twice a second must not need half of it to load. */
export class Programs implements Disposable {
  readonly directory: string

  private constructor(directory: string) {
    this.directory = directory
  }

  static async build(): Promise<Programs> {
    const directory = Fs.mkdtempSync(Path.join(Os.tmpdir(), "effect-analytics-programs-"))
    await esbuild.build({
      entryPoints: (["embedded", "writer", "relay"] satisfies ReadonlyArray<Role>).map((role) =>
        fileURLToPath(new URL(`${role}.ts`, import.meta.url))
      ),
      bundle: true,
      outdir: directory,
      outExtension: { ".js": ".mjs" },
      format: "esm",
      platform: "node",
      target: "node22",
      logLevel: "warning"
    })
    return new Programs(directory)
  }

  [Symbol.dispose](): void {
    Fs.rmSync(this.directory, { recursive: true, force: true })
  }
}

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  /** What it printed, errors and log. */
  readonly output: string
}

export class Actor implements AsyncDisposable {
  readonly role: Role
  readonly name: string
  private readonly programs: Programs
  private readonly told: (line: string) => void
  private child: ChildProcess | undefined
  private lines: Array<string> = []
  private readonly watchers = new Set<() => void>()
  private lives = 0
  /** Resolves when the present life is over, and everything it said was heard. */
  ended: Promise<Ended> = Promise.resolve({ code: 0, signal: null, output: "" })

  /** `told` hears every line that this actor says, in its order. */
  constructor(programs: Programs, role: Role, name: string, told: (line: string) => void = () => {}) {
    this.programs = programs
    this.role = role
    this.name = name
    this.told = told
  }

  /** Begins a life. */
  start(
    life: Omit<Life, "name" | "seed">,
    options: {
      readonly node?: ReadonlyArray<string>
      readonly seed?: number
      /** A command that runs it. */
      readonly under?: readonly [string, ...ReadonlyArray<string>]
    } = {}
  ): void {
    const { node = [], seed = 1, under = [] } = options
    const [execPath = process.execPath, ...execArgv] = [...under, process.execPath, ...node]
    this.lives++
    this.lines = []
    const whole: Life = { ...life, name: `${this.name}.${this.lives}`, seed: seed + this.lives * 7_919 }
    const child = fork(Path.join(this.programs.directory, `${this.role}.mjs`), [JSON.stringify(whole)], {
      stdio: ["ignore", "pipe", "pipe", "ipc", "pipe"],
      env: { PATH: process.env.PATH, NO_COLOR: "1" },
      execPath,
      execArgv
    })
    this.child = child
    let output = ""
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        output = (output + text).slice(-4_000)
      })
    }
    let rest = ""
    const said = child.stdio[pipe] as Readable
    said.setEncoding("utf8").on("data", (text: string) => {
      const parts = (rest + text).split("\n")
      // What was cut off by a death was not said.
      rest = parts.pop() ?? ""
      for (const line of parts) {
        if (/^\w+$/.test(line)) this.lines.push(line)
        this.told(line)
      }
      for (const watcher of this.watchers) watcher()
    })
    this.ended = new Promise((resolve) =>
      child.once("close", (code, signal) => {
        this.child = undefined
        for (const watcher of this.watchers) watcher()
        resolve({ code, signal, output })
      })
    )
  }

  get pid(): number | undefined {
    return this.child?.pid
  }

  /** Resolves when this life has said so, or is over: then with false. */
  said(word: "ready" | "written" | "ending"): Promise<boolean> {
    return new Promise((resolve) => {
      const watcher = () => {
        const heard = this.lines.includes(word)
        if (!heard && this.child !== undefined) return
        this.watchers.delete(watcher)
        resolve(heard)
      }
      this.watchers.add(watcher)
      watcher()
    })
  }

  signal(signal: NodeJS.Signals): void {
    this.child?.kill(signal)
  }

  order(order: Order): void {
    if (this.child?.connected) this.child.send(order, () => {})
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { child } = this
    if (child === undefined) return
    child.kill("SIGKILL")
    if (child.exitCode === null && child.signalCode === null) await once(child, "close")
  }
}
