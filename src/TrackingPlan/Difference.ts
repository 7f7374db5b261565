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
  /** Where in its data: `products[].price`; empty, if it is the whole. */
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
  const was = new Map(schemasOf(read(before)))
  const is = new Map(schemasOf(read(after)))
  const changes: Array<Change> = []
  for (const [event, schema] of was) {
    const other = is.get(event)
    if (other === undefined) changes.push({ event, path: "", kind: "removed", breaking: true, detail: "is removed" })
    else new Comparison(event, changes, schema, other).compare(schema, other, "")
  }
  for (const event of is.keys()) {
    if (was.has(event)) continue
    // Data that needed no rules before does now.
    const breaking = ["traits", "groupTraits", "context"].includes(event)
    changes.push({ event, path: "", kind: "added", breaking, detail: "is added" })
  }
  return { breaking: changes.some((change) => change.breaking), changes }
}

const isPlan = (plan: AnyPlan | object): plan is AnyPlan => "definition" in plan

const read = (plan: AnyPlan | object): Definition => (isPlan(plan) ? plan.definition : definitionOf(plan))

const schemasOf = (definition: Definition): ReadonlyArray<readonly [string, JsonSchema.JsonSchema]> => {
  const { context, events, groupTraits, pages, screens, traits } = definition
  const many = (prefix: string, shapes: Shapes | undefined) =>
    Object.entries(shapes ?? {}).map(([name, shape]) => [prefix + name, toJsonSchema(shape)] as const)
  const one = (name: string, shape: Shape | undefined) =>
    shape === undefined ? [] : [[name, toJsonSchema(shape)] as const]
  return [
    ...many("", events),
    ...many("page ", pages),
    ...many("screen ", screens),
    ...one("traits", traits),
    ...one("groupTraits", groupTraits),
    ...one("context", context)
  ]
}

// ---------------------------------------------------------------------------------------------------------------------
// Comparison
// ---------------------------------------------------------------------------------------------------------------------

type Json = JsonSchema.JsonSchema

/** Keywords that say something about a schema, and restrict nothing. */
const words = ["title", "description", "deprecated", "owner", "since", "planVersion", "pii", "default", "examples"]
/** The larger, the fewer values are left. */
const floors = ["minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"]
/** The smaller, the fewer values are left. */
const ceilings = ["maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"]
/** With them fewer values are left than without. */
const others = ["pattern", "format", "multipleOf", "uniqueItems"]

const compared = ["$defs", "$ref", "type", "enum", "const", "properties", "required", "items", "additionalProperties"]

const isObject = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value)

/** The text of a value; the order of keys is of no importance. */
const text = (value: unknown): string =>
  JSON.stringify(value, (_, one) => (isObject(one) ? Object.fromEntries(Object.entries(one).sort()) : one)) ?? "nothing"

const typesOf = ({ const: only, enum: values, type }: Json): ReadonlyArray<string> => {
  if (Array.isArray(type)) return type
  if (typeof type === "string") return [type]
  const all = Array.isArray(values) ? values : only === undefined ? [] : [only]
  return Array.from(new Set(all.map((value) => (value === null ? "null" : typeof value))))
}

/** A choice of one is no choice, and a choice of types is a list of types. */
const simple = (json: Json): Json => {
  const { anyOf, ...rest } = json
  if (!Array.isArray(anyOf) || rest.type !== undefined || rest.enum !== undefined) return json
  const [only] = anyOf
  if (anyOf.length === 1 && isObject(only)) return { ...only, ...rest }
  const areTypes = anyOf.every((one) => isObject(one) && typeof one.type === "string" && Object.keys(one).length === 1)
  return areTypes ? { type: anyOf.map(({ type }) => type), ...rest } : json
}

const valuesOf = ({ const: only, enum: values }: Json): ReadonlyArray<unknown> | undefined =>
  Array.isArray(values) ? values : only === undefined ? undefined : [only]

class Comparison {
  private readonly event: string
  private readonly changes: Array<Change>
  private readonly before: Json
  private readonly after: Json
  private readonly inside = new Set<string>()

  constructor(event: string, changes: Array<Change>, before: Json, after: Json) {
    this.event = event
    this.changes = changes
    this.before = before
    this.after = after
  }

  private tell(path: string, kind: Change["kind"], breaking: boolean, detail: string): void {
    this.changes.push({ event: this.event, path, kind, breaking, detail })
  }

  compare(before: Json, after: Json, path: string): void {
    const references = `${before.$ref} ${after.$ref}`
    if (before.$ref !== undefined && after.$ref !== undefined) {
      if (this.inside.has(references)) return
      this.inside.add(references)
    }
    const was = simple(resolved(before, this.before))
    const is = simple(resolved(after, this.after))
    for (const word of words) {
      if (text(was[word]) !== text(is[word])) {
        this.tell(path, "described", false, `${word} was ${text(was[word])}, is ${text(is[word])}`)
      }
    }
    if (!this.types(was, is, path)) return
    this.values(was, is, path)
    this.limits(was, is, path)
    this.fields(was, is, path)
    if (isObject(was.items) && isObject(is.items)) this.compare(was.items, is.items, `${path}[]`)
    else if (text(was.items) !== text(is.items)) this.narrowed(was.items, is.items, path, "items")
    const rest = (json: Json) =>
      Object.fromEntries(
        Object.entries(json).filter(
          ([key]) => ![...words, ...floors, ...ceilings, ...others, ...compared].includes(key)
        )
      )
    if (text(rest(was)) !== text(rest(is))) {
      this.tell(path, "retyped", true, `was ${text(rest(was))}, is ${text(rest(is))}`)
    }
  }

  /** Whether it makes sense to look further. */
  private types(was: Json, is: Json, path: string): boolean {
    const from = typesOf(was)
    const to = typesOf(is)
    // What is an integer is a number as well.
    const has = (types: ReadonlyArray<string>, type: string) =>
      types.length === 0 || types.includes(type) || (type === "integer" && types.includes("number"))
    const wider = from.length > 0 ? from.every((type) => has(to, type)) : to.length === 0
    const narrower = to.length > 0 ? to.every((type) => has(from, type)) : from.length === 0
    if (wider && narrower) return true
    const detail = `was ${from.join(" or ") || "anything"}, is ${to.join(" or ") || "anything"}`
    if (wider) this.tell(path, "loosened", false, detail)
    else if (narrower) this.tell(path, "tightened", true, detail)
    else this.tell(path, "retyped", true, detail)
    return wider || narrower
  }

  private values(was: Json, is: Json, path: string): void {
    const from = valuesOf(was)?.map(text)
    const to = valuesOf(is)?.map(text)
    if (from === undefined && to === undefined) return
    const lost = from?.filter((value) => to !== undefined && !to.includes(value)) ?? []
    const found = to?.filter((value) => from !== undefined && !from.includes(value)) ?? []
    if (from === undefined) this.tell(path, "tightened", true, `is one of ${to?.join(", ")}`)
    else if (to === undefined) this.tell(path, "loosened", false, `is no longer one of ${from.join(", ")}`)
    if (lost.length > 0) this.tell(path, "tightened", true, `is no longer ${lost.join(" or ")}`)
    if (found.length > 0) this.tell(path, "loosened", false, `may be ${found.join(" or ")}`)
  }

  private limits(was: Json, is: Json, path: string): void {
    for (const [keys, sign] of [[floors, 1] as const, [ceilings, -1] as const]) {
      for (const key of keys) {
        const from = typeof was[key] === "number" ? was[key] * sign : Number.NEGATIVE_INFINITY
        const to = typeof is[key] === "number" ? is[key] * sign : Number.NEGATIVE_INFINITY
        if (from === to) continue
        const tightened = to > from
        const detail = `${key} was ${text(was[key])}, is ${text(is[key])}`
        this.tell(path, tightened ? "tightened" : "loosened", tightened, detail)
      }
    }
    for (const key of others) if (text(was[key]) !== text(is[key])) this.narrowed(was[key], is[key], path, key)
  }

  private narrowed(was: unknown, is: unknown, path: string, key: string): void {
    const loosened = is === undefined
    this.tell(path, loosened ? "loosened" : "tightened", !loosened, `${key} was ${text(was)}, is ${text(is)}`)
  }

  private fields(was: Json, is: Json, path: string): void {
    const from = isObject(was.properties) ? was.properties : {}
    const to = isObject(is.properties) ? is.properties : {}
    const required = (json: Json, name: string) => Array.isArray(json.required) && json.required.includes(name)
    for (const name of new Set([...Object.keys(from), ...Object.keys(to)])) {
      const at = path === "" ? name : `${path}.${name}`
      const [before, after] = [from[name], to[name]]
      if (after === undefined) this.tell(at, "removed", true, "is removed")
      else if (before === undefined) {
        const breaking = required(is, name)
        this.tell(at, "added", breaking, breaking ? "is added, and required" : "is added")
      } else {
        if (required(was, name) !== required(is, name)) {
          const tightened = required(is, name)
          this.tell(at, tightened ? "tightened" : "loosened", tightened, tightened ? "is required" : "is optional")
        }
        if (isObject(before) && isObject(after)) this.compare(before, after, at)
      }
    }
    const open = (json: Json) => json.additionalProperties ?? true
    if (text(open(was)) !== text(open(is))) {
      const loosened = open(is) === true
      const detail = loosened ? "may have other properties" : "other properties are restricted"
      this.tell(path, loosened ? "loosened" : "tightened", !loosened, detail)
    }
  }
}

const resolved = (json: Json, root: Json): Json => {
  const name = typeof json.$ref === "string" ? json.$ref.split("/").at(-1) : undefined
  const found = name === undefined || !isObject(root.$defs) ? undefined : root.$defs[decodeURIComponent(name)]
  return isObject(found) ? { ...found, ...json } : json
}
