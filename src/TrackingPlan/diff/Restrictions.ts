/** The keywords of a JSON Schema, by how they restrict values. */
import { isObject, type Json, listOf, planKeywords, typesOf, valuesOf } from "../json/Keywords.ts"

/** Keywords that describe a schema, and restrict nothing. */
export const descriptive = [
  "title",
  "description",
  "default",
  "examples",
  ...planKeywords.filter((key) => key !== "pii")
]
/** The larger, the fewer values are left. */
export const lowerBounds = ["minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"]
/** The smaller, the fewer values are left. */
export const upperBounds = ["maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"]
/** With them fewer values are left than without. */
export const restrictive = ["pattern", "format", "multipleOf", "uniqueItems"]
/** Keywords with a comparison of their own, or of no importance. */
const compared = [
  ...["$schema", "$id", "$comment", "$defs", "definitions", "pii", "type", "enum", "const"],
  ...["properties", "required", "items", "prefixItems", "additionalProperties"]
]
export const known = new Set([...descriptive, ...lowerBounds, ...upperBounds, ...restrictive, ...compared])

/** The types that a keyword is about; one that isn't here is about all. */
export const typeOfKeyword = new Map(
  Object.entries({
    number: ["minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf"],
    string: ["minLength", "maxLength", "pattern", "format"],
    array: ["items", "prefixItems", "minItems", "maxItems", "uniqueItems"],
    object: ["properties", "required", "additionalProperties", "minProperties", "maxProperties"]
  }).flatMap(([type, keys]) => keys.map((key) => [key, type] as const))
)

const byName = ([one]: [string, unknown], [other]: [string, unknown]): number => (one < other ? -1 : 1)

/** The text of a value; the order of keys is of no importance. */
export const text = (value: unknown): string =>
  JSON.stringify(value, (_, one) => (isObject(one) ? Object.fromEntries(Object.entries(one).sort(byName)) : one)) ??
  "nothing"

export const isAnything = (json: Json): boolean =>
  Object.keys(json).every((key) => descriptive.includes(key) || key.startsWith("$") || key === "pii")

export const propertiesOf = (json: Json): Json => {
  const required = listOf(json.required).map((name) => [String(name), {}] as const)
  return { ...Object.fromEntries(required), ...(isObject(json.properties) ? json.properties : {}) }
}

export const isRequired = (json: Json, name: string): boolean => listOf(json.required).includes(name)

/** The value of a keyword whose default is `true`: everything, nothing, or a schema. */
export const open = (value: unknown): boolean | Json =>
  value === false ? false : isObject(value) && Object.keys(value).length > 0 ? value : true

// An integer is a number.
const has = (types: ReadonlyArray<string>, type: string): boolean =>
  types.length === 0 || types.includes(type) || (type === "integer" && types.includes("number"))

/** Whether all that has one of the first types has one of the second. */
export const areTypesIn = (from: ReadonlyArray<string>, to: ReadonlyArray<string>): boolean =>
  to.length === 0 || (from.length > 0 && from.every((type) => has(to, type)))

export const nameOfTypes = (all: ReadonlyArray<Json>): string =>
  all.some((one) => typesOf(one).length === 0) ? "anything" : Array.from(new Set(all.flatMap(typesOf))).join(" or ")

/** A name for one of several. */
export const nameOf = (json: Json): string => {
  const values = valuesOf(json)
  if (values !== undefined) return values.map(text).join(" or ")
  const names = Object.keys(propertiesOf(json))
  return names.length === 0 ? nameOfTypes([json]) : `${nameOfTypes([json])} with ${names.join(", ")}`
}

/** Whether no value can be both, by the values that are listed. */
export const areDisjoint = (was: ReadonlyArray<Json>, is: ReadonlyArray<Json>): boolean => {
  const from = was.map(valuesOf)
  const to = is.map(valuesOf)
  if (from.length === 0 || to.length === 0 || from.includes(undefined) || to.includes(undefined)) return false
  const values = from.flatMap((one) => one?.map(text) ?? [])
  return !to.some((one) => one?.some((value) => values.includes(text(value))))
}

export type Bound = { readonly value: number; readonly exclusive: boolean }

/** A bound as a lower one, so that larger is tighter; the integers that everything is made of set no limit. */
export const boundOf = (json: Json, key: string, exclusiveKey: string, sign: 1 | -1, whole: boolean): Bound => {
  const at = (name: string) => (typeof json[name] === "number" ? json[name] * sign : Number.NEGATIVE_INFINITY)
  const [inclusive, exclusive] = [at(key), at(exclusiveKey)]
  const bound = { value: Math.max(inclusive, exclusive), exclusive: exclusive >= inclusive && exclusive > -Infinity }
  if (typesOf(json).includes("integer") && bound.value <= Number.MIN_SAFE_INTEGER) {
    return { value: Number.NEGATIVE_INFINITY, exclusive: false }
  }
  return whole && bound.exclusive ? { value: Math.floor(bound.value) + 1, exclusive: false } : bound
}
