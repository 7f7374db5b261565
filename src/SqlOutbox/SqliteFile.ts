/**
 * The file of an embedded outbox: who may read it, what is done when it is broken or full, and who else has it open.
 *
 * A file that SQLite finds broken is set aside, never repaired and never deleted, and a new one takes its place.
 */
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import type { DatabaseSync } from "node:sqlite"
import { OutboxUnavailable } from "../AnalyticsError.ts"
import { codeOf, type Source } from "./SqliteClient.ts"

export interface Settings {
  /** An absolute path. */
  readonly file: string
  /** What a commit survives: `full` the loss of power, `normal` the end of the process. */
  readonly synchronous: "full" | "normal"
  readonly maxFileBytes: number
}

/** A file that was set aside. */
export interface Quarantined {
  /** Where it is now. */
  readonly file: string
  /** What it was found by. */
  readonly problem: string
  readonly bytes: number
}

/** What SQLite says of a file that it can't work with: it is corrupt, or no database. */
const isBroken = (code: number) => [11, 26].includes(code & 0xff)
const isFull = (code: number) => (code & 0xff) === 13

/** Milliseconds that a statement may stop the process for while another one writes. */
const busyMillis = 10
/** The same for the start, where nothing else is to be done yet. */
const startMillis = 5_000

/** Space in reserve: on a disk that is full, not even a delivered message can be deleted without some. */
const ballastBytes = 128 * 1024

export class SqliteFile implements Source {
  readonly settings: Settings
  private readonly quarantined: (file: Quarantined) => void
  private database: DatabaseSync | undefined
  /** The identity of the file that is open: the one at its path may be another by now. */
  private inode = -1
  private problem: string | undefined

  constructor(settings: Settings, quarantined: (file: Quarantined) => void) {
    this.settings = settings
    this.quarantined = quarantined
  }

  /** The open database. */
  open(): DatabaseSync {
    this.database ??= this.openOrReplace()
    return this.database
  }

  /** The start is over: from now on nothing may stop the process for long. */
  started(): void {
    this.open().exec(`PRAGMA busy_timeout = ${busyMillis}`)
  }

  failed(code: number): void {
    if (isBroken(code)) this.problem = `SQLITE ${code}`
    if (isFull(code)) this.dropBallast()
  }

  /**
   * Whether there is another file now than before: because this one is broken, or because somebody else has set it
   * aside. The new one may be empty.
   */
  replaced(): boolean {
    if (this.database === undefined) return false
    if (this.problem === undefined && this.inodeAtPath() === this.inode) return false
    const { problem } = this
    const ours = this.inodeAtPath() === this.inode
    this.close()
    if (problem !== undefined && ours) this.setAside(problem)
    return true
  }

  close(): void {
    const { database } = this
    this.database = undefined
    this.problem = undefined
    try {
      database?.close()
    } catch {
      // It is of no use any more, whatever it says.
    }
  }

  /** Gives back to the disk what is no longer used, a little at a time, and takes what is kept in reserve. */
  tidy(): void {
    const database = this.open()
    database.exec("PRAGMA incremental_vacuum(256)")
    if (!Fs.existsSync(this.ballast)) Fs.writeFileSync(this.ballast, new Uint8Array(ballastBytes), { mode: 0o600 })
  }

  private get ballast(): string {
    return `${this.settings.file}-reserve`
  }

  private dropBallast(): void {
    Fs.rmSync(this.ballast, { force: true })
  }

  private inodeAtPath(): number {
    return Fs.statSync(this.settings.file, { throwIfNoEntry: false })?.ino ?? -1
  }

  private openOrReplace(): DatabaseSync {
    try {
      return this.openOnce()
    } catch (cause) {
      const code = codeOf(cause)
      if (!(cause instanceof Damage) && (code === undefined || !isBroken(code))) throw unavailable(cause)
      this.setAside(cause instanceof Damage ? cause.message : `SQLITE ${code}`)
    }
    try {
      return this.openOnce()
    } catch (cause) {
      throw unavailable(cause)
    }
  }

  private openOnce(): DatabaseSync {
    const { file, maxFileBytes, synchronous } = this.settings
    Fs.mkdirSync(Path.dirname(file), { recursive: true, mode: 0o700 })
    if (Fs.lstatSync(file, { throwIfNoEntry: false })?.isSymbolicLink()) {
      throw new OutboxUnavailable({ problem: "could not be opened: the file is a symbolic link" })
    }
    // Whoever makes it decides who may read it; what SQLite puts beside it has the same mode.
    Fs.closeSync(Fs.openSync(file, "a", 0o600))
    this.inode = this.inodeAtPath()
    // Not imported: where it is missing, the outbox in PostgreSQL works all the same.
    const sqlite = process.getBuiltinModule("node:sqlite")
    if (sqlite === undefined) throw new OutboxUnavailable({ problem: "needs node:sqlite, which is not here" })
    const database = new sqlite.DatabaseSync(file, { timeout: startMillis })
    try {
      database.exec("PRAGMA auto_vacuum = INCREMENTAL")
      database.exec("PRAGMA journal_mode = WAL")
      database.exec(`PRAGMA synchronous = ${synchronous === "full" ? "FULL" : "NORMAL"}`)
      const checked = Object.values(database.prepare("PRAGMA quick_check(1)").get() ?? {})[0]
      if (checked !== "ok") throw new Damage(String(checked).slice(0, 200))
      const { page_size: pageSize } = database.prepare("PRAGMA page_size").get() as { readonly page_size: number }
      database.exec(`PRAGMA max_page_count = ${Math.max(16, Math.floor(maxFileBytes / pageSize))}`)
      return database
    } catch (cause) {
      database.close()
      throw cause
    }
  }

  private setAside(problem: string): void {
    const { file } = this.settings
    const bytes = Fs.statSync(file, { throwIfNoEntry: false })?.size ?? 0
    let place = 1
    while (Fs.existsSync(`${file}.corrupt-${place}`)) place++
    const aside = `${file}.corrupt-${place}`
    for (const suffix of ["", "-wal", "-shm"]) {
      if (Fs.existsSync(file + suffix)) Fs.renameSync(file + suffix, aside + suffix)
    }
    this.quarantined({ file: aside, problem, bytes })
  }
}

class Damage extends Error {}

const unavailable = (cause: unknown): OutboxUnavailable => {
  if (cause instanceof OutboxUnavailable) return cause
  const code = codeOf(cause) ?? (cause as { readonly code?: unknown } | undefined)?.code
  return new OutboxUnavailable({
    problem: "could not be opened",
    ...(code === undefined ? {} : { code: typeof code === "number" ? `SQLITE ${code}` : String(code) })
  })
}

// ---------------------------------------------------------------------------------------------------------------------
// Who else
// ---------------------------------------------------------------------------------------------------------------------

/** When this process began, in seconds of a clock that nobody sets. */
const startedAt = Math.round(Number(process.hrtime.bigint()) / 1e9 - process.uptime())

/** Says on which machine and in which process somebody lives. */
export const address = (): string => `${Os.hostname()}/${process.pid}/${startedAt}`

/** Whether who had this address is gone for certain: it need not be waited for. */
export const isGone = (other: string): boolean => {
  const [host, pid, started] = other.split("/")
  if (host !== Os.hostname() || !/^\d+$/.test(pid ?? "")) return false
  // The start is the difference of two clocks, and not the same to the second.
  if (Number(pid) === process.pid) return Math.abs(Number(started) - startedAt) > 2
  try {
    process.kill(Number(pid), 0)
    return false
  } catch (cause) {
    return (cause as { readonly code?: string }).code === "ESRCH"
  }
}
