/**
 * What changed between two plans, and which changes break those who read the data or make the calls.
 */
import type * as JsonSchema from "effect/JsonSchema"
import type { Definition, Shape, Shapes } from "./Definition.ts"
import { definitionOf, toJsonSchema } from "./PlanJson.ts"

/** One change. */
export interface Change {
  /** The event, or `page Pricing`, `screen Home`, `traits`, `groupTraits`, `context`. */
  readonly event: string
  /** Where in its data: `products[].price`, `prices.*` for other properties, `pair[0]`; empty, if it is the whole. */
  readonly path: string
  readonly kind: "added" | "removed" | "retyped" | "tightened" | "loosened" | "described"
  readonly breaking: boolean
  /** What it was and what it is, in words. */
  readonly detail: string
}

export interface Difference {
  /** Whether any change breaks something: what a check in CI ends on. */
  readonly breaking: boolean
  readonly changes: ReadonlyArray<Change>
}

type AnyPlan = { readonly definition: Definition }

/** Compares two plans, or the JSON of plans. Throws an `InvalidPlan` for JSON that is not one. */
export const diff = (before: AnyPlan | object, after: AnyPlan | object): Difference => {
  const was = schemasOf(read(before))
  const is = schemasOf(read(after))
  const changes: Array<Change> = []
  for (const [key, { label: event, schema }] of was) {
    const other = is.get(key)
    if (other === undefined) changes.push({ event, path: "", kind: "removed", breaking: true, detail: "is removed" })
    else changes.push(...new Comparison(schema, other.schema).changes().map((change) => ({ event, ...change })))
  }
  for (const [key, { alone, label: event }] of is) {
    // Data that needed no rules before does now.
    if (!was.has(key)) changes.push({ event, path: "", kind: "added", breaking: alone, detail: "is added" })
  }
  return { breaking: changes.some((change) => change.breaking), changes }
}

const isPlan = (plan: AnyPlan | object): plan is AnyPlan => "definition" in plan

const read = (plan: AnyPlan | object): Definition => (isPlan(plan) ? plan.definition : definitionOf(plan))

interface Described {
  /** What people call it. An event may have the same label as a page, or as the traits. */
  readonly label: string
  /** Whether there is one of its kind, for all calls. */
  readonly alone: boolean
  readonly schema: Json
}

/** By kind and name. */
const schemasOf = (definition: Definition): ReadonlyMap<string, Described> => {
  const { context, events, groupTraits, pages, screens, traits } = definition
  const many = (kind: string, prefix: string, shapes: Shapes | undefined) =>
    Object.entries(shapes ?? {}).map(
      ([name, shape]) =>
        [`${kind} ${name}`, { label: prefix + name, alone: false, schema: toJsonSchema(shape) }] as const
    )
  const one = (kind: string, shape: Shape | undefined) =>
    shape === undefined ? [] : [[kind, { label: kind, alone: true, schema: toJsonSchema(shape) }] as const]
  return new Map<string, Described>([
    ...many("event", "", events),
    ...many("page", "page ", pages),
    ...many("screen", "screen ", screens),
    ...one("traits", traits),
    ...one("groupTraits", groupTraits),
    ...one("context", context)
  ])
}

// ---------------------------------------------------------------------------------------------------------------------
// Schemas
// ---------------------------------------------------------------------------------------------------------------------

type Json = JsonSchema.JsonSchema

/** Keywords that say something about a schema, and restrict nothing. */
const words = ["title", "description", "deprecated", "owner", "since", "planVersion", "default", "examples"]
/** The larger, the fewer values are left. */
const floors = ["minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"]
/** The smaller, the fewer values are left. */
const ceilings = ["maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"]
/** With them fewer values are left than without. */
const others = ["pattern", "format", "multipleOf", "uniqueItems"]
/** What has a comparison of its own, or is of no importance. */
const compared = [
  ...["$schema", "$id", "$comment", "$defs", "definitions", "pii", "type", "enum", "const"],
  ...["properties", "required", "items", "prefixItems", "additionalProperties"]
]
const known = new Set([...words, ...floors, ...ceilings, ...others, ...compared])

/** The types that a keyword is about; one that isn't here is about all. */
const about = new Map(
  Object.entries({
    number: ["minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf"],
    string: ["minLength", "maxLength", "pattern", "format"],
    array: ["items", "prefixItems", "minItems", "maxItems", "uniqueItems"],
    object: ["properties", "required", "additionalProperties", "minProperties", "maxProperties"]
  }).flatMap(([type, keys]) => keys.map((key) => [key, type] as const))
)

const isObject = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value)

const listOf = (value: unknown): ReadonlyArray<unknown> => (Array.isArray(value) ? value : [])

const own = (json: unknown, name: string): unknown =>
  isObject(json) && Object.hasOwn(json, name) ? json[name] : undefined

const byName = ([one]: [string, unknown], [other]: [string, unknown]): number => (one < other ? -1 : 1)

/** The text of a value; the order of keys is of no importance. */
const text = (value: unknown): string =>
  JSON.stringify(value, (_, one) => (isObject(one) ? Object.fromEntries(Object.entries(one).sort(byName)) : one)) ??
  "nothing"

const pick = (json: Json, keep: (key: string) => boolean): Json =>
  Object.fromEntries(Object.entries(json).filter(([key]) => keep(key)))

const valuesOf = ({ const: only, enum: values }: Json): ReadonlyArray<unknown> | undefined =>
  Array.isArray(values) ? values : only === undefined ? undefined : [only]

const typeOf = (value: unknown): string => (value === null ? "null" : Array.isArray(value) ? "array" : typeof value)

const typesOf = (json: Json): ReadonlyArray<string> =>
  Array.isArray(json.type)
    ? json.type
    : typeof json.type === "string"
      ? [json.type]
      : Array.from(new Set(valuesOf(json)?.map(typeOf)))

const isAnything = (json: Json): boolean =>
  Object.keys(json).every((key) => words.includes(key) || key.startsWith("$") || key === "pii")

const propertiesOf = (json: Json): Json => {
  const required = listOf(json.required).map((name) => [String(name), {}] as const)
  return { ...Object.fromEntries(required), ...(isObject(json.properties) ? json.properties : {}) }
}

const isRequired = (json: Json, name: string): boolean => listOf(json.required).includes(name)

/** What is true without a word about it: everything, nothing, or a schema. */
const open = (value: unknown): boolean | Json =>
  value === false ? false : isObject(value) && Object.keys(value).length > 0 ? value : true

const decoded = (token: string): string => {
  try {
    return decodeURIComponent(token).replaceAll("~1", "/").replaceAll("~0", "~")
  } catch {
    return token
  }
}

/** What a reference refers to. */
const target = (reference: string, root: Json): Json | undefined => {
  const [hash, ...tokens] = reference.split("/")
  if (hash !== "#") return undefined
  const found = tokens.map(decoded).reduce<unknown>((json, token) => own(json, token), root)
  return isObject(found) ? found : undefined
}

/** What both allow; what is said of the first counts more. */
const both = (first: Json, second: Json): Json => {
  if (Object.keys(first).length === 0) return second
  const all = new Map(Object.entries(first))
  const clashes: Array<unknown> = []
  for (const [key, value] of Object.entries(second)) {
    const has = all.get(key)
    if (has === undefined) all.set(key, value)
    else if (key.startsWith("$") || key === "pii" || words.includes(key) || text(has) === text(value)) continue
    else if (key === "required") all.set(key, Array.from(new Set([...listOf(has), ...listOf(value)])))
    else if (typeof has === "number" && typeof value === "number" && floors.includes(key)) {
      all.set(key, Math.max(has, value))
    } else if (typeof has === "number" && typeof value === "number" && ceilings.includes(key)) {
      all.set(key, Math.min(has, value))
    } else if (key === "properties" && isObject(has) && isObject(value)) {
      all.set(key, { ...value, ...has })
      const twice = pick(value, (name) => Object.hasOwn(has, name) && text(has[name]) !== text(value[name]))
      if (Object.keys(twice).length > 0) clashes.push({ properties: twice })
    } else clashes.push({ [key]: value })
  }
  if (clashes.length > 0) all.set("allOf", [...listOf(all.get("allOf")), ...clashes])
  return Object.fromEntries(all)
}

/** One for each type. */
const byType = (json: Json): ReadonlyArray<Json> => {
  const types = typesOf(json)
  if (types.length < 2) return [json]
  return types.map((type) => {
    const kind = type === "integer" ? "number" : type
    const one = pick(json, (key) => (about.get(key) ?? kind) === kind && key !== "enum" && key !== "const")
    const values = valuesOf(json)?.filter((value) => typeOf(value) === kind)
    return { ...one, type, ...(values === undefined ? {} : { enum: values }) }
  })
}

/** Values that are listed apart, and otherwise the same, are one list. */
const joined = (all: ReadonlyArray<Json>): ReadonlyArray<Json> => {
  const found = new Map<string, Json>()
  for (const one of all) {
    const values = valuesOf(one)
    const rest = pick(one, (key) => key !== "enum" && key !== "const")
    const key = `${values === undefined} ${text(rest)}`
    const before = valuesOf(found.get(key) ?? {}) ?? []
    found.set(key, values === undefined ? one : { ...rest, enum: [...before, ...values] })
  }
  return Array.from(found.values())
}

/** The schemas of one side. What is found is kept, so that the same schema is the same object wherever it is met. */
class Side {
  readonly root: Json
  private readonly known = new Map<Json, ReadonlyArray<Json>>()

  constructor(root: Json) {
    this.root = root
  }

  /** All that a schema gives a choice of, without references on the way; recursion ends at `within`. */
  choices(json: Json, within: ReadonlyArray<string> = []): ReadonlyArray<Json> {
    const before = this.known.get(json)
    if (before !== undefined) return before
    const { $ref, allOf, anyOf, oneOf, ...rest } = json
    const inside = (one: unknown) => (isObject(one) ? this.choices(one, within) : [{}])
    const parts = listOf(allOf).map(inside)
    for (const choice of [anyOf, oneOf]) if (Array.isArray(choice)) parts.push(choice.flatMap(inside))
    if (typeof $ref === "string") {
      const found = within.includes($ref) ? undefined : target($ref, this.root)
      parts.push(found === undefined ? [{ reference: $ref }] : this.choices(found, [...within, $ref]))
    }
    const all = parts.reduce((left, right) => left.flatMap((one) => right.map((other) => both(one, other))), [rest])
    const found = joined(all.flatMap(byType))
    this.known.set(json, found)
    return found
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Comparison
// ---------------------------------------------------------------------------------------------------------------------

/** A change, and where it is from here: `.products`, `[].price`. */
type Found = Omit<Change, "event">

const told = (kind: Change["kind"], breaking: boolean, detail: string, path = ""): Found => ({
  path,
  kind,
  breaking,
  detail
})

const below = (path: string, all: ReadonlyArray<Found>): ReadonlyArray<Found> =>
  all.map((one) => ({ ...one, path: path + one.path }))

// What is an integer is a number as well.
const has = (types: ReadonlyArray<string>, type: string): boolean =>
  types.length === 0 || types.includes(type) || (type === "integer" && types.includes("number"))

/** Whether all that has one of the first types has one of the second. */
const within = (from: ReadonlyArray<string>, to: ReadonlyArray<string>): boolean =>
  to.length === 0 || (from.length > 0 && from.every((type) => has(to, type)))

const typesOfAll = (all: ReadonlyArray<Json>): string =>
  all.some((one) => typesOf(one).length === 0) ? "anything" : Array.from(new Set(all.flatMap(typesOf))).join(" or ")

/** A name for one of several. */
const nameOf = (json: Json): string => {
  const values = valuesOf(json)
  if (values !== undefined) return values.map(text).join(" or ")
  const names = Object.keys(propertiesOf(json))
  return names.length === 0 ? typesOfAll([json]) : `${typesOfAll([json])} with ${names.join(", ")}`
}

/** Whether no value can be both, by the values that are listed. */
const apart = (was: ReadonlyArray<Json>, is: ReadonlyArray<Json>): boolean => {
  const from = was.map(valuesOf)
  const to = is.map(valuesOf)
  if (from.length === 0 || to.length === 0 || from.includes(undefined) || to.includes(undefined)) return false
  const values = from.flatMap((one) => one?.map(text) ?? [])
  return !to.some((one) => one?.some((value) => values.includes(text(value))))
}

type Bound = { readonly value: number; readonly exclusive: boolean }

/** A bound as one of floors, so that larger is tighter; the integers that everything is made of set no limit. */
const boundOf = (json: Json, key: string, exclusiveKey: string, sign: 1 | -1, whole: boolean): Bound => {
  const at = (name: string) => (typeof json[name] === "number" ? json[name] * sign : Number.NEGATIVE_INFINITY)
  const [inclusive, exclusive] = [at(key), at(exclusiveKey)]
  const bound = { value: Math.max(inclusive, exclusive), exclusive: exclusive >= inclusive && exclusive > -Infinity }
  if (typesOf(json).includes("integer") && bound.value <= Number.MIN_SAFE_INTEGER) {
    return { value: Number.NEGATIVE_INFINITY, exclusive: false }
  }
  return whole && bound.exclusive ? { value: Math.floor(bound.value) + 1, exclusive: false } : bound
}

class Comparison {
  private readonly before: Side
  private readonly after: Side
  /** What was found of a pair; of one that is being compared, nothing yet: what refers to itself ends here. */
  private readonly found = new Map<Json, Map<Json, ReadonlyArray<Found>>>()

  constructor(before: Json, after: Json) {
    this.before = new Side(before)
    this.after = new Side(after)
  }

  changes(): ReadonlyArray<Found> {
    return this.compare(this.before.root, this.after.root).map((one) => ({ ...one, path: one.path.replace(/^\./, "") }))
  }

  /** Pairs are looked up by what they resolve to, so that each is compared once. */
  private once(was: Json, is: Json, compare: () => ReadonlyArray<Found>): ReadonlyArray<Found> {
    const seen = this.found.get(was) ?? new Map<Json, ReadonlyArray<Found>>()
    this.found.set(was, seen)
    const before = seen.get(is)
    if (before !== undefined) return before
    seen.set(is, [])
    const unique = new Map(compare().map((one) => [text(one), one]))
    const all = Array.from(unique.values())
    seen.set(is, all)
    return all
  }

  private compare(before: Json, after: Json): ReadonlyArray<Found> {
    return this.once(before, after, () => this.choose(this.before.choices(before), this.after.choices(after)))
  }

  /** Pairs those that are most alike. What is lost breaks, what is gained doesn't. */
  private choose(was: ReadonlyArray<Json>, is: ReadonlyArray<Json>): ReadonlyArray<Found> {
    const detail = `was ${typesOfAll(was)}, is ${typesOfAll(is)}`
    if (was.length > 1 || is.length > 1) {
      const [wasAnything, isAny] = [was.some(isAnything), is.some(isAnything)]
      if (wasAnything !== isAny) return [told(isAny ? "loosened" : "tightened", !isAny, detail)]
    }
    const alone = was.length === 1 && is.length === 1
    const pairs = was
      .flatMap((one, i) =>
        is.flatMap((other, j) => {
          if (!(alone ? this.comparable(one, other) : this.alike(one, other))) return []
          const all = this.once(one, other, () => this.member(one, other))
          const breaks = all.filter(({ breaking }) => breaking).length
          return [{ one, other, all, breaks, distance: Math.abs(i - j) }]
        })
      )
      .sort((a, b) => a.breaks - b.breaks || a.all.length - b.all.length || a.distance - b.distance)
    const [used, gone] = [new Set<Json>(), new Set<Json>()]
    const changes: Array<Found> = []
    for (const { all, one, other } of pairs) {
      if (gone.has(one) || used.has(other)) continue
      gone.add(one)
      used.add(other)
      changes.push(...all)
    }
    const lost = was.filter((one) => !gone.has(one) && !pairs.some((pair) => pair.one === one && pair.breaks === 0))
    const gained = is.filter((one) => !used.has(one) && !pairs.some((pair) => pair.other === one && !pair.all.length))
    if (lost.length === 0 && gained.length === 0) return changes
    const kind = lost.length === 0 ? "loosened" : gained.length === 0 ? "tightened" : "retyped"
    const names = [...lost.map((one) => `is no longer ${nameOf(one)}`), ...gained.map((one) => `may be ${nameOf(one)}`)]
    const same = typesOfAll(was) === typesOfAll(is)
    return [told(kind, lost.length > 0, same ? names.join(", ") : detail), ...changes]
  }

  private comparable(was: Json, is: Json): boolean {
    const [from, to] = [typesOf(was), typesOf(is)]
    return within(from, to) || within(to, from)
  }

  /** Whether two of several may be the same one: they are not if what tells them apart differs. */
  private alike(was: Json, is: Json): boolean {
    if (!this.comparable(was, is) || apart([was], [is])) return false
    const [from, to] = [propertiesOf(was), propertiesOf(is)]
    return !Object.keys(from).some((name) => {
      const [one, other] = [from[name], own(to, name)]
      if (!isRequired(was, name) || !isRequired(is, name) || !isObject(one) || !isObject(other)) return false
      return apart(this.before.choices(one), this.after.choices(other))
    })
  }

  private member(was: Json, is: Json): ReadonlyArray<Found> {
    const rest = (json: Json) => text(pick(json, (key) => !known.has(key)))
    return [
      ...this.described(was, is),
      ...this.types(was, is),
      ...this.values(was, is),
      ...this.limits(was, is),
      ...this.fields(was, is),
      ...this.elements(was, is),
      ...(rest(was) === rest(is) ? [] : [told("retyped", true, `was ${rest(was)}, is ${rest(is)}`)])
    ]
  }

  private described(was: Json, is: Json): ReadonlyArray<Found> {
    const changed = words.filter((word) => text(was[word]) !== text(is[word]))
    const all = changed.map((word) => told("described", false, `${word} was ${text(was[word])}, is ${text(is[word])}`))
    const [from, to] = [was.pii ?? false, is.pii ?? false]
    if (from === to) return all
    const detail = `pii was ${text(was.pii)}, is ${text(is.pii)}`
    // What is dropped or hashed is lost to those who read it.
    const kept = to === false || to === "keep"
    return [...all, kept ? told("described", false, detail) : told("tightened", true, detail)]
  }

  private types(was: Json, is: Json): ReadonlyArray<Found> {
    const [from, to] = [typesOf(was), typesOf(is)]
    const [wider, narrower] = [within(from, to), within(to, from)]
    if (wider && narrower) return []
    return [told(wider ? "loosened" : "tightened", !wider, `was ${typesOfAll([was])}, is ${typesOfAll([is])}`)]
  }

  private values(was: Json, is: Json): ReadonlyArray<Found> {
    const from = valuesOf(was)?.map(text)
    const to = valuesOf(is)?.map(text)
    if (from === undefined) return to === undefined ? [] : [told("tightened", true, `is one of ${to.join(", ")}`)]
    if (to === undefined) return [told("loosened", false, `is no longer one of ${from.join(", ")}`)]
    const lost = from.filter((value) => !to.includes(value))
    const gained = to.filter((value) => !from.includes(value))
    return [
      ...(lost.length === 0 ? [] : [told("tightened", true, `is no longer ${lost.join(" or ")}`)]),
      ...(gained.length === 0 ? [] : [told("loosened", false, `may be ${gained.join(" or ")}`)])
    ]
  }

  private limits(was: Json, is: Json): ReadonlyArray<Found> {
    const all: Array<Found> = []
    const whole = [was, is].every((json) => text(typesOf(json)) === `["integer"]`)
    for (const [keys, sign, more] of [[floors, 1, "more"] as const, [ceilings, -1, "less"] as const]) {
      for (const key of keys.filter((one) => !one.startsWith("exclusive"))) {
        const exclusive = key === "minimum" ? "exclusiveMinimum" : key === "maximum" ? "exclusiveMaximum" : ""
        const from = boundOf(was, key, exclusive, sign, whole)
        const to = boundOf(is, key, exclusive, sign, whole)
        if (from.value === to.value && from.exclusive === to.exclusive) continue
        const say = (bound: Bound) =>
          bound.value === -Infinity ? "nothing" : `${bound.exclusive ? `${more} than ` : ""}${bound.value * sign}`
        const tightened = to.value > from.value || (to.value === from.value && to.exclusive)
        all.push(told(tightened ? "tightened" : "loosened", tightened, `${key} was ${say(from)}, is ${say(to)}`))
      }
    }
    const changed = others.filter((key) => text(was[key]) !== text(is[key]))
    return [...all, ...changed.map((key) => this.narrowed(is[key] === undefined, was[key], is[key], key))]
  }

  private narrowed(loosened: boolean, was: unknown, is: unknown, key: string): Found {
    return told(loosened ? "loosened" : "tightened", !loosened, `${key} was ${text(was)}, is ${text(is)}`)
  }

  private fields(was: Json, is: Json): ReadonlyArray<Found> {
    const [from, to] = [propertiesOf(was), propertiesOf(is)]
    const all = Array.from(new Set([...Object.keys(from), ...Object.keys(to)])).flatMap((name) => {
      const [before, after] = [own(from, name), own(to, name)]
      const required = isRequired(is, name)
      if (after === undefined) return [told("removed", true, "is removed", `.${name}`)]
      if (before === undefined) {
        return [told("added", required, required ? "is added, and required" : "is added", `.${name}`)]
      }
      const changed =
        required === isRequired(was, name)
          ? []
          : [told(required ? "tightened" : "loosened", required, required ? "is required" : "is optional")]
      const inside = isObject(before) && isObject(after) ? this.compare(before, after) : []
      return below(`.${name}`, [...changed, ...inside])
    })
    const [rest, other] = [open(was.additionalProperties), open(is.additionalProperties)]
    if (isObject(rest) && isObject(other)) return [...all, ...below(".*", this.compare(rest, other))]
    if (rest === other) return all
    const loosened = other === true || rest === false
    const detail = loosened ? "may have other properties" : "other properties are restricted"
    return [...all, told(loosened ? "loosened" : "tightened", !loosened, detail)]
  }

  /** Those that have a place of their own, and the rest. */
  private elements(was: Json, is: Json): ReadonlyArray<Found> {
    const [from, to] = [listOf(was.prefixItems), listOf(is.prefixItems)]
    const all = Array.from({ length: Math.max(from.length, to.length) }, (_, i) => {
      const at = `[${i}]`
      const [before, after] = [from[i], to[i]]
      if (after === undefined && !isObject(is.items)) return [told("removed", true, "is removed", at)]
      if (before === undefined && !isObject(was.items)) {
        const required = typeof is.minItems === "number" && is.minItems > i
        return [told("added", required, required ? "is added, and required" : "is added", at)]
      }
      const [one, other] = [before ?? was.items, after ?? is.items]
      return isObject(one) && isObject(other) ? below(at, this.compare(one, other)) : []
    }).flat()
    const [rest, other] = [open(was.items), open(is.items)]
    if (isObject(rest) && isObject(other)) return [...all, ...below("[]", this.compare(rest, other))]
    return rest === other
      ? all
      : [...all, this.narrowed(other === true || rest === false, was.items, is.items, "items")]
  }
}
