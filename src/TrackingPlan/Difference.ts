/**
 * What changed between two plans, and which changes break those who read the data or make the calls.
 */
import { Comparison, type Found } from "./Comparison.ts"
import type { Definition, Shape, Shapes } from "./Definition.ts"
import { givenJsonSchema } from "./JsonShape.ts"
import type { Json } from "./Keywords.ts"
import type { AnyPlan } from "./Plan.ts"
import { definitionOf } from "./PlanJson.ts"

/** One change, in the data of an event. */
export interface Change extends Found {
  /** The event, or `page Pricing`, `screen Home`, `traits`, `groupTraits`, `context`. */
  readonly event: string
}

export interface Difference {
  /** Whether any change breaks something: what a check in CI ends on. */
  readonly breaking: boolean
  readonly changes: ReadonlyArray<Change>
}

/** Compares two plans, or the JSON of plans. Throws an `InvalidPlan` for JSON that is not one. */
export const diff = (before: AnyPlan | object, after: AnyPlan | object): Difference => {
  const was = schemasOf(read(before))
  const is = schemasOf(read(after))
  const changes: Array<Change> = []
  for (const [key, { label: event, schema }] of was) {
    const other = is.get(key)
    if (other === undefined) changes.push({ event, path: "", kind: "removed", breaking: true, detail: "is removed" })
    else changes.push(...new Comparison(schema, other.schema).changes().map((change) => ({ event, ...change })))
  }
  for (const [key, { alone, label: event }] of is) {
    // Data that needed no rules before does now.
    if (!was.has(key)) changes.push({ event, path: "", kind: "added", breaking: alone, detail: "is added" })
  }
  return { breaking: changes.some((change) => change.breaking), changes }
}

const isPlan = (plan: AnyPlan | object): plan is AnyPlan => "definition" in plan

const read = (plan: AnyPlan | object): Definition => (isPlan(plan) ? plan.definition : definitionOf(plan))

interface Described {
  /** What people call it. An event may have the same label as a page, or as the traits. */
  readonly label: string
  /** Whether it is about all calls of its kind, or all others. */
  readonly alone: boolean
  readonly schema: Json
}

/** By kind and name. */
const schemasOf = (definition: Definition): ReadonlyMap<string, Described> => {
  const { context, events, groupTraits, pages, screens, traits } = definition
  const many = (kind: string, prefix: string, shapes: Shapes | undefined) =>
    Object.entries(shapes ?? {}).map(
      ([name, shape]) =>
        [
          `${kind} ${name}`,
          { label: (prefix + name).trim(), alone: name === "", schema: givenJsonSchema(shape) }
        ] as const
    )
  const one = (kind: string, shape: Shape | undefined) =>
    shape === undefined ? [] : [[kind, { label: kind, alone: true, schema: givenJsonSchema(shape) }] as const]
  return new Map<string, Described>([
    ...many("event", "", events),
    ...many("page", "page ", pages),
    ...many("screen", "screen ", screens),
    ...one("traits", traits),
    ...one("groupTraits", groupTraits),
    ...one("context", context)
  ])
}
