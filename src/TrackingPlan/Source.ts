/**
 * A plan as TypeScript: generated from its JSON, the same text for the same plan, for programs that want the compiler to
 * know a plan that is kept elsewhere. Descriptions are docstrings.
 */
import * as Schema from "effect/Schema"
import type * as SchemaAST from "effect/SchemaAST"
import * as SchemaRepresentation from "effect/SchemaRepresentation"
import { invalid } from "../Settings.ts"
import { annotationsOf, type Definition, type Shape, type Shapes } from "./Definition.ts"
import {
  brackets,
  call,
  type Doc,
  type Entry,
  entry,
  isIdentifier,
  object,
  parse,
  print,
  quoted,
  valueDoc
} from "./Layout.ts"
import { definitionOf } from "./PlanJson.ts"

export interface SourceOptions {
  /** What the plan is called in the module. @default "plan" */
  readonly name?: string | undefined
}

/**
 * TypeScript for the plan in this JSON. See `fromJson` for what is read. Throws an `InvalidPlan`, or an `InvalidSetting` if
 * nothing can have the name.
 */
export const generate = (json: unknown, { name = "plan" }: SourceOptions = {}): string => {
  if (!isIdentifier(name) || reserved.has(name)) return invalid("name", "must be one that a constant can have")
  const definition = definitionOf(json)
  const printer = new Printer(definition, name)
  const plan = call("TrackingPlan.make", printer.definition(definition))
  return [
    "// Made by TrackingPlan.generate. Change the plan and generate it again; what is written here will be lost.",
    `import * as TrackingPlan from "effect-analytics/TrackingPlan"`,
    `import * as Schema from "effect/Schema"`,
    "",
    ...printer.references(),
    `${print([`export const ${name} = `, plan], 0)}`,
    ""
  ].join("\n")
}

type Node = SchemaRepresentation.Representation
type Annotations = Readonly<Record<string, unknown>> | undefined

/** Names that no constant of a module can have, or that the module has for something else. */
const reserved = new Set(
  [
    "arguments await break case catch class const continue debugger default delete do else enum eval export extends",
    "false finally for function if implements import in instanceof interface let new null package private protected",
    "public return static super switch this throw true try typeof undefined var void while with yield Schema TrackingPlan"
  ]
    .join(" ")
    .split(" ")
)

/** The annotations of JSON Schema and ours; those that effect puts there are of no interest to a reader. */
const kept = ["title", "description", "format", "default", "examples", "owner", "since", "deprecated", "planVersion"]
const told = ["identifier", ...kept, "strict", "pii"]

/** A name for the constant of each definition. */
const constantsFor = (names: ReadonlyArray<string>, taken: string): ReadonlyMap<string, string> => {
  const constants = new Map<string, string>()
  const used = new Set([...reserved, taken])
  for (const name of names) {
    const wanted = name.replace(/[^\w$]/g, "_").replace(/^(?=\d|$)/, "_")
    let constant = wanted
    for (let n = 1; used.has(constant); n++) constant = `${wanted}${n}`
    used.add(constant)
    constants.set(name, constant)
  }
  return constants
}

/** A node whose references have other names. */
const withReferences = <A>(node: A, rename: (name: string) => string): A => {
  if (Array.isArray(node)) return node.map((one) => withReferences(one, rename)) as A
  if (typeof node !== "object" || node === null || node instanceof RegExp) return node
  const isReference = "_tag" in node && node._tag === "Reference"
  return Object.fromEntries(
    Object.entries(node).map(([key, value]) => [
      key,
      isReference && key === "$ref"
        ? rename(value)
        : key === "annotations" || key === "payload"
          ? value
          : withReferences(value, rename)
    ])
  ) as A
}

class Printer {
  private readonly nodes = new Map<Shape, Node>()
  /** What several schemas refer to, by the names of their constants. */
  private readonly named: SchemaRepresentation.References
  /** The names of definitions, by those of their constants. */
  private readonly originals: ReadonlyMap<string, string>

  constructor(definition: Definition, taken: string) {
    const { context, events, groupTraits, pages, screens, traits } = definition
    const many = [events, pages, screens].flatMap((shapes) => Object.values(shapes ?? {}))
    const shapes = [...many, traits, groupTraits, context].filter((shape) => shape !== undefined)
    const [first, ...others] = shapes.map(({ ast }) => ast)
    const asts: readonly [SchemaAST.AST, ...Array<SchemaAST.AST>] = [first ?? Schema.Void.ast, ...others]
    const { references, representations } = SchemaRepresentation.toRepresentations(asts)
    const constants = constantsFor(Object.keys(references), taken)
    const renamed = <A>(node: A) => withReferences(node, (name) => constants.get(name) ?? name)
    this.originals = new Map(Array.from(constants, ([name, constant]) => [constant, name]))
    this.named = Object.fromEntries(
      Object.entries(references).map(([name, node]) => [constants.get(name) ?? name, renamed(node)])
    )
    shapes.forEach((shape, index) => void this.nodes.set(shape, renamed(representations[index] as Node)))
  }

  definition({ context, events, groupTraits, name, pages, screens, traits, version }: Definition): Doc {
    const one = (key: string, shape: Shape | undefined) => (shape === undefined ? [] : [entry(key, this.shape(shape))])
    const many = (key: string, shapes: Shapes | undefined) =>
      shapes === undefined
        ? []
        : [
            entry(
              key,
              object(
                Object.entries(shapes).map(([event, shape]) => this.event(event, shape)),
                true
              )
            )
          ]
    return object(
      [
        ...(name === undefined ? [] : [entry("name", quoted(name))]),
        ...(version === undefined ? [] : [entry("version", quoted(version))]),
        ...many("events", events),
        ...one("traits", traits),
        ...one("groupTraits", groupTraits),
        ...many("pages", pages),
        ...many("screens", screens),
        ...one("context", context)
      ],
      true
    )
  }

  /** What several schemas refer to, each a constant. */
  references(): ReadonlyArray<string> {
    const nothing: Node = { _tag: "Null", annotations: undefined, checks: [] }
    const document = { representations: [nothing] as const, references: bare(this.named) }
    const { nonRecursives, recursives } = SchemaRepresentation.toCodeDocument(document).references
    const schemaOf = (constant: string) => {
      const node = this.named[constant] as Node
      return withAnnotations(this.schema(node), { ...about(node), identifier: this.originals.get(constant) })
    }
    return [
      ...nonRecursives.flatMap(({ $ref }) => [print([`const ${$ref} = `, schemaOf($ref)], 0), ""]),
      ...Object.entries(recursives).flatMap(([reference, code]) => [
        print([`type ${reference} = `, parse(code.Type, "type")], 0),
        print([`const ${reference}: Schema.Codec<${reference}> = `, schemaOf(reference)], 0),
        ""
      ])
    ]
  }

  private event(name: string, shape: Shape): Entry {
    return entry(name, this.shape(shape), docstring(annotationsOf(shape.ast)))
  }

  private shape(shape: Shape): Doc {
    const node = this.nodes.get(shape) as Node
    return withAnnotations(this.schema(node), annotationsOf(shape.ast))
  }

  /** Without its own annotations. */
  private schema(node: Node): Doc {
    if (node._tag === "Objects" && node.checks.length === 0 && node.propertySignatures.length > 0) {
      const fields = object(
        node.propertySignatures.map(({ isOptional, name, type }) => {
          const schema = this.annotated(type)
          return entry(String(name), isOptional ? call("Schema.optionalKey", schema) : schema, docstring(about(type)))
        }),
        true
      )
      const struct = call("Schema.Struct", fields)
      if (node.indexSignatures.length === 0) return struct
      const records = node.indexSignatures.map(({ parameter, type }) =>
        call("Schema.Record", this.annotated(parameter), this.annotated(type))
      )
      return call("Schema.StructWithRest", struct, brackets("[", records))
    }
    const [element, ...more] = node._tag === "Arrays" && node.elements.length === 0 ? node.rest : []
    if (node._tag === "Arrays" && node.checks.length === 0 && element !== undefined && more.length === 0) {
      return call("Schema.Array", this.annotated(element))
    }
    const document = { representations: [bare(node)] as const, references: this.named }
    const runtime = SchemaRepresentation.toCodeDocument(document).codes[0]?.runtime ?? ""
    return parse(runtime)
  }

  private annotated(node: Node): Doc {
    return withAnnotations(this.schema(node), about(node))
  }
}

/** The annotations of a node. */
const about = (node: Node): Annotations => ("checks" in node ? annotationsOf(node) : undefined)

/** A node whose annotations, which are printed elsewhere or of no interest, are left out, and of all that is in it. */
const bare = <A>(node: A): A => {
  if (Array.isArray(node)) return node.map(bare) as A
  if (typeof node !== "object" || node === null || node instanceof RegExp) return node
  return Object.fromEntries(
    Object.entries(node).map(([key, value]) => [
      key,
      key === "annotations" ? keptOf(value) : key === "payload" ? value : bare(value)
    ])
  ) as A
}

/** What effect needs to write a check down. */
const keptOf = (annotations: Annotations): Annotations =>
  annotations === undefined
    ? undefined
    : Object.fromEntries(Object.entries(annotations).filter(([, value]) => typeof value === "function"))

const withAnnotations = (schema: Doc, annotations: Annotations): Doc => {
  const entries = told.flatMap((key) =>
    annotations?.[key] === undefined ? [] : [entry(key, valueDoc(annotations[key]))]
  )
  return entries.length === 0 ? schema : [schema, call(".annotate", object(entries, false))]
}

const docstring = (annotations: Annotations): ReadonlyArray<string> => {
  const { deprecated, description, since } = annotations ?? {}
  const text = [
    ...(typeof description === "string" ? description.trim().split(/\r?\n/) : []),
    ...(since === undefined ? [] : [`@since ${since}`]),
    ...(deprecated === undefined || deprecated === false
      ? []
      : [deprecated === true ? "@deprecated" : `@deprecated ${deprecated}`])
  ].map((line) => line.replaceAll("*/", "*\\/").trimEnd())
  if (text.length <= 1) return text.map((line) => `/** ${line} */`)
  return ["/**", ...text.map((line) => ` * ${line}`.trimEnd()), " */"]
}
