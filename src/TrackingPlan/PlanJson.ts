/**
 * Plans as the world writes them down: JSON Schema for each event, in the shape of Segment Protocols and RudderStack.
 */
import * as Schema from "effect/Schema"
import type { Data } from "../internal/Json.ts"
import { annotationsOf, type Definition, type Shape, type Shapes } from "./Definition.ts"
import { documentOf, type JsonSchemaOptions, shapeOf, toJsonSchema } from "./JsonShape.ts"
import { isObject, type Json, ours } from "./Keywords.ts"
import type { AnyPlan } from "./Plan.ts"

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

const eventTypes = ["track", "page", "screen", "identify", "group"] as const

/** One event: `rules` is the JSON Schema of a whole message, of which `properties.properties` are the event's. */
export interface EventJson {
  /** Empty where there is none: for `identify` and `group`, and for all pages that have no rules of their own. */
  readonly name: string
  /** As RudderStack has it; a track call if it is left out. */
  readonly eventType?: (typeof eventTypes)[number] | undefined
  readonly description?: string | undefined
  readonly version?: number | string | undefined
  readonly labels?: { readonly [label: string]: string } | undefined
  readonly rules: Json
}

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

export interface PlanJsonOptions extends JsonSchemaOptions {
  /** Whose plan it will be. They differ in where they keep what is said of `identify` and `group`. @default "segment" */
  readonly format?: "segment" | "rudderstack" | undefined
}

// ---------------------------------------------------------------------------------------------------------------------
// Out
// ---------------------------------------------------------------------------------------------------------------------

/** A plan in the shape of Segment Protocols and RudderStack: `rules.events[].rules.properties.properties`. */
export const toJson = (
  { definition }: Pick<AnyPlan, "definition">,
  { dialect = "draft-07", format = "segment", pii }: PlanJsonOptions = {}
): PlanJson => {
  const isRudder = format === "rudderstack"
  const whole = (key: string, shape: Shape) => {
    const { $defs, $schema, definitions, ...schema } = toJsonSchema(shape, { dialect, pii })
    return {
      $schema,
      type: "object",
      properties: { context: {}, traits: {}, properties: {}, [key]: schema },
      ...($defs === undefined ? {} : { $defs }),
      ...(definitions === undefined ? {} : { definitions })
    }
  }
  const event = (type: (typeof eventTypes)[number], key: "traits" | "properties", name: string, shape: Shape) => {
    const { deprecated, description, owner, planVersion, since } = annotationsOf(shape.ast)
    const labels = {
      ...(owner === undefined ? {} : { owner }),
      ...(since === undefined ? {} : { since }),
      ...(deprecated === undefined ? {} : { deprecated: String(deprecated) })
    }
    const rules = whole(key, shape)
    const data: Record<string, unknown> = { ...rules.properties[key] }
    // These are about the event, and said there.
    for (const word of ["description", ...ours]) delete data[word]
    return {
      name,
      ...(type === "track" && !isRudder ? {} : { eventType: type }),
      ...(description === undefined ? {} : { description }),
      ...(planVersion === undefined ? {} : { version: numeric(planVersion) }),
      ...(Object.keys(labels).length === 0 ? {} : { labels }),
      rules: { ...rules, properties: { ...rules.properties, [key]: data } }
    }
  }
  const many = (type: "track" | "page" | "screen", shapes: Shapes | undefined) =>
    Object.entries(shapes ?? {}).map(([name, shape]) => event(type, "properties", name, shape))
  const one = (type: "identify" | "group", shape: Shape | undefined) =>
    shape === undefined || !isRudder ? [] : [event(type, "traits", "", shape)]
  const apart = (type: "identify" | "group", shape: Shape | undefined) =>
    shape === undefined || isRudder ? {} : { [type]: whole("traits", shape) }
  const { context, groupTraits, name, pages, screens, traits, version } = definition
  return {
    ...(name === undefined ? {} : { display_name: name }),
    ...(version === undefined ? {} : { version: numeric(version) }),
    rules: {
      events: [
        ...many("track", definition.events),
        ...many("page", pages),
        ...many("screen", screens),
        ...one("identify", traits),
        ...one("group", groupTraits)
      ],
      ...apart("identify", traits),
      ...apart("group", groupTraits),
      ...(context === undefined ? {} : { global: whole("context", context) })
    }
  }
}

/** The versions of the ecosystem are numbers. */
const numeric = (version: string): number | string => (/^\d+$/.test(version) ? Number(version) : version)

// ---------------------------------------------------------------------------------------------------------------------
// In
// ---------------------------------------------------------------------------------------------------------------------

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
  const newestOf = (type: string) => newest(events.filter(({ eventType }) => eventType === type))
  const many = (type: "track" | "page" | "screen") =>
    Object.fromEntries(newestOf(type).map((event) => [event.name, eventShape(event)]))
  const one = (type: "identify" | "group"): Shape | undefined => {
    if (isObject(rules[type])) return part(type, rules[type], ["traits"])
    const [event] = newestOf(type)
    return event === undefined ? undefined : traitsShape(event)
  }
  const pages = many("page")
  const screens = many("screen")
  const traits = one("identify")
  const groupTraits = one("group")
  const context = isObject(rules.global) ? part("global", rules.global, ["context"]) : undefined
  return {
    ...(typeof name === "string" ? { name } : {}),
    ...(plan.version === undefined || plan.version === null ? {} : { version: String(plan.version) }),
    events: many("track"),
    ...(traits === undefined ? {} : { traits }),
    ...(groupTraits === undefined ? {} : { groupTraits }),
    ...(Object.keys(pages).length === 0 ? {} : { pages }),
    ...(Object.keys(screens).length === 0 ? {} : { screens }),
    ...(context === undefined ? {} : { context })
  }
}

const fromList = (rules: ReadonlyArray<unknown>): Json => {
  const all = rules.filter(isObject)
  const schema = (rule: Json) => rule.jsonSchema ?? rule.json_schema
  const isCommon = (rule: Json) => String(rule.type).toLowerCase() === "common"
  return {
    events: all
      .filter((rule) => !isCommon(rule))
      .map((rule) => ({ ...rule, name: rule.key, eventType: rule.type, rules: schema(rule) })),
    global: all.filter(isCommon).map(schema)[0]
  }
}

type ReadEvent = EventJson & { readonly eventType: (typeof eventTypes)[number] }

const readEvent = (event: unknown): ReadEvent => {
  const type = isObject(event) ? String(event.eventType ?? "track").toLowerCase() : ""
  if (!isObject(event) || (type === "track" && (typeof event.name !== "string" || event.name === ""))) {
    throw new InvalidPlan({ event: "rules.events", problem: "every event must be an object with a name" })
  }
  const name = typeof event.name === "string" ? event.name : ""
  const label = name === "" ? type : name
  const eventType = eventTypes.find((known) => known === type)
  if (eventType === undefined) {
    throw new InvalidPlan({ event: label, problem: `eventType must be one of ${eventTypes.join(", ")}` })
  }
  if (!isObject(event.rules)) throw new InvalidPlan({ event: label, problem: "rules must be an object" })
  return { ...(event as unknown as EventJson), name, eventType }
}

/** Versions are numbers, dates, or numbers with dots: 9 is before 10, and 1.9 before 1.10. */
const versions = new Intl.Collator("en", { numeric: true })

const newest = (events: ReadonlyArray<ReadEvent>): ReadonlyArray<ReadEvent> => {
  const byName = new Map<string, ReadEvent>()
  for (const event of events) {
    const known = byName.get(event.name)
    const [before, after] = [known, event].map((one) => String(one?.version ?? ""))
    if (known === undefined || versions.compare(before ?? "", after ?? "") <= 0) byName.set(event.name, event)
  }
  return Array.from(byName.values())
}

const eventShape = (event: ReadEvent): Shape => {
  const label = event.name === "" ? event.eventType : event.name
  const shape =
    part(label, event.rules, ["properties"]) ?? (Schema.Record(Schema.String, Schema.Json) as unknown as Shape)
  return annotatedBy(event, shape)
}

/** Where RudderStack keeps traits is the plan's choice. */
const traitsShape = (event: ReadEvent): Shape | undefined => {
  const places = [["traits"], ["context", "traits"], ["properties"]] as const
  for (const place of places) {
    const shape = part(event.eventType, event.rules, place)
    if (shape !== undefined) return annotatedBy(event, shape)
  }
  return undefined
}

const annotatedBy = ({ description, labels, rules, version }: ReadEvent, shape: Shape): Shape => {
  const about = description ?? (typeof rules.description === "string" ? rules.description : undefined)
  const { deprecated, owner, since } = labels ?? {}
  return (shape as unknown as Schema.Codec<Data>).annotate({
    ...(about === undefined || about === "" ? {} : { description: about }),
    ...(owner === undefined ? {} : { owner }),
    ...(since === undefined ? {} : { since }),
    ...(deprecated === undefined || deprecated === "false" ? {} : { deprecated: deprecated === "true" || deprecated }),
    ...(version === undefined || version === null ? {} : { planVersion: String(version) })
  })
}

/** The part of a whole message's schema that is about one place in it; nothing, if it says nothing. */
const part = (label: string, rules: Json, place: ReadonlyArray<string>): Shape | undefined => {
  try {
    const { definitions, dialect, schema } = documentOf(rules)
    const found = place.reduce<unknown>(
      (json, key) => (isObject(json) && isObject(json.properties) ? json.properties[key] : undefined),
      schema
    )
    if (!isObject(found) || Object.keys(found).length === 0) return undefined
    return shapeOf({ dialect, schema: found, definitions })
  } catch (error) {
    throw new InvalidPlan({ event: label, problem: error instanceof Error ? error.message : String(error) })
  }
}
