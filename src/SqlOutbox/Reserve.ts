/**
 * Space in reserve: on a disk that is full, not even a delivered message can be deleted without some. A file keeps it, which is
 * removed when the disk is full, and made again when there is room.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"

/** As much as SQLite's log takes until its pages go to the file, so that they can go there. */
const bytes = 5 * 1024 * 1024

export class Reserve {
  private readonly file: string
  private isDiskFull = false

  constructor(file: string) {
    this.file = file
  }

  /** Whether the disk is full, and what is left is kept for deleting what is delivered. */
  get isGone(): boolean {
    if (this.isDiskFull) this.keep()
    return this.isDiskFull
  }

  /** Whether it is there: then the outbox was in use before. */
  get isThere(): boolean {
    return Fs.existsSync(this.file)
  }

  /** Whether the disk has room for so many bytes, and for the reserve. */
  hasRoom(size: number): boolean {
    return !this.isDiskFull && this.free() > size + bytes
  }

  /** Takes the space, if there is enough. */
  keep(): void {
    if (!this.isThere) {
      this.isDiskFull = this.free() < 1.2 * bytes
      if (this.isDiskFull) return
      try {
        Fs.writeFileSync(this.file, new Uint8Array(bytes), { mode: 0o600 })
      } catch {
        // Half a reserve would look like a whole one.
        this.remove()
      }
    }
    this.isDiskFull = false
  }

  /** Gives the space back, if the disk has less than that left; answers whether it did. */
  dropIfNeeded(): boolean {
    if (this.free() >= bytes) return false
    this.isDiskFull = true
    this.remove()
    return true
  }

  remove(): void {
    Fs.rmSync(this.file, { force: true })
  }

  /** Bytes that are left on the disk. */
  private free(): number {
    try {
      const { bavail, bsize } = Fs.statfsSync(Path.dirname(this.file))
      return bavail * bsize
    } catch {
      return Number.POSITIVE_INFINITY
    }
  }
}
