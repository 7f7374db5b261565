/**
 * Shapes as JSON Schema, and JSON Schema as shapes, in both dialects that the world uses.
 *
 * What is JSON Schema is read and written by effect; what is around it, and the annotations, by this file.
 */
import * as JsonSchema from "effect/JsonSchema"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import * as SchemaRepresentation from "effect/SchemaRepresentation"
import type { Data } from "../internal/Json.ts"
import { annotationsOf, isEmpty, type Shape } from "./Definition.ts"
import { everywhere, isObject, type Json, listOf, ours } from "./Keywords.ts"
import { unicode } from "./Pattern.ts"
import type { Policy } from "./Privacy.ts"
import { givenOf, sentOf } from "./SentJson.ts"

export type Dialect = "draft-07" | "draft-2020-12"

const dialects: { readonly [dialect in Dialect]: string } = {
  "draft-07": "http://json-schema.org/draft-07/schema#",
  "draft-2020-12": "https://json-schema.org/draft/2020-12/schema"
}

export interface JsonSchemaOptions {
  /** @default "draft-2020-12", and "draft-07" for whole plans: what the world reads */
  readonly dialect?: Dialect | undefined
  /** What the layer does with fields that are marked with `pii: true`. @default "drop" */
  readonly pii?: Policy | undefined
}

/**
 * The JSON Schema of what is sent, marked fields as the policy has them: one that is dropped is not required, one that is
 * hashed is a text. Under `given` is what a call has to give.
 */
export const toJsonSchema = (
  shape: Shape,
  { dialect = "draft-2020-12", pii = "drop" }: JsonSchemaOptions = {}
): Json => ({ $schema: dialects[dialect], ...sentOf(givenJsonSchema(shape, dialect), pii) })

/** The JSON Schema of what a call is given, in its form on the wire. */
export const givenJsonSchema = (shape: Shape, dialect: Dialect = "draft-2020-12"): Json => {
  const strict = annotationsOf(shape.ast).strict === true
  const document = Schema.toJsonSchemaDocument(shape, {
    onExcessProperty: strict ? "error" : "ignore",
    includeAnnotationKey: (key) => ours.includes(key)
  })
  const named = asts(shape.ast)
  const told = {
    ...document,
    schema: annotated(shape.ast, document.schema, new Set()),
    definitions: Object.fromEntries(
      Object.entries(document.definitions).map(([name, definition]) => {
        const ast = named.get(name)
        return [name, ast === undefined ? definition : annotated(ast, definition, new Set())]
      })
    )
  }
  const { definitions, schema } = dialect === "draft-07" ? JsonSchema.toDocumentDraft07(told) : told
  const where = dialect === "draft-07" ? "definitions" : "$defs"
  return Object.keys(definitions).length === 0 ? schema : { ...schema, [where]: definitions }
}

/** The parts of a Schema that have a name of their own, and so are definitions. */
const asts = (ast: SchemaAST.AST): ReadonlyMap<string, SchemaAST.AST> => {
  const named = new Map<string, SchemaAST.AST>()
  const all = new Set([ast])
  // What is added while we go is visited too.
  for (const one of all) {
    const name = SchemaAST.resolveIdentifier(one)
    // What has another form on the wire has another name there.
    const wire = name !== undefined && one.encoding !== undefined ? `${name}Encoded` : name
    if (wire !== undefined && !named.has(wire) && !SchemaAST.isSuspend(one)) named.set(wire, one)
    if (SchemaAST.isObjects(one)) {
      for (const { type } of [...one.propertySignatures, ...one.indexSignatures]) all.add(type)
    } else if (SchemaAST.isArrays(one)) for (const element of [...one.elements, ...one.rest]) all.add(element)
    else if (SchemaAST.isUnion(one)) for (const member of one.types) all.add(member)
    else if (SchemaAST.isSuspend(one)) all.add(one.thunk())
    for (const { to } of one.encoding ?? []) all.add(to)
  }
  return named
}

const dates = ["effect/schema/Date", "effect/schema/DateTimeUtc", "effect/schema/DateTimeZoned"]

/**
 * Says again what is lost where a value changes its form: descriptions and marks stay on the side of the program. And of
 * what may be `undefined`, that it is not `null`: it is left out.
 */
const annotated = (ast: SchemaAST.AST, given: Json, inside: ReadonlySet<SchemaAST.AST>): Json => {
  if (inside.has(ast)) return given
  const within = new Set(inside).add(ast)
  const json: Record<string, unknown> = isEmpty(ast) ? { type: "object" } : { ...flattened(withoutNull(ast, given)) }
  // That an integer is a safe one goes without saying.
  if (json.type === "integer" && json.minimum === Number.MIN_SAFE_INTEGER) delete json.minimum
  if (json.type === "integer" && json.maximum === Number.MAX_SAFE_INTEGER) delete json.maximum
  const annotations = annotationsOf(ast)
  for (const key of ["title", "description", ...ours]) {
    if (annotations[key] !== undefined) json[key] ??= annotations[key]
  }
  const id = (ast.annotations?.representation as SchemaRepresentation.RepresentationAnnotation | undefined)?.id
  if (json.type === "string" && id !== undefined && dates.includes(id)) json.format ??= "date-time"
  const inner = (one: SchemaAST.AST | undefined, schema: unknown): unknown =>
    one === undefined || !isObject(schema) ? schema : annotated(one, schema, within)
  // A class is made of an object.
  const forms = [ast, ...(ast.encoding ?? []).map(({ to }) => to)]
  const [object, array] = [forms.find(SchemaAST.isObjects), forms.find(SchemaAST.isArrays)]
  if (object !== undefined && isObject(json.properties)) {
    const fields = new Map(object.propertySignatures.map(({ name, type }) => [String(name), type]))
    json.properties = Object.fromEntries(
      Object.entries(json.properties).map(([name, field]) => [name, inner(fields.get(name), field)])
    )
  }
  const [values, ...more] = object?.indexSignatures ?? []
  if (values !== undefined && more.length === 0) {
    json.additionalProperties = inner(values.type, json.additionalProperties)
  }
  if (array !== undefined && Array.isArray(json.prefixItems)) {
    json.prefixItems = json.prefixItems.map((element, index) => inner(array.elements[index], element))
  }
  if (array?.rest.length === 1 && isObject(json.items)) json.items = inner(array.rest[0], json.items)
  if (SchemaAST.isUnion(ast) && Array.isArray(json.anyOf)) {
    const members = ast.types.filter((member) => !SchemaAST.isUndefined(member))
    if (members.length === json.anyOf.length) {
      json.anyOf = json.anyOf.map((member, index) => inner(members[index], member))
    }
  }
  return json
}

/** One more schema that says nothing else needs no `allOf`. */
const flattened = (json: Json): Json => {
  const { allOf, ...rest } = json
  const [only, ...more] = Array.isArray(allOf) ? allOf : []
  if (!isObject(only) || more.length > 0) return json
  const agrees = Object.entries(only).every(([key, value]) => rest[key] === undefined || rest[key] === value)
  return agrees ? { ...rest, ...only } : json
}

const withoutNull = (ast: SchemaAST.AST, json: Json): Json => {
  if (!SchemaAST.isUnion(ast) || !ast.types.some(SchemaAST.isUndefined) || ast.types.some(SchemaAST.isNull)) return json
  const { allOf, anyOf, ...rest } = json
  if (!Array.isArray(anyOf)) return json
  const members = anyOf.filter((member) => !isObject(member) || member.type !== "null")
  const told = Object.assign({}, ...(Array.isArray(allOf) ? allOf : []))
  return members.length === 1 ? { ...members[0], ...told, ...rest } : { anyOf: members, ...told, ...rest }
}

/** What a call is given, by a JSON Schema in either dialect. */
export const documentOf = (raw: Json): JsonSchema.Document<"draft-2020-12"> => {
  const json = everywhere(givenOf(raw), readable, ["allOf", "not", "propertyNames"])
  if (String(json.$schema).includes("2020-12") || json.$defs !== undefined)
    return JsonSchema.fromSchemaDraft2020_12(json)
  const { definitions, dialect, schema } = JsonSchema.fromSchemaDraft07(rename(json, word, renamed))
  const back = (one: Json) => rename(one, renamed, word)
  const named = Object.entries(definitions).map(([name, one]) => [name, back(one)] as const)
  return { dialect, schema: back(schema), definitions: Object.fromEntries(named) }
}

/**
 * A shape from a JSON Schema, draft-07 unless its `$schema` says 2020-12.
 *
 * A Schema from an open object would let the compiler take every name. So objects are closed for the compiler, and
 * violations are only found in those where `additionalProperties` is `false` in the JSON (`strict`).
 */
export const fromJsonSchema = (json: Json): Shape => shapeOf(documentOf(json))

export const shapeOf = ({ definitions, dialect, schema }: JsonSchema.Document<"draft-2020-12">): Shape => {
  const strict = schema.additionalProperties === false
  const read = strict ? (json: Json) => json : close
  const document = {
    dialect,
    schema: read({ type: "object", ...schema }),
    definitions: Object.fromEntries(Object.entries(definitions).map(([name, one]) => [name, read(one)]))
  }
  const options = { patterns: "apply", includeAnnotationKey: (key: string) => ours.includes(key) } as const
  const shape = SchemaRepresentation.fromJsonSchemaDocument(document, options) as unknown as Schema.Codec<Data>
  return strict ? shape.annotate({ strict }) : shape
}

/** What is legal, and effect would not read as it is meant. */
const readable = (schema: Record<string, unknown>): void => {
  if (typeof schema.pattern === "string") schema.pattern = unicode(schema.pattern)
  if (isObject(schema.patternProperties)) {
    schema.patternProperties = Object.fromEntries(
      Object.entries(schema.patternProperties).map(([pattern, one]) => [unicode(pattern), one])
    )
  }
  // A property that is required and not described is anything; where no others may be, there would be nothing.
  const isElsewhere = isObject(schema.additionalProperties) || schema.patternProperties !== undefined
  const properties = isObject(schema.properties) ? schema.properties : {}
  const missing = listOf(schema.required).filter((name) => !Object.hasOwn(properties, String(name)))
  const isClosed = schema.additionalProperties === false || Object.keys(properties).length > 0
  if (missing.length === 0 || isElsewhere || !isClosed) return
  schema.properties = { ...properties, ...Object.fromEntries(missing.map((name) => [String(name), {}])) }
}

/** Closes open objects. Not those in `allOf`: two closed objects have nothing in common. */
const close = (json: Json): Json =>
  everywhere(
    json,
    (schema) => {
      const isOpen = (schema.additionalProperties ?? true) === true && schema.patternProperties === undefined
      const hasFields = isObject(schema.properties) && Object.keys(schema.properties).length > 0
      if (hasFields && isOpen && schema.allOf === undefined) schema.additionalProperties = false
    },
    []
  )

/** Draft-07 did not know this word, and so effect does not let it pass. It has another name on the way. */
const word = "deprecated"
const renamed = "x-deprecated"
const rename = (json: Json, from: string, to: string): Json =>
  everywhere(
    json,
    (schema) => {
      if (schema[from] === undefined) return
      schema[to] = schema[from]
      delete schema[from]
    },
    ["allOf", "not"]
  )
