/** JSON Schema as data: where a schema holds other schemas, and what a reference refers to. */
import type * as JsonSchema from "effect/JsonSchema"
import { isData } from "../../internal/Json.ts"

export type Json = JsonSchema.JsonSchema

/** The annotations of plans that are keywords in JSON Schema, beside those that effect knows. */
export const planKeywords = ["aliases", "deprecated", "owner", "pii", "planVersion", "since"]

/** Keywords that restrict values by other schemas or properties, beside those that describe objects and arrays. */
export const conditional = new Set([
  ...["not", "if", "then", "else", "allOf", "contains", "minContains", "maxContains", "reference", "$dynamicRef"],
  ...["patternProperties", "propertyNames", "dependencies", "dependentRequired", "dependentSchemas"],
  ...["unevaluatedItems", "unevaluatedProperties"]
])

export const isObject: (value: unknown) => value is Json = isData

export const listOf = (value: unknown): ReadonlyArray<unknown> => (Array.isArray(value) ? value : [])

export const getOwn = (json: unknown, name: string): unknown =>
  isObject(json) && Object.hasOwn(json, name) ? json[name] : undefined

export const pick = (json: Json, keep: (key: string) => boolean): Json =>
  Object.fromEntries(Object.entries(json).filter(([key]) => keep(key)))

export const valuesOf = ({ const: only, enum: values }: Json): ReadonlyArray<unknown> | undefined =>
  Array.isArray(values) ? values : only === undefined ? undefined : [only]

export const typeOf = (value: unknown): string =>
  value === null ? "null" : Array.isArray(value) ? "array" : typeof value

/** The types that a schema allows; none if it allows all. */
export const typesOf = (json: Json): ReadonlyArray<string> =>
  Array.isArray(json.type)
    ? json.type
    : typeof json.type === "string"
      ? [json.type]
      : Array.from(new Set(valuesOf(json)?.map(typeOf)))

export const isDraft07 = (schema: Json): boolean =>
  !/20(19-09|20-12)/.test(String(schema.$schema)) && schema.$defs === undefined

/** Keywords whose value is a schema, or a list of schemas, that holds for a part of the value. */
const parts = ["items", "prefixItems", "additionalItems", "anyOf", "oneOf", "allOf", "additionalProperties"]
/** Keywords whose value is schemas by name. */
const named = new Set(["properties", "patternProperties", "definitions", "$defs", "dependentSchemas", "dependencies"])
const others = ["if", "then", "else", "not", "contains", "propertyNames", "unevaluatedItems", "unevaluatedProperties"]
const positive = new Set(parts)
const all = new Set([...parts, ...others])

/** Calls with each schema that a schema holds, its keyword, and its name or place. */
export const eachSubschema = (
  schema: Json,
  visit: (subschema: unknown, keyword: string, name?: string | number) => void
): void => {
  for (const key of Object.keys(schema)) {
    const value = schema[key]
    if (all.has(key)) {
      if (Array.isArray(value)) value.forEach((one, index) => void visit(one, key, index))
      else visit(value, key)
    } else if (named.has(key) && isObject(value)) {
      for (const name of Object.keys(value)) {
        if (key !== "dependencies" || !Array.isArray(value[name])) visit(value[name], key, name)
      }
    }
  }
}

/**
 * A copy whose schemas are changed, from the inside. `"positive"` leaves out those that hold for something else than what
 * is sent: `not`, `if` and the like.
 */
export const mapSubschemas = (
  json: Json,
  change: (schema: Record<string, unknown>) => void,
  where: "all" | "positive" = "positive",
  more: ReadonlyArray<string> = []
): Json => {
  const holders = where === "all" ? all : positive
  const inside = (one: unknown): unknown => {
    if (Array.isArray(one)) return one.map(inside)
    if (!isObject(one)) return one
    const changed: Record<string, unknown> = { ...one }
    for (const key of Object.keys(changed)) {
      const value = changed[key]
      if (holders.has(key) || more.includes(key)) changed[key] = inside(value)
      else if (named.has(key) && isObject(value)) {
        changed[key] = Object.fromEntries(Object.entries(value).map(([name, schema]) => [name, inside(schema)]))
      }
    }
    change(changed)
    return changed
  }
  return inside(json) as Json
}

const decode = (token: string): string => {
  try {
    return decodeURIComponent(token).replaceAll("~1", "/").replaceAll("~0", "~")
  } catch {
    return token
  }
}

/** The schema that a JSON pointer (`#/definitions/Address`) refers to. */
export const target = (reference: string, root: Json): unknown => {
  const [hash, ...tokens] = reference.split("/")
  if (hash !== "#") return undefined
  return tokens
    .map(decode)
    .reduce<unknown>((json, token) => (Array.isArray(json) ? json[Number(token)] : getOwn(json, token)), root)
}
