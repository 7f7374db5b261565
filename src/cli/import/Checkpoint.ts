/**
 * The memory of an import: how far it came, so that the same command goes on after a crash; and the side file of rejected
 * records, which is cut back to what the checkpoint knows, so that each of them is in it once. Both are written to files of
 * their own until they are complete: what was there before is replaced as a whole, or not at all.
 */
import * as Crypto from "node:crypto"
import * as Fs from "node:fs"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { type CommandError, failed, usage } from "../internal/Exit.ts"
import { type Files, unfinished } from "./Files.ts"
import type { Counts, Entry } from "./Ledger.ts"

const Saved = Schema.fromJsonString(
  Schema.Struct({
    version: Schema.Literal(1),
    /** The beginning of the input, by which it is recognised. */
    head: Schema.Struct({ bytes: Schema.Int, hash: Schema.String }),
    /** Where it goes, and how it is read. */
    settings: Schema.String,
    counts: Schema.Struct({
      records: Schema.Int,
      delivered: Schema.Int,
      rejected: Schema.Int,
      blank: Schema.Int
    }),
    rejectedBytes: Schema.Int
  })
)
type Saved = typeof Saved.Type
const decode = Schema.decodeUnknownOption(Saved)

const headBytes = 64 * 1024
/** Both files can hold personal data: only their owner may read them. */
const privateMode = 0o600
const nothing: Counts = { records: 0, delivered: 0, rejected: 0, blank: 0 }

export interface Options {
  readonly files: Files
  /** What must be the same for a run to go on where another stopped. */
  readonly settings: string
  readonly restart: boolean
}

export class Checkpoint {
  /** What runs before this one have settled. */
  readonly before: Counts
  private readonly options: Options
  private readonly head: Saved["head"]
  private readonly rejected: number
  private rejectedBytes: number
  private lines: Array<string> = []

  private constructor(options: Options, head: Saved["head"], saved: Saved | undefined) {
    this.options = options
    this.head = head
    this.before = saved?.counts ?? nothing
    // Made anew by a run that begins at the beginning; what a crashed run wrote after its checkpoint comes again.
    this.rejected = Fs.openSync(unfinished(options.files.rejected), saved === undefined ? "w" : "a", privateMode)
    this.rejectedBytes = Math.min(saved?.rejectedBytes ?? 0, Fs.fstatSync(this.rejected).size)
    Fs.ftruncateSync(this.rejected, this.rejectedBytes)
  }

  /** Throws a `CommandError` for a checkpoint of another import, and what Node throws for files that can't be used. */
  static open(options: Options): Checkpoint {
    const { checkpoint } = options.files
    const text = checkpoint === undefined || options.restart ? undefined : readIfThere(checkpoint)
    const saved = text === undefined ? undefined : Option.getOrUndefined(decode(text))
    const problem = text === undefined ? undefined : problemOf(saved, options)
    if (problem !== undefined) throw problem
    return new Checkpoint(options, saved?.head ?? headOf(options.files, headBytes), saved)
  }

  /** Keeps a rejected record until the next `save`. */
  reject({ line, problems, text }: Entry): void {
    this.lines.push(`${JSON.stringify({ line, problems, text })}\n`)
  }

  /** Writes down how far it came: first what was rejected, then the number. A crash in between repeats, and loses nothing. */
  save(counts: Counts): void {
    if (this.lines.length > 0) {
      const text = this.lines.join("")
      Fs.appendFileSync(this.rejected, text)
      this.rejectedBytes += Buffer.byteLength(text)
      this.lines = []
    }
    const { files, settings } = this.options
    const { checkpoint } = files
    if (checkpoint === undefined) return
    const saved: Saved = { version: 1, head: this.head, settings, counts, rejectedBytes: this.rejectedBytes }
    const other = unfinished(checkpoint)
    const handle = Fs.openSync(other, "w", privateMode)
    Fs.writeSync(handle, JSON.stringify(saved))
    Fs.fsyncSync(handle)
    Fs.closeSync(handle)
    Fs.renameSync(other, checkpoint)
  }

  /** The import is over: the side file takes its name if it holds anything, and there is nothing to go on with. */
  finish(): void {
    const { checkpoint, rejected } = this.options.files
    if (this.rejectedBytes > 0) Fs.renameSync(unfinished(rejected), rejected)
    else Fs.rmSync(unfinished(rejected), { force: true })
    if (checkpoint !== undefined) Fs.rmSync(checkpoint, { force: true })
  }

  close(): void {
    Fs.closeSync(this.rejected)
  }
}

const readIfThere = (file: string): string | undefined =>
  Fs.existsSync(file) ? Fs.readFileSync(file, "utf8") : undefined

const problemOf = (saved: Saved | undefined, { files, settings }: Options): CommandError | undefined => {
  const { checkpoint, input } = files
  const restart = "To begin again: --restart. To keep both: --checkpoint with another file"
  if (saved === undefined) return failed(`${checkpoint} is not a checkpoint`, restart)
  if (saved.settings !== settings) {
    return usage(`${checkpoint} is of an import with other flags, another key or another host`, restart)
  }
  if (headOf(files, saved.head.bytes).hash !== saved.head.hash) {
    return usage(`${checkpoint} is of another file than ${input}`, restart)
  }
  return undefined
}

/** The beginning of a file. Of stdin and of a pipe nothing can be known before they are read. */
const headOf = ({ input, size }: Files, bytes: number): Saved["head"] => {
  if (size === undefined) return { bytes: 0, hash: "" }
  const handle = Fs.openSync(input, "r")
  try {
    const buffer = Buffer.alloc(bytes)
    const size = Fs.readSync(handle, buffer, 0, bytes, 0)
    return { bytes: size, hash: Crypto.hash("sha256", buffer.subarray(0, size)) }
  } finally {
    Fs.closeSync(handle)
  }
}
