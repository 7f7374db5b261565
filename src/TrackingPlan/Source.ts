/**
 * A plan as TypeScript: generated from its JSON, the same text for the same plan, for programs that want the compiler to
 * know a plan that is kept elsewhere. Descriptions are docstrings.
 */
import * as Schema from "effect/Schema"
import type * as SchemaAST from "effect/SchemaAST"
import * as SchemaRepresentation from "effect/SchemaRepresentation"
import { invalid } from "../Settings.ts"
import { annotationsOf, type Definition, type Shape, type Shapes } from "./Definition.ts"
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

// ---------------------------------------------------------------------------------------------------------------------
// Schemas
// ---------------------------------------------------------------------------------------------------------------------

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

// ---------------------------------------------------------------------------------------------------------------------
// Layout
// ---------------------------------------------------------------------------------------------------------------------

/** A text that is laid out: brackets stand on one line if they fit, else each item has its own. */
type Doc = string | ReadonlyArray<Doc> | Brackets

interface Entry {
  readonly lead: ReadonlyArray<string>
  readonly doc: Doc
}

interface Brackets {
  readonly open: "(" | "[" | "{"
  readonly items: ReadonlyArray<Entry>
  /** Never on one line. */
  readonly broken: boolean
  /** What is between items on one line, and where each has its own. */
  readonly between: readonly [inline: string, broken: string]
}

const commas = [", ", ","] as const
const closing = { "(": ")", "[": "]", "{": "}" } as const
const width = 120

const brackets = (open: Brackets["open"], items: ReadonlyArray<Doc>): Brackets => ({
  open,
  items: items.map((doc) => ({ lead: [], doc })),
  broken: false,
  between: commas
})
const object = (items: ReadonlyArray<Entry>, broken: boolean): Brackets => ({
  open: "{",
  items,
  broken,
  between: commas
})
const call = (name: string, ...args: ReadonlyArray<Doc>): Doc => [name, brackets("(", args)]
const isIdentifier = (name: string): boolean => /^[A-Za-z_$][\w$]*$/.test(name)
const keyOf = (name: string): string =>
  name === "__proto__" ? `["__proto__"]` : isIdentifier(name) ? name : quoted(name)
/** A text in quotes: double ones, unless there are more of them in it than of the others. */
const quoted = (text: string): string => {
  const json = JSON.stringify(text)
  const count = (quote: string) => text.split(quote).length
  if (count(`"`) <= count("'")) return json
  return `'${json.slice(1, -1).replaceAll(`\\"`, `"`).replaceAll("'", "\\'")}'`
}
/** A value of JSON. */
const valueDoc = (value: unknown): Doc => {
  if (typeof value === "string") return quoted(value)
  if (Array.isArray(value)) return brackets("[", value.map(valueDoc))
  if (typeof value !== "object" || value === null) return String(JSON.stringify(value))
  return object(
    Object.entries(value).map(([key, one]) => entry(key, valueDoc(one))),
    false
  )
}
const entry = (key: string, doc: Doc, lead: ReadonlyArray<string> = []): Entry => ({
  lead,
  doc: [`${keyOf(key)}: `, doc]
})

const isBrackets = (doc: Doc): doc is Brackets => typeof doc === "object" && "open" in doc

const isBroken = (doc: Doc): boolean =>
  isBrackets(doc)
    ? doc.items.length > 0 && (doc.broken || doc.items.some((item) => item.lead.length > 0 || isBroken(item.doc)))
    : typeof doc !== "string" && doc.some(isBroken)

const flat = (doc: Doc): string => {
  if (typeof doc === "string") return doc
  if (!isBrackets(doc)) return doc.map(flat).join("")
  const items = doc.items.map((item) => flat(item.doc)).join(doc.between[0])
  const room = doc.open === "{" && items !== "" ? " " : ""
  return `${doc.open}${room}${items}${room}${closing[doc.open]}`
}

/** `column` is where it begins, `after` how much follows it on the same line. */
const print = (doc: Doc, indent: number, column = indent, after = 0): string => {
  if (typeof doc === "string") return doc
  if (!isBroken(doc) && column + flat(doc).length + after <= width) return flat(doc)
  if (!isBrackets(doc)) {
    let text = ""
    doc.forEach((one, index) => {
      const line = text.lastIndexOf("\n")
      const at = line < 0 ? column + text.length : text.length - line - 1
      // What can't be broken stays with what is before it.
      const next = doc.slice(index + 1).map((other) => flat(other).split(/[([{]/)[0] ?? "")
      text += print(one, indent, at, index === doc.length - 1 ? after : (next[0]?.length ?? 0) + 1)
    })
    return text
  }
  const [only] = doc.items.length === 1 ? doc.items : []
  if (only === undefined && doc.items.length === 0) return flat(doc)
  if (doc.open === "(" && only !== undefined && isBrackets(only.doc) && only.lead.length === 0) {
    return `(${print(only.doc, indent, column + 1, after + 1)})`
  }
  const pad = " ".repeat(indent + 2)
  const items = doc.items.map(({ doc: item, lead }) =>
    [...lead, print(item, indent + 2, indent + 2, 1)].map((line) => `${pad}${line}`).join("\n")
  )
  return `${doc.open}\n${items.join(`${doc.between[1]}\n`)}\n${" ".repeat(indent)}${closing[doc.open]}`
}

const tokens = /"(?:[^"\\]|\\.)*"|[()[\]{}]|,\s*|[^"()[\]{},]+/g

/** What effect writes for a number that is one, and has a shorter name for. */
const [number, finite] = ["Schema.Number.check", "(Schema.isFinite())"] as const

/** Reads an expression, or a type, that effect has written on one line. */
const parse = (code: string, what: "expression" | "type" = "expression"): Doc => {
  const stack: Array<{ open: Brackets["open"]; items: Array<Entry>; current: Array<Doc> }> = []
  let current: Array<Doc> = []
  /** What the last text says, if it was one. */
  let text: string | undefined
  const done = (docs: ReadonlyArray<Doc>): ReadonlyArray<Entry> => {
    const last = docs.at(-1)
    const all = typeof last === "string" ? [...docs.slice(0, -1), last.trimEnd()] : docs
    const said = all.filter((doc) => doc !== "")
    const [first] = said
    return first === undefined ? [] : [{ lead: [], doc: said.length === 1 ? first : said }]
  }
  for (const [token] of code.matchAll(tokens)) {
    const top = stack.at(-1)
    if (token === "(" || token === "[" || token === "{") {
      stack.push({ open: token, items: [], current })
      current = []
    } else if (top !== undefined && /^[)\]}]$/.test(token)) {
      const items = [...top.items, ...done(current)]
      stack.pop()
      // The members of a type are no list.
      const between = what === "type" && top.open === "{" ? (["; ", ""] as const) : commas
      const brackets: Brackets = { open: top.open, items, broken: false, between }
      const before = top.current.at(-1)
      const isFinite = typeof before === "string" && before.endsWith(number) && flat(brackets) === finite
      current = isFinite
        ? [...top.current.slice(0, -1), `${before.slice(0, -number.length)}Schema.Finite`]
        : [...top.current, brackets]
    } else if (top !== undefined && token.startsWith(",")) {
      top.items.push(...done(current))
      current = []
    } else {
      // What is before a colon is a key, and needs quotes only if it is no name.
      const key = current.at(-1)
      const isFirst = current.length === 1 || (current.length === 2 && current[0] === "readonly ")
      if (/^\??:/.test(token) && isFirst && text !== undefined && key === quoted(text)) {
        current = [...current.slice(0, -1), keyOf(text)]
      }
      text = token.startsWith(`"`) ? JSON.parse(token) : undefined
      // A space after a bracket or a comma is layout; one inside is not.
      const said = token.startsWith(`"`) ? quoted(JSON.parse(token)) : current.length === 0 ? token.trimStart() : token
      if (said !== "") current.push(said)
    }
  }
  return current.length === 1 ? (current[0] as Doc) : current
}
