/**
 * What becomes of fields that say who someone is (`pii`), before anything is queued: they are dropped, hashed or kept.
 */
import type * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"

export type Policy = "drop" | "hash" | "keep"

/** Where the marks are in data of one shape. Shapes that hold themselves are marks that hold themselves. */
export interface Marks {
  policy: Policy | "default" | undefined
  readonly fields: Map<string, Marks>
  /** The elements of an array, the values of a record. */
  rest: Marks | undefined
}

const isPolicy = (value: unknown): value is Policy => value === "drop" || value === "hash" || value === "keep"

const policyOf = (annotations: Schema.Annotations.Annotations | undefined): Marks["policy"] => {
  const pii = annotations?.pii
  return pii === true ? "default" : isPolicy(pii) ? pii : undefined
}

/** Finds the marks of a shape; `undefined` if it has none. Throws if a mark would not be found again on the wire. */
export const marksOf = (ast: SchemaAST.AST): Marks | undefined => {
  const known = new Map<SchemaAST.AST, Marks>()
  const marks = read(ast, known)
  return Array.from(known.values()).some(({ policy }) => policy !== undefined) ? marks : undefined
}

const read = (ast: SchemaAST.AST, known: Map<SchemaAST.AST, Marks>): Marks => {
  const seen = known.get(ast)
  if (seen !== undefined) return seen
  const marks: Marks = { policy: undefined, fields: new Map(), rest: undefined }
  known.set(ast, marks)
  marks.policy = policyOf(SchemaAST.resolve(ast)) ?? policyOf(ast.context?.annotations)
  if (SchemaAST.isObjects(ast)) {
    const wire = ast.encoding?.[0].to
    for (const { name, type } of ast.propertySignatures) {
      const field = read(type, known)
      marks.fields.set(String(name), field)
      if (field.policy !== undefined && wire !== undefined && !hasField(wire, name)) {
        throw new Error(`${String(name)} is marked as pii, and has another name on the wire: mark it there`)
      }
    }
    for (const { type } of ast.indexSignatures) marks.rest = merge(marks.rest, read(type, known))
  } else if (SchemaAST.isArrays(ast)) {
    for (const element of [...ast.elements, ...ast.rest]) marks.rest = merge(marks.rest, read(element, known))
  } else if (SchemaAST.isUnion(ast)) {
    for (const member of ast.types) join(marks, read(member, known))
  } else if (SchemaAST.isSuspend(ast)) {
    join(marks, read(ast.thunk(), known))
  }
  if (ast.encoding !== undefined) join(marks, read(ast.encoding[0].to, known))
  return marks
}

const hasField = (ast: SchemaAST.AST, name: PropertyKey): boolean =>
  SchemaAST.isObjects(ast) && ast.propertySignatures.some((field) => field.name === name)

/** Of two policies for one field the stricter. */
const strictness = ["drop", "hash", "default", "keep", undefined]
const stricter = (one: Marks["policy"], other: Marks["policy"]) =>
  strictness.indexOf(one) < strictness.indexOf(other) ? one : other

const join = (marks: Marks, other: Marks): void => {
  marks.policy = stricter(marks.policy, other.policy)
  for (const [name, field] of other.fields) marks.fields.set(name, merge(marks.fields.get(name), field))
  if (other.rest !== undefined) marks.rest = merge(marks.rest, other.rest)
}

const merge = (one: Marks | undefined, other: Marks): Marks => {
  if (one === undefined || one === other) return other
  const both: Marks = { policy: one.policy, fields: new Map(one.fields), rest: one.rest }
  join(both, other)
  return both
}

/** Whether these marks need a key, when the marks without a policy of their own have this one. */
export const hashes = (marks: Marks, policy: Policy, seen = new Set<Marks>()): boolean => {
  if (seen.has(marks)) return false
  seen.add(marks)
  return (
    marks.policy === "hash" ||
    (marks.policy === "default" && policy === "hash") ||
    Array.from(marks.fields.values()).some((field) => hashes(field, policy, seen)) ||
    (marks.rest !== undefined && hashes(marks.rest, policy, seen))
  )
}

/** Answers a keyed SHA-256 (HMAC) of a text, as hexadecimal digits. */
export type Hash = (text: string) => string

/**
 * The hash with this key, or `undefined` where there is no `node:crypto`: a call does not wait, and so the hash may not,
 * as the one of Web Crypto would.
 */
export const makeHash = (key: string): Hash | undefined => {
  const { process } = globalThis as {
    readonly process?: { readonly getBuiltinModule?: (id: string) => Crypto | undefined }
  }
  const crypto = process?.getBuiltinModule?.("node:crypto")
  return crypto === undefined ? undefined : (text) => crypto.createHmac("sha256", key).update(text).digest("hex")
}

interface Crypto {
  readonly createHmac: (algorithm: "sha256", key: string) => Hmac
}

interface Hmac {
  readonly update: (text: string) => Hmac
  readonly digest: (encoding: "hex") => string
}

/** Applies the policies to data, in place. What is to be hashed and has no hash is dropped. */
export const apply = (marks: Marks, data: unknown, policy: Policy, hash: Hash | undefined): void => {
  if (typeof data !== "object" || data === null) return
  const fields = data as Record<string, unknown>
  for (const name of Object.keys(fields)) {
    const mark = marks.fields.get(name) ?? marks.rest
    if (mark === undefined) continue
    const chosen = mark.policy === "default" ? policy : mark.policy
    const value = fields[name]
    if (chosen === undefined || chosen === "keep") apply(mark, value, policy, hash)
    else if (chosen === "hash" && hash !== undefined) {
      if (value !== null) fields[name] = hash(typeof value === "string" ? value : JSON.stringify(value))
    } else if (Array.isArray(data)) fields[name] = null
    else delete fields[name]
  }
}
