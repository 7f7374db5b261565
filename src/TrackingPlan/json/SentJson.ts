/**
 * The JSON Schema of the data that is sent: a field that is dropped (`pii`) is not required, one that is hashed is a string. The
 * schema of what a call gives is kept under `given`, so that a plan survives a round trip.
 */
import { isPolicy, type Policy, strictest } from "../pii/Marks.ts"
import { isObject, type Json, listOf, mapSubschemas, pick, planKeywords, target, typesOf } from "./Keywords.ts"

/** `policy` is that of the layer, for fields that leave it to the layer. */
export const outputSchema = (json: Json, policy: Policy): Json => {
  const chosen = (schema: Json) =>
    strictest(Array.from(marksOf(schema, json), (mark) => (isPolicy(mark) ? mark : policy)))
  const element = (schema: unknown): unknown => {
    if (Array.isArray(schema)) return schema.map(element)
    if (!isObject(schema)) return schema
    const what = chosen(schema)
    return what === "hash" ? hashed(schema, json) : what === "drop" ? instead(schema, "null", what) : schema
  }
  const value = (schema: unknown): unknown =>
    isObject(schema) && chosen(schema) === "hash" ? hashed(schema, json) : schema
  return mapSubschemas(json, (schema) => {
    for (const key of ["items", "prefixItems", "additionalItems"]) if (key in schema) schema[key] = element(schema[key])
    if ("additionalProperties" in schema) schema.additionalProperties = value(schema.additionalProperties)
    if (!isObject(schema.properties)) return
    const required = listOf(schema.required)
    const dropped = new Set<unknown>()
    schema.properties = mapped(schema.properties, (field, name) => {
      if (!isObject(field) || chosen(field) !== "drop") return value(field)
      dropped.add(name)
      return required.includes(name) ? { ...field, given: "required" } : field
    })
    const left = required.filter((name) => !dropped.has(name))
    if (left.length > 0) schema.required = left
    else delete schema.required
  })
}

/** The way back: the schema of what a call gives. */
export const inputSchema = (json: Json): Json =>
  mapSubschemas(
    json,
    (schema) => {
      if (isObject(schema.given) && isMark(schema.pii)) {
        const { given } = schema
        for (const key of Object.keys(schema)) delete schema[key]
        Object.assign(schema, given)
      }
      if (!isObject(schema.properties)) return
      const required = new Set(listOf(schema.required))
      schema.properties = mapped(schema.properties, (field, name) => {
        if (!isObject(field) || field.given !== "required") return field
        required.add(name)
        return pick(field, (key) => key !== "given")
      })
      if (required.size === 0) return
      const order = Object.keys(schema.properties as Json)
      schema.required = [...order.filter((name) => required.delete(name)), ...required]
    },
    "positive",
    ["given"]
  )

const mapped = (properties: Json, change: (field: unknown, name: string) => unknown): Json =>
  Object.fromEntries(Object.entries(properties).map(([name, field]) => [name, change(field, name)]))

const isMark = (value: unknown): boolean => value === true || isPolicy(value)

/** All marks of one value. */
const marksOf = (schema: Json, root: Json, seen = new Set<Json>()): Set<unknown> => {
  const marks = new Set<unknown>()
  if (seen.has(schema)) return marks
  seen.add(schema)
  if (isMark(schema.pii)) marks.add(schema.pii)
  for (const part of partsOf(schema, root)) for (const mark of marksOf(part, root, seen)) marks.add(mark)
  return marks
}

/** The other schemas of the same value. */
const partsOf = ({ $ref, allOf, anyOf, oneOf }: Json, root: Json): ReadonlyArray<Json> =>
  [...[allOf, anyOf, oneOf].flatMap(listOf), typeof $ref === "string" ? target($ref, root) : undefined].filter(isObject)

const isNullable = (schema: Json, root: Json, seen = new Set<Json>()): boolean => {
  if (seen.has(schema)) return false
  seen.add(schema)
  return typesOf(schema).includes("null") || partsOf(schema, root).some((part) => isNullable(part, root, seen))
}

/** A hash is a text, whatever it is of. Of `null` there is none. */
const hashed = (schema: Json, root: Json): Json => {
  const isText = schema.type === "string" && Object.keys(schema).every((key) => key === "type" || about.includes(key))
  return isText ? schema : instead(schema, isNullable(schema, root) ? ["string", "null"] : "string", "hash")
}

/** Keywords that describe a value, and do not restrict it. */
const about = ["title", "description", ...planKeywords]

const instead = (schema: Json, type: string | ReadonlyArray<string>, policy: Policy): Json => ({
  type,
  pii: policy,
  ...pick(schema, (key) => about.includes(key)),
  given: schema
})
