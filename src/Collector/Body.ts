/** The body of a request, read within limits: of bytes as sent, of bytes after decompression, of nesting. */
import { promisify } from "node:util"
import { gunzip } from "node:zlib"
import * as ByteSize from "effect/ByteSize"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as HttpServerRequest from "effect/http/HttpServerRequest"

/** Bytes of UTF-8, as sent and after decompression; containers inside one another. */
const bodyLimits = { sent: 1_000_000, decoded: 4_000_000, ratio: 100, depth: 128 } as const

/** A body that cannot be read, with the status of the answer. */
export class UnreadableBody extends Data.TaggedError("UnreadableBody")<{
  readonly status: number
  readonly problem: string
  /** Bytes as sent, as far as they are known. */
  readonly bytes: number
}> {
  override get message(): string {
    return this.problem
  }
}

export interface Body {
  readonly bytes: number
  readonly decodedBytes: number
  readonly json: unknown
}

const decompress = promisify(gunzip)

/** Reads the body as JSON. One encoding is known: gzip. */
export const read: Effect.Effect<Body, UnreadableBody, HttpServerRequest.HttpServerRequest> = Effect.gen(function* () {
  const request = yield* HttpServerRequest.HttpServerRequest
  const encoding = request.headers["content-encoding"]?.trim().toLowerCase() ?? "identity"
  if (encoding !== "identity" && encoding !== "gzip") {
    return yield* new UnreadableBody({ status: 415, problem: "The only content encoding is gzip, once", bytes: 0 })
  }
  const sent = new Uint8Array(
    yield* request.arrayBuffer.pipe(
      Effect.provideService(HttpServerRequest.MaxBodySize, ByteSize.bytes(bodyLimits.sent)),
      Effect.mapError(({ reason }) =>
        reason._tag === "RequestParseError" && reason.reason === "BodyTooLarge"
          ? new UnreadableBody({ status: 413, problem: `The body is larger than ${bodyLimits.sent} bytes`, bytes: 0 })
          : new UnreadableBody({ status: 400, problem: "The body cannot be read", bytes: 0 })
      )
    )
  )
  const bytes = sent.byteLength
  const decoded = encoding === "gzip" ? yield* inflate(sent) : sent
  return yield* Effect.try({
    try: (): Body => {
      const text = new TextDecoder("utf-8", { fatal: true }).decode(decoded)
      if (isDeeper(text, bodyLimits.depth)) throw new SyntaxError()
      return { bytes, decodedBytes: decoded.byteLength, json: JSON.parse(text) }
    },
    catch: () => {
      const problem = `The body is no JSON in UTF-8, or is nested deeper than ${bodyLimits.depth} levels`
      return new UnreadableBody({ status: 400, problem, bytes })
    }
  })
})

/** Stops at the limit: a small body may hold gigabytes. */
const inflate = (sent: Uint8Array): Effect.Effect<Uint8Array, UnreadableBody> => {
  const limit = Math.min(bodyLimits.decoded, Math.max(bodyLimits.sent, sent.byteLength * bodyLimits.ratio))
  return Effect.tryPromise({
    try: () => decompress(sent, { maxOutputLength: limit }),
    catch: (error) =>
      (error as { readonly code?: unknown }).code === "ERR_BUFFER_TOO_LARGE"
        ? new UnreadableBody({
            status: 413,
            problem: `The body decompresses to more than ${limit} bytes`,
            bytes: sent.byteLength
          })
        : new UnreadableBody({ status: 400, problem: "The body is no gzip", bytes: sent.byteLength })
  })
}

/** Whether JSON text is nested deeper, found before it is parsed: a parser would build it all. */
const isDeeper = (text: string, limit: number): boolean => {
  let depth = 0
  let inString = false
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (inString) {
      if (code === 92) at++
      else if (code === 34) inString = false
    } else if (code === 34) inString = true
    else if (code === 123 || code === 91) {
      if (++depth > limit) return true
    } else if (code === 125 || code === 93) depth--
  }
  return false
}
