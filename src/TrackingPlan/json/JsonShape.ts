/** Shapes as JSON Schema, and JSON Schema as shapes, in both dialects that tracking plans are written in. */
import * as JsonSchema from "effect/JsonSchema"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import type * as SchemaRepresentation from "effect/SchemaRepresentation"
import { type Data, isData } from "../../internal/Json.ts"
import { type JsonSource, jsonSourceOf, sourceKey } from "../check/JsonSource.ts"
import { annotationsOf, isEmpty, type Shape } from "../Definition.ts"
import type { Policy } from "../pii/Marks.ts"
import { marksOfJson } from "./JsonMarks.ts"
import { isObject, type Json, mapSubschemas, planKeywords } from "./Keywords.ts"
import { type Inspection, inspect, type Problem } from "./Problems.ts"
import { inputSchema, outputSchema } from "./SentJson.ts"
import { jsonSchemaCheck, type ValidatorOptions } from "./Validator.ts"

/** The versions of JSON Schema in which plans are written. @category models @since 0.1.0 */
export type Dialect = "draft-07" | "draft-2020-12"

const dialects: { readonly [dialect in Dialect]: string } = {
  "draft-07": "http://json-schema.org/draft-07/schema#",
  "draft-2020-12": "https://json-schema.org/draft/2020-12/schema"
}

/** How a JSON Schema is written. @category options @since 0.1.0 */
export interface JsonSchemaOptions {
  /** A schema that was read from JSON keeps its own. @default "draft-2020-12", and "draft-07" for whole plans */
  readonly dialect?: Dialect | undefined
  /** The policy of the layer for fields that are marked with `pii: true`. @default "drop" */
  readonly pii?: Policy | undefined
}

// ---------------------------------------------------------------------------------------------------------------------
// From JSON Schema
// ---------------------------------------------------------------------------------------------------------------------

/** A shape, and what of the schema could not be read; then the shape takes any object. */
export interface ReadShape {
  readonly shape: Shape
  readonly problem: Problem | undefined
}

/** A shape whose one check is this JSON Schema. */
export const readShape = (
  json: Json,
  options: ValidatorOptions = {},
  about: Schema.Annotations.Augment = {},
  event?: JsonSource["event"]
): ReadShape => {
  const first = inspect(json)
  const schema = first.hasInput ? inputSchema(json) : json
  const found = first.hasInput ? inspect(schema) : first
  const source = sourceOf(schema, found, options, event)
  const check = found.problem === undefined ? jsonSchemaCheck(schema, source, options) : Schema.makeFilter(() => true)
  const shape = object.annotate({ ...about, [sourceKey]: source }).check(check)
  return { shape: shape as unknown as Shape, problem: found.problem }
}

const sourceOf = (
  schema: Json,
  { policies }: Inspection,
  options?: ValidatorOptions,
  event?: JsonSource["event"]
): JsonSource => ({
  schema,
  event,
  policies,
  marks: () => marksOfJson(schema),
  sent: () => readShape(withAnyMarked(schema), options).shape
})

/** Checked already to be JSON: a call is copied before it is checked. */
const object = Schema.declare<Data>(isData, { expected: "an object", toCodecJson: () => undefined })

/** For data that were sent: marked fields may be missing, or be anything. */
const withAnyMarked = (json: Json): Json =>
  mapSubschemas(outputSchema(json, "hash"), (schema) => {
    if (!isObject(schema.properties)) return
    const marked = Object.keys(schema.properties).filter((name) => {
      const field = (schema.properties as Json)[name]
      return isObject(field) && "pii" in field
    })
    if (marked.length === 0) return
    schema.properties = { ...schema.properties, ...Object.fromEntries(marked.map((name) => [name, {}])) }
    schema.required = (Array.isArray(schema.required) ? schema.required : []).filter((name) => !marked.includes(name))
  })

/**
 * A shape from a JSON Schema, draft-07 unless its `$schema` says 2020-12. Throws if it cannot be read.
 * @category converting @since 0.1.0
 */
export const fromJsonSchema = (json: object, options?: ValidatorOptions): Shape => {
  const { problem, shape } = readShape(json as Json, options)
  if (problem !== undefined) throw new Error(`${problem.path || "the schema"}: ${problem.problem}`)
  return shape
}

/**
 * A shape that is checked by a JSON Schema, with the types of a Schema: generated code has them where types cannot express all rules. Throws if the JSON Schema cannot be read.
 * @category converting @since 0.1.0
 */
export const typed = <S extends Shape>(types: S, json: object, options?: ValidatorOptions): S => {
  const { problem, shape } = readShape(json as Json, options, annotationsOf(types.ast))
  if (problem !== undefined) throw new Error(`${problem.path || "the schema"}: ${problem.problem}`)
  return shape as S
}

/** A JSON Schema as one check of any Schema. Throws if it cannot be read. @category guards @since 0.1.0 */
export const conforms = (json: object | boolean, options?: ValidatorOptions): SchemaAST.Filter<unknown> => {
  const found = inspect(json)
  const { problem } = found
  if (problem !== undefined) throw new Error(`${problem.path || "the schema"}: ${problem.problem}`)
  const schema = isObject(json) ? json : json === true ? {} : { not: {} }
  return jsonSchemaCheck(schema, sourceOf(schema, found, options), options)
}

// ---------------------------------------------------------------------------------------------------------------------
// To JSON Schema
// ---------------------------------------------------------------------------------------------------------------------

/**
 * The JSON Schema of what is sent, marked fields as the policy has them: one that is dropped is not required, one that is
 * hashed is a text. Under `given` is what a call has to give.
 * @category converting @since 0.1.0
 */
export const toJsonSchema = (
  shape: Shape,
  { dialect = "draft-2020-12", pii = "drop" }: JsonSchemaOptions = {}
): Json => {
  const input = inputJsonSchema(shape, dialect)
  return outputSchema(input.$schema === undefined ? { $schema: dialects[dialect], ...input } : input, pii)
}

/** The JSON Schema of what a call is given, in its form on the wire. */
export const inputJsonSchema = (shape: Shape, dialect: Dialect = "draft-2020-12"): Json => {
  const read = jsonSourceOf(shape.ast)
  if (read !== undefined) return read.schema as Json
  const strict = annotationsOf(shape.ast).strict === true
  const document = Schema.toJsonSchemaDocument(shape, {
    onExcessProperty: strict ? "error" : "ignore",
    includeAnnotationKey: (key) => planKeywords.includes(key)
  })
  const named = asts(shape.ast)
  const described = {
    ...document,
    schema: annotated(shape.ast, document.schema, new Set()),
    definitions: Object.fromEntries(
      Object.entries(document.definitions).map(([name, definition]) => {
        const ast = named.get(name)
        return [name, ast === undefined ? definition : annotated(ast, definition, new Set())]
      })
    )
  }
  const { definitions, schema } = dialect === "draft-07" ? JsonSchema.toDocumentDraft07(described) : described
  const where = dialect === "draft-07" ? "definitions" : "$defs"
  return Object.keys(definitions).length === 0 ? schema : { ...schema, [where]: definitions }
}

/** The parts of a Schema that have a name of their own, and so are definitions. */
const asts = (ast: SchemaAST.AST): ReadonlyMap<string, SchemaAST.AST> => {
  const named = new Map<string, SchemaAST.AST>()
  const all = new Set([ast])
  // A set visits what is added on the way, too.
  for (const one of all) {
    const name = SchemaAST.resolveIdentifier(one)
    // A Schema with another form on the wire has another name there.
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
 * Adds again what is lost where a value changes its form: descriptions and marks stay on the side of the program. And of
 * what may be `undefined`, that it is not `null`: it is left out.
 */
const annotated = (ast: SchemaAST.AST, given: Json, inside: ReadonlySet<SchemaAST.AST>): Json => {
  const read = jsonSourceOf(ast)
  if (read !== undefined) return read.schema as Json
  if (inside.has(ast)) return given
  const seen = new Set(inside).add(ast)
  const json: Record<string, unknown> = isEmpty(ast) ? { type: "object" } : { ...flattened(withoutNull(ast, given)) }
  // That an integer is a safe one goes without saying.
  if (json.type === "integer" && json.minimum === Number.MIN_SAFE_INTEGER) delete json.minimum
  if (json.type === "integer" && json.maximum === Number.MAX_SAFE_INTEGER) delete json.maximum
  const annotations = annotationsOf(ast)
  for (const key of ["title", "description", ...planKeywords]) {
    if (annotations[key] !== undefined) json[key] ??= annotations[key]
  }
  const id = (ast.annotations?.representation as SchemaRepresentation.RepresentationAnnotation | undefined)?.id
  if (json.type === "string" && id !== undefined && dates.includes(id)) json.format ??= "date-time"
  const inner = (one: SchemaAST.AST | undefined, schema: unknown): unknown =>
    one === undefined || !isObject(schema) ? schema : annotated(one, schema, seen)
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
  if (values !== undefined && more.length === 0 && isObject(json.additionalProperties)) {
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

/** An `allOf` with one schema is merged into the schema around it. */
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
  const described = Object.assign({}, ...(Array.isArray(allOf) ? allOf : []))
  return members.length === 1 ? { ...members[0], ...described, ...rest } : { anyOf: members, ...described, ...rest }
}
