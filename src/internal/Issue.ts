/**
 * The first problem in the issue of a Schema, in words: the field, what its Schema takes, and the type of the value. Never the
 * value itself.
 */
import type * as SchemaAST from "effect/SchemaAST"
import type * as SchemaIssue from "effect/SchemaIssue"

export interface Problem {
  readonly path: ReadonlyArray<string | number>
  /** A missing field has no value. */
  readonly isMissing: boolean
  /** The words of the Schema for the values that it takes; for a missing field, its own words for that. */
  readonly expected: string | undefined
  readonly value: unknown
}

/** The first field that an issue of decoding `input` is about. */
export const firstProblem = (issue: SchemaIssue.Issue, input: unknown): Problem => {
  const path: Array<string | number> = []
  let expected: string | undefined
  for (let at: SchemaIssue.Issue | undefined = issue; at !== undefined; at = innerOf(at)) {
    if (at._tag === "MissingKey") {
      return { path, isMissing: true, expected: at.annotations?.messageMissingKey, value: undefined }
    }
    if (at._tag === "Pointer") {
      path.push(...at.path.map((key) => (typeof key === "number" ? key : String(key))))
      expected = undefined
    } else if ("ast" in at) expected ??= expectedBy(at.ast)
  }
  const value = path.reduce<unknown>((at, key) => (at as { readonly [key: string | number]: unknown })?.[key], input)
  return { path, isMissing: false, expected, value }
}

const innerOf = (issue: SchemaIssue.Issue): SchemaIssue.Issue | undefined =>
  "issues" in issue ? issue.issues[0] : "issue" in issue ? issue.issue : undefined

const expectedBy = (ast: SchemaAST.AST): string | undefined => {
  const own = ast.checks?.at(-1)?.annotations?.expected ?? ast.annotations?.expected
  if (typeof own === "string") return own
  return ast._tag === "Union" ? ast.types.map(expectedBy).find((expected) => expected !== undefined) : undefined
}

/** The type of a value, as a noun with its article. */
export const typeOf = (value: unknown): string => {
  if (value === null) return "null"
  if (value === undefined) return "missing"
  if (Array.isArray(value)) return "an array"
  if (value === "") return "an empty string"
  if (typeof value === "string" && !/\S/.test(value)) return "a blank string"
  if (typeof value === "number" && !Number.isFinite(value)) return String(value)
  if (typeof value === "number" && !Number.isSafeInteger(value)) {
    return Number.isInteger(value) ? "a number that JavaScript has rounded" : "a number with a fraction"
  }
  return typeof value === "object" ? "an object" : `a ${typeof value}`
}
