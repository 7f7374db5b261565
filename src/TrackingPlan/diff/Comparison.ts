/**
 * The changes between two JSON Schemas, and which of them break callers or consumers of the data.
 */
import { conditional, getOwn, isObject, type Json, listOf, typesOf, valuesOf } from "../json/Keywords.ts"
import { Side } from "./Choices.ts"
import {
  areDisjoint,
  areTypesIn,
  type Bound,
  boundOf,
  descriptive,
  isAnything,
  isRequired,
  known,
  lowerBounds,
  nameOf,
  nameOfTypes,
  open,
  propertiesOf,
  restrictive,
  text,
  upperBounds
} from "./Restrictions.ts"

/** Callers make the calls; consumers read the data. @category models @since 0.1.0 */
export type Broken = "callers" | "consumers"

/** A change. */
export interface SchemaChange {
  /** Where: `products[].price`, `prices.*` for other properties, `pair[0]`; empty, if it is the whole. */
  readonly path: string
  readonly kind: "added" | "removed" | "renamed" | "retyped" | "tightened" | "loosened" | "described"
  readonly breaking: boolean
  /** A rule that is `loosened` breaks nobody here; consumers may meet values that they have not seen before. */
  readonly breaks: ReadonlyArray<Broken>
  /** The values before and after, in words. */
  readonly detail: string
}

export const both: ReadonlyArray<Broken> = ["callers", "consumers"]

/** A breaking change of this kind breaks these. A tighter rule refuses calls, and does not change data. */
const brokenBy = (kind: SchemaChange["kind"]): ReadonlyArray<Broken> =>
  kind === "added" || kind === "tightened" ? ["callers"] : both

const change = (
  kind: SchemaChange["kind"],
  breaking: boolean,
  detail: string,
  path = "",
  breaks = brokenBy(kind)
): SchemaChange => ({ path, kind, breaking, breaks: breaking ? breaks : [], detail })

const below = (path: string, all: ReadonlyArray<SchemaChange>): ReadonlyArray<SchemaChange> =>
  all.map((one) => ({ ...one, path: path + one.path }))

/** Compares two schemas. On the way a path begins where the schema is: `.products`, `[].price`. */
export class Comparison {
  private readonly before: Side
  private readonly after: Side
  /** The changes of a pair; none while it is being compared, so that recursion ends. */
  private readonly found = new Map<Json, Map<Json, ReadonlyArray<SchemaChange>>>()

  constructor(before: Json, after: Json) {
    this.before = new Side(before)
    this.after = new Side(after)
  }

  changes(): ReadonlyArray<SchemaChange> {
    return this.compare(this.before.root, this.after.root).map((one) => ({ ...one, path: one.path.replace(/^\./, "") }))
  }

  /** Pairs are looked up by what they resolve to, so that each is compared once. */
  private once(was: Json, is: Json, compare: () => ReadonlyArray<SchemaChange>): ReadonlyArray<SchemaChange> {
    const seen = this.found.get(was) ?? new Map<Json, ReadonlyArray<SchemaChange>>()
    this.found.set(was, seen)
    const before = seen.get(is)
    if (before !== undefined) return before
    seen.set(is, [])
    const unique = new Map(compare().map((one) => [text(one), one]))
    const all = Array.from(unique.values())
    seen.set(is, all)
    return all
  }

  private compare(before: Json, after: Json): ReadonlyArray<SchemaChange> {
    return this.once(before, after, () => this.choose(this.before.choices(before), this.after.choices(after)))
  }

  /** Pairs the alternatives that are most alike. A lost alternative breaks, a new one does not. */
  private choose(was: ReadonlyArray<Json>, is: ReadonlyArray<Json>): ReadonlyArray<SchemaChange> {
    const detail = `was ${nameOfTypes(was)}, is ${nameOfTypes(is)}`
    if (was.length > 1 || is.length > 1) {
      const [wasAnything, isAny] = [was.some(isAnything), is.some(isAnything)]
      if (wasAnything !== isAny) return [change(isAny ? "loosened" : "tightened", !isAny, detail)]
    }
    const alone = was.length === 1 && is.length === 1
    const pairs = was
      .flatMap((one, i) =>
        is.flatMap((other, j) => {
          if (!(alone ? this.comparable(one, other) : this.alike(one, other))) return []
          const all = this.once(one, other, () => this.member(one, other))
          const breaks = all.filter(({ breaking }) => breaking).length
          return [{ one, other, all, breaks, distance: Math.abs(i - j) }]
        })
      )
      .sort((a, b) => a.breaks - b.breaks || a.all.length - b.all.length || a.distance - b.distance)
    const [used, gone] = [new Set<Json>(), new Set<Json>()]
    const changes: Array<SchemaChange> = []
    for (const { all, one, other } of pairs) {
      if (gone.has(one) || used.has(other)) continue
      gone.add(one)
      used.add(other)
      changes.push(...all)
    }
    const lost = was.filter((one) => !gone.has(one) && !pairs.some((pair) => pair.one === one && pair.breaks === 0))
    const gained = is.filter((one) => !used.has(one) && !pairs.some((pair) => pair.other === one && !pair.all.length))
    if (lost.length === 0 && gained.length === 0) return changes
    const kind = lost.length === 0 ? "loosened" : gained.length === 0 ? "tightened" : "retyped"
    const names = [...lost.map((one) => `is no longer ${nameOf(one)}`), ...gained.map((one) => `may be ${nameOf(one)}`)]
    const same = nameOfTypes(was) === nameOfTypes(is)
    return [change(kind, lost.length > 0, same ? names.join(", ") : detail), ...changes]
  }

  private comparable(was: Json, is: Json): boolean {
    const [from, to] = [typesOf(was), typesOf(is)]
    return areTypesIn(from, to) || areTypesIn(to, from)
  }

  /** Whether two alternatives may be the same one: not if a discriminating value differs. */
  private alike(was: Json, is: Json): boolean {
    if (!this.comparable(was, is) || areDisjoint([was], [is])) return false
    const [from, to] = [propertiesOf(was), propertiesOf(is)]
    return !Object.keys(from).some((name) => {
      const [one, other] = [from[name], getOwn(to, name)]
      if (!isRequired(was, name) || !isRequired(is, name) || !isObject(one) || !isObject(other)) return false
      return areDisjoint(this.before.choices(one), this.after.choices(other))
    })
  }

  private member(was: Json, is: Json): ReadonlyArray<SchemaChange> {
    return [
      ...this.described(was, is),
      ...this.types(was, is),
      ...this.values(was, is),
      ...this.limits(was, is),
      ...this.fields(was, is),
      ...this.elements(was, is),
      ...this.rest(was, is)
    ]
  }

  /** Other keywords: one more is tighter, one less is looser. A keyword that JSON Schema does not have restricts nothing. */
  private rest(was: Json, is: Json): ReadonlyArray<SchemaChange> {
    const keys = new Set([...Object.keys(was), ...Object.keys(is)].filter((key) => !known.has(key)))
    return Array.from(keys).flatMap((key) => {
      const [from, to] = [was[key], is[key]]
      if (text(from) === text(to)) return []
      if (!conditional.has(key)) return [change("described", false, `${key} was ${text(from)}, is ${text(to)}`)]
      if (from === undefined || to === undefined) return [this.narrowed(to === undefined, from, to, key)]
      return [change("retyped", true, `was ${text({ [key]: from })}, is ${text({ [key]: to })}`)]
    })
  }

  private described(was: Json, is: Json): ReadonlyArray<SchemaChange> {
    const changed = descriptive.filter((word) => text(was[word]) !== text(is[word]))
    const all = changed.map((word) =>
      change("described", false, `${word} was ${text(was[word])}, is ${text(is[word])}`)
    )
    const [from, to] = [was.pii ?? false, is.pii ?? false]
    if (from === to) return all
    const detail = `pii was ${text(was.pii)}, is ${text(is.pii)}`
    // Consumers lose a field that is dropped or hashed.
    const kept = to === false || to === "keep"
    return [...all, kept ? change("described", false, detail) : change("tightened", true, detail, "", ["consumers"])]
  }

  private types(was: Json, is: Json): ReadonlyArray<SchemaChange> {
    const [from, to] = [typesOf(was), typesOf(is)]
    const [wider, narrower] = [areTypesIn(from, to), areTypesIn(to, from)]
    if (wider && narrower) return []
    return [change(wider ? "loosened" : "tightened", !wider, `was ${nameOfTypes([was])}, is ${nameOfTypes([is])}`)]
  }

  private values(was: Json, is: Json): ReadonlyArray<SchemaChange> {
    const from = valuesOf(was)?.map(text)
    const to = valuesOf(is)?.map(text)
    if (from === undefined) return to === undefined ? [] : [change("tightened", true, `is one of ${to.join(", ")}`)]
    if (to === undefined) return [change("loosened", false, `is no longer one of ${from.join(", ")}`)]
    const lost = from.filter((value) => !to.includes(value))
    const gained = to.filter((value) => !from.includes(value))
    return [
      ...(lost.length === 0 ? [] : [change("tightened", true, `is no longer ${lost.join(" or ")}`)]),
      ...(gained.length === 0 ? [] : [change("loosened", false, `may be ${gained.join(" or ")}`)])
    ]
  }

  private limits(was: Json, is: Json): ReadonlyArray<SchemaChange> {
    const all: Array<SchemaChange> = []
    const whole = [was, is].every((json) => text(typesOf(json)) === `["integer"]`)
    for (const [keys, sign, more] of [[lowerBounds, 1, "more"] as const, [upperBounds, -1, "less"] as const]) {
      for (const key of keys.filter((one) => !one.startsWith("exclusive"))) {
        const exclusive = key === "minimum" ? "exclusiveMinimum" : key === "maximum" ? "exclusiveMaximum" : ""
        const from = boundOf(was, key, exclusive, sign, whole)
        const to = boundOf(is, key, exclusive, sign, whole)
        if (from.value === to.value && from.exclusive === to.exclusive) continue
        const nameOfBound = (bound: Bound) =>
          bound.value === -Infinity ? "nothing" : `${bound.exclusive ? `${more} than ` : ""}${bound.value * sign}`
        const tightened = to.value > from.value || (to.value === from.value && to.exclusive)
        all.push(
          change(
            tightened ? "tightened" : "loosened",
            tightened,
            `${key} was ${nameOfBound(from)}, is ${nameOfBound(to)}`
          )
        )
      }
    }
    const changed = restrictive.filter((key) => text(was[key]) !== text(is[key]))
    return [...all, ...changed.map((key) => this.narrowed(is[key] === undefined, was[key], is[key], key))]
  }

  private narrowed(loosened: boolean, was: unknown, is: unknown, key: string): SchemaChange {
    return change(loosened ? "loosened" : "tightened", !loosened, `${key} was ${text(was)}, is ${text(is)}`)
  }

  private fields(was: Json, is: Json): ReadonlyArray<SchemaChange> {
    const [from, to] = [propertiesOf(was), propertiesOf(is)]
    const renamed = renamesIn(from, to)
    const names = new Set([...Object.keys(from).filter((name) => !renamed.has(name)), ...Object.keys(to)])
    const oldNames = new Map(Array.from(renamed, ([old, name]) => [name, old]))
    const all = Array.from(names).flatMap((name) => {
      const old = oldNames.get(name)
      const [before, after] = [getOwn(from, old ?? name), getOwn(to, name)]
      const required = isRequired(is, name)
      if (after === undefined) return [change("removed", true, "is removed", `.${name}`)]
      if (before === undefined) {
        return [change("added", required, required ? "is added, and required" : "is added", `.${name}`)]
      }
      const changed = [
        ...(old === undefined ? [] : [change("renamed", true, `was ${old}`)]),
        ...(required === isRequired(was, old ?? name)
          ? []
          : [change(required ? "tightened" : "loosened", required, required ? "is required" : "is optional")])
      ]
      return below(`.${name}`, [...changed, ...this.part(before, after)])
    })
    const [rest, other] = [open(was.additionalProperties), open(is.additionalProperties)]
    if (isObject(rest) && isObject(other)) return [...all, ...below(".*", this.compare(rest, other))]
    if (rest === other) return all
    const loosened = other === true || rest === false
    const detail = loosened ? "may have other properties" : "other properties are restricted"
    return [...all, change(loosened ? "loosened" : "tightened", !loosened, detail)]
  }

  /** The schemas of a field or an element, of which `true` takes anything, and `false` nothing. */
  private part(before: unknown, after: unknown): ReadonlyArray<SchemaChange> {
    const [was, is] = [before, after].map((one) => (one === true ? {} : one))
    if (isObject(was) && isObject(is)) return this.compare(was, is)
    if (is === false && isObject(was)) return [change("tightened", true, "may not be given any more")]
    return was === false && isObject(is) ? [change("loosened", false, "may be given")] : []
  }

  /** Those that have a place of their own, and the rest. */
  private elements(was: Json, is: Json): ReadonlyArray<SchemaChange> {
    const [from, to] = [listOf(was.prefixItems), listOf(is.prefixItems)]
    const all = Array.from({ length: Math.max(from.length, to.length) }, (_, i) => {
      const at = `[${i}]`
      const [before, after] = [from[i], to[i]]
      if (after === undefined && !isObject(is.items)) return [change("removed", true, "is removed", at)]
      if (before === undefined && !isObject(was.items)) {
        const required = typeof is.minItems === "number" && is.minItems > i
        return [change("added", required, required ? "is added, and required" : "is added", at)]
      }
      const [one, other] = [before ?? was.items, after ?? is.items]
      return below(at, this.part(one, other))
    }).flat()
    const [rest, other] = [open(was.items), open(is.items)]
    if (isObject(rest) && isObject(other)) return [...all, ...below("[]", this.compare(rest, other))]
    return rest === other
      ? all
      : [...all, this.narrowed(other === true || rest === false, was.items, is.items, "items")]
  }
}

/** The names that are gone, each with the new one that has it as an alias. */
export const renamesIn = (from: Json, to: Json): ReadonlyMap<string, string> =>
  new Map(
    Object.entries(to)
      .filter(([name]) => !Object.hasOwn(from, name))
      .flatMap(([name, field]) => listOf(getOwn(field, "aliases")).map((alias) => [String(alias), name] as const))
      .filter(([alias]) => Object.hasOwn(from, alias) && !Object.hasOwn(to, alias))
  )
