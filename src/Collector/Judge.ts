/**
 * What is wrong with a message, by the rules that the client holds its own calls to: the Schemas of the six calls and the
 * limits of the API.
 */
import * as Json from "../Json.ts"
import * as Message from "../Message.ts"
import { limits } from "../Settings.ts"
import type { Problem } from "./Received.ts"

/** A path as people write it: `properties.items[2].price`. */
export const pathText = (path: ReadonlyArray<string | number>): string =>
  path.reduce<string>((text, key) => {
    if (typeof key === "number") return `${text}[${key}]`
    return text === "" ? key : `${text}.${key}`
  }, "")

export const isType = (type: unknown): type is Message.Type => Message.types.some((known) => known === type)

/**
 * The problems for which the real API drops a message or refuses it; none, if it would be delivered. `size` is its size
 * in UTF-8 bytes, if that is known already.
 */
export const judge = (message: unknown, size?: number): ReadonlyArray<Problem> => {
  if (!Json.isData(message)) return [{ rule: "type", path: "", problem: "Expected an object" }]
  const { type } = message
  if (!isType(type)) {
    return [{ rule: "type", path: "type", problem: `Expected one of ${Message.types.join(", ")}` }]
  }
  const bytes = size ?? Json.byteLength(JSON.stringify(message))
  const found: Array<Problem> = []
  if (bytes > limits.messageBytes) {
    const problem = `The message has ${bytes} bytes; the limit is ${limits.messageBytes}`
    found.push({ rule: "message-bytes", path: largestPath(message), problem })
  }
  const broken = Message.check(type, withoutNull(message))
  if (broken !== undefined) found.push({ rule: "call", path: pathText(broken.path), problem: capital(broken.problem) })
  return found
}

/** `null` in an optional field means that it is absent. */
const withoutNull = (message: Json.Data): Json.Data =>
  Object.values(message).includes(null)
    ? Object.fromEntries(Object.entries(message).filter(([, value]) => value !== null))
    : message

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
  return pathText(path)
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)
