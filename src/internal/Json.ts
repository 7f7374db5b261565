/**
 * The JSON form of a caller's value: a copy that holds plain data alone, and the text of that copy.
 *
 * Everything of the caller's (getters, `toJSON`, proxies) is read exactly once and never changed. Code that works with the
 * copy cannot be surprised by it.
 */
import { limits } from "../Settings.ts"

/**
 * The caller's data: an object, but no array. `any`, so that interfaces without an index signature are data too.
 * @category models @since 0.1.0
 */
export type Data = {
  // biome-ignore lint/suspicious/noExplicitAny: `unknown` would refuse interfaces
  readonly [key: string]: any
  /** Arrays, maps and sets are no objects with named fields. */
  readonly [Symbol.iterator]?: never
}

export const isData = (value: unknown): value is Data =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const errorBrand = Symbol.for("effect-analytics/JsonError")

/** The reason why a value cannot be sent, and its path. Not an `Error`: the stack would be the library's own. */
export class JsonError {
  readonly [errorBrand] = true
  readonly problem: string
  readonly path: ReadonlyArray<string | number>
  /** If the value is too large: its least size in UTF-8 bytes. */
  readonly size: number | undefined
  constructor(problem: string, path: ReadonlyArray<string | number>, size?: number) {
    this.problem = problem
    this.path = path
    this.size = size
  }
}

/** By brand: the error may come from another evaluation of this module. */
export const isJsonError = (value: unknown): value is JsonError =>
  typeof value === "object" && value !== null && errorBrand in value

/** Whether a value is to be awaited: promises of other realms and libraries included. */
export const isThenable = (value: unknown): value is PromiseLike<unknown> => {
  try {
    return typeof (value as { readonly then?: unknown } | null | undefined)?.then === "function"
  } catch {
    return false
  }
}

/**
 * Copying stops at this size, so that ten megabytes are refused quickly. It is well above the limit of a message: the error has
 * the true size of most values, and `transform` can still remove a part.
 */
const maxCharacters = 8 * limits.messageBytes

/**
 * Copies a value as `JSON.stringify` would see it: a `Date` becomes its ISO string (`null` if it is invalid), `NaN` and
 * `Infinity` become `null`, `undefined`, functions and symbols are left out (`null` in arrays).
 *
 * `JSON.stringify` would turn some values into `{}`, or throw. Here a `BigInt` becomes its digits, a `Map` an object (a list
 * of pairs if a key is no string), a `Set` a list, an `Error` its name and message, `Headers`, `URLSearchParams` and
 * `FormData` an object of their entries.
 *
 * Other values cannot be sent and give a `JsonError`: binary data, circular references, more than 64 levels, values that
 * throw when they are read.
 */
export const copy = (value: unknown, path: ReadonlyArray<string | number> = []): unknown | JsonError => {
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
  stopped: JsonError | undefined
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
        return given === null ? null : this.withToJSON(given, key)
      case "function":
        return this.withToJSON(given, key)
      default:
        return undefined
    }
  }

  /** Calls `toJSON` once, if there is one; its result is copied without a second `toJSON`. */
  private withToJSON(value: object, key: string | number): unknown {
    if (ArrayBuffer.isView(value)) throw this.stop(this.fault(binary))
    const toJSON = (value as { readonly toJSON?: unknown }).toJSON
    if (typeof toJSON !== "function") return typeof value === "function" ? undefined : this.container(value, key)
    let answer: unknown
    // The same as its `toJSON`, at half the price.
    if (toJSON === dateToJSON && value instanceof Date) {
      answer = Number.isNaN(value.getTime()) ? this.invalidDate(key) : value.toISOString()
    } else {
      answer = toJSON.call(value, String(key))
      // A date of another realm.
      if (answer === null && tagOf(value) === "Date") answer = this.invalidDate(key)
    }
    if (typeof answer === "function") return undefined
    return typeof answer === "object" && answer !== null ? this.container(answer, key) : this.value(answer, key)
  }

  /** `null` as in JSON; but an invalid timestamp of a call must not pass for an absent one. */
  private invalidDate(key: string | number): string | null {
    return this.root.length === 0 && this.level?.depth === 0 && key === "timestamp" ? "Invalid Date" : null
  }

  private container(value: object, key: string | number): unknown {
    if (Array.isArray(value)) return this.array(value)
    const prototype = Object.getPrototypeOf(value)
    if (prototype === Object.prototype || prototype === null) return this.object(value)
    const tag = tagOf(value)
    const unboxed = boxes.has(tag) ? unbox(value) : value
    if (unboxed !== value) return this.value(unboxed, key)
    const entries = entriesOf(value, tag)
    if (entries === binary) throw this.stop(this.fault(binary))
    if (entries === undefined) return this.object(value)
    // Entered twice, so that a collection that contains itself is found.
    const level = this.enter(value)
    const copied = this.value(entries, key)
    this.level = level.outer
    return copied
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

  private stop(fault: JsonError): JsonError {
    this.stopped = fault
    return fault
  }

  private tooLarge(): JsonError {
    const problem = `makes the message larger than ${maxCharacters} bytes; the limit is ${limits.messageBytes}`
    return this.fault(problem, maxCharacters + 1)
  }

  fault(problem: string, size?: number): JsonError {
    const path: Array<string | number> = []
    for (let level = this.level; level !== undefined; level = level.outer) {
      // It has none yet when reading it fails at once.
      if (level.key !== undefined) path.unshift(level.key)
    }
    return new JsonError(problem, [...this.root, ...path], size)
  }
}

const binary = "is binary data: send a text, such as base64"

const tagOf = (value: object): string => Object.prototype.toString.call(value).slice(8, -1)

const boxes = new Set(["Number", "String", "Boolean", "BigInt"])

/** The primitive in a `new Number(1)` and the like, of whatever realm; the value itself if it is no box. */
const unbox = (value: object): unknown => {
  const unboxed: unknown = value.valueOf()
  return typeof unboxed === "object" ? value : unboxed
}

/** The content of an object that has no fields of its own to show for it; `undefined` for all others. */
const entriesOf = (value: object, tag: string): unknown => {
  switch (tag) {
    case "Map": {
      const pairs = Array.from(value as Map<unknown, unknown>)
      return pairs.every(([name]) => typeof name === "string") ? Object.fromEntries(pairs) : pairs
    }
    case "Set":
      return Array.from(value as Set<unknown>)
    case "Headers":
    case "URLSearchParams":
    case "FormData": {
      const pairs = Array.from(value as Iterable<readonly [string, unknown]>)
      const byName = Map.groupBy(pairs, ([name]) => name)
      return Object.fromEntries(
        Array.from(byName, ([name, [first, ...more]]) => [
          name,
          more.length === 0 ? first?.[1] : [first, ...more].map((pair) => pair?.[1])
        ])
      )
    }
    case "ArrayBuffer":
    case "SharedArrayBuffer":
    case "Blob":
    case "File":
      return binary
    case "Error":
    case "DOMException":
      return { ...value, name: (value as Error).name, message: (value as Error).message }
    default:
      return undefined
  }
}

/** A lone surrogate in JSON text: an escape, and not the second half of an escaped backslash. */
const escapes = /\\(?:(ud[89a-f]..)|.)/g

/** The JSON text of a copy; lone surrogates are U+FFFD, so that its UTF-8 bytes mean the same. */
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
