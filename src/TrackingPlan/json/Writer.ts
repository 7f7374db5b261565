/** Any plan in the formats that plans are kept in elsewhere. */
import { dataKey } from "../../Call.ts"
import { jsonSourceOf } from "../check/JsonSource.ts"
import type { AnyPlan } from "../check/Plan.ts"
import { annotationsOf, type Shape, type Shapes } from "../Definition.ts"
import type { Policy } from "../pii/Marks.ts"
import { type JsonSchemaOptions, toJsonSchema } from "./JsonShape.ts"
import { isObject, type Json, listOf, planKeywords } from "./Keywords.ts"
import type { EventType, Format } from "./Reader.ts"
import { inputSchema, outputSchema } from "./SentJson.ts"

/**
 * One event: `rules` is the JSON Schema of a whole message, of which `properties.properties` are the event's.
 * @category models @since 0.1.0
 */
export interface EventJson {
  /** Empty where there is none: for `identify` and `group`, and for all pages that have no rules of their own. */
  readonly name: string
  /** As RudderStack has it; a track call if it is left out. */
  readonly eventType?: EventType | undefined
  readonly description?: string | undefined
  readonly version?: number | string | undefined
  readonly labels?: { readonly [label: string]: string } | undefined
  readonly rules: Json
}

/** A plan as Segment's Config API and RudderStack have it. @category models @since 0.1.0 */
export interface PlanJson {
  readonly display_name?: string | undefined
  readonly version?: number | string | undefined
  readonly rules: {
    readonly events: ReadonlyArray<EventJson>
    /** The JSON Schemas of whole messages, of which `properties.traits` are the traits. RudderStack has events for them. */
    readonly identify?: Json | undefined
    readonly group?: Json | undefined
    /** The JSON Schema of every message, of which `properties.context` is read. */
    readonly global?: Json | undefined
  }
}

/** How a plan is written. @category options @since 0.1.0 */
export interface PlanJsonOptions extends JsonSchemaOptions {
  /** Whose plan it will be. An event that was read from the same format keeps what else was written of it. @default "segment" */
  readonly format?: Exclude<Format, "schemas"> | undefined
}

/** A shape, and the event that it is of. */
interface Written {
  readonly type: EventType | "context"
  readonly name: string
  readonly shape: Shape
}

/** A plan as JSON, in the format of Segment Protocols by default. @category converting @since 0.1.0 */
export function toJson(
  plan: Pick<AnyPlan, "definition">,
  options?: PlanJsonOptions & { readonly format?: "segment" | "rudderstack" }
): PlanJson
export function toJson(plan: Pick<AnyPlan, "definition">, options: PlanJsonOptions): Json
export function toJson({ definition }: Pick<AnyPlan, "definition">, options: PlanJsonOptions = {}): PlanJson | Json {
  const { dialect = "draft-07", format = "segment", pii = "drop" } = options
  const { context, events, groupTraits, name, pages, screens, traits, version } = definition
  const many = (type: "track" | "page" | "screen", shapes: Shapes | undefined): ReadonlyArray<Written> =>
    Object.entries(shapes ?? {}).map(([name, shape]) => ({ type, name, shape }))
  const one = (type: Written["type"], shape: Shape | undefined): ReadonlyArray<Written> =>
    shape === undefined ? [] : [{ type, name: "", shape }]
  const named = [...many("track", events), ...many("page", pages), ...many("screen", screens)]
  const unnamed = [...one("identify", traits), ...one("group", groupTraits)]
  const all = [...named, ...unnamed, ...one("context", context)]
  const write = (written: Written) => eventOf(written, format, { dialect, pii })
  const versionOf = version === undefined ? {} : { version: numeric(version) }
  switch (format) {
    case "segment": {
      const apart = [...unnamed, ...one("context", context)].map((one) => {
        const read = sourceOf(one.shape, format)
        const rules = read === undefined ? rulesOf(one, { dialect, pii }) : sentOf(read, pii)
        return [one.type === "context" ? "global" : one.type, rules] as const
      })
      const rules = { events: named.map(write), ...Object.fromEntries(apart) }
      return { ...(name === undefined ? {} : { display_name: name }), ...versionOf, rules } as unknown as PlanJson
    }
    case "rudderstack": {
      const global = one("context", context).map((written) => ["global", rulesOf(written, { dialect, pii })])
      const rules = { events: [...named, ...unnamed].map(write), ...Object.fromEntries(global) }
      return { ...(name === undefined ? {} : { display_name: name }), ...versionOf, rules } as unknown as PlanJson
    }
    case "segment-api":
      return { ...(name === undefined ? {} : { name }), rules: all.map(write) }
    case "avo":
      return { ...(name === undefined ? {} : { name }), events: all.map(write) }
    case "amplitude": {
      const written = named.filter(({ type }) => type === "track").map(write)
      return {
        events: written.map(({ properties: _, ...event }) => event),
        properties: written.flatMap((one) => listOf(one.properties))
      }
    }
  }
}

/** A folder of JSON Schemas, each of the properties of an event, by file name. @category converting @since 0.1.0 */
export const toSchemas = (
  { definition }: Pick<AnyPlan, "definition">,
  options?: JsonSchemaOptions
): { readonly [file: string]: Json } => {
  const files: Record<string, Json> = {}
  for (const [name, shape] of Object.entries(definition.events ?? {})) {
    const { description, ...schema } = toJsonSchema(shape, options)
    const about = annotationsOf(shape.ast).description ?? description
    const { file } = (sourceOf(shape, "schemas") ?? {}) as { readonly file?: string }
    const base = name.replace(/[^\p{L}\p{N}_.-]+/gu, "-").toLowerCase()
    let made = file ?? `${base}.json`
    for (let number = 2; Object.hasOwn(files, made); number++) made = `${base}-${number}.json`
    // The name of an event is read from its title.
    files[made] = { ...schema, title: name, ...(about === undefined ? {} : { description: about }) }
  }
  return files
}

/** As it was read, if that was in this format. */
const sourceOf = (shape: Shape, format: Format): Json | undefined => {
  const event = jsonSourceOf(shape.ast)?.event
  return event?.format === format ? (event.json as Json) : undefined
}

/** The rules of what is sent. */
const sentOf = (rules: unknown, pii: Policy | undefined): unknown =>
  isObject(rules) ? outputSchema(inputSchema(rules), pii as Policy) : rules

type Options = Required<JsonSchemaOptions>

const eventOf = (written: Written, format: Format, options: Options): Json => {
  const { name, shape, type } = written
  const read = sourceOf(shape, format)
  if (format === "segment-api") {
    if (read !== undefined) return { ...read, jsonSchema: sentOf(read.jsonSchema ?? read.json_schema, options.pii) }
    const { description, labels, version, rules } = described(written, options)
    const about = { ...(description === undefined ? {} : { description }), ...(labels === undefined ? {} : { labels }) }
    return {
      type: type === "context" ? "COMMON" : type.toUpperCase(),
      ...(name === "" ? {} : { key: name }),
      ...(version === undefined ? {} : { version }),
      jsonSchema: { ...(rules as Json), ...about }
    }
  }
  if (format === "amplitude") return read ?? amplitudeEvent(written, options)
  if (read !== undefined) return { ...read, rules: sentOf(read.rules, options.pii) }
  const { eventType, ...event } = described(written, options)
  return type === "track" && format !== "rudderstack" ? event : { name, eventType, ...event }
}

const described = (written: Written, options: Options): Json => {
  const { aliases, deprecated, description, owner, planVersion, since } = annotationsOf(written.shape.ast)
  const labels = {
    ...(aliases === undefined ? {} : { aliases: aliases.join(", ") }),
    ...(owner === undefined ? {} : { owner }),
    ...(since === undefined ? {} : { since }),
    ...(deprecated === undefined ? {} : { deprecated: String(deprecated) })
  }
  const rules = rulesOf(written, options)
  const key = keyOf(written.type)
  const data: Record<string, unknown> = { ...(rules.properties as Record<string, object>)[key] }
  // These describe the event, and are written there.
  for (const word of ["description", ...planKeywords]) delete data[word]
  return {
    name: written.name,
    eventType: written.type,
    ...(description === undefined ? {} : { description }),
    ...(planVersion === undefined ? {} : { version: numeric(planVersion) }),
    ...(Object.keys(labels).length === 0 ? {} : { labels }),
    rules: { ...rules, properties: { ...(rules.properties as object), [key]: data } }
  }
}

const keyOf = (type: Written["type"]): string => (type === "context" ? type : dataKey(type))

/** The JSON Schema of a whole message. */
const rulesOf = ({ shape, type }: Written, options: Options): Json => {
  const { $defs, $schema, definitions, ...schema } = toJsonSchema(shape, options)
  return {
    $schema,
    type: "object",
    properties: { context: {}, traits: {}, properties: {}, [keyOf(type)]: schema },
    ...($defs === undefined ? {} : { $defs }),
    ...(definitions === undefined ? {} : { definitions })
  }
}

/** The versions of the ecosystem are numbers. */
const numeric = (version: string): number | string => (/^\d+$/.test(version) ? Number(version) : version)

/** Rules that Amplitude cannot express are left out. */
const amplitudeEvent = ({ name, shape }: Written, options: Options): Json => {
  const schema = toJsonSchema(shape, options)
  const required = listOf(schema.required)
  const properties = Object.entries(isObject(schema.properties) ? schema.properties : {}).map(([property, json]) => {
    const isArray = isObject(json) && json.type === "array"
    const one = isArray ? json.items : json
    const { enum: given, pattern, type } = isObject(one) ? one : {}
    const isList =
      Array.isArray(given) && given.every((value) => typeof value === "string" && /^[^\s,]([^,]*[^\s,])?$/.test(value))
    const values = isList ? given : undefined
    return {
      event_property: property,
      event_type: name,
      description: (isObject(json) && json.description) || "",
      type: Array.isArray(values) ? "enum" : type === "integer" ? "number" : typeof type === "string" ? type : "any",
      regex: typeof pattern === "string" ? pattern : null,
      enum_values: Array.isArray(values) ? values.join(",") : null,
      is_array_type: isArray,
      is_required: required.includes(property)
    }
  })
  return { event_type: name, description: annotationsOf(shape.ast).description ?? "", properties }
}
