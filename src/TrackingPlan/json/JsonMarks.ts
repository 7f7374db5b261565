/**
 * The fields that a JSON Schema marks as `pii`, also one that cannot be read. Where it is not certain what is marked, it is: a
 * field too many is dropped rather than one too few.
 */
import * as Marks from "../pii/Marks.ts"
import { eachSubschema, isObject, type Json, listOf, target, typesOf } from "./Keywords.ts"

/** Keywords whose schemas hold for the same value, and those that have such schemas by name. */
const sameValue = ["allOf", "anyOf", "oneOf", "if", "then", "else"]
const sameValueByName = ["dependentSchemas", "dependencies"]

/** The marks of a schema; `undefined` if it has none. */
export const marksOfJson = (root: Json): Marks.Marks | undefined =>
  Marks.marksOfNode(read(root, referencesIn(root), new Map()), true)

/** What a reference may mean, in whichever part of the document it stands. */
type References = (reference: string) => ReadonlyArray<unknown>

const resolve = (reference: string, base: string): string | undefined =>
  URL.canParse(reference, base) ? new URL(reference, base).href.split("#")[0] : undefined

const referencesIn = (root: Json): References => {
  const resources = new Map<Json, string>()
  const anchors = new Map<string, Array<Json>>()
  const visit = (schema: unknown, outer: string) => {
    if (!isObject(schema)) return
    const { $anchor, $dynamicAnchor, $id } = schema
    const base = typeof $id === "string" ? (resolve($id, outer) ?? outer) : outer
    if (schema === root || base !== outer) resources.set(schema, base)
    for (const name of [$anchor, $dynamicAnchor, String($id).split("#")[1]]) {
      if (typeof name === "string") anchors.set(name, [...(anchors.get(name) ?? []), schema])
    }
    eachSubschema(schema, (one) => visit(one, base))
  }
  visit(root, "plan:/schema")
  return (reference) => {
    const fragment = reference.split("#")[1] ?? ""
    if (fragment !== "" && !fragment.startsWith("/")) return anchors.get(fragment) ?? []
    const meant = new Set(Array.from(resources.values(), (base) => resolve(reference, base)))
    const documents = Array.from(resources).filter(([, base]) => meant.has(base))
    return documents.map(([schema]) => (fragment === "" ? schema : target(`#${fragment}`, schema)))
  }
}

const matches = (pattern: string, name: string): boolean => {
  try {
    return new RegExp(pattern, "u").test(name)
  } catch {
    return true
  }
}

/** What is marked with a word that is no policy is dropped. */
const policyOf = (pii: unknown): ReturnType<typeof Marks.policyOf> =>
  typeof pii === "boolean" || pii === undefined || pii === null || Marks.isPolicy(pii) ? Marks.policyOf(pii) : ["drop"]

const read = (json: unknown, references: References, known: Map<unknown, Marks.Node>): Marks.Node => {
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
  const same = [
    ...sameValue.flatMap((key) => (key in schema ? [schema[key]].flat() : [])),
    ...sameValueByName.flatMap((key) => (isObject(schema[key]) ? Object.values(schema[key]).filter(isObject) : [])),
    ...[schema.$ref, schema.$dynamicRef].flatMap((one) => (typeof one === "string" ? references(one) : []))
  ]
  const whole: Marks.Node = {
    ...node(undefined),
    policies: policyOf(schema.pii),
    // A schema that only refers to others has their forms.
    forms: types.length === 0 && same.length > 0 ? [] : forms
  }
  known.set(json, whole)
  const inside = (one: unknown) => read(one, references, known)
  for (const one of same) whole.same.push(inside(one))
  /** What several schemas say of one value. */
  const together = (schemas: ReadonlyArray<unknown>): Marks.Node => ({ ...node(undefined), same: schemas.map(inside) })
  const [object, array] = [node("object"), node("array")]
  const patterns = Object.entries(isObject(schema.patternProperties) ? schema.patternProperties : {})
  for (const [name, field] of Object.entries(isObject(schema.properties) ? schema.properties : {})) {
    object.fields.set(
      name,
      together([field, ...patterns.flatMap(([pattern, one]) => (matches(pattern, name) ? one : []))])
    )
  }
  // Names are never changed: those that are marked are dropped, with their values.
  if (isObject(schema.propertyNames) && policyOf(schema.propertyNames.pii).length > 0) {
    object.rest.push({ ...node(undefined), policies: ["drop"] })
  }
  const others = [schema.additionalProperties, schema.unevaluatedProperties, ...patterns.map(([, one]) => one)]
  for (const one of others) if (isObject(one)) object.rest.push(inside(one))
  const elements = Array.isArray(schema.items) ? schema.items : listOf(schema.prefixItems)
  const contained = isObject(schema.contains) ? [schema.contains] : []
  elements.forEach((one, index) => void array.fields.set(String(index), together([one, ...contained])))
  const rest = [
    Array.isArray(schema.items) ? schema.additionalItems : schema.items,
    schema.unevaluatedItems,
    ...contained
  ]
  for (const one of rest) if (isObject(one)) array.rest.push(inside(one))
  whole.same.push(object, array)
  return whole
}

let nextId = 0
