/**
 * From the columns of a row, or the fields of a line, to a call: `--map properties.total:number=amount`. Without a mapping
 * each column is the field that it is named for, as in `properties.total`.
 */
import { types } from "../../Call.ts"
import { type CommandError, usage } from "../internal/Exit.ts"

type Fields = { readonly [field: string]: unknown }

/** A call, or why it is none. */
interface Mapped {
  readonly call: Fields | undefined
  readonly problem: string | undefined
}

export interface Mapping {
  readonly ofRow: (row: { readonly [column: string]: string }) => Mapped
  readonly ofObject: (object: Fields) => Mapped
}

const kinds = ["text", "number", "boolean", "json"] as const
type Kind = (typeof kinds)[number]

/** Where a column goes in a call, and what its text becomes. */
interface Target {
  readonly path: ReadonlyArray<string>
  readonly kind: Kind
}

const example = "For example: --map userId=user_id --map properties.total:number=amount"

/** `properties.total:number`. */
const targetOf = (text: string): Target | CommandError => {
  const [name = "", kind = "text", ...rest] = text.split(":")
  const path = name.split(".")
  if (rest.length > 0 || !kinds.includes(kind as Kind)) {
    return usage(`--map ${text} has no known kind of value: ${kinds.join(", ")}`, example)
  }
  if (path.some((key) => key === "" || key === "__proto__")) return usage(`--map ${text} is not a field`, example)
  return { path, kind: kind as Kind }
}

/** Reads the mapping; `type` is the call of records without one. */
export const make = (
  map: { readonly [target: string]: string } | undefined,
  type: string | undefined
): Mapping | CommandError => {
  const targets: Array<readonly [column: string, target: Target]> = []
  for (const [text, column] of Object.entries(map ?? {})) {
    const target = targetOf(text)
    if ("message" in target) return target
    targets.push([column, target])
  }
  /** Of the columns of a file without a mapping. */
  const known = new Map<string, Target | CommandError>()
  const named = (column: string) => {
    const target = known.get(column) ?? targetOf(column)
    known.set(column, target)
    return target
  }

  const typed = (call: { [field: string]: unknown }): Mapped => {
    call.type ??= type
    if (types.includes(call.type as never)) return { call, problem: undefined }
    return {
      call: undefined,
      problem:
        call.type === undefined
          ? "there is no type: give one to all of them, as in --type track"
          : `type must be one of ${types.join(", ")}`
    }
  }

  const gather = (columns: Iterable<readonly [column: string, target: Target]>, row: Fields): Mapped => {
    const call: { [field: string]: unknown } = {}
    for (const [column, { kind, path }] of columns) {
      const value = valueOf(kind, row[column])
      if (value === undefined) continue
      if (value === invalid) return { call: undefined, problem: `column ${JSON.stringify(column)} holds no ${kind}` }
      if (!put(call, path, value)) {
        return { call: undefined, problem: `column ${JSON.stringify(column)} is inside of a field that is no object` }
      }
    }
    return typed(call)
  }

  return {
    ofRow: (row) => {
      if (map !== undefined) return gather(targets, row)
      const columns: typeof targets = []
      for (const column of Object.keys(row)) {
        const target = named(column)
        if ("message" in target) return { call: undefined, problem: `column ${JSON.stringify(column)} names no field` }
        columns.push([column, target])
      }
      return gather(columns, row)
    },
    ofObject: (object) => (map === undefined ? typed(object) : gather(targets, object))
  }
}

const invalid = Symbol("invalid")

/** What is in a column; an empty one is absent. */
const valueOf = (kind: Kind, text: unknown): unknown => {
  if (typeof text !== "string") return text
  if (text === "") return undefined
  switch (kind) {
    case "text":
      return text
    case "number": {
      const number = Number(text)
      return Number.isFinite(number) && text.trim() !== "" ? number : invalid
    }
    case "boolean":
      return /^(true|1|yes)$/i.test(text) ? true : /^(false|0|no)$/i.test(text) ? false : invalid
    case "json":
      try {
        return JSON.parse(text)
      } catch {
        return invalid
      }
  }
}

/** Puts a value at a path, and makes the objects on the way. */
const put = (call: { [field: string]: unknown }, path: ReadonlyArray<string>, value: unknown): boolean => {
  let place: { [field: string]: unknown } = call
  for (const key of path.slice(0, -1)) {
    place[key] ??= {}
    const next = place[key]
    if (typeof next !== "object" || next === null || Array.isArray(next)) return false
    place = next as { [field: string]: unknown }
  }
  place[path.at(-1) as string] = value
  return true
}
