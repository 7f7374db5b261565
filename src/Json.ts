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

const withoutUndefined = (data: Data): Data =>
  Object.fromEntries(Object.entries(data).filter(([, field]) => field !== undefined))

const dateToJSON = Date.prototype.toJSON

/** An object that is being read, the key at which it is, and the one that it was met in. */
interface Level {
  readonly object: object
  readonly outer: Level | undefined
  readonly depth: number
  key: string | number | undefined
}

class Copier {
  private level: Level | undefined
  private readonly root: ReadonlyArray<string | number>
  /** Why copying ended, if it was us who ended it. */
  stopped: Fault | undefined
  /** Characters left. Only what is sure to be in the text is taken off. */
  private room = maxCharacters

  constructor(root: ReadonlyArray<string | number>) {
    this.root = root
  }

  value(given: unknown, key: string | number): unknown {
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
        return given === null ? null : this.spoken(given, key)
      case "function":
        return this.spoken(given, key)
      default:
        return undefined
    }
  }

  /** Lets `toJSON` speak, once: what it answers does not speak again. */
  private spoken(value: object, key: string | number): unknown {
    // Megabytes of bytes would become megabytes of numbers first.
    if (ArrayBuffer.isView(value) && value.byteLength > this.room) throw this.stop(this.tooLarge())
    const toJSON = (value as { readonly toJSON?: unknown }).toJSON
    if (typeof toJSON !== "function") return typeof value === "function" ? undefined : this.container(value, key)
    let answer: unknown
    // The same as its `toJSON`, at half the price.
    if (toJSON === dateToJSON && value instanceof Date) {
      answer = Number.isNaN(value.getTime()) ? null : value.toISOString()
    } else answer = toJSON.call(value, String(key))
    if (typeof answer === "function") return undefined
    return typeof answer === "object" && answer !== null ? this.container(answer, key) : this.value(answer, key)
  }

  private container(value: object, key: string | number): unknown {
    if (Array.isArray(value)) return this.array(value)
    const prototype = Object.getPrototypeOf(value)
    if (
      prototype !== Object.prototype &&
      (value instanceof Number || value instanceof String || value instanceof Boolean || value instanceof BigInt)
    ) {
      const boxed: unknown = value.valueOf()
      if (typeof boxed !== "object" || boxed === null) return this.value(boxed, key)
    }
    return this.object(value)
  }

  private array(array: ReadonlyArray<unknown>): Array<unknown> {
    const level = this.enter(array)
    const copied: Array<unknown> = []
    const length = array.length
    for (let index = 0; index < length; index++) {
      level.key = index
      // Like `JSON.stringify`: what is left out of an object is `null` here.
      copied.push(this.value(array[index], index) ?? null)
      this.take(1)
    }
    this.level = level.outer
    return copied
  }

  private object(object: object): Data {
    const level = this.enter(object)
    const copied = this.fields(object, level)
    let isSparse = false
    for (const name in copied) {
      level.key = name
      const given = copied[name]
      const field = this.value(given, name)
      if (field === undefined) isSparse = true
      else this.take(name.length + 4)
      // Not what the prototype of all objects was polluted with.
      if (field !== given && Object.hasOwn(copied, name)) copied[name] = field
    }
    this.level = level.outer
    return isSparse ? withoutUndefined(copied) : copied
  }

  /**
   * The fields of an object, each read once. The engine copies them all at a third of the price of one by one; when one
   * of them throws, it is the first that the copy does not have.
   */
  private fields(object: object, level: Level): Record<string, unknown> {
    // An assignment would change the prototype of the copy.
    if (Object.hasOwn(object, "__proto__")) {
      const read = (name: string) => {
        level.key = name
        return [name, (object as Data)[name]]
      }
      return Object.fromEntries(Object.keys(object).map(read))
    }
    const copied: Record<string, unknown> = {}
    try {
      return Object.assign(copied, object)
    } catch (thrown) {
      level.key = Object.keys(object).find((name) => !Object.hasOwn(copied, name))
      // A symbol is no key in JSON.
      if (level.key === undefined) return copied
      throw thrown
    }
  }

  private enter(object: object): Level {
    const outer = this.level
    const depth = outer === undefined ? 0 : outer.depth + 1
    if (depth > limits.depth) throw this.stop(this.fault(`is nested deeper than ${limits.depth} levels`))
    for (let level = outer; level !== undefined; level = level.outer) {
      if (level.object === object) throw this.stop(this.fault("is a circular reference"))
    }
    this.take(1)
    this.level = { object, outer, depth, key: undefined }
    return this.level
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
    const path: Array<string | number> = []
    for (let level = this.level; level !== undefined; level = level.outer) {
      // It has none yet when reading it fails at once.
      if (level.key !== undefined) path.unshift(level.key)
    }
    return new Fault(problem, [...this.root, ...path], size)
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
