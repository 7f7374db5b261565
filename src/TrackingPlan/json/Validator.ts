/**
 * JSON Schema as one check of a Schema. The rules are those of TypeBox's validator; paths and words are those of plans.
 *
 * The validator compiles a schema to a function when it is first needed. Where code may not be generated from text
 * (Cloudflare Workers), it reads the schema instead, with the same results.
 */
import * as Schema from "effect/Schema"
import type * as SchemaAST from "effect/SchemaAST"
import * as SchemaIssue from "effect/SchemaIssue"
import { Check, Compile, ErrorContext, ErrorSchema, Stack } from "typebox/schema"
import { type JsonSource, sourceKey } from "../check/JsonSource.ts"
import { isDraft07, isObject, type Json, listOf, mapSubschemas } from "./Keywords.ts"
import { flagOf } from "./Problems.ts"

/** How a validator is made. @category options @since 0.1.0 */
export interface ValidatorOptions {
  /** Whether a `format` is checked, or only describes a value. @default "annotation" */
  readonly formats?: "annotation" | "assertion" | undefined
}

/** The checks of this schema, for `Schema.check`. The schema has to be one that `inspect` has no problem with. */
export const jsonSchemaCheck = (
  json: Json,
  source: JsonSource | undefined,
  { formats = "annotation" }: ValidatorOptions = {}
): SchemaAST.Filter<unknown> => {
  let validator: ((value: unknown) => ReadonlyArray<Schema.FilterIssue>) | undefined
  return Schema.makeFilter(
    (value: unknown) => {
      validator ??= makeValidator(json, formats === "assertion")
      return validator(value)
    },
    { expected: "a value that keeps the JSON Schema", [sourceKey]: source }
  )
}

const makeValidator = (json: Json, asserts: boolean) => {
  const schema = prepare(json, asserts)
  const compiled = Compile({}, schema)
  const isValid = compiled.IsAccelerated()
    ? (value: unknown): boolean => compiled.Check(value)
    : (value: unknown): boolean => Check({}, schema, value)
  const names = namesIn(json)
  const read = names.areInherited ? withoutPrototypes : (value: unknown) => value
  return (given: unknown): ReadonlyArray<Schema.FilterIssue> => {
    const value = read(given)
    if (isValid(value)) return []
    const errors = new AllErrors()
    ErrorSchema(Stack({}, schema), errors, "#", "", schema, value)
    const issues = explain(errors.GetErrors() as ReadonlyArray<unknown> as ReadonlyArray<ValidationError>, value, names)
    return issues.length > 0 ? issues : [valueIssue([], "a value that keeps the JSON Schema")]
  }
}

/** The validator mistakes inherited members (`toString`) for properties of the data. */
const withoutPrototypes = (value: unknown): unknown =>
  Array.isArray(value)
    ? value.map(withoutPrototypes)
    : isObject(value)
      ? Object.assign(
          Object.create(null),
          ...Object.entries(value).map(([key, one]) => ({ __proto__: null, [key]: withoutPrototypes(one) }))
        )
      : value

/** The validator stops after eight errors, unless it has all of them to find. */
class AllErrors extends ErrorContext {
  override AtCapacity(): boolean {
    return false
  }
}

/** The schema as the validator has to read it. */
const prepare = (json: Json, asserts: boolean): Json => {
  const draft07 = isDraft07(json)
  // `additionalProperties: true` matters to these alone: what was evaluated, and a reference to it.
  const needsOpen = /"unevaluatedProperties"|\/additionalProperties/.test(JSON.stringify(json))
  const prepared = mapSubschemas(
    json,
    (schema) => {
      if (!asserts) delete schema.format
      // To explain an error, the validator would look at every name.
      if (!needsOpen && schema.additionalProperties === true) delete schema.additionalProperties
      // Without the flag `u` some expressions are legal that are none with it: `[\w-.]`.
      if (typeof schema.pattern === "string" && flagOf(schema.pattern) === "")
        schema.pattern = new RegExp(schema.pattern)
      if (!draft07 || schema.$ref === undefined) return
      for (const key of Object.keys(schema)) if (!["$ref", "definitions"].includes(key)) delete schema[key]
    },
    "all"
  )
  const dialect = draft07 ? "http://json-schema.org/draft-07/schema#" : "https://json-schema.org/draft/2020-12/schema"
  return { ...prepared, $schema: dialect }
}

// ---------------------------------------------------------------------------------------------------------------------
// Words
// ---------------------------------------------------------------------------------------------------------------------

interface ValidationError {
  readonly keyword: string
  readonly schemaPath: string
  readonly instancePath: string
  readonly params: Readonly<Record<string, unknown>>
}

/** The names that a schema knows. All others are data, and are not shown. */
interface Names {
  readonly known: ReadonlySet<string>
  /** Whether names may be data at all: by pattern, or by a rule for names. */
  readonly areData: boolean
  /** Whether one is that of a member of every object. */
  readonly areInherited: boolean
}

const namesIn = (json: Json): Names => {
  const known = new Set<string>()
  let areData = false
  const visit = (schema: Record<string, unknown>) => {
    const { dependencies, dependentRequired, dependentSchemas, properties, required } = schema
    for (const named of [properties, dependencies, dependentRequired, dependentSchemas]) {
      for (const name of Object.keys(isObject(named) ? named : {})) known.add(name)
    }
    for (const name of [required, ...Object.values(isObject(dependentRequired) ? dependentRequired : {})].flatMap(
      listOf
    )) {
      known.add(String(name))
    }
    areData ||= schema.patternProperties !== undefined || schema.propertyNames !== undefined
  }
  mapSubschemas(json, visit, "all")
  return { known, areData, areInherited: Array.from(known).some((name) => name in Object.prototype) }
}

const explain = (
  errors: ReadonlyArray<ValidationError>,
  root: unknown,
  names: Names
): ReadonlyArray<Schema.FilterIssue> => {
  // A list may have thousands of elements that break the same rule: its path in the schema is one.
  const choices = new Set(
    errors.flatMap(({ keyword, schemaPath }) =>
      keyword === "anyOf" || keyword === "oneOf" ? `${schemaPath}/${keyword}/` : []
    )
  )
  const isBelow = ({ schemaPath }: ValidationError) =>
    Array.from(choices).some((choice) => schemaPath.startsWith(choice))
  const places = new Set(
    errors.flatMap(({ instancePath, keyword }) => (keyword === "boolean" ? [] : withOuter(instancePath)))
  )
  const isNameOf = ({ schemaPath }: ValidationError) => schemaPath.includes("/propertyNames")
  return errors.flatMap((error) => {
    const { instancePath, keyword, params } = error
    if (isBelow(error) || (isNameOf(error) && keyword !== "propertyNames")) return []
    // Errors within `else` are listed as well; errors within `then` are not.
    if (keyword === "if" && params.failingKeyword === "else") return []
    const path = pathOf(instancePath, root, names.known)
    switch (keyword) {
      case "required":
        return listOf(params.requiredProperties).map((name) => ({
          path: [...path, String(name)],
          issue: new SchemaIssue.MissingKey(undefined)
        }))
      case "additionalProperties":
      case "unevaluatedProperties": {
        // Where a schema holds for the others, it has errors of its own.
        const keys = listOf(params[keyword]).map(String)
        return keys.flatMap((key) =>
          keyword === "additionalProperties" && places.has(`${instancePath}/${encode(key)}`)
            ? []
            : [unexpected([...path, shown(key, names)])]
        )
      }
      case "boolean":
        return error.schemaPath.endsWith("/additionalProperties") ? [] : [unexpected(path)]
      case "type":
        return [{ path, issue: new SchemaIssue.InvalidType(expecting([params.type].flat().join(" | "))) }]
      case "anyOf":
      case "oneOf":
        return [{ path, issue: new SchemaIssue.InvalidType(expecting(`one of the alternatives (${keyword})`)) }]
      default:
        return [valueIssue(path, wordsOf(keyword, params))]
    }
  })
}

/** A path, and those of all that it is in. */
const withOuter = (path: string): ReadonlyArray<string> =>
  path === "" ? [path] : [path, ...withOuter(path.slice(0, path.lastIndexOf("/")))]

const encode = (key: string): string => key.replaceAll("~", "~0").replaceAll("/", "~1")
const shown = (key: string, { areData, known }: Names): string => (areData && !known.has(key) ? "*" : key)

const unexpected = (path: ReadonlyArray<string | number>): Schema.FilterIssue => ({
  path,
  issue: new SchemaIssue.UnexpectedKey(Schema.Never.ast)
})

const valueIssue = (path: ReadonlyArray<string | number>, expected: string): Schema.FilterIssue => ({
  path,
  issue: new SchemaIssue.InvalidValue({ expected })
})

const expectations = new Map<string, SchemaAST.AST>()
/** A Schema whose name is what is expected. */
const expecting = (expected: string): SchemaAST.AST => {
  const known = expectations.get(expected) ?? Schema.Unknown.annotate({ identifier: expected }).ast
  expectations.set(expected, known)
  return known
}

const text = (values: unknown): string =>
  [values]
    .flat()
    .map((one) => JSON.stringify(one))
    .join(" | ")

/** `params` are facts of the schema, never of the value. */
const wordsOf = (keyword: string, params: Readonly<Record<string, unknown>>): string => {
  switch (keyword) {
    case "const":
      return JSON.stringify(params.allowedValue)
    case "enum":
      return text(params.allowedValues)
    case "pattern":
      return `a string that matches ${params.pattern}`
    case "format":
      return `a string of the format ${params.format}`
    case "multipleOf":
      return `a multiple of ${params.multipleOf}`
    case "uniqueItems":
      return "elements that differ"
    case "if":
      return "a value that keeps the rule under then"
    case "not":
      return "a value that the plan does not exclude"
    case "dependencies":
    case "dependentRequired":
      return `${listOf(params.dependencies).join(", ")} beside ${params.property}`
    default:
      return params.comparison !== undefined
        ? `a value ${params.comparison} ${params.limit}`
        : `${keyword}${params.limit === undefined ? "" : ` ${params.limit}`} to hold`
  }
}

/** The path in the value, with `*` for names that are data. */
const pathOf = (pointer: string, root: unknown, known: ReadonlySet<string>): ReadonlyArray<string | number> => {
  let at = root
  return pointer
    .split("/")
    .slice(1)
    .map((token) => {
      const key = token.replaceAll("~1", "/").replaceAll("~0", "~")
      const isElement = Array.isArray(at)
      at = (at as Record<string, unknown> | null | undefined)?.[key]
      return isElement ? Number(key) : known.has(key) ? key : "*"
    })
}
