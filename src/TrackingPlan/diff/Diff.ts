/** The changes between two plans, and which of them break callers or consumers of the data. */
import type { AnyPlan } from "../check/Plan.ts"
import { annotationsOf, type Definition, type Shape } from "../Definition.ts"
import { inputJsonSchema } from "../json/JsonShape.ts"
import { isObject, type Json, mapSubschemas, pick, planKeywords } from "../json/Keywords.ts"
import { readPlan } from "../json/Reader.ts"
import { both, Comparison, renamesIn, type SchemaChange } from "./Comparison.ts"

/** One change, in the data of an event. @category models @since 0.1.0 */
export interface Change extends SchemaChange {
  /** The event, or `page Pricing`, `screen Home`, `traits`, `groupTraits`, `context`. */
  readonly event: string
}

/** Plain JSON: a program may write it down as it is. @category models @since 0.1.0 */
export interface Difference {
  /** Whether any change breaks something: what a check in CI ends on. */
  readonly breaking: boolean
  readonly changes: ReadonlyArray<Change>
}

/**
 * Compares two plans, or the JSON of plans. Throws an `InvalidPlan` for JSON that is not one.
 * @category converting @since 0.1.0
 */
export const diff = (before: AnyPlan | object, after: AnyPlan | object): Difference => {
  const [was, is] = [schemasOf(read(before)), schemasOf(read(after))]
  const renamed = renamesIn(was, is)
  const oldNames = new Map(Array.from(renamed, ([old, name]) => [name, old]))
  const changes: Array<Change> = []
  const add = (event: string, kind: SchemaChange["kind"], breaks: SchemaChange["breaks"], detail: string) =>
    void changes.push({ event, path: "", kind, breaking: breaks.length > 0, breaks, detail })
  for (const [key, { label }] of Object.entries(was)) {
    if (is[key] === undefined && !renamed.has(key)) add(label, "removed", both, "is removed")
  }
  for (const [key, { alone, label: event, schema }] of Object.entries(is)) {
    const old = oldNames.get(key)
    const before = was[old ?? key]
    // Data without rules had no restrictions before.
    if (before === undefined) add(event, "added", alone ? ["callers"] : [], "is added")
    else {
      if (old !== undefined) add(event, "renamed", both, `was ${before.label}`)
      changes.push(...new Comparison(before.schema, schema).changes().map((change) => ({ event, ...change })))
    }
  }
  return { breaking: changes.some((change) => change.breaking), changes }
}

const read = (plan: AnyPlan | object): Definition =>
  "definition" in plan ? plan.definition : readPlan(plan).definition

interface Described {
  /** Its name in reports. An event may have the same label as a page, or as the traits. */
  readonly label: string
  /** Whether it is about all calls of its kind, or all others. */
  readonly alone: boolean
  readonly schema: Json
  /** Its earlier names, as keys. */
  readonly aliases: ReadonlyArray<string>
}

/** By kind and name. */
const schemasOf = (definition: Definition): Readonly<Record<string, Described>> => {
  const { context, events, groupTraits, pages, screens, traits } = definition
  const described = (kind: string, name: string | undefined, shape: Shape): readonly [string, Described] => {
    const label = kind === "event" ? name : [kind, name].join(" ").trim()
    const annotations = annotationsOf(shape.ast)
    // The annotations of an event are kept beside its schema, or in it.
    const about = pick(annotations as Json, (key) => key === "description" || planKeywords.includes(key))
    const aliases = (annotations.aliases ?? []).map((alias) => `${kind} ${alias}`)
    const key = name === undefined ? kind : `${kind} ${name}`
    return [
      key,
      { label: label ?? kind, alone: !name, schema: { ...modern(inputJsonSchema(shape)), ...about }, aliases }
    ]
  }
  const named = Object.entries({ event: events, page: pages, screen: screens }).flatMap(([kind, shapes]) =>
    Object.entries(shapes ?? {}).map(([name, shape]) => described(kind, name, shape))
  )
  const unnamed = Object.entries({ traits, groupTraits, context }).flatMap(([kind, shape]) =>
    shape === undefined ? [] : [described(kind, undefined, shape)]
  )
  return Object.fromEntries([...named, ...unnamed])
}

/** The words of 2020-12 for those that draft-07 has others for. */
const modern = (json: Json): Json =>
  mapSubschemas(
    json,
    (schema) => {
      const { additionalItems, dependencies, items } = schema
      if (Array.isArray(items)) {
        Object.assign(schema, { prefixItems: items, items: additionalItems })
        delete schema.additionalItems
      }
      for (const [name, one] of Object.entries(isObject(dependencies) ? dependencies : {})) {
        const key = Array.isArray(one) ? "dependentRequired" : "dependentSchemas"
        schema[key] = { ...(schema[key] as object | undefined), [name]: one }
      }
      delete schema.dependencies
    },
    "all"
  )

/** A report of a difference for the reviewer of a pull request. @category converting @since 0.1.0 */
export const toMarkdown = ({ changes }: Difference): string => {
  const isOnly = (one: Change, who: string) => one.breaks.length === 1 && one.breaks[0] === who
  const sections: ReadonlyArray<readonly [title: string, isIn: (change: Change) => boolean]> = [
    ["Breaks callers and consumers of the data", ({ breaks }) => breaks.length > 1],
    ["Breaks callers", (one) => isOnly(one, "callers")],
    ["Breaks consumers of the data", (one) => isOnly(one, "consumers")],
    ["New values for consumers", ({ breaking, kind }) => !breaking && kind === "loosened"],
    ["Breaks nobody", ({ breaking, kind }) => !breaking && kind !== "loosened"]
  ]
  const parts = sections.flatMap(([title, isIn]) => {
    const rows = changes
      .filter(isIn)
      .map((one) => `| ${[one.event, one.path, one.kind, one.detail].map(cell).join(" | ")} |`)
    const head = ["| Event | Property | Change | Detail |", "| --- | --- | --- | --- |"]
    return rows.length === 0 ? [] : [[`### ${title}`, "", ...head, ...rows].join("\n")]
  })
  const count = changes.filter(({ breaking }) => breaking).length
  const summary = changes.length === 0 ? "No changes." : `${changes.length} changes, ${count} of them breaking.`
  return `${["## Changes of the tracking plan", summary, ...parts].join("\n\n")}\n`
}

/** Text in a cell, whatever the plan has in it. */
const cell = (text: string): string =>
  text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replace(/[\\`*_[\]|~]/g, "\\$&")
    .replace(/\s+/g, " ")
