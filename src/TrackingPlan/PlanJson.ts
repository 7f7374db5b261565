/**
 * Plans as the world writes them down: JSON Schema for each event, in the shape of Segment Protocols and RudderStack.
 *
 * What is JSON Schema is read and written by effect; what is around it, and the annotations, by this file.
 */
import * as JsonSchema from "effect/JsonSchema"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import * as SchemaRepresentation from "effect/SchemaRepresentation"
import type * as Json from "../Json.ts"
import { annotationsOf, type Definition, type Shape, type Shapes } from "./Definition.ts"

/** A plan that can't be read: which event, and why. */
export class InvalidPlan extends Schema.TaggedError<InvalidPlan>()("InvalidPlan", {
  /** The event, or the part of the plan. */
  event: Schema.String,
  problem: Schema.String
}) {
  override get message(): string {
    return `${this.event}: ${this.problem}`
  }
}

export type Dialect = "draft-07" | "draft-2020-12"

/** One event: `rules` is the JSON Schema of a whole message, of which `properties.properties` are the event's. */
export interface EventJson {
  readonly name: string
  /** As RudderStack has it; a track call if it is left out. */
  readonly eventType?: "track" | "page" | "screen" | undefined
  readonly description?: string | undefined
  readonly version?: number | string | undefined
  readonly labels?: { readonly [label: string]: string } | undefined
  readonly rules: JsonSchema.JsonSchema
}

export interface PlanJson {
  readonly display_name?: string | undefined
  readonly version?: number | string | undefined
  readonly rules: {
    readonly events: ReadonlyArray<EventJson>
    /** The JSON Schemas of whole messages, of which `properties.traits` are the traits. */
    readonly identify?: JsonSchema.JsonSchema | undefined
    readonly group?: JsonSchema.JsonSchema | undefined
    /** The JSON Schema of every message, of which `properties.context` is read. */
    readonly global?: JsonSchema.JsonSchema | undefined
  }
}

/** What of our annotations belongs into JSON Schema, beside those that effect knows. */
const ours = ["deprecated", "owner", "pii", "planVersion", "since"]

// ---------------------------------------------------------------------------------------------------------------------
// JSON Schema
// ---------------------------------------------------------------------------------------------------------------------

/** The JSON Schema of what is sent. */
export const toJsonSchema = (shape: Shape, dialect: Dialect = "draft-2020-12"): JsonSchema.JsonSchema => {
  const strict = annotationsOf(shape.ast).strict === true
  const document = Schema.toJsonSchemaDocument(shape, {
    onExcessProperty: strict ? "error" : "ignore",
    includeAnnotationKey: (key) => ours.includes(key)
  })
  const told = { ...document, schema: annotated(shape.ast, document.schema, new Set()) }
  const { definitions, schema } = dialect === "draft-07" ? JsonSchema.toDocumentDraft07(told) : told
  const where = dialect === "draft-07" ? "definitions" : "$defs"
  return Object.keys(definitions).length === 0 ? schema : { ...schema, [where]: definitions }
}

const dates = ["effect/schema/Date", "effect/schema/DateTimeUtc", "effect/schema/DateTimeZoned"]

/**
 * Says again what is lost where a value changes its form: descriptions and marks stay on the side of the program. And of
 * what may be `undefined`, that it is not `null`: it is left out.
 */
const annotated = (
  ast: SchemaAST.AST,
  given: JsonSchema.JsonSchema,
  inside: ReadonlySet<SchemaAST.AST>
): JsonSchema.JsonSchema => {
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
  if (SchemaAST.isObjects(ast) && isObject(json.properties)) {
    const fields = new Map(ast.propertySignatures.map(({ name, type }) => [String(name), type]))
    json.properties = Object.fromEntries(
      Object.entries(json.properties).map(([name, field]) => {
        const type = fields.get(name)
        return [name, type === undefined || !isObject(field) ? field : annotated(type, field, within)]
      })
    )
  }
  const [element] = SchemaAST.isArrays(ast) && ast.elements.length === 0 ? ast.rest : []
  if (element !== undefined && isObject(json.items)) json.items = annotated(element, json.items, within)
  return json
}

/** One more schema that says nothing else needs no `allOf`. */
const flattened = (json: JsonSchema.JsonSchema): JsonSchema.JsonSchema => {
  const { allOf, ...rest } = json
  const [only, ...more] = Array.isArray(allOf) ? allOf : []
  if (!isObject(only) || more.length > 0) return json
  const agrees = Object.entries(only).every(([key, value]) => rest[key] === undefined || rest[key] === value)
  return agrees ? { ...rest, ...only } : json
}

/** For effect a struct without fields is anything; for a plan it is an object. */
const isEmpty = (ast: SchemaAST.AST): boolean =>
  SchemaAST.isObjects(ast) && ast.propertySignatures.length === 0 && ast.indexSignatures.length === 0

const withoutNull = (ast: SchemaAST.AST, json: JsonSchema.JsonSchema): JsonSchema.JsonSchema => {
  if (!SchemaAST.isUnion(ast) || !ast.types.some(SchemaAST.isUndefined) || ast.types.some(SchemaAST.isNull)) return json
  const { allOf, anyOf, ...rest } = json
  if (!Array.isArray(anyOf)) return json
  const members = anyOf.filter((member) => !isObject(member) || member.type !== "null")
  const told = Object.assign({}, ...(Array.isArray(allOf) ? allOf : []))
  return members.length === 1 ? { ...members[0], ...told, ...rest } : { anyOf: members, ...told, ...rest }
}

const isObject = (value: unknown): value is JsonSchema.JsonSchema =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const documentOf = (json: JsonSchema.JsonSchema): JsonSchema.Document<"draft-2020-12"> => {
  if (String(json.$schema).includes("2020-12") || json.$defs !== undefined)
    return JsonSchema.fromSchemaDraft2020_12(json)
  const { definitions, dialect, schema } = JsonSchema.fromSchemaDraft07(rename(json, word, renamed))
  const back = (one: JsonSchema.JsonSchema) => rename(one, renamed, word)
  const named = Object.entries(definitions).map(([name, one]) => [name, back(one)] as const)
  return { dialect, schema: back(schema), definitions: Object.fromEntries(named) }
}

/**
 * A shape from a JSON Schema, draft-07 unless its `$schema` says 2020-12.
 *
 * A Schema from an open object would let the compiler take every name. So objects are closed for the compiler, and
 * violations are only found in those where `additionalProperties` is `false` in the JSON (`strict`).
 */
export const fromJsonSchema = (json: JsonSchema.JsonSchema): Shape => shapeOf(documentOf(json))

const shapeOf = ({ definitions, dialect, schema }: JsonSchema.Document<"draft-2020-12">): Shape => {
  const strict = schema.additionalProperties === false
  const read = strict ? (json: JsonSchema.JsonSchema) => json : close
  const document = {
    dialect,
    schema: read({ type: "object", ...schema }),
    definitions: Object.fromEntries(Object.entries(definitions).map(([name, one]) => [name, read(one)]))
  }
  const options = { patterns: "apply", includeAnnotationKey: (key: string) => ours.includes(key) } as const
  const shape = SchemaRepresentation.fromJsonSchemaDocument(document, options) as unknown as Schema.Codec<Json.Data>
  return strict ? shape.annotate({ strict }) : shape
}

/** Keywords that hold schemas: one, a list, or several by name. */
const holders = ["items", "prefixItems", "additionalItems", "anyOf", "oneOf", "additionalProperties"]
const holdersByName = ["properties", "patternProperties", "definitions", "$defs"]

/** Changes every schema in a schema, from the inside. */
const everywhere = (
  json: unknown,
  change: (schema: Record<string, unknown>) => void,
  others: ReadonlyArray<string>
) => {
  const inside = (one: unknown): unknown => {
    if (Array.isArray(one)) return one.map(inside)
    if (!isObject(one)) return one
    const changed: Record<string, unknown> = { ...one }
    for (const key of [...holders, ...others]) if (key in changed) changed[key] = inside(changed[key])
    for (const key of holdersByName) {
      const named = changed[key]
      if (isObject(named)) {
        changed[key] = Object.fromEntries(Object.entries(named).map(([name, schema]) => [name, inside(schema)]))
      }
    }
    change(changed)
    return changed
  }
  return inside(json) as JsonSchema.JsonSchema
}

/** Closes open objects. Not those in `allOf`: two closed objects have nothing in common. */
const close = (json: JsonSchema.JsonSchema): JsonSchema.JsonSchema =>
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
const rename = (json: JsonSchema.JsonSchema, from: string, to: string): JsonSchema.JsonSchema =>
  everywhere(
    json,
    (schema) => {
      if (schema[from] === undefined) return
      schema[to] = schema[from]
      delete schema[from]
    },
    ["allOf", "not"]
  )

// ---------------------------------------------------------------------------------------------------------------------
// Plans
// ---------------------------------------------------------------------------------------------------------------------

const dialects = {
  "draft-07": "http://json-schema.org/draft-07/schema#",
  "draft-2020-12": "https://json-schema.org/draft/2020-12/schema"
}

/** A plan in the shape of Segment Protocols and RudderStack: `rules.events[].rules.properties.properties`. */
export const toJson = (
  { definition }: { readonly definition: Definition },
  dialect: Dialect = "draft-07"
): PlanJson => {
  const whole = (key: string, shape: Shape) => {
    const { $defs, definitions, ...schema } = toJsonSchema(shape, dialect)
    return {
      $schema: dialects[dialect],
      type: "object",
      properties: { context: {}, traits: {}, properties: {}, [key]: schema },
      ...($defs === undefined ? {} : { $defs }),
      ...(definitions === undefined ? {} : { definitions })
    }
  }
  const events = (shapes: Shapes | undefined, eventType?: "page" | "screen") =>
    Object.entries(shapes ?? {}).map(([name, shape]): EventJson => {
      const { deprecated, description, owner, planVersion, since } = annotationsOf(shape.ast)
      const labels = {
        ...(owner === undefined ? {} : { owner }),
        ...(since === undefined ? {} : { since }),
        ...(deprecated === undefined ? {} : { deprecated: String(deprecated) })
      }
      const rules = whole("properties", shape)
      const properties: Record<string, unknown> = { ...rules.properties.properties }
      // These are about the event, and said there.
      for (const key of ["description", ...ours]) delete properties[key]
      return {
        name,
        ...(eventType === undefined ? {} : { eventType }),
        ...(description === undefined ? {} : { description }),
        ...(planVersion === undefined ? {} : { version: numeric(planVersion) }),
        ...(Object.keys(labels).length === 0 ? {} : { labels }),
        rules: { ...rules, properties: { ...rules.properties, properties } }
      }
    })
  const { context, groupTraits, name, pages, screens, traits, version } = definition
  return {
    ...(name === undefined ? {} : { display_name: name }),
    ...(version === undefined ? {} : { version: numeric(version) }),
    rules: {
      events: [...events(definition.events), ...events(pages, "page"), ...events(screens, "screen")],
      ...(traits === undefined ? {} : { identify: whole("traits", traits) }),
      ...(groupTraits === undefined ? {} : { group: whole("traits", groupTraits) }),
      ...(context === undefined ? {} : { global: whole("context", context) })
    }
  }
}

/** The versions of the ecosystem are numbers. */
const numeric = (version: string): number | string => (/^\d+$/.test(version) ? Number(version) : version)

/**
 * Reads a plan: one with `rules.events` (Segment's Config API, RudderStack), or with a list of rules (Segment's Public
 * API: `{ type, key, jsonSchema, version }`). Of an event with several versions the newest. Throws an `InvalidPlan`.
 */
export const definitionOf = (json: unknown): Definition => {
  const plan = isObject(json) && isObject(json.tracking_plan) ? json.tracking_plan : json
  if (!isObject(plan)) throw new InvalidPlan({ event: "plan", problem: "must be an object" })
  const rules = Array.isArray(plan.rules) ? fromList(plan.rules) : plan.rules
  if (!isObject(rules)) throw new InvalidPlan({ event: "plan", problem: "rules must be an object or a list" })
  const events = Array.isArray(rules.events) ? rules.events.map(readEvent) : []
  const name = plan.display_name ?? plan.name
  const of = (type: string) => {
    const named = newest(events.filter(({ eventType }) => (eventType ?? "track") === type))
    return Object.fromEntries(named.map((event) => [event.name, eventShape(event)]))
  }
  const one = (label: string, key: string, schema: unknown) => (isObject(schema) ? part(label, schema, key) : undefined)
  const pages = of("page")
  const screens = of("screen")
  const traits = one("identify", "traits", rules.identify)
  const groupTraits = one("group", "traits", rules.group)
  const context = one("global", "context", rules.global)
  return {
    ...(typeof name === "string" ? { name } : {}),
    ...(plan.version === undefined || plan.version === null ? {} : { version: String(plan.version) }),
    events: of("track"),
    ...(traits === undefined ? {} : { traits }),
    ...(groupTraits === undefined ? {} : { groupTraits }),
    ...(Object.keys(pages).length === 0 ? {} : { pages }),
    ...(Object.keys(screens).length === 0 ? {} : { screens }),
    ...(context === undefined ? {} : { context })
  }
}

const fromList = (rules: ReadonlyArray<unknown>): JsonSchema.JsonSchema => {
  const all = rules.filter(isObject)
  const schema = (rule: JsonSchema.JsonSchema) => rule.jsonSchema ?? rule.json_schema
  const of = (type: string) => all.filter((rule) => String(rule.type).toLowerCase() === type)
  const first = (type: string) => of(type).map(schema)[0]
  return {
    events: ["track", "page", "screen"].flatMap((eventType) =>
      of(eventType).map((rule) => ({ ...rule, name: rule.key, eventType, rules: schema(rule) }))
    ),
    identify: first("identify"),
    group: first("group"),
    global: first("common")
  }
}

const readEvent = (event: unknown): EventJson => {
  if (!isObject(event) || typeof event.name !== "string") {
    throw new InvalidPlan({ event: "rules.events", problem: "every event must be an object with a name" })
  }
  if (!isObject(event.rules)) throw new InvalidPlan({ event: event.name, problem: "rules must be an object" })
  return event as unknown as EventJson
}

const newest = (events: ReadonlyArray<EventJson>): ReadonlyArray<EventJson> => {
  const byName = new Map<string, EventJson>()
  for (const event of events) {
    const known = byName.get(event.name)
    if (known === undefined || Number(event.version ?? 0) >= Number(known.version ?? 0)) byName.set(event.name, event)
  }
  return Array.from(byName.values())
}

const eventShape = ({ description, labels, name, rules, version }: EventJson): Shape => {
  const shape = part(name, rules, "properties") ?? (Schema.Record(Schema.String, Schema.Json) as unknown as Shape)
  const about = description ?? (typeof rules.description === "string" ? rules.description : undefined)
  const { deprecated, owner, since } = labels ?? {}
  return (shape as unknown as Schema.Codec<Json.Data>).annotate({
    ...(about === undefined || about === "" ? {} : { description: about }),
    ...(owner === undefined ? {} : { owner }),
    ...(since === undefined ? {} : { since }),
    ...(deprecated === undefined || deprecated === "false" ? {} : { deprecated: deprecated === "true" || deprecated }),
    ...(version === undefined || version === null ? {} : { planVersion: String(version) })
  })
}

/** The part of a whole message's schema that is about one key of it; nothing, if it says nothing. */
const part = (label: string, rules: JsonSchema.JsonSchema, key: string): Shape | undefined => {
  try {
    const { definitions, dialect, schema } = documentOf(rules)
    const found = isObject(schema.properties) ? schema.properties[key] : undefined
    if (!isObject(found) || Object.keys(found).length === 0) return undefined
    return shapeOf({ dialect, schema: found, definitions })
  } catch (error) {
    throw new InvalidPlan({ event: label, problem: error instanceof Error ? error.message : String(error) })
  }
}
