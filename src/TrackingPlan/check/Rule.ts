/**
 * The rules of a plan, by what they are about. A rule finds violations in data from the wire, and brings data of the program
 * into the form of the wire.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaParser from "effect/SchemaParser"
import type { Type } from "../../Call.ts"
import { isData } from "../../internal/Json.ts"
import {
  annotationsOf,
  type Definition,
  isEmpty,
  isForeign,
  oneEffect,
  type Shape,
  type Shapes
} from "../Definition.ts"
import { mapParts } from "../pii/MapParts.ts"
import * as Marks from "../pii/Marks.ts"
import { toSent } from "../pii/Sent.ts"
import { type JsonSource, jsonSourceOf, sourceKey } from "./JsonSource.ts"
import { explain, none, type Violation } from "./Violation.ts"

type Outcome = Result.Result<unknown, ReadonlyArray<Violation>>
type Run = (data: unknown) => Result.Result<unknown, SchemaIssue.Issue>

export class Rule {
  /** The event, page or screen that the rule is about. */
  readonly name: string | undefined
  readonly version: string | undefined
  readonly deprecated: boolean | string
  /** Whether calls give data in the form of the wire: it is checked there, and nothing is encoded. */
  readonly isJson: boolean
  /** Whether the fields of what calls give have other names, or another place, on the wire. */
  readonly isReshaped: boolean
  private readonly codec: Schema.Codec<unknown, unknown>
  private readonly options: SchemaAST.ParseOptions
  private readonly clean: ((data: unknown) => unknown) | undefined
  // A plan may have thousands of rules, and a program makes use of few: parsers are made when they are needed.
  private decoded: Run | undefined
  private encoded: Run | undefined
  private sent: Run | undefined
  private readonly source: JsonSource | undefined
  private found: Marks.Marks | undefined

  constructor(shape: Shape, name: string | undefined, version: string | undefined) {
    if (holds(shape.ast, isForeign)) throw new Error(`its Schema was made by another copy of effect. ${oneEffect}`)
    const annotations = annotationsOf(shape.ast)
    this.source = jsonSourceOf(shape.ast)
    this.isJson = this.source !== undefined
    this.codec = this.isJson ? (shape as unknown as typeof this.codec) : withObjects(Schema.toCodecJson(shape))
    this.options = { onExcessProperty: annotations.strict === true ? "error" : "ignore" }
    this.name = name
    this.version = annotations.planVersion ?? version
    this.deprecated = annotations.deprecated ?? false
    if (!this.isJson && holds(shape.ast, isMarkedInJson)) {
      throw new Error("what a JSON Schema in an Effect Schema marks as pii is not found: mark it in the Effect Schema")
    }
    if (!this.isJson) this.found = Marks.marksOf(this.codec.ast)
    this.isReshaped = !this.isJson && holds(shape.ast, isReshaped)
    this.clean = !this.isJson && holds(shape.ast, SchemaAST.isUndefined) ? withoutUndefined : undefined
  }

  /** The fields that are marked as `pii`. */
  get marks(): Marks.Marks | undefined {
    if (this.source !== undefined && this.source.policies.size > 0) this.found ??= this.source.marks()
    return this.found
  }

  /** Whether a key is needed, when marks without a policy of their own have this one. */
  needsHash(policy: Marks.Policy): boolean {
    const policies = this.source?.policies
    if (policies !== undefined) return policies.has("hash") || (policies.has("default") && policy === "hash")
    return this.found !== undefined && Marks.hashes(this.found, policy)
  }

  /** The violations in data from the wire. */
  violations(data: unknown): ReadonlyArray<Violation> {
    const result = this.decode(data)
    return Result.isSuccess(result) ? none : result.failure
  }

  /** Data from the wire as the program knows it. */
  decode(data: unknown): Outcome {
    this.decoded ??= this.decodedAs(this.codec)
    return this.explained(this.decoded(data))
  }

  /** Data that were sent as the program knows them; fields that were dropped are missing, and hashed ones are the hash. */
  decodeSent(data: unknown): Outcome {
    this.sent ??= this.decodedAs(this.marks === undefined ? this.codec : this.sentCodec())
    return this.explained(this.sent(data))
  }

  /** Data of the program as the wire knows it. */
  encode(data: unknown): Outcome {
    const { clean, codec } = this
    this.encoded ??= thorough(this.options, (options) => {
      const encode = SchemaParser.encodeUnknownResult(codec, options)
      return clean === undefined ? encode : (data) => encode(clean(data))
    })
    return this.explained(this.encoded(data))
  }

  private sentCodec(): Schema.Codec<unknown, unknown> {
    const sent = this.source?.sent() as typeof this.codec | undefined
    return sent ?? Schema.make(toSent(this.codec.ast))
  }

  private explained(result: ReturnType<Run>): Outcome {
    return Result.mapError(result, (issue) => explain(this.codec.ast, issue))
  }

  private decodedAs(codec: Schema.Codec<unknown, unknown>): Run {
    const parser = (options: SchemaAST.ParseOptions) => SchemaParser.decodeUnknownResult(codec, options)
    // The one check of a JSON Schema finds everything that is wrong at once.
    return this.isJson ? neverThrows(parser(this.options)) : thorough(this.options, parser)
  }
}

/** The name that stands for all that have no rule of their own. */
const others = ""

export class Rules {
  private readonly named: { readonly [type in Type]?: ReadonlyMap<string, Rule> | undefined }
  private readonly unnamed: { readonly [type in Type]?: Rule | undefined }
  readonly context: Rule | undefined

  constructor({ context, events, groupTraits, pages, screens, traits, version }: Definition) {
    const made = (shape: Shape, name: string | undefined, label: string) => {
      try {
        return new Rule(shape, name, version)
      } catch (error) {
        throw new Error(`${label}: ${(error as Error).message}`, { cause: error })
      }
    }
    const one = (shape: Shape | undefined, label: string) =>
      shape === undefined ? undefined : made(shape, undefined, label)
    const many = (shapes: Shapes | undefined, label: string) =>
      shapes === undefined
        ? undefined
        : new Map(Object.entries(shapes).map(([name, shape]) => [name, made(shape, name || undefined, name || label)]))
    this.named = { track: many(events, "events"), page: many(pages, "pages"), screen: many(screens, "screens") }
    this.unnamed = { identify: one(traits, "traits"), group: one(groupTraits, "groupTraits") }
    this.context = one(context, "context")
  }

  /** The rule for a call; `undefined` if the plan has none for such calls. */
  find(type: Type, name: string | undefined): Rule | "unplanned" | undefined {
    if (!Object.hasOwn(this.named, type)) return Object.hasOwn(this.unnamed, type) ? this.unnamed[type] : undefined
    const named = this.named[type]
    if (named === undefined) return undefined
    return (name === undefined ? undefined : named.get(name)) ?? named.get(others) ?? "unplanned"
  }

  /** Whether the plan has a rule for this name, and not only one for all others. */
  has(type: Type, name: string): boolean {
    return this.named[type]?.has(name) === true
  }

  get all(): ReadonlyArray<Rule> {
    const named = Object.values(this.named).flatMap((rules) => (rules === undefined ? [] : Array.from(rules.values())))
    return [...named, ...Object.values(this.unnamed), this.context].filter((rule) => rule !== undefined)
  }
}

const isObject = Schema.makeFilter((value: unknown) => isData(value), { expected: "an object" })

/** For effect a struct without fields is anything; for a plan it is an object. */
const withObjects = <S extends Schema.Top>(codec: S): S =>
  holds(codec.ast, isEmpty)
    ? Schema.make<S>(
        mapParts(codec.ast, {
          object: (made) =>
            isEmpty(made) ? Schema.make<Schema.Codec<unknown, unknown>>(made).check(isObject).ast : made,
          field: (made) => made,
          value: (made) => made
        })
      )
    : codec

/** To look for everything that is wrong costs half as much again, and is not needed where nothing is. */
const thorough = (options: SchemaAST.ParseOptions, parser: (options: SchemaAST.ParseOptions) => Run): Run => {
  const [first, all] = [neverThrows(parser(options)), neverThrows(parser({ ...options, errors: "all" }))]
  return (data) => {
    const result = first(data)
    return Result.isSuccess(result) ? result : all(data)
  }
}

/** A call never throws: what a Schema throws (its own code, or a getter of the data; that it would wait) is an issue. */
const neverThrows =
  (run: Run): Run =>
  (data) => {
    try {
      return run(data)
    } catch {
      return Result.fail(threw)
    }
  }

const threw = new SchemaIssue.InvalidValue({ message: "could not be checked: it threw" })

/** Whether there is such a part, at any depth. */
const holds = (
  ast: SchemaAST.AST,
  isOne: (ast: SchemaAST.AST) => boolean,
  seen = new Set<SchemaAST.AST>()
): boolean => {
  if (isOne(ast)) return true
  if (seen.has(ast)) return false
  seen.add(ast)
  const inside = (one: SchemaAST.AST) => holds(one, isOne, seen)
  if (ast.encoding?.some(({ to }) => inside(to))) return true
  switch (ast._tag) {
    case "Objects":
      return (
        ast.propertySignatures.some(({ type }) => inside(type)) || ast.indexSignatures.some((one) => inside(one.type))
      )
    case "Arrays":
      return ast.elements.some(inside) || ast.rest.some(inside)
    case "Union":
      return ast.types.some(inside)
    case "Suspend":
      return inside(ast.thunk())
    case "Declaration":
      return ast.typeParameters.some(inside)
    default:
      return false
  }
}

const isReshaped = ({ encoding }: SchemaAST.AST): boolean =>
  encoding?.some(({ to }) => SchemaAST.isObjects(to) || SchemaAST.isArrays(to) || SchemaAST.isUnion(to)) === true

/** Whether a JSON Schema that is a part of an Effect Schema marks something. */
const isMarkedInJson = (ast: SchemaAST.AST): boolean =>
  [ast, ...(ast.checks ?? [])].some(
    ({ annotations }) => ((annotations?.[sourceKey] as JsonSource | undefined)?.policies.size ?? 0) > 0
  )

/** The JSON form of `undefined` is `null`; of a field that is `undefined` we want none. */
const withoutUndefined = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(withoutUndefined)
  if (typeof value !== "object" || value === null) return value
  const prototype = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) return value
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, field]) => (field === undefined ? [] : [[key, withoutUndefined(field)]]))
  )
}
