/**
 * The files of an import: the one that it reads, the checkpoint, and the side file of rejected lines. What an import writes
 * is a regular file of its own: never its input, and no device.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import { type CommandError, usage } from "../internal/Exit.ts"
import * as Input from "../internal/Input.ts"

export interface Files {
  /** What is read; `-` is stdin. */
  readonly input: string
  /** Its size in bytes; `undefined` for stdin and pipes, which can be read once. */
  readonly size: number | undefined
  /** Where the checkpoint is kept; nowhere in a dry run, and for stdin and pipes unless a place is given. */
  readonly checkpoint: string | undefined
  /** Where rejected lines are at the end. */
  readonly rejected: string
}

/** What a file is called until it is complete, and takes its name. */
export const unfinished = (file: string): string => `${file}.new`

/** Fails for an input that can't be read, and for places that an import must not write to. */
export const make = Effect.fnUntraced(function* (options: {
  readonly input: string
  readonly checkpoint: string | undefined
  readonly rejected: string | undefined
  readonly dryRun: boolean
}): Effect.fn.Return<Files, CommandError, FileSystem.FileSystem> {
  const { dryRun, input } = options
  const size = yield* sizeOf(input)
  // Beside the input; of stdin and of a pipe, which may be /dev/fd/63, in the current directory.
  const beside = size === undefined ? Path.basename(Input.nameOf(input)) : input
  const rejected = options.rejected ?? `${beside}.rejected.ndjson`
  const checkpoint = options.checkpoint ?? (size === undefined ? undefined : `${input}.checkpoint`)
  // A dry run leaves the side file of an import as it is.
  const ofDryRun = `${rejected}.dry-run`
  // A dry run is refused where the import would be.
  const problem = yield* Effect.sync(() => problemOf(input, { checkpoint, rejected: [rejected, ofDryRun] }))
  if (problem !== undefined) return yield* problem
  return { input, size, checkpoint: dryRun ? undefined : checkpoint, rejected: dryRun ? ofDryRun : rejected }
})

const sizeOf = Effect.fnUntraced(function* (input: string) {
  if (input === "-") return undefined
  const files = yield* FileSystem.FileSystem
  const { size, type } = yield* Effect.mapError(files.stat(input), (error) => Input.unreadable(input, error))
  if (type === "Directory")
    return yield* usage(`${input} is a directory`, "Give a file, or pipe several into: import -")
  return type === "File" ? Number(size) : undefined
})

/** Why one of these files can't be written, by the flag that names it. */
const problemOf = (
  input: string,
  { checkpoint, rejected }: { readonly checkpoint: string | undefined; readonly rejected: ReadonlyArray<string> }
): CommandError | undefined => {
  const taken = new Map([[identityOf(input), "the input"]])
  const written = [
    ...(checkpoint === undefined ? [] : [["--checkpoint", checkpoint] as const]),
    ...rejected.map((file) => ["--rejected", file] as const)
  ].flatMap(([flag, file]) => [[flag, file] as const, [flag, unfinished(file)] as const])
  for (const [flag, file] of written) {
    const found = statOf(file)
    const identity = identityOf(file)
    const other = found === undefined || found.isFile() ? taken.get(identity) : "not a regular file"
    if (other !== undefined) return usage(`${flag}: ${file} is ${other}`, "Give another file")
    taken.set(identity, `the file of ${flag}`)
  }
  return undefined
}

/** What two paths to one file have in common, whatever links are between them. */
const identityOf = (path: string): string => {
  const found = path === "-" ? Fs.fstatSync(0, { bigint: true }) : statOf(path)
  if (found !== undefined) return `${found.dev}:${found.ino}`
  const folder = Path.dirname(path)
  return Path.join(Fs.existsSync(folder) ? Fs.realpathSync(folder) : Path.resolve(folder), Path.basename(path))
}

const statOf = (path: string): Fs.BigIntStats | undefined =>
  Fs.existsSync(path) ? Fs.statSync(path, { bigint: true }) : undefined
