/**
 * The Schema of a JSON Schema, as TypeScript. Effect's importer translates values; objects, references and choices are written
 * here, with a docstring for each field. A rule that has no Schema gets the widest type that is right, and its keyword is
 * named: the event is then checked by its JSON Schema.
 */
import * as JsonSchema from "effect/JsonSchema"
import * as SchemaRepresentation from "effect/SchemaRepresentation"
import {
  conditional,
  getOwn,
  isDraft07,
  isObject,
  type Json,
  listOf,
  mapSubschemas,
  pick,
  typesOf
} from "../json/Keywords.ts"

/** Code for a value, and its type. */
interface Code {
  readonly schema: string
  readonly type: string
}

const anything: Code = { schema: "Schema.Json", type: "Schema.Json" }

export const quoted = (value: unknown): string =>
  JSON.stringify(value).replaceAll("\u2028", "\\u2028").replaceAll("\u2029", "\\u2029")

const indented = (text: string): string => text.replaceAll("\n", "\n  ")

/** Entries between brackets, each on its own line. */
export const block = (open: string, entries: ReadonlyArray<string>, close: string): string =>
  entries.length === 0 ? open + close : `${open}\n  ${entries.map(indented).join(",\n  ")}\n${close}`

export const isIdentifier = (name: string): boolean => /^[A-Za-z_$][\w$]*$/.test(name)

/** `__proto__` in quotes would be the prototype of an object literal. */
const keyOf = (name: string): string =>
  name === "__proto__" ? '["__proto__"]' : isIdentifier(name) ? name : quoted(name)

export const entry = (key: string, value: string, docs: ReadonlyArray<string> = []): string =>
  [...docs, `${keyOf(key)}: ${value}`].join("\n")

/** The docstring of an event or a field. */
export const docstring = ({ deprecated, description, since }: Json): ReadonlyArray<string> => {
  const lines = [
    ...(typeof description === "string" ? description.trim().split(/\r?\n/) : []),
    ...(since === undefined ? [] : [`@since ${since}`]),
    ...(deprecated === undefined || deprecated === false
      ? []
      : [deprecated === true ? "@deprecated" : `@deprecated ${deprecated}`])
  ].map((line) => line.replaceAll("*/", "*\\/").trimEnd())
  if (lines.length <= 1) return lines.map((line) => `/** ${line} */`)
  return ["/**", ...lines.map((line) => ` * ${line}`.trimEnd()), " */"]
}

/** The annotations of JSON Schema and of plans. */
const annotations = [
  ...["identifier", "title", "description", "format", "default", "examples"],
  ...["owner", "since", "deprecated", "planVersion", "aliases", "strict", "pii"]
]

/** Whether a keyword has a value that effect, or a plan, knows: JSON Schemas of others may have words of their own. */
const isAnnotation = (key: string, value: unknown): boolean => {
  if (key === "aliases") return Array.isArray(value) && value.every((alias) => typeof alias === "string")
  if (key === "deprecated" || key === "pii") return typeof value === "boolean" || typeof value === "string"
  return typeof value === (key === "strict" ? "boolean" : "string")
}

/** JSON as code. `__proto__` in quotes would be the prototype of an object literal. */
export const literal = (json: unknown): string => quoted(json).replaceAll('"__proto__":', '["__proto__"]:')

export const annotated = (schema: string, about: Json): string => {
  const entries = annotations.flatMap((key) => {
    const value = about[key]
    // Effect types these by the Schema, and JSON Schema does not.
    if (key === "default" || key === "examples")
      return value === undefined ? [] : [`${key}: ${literal(value)} as never`]
    return isAnnotation(key, value) ? [`${key}: ${quoted(value)}`] : []
  })
  return entries.length === 0 ? schema : `${schema}.annotate({ ${entries.join(", ")} })`
}

/** The code of effect's importer; `undefined` for a schema that it does not translate. */
const imported = (json: Json, isOld: boolean): Code | undefined => {
  try {
    const bare = mapSubschemas(json, (schema) => annotations.forEach((key) => void delete schema[key]), "all")
    const document = isOld ? JsonSchema.fromSchemaDraft07(bare) : JsonSchema.fromSchemaDraft2020_12(bare)
    const { ast } = SchemaRepresentation.fromJsonSchemaDocument(document, { patterns: "apply" })
    const [code] = SchemaRepresentation.toCodeDocument(SchemaRepresentation.toRepresentations([ast])).codes
    const schema = code?.runtime.replace(/\.annotate\(\{ "expected": "(?:[^"\\]|\\.)*" \}\)/g, "")
    return code === undefined || schema === undefined ? undefined : { schema, type: code.Type }
  } catch {
    return undefined
  }
}

const widest: Readonly<Record<string, Code>> = {
  string: { schema: "Schema.String", type: "string" },
  number: { schema: "Schema.Finite", type: "number" },
  integer: { schema: "Schema.Int", type: "number" },
  boolean: { schema: "Schema.Boolean", type: "boolean" },
  null: { schema: "Schema.Null", type: "null" },
  array: { schema: "Schema.Array(Schema.Json)", type: "ReadonlyArray<Schema.Json>" },
  object: { schema: "Schema.Record(Schema.String, Schema.Json)", type: "{ readonly [name: string]: Schema.Json }" }
}

/**
 * Whether a schema has fields, references or marks, which are written here, or names by pattern: effect writes those expressions
 * without the flag `u`. A mark of the schema itself is written around it.
 */
const isStructured = (json: unknown): boolean => {
  let found = false
  const look = (schema: Json) => {
    found ||=
      typeof schema.$ref === "string" ||
      "pii" in schema ||
      isObject(schema.properties) ||
      isObject(schema.patternProperties)
  }
  mapSubschemas({ items: isObject(json) ? pick(json, (key) => key !== "pii") : json }, look, "all")
  return found
}

/** Writes the schemas of one document. */
export class CodeWriter {
  /** The keywords that types do not express. */
  readonly unexpressed = new Set<string>()
  private readonly constantOf: (
    reference: string
  ) => { readonly name: string; readonly isRecursive: boolean } | undefined
  /** Whether all objects take no other properties. */
  private readonly isClosed: boolean
  private readonly isOld: boolean

  constructor(root: Json, constantOf: CodeWriter["constantOf"], isClosed: boolean) {
    this.constantOf = constantOf
    this.isClosed = isClosed
    this.isOld = isDraft07(root)
  }

  /** With its annotations. */
  write(json: unknown): Code {
    if (!isObject(json)) return json === false ? { schema: "Schema.Never", type: "never" } : anything
    const code = this.bare(json)
    return { ...code, schema: annotated(code.schema, json) }
  }

  /** Without them. */
  bare(json: Json): Code {
    const known = (...keys: ReadonlyArray<string>) =>
      Object.keys(json).every((key) => keys.includes(key) || annotations.includes(key) || !restricts(key))
    const types = typesOf(json)
    if (typeof json.$ref === "string" && (this.isOld || known("$ref"))) return this.reference(json.$ref)
    if (types.length === 1 && types[0] === "object" && json.enum === undefined && json.const === undefined) {
      return this.object(json)
    }
    if (!isStructured(json)) return imported(json, this.isOld) ?? this.wide(json)
    if (known("type", "items") && types[0] === "array" && types.length === 1 && isObject(json.items)) {
      const { schema, type } = this.write(json.items)
      return { schema: `Schema.Array(${schema})`, type: `ReadonlyArray<${type}>` }
    }
    const choice = json.anyOf ?? json.oneOf
    if ((known("anyOf") || known("oneOf")) && Array.isArray(choice)) {
      const kinds = choice.map((one) => (isObject(one) ? typesOf(one).join() : ""))
      const areDisjoint = new Set(kinds).size === kinds.length && !kinds.includes("")
      if (json.oneOf !== undefined && !areDisjoint) this.unexpressed.add("oneOf")
      return union(choice.map((one) => this.write(one)))
    }
    if (types.length > 1 && json.enum === undefined) return union(types.map((type) => this.bare({ ...json, type })))
    return this.wide(json)
  }

  private wide(json: Json): Code {
    for (const key of Object.keys(json)) if (key !== "type" && restricts(key)) this.unexpressed.add(key)
    const types = typesOf(json)
    return types.length === 0 ? anything : union(types.map((type) => widest[type] ?? anything))
  }

  private reference(reference: string): Code {
    const constant = this.constantOf(reference)
    if (constant === undefined) return this.wide({ $ref: reference })
    const { isRecursive, name } = constant
    return isRecursive
      ? { schema: `Schema.suspend((): Schema.Codec<${name}> => ${name})`, type: name }
      : { schema: name, type: `typeof ${name}.Type` }
  }

  private object(json: Json): Code {
    const lost = Object.keys(json).filter((key) => restricts(key) && !ofObjects.includes(key))
    for (const key of lost) this.unexpressed.add(key)
    const required = listOf(json.required).map(String)
    const described: Json = isObject(json.properties) ? json.properties : {}
    const names = Array.from(new Set([...Object.keys(described), ...required]))
    const others = json.additionalProperties
    if (others === false && !this.isClosed) this.unexpressed.add("additionalProperties")
    // An object literal cannot have this property, nor can a value that is built by assignment.
    if (names.includes("__proto__")) this.unexpressed.add("properties")
    if (names.length === 0 && others !== false) {
      const { schema, type } = this.write(isObject(others) && lost.length === 0 ? others : true)
      return { schema: `Schema.Record(Schema.String, ${schema})`, type: `{ readonly [name: string]: ${type} }` }
    }
    const fields = names.map((name) => {
      const field = getOwn(described, name) ?? {}
      const { schema, type } = this.write(field)
      const isRequired = required.includes(name)
      const value = isRequired ? schema : `Schema.optionalKey(${schema})`
      return {
        schema: entry(name, value, isObject(field) ? docstring(field) : []),
        type: `readonly ${keyOf(name)}${isRequired ? "" : "?"}: ${type}`
      }
    })
    const struct = block(
      "Schema.Struct({",
      fields.map((field) => field.schema),
      "})"
    )
    const type = `{ ${fields.map((field) => field.type).join("; ")} }`
    if (isObject(others)) this.unexpressed.add("additionalProperties")
    // Other properties, which a check may allow, must compile.
    if (lost.length === 0 && !isObject(others)) return { schema: struct, type }
    return {
      schema: `Schema.StructWithRest(${struct}, [Schema.Record(Schema.String, Schema.Json)])`,
      type: `${type} & { readonly [name: string]: Schema.Json }`
    }
  }
}

const ofObjects = ["type", "properties", "required", "additionalProperties"]

/** Keywords that restrict values. */
const restrictive = new Set([
  ...conditional,
  ...ofObjects,
  ...[
    "$ref",
    "enum",
    "const",
    "anyOf",
    "oneOf",
    "items",
    "prefixItems",
    "additionalItems",
    "uniqueItems",
    "multipleOf"
  ],
  ...["minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "pattern"],
  ...["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"]
])
const restricts = (key: string): boolean => restrictive.has(key)

const union = (members: ReadonlyArray<Code>): Code => {
  const [only, ...more] = members
  if (only !== undefined && more.length === 0) return only
  return {
    schema: block(
      "Schema.Union([",
      members.map(({ schema }) => schema),
      "])"
    ),
    type: members.map(({ type }) => type).join(" | ")
  }
}
