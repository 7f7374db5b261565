/**
 * Why a JSON Schema cannot be read: a keyword whose value is none, a pattern that is no expression, a reference to another
 * document or to nothing.
 */
import { isPolicy, type Policy } from "../pii/Marks.ts"
import { eachSubschema, isDraft07, isObject, type Json, target } from "./Keywords.ts"

export interface Problem {
  /** A JSON pointer within the schema. */
  readonly path: string
  readonly problem: string
}

/** The facts of a schema that reading it needs. */
export interface Inspection {
  readonly problem: Problem | undefined
  /** How fields are marked as `pii`; empty if none is. */
  readonly policies: ReadonlySet<Policy | "default">
  /** Whether it describes what is sent, with what a call gives under `given`. */
  readonly hasInput: boolean
}

const types = ["array", "boolean", "integer", "null", "number", "object", "string"]

const isStrings = (value: unknown): boolean => Array.isArray(value) && value.every((one) => typeof one === "string")
const isCount = (value: unknown): boolean => Number.isInteger(value) && (value as number) >= 0
const isType = (value: unknown): boolean => typeof value === "string" && types.includes(value)

const rules: ReadonlyArray<readonly [keywords: string, isValid: (value: unknown) => boolean, expected: string]> = [
  ["minLength maxLength minItems maxItems minProperties maxProperties minContains maxContains", isCount, "a count"],
  ["minimum maximum exclusiveMinimum exclusiveMaximum", Number.isFinite, "a number"],
  ["multipleOf", (value) => Number.isFinite(value) && (value as number) > 0, "a number above 0"],
  ["$ref $dynamicRef $id pattern format", (value) => typeof value === "string", "a string"],
  ["required", isStrings, "a list of names"],
  [
    "properties patternProperties definitions $defs dependentSchemas dependencies dependentRequired",
    isObject,
    "an object"
  ],
  ["enum allOf anyOf oneOf prefixItems", (value) => Array.isArray(value), "a list"],
  ["uniqueItems", (value) => typeof value === "boolean", "true or false"],
  [
    "type",
    (value) => (Array.isArray(value) ? value.length > 0 && value.every(isType) : isType(value)),
    `one of ${types.join(", ")}`
  ]
]
const ruleOf = new Map(rules.flatMap(([keywords, ...rule]) => keywords.split(" ").map((one) => [one, rule] as const)))

/** Whether an expression is one, with the flag `u` or without a flag. */
export const flagOf = (pattern: string): "u" | "" | undefined =>
  (["u", ""] as const).find((flag) => {
    try {
      return new RegExp(pattern, flag) !== undefined
    } catch {
      return false
    }
  })

const resolve = (reference: string, base: string): string | undefined =>
  URL.canParse(reference, base) ? new URL(reference, base).href : undefined

/** A place in a schema; its path is made when it is needed. */
interface Place {
  readonly outer: Place | undefined
  readonly keyword: string
  readonly name?: string | number | undefined
}

const root: Place = { outer: undefined, keyword: "" }

const pathOf = ({ keyword, name, outer }: Place): string =>
  outer === undefined ? "" : `${pathOf(outer)}/${keyword}${name === undefined ? "" : `/${name}`}`

/** Looks at every schema in a schema. */
export const inspect = (json: unknown): Inspection => {
  let problem: Problem | undefined
  let hasInput = false
  const policies = new Set<Policy | "default">()
  const draft07 = isObject(json) && isDraft07(json)
  const resources = new Map<string, Json>()
  const anchors = new Set<string>()
  const references: Array<readonly [reference: string, base: string, at: Place]> = []
  const found = (at: Place, text: string, key?: string) => {
    problem ??= { path: pathOf(key === undefined ? at : { outer: at, keyword: key }), problem: text }
  }
  const mark = (pii: unknown, at: Place) => {
    if (pii === true) policies.add("default")
    else if (isPolicy(pii)) policies.add(pii)
    else if (pii !== false) {
      policies.add("drop")
      found(at, 'must be true, false, "drop", "hash" or "keep"', "pii")
    }
    if (at === root && pii !== false) found(at, "is marked as pii as a whole: mark its fields")
    if (at?.keyword === "propertyNames") found(at, "the names of a record are marked as pii: mark its values")
  }
  const visit = (schema: unknown, at: Place, outer: string): void => {
    if (typeof schema === "boolean") return
    if (!isObject(schema)) return found(at, "must be an object, true or false")
    for (const key of Object.keys(schema)) {
      const [isValid, expected] = ruleOf.get(key) ?? []
      if (isValid !== undefined && !isValid(schema[key])) found(at, `must be ${expected}`, key)
    }
    hasInput ||= schema.given !== undefined
    if (schema.pii !== undefined) mark(schema.pii, at)
    let base = outer
    // In draft-07 nothing beside a reference counts.
    const isAlone = draft07 && schema.$ref !== undefined
    if (typeof schema.$id === "string" && !isAlone) {
      const id = resolve(schema.$id, outer) ?? outer
      if (schema.$id.startsWith("#")) anchors.add(id)
      else base = id.replace(/#$/, "")
    }
    if (base !== outer || at === root) resources.set(base, schema)
    for (const key of ["$anchor", "$dynamicAnchor"]) {
      if (typeof schema[key] === "string") anchors.add(`${base}#${schema[key]}`)
    }
    for (const key of ["$ref", "$dynamicRef"]) {
      if (typeof schema[key] === "string") references.push([schema[key], base, { outer: at, keyword: key }])
    }
    if (typeof schema.pattern === "string" && flagOf(schema.pattern) === undefined) {
      found(at, `the pattern ${JSON.stringify(schema.pattern)} is no regular expression`, "pattern")
    }
    for (const pattern of Object.keys(isObject(schema.patternProperties) ? schema.patternProperties : {})) {
      if (flagOf(pattern) === "u") continue
      found(at, `the pattern ${JSON.stringify(pattern)} is no expression with the flag u`, "patternProperties")
    }
    eachSubschema(schema, (one, keyword, name) => visit(one, { outer: at, keyword, name }, base))
  }
  visit(json, root, "plan:/schema")
  for (const [reference, base, at] of references) {
    const href = resolve(reference, base)
    const [document = "", fragment = ""] = href?.split("#") ?? []
    const resource = href === undefined ? undefined : resources.get(document)
    if (resource === undefined) found(at, `refers to another document, ${reference}: put it into this one`)
    else if (
      fragment !== "" &&
      !anchors.has(`${document}#${fragment}`) &&
      target(`#${fragment}`, resource) === undefined
    ) {
      found(at, `refers to ${reference}, and there is none`)
    }
  }
  // A reference may lead to where no schema is expected: marks are looked for there as well.
  if (policies.size === 0 && references.length > 0 && JSON.stringify(json).includes('"pii"')) policies.add("keep")
  return { problem, policies, hasInput }
}
