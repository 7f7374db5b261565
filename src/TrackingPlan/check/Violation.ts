/**
 * One thing that is wrong with data: where, and what was expected there. It never holds a value, and no key that may be
 * one: the names in a record can be anybody's address.
 */
import * as SchemaAST from "effect/SchemaAST"
import * as SchemaIssue from "effect/SchemaIssue"
import type { PlanViolation } from "../../AnalyticsError.ts"
import { sourceKey } from "./JsonSource.ts"

/** One way in which a call breaks the plan. @category models @since 0.1.0 */
export interface Violation {
  readonly kind: PlanViolation["violation"]
  /** `*` stands for a name that the Schema does not know. */
  readonly path: ReadonlyArray<string | number>
  readonly expected: string
}

export const none: ReadonlyArray<Violation> = []

const format = SchemaIssue.makeFormatterDefault()

/** The violations in an issue. */
export const explain = (ast: SchemaAST.AST, issue: SchemaIssue.Issue): ReadonlyArray<Violation> => {
  const found: Array<Violation> = []
  collect(issue, [], [], (kind, path, rest, expected) => {
    found.push({ kind, path: [...withoutData(ast, path, rest.length === 0 ? kind : "value"), ...rest], expected })
  })
  return found
}

type Path = ReadonlyArray<string | number>

/** `path` is what effect has found; `rest` is what a JSON Schema has found below it, and has no names that are data. */
const collect = (
  issue: SchemaIssue.Issue,
  path: Path,
  rest: Path,
  found: (kind: Violation["kind"], path: Path, rest: Path, expected: string) => void,
  isJson = false
): void => {
  switch (issue._tag) {
    case "Pointer": {
      const keys = issue.path.map((key) => (typeof key === "number" ? key : String(key)))
      return isJson
        ? collect(issue.issue, path, [...rest, ...keys], found, true)
        : collect(issue.issue, [...path, ...keys], rest, found)
    }
    case "Encoding":
      return collect(issue.issue, path, rest, found, isJson)
    case "Composite":
      for (const one of issue.issues) collect(one, path, rest, found, isJson)
      return
    case "Filter":
      if (issue.filter.annotations !== undefined && sourceKey in issue.filter.annotations) {
        return collect(issue.issue, path, rest, found, true)
      }
      break
    case "AnyOf": {
      const nearest = issue.issues[0]
      if (nearest !== undefined) return collect(nearest, path, rest, found, isJson)
    }
  }
  found(kinds[issue._tag] ?? "value", path, rest, format(issue))
}

const kinds: { readonly [tag in SchemaIssue.Issue["_tag"]]?: Violation["kind"] } = {
  MissingKey: "required",
  UnexpectedKey: "unexpected",
  InvalidType: "type",
  AnyOf: "type"
}

// ---------------------------------------------------------------------------------------------------------------------
// Paths
// ---------------------------------------------------------------------------------------------------------------------

/**
 * The path, with `*` for names that are data. The name of what should not be there is what the violation is about; but in
 * a record it is data like the others.
 */
const withoutData = (ast: SchemaAST.AST, path: Path, kind: Violation["kind"]): Path => {
  let at: ReadonlyArray<SchemaAST.AST> = [ast]
  return path.map((key, index) => {
    const holders = formsOf(at)
    const known = holders.flatMap((holder) => typesAt(holder, key))
    at = known.length > 0 ? known : holders.flatMap(restOf)
    const isKnown = typeof key === "number" || known.length > 0
    const isUnexpected = kind === "unexpected" && index === path.length - 1 && !holders.some(isRecord)
    return isKnown || isUnexpected ? key : "*"
  })
}

/** The Schemas of a key that is named. */
const typesAt = (ast: SchemaAST.AST, key: string | number): ReadonlyArray<SchemaAST.AST> => {
  if (SchemaAST.isObjects(ast)) {
    return ast.propertySignatures.filter(({ name }) => String(name) === String(key)).map(({ type }) => type)
  }
  const element = SchemaAST.isArrays(ast) ? ast.elements[Number(key)] : undefined
  return element === undefined ? [] : [element]
}

/** The Schemas of keys that are not named. */
const restOf = (ast: SchemaAST.AST): ReadonlyArray<SchemaAST.AST> =>
  SchemaAST.isObjects(ast) ? ast.indexSignatures.map(({ type }) => type) : SchemaAST.isArrays(ast) ? ast.rest : []

const isRecord = (ast: SchemaAST.AST): boolean => SchemaAST.isObjects(ast) && ast.indexSignatures.length > 0

/** All forms that a value may have: members of unions, what is suspended, the forms on the way to the wire. */
const formsOf = (asts: ReadonlyArray<SchemaAST.AST>): ReadonlyArray<SchemaAST.AST> => {
  const all = new Set(asts)
  // A set visits what is added on the way, too.
  for (const ast of all) {
    if (SchemaAST.isUnion(ast)) for (const member of ast.types) all.add(member)
    if (SchemaAST.isSuspend(ast)) all.add(ast.thunk())
    for (const { to } of ast.encoding ?? []) all.add(to)
  }
  return Array.from(all)
}
