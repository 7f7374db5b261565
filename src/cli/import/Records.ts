/**
 * The records of a file or of stdin, in their order and in constant memory: lines of NDJSON, or rows of CSV; gzip is
 * recognised by its first bytes.
 */
import { createReadStream } from "node:fs"
import { pipeline, Readable } from "node:stream"
import { createGunzip } from "node:zlib"
import { type CsvError, parse } from "csv-parse"
import type { Mapping } from "./Mapping.ts"

/** What is in one place of the input: a call, nothing, or something that can't be one. */
export interface Record {
  /** The line where it ends, from 1. */
  readonly line: number
  readonly text: string
  readonly call: { readonly [field: string]: unknown } | undefined
  /** Why it is no call. A record with neither is blank. */
  readonly problem: string | undefined
}

export type Format = "ndjson" | "csv"

/** A longer line is rejected without being read into memory; a message may have 32 KiB. */
const maxLineBytes = 1024 * 1024

const newline = 0x0a
const chunkBytes = 256 * 1024
const gzipMagic = Buffer.from([0x1f, 0x8b])

/** The bytes of a file, or of stdin for `-`, unpacked. `onRead` is called with the size of each piece, before it is unpacked. */
async function* bytesOf(path: string, onRead: (bytes: number) => void): AsyncGenerator<Buffer> {
  const source: Readable = path === "-" ? process.stdin : createReadStream(path, { highWaterMark: chunkBytes })
  const counted = async function* (): AsyncGenerator<Buffer> {
    for await (const chunk of source) {
      onRead(chunk.length)
      yield chunk
    }
  }
  const chunks = counted()
  const first: Array<Buffer> = []
  let head = Buffer.alloc(0)
  while (head.length < gzipMagic.length) {
    const next = await chunks.next()
    if (next.done) break
    first.push(next.value)
    head = Buffer.concat(first)
  }
  const whole = async function* (): AsyncGenerator<Buffer> {
    if (head.length > 0) yield head
    yield* chunks
  }
  if (!head.subarray(0, gzipMagic.length).equals(gzipMagic)) return yield* whole()
  yield* pipeline(Readable.from(whole(), { objectMode: false }), createGunzip({ chunkSize: chunkBytes }), () => {})
}

/** Reads records, as many at a time as a piece of the input holds. */
export const records = (
  path: string,
  format: Format,
  mapping: Mapping,
  onRead: (bytes: number) => void
): AsyncGenerator<ReadonlyArray<Record>> => {
  const bytes = bytesOf(path, onRead)
  return format === "csv" ? rowsOf(bytes, mapping) : linesOf(bytes, mapping)
}

// ---------------------------------------------------------------------------------------------------------------------
// NDJSON
// ---------------------------------------------------------------------------------------------------------------------

async function* linesOf(chunks: AsyncIterable<Buffer>, mapping: Mapping): AsyncGenerator<ReadonlyArray<Record>> {
  let line = 0
  let rest: Array<Buffer> = []
  let restBytes = 0

  const end = (tail: Buffer): Record => {
    line++
    const bytes = restBytes + tail.length
    const text =
      bytes > maxLineBytes ? undefined : (rest.length === 0 ? tail : Buffer.concat([...rest, tail])).toString()
    rest = []
    restBytes = 0
    return text === undefined ? tooLong(line, bytes) : recordOf(line, text, mapping)
  }

  for await (const chunk of chunks) {
    const found: Array<Record> = []
    let start = 0
    for (let at = chunk.indexOf(newline); at >= 0; at = chunk.indexOf(newline, start)) {
      found.push(end(chunk.subarray(start, at)))
      start = at + 1
    }
    const tail = chunk.subarray(start)
    // Only the size of a line that is too long is of interest.
    if (restBytes <= maxLineBytes) rest.push(tail)
    restBytes += tail.length
    if (found.length > 0) yield found
  }
  if (restBytes > 0) yield [end(Buffer.alloc(0))]
}

const tooLong = (line: number, bytes: number): Record => ({
  line,
  text: "",
  call: undefined,
  problem: `the line has ${bytes} bytes; at most ${maxLineBytes} are read`
})

const recordOf = (line: number, raw: string, mapping: Mapping): Record => {
  // A byte order mark counts as white space.
  const text = raw.trim()
  if (text === "") return { line, text, call: undefined, problem: undefined }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return { line, text, call: undefined, problem: "the line is not JSON" }
  }
  return isObject(value)
    ? { line, text, ...mapping.ofObject(carriedIn(value) ?? value) }
    : { line, text, call: undefined, problem: "the line is not a JSON object" }
}

type Json = { readonly [field: string]: unknown }

const isObject = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value)

/** The message of a line of `outbox export`, which stands beside its place. */
const carriedIn = ({ message, seq, ...others }: Json): Json | undefined =>
  typeof seq === "number" && isObject(message) && Object.keys(others).length === 0 ? message : undefined

// ---------------------------------------------------------------------------------------------------------------------
// CSV
// ---------------------------------------------------------------------------------------------------------------------

interface Row {
  readonly record: { readonly [column: string]: string }
  readonly raw: string
  readonly info: { readonly lines: number }
}

async function* rowsOf(chunks: AsyncIterable<Buffer>, mapping: Mapping): AsyncGenerator<ReadonlyArray<Record>> {
  const skipped: Array<Record> = []
  let failure: Error | undefined
  const parser = parse({
    bom: true,
    columns: true,
    info: true,
    max_record_size: maxLineBytes,
    on_skip: (error: CsvError | undefined, raw: string | undefined) => {
      const line = Number((error as { readonly lines?: unknown } | undefined)?.lines ?? 0)
      skipped.push({ line, text: raw ?? "", call: undefined, problem: problemOf(error) })
    },
    raw: true,
    skip_empty_lines: true,
    skip_records_with_error: true
  })
  parser.on("error", (error) => {
    failure = error
  })

  const take = (): ReadonlyArray<Record> => {
    if (failure !== undefined) throw failure
    const found = skipped.splice(0)
    for (let row: Row | null = parser.read(); row !== null; row = parser.read()) {
      const text = row.raw.trimEnd()
      found.push({ line: row.info.lines, text, ...mapping.ofRow(row.record) })
    }
    return found.sort((one, other) => one.line - other.line)
  }

  for await (const chunk of chunks) {
    if (!parser.write(chunk)) {
      yield take()
      if (parser.writableNeedDrain) await new Promise((resolve) => parser.once("drain", resolve))
    }
    yield take()
  }
  parser.end()
  // What is left is read when the end is.
  while (!parser.readableEnded && failure === undefined) {
    await new Promise<void>((resolve) => {
      const done = () => {
        parser.off("readable", done).off("end", done).off("error", done)
        resolve()
      }
      parser.on("readable", done).on("end", done).on("error", done)
    })
    yield take()
  }
  yield take()
}

const problemOf = (error: CsvError | undefined): string => {
  switch (error?.code) {
    case "CSV_RECORD_INCONSISTENT_COLUMNS":
    case "CSV_RECORD_INCONSISTENT_FIELDS_LENGTH":
      return "the row has another number of columns than the header"
    case "CSV_MAX_RECORD_SIZE":
      return `the row is longer than ${maxLineBytes} characters`
    default:
      return `the row is not CSV (${error?.code ?? "unknown"})`
  }
}
