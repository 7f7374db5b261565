/**
 * Records the events of a program and their shapes: a first plan from real traffic, or from the messages of tests.
 *
 * Names and types are kept, values never. Memory is bounded by the number of events and by the properties of each, at all
 * levels together: beyond the limits names are not kept either.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Analytics } from "../../Analytics.ts"
import { dataKey, nameOf, type Type } from "../../Call.ts"
import { type Data, isData } from "../../internal/Json.ts"
import { around } from "../check/Plan.ts"

/** The options of `observe`. @category options @since 0.1.0 */
export interface ObserveOptions {
  /** The name of the plan. */
  readonly name?: string | undefined
  /** The number of events, pages and screens that are recorded; later ones are not. @default 1_000 */
  readonly maxEvents?: number | undefined
  /**
   * The properties of one event that are kept, at all levels together; the elements of a list and the values of a record
   * count as one each. Beyond them the object with the most names becomes a record: its names are data, and are forgotten.
   * Where no object has two names, the deepest values are kept as a type alone. @default 200
   */
  readonly maxProperties?: number | undefined
}

/** The messages so far. @category models @since 0.1.0 */
export interface Observation {
  /** Puts the recorder around a client: all its calls are recorded, and sent as they are. */
  readonly layer: Layer.Layer<Analytics, never, Analytics>
  /** Records one message as it is on the wire: of a test layer, or of a log. */
  readonly record: (message: Data) => void
  /**
   * The plan that all of it keeps, as JSON in the format of Segment Protocols: for `fromJson` and `generate`. A property
   * that every message had is required. Read it before you use it: a rare event may not have been seen.
   */
  readonly toJson: () => object
}

/** Records the shapes of messages. @category constructors @since 0.1.0 */
export const observe = ({ maxEvents = 1_000, maxProperties = 200, name }: ObserveOptions = {}): Observation => {
  const events = new Map<string, { readonly type: string; readonly name: string; readonly data: Seen }>()
  const record = (message: Data) => {
    const type = String(message.type)
    const event = nameOf(message) ?? ""
    const key = `${type} ${event}`
    if (type === "alias" || (!events.has(key) && events.size >= maxEvents)) return
    const found = events.get(key) ?? { type, name: event, data: new Seen() }
    events.set(key, found)
    found.data.add(message[dataKey(type as Type)] ?? {})
    shrink(found.data, maxProperties)
  }
  return {
    record,
    layer: Layer.effect(
      Analytics,
      Effect.map(Analytics, (service) =>
        around(service, {
          check: (message) => {
            record(message)
            return undefined
          },
          redact: (message) => message
        })
      )
    ),
    toJson: () => {
      const all = Array.from(events.values())
      const rules = (key: string, data: Seen) => ({
        $schema: "http://json-schema.org/draft-07/schema#",
        type: "object",
        properties: { context: {}, traits: {}, properties: {}, [key]: data.toJson() }
      })
      const named = all.flatMap(({ data, name, type }) => {
        if (type === "identify" || type === "group") return []
        return [{ name, ...(type === "track" ? {} : { eventType: type }), rules: rules("properties", data) }]
      })
      const unnamed = all
        .filter(({ type }) => type === "identify" || type === "group")
        .map(({ data, type }) => [type, rules("traits", data)] as const)
      return {
        ...(name === undefined ? {} : { display_name: name }),
        rules: { events: named, ...Object.fromEntries(unnamed) }
      }
    }
  }
}

const isTime = (text: string): boolean => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(text)

/** Forgets names, and then what is deepest, until at most `max` places are kept below this one. */
const shrink = (root: Seen, max: number): void => {
  for (let all = below(root); all.length - 1 > max; all = below(root)) {
    const largest = all.reduce((one, other) => (other.names > one.names ? other : one))
    if (largest.names > 1) {
      largest.becomeRecord()
      continue
    }
    let kept = all.length - 1
    for (const place of all.reverse()) {
      if (kept <= max) return
      kept -= place.children.length
      place.becomeLeaf()
    }
  }
}

/** A place and all below it, the outer ones first. */
const below = (root: Seen): Array<Seen> => {
  const all = [root]
  // An array visits what is added on the way, too.
  for (const place of all) all.push(...place.children)
  return all
}

/** The values that were seen at one place. */
class Seen {
  private readonly types = new Set<string>()
  private areTimes = true
  private objects = 0
  private readonly fields = new Map<string, { readonly data: Seen; count: number }>()
  /** The elements of lists, the values of a record. */
  private elements: Seen | undefined
  private values: Seen | undefined

  /** Whether only the types are kept, and nothing of what is inside. */
  private isLeaf = false

  /** The number of names. */
  get names(): number {
    return this.fields.size
  }

  /** What is kept one level below. */
  get children(): ReadonlyArray<Seen> {
    const unnamed = [this.elements, this.values].filter((child) => child !== undefined)
    return [...Array.from(this.fields.values(), ({ data }) => data), ...unnamed]
  }

  add(value: unknown): void {
    if (Array.isArray(value)) {
      this.types.add("array")
      if (this.isLeaf) return
      this.elements ??= new Seen()
      for (const element of value) this.elements.add(element)
    } else if (isData(value)) this.addObject(value)
    else if (typeof value === "number") this.types.add(Number.isInteger(value) ? "integer" : "number")
    else this.types.add(value === null ? "null" : typeof value)
    if (typeof value === "string") this.areTimes &&= isTime(value)
  }

  private addObject(object: Data): void {
    this.types.add("object")
    this.objects++
    if (this.isLeaf) return
    for (const [name, value] of Object.entries(object)) {
      if (this.values !== undefined) {
        this.values.add(value)
        continue
      }
      const field = this.fields.get(name) ?? { data: new Seen(), count: 0 }
      field.count++
      field.data.add(value)
      this.fields.set(name, field)
    }
  }

  /** Keeps what all values have in common, without their names. */
  becomeRecord(): void {
    this.values = new Seen()
    for (const { data } of this.fields.values()) this.values.merge(data)
    this.fields.clear()
  }

  /** Keeps the types alone, from now on. */
  becomeLeaf(): void {
    this.isLeaf = true
    this.fields.clear()
    this.elements = undefined
    this.values = undefined
  }

  private merge(other: Seen): void {
    for (const type of other.types) this.types.add(type)
    this.areTimes &&= other.areTimes
    this.objects += other.objects
    if (this.isLeaf || other.isLeaf) return this.becomeLeaf()
    for (const [name, { count, data }] of other.fields) {
      const field = this.fields.get(name) ?? { data: new Seen(), count: 0 }
      field.count += count
      field.data.merge(data)
      this.fields.set(name, field)
    }
    for (const key of ["elements", "values"] as const) {
      const inside = other[key]
      if (inside === undefined) continue
      this[key] ??= new Seen()
      this[key].merge(inside)
    }
  }

  toJson(): object {
    const types = Array.from(this.types).filter((type) => type !== "integer" || !this.types.has("number"))
    const [only = "", ...more] = types
    const required = Array.from(this.fields).filter(([, { count }]) => count === this.objects)
    const fields = Array.from(this.fields, ([name, { data }]) => [name, data.toJson()] as const)
    return {
      ...(types.length === 0 ? {} : { type: more.length === 0 ? only : types }),
      ...(this.types.has("string") && this.areTimes ? { format: "date-time" } : {}),
      ...(fields.length === 0 ? {} : { properties: Object.fromEntries(fields) }),
      ...(required.length === 0 ? {} : { required: required.map(([name]) => name) }),
      ...(this.values === undefined ? {} : { additionalProperties: this.values.toJson() }),
      ...(this.elements === undefined || this.elements.types.size === 0 ? {} : { items: this.elements.toJson() })
    }
  }
}
