/**
 * What a plan says of one kind of data, ready to be used: it finds violations in data from the wire, and brings data of
 * the program into the form of the wire.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaParser from "effect/SchemaParser"
import { isData } from "../internal/Json.ts"
import { annotationsOf, isEmpty, type Shape } from "./Definition.ts"
import * as Privacy from "./Privacy.ts"
import { rewritten } from "./Rewriting.ts"
import { sentOf } from "./Sent.ts"
import { explain, none, type Violation } from "./Violation.ts"

export class Rule {
  /** The event, page or screen that the rule is about. */
  readonly name: string | undefined
  readonly version: string | undefined
  readonly deprecated: boolean | string
  readonly marks: Privacy.Marks | undefined
  private readonly ast: SchemaAST.AST
  private readonly decoded: Run
  private readonly encoded: Run
  private readonly options: SchemaAST.ParseOptions
  private sent: Run | undefined

  constructor(shape: Shape, name: string | undefined, version: string | undefined) {
    const annotations = annotationsOf(shape.ast)
    const codec = withObjects(Schema.toCodecJson(shape))
    this.ast = codec.ast
    this.options = { onExcessProperty: annotations.strict === true ? "error" : "ignore" }
    this.name = name
    this.version = annotations.planVersion ?? version
    this.deprecated = annotations.deprecated ?? false
    this.marks = Privacy.marksOf(codec.ast)
    this.decoded = this.decodedAs(codec)
    const clean = holdsUndefined(shape.ast) ? withoutUndefined : undefined
    this.encoded = this.thorough((options) => {
      const encode = SchemaParser.encodeUnknownResult(codec, options)
      return clean === undefined ? encode : (data) => encode(clean(data))
    })
  }

  /** What is wrong with data from the wire. */
  violations(data: unknown): ReadonlyArray<Violation> {
    const result = this.decoded(data)
    return Result.isSuccess(result) ? none : explain(this.ast, result.failure)
  }

  /** Data from the wire as the program knows it. */
  decode(data: unknown): Result.Result<unknown, ReadonlyArray<Violation>> {
    return Result.mapError(this.decoded(data), (issue) => explain(this.ast, issue))
  }

  /** Data that were sent as the program knows them; fields that were dropped are missing, and hashed ones are the hash. */
  decodeSent(data: unknown): Result.Result<unknown, ReadonlyArray<Violation>> {
    this.sent ??= this.marks === undefined ? this.decoded : this.decodedAs(Schema.make(sentOf(this.ast)))
    return Result.mapError(this.sent(data), (issue) => explain(this.ast, issue))
  }

  /** Data of the program as the wire knows it. */
  encode(data: unknown): Result.Result<unknown, ReadonlyArray<Violation>> {
    return Result.mapError(this.encoded(data), (issue) => explain(this.ast, issue))
  }

  private decodedAs(codec: Schema.Codec<unknown, unknown>): Run {
    return this.thorough((options) => SchemaParser.decodeUnknownResult(codec, options))
  }

  /** To look for everything that is wrong costs half as much again, and is not needed where nothing is. */
  private thorough(parser: (options: SchemaAST.ParseOptions) => Run): Run {
    const [first, all] = [harmless(parser(this.options)), harmless(parser({ ...this.options, errors: "all" }))]
    return (data) => {
      const result = first(data)
      return Result.isSuccess(result) ? result : all(data)
    }
  }
}

const isObject = Schema.makeFilter((value: unknown) => isData(value), { expected: "an object" })

/** For effect a struct without fields is anything; for a plan it is an object. */
const withObjects = <S extends Schema.Top>(codec: S): S =>
  holdsEmpty(codec.ast)
    ? Schema.make<S>(
        rewritten(codec.ast, {
          object: (made) =>
            isEmpty(made) ? Schema.make<Schema.Codec<unknown, unknown>>(made).check(isObject).ast : made,
          field: (made) => made,
          value: (made) => made
        })
      )
    : codec

type Run = (data: unknown) => Result.Result<unknown, SchemaIssue.Issue>

/** A call never throws: what a Schema throws (its own code, or a getter of the data; that it would wait) is an issue. */
const harmless =
  (run: Run): Run =>
  (data) => {
    try {
      return run(data)
    } catch {
      return Result.fail(threw)
    }
  }

const threw = new SchemaIssue.InvalidValue({ message: "could not be checked: it threw" })

const holdsUndefined = (ast: SchemaAST.AST): boolean => holds(ast, SchemaAST.isUndefined)
const holdsEmpty = (ast: SchemaAST.AST): boolean => holds(ast, isEmpty)

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
    default:
      return false
  }
}

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
