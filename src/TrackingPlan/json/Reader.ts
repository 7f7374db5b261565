/**
 * Plans as they are kept elsewhere, read: Segment Protocols, RudderStack, Avo, Amplitude, and single JSON Schemas.
 *
 * An event that cannot be read is a problem by its name; the others are read. Its calls are planned, and not checked.
 */
import * as Schema from "effect/Schema"
import type { Definition, Shape } from "../Definition.ts"
import { readShape } from "./JsonShape.ts"
import { getOwn, isObject, type Json, listOf, pick } from "./Keywords.ts"
import type { ValidatorOptions } from "./Validator.ts"

/** Why a plan, or an event of it, cannot be read. @category errors @since 0.1.0 */
export class InvalidPlan extends Schema.TaggedError<InvalidPlan>()("InvalidPlan", {
  /** The event, or the part of the plan. */
  event: Schema.String,
  /** Where in its JSON Schema: a JSON pointer. Empty, if it is the whole. */
  path: Schema.String,
  problem: Schema.String
}) {
  override get message(): string {
    return `${this.event}${this.path}: ${this.problem}`
  }
}

/** How a plan is read. @category options @since 0.1.0 */
export interface ReadOptions extends ValidatorOptions {
  /** Whether the first problem is thrown. @default false */
  readonly strict?: boolean | undefined
}

export type Format = "segment" | "segment-api" | "rudderstack" | "avo" | "amplitude" | "schemas"

const eventTypes = ["track", "page", "screen", "identify", "group"] as const
export type EventType = (typeof eventTypes)[number]

/** One event as all formats have it. */
export interface EventEntry {
  readonly type: EventType | "context"
  /** Empty for all pages that have no rules of their own. */
  readonly name: string
  readonly label: string
  /** A JSON Schema. */
  readonly rules: unknown
  /** Where in the rules those of the data may be; the first that is there counts. */
  readonly places: ReadonlyArray<ReadonlyArray<string>>
  readonly version?: unknown
  readonly description?: unknown
  readonly labels?: unknown
  readonly format: Format
  /** As it was written. */
  readonly json: Json
}

export interface ReadDefinition {
  readonly definition: Definition
  readonly problems: ReadonlyArray<InvalidPlan>
}

const inMessage = {
  track: [["properties"]],
  page: [["properties"]],
  screen: [["properties"]],
  // Where RudderStack keeps traits is the plan's choice.
  identify: [["traits"], ["context", "traits"], ["properties"]],
  group: [["traits"], ["context", "traits"], ["properties"]],
  context: [["context"]]
}

/** The events of a plan, by the format that it is in. */
const entriesOf = (plan: Json): ReadonlyArray<EventEntry | InvalidPlan> | undefined => {
  const { events, properties, rules } = plan
  if (Array.isArray(rules)) return rules.map((rule, index) => message("segment-api", rule, index, fromApi(rule)))
  if (isObject(rules)) {
    const all = listOf(rules.events)
    const format = all.some((one) => getOwn(one, "eventType") !== undefined) ? "rudderstack" : "segment"
    const named = (["identify", "group", "global"] as const).flatMap((key) => {
      const type = key === "global" ? "context" : key
      const places = [inMessage[type][0] as ReadonlyArray<string>]
      return isObject(rules[key])
        ? [{ type, name: "", label: key, rules: rules[key], places, format, json: rules[key] } as const]
        : []
    })
    return [...all.map((event, index) => message(format, event, index)), ...named]
  }
  if (properties !== undefined) return amplitude(listIn(events), listIn(properties))
  return Array.isArray(events) ? events.map((event, index) => message("avo", event, index)) : undefined
}

const fromApi = (rule: unknown): Json =>
  isObject(rule)
    ? {
        ...rule,
        name: rule.key,
        eventType: String(rule.type).toLowerCase() === "common" ? "context" : rule.type,
        rules: rule.jsonSchema ?? rule.json_schema
      }
    : {}

/** An event whose rules are those of a whole message. */
const message = (format: Format, json: unknown, index: number, event: unknown = json): EventEntry | InvalidPlan => {
  const { description, eventType, labels, name, rules, version } = isObject(event) ? event : {}
  const type = String(eventType ?? "track").toLowerCase()
  const known = [...eventTypes, "context" as const].find((one) => one === type)
  const isNamed = typeof name === "string" && (name !== "" || type !== "track")
  const label = isNamed && name !== "" ? name : isNamed || type !== "track" ? type : `event ${index + 1}`
  const invalid = (problem: string) => new InvalidPlan({ event: label, path: "", problem })
  if (!isObject(json) || (type === "track" && !isNamed)) return invalid("every event must be an object with a name")
  if (known === undefined) return invalid(`eventType must be one of ${eventTypes.join(", ")}`)
  const about = {
    description: description ?? getOwn(rules, "description"),
    labels: labels ?? getOwn(rules, "labels"),
    version
  }
  return { type: known, name: isNamed ? name : "", label, rules, places: inMessage[known], ...about, format, json }
}

/** A response of an API, or the list in it. */
const listIn = (json: unknown): ReadonlyArray<Json> => listOf(getOwn(json, "data") ?? json).filter(isObject)

/** Amplitude keeps properties apart from the events that have them; those without an event are for all. */
const amplitude = (events: ReadonlyArray<Json>, properties: ReadonlyArray<Json>): ReadonlyArray<EventEntry> =>
  events.map((json) => {
    const name = String(json.event_type)
    const own = properties.filter(({ event_type: event }) => (event ?? name) === name)
    const rules = {
      type: "object",
      properties: Object.fromEntries(own.map((one) => [String(one.event_property), amplitudeProperty(one)])),
      required: own.filter((one) => one.is_required === true).map((one) => String(one.event_property))
    }
    const about = { description: json.description, format: "amplitude", json: { ...json, properties: own } } as const
    return { type: "track", name, label: name, rules, places: [[]], ...about }
  })

const amplitudeProperty = ({ description, enum_values: values, is_array_type: isArray, regex, type }: Json): Json => {
  const isKnown = typeof type === "string" && ["string", "number", "boolean", "object"].includes(type)
  const texts = typeof values === "string" ? values.split(",").map((one) => one.trim()) : values
  // The list is text, whatever the type.
  const list = type === "number" || type === "boolean" ? undefined : texts
  const one = {
    ...(isKnown ? { type } : type === "enum" ? { type: "string" } : {}),
    ...(Array.isArray(list) && list.length > 0 && list[0] !== "" ? { enum: list } : {}),
    ...(typeof regex === "string" && regex !== "" ? { pattern: regex } : {})
  }
  const about = typeof description === "string" && description !== "" ? { description } : {}
  return isArray === true ? { type: "array", items: one, ...about } : { ...one, ...about }
}

/** Reads a plan. Throws an `InvalidPlan` if it is none, and with `strict` if anything in it cannot be read. */
export const readPlan = (json: unknown, options: ReadOptions = {}): ReadDefinition => {
  const plan = isObject(json) && isObject(json.tracking_plan) ? json.tracking_plan : json
  const invalid = (problem: string) => new InvalidPlan({ event: "plan", path: "", problem })
  if (!isObject(plan)) throw invalid("must be an object")
  const entries = entriesOf(plan)
  if (entries === undefined) throw invalid("rules must be an object or a list, or events a list")
  return readEntries(plan, options, entries)
}

/** A folder of JSON Schemas, each of the data of an event: by file name, or by the title that it has. */
export const readSchemas = (schemas: { readonly [file: string]: unknown }, options: ReadOptions = {}): ReadDefinition =>
  readEntries(
    {},
    options,
    Object.entries(schemas).map(([file, json]) => {
      const title = getOwn(json, "title")
      const name = typeof title === "string" ? title : file.replace(/^.*[\\/]|(\.schema)?\.json$/g, "")
      const about = { description: getOwn(json, "description"), format: "schemas" } as const
      return { type: "track", name, label: name, rules: json, places: [[]], ...about, json: { file } }
    })
  )

const readEntries = (
  plan: Json,
  options: ReadOptions,
  entries: ReadonlyArray<EventEntry | InvalidPlan>
): ReadDefinition => {
  const problems = entries.filter((entry): entry is InvalidPlan => "_tag" in entry)
  const shapes: Array<readonly [entry: EventEntry, shape: Shape]> = []
  for (const entry of newest(entries.filter((one): one is EventEntry => !("_tag" in one)))) {
    const schema = dataSchemaOf(entry)
    if (schema === undefined && ["identify", "group", "context"].includes(entry.type)) continue
    const event = { format: entry.format, json: entry.json }
    const { problem, shape } = readShape(schema ?? {}, options, aboutOf(entry), event)
    shapes.push([entry, shape])
    if (problem !== undefined) problems.push(new InvalidPlan({ event: entry.label, ...problem }))
    else if (!isObject(entry.rules))
      problems.push(new InvalidPlan({ event: entry.label, path: "", problem: "rules must be an object" }))
  }
  if (options.strict === true && problems[0] !== undefined) throw problems[0]
  const name = plan.display_name ?? plan.name
  const many = (type: EventEntry["type"]) =>
    Object.fromEntries(shapes.filter(([one]) => one.type === type).map(([one, shape]) => [one.name, shape]))
  const any = (type: EventEntry["type"]) => (shapes.some(([one]) => one.type === type) ? many(type) : undefined)
  const one = (type: EventEntry["type"]) => shapes.find(([entry]) => entry.type === type)?.[1]
  const definition: Definition = {
    name: typeof name === "string" ? name : undefined,
    version: plan.version === undefined || plan.version === null ? undefined : String(plan.version),
    events: many("track"),
    traits: one("identify"),
    groupTraits: one("group"),
    pages: any("page"),
    screens: any("screen"),
    context: one("context")
  }
  return { definition: pick(definition as Json, (key) => (definition as Json)[key] !== undefined), problems }
}

/** Versions are numbers, dates, or numbers with dots: 9 is before 10, and 1.9 before 1.10. */
const versions = new Intl.Collator("en", { numeric: true })

const newest = (entries: ReadonlyArray<EventEntry>): ReadonlyArray<EventEntry> => {
  const byName = new Map<string, EventEntry>()
  for (const entry of entries) {
    const key = `${entry.type} ${entry.name}`
    const known = byName.get(key)
    const [before, after] = [known, entry].map((one) => String(one?.version ?? ""))
    if (known === undefined || versions.compare(before ?? "", after ?? "") <= 0) byName.set(key, entry)
  }
  return Array.from(byName.values())
}

/** The JSON Schema of the data of an event, with the definitions that it may refer to. */
const dataSchemaOf = ({ places, rules }: EventEntry): Json | undefined => {
  if (!isObject(rules)) return undefined
  const at = (place: ReadonlyArray<string>) =>
    place.reduce<unknown>((json, key) => getOwn(getOwn(json, "properties"), key), rules)
  const found = places.map(at).find((one) => isObject(one) && Object.keys(one).length > 0)
  if (!isObject(found)) return undefined
  if (found === rules) return rules
  const data = withRequired(found)
  const shared = (["definitions", "$defs"] as const).flatMap((key) =>
    isObject(rules[key]) ? [[key, { ...rules[key], ...(data[key] as object | undefined) }] as const] : []
  )
  return { ...pick(rules, (key) => key === "$schema" || key === "$id"), ...data, ...Object.fromEntries(shared) }
}

/** Where no other properties may be, one that is required and not described would be impossible: it may be anything. */
const withRequired = (data: Json): Json => {
  const properties = isObject(data.properties) ? data.properties : {}
  const missing = listOf(data.required).filter((name) => !Object.hasOwn(properties, String(name)))
  if (data.additionalProperties !== false || data.patternProperties !== undefined || missing.length === 0) return data
  return { ...data, properties: { ...properties, ...Object.fromEntries(missing.map((name) => [String(name), {}])) } }
}

/** Labels are texts; a list is written with commas. */
const textsIn = (labels: unknown): { readonly [label: string]: string | undefined } =>
  Object.fromEntries(
    Object.entries(isObject(labels) ? labels : {}).flatMap(([label, value]) =>
      value === null || value === undefined ? [] : [[label, String(value)]]
    )
  )

const aboutOf = ({ description, labels, version }: EventEntry): Schema.Annotations.Augment => {
  const { aliases, deprecated, owner, since } = textsIn(labels)
  return {
    ...(typeof description === "string" && description !== "" ? { description } : {}),
    ...(aliases === undefined ? {} : { aliases: aliases.split(",").map((alias) => alias.trim()) }),
    ...(owner === undefined ? {} : { owner }),
    ...(since === undefined ? {} : { since }),
    ...(deprecated === undefined || deprecated === "false" ? {} : { deprecated: deprecated === "true" || deprecated }),
    ...(version === undefined || version === null ? {} : { planVersion: String(version) })
  }
}
