/** What people give a command to read: files, stdin, and JSON in either. */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import type { PlatformError } from "effect/PlatformError"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import { type CommandError, failed, usage } from "./Exit.ts"

/** What a path is called in messages; `-` is stdin. */
export const nameOf = (path: string): string => (path === "-" ? "stdin" : path)

const stdin: Stream.Stream<string, CommandError, Stdio.Stdio> = Stream.mapError(
  Stream.decodeText(Stream.unwrap(Stdio.Stdio.useSync(({ stdin }) => stdin))),
  () => failed("stdin can't be read")
)

/** All of stdin as text. */
export const stdinText = Stream.mkString(stdin)

/** The text of a file, piece by piece; `-` is stdin. */
export const stream = (path: string): Stream.Stream<string, CommandError, FileSystem.FileSystem | Stdio.Stdio> =>
  path === "-"
    ? stdin
    : Stream.mapError(
        Stream.decodeText(Stream.unwrap(FileSystem.FileSystem.useSync((files) => files.stream(path)))),
        (error) => unreadable(path, error)
      )

/** All of it. */
export const text = (path: string): Effect.Effect<string, CommandError, FileSystem.FileSystem | Stdio.Stdio> =>
  Stream.mkString(stream(path))

/** JSON in text that came from `where`. The error never quotes the text. */
export const json = (content: string, where: string): Effect.Effect<unknown, CommandError> =>
  Effect.try({
    try: () => JSON.parse(content) as unknown,
    catch: (error) => usage(`${where} is not JSON${positionOf(error)}`)
  })

const positionOf = (error: unknown): string => {
  const place = error instanceof Error ? /\(line (\d+) column (\d+)\)/.exec(error.message) : null
  return place === null ? "" : ` (line ${place[1]}, column ${place[2]})`
}

/** Why a file can't be read or written. */
export const unreadable = (path: string, error: PlatformError): CommandError => {
  const reasons: { readonly [tag: string]: string } = {
    NotFound: "is not there",
    PermissionDenied: "may not be read or written by this user",
    BadResource: "is not a file"
  }
  const reason = reasons[error.reason._tag] ?? `can't be read or written (${error.reason._tag})`
  return failed(`${path} ${reason}`)
}

/** The code of an error of Node, such as `ENOENT`. */
export const codeOf = (error: unknown): string | undefined =>
  typeof error === "object" && error !== null && "code" in error ? String(error.code) : undefined

/** What Node could not do, with the code of the error, if it has one: `can't be written (ENOENT)`. */
export const withCode = (problem: string, error: unknown): string => {
  const code = codeOf(error)
  return code === undefined ? problem : `${problem} (${code})`
}

/** The same for what Node's own streams throw. */
export const unreadableFile = (path: string, error: unknown): CommandError =>
  failed(withCode(`${nameOf(path)} can't be read`, error))
