/**
 * Checks a message by the rules of the client's own calls: the Schemas of the six calls and the limits of the API.
 */
import { formatPath } from "../AnalyticsError.ts"
import * as CallCheck from "../Call/CallCheck.ts"
import * as Call from "../Call.ts"
import * as Json from "../internal/Json.ts"
import { limits } from "../Settings.ts"
import type { Problem } from "./Received.ts"

export const isType = (type: unknown): type is Call.Type => Call.types.some((known) => known === type)

/**
 * The problems for which the real API drops a message or refuses it; none, if it would be delivered. `size` is its size
 * in UTF-8 bytes, if that is known already.
 * @category checking @since 0.1.0
 */
export const judge = (message: unknown, size?: number): ReadonlyArray<Problem> => {
  if (!Json.isData(message)) return [{ rule: "type", path: "", problem: "must be an object" }]
  const { type } = message
  if (!isType(type)) return [{ rule: "type", path: "type", problem: `must be one of ${Call.types.join(", ")}` }]
  const bytes = size ?? Json.byteLength(JSON.stringify(message))
  const found: Array<Problem> = []
  if (bytes > limits.messageBytes) {
    const problem = `makes the message ${bytes} bytes large; the limit is ${limits.messageBytes}`
    found.push({ rule: "message-bytes", path: largestPath(message), problem })
  }
  const broken = CallCheck.check(type, CallCheck.withoutNulls(message))
  if (broken !== undefined) found.push({ rule: "call", path: formatPath(broken.path), problem: broken.problem })
  return found
}

/** Where most of the bytes are: the largest field, and the largest field in it while that holds most of the rest. */
const largestPath = (message: Json.Data): string => {
  const path: Array<string | number> = []
  let at: unknown = message
  let bytes = JSON.stringify(message).length
  while (typeof at === "object" && at !== null && path.length < limits.depth) {
    const fields: ReadonlyArray<readonly [string | number, unknown]> = Array.isArray(at)
      ? at.map((value, index) => [index, value])
      : Object.entries(at)
    const [largest] = fields
      .map(([key, value]) => ({ key, value, bytes: JSON.stringify(value).length }))
      .toSorted((a, b) => b.bytes - a.bytes)
    if (largest === undefined || largest.bytes < bytes / 2 || largest.bytes < limits.messageBytes / 4) break
    path.push(largest.key)
    at = largest.value
    bytes = largest.bytes
  }
  return formatPath(path)
}
