/**
 * The alternatives of a JSON Schema, each without references and further alternatives. Schemas are compared by these.
 */
import { isDraft07, isObject, type Json, listOf, pick, target, typeOf, typesOf, valuesOf } from "../json/Keywords.ts"
import { descriptive, lowerBounds, text, typeOfKeyword, upperBounds } from "./Restrictions.ts"

/** The schema of what both allow; descriptions of the first win. */
const intersect = (first: Json, second: Json): Json => {
  if (Object.keys(first).length === 0) return second
  const all = new Map(Object.entries(first))
  const clashes: Array<unknown> = []
  for (const [key, value] of Object.entries(second)) {
    const has = all.get(key)
    if (has === undefined) all.set(key, value)
    else if (key.startsWith("$") || key === "pii" || descriptive.includes(key) || text(has) === text(value)) continue
    else if (key === "required") all.set(key, Array.from(new Set([...listOf(has), ...listOf(value)])))
    else if (typeof has === "number" && typeof value === "number" && lowerBounds.includes(key)) {
      all.set(key, Math.max(has, value))
    } else if (typeof has === "number" && typeof value === "number" && upperBounds.includes(key)) {
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
  return types.flatMap((type) => {
    const kind = type === "integer" ? "number" : type
    const one = pick(json, (key) => (typeOfKeyword.get(key) ?? kind) === kind && key !== "enum" && key !== "const")
    const values = valuesOf(json)?.filter((value) => typeOf(value) === kind)
    if (values === undefined) return [{ ...one, type }]
    // A type without a value in the list is no alternative.
    return values.length === 0 ? [] : [{ ...one, type, enum: values }]
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

/** A schema with more alternatives is one, and compared by its text: their number is a product. */
const maxChoices = 64

/** The schemas of one side. Results are kept, so that the same schema is the same object wherever it occurs. */
export class Side {
  readonly root: Json
  private readonly known = new Map<Json, ReadonlyArray<Json>>()

  constructor(root: Json) {
    this.root = root
  }

  /** The alternatives of a schema; recursion ends at `inside`. */
  choices(json: Json, inside: ReadonlyArray<string> = []): ReadonlyArray<Json> {
    const before = this.known.get(json)
    if (before !== undefined) return before
    const { $ref, allOf, anyOf, oneOf, ...beside } = json
    // In draft-07 nothing beside a reference counts, but for what describes it.
    const isAlone = $ref !== undefined && isDraft07(this.root) && this.root.$schema !== undefined
    const rest = isAlone ? pick(beside, (key) => descriptive.includes(key) || key === "pii") : beside
    const part = (one: unknown) => (isObject(one) ? this.choices(one, inside) : [{}])
    const parts = listOf(allOf).map(part)
    for (const choice of [anyOf, oneOf]) if (Array.isArray(choice)) parts.push(choice.flatMap(part))
    if (typeof $ref === "string") {
      const found = inside.includes($ref) ? undefined : target($ref, this.root)
      parts.push(!isObject(found) ? [{ reference: $ref }] : this.choices(found, [...inside, $ref]))
    }
    const count = parts.reduce((product, part) => product * part.length, 1)
    const all =
      count > maxChoices
        ? [{ allOf: [json] }]
        : parts.reduce((left, right) => left.flatMap((one) => right.map((other) => intersect(one, other))), [rest])
    const found = joined(all.flatMap(byType))
    this.known.set(json, found)
    return found
  }
}
