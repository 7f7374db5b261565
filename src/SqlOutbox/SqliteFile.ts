/**
 * The file of an embedded outbox: its permissions, and what is done when it is broken or full.
 *
 * A file that SQLite finds broken is set aside, never repaired and never deleted, and a new one takes its place.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import type { DatabaseSync, StatementSync } from "node:sqlite"
import { OutboxUnavailable } from "../AnalyticsError.ts"
import { codeOf, damageOf, type ErrorCode, isFull, isLocked, toOutboxError } from "./ErrorCode.ts"
import * as FileLock from "./FileLock.ts"
import { Reserve } from "./Reserve.ts"
import { connect, type Source } from "./SqliteClient.ts"

export interface Settings {
  /** An absolute path. */
  readonly file: string
  /** What a commit survives: `full` the loss of power, `normal` the end of the process. */
  readonly synchronous: "full" | "normal"
  readonly maxFileBytes: number
  /** Whether the client can't wait for a lock: then the process blocks while the file is locked, for 5 seconds at most. */
  readonly startsAtOnce: boolean
}

/** Milliseconds that a statement may stop the process for while another one writes. */
const busyMillis = 10
/** The same for the start of a program that can't wait otherwise. */
const startMillis = 5_000

/** A larger file is not written anew after an erasure: that would stop the process for too long. */
const maxRewriteBytes = 16 * 1024 * 1024

/** No database is smaller, once it is made. */
const smallestBytes = 512

/** What belongs to a database: SQLite's log and its index, and our reserve. */
const companions = ["-wal", "-shm", "-reserve"]

export class SqliteFile implements Source {
  readonly settings: Settings
  private readonly report: (line: string) => void
  private database: DatabaseSync | undefined
  /** The identity of the file that is open: the one at its path may be another by now. */
  private inode = -1
  /** The last answer of `PRAGMA data_version`. */
  private version = 0
  private versionQuery: StatementSync | undefined
  private problem: string | undefined
  private readonly reserve: Reserve
  private hasStarted: boolean
  private hasEnded = false

  /** `report` logs what an operator must know. */
  constructor(settings: Settings, report: (line: string) => void) {
    this.settings = settings
    this.report = report
    this.reserve = new Reserve(`${settings.file}-reserve`)
    this.hasStarted = !settings.startsAtOnce
  }

  /** The open database. */
  open(): DatabaseSync {
    if (this.hasEnded) throw new OutboxUnavailable({ problem: "is closed" })
    this.database ??= this.openOrReplace()
    return this.database
  }

  /** The start is over: from now on nothing may stop the process for long. */
  started(): void {
    if (this.hasStarted) return
    this.hasStarted = true
    this.open().exec(`PRAGMA busy_timeout = ${busyMillis}`)
  }

  failed(code: ErrorCode): void {
    this.problem ??= damageOf(code)
    // At once, before something else takes the room.
    if (isFull(code) && this.reserve.dropIfNeeded() && this.database !== undefined) checkpoint(this.database)
  }

  /** Whether the disk is full, and what is left is kept for removing what is delivered: nothing new is to be written. */
  isFull(): boolean {
    return this.reserve.isGone
  }

  /**
   * Whether there is another file now than before: because this one is broken, or because another program has moved or
   * removed it. The new one may be empty.
   */
  replaced(): boolean {
    if (this.database === undefined) return false
    const { file } = this.settings
    const { ino = -1, size = 0 } = statOf(file) ?? {}
    if (ino !== this.inode) {
      this.close()
      this.report(`the outbox ${file} was moved or removed: what waited in it is not delivered from here any more`)
      return true
    }
    const problem = this.problem ?? (size < smallestBytes ? "it is cut off" : undefined)
    if (problem === undefined) return false
    try {
      // Closed afterwards: SQLite then leaves alone what it finds moved.
      this.exclusively(() => this.setAside(problem))
    } catch {
      // The next question tries again.
      return false
    }
    this.close()
    return true
  }

  /** Takes the lock of a file beside it; answers with its end, or with nothing if another process, or client, has it. */
  hold(lock: string): (() => void) | undefined {
    try {
      return FileLock.take(lock, 0)
    } catch (cause) {
      const code = codeOf(cause)
      if (isLocked(code)) return undefined
      // On a disk that is full a lock takes room as well.
      if (isFull(code)) this.failed(code)
      throw cause
    }
  }

  /** Whether another connection has committed something since the last question; it never throws. */
  hasChanged(): boolean {
    const { database, version } = this
    if (database === undefined) return true
    try {
      this.versionQuery ??= database.prepare("PRAGMA data_version")
      this.version = (this.versionQuery.get() as { readonly data_version: number }).data_version
    } catch {
      // The next statement finds out why.
      return true
    }
    return this.version !== version
  }

  /** Closes it for good. */
  end(): void {
    this.hasEnded = true
    this.close()
  }

  private close(): void {
    const { database } = this
    this.database = undefined
    this.versionQuery = undefined
    this.problem = undefined
    try {
      database?.close()
    } catch {
      // It is of no use any more, whatever it says.
    }
  }

  /** Gives back to the disk what is no longer used, a little at a time, and takes what is kept in reserve. */
  maintain(): void {
    const database = this.open()
    database.exec("PRAGMA incremental_vacuum(256)")
    if (this.reserve.isGone) checkpoint(database)
    this.reserve.keep()
  }

  /** Whether the file can be written anew, quickly and without filling the disk. */
  isRewritable(): boolean {
    const { size = 0 } = statOf(this.settings.file) ?? {}
    return size <= maxRewriteBytes && this.reserve.hasRoom(2 * size)
  }

  private openOrReplace(): DatabaseSync {
    try {
      Fs.mkdirSync(Path.dirname(this.settings.file), { recursive: true, mode: 0o700 })
      for (let attempt = 1; ; attempt++) {
        try {
          return this.check(this.exclusively(() => this.openOnce()))
        } catch (cause) {
          const problem = cause instanceof Damage ? cause.message : damageOf(codeOf(cause))
          if (problem === undefined || attempt > 2) throw cause
          this.exclusively(() => this.setAside(problem))
        }
      }
    } catch (cause) {
      throw faultOf(this.settings.file, cause)
    }
  }

  /** One at a time, of all processes: none opens the file while it is set aside, and none sets aside a new one. */
  private exclusively<A>(body: () => A): A {
    const end = this.takeLock(`${this.settings.file}-lock`)
    try {
      return body()
    } finally {
      end()
    }
  }

  private takeLock(lock: string): () => void {
    try {
      return FileLock.take(lock, this.hasStarted ? busyMillis : startMillis)
    } catch (cause) {
      // It is not the outbox that is broken.
      throw faultOf(lock, cause)
    }
  }

  private openOnce(): DatabaseSync {
    const { file, synchronous } = this.settings
    // SQLite takes an empty file for a new one, and would throw the log away.
    const isEmpty = (statOf(file)?.size ?? 0) === 0
    const log = (statOf(`${file}-wal`)?.size ?? 0) > 0
    const isTruncated = isEmpty && (log || (Fs.existsSync(file) && this.reserve.isThere))
    FileLock.makeFile(file)
    this.inode = statOf(file)?.ino ?? -1
    if (isTruncated) throw new Damage("it is empty, and was not")
    // SQLite would open it, and fail at the first message.
    Fs.accessSync(file, Fs.constants.R_OK | Fs.constants.W_OK)
    const database = connect(file, this.hasStarted ? busyMillis : startMillis)
    try {
      if (isEmpty) database.exec("PRAGMA auto_vacuum = INCREMENTAL")
      database.exec("PRAGMA journal_mode = WAL")
      database.exec(`PRAGMA synchronous = ${synchronous === "full" ? "FULL" : "NORMAL"}`)
      return database
    } catch (cause) {
      database.close()
      throw cause
    }
  }

  private check(database: DatabaseSync): DatabaseSync {
    const { file, maxFileBytes } = this.settings
    try {
      const checked = Object.values(database.prepare("PRAGMA quick_check(1)").get() ?? {})[0]
      if (checked !== "ok") throw new Damage(`corrupt: ${String(checked).replace(/\s+/g, " ").slice(0, 200)}`)
      const { page_size: pageSize } = database.prepare("PRAGMA page_size").get() as { readonly page_size: number }
      database.exec(`PRAGMA max_page_count = ${Math.max(16, Math.floor(maxFileBytes / pageSize))}`)
    } catch (cause) {
      database.close()
      throw cause
    }
    this.reserve.keep()
    for (const suffix of ["", ...companions]) keepToUser(file + suffix)
    this.problem = undefined
    return database
  }

  /** Sets the file aside, unless another process has done so already. */
  private setAside(problem: string): void {
    const { file } = this.settings
    if (statOf(file)?.ino !== this.inode) return
    let place = 1
    while (["", ...companions].some((suffix) => Fs.existsSync(`${file}.corrupt-${place}${suffix}`))) place++
    const aside = `${file}.corrupt-${place}`
    let bytes = 0
    // The file itself last: a process that comes in between finds a broken one, and continues with it.
    for (const suffix of ["-wal", "-shm", ""]) {
      const stats = statOf(file + suffix)
      if (stats === undefined) continue
      if (suffix !== "-shm") bytes += stats.size
      keepToUser(file + suffix)
      Fs.renameSync(file + suffix, aside + suffix)
    }
    this.reserve.remove()
    this.report(
      `the outbox ${file} was broken (${problem}) and is set aside as ${aside} (${bytes} bytes): what waited in it is not delivered`
    )
  }
}

class Damage extends Error {}

const statOf = (file: string) => {
  try {
    return Fs.statSync(file, { throwIfNoEntry: false })
  } catch {
    // What can't be seen is not there for us.
    return undefined
  }
}

/** Gives the room of the log back, if it can be had. */
const checkpoint = (database: DatabaseSync): void => {
  try {
    database.exec("PRAGMA wal_checkpoint(TRUNCATE)")
  } catch {
    // Another time.
  }
}

/** Makes it readable for this user only; a file of another user stays as it is. */
const keepToUser = (file: string): void => {
  if (((statOf(file)?.mode ?? 0) & 0o077) === 0) return
  try {
    Fs.chmodSync(file, 0o600)
  } catch (cause) {
    if ((cause as { readonly code?: unknown }).code !== "EPERM") throw cause
  }
}

/** Why a file could not be opened. A lock is left to the caller, who waits for it. */
const faultOf = (file: string, cause: unknown): unknown => {
  if (cause instanceof OutboxUnavailable) return cause
  const code = codeOf(cause)
  if (isLocked(code) || (isFull(code) && typeof code === "number")) return cause
  return toOutboxError(`could not be opened: ${file}`, code)
}
