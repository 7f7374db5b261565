/**
 * Drops, hashes or keeps the fields that are marked as personal (`pii`), before a message is queued.
 */
import * as SchemaAST from "effect/SchemaAST"
import { builtin } from "../../internal/Builtin.ts"
import { annotationsIn } from "../Definition.ts"

export type Policy = "drop" | "hash" | "keep"

/** The marks of one place in the data. A recursive shape has recursive marks. */
export interface Marks {
  /** The strictest policy that is named here. */
  readonly policy: Policy | undefined
  /** Whether it is left to the layer. */
  readonly default: boolean
  /** The forms that the value may have, where marks lie below; in any other form they cannot be found. */
  forms: ReadonlySet<Form> | undefined
  readonly object: Level
  readonly array: Level
}

interface Level {
  /** `undefined` where nothing is marked, so that `rest` does not apply. */
  readonly fields: Map<string, Marks | undefined>
  /** The elements of an array, the values of a record. */
  rest: Marks | undefined
}

export type Form = "object" | "array" | "string" | "number" | "boolean"

/** The marks of one Schema. Other Schemas of the same value are referred to, since they may still be read. */
export interface Node {
  readonly id: number
  readonly policies: ReadonlyArray<Policy | "default">
  readonly container: "object" | "array" | undefined
  readonly forms: ReadonlyArray<Form>
  readonly fields: Map<string, Node>
  readonly rest: Array<Node>
  /** Members of a union, what is suspended, the form on the wire. */
  readonly same: Array<Node>
}

export const isPolicy = (value: unknown): value is Policy => value === "drop" || value === "hash" || value === "keep"

export const policyOf = (pii: unknown): ReadonlyArray<Policy | "default"> => {
  if (pii === undefined || pii === null || pii === false) return []
  if (pii === true) return ["default"]
  if (isPolicy(pii)) return [pii]
  throw new Error(`pii must be true, false, "drop", "hash" or "keep"`)
}

/** Finds the marks of a shape; `undefined` if it has none. Throws if a mark would not be found again on the wire. */
export const marksOf = (ast: SchemaAST.AST): Marks | undefined => {
  const known = new Map<SchemaAST.AST, Node>()
  const node = read(ast, known)
  const resolved = new Map<string, Marks>()
  const marksAt = (one: Node) => resolve([one], resolved)
  for (const [one, { container, fields, rest }] of known) {
    if (container === undefined || one.encoding === undefined) continue
    const wires = one.encoding.map(({ to }) => to)
    const keeps = wires.every((wire) => formsOf(closed([read(wire, known)])).has(container))
    for (const [name, field] of fields) {
      if (isMarkedWithin(marksAt(field)) && container === "object" && !wires.every((wire) => hasField(wire, name))) {
        const other = keeps ? "has another name" : "what holds it has another form"
        throw new Error(`${name} is marked as pii, and ${other} on the wire: mark it there`)
      }
    }
    const inside = container === "array" ? [...fields.values(), ...rest] : rest
    if (!keeps && inside.some((one) => isMarkedWithin(marksAt(one)))) {
      throw new Error("what is marked as pii has another form on the wire: mark it there")
    }
  }
  return marksOfNode(node, false, resolved)
}

/** The marks of a shape by what was read of it. If the whole is marked, `spreads` marks each of its fields; else it throws. */
export const marksOfNode = (node: Node, spreads = false, resolved = new Map<string, Marks>()): Marks | undefined => {
  const marks = resolve([node], resolved)
  if (!isHere(marks)) return isMarkedWithin(marks) ? pruned(marks) : undefined
  if (!spreads) throw new Error("is marked as pii as a whole: mark its fields")
  const whole = { policy: marks.policy, default: marks.default }
  const withWhole = (field: Marks | undefined): Marks => ({
    ...nothing,
    ...field,
    policy: strictest([field?.policy, whole.policy]),
    default: field?.default === true || whole.default
  })
  const fields = new Map(Array.from(marks.object.fields, ([name, field]) => [name, withWhole(field)]))
  return { ...marks, object: { fields, rest: withWhole(marks.object.rest) } }
}

const nothing: Marks = {
  policy: undefined,
  default: false,
  forms: undefined,
  object: { fields: new Map(), rest: undefined },
  array: { fields: new Map(), rest: undefined }
}

/** Whether a value of this Schema is marked, and not only what is in it. */
export const isMarked = (ast: SchemaAST.AST): boolean =>
  closed([read(ast, new Map())]).some(({ policies }) => policies.length > 0)

const read = (ast: SchemaAST.AST, known: Map<SchemaAST.AST, Node>): Node => {
  const seen = known.get(ast)
  if (seen !== undefined) return seen
  const node: Node = {
    id: known.size,
    policies: annotationsIn(ast).flatMap(({ pii }) => policyOf(pii)),
    container: SchemaAST.isObjects(ast) ? "object" : SchemaAST.isArrays(ast) ? "array" : undefined,
    forms: ast.encoding === undefined ? formsOfTag(ast) : [],
    fields: new Map(),
    rest: [],
    same: []
  }
  known.set(ast, node)
  if (SchemaAST.isObjects(ast)) {
    for (const { name, type } of ast.propertySignatures) node.fields.set(String(name), read(type, known))
    for (const { parameter, type } of ast.indexSignatures) {
      if (closed([read(parameter, known)]).some(({ policies }) => policies.length > 0)) {
        throw new Error("the names of a record are marked as pii: they are never changed, mark its values")
      }
      node.rest.push(read(type, known))
    }
  } else if (SchemaAST.isArrays(ast)) {
    ast.elements.forEach((element, index) => void node.fields.set(String(index), read(element, known)))
    for (const element of ast.rest) node.rest.push(read(element, known))
  } else if (SchemaAST.isUnion(ast)) {
    for (const member of ast.types) node.same.push(read(member, known))
  } else if (SchemaAST.isSuspend(ast)) {
    node.same.push(read(ast.thunk(), known))
  }
  for (const { to } of ast.encoding ?? []) node.same.push(read(to, known))
  return node
}

export const forms: ReadonlyArray<Form> = ["object", "array", "string", "number", "boolean"]

const formsOfTag = (ast: SchemaAST.AST): ReadonlyArray<Form> => {
  switch (ast._tag) {
    case "Objects":
      return ["object"]
    case "Arrays":
      return ["array"]
    case "String":
    case "TemplateLiteral":
      return ["string"]
    case "Number":
      return ["number"]
    case "Boolean":
      return ["boolean"]
    case "Literal":
      return forms.filter((form) => form === typeof ast.literal)
    case "Enum":
      return ["string", "number"]
    case "Union":
    case "Suspend":
    case "Null":
    case "Undefined":
    case "Void":
    case "Never":
      return []
    default:
      return forms
  }
}

const hasField = (ast: SchemaAST.AST, name: string): boolean =>
  SchemaAST.isObjects(ast) && ast.propertySignatures.some((field) => String(field.name) === name)

/** With all that holds of the same value. */
const closed = (nodes: Iterable<Node>): ReadonlyArray<Node> => {
  const all = new Set(nodes)
  // A set visits what is added on the way, too.
  for (const { same } of all) for (const one of same) all.add(one)
  return Array.from(all).sort((one, other) => one.id - other.id)
}

const formsOf = (nodes: ReadonlyArray<Node>): ReadonlySet<Form> => new Set(nodes.flatMap((node) => node.forms))

/** Of several policies for one value the strictest. */
export const strictest = (policies: ReadonlyArray<Policy | "default" | undefined>): Policy | undefined =>
  (["drop", "hash", "keep"] as const).find((policy) => policies.includes(policy))

/** The marks of several nodes for one value. */
const resolve = (nodes: Iterable<Node>, resolved: Map<string, Marks>): Marks => {
  const all = closed(nodes)
  const key = all.map(({ id }) => id).join()
  const known = resolved.get(key)
  if (known !== undefined) return known
  const policies = all.flatMap((node) => node.policies)
  const marks: Marks = {
    policy: strictest(policies),
    default: policies.includes("default"),
    forms: formsOf(all),
    object: { fields: new Map(), rest: undefined },
    array: { fields: new Map(), rest: undefined }
  }
  resolved.set(key, marks)
  for (const container of ["object", "array"] as const) {
    const level = marks[container]
    const holders = all.filter((node) => node.container === container)
    for (const name of new Set(holders.flatMap(({ fields }) => Array.from(fields.keys())))) {
      const said = holders.flatMap(({ fields, rest }) => fields.get(name) ?? rest)
      level.fields.set(name, resolve(said, resolved))
    }
    const rest = holders.flatMap((node) => node.rest)
    // An excess element of a tuple may be one of its elements, at another place.
    const others =
      rest.length > 0 || container === "object" ? rest : holders.flatMap(({ fields }) => [...fields.values()])
    if (others.length > 0) level.rest = resolve(others, resolved)
  }
  return marks
}

const below = ({ array, object }: Marks): ReadonlyArray<Marks> =>
  [...object.fields.values(), object.rest, ...array.fields.values(), array.rest].filter((one) => one !== undefined)

/** These marks and all below them, each once. */
const everyOf = (marks: Marks): ReadonlySet<Marks> => {
  const all = new Set([marks])
  for (const one of all) for (const inside of below(one)) all.add(inside)
  return all
}

const isHere = (marks: Marks): boolean => marks.policy !== undefined || marks.default
const isMarkedWithin = (marks: Marks): boolean => Array.from(everyOf(marks)).some(isHere)

/** Forgets where nothing is marked, so that a call does not look there. */
const pruned = (marks: Marks): Marks => {
  const all = everyOf(marks)
  const marked = new Set(Array.from(all).filter(isMarkedWithin))
  for (const one of all) {
    if (!below(one).some((inside) => marked.has(inside))) one.forms = undefined
    for (const level of [one.object, one.array]) {
      for (const [name, field] of level.fields) {
        if (field !== undefined && !marked.has(field)) level.fields.set(name, undefined)
      }
      if (level.rest !== undefined && !marked.has(level.rest)) level.rest = undefined
    }
  }
  return marks
}

/** Which policy it is, when the marks without one of their own have this one. */
const chosenOf = (marks: Marks, policy: Policy): Policy | undefined =>
  marks.default ? strictest([marks.policy, policy]) : marks.policy

/** Whether these marks need a key, when the marks without a policy of their own have this one. */
export const hashes = (marks: Marks, policy: Policy): boolean =>
  Array.from(everyOf(marks)).some((one) => chosenOf(one, policy) === "hash")

/** A keyed SHA-256 (HMAC) of a text, as hexadecimal digits. */
export type Hash = (text: string) => string

/**
 * The hash with this key, or `undefined` where there is no `node:crypto`: a call does not wait, and so the hash may not,
 * as the one of Web Crypto would.
 */
export const makeHash = (key: string): Hash | undefined => {
  const crypto = builtin<Crypto>("node:crypto")
  return crypto === undefined ? undefined : (text) => crypto.createHmac("sha256", key).update(text).digest("hex")
}

interface Crypto {
  readonly createHmac: (algorithm: "sha256", key: string) => Hmac
}

interface Hmac {
  readonly update: (text: string) => Hmac
  readonly digest: (encoding: "hex") => string
}

/**
 * Applies the policies to data, in place. A field to hash is dropped without a key, and so is a value with marks
 * whose form is not the plan's.
 */
export const apply = (marks: Marks, data: unknown, policy: Policy, hash: Hash | undefined): void => {
  if (typeof data !== "object" || data === null) return
  const fields = data as Record<string, unknown>
  const level = Array.isArray(data) ? marks.array : marks.object
  for (const name of Object.keys(fields)) {
    const mark = level.fields.has(name) ? level.fields.get(name) : level.rest
    if (mark === undefined) continue
    const chosen = chosenOf(mark, policy)
    const value = fields[name]
    if ((chosen === undefined || chosen === "keep") && (mark.forms === undefined || hasForm(value, mark.forms))) {
      apply(mark, value, policy, hash)
    } else if (chosen === "hash" && hash !== undefined) {
      if (value !== null) fields[name] = hash(typeof value === "string" ? value : JSON.stringify(value))
    } else if (Array.isArray(data)) fields[name] = null
    else delete fields[name]
  }
}

const hasForm = (value: unknown, known: ReadonlySet<Form>): boolean =>
  value === null || known.has(Array.isArray(value) ? "array" : (typeof value as Form))
