/**
 * What a caller's value is on the wire: a copy of it that holds nothing but plain data, and the text of that copy.
 *
 * Everything of the caller's (getters, `toJSON`, proxies) is read exactly once and never changed; whoever works with
 * the copy is safe from it.
 */
import { limits } from "./Settings.ts"

/** An object, whatever is in it. `any`, so that interfaces without an index signature are objects as well. */
// biome-ignore lint/suspicious/noExplicitAny: `unknown` would refuse them
export type Data = { readonly [key: string]: any }

export const isData = (value: unknown): value is Data =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** Why a value can't be sent, and where in it that is. Not an `Error`: the stack would be ours. */
export class Fault {
  readonly problem: string
  readonly path: ReadonlyArray<string | number>
  /** If it is too large: the size in UTF-8 bytes that it has at least. */
  readonly size: number | undefined
  constructor(problem: string, path: ReadonlyArray<string | number>, size?: number) {
    this.problem = problem
    this.path = path
    this.size = size
  }
}

/**
 * Copying stops here, so that nobody waits for ten megabytes that will be refused. Well above a message's limit: the
 * error can then tell the true size of most, and `transform` can still remove what is too much.
 */
const maxCharacters = 8 * limits.messageBytes

/**
 * Copies a value as `JSON.stringify` would see it: a `Date` is its ISO string (`null` if it is invalid), `NaN` and
 * `Infinity` are `null`, `undefined`, functions and symbols are left out (`null` in arrays), a `Map` or a `Set` is `{}`.
 * Beyond that a `BigInt` is its digits.
 *
 * What has no text is a `Fault`: circular references, more than 64 levels, what throws when it is read.
 */
export const copy = (value: unknown, path: ReadonlyArray<string | number> = []): unknown | Fault => {
  const copier = new Copier(path)
  try {
    return copier.value(value, "")
  } catch {
    // What others throw is not even looked at: it may throw as well.
    return copier.stopped ?? copier.fault("could not be read: it threw")
  }
}

const dateToJSON = Date.prototype.toJSON

class Copier {
  /** The objects that we are inside of. The key at which `parents[i]` is being read is `path[root + i]`. */
  private readonly parents: Array<object> = []
  private readonly path: Array<string | number>
  private readonly root: number
  /** Why copying ended, if it was us who ended it. */
  stopped: Fault | undefined
  /** Characters left. Only what is sure to be in the text is taken off. */
  private room = maxCharacters

  constructor(path: ReadonlyArray<string | number>) {
    this.path = [...path]
    this.root = path.length
  }

  value(value: unknown, key: string | number): unknown {
    let given = value
    if ((typeof given === "object" && given !== null) || typeof given === "function") given = this.spoken(given, key)
    switch (typeof given) {
      case "string":
        this.take(given.length + 2)
        return given
      case "number":
        this.take(1)
        return Number.isFinite(given) ? given : null
      case "boolean":
        this.take(1)
        return given
      case "bigint":
        return this.value(String(given), key)
      case "object":
        if (given === null) return null
        return Array.isArray(given) ? this.array(given) : this.object(given, key)
      default:
        return undefined
    }
  }

  /** Lets `toJSON` speak, once. */
  private spoken(value: object, key: string | number): unknown {
    // Megabytes of bytes would become megabytes of numbers first.
    if (ArrayBuffer.isView(value) && value.byteLength > this.room) throw this.stop(this.tooLarge())
    const toJSON = (value as { readonly toJSON?: unknown }).toJSON
    if (typeof toJSON !== "function") return value
    // The same as its `toJSON`, at half the price.
    if (toJSON === dateToJSON && value instanceof Date) {
      return Number.isNaN(value.getTime()) ? null : value.toISOString()
    }
    return toJSON.call(value, String(key))
  }

  private array(array: ReadonlyArray<unknown>): Array<unknown> {
    const at = this.enter(array)
    const copied: Array<unknown> = []
    const length = array.length
    for (let index = 0; index < length; index++) {
      this.path[at] = index
      copied.push(this.value(array[index], index))
      this.take(1)
    }
    this.parents.pop()
    return copied
  }

  private object(object: object, key: string | number): unknown {
    const prototype = Object.getPrototypeOf(object)
    if (prototype !== Object.prototype && prototype !== null) {
      if (
        object instanceof Number ||
        object instanceof String ||
        object instanceof Boolean ||
        object instanceof BigInt
      ) {
        const boxed: unknown = object.valueOf()
        if (typeof boxed !== "object" || boxed === null) return this.value(boxed, key)
      }
    }
    const at = this.enter(object)
    const copied: Record<string, unknown> = {}
    for (const name of Object.keys(object)) {
      this.path[at] = name
      const field = this.value((object as Data)[name], name)
      if (field === undefined) continue
      this.take(name.length + 4)
      // An assignment would change the prototype of the copy.
      if (name === "__proto__") Object.defineProperty(copied, name, { value: field, enumerable: true, writable: true })
      else copied[name] = field
    }
    this.parents.pop()
    return copied
  }

  private enter(object: object): number {
    const depth = this.parents.length
    if (depth > limits.depth) throw this.stop(this.fault(`is nested deeper than ${limits.depth} levels`))
    if (this.parents.includes(object)) throw this.stop(this.fault("is a circular reference"))
    this.parents.push(object)
    this.take(1)
    return this.root + depth
  }

  private take(characters: number): void {
    this.room -= characters
    if (this.room < 0) throw this.stop(this.tooLarge())
  }

  private stop(fault: Fault): Fault {
    this.stopped = fault
    return fault
  }

  private tooLarge(): Fault {
    const problem = `makes the message larger than ${maxCharacters} bytes; the limit is ${limits.messageBytes}`
    return this.fault(problem, maxCharacters + 1)
  }

  fault(problem: string, size?: number): Fault {
    return new Fault(problem, this.path.slice(0, this.root + this.parents.length), size)
  }
}

/** A lone surrogate in JSON text: an escape, and not the second half of an escaped backslash. */
const escapes = /\\(?:(ud[89a-f]..)|.)/g

/** The JSON text of a copy; lone surrogates are U+FFFD, so that its UTF-8 bytes say the same. */
export const stringify = (data: unknown): string => {
  const text = JSON.stringify(data)
  return text.includes("\\ud")
    ? text.replace(escapes, (escape, lone) => (lone === undefined ? escape : "\ufffd"))
    : text
}

const buffer = (globalThis as { readonly Buffer?: { readonly byteLength: (text: string) => number } }).Buffer
const encoder = new TextEncoder()

/** The size of a text in UTF-8 bytes. */
export const byteLength: (text: string) => number =
  buffer === undefined ? (text) => encoder.encode(text).length : (text) => buffer.byteLength(text)
