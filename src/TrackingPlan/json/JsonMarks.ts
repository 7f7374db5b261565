/** The fields that a JSON Schema marks as `pii`. */
import * as Marks from "../pii/Marks.ts"
import { isObject, type Json, listOf, target, typesOf } from "./Keywords.ts"

/** Keywords whose schemas hold for the same value. */
const sameValue = ["allOf", "anyOf", "oneOf", "if", "then", "else"]

/** The marks of a schema; `undefined` if it has none. Throws if the whole is marked, or the names of a record. */
export const marksOfJson = (root: Json): Marks.Marks | undefined => Marks.marksOfNode(read(root, root, new Map()))

const read = (json: unknown, root: Json, known: Map<unknown, Marks.Node>): Marks.Node => {
  const seen = known.get(json)
  if (seen !== undefined) return seen
  const schema = isObject(json) ? json : {}
  const types = typesOf(schema).map((type) => (type === "integer" ? "number" : type))
  const node = (container: Marks.Node["container"]): Marks.Node => ({
    id: nextId++,
    policies: [],
    container,
    forms: [],
    fields: new Map(),
    rest: [],
    same: []
  })
  const forms = types.length === 0 ? Marks.forms : Marks.forms.filter((form) => types.includes(form))
  const isChoice = sameValue.some((key) => key in schema) || "$ref" in schema
  const whole: Marks.Node = {
    ...node(undefined),
    policies: Marks.policyOf(schema.pii),
    // A schema that only refers to others has their forms.
    forms: types.length === 0 && isChoice ? [] : forms
  }
  known.set(json, whole)
  const inside = (one: unknown) => read(one, root, known)
  const same = sameValue.flatMap((key) => (key in schema ? [schema[key]].flat() : []))
  if (typeof schema.$ref === "string") same.push(target(schema.$ref, root))
  for (const one of same) whole.same.push(inside(one))
  const [object, array] = [node("object"), node("array")]
  const patterns = Object.entries(isObject(schema.patternProperties) ? schema.patternProperties : {})
  for (const [name, field] of Object.entries(isObject(schema.properties) ? schema.properties : {})) {
    object.fields.set(name, inside(field))
  }
  if (isObject(schema.propertyNames) && Marks.policyOf(schema.propertyNames.pii).length > 0) {
    throw new Error("the names of a record are marked as pii: they are never changed, mark its values")
  }
  const others = [schema.additionalProperties, schema.unevaluatedProperties, ...patterns.map(([, one]) => one)]
  for (const one of others) if (isObject(one)) object.rest.push(inside(one))
  const elements = Array.isArray(schema.items) ? schema.items : listOf(schema.prefixItems)
  elements.forEach((one, index) => void array.fields.set(String(index), inside(one)))
  const rest = [Array.isArray(schema.items) ? schema.additionalItems : schema.items, schema.contains]
  for (const one of rest) if (isObject(one)) array.rest.push(inside(one))
  whole.same.push(object, array)
  return whole
}

let nextId = 0
