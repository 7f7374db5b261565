/**
 * A plan as TypeScript: generated from its JSON, the same text for the same plan, for programs that want the compiler to
 * know a plan that is kept elsewhere. Descriptions are docstrings.
 */
import * as Schema from "effect/Schema"
import type * as SchemaAST from "effect/SchemaAST"
import * as SchemaRepresentation from "effect/SchemaRepresentation"
import type { Definition, Shape, Shapes } from "./Definition.ts"
import { definitionOf, InvalidPlan } from "./PlanJson.ts"

export interface SourceOptions {
  /** What the plan is called in the module. @default "plan" */
  readonly name?: string | undefined
}

/** TypeScript for the plan in this JSON. See `fromJson` for what is read. Throws an `InvalidPlan`. */
export const generate = (json: unknown, { name = "plan" }: SourceOptions = {}): string => {
  const definition = definitionOf(json)
  const printer = new Printer(definition)
  const plan = call("TrackingPlan.make", printer.definition(definition))
  return [
    "// Made by TrackingPlan.generate. Change the plan and generate it again; what is written here will be lost.",
    `import * as TrackingPlan from "effect-analytics/TrackingPlan"`,
    `import * as Schema from "effect/Schema"`,
    "",
    ...printer.references(name),
    `${print([`export const ${name} = `, plan], 0)}`,
    ""
  ].join("\n")
}

// ---------------------------------------------------------------------------------------------------------------------
// Schemas
// ---------------------------------------------------------------------------------------------------------------------

type Node = SchemaRepresentation.Representation
type Annotations = Readonly<Record<string, unknown>> | undefined

/** The annotations of JSON Schema and ours; those that effect puts there are of no interest to a reader. */
const kept = ["title", "description", "format", "default", "examples", "owner", "since", "deprecated", "planVersion"]
const told = [...kept, "strict", "pii"]

class Printer {
  private readonly nodes = new Map<Shape, Node>()
  private readonly named: SchemaRepresentation.References

  constructor(definition: Definition) {
    const { context, events, groupTraits, pages, screens, traits } = definition
    const many = [events, pages, screens].flatMap((shapes) => Object.values(shapes ?? {}))
    const shapes = [...many, traits, groupTraits, context].filter((shape) => shape !== undefined)
    const [first, ...others] = shapes.map(({ ast }) => ast)
    const asts: readonly [SchemaAST.AST, ...Array<SchemaAST.AST>] = [first ?? Schema.Void.ast, ...others]
    const { references, representations } = SchemaRepresentation.toRepresentations(asts)
    this.named = references
    shapes.forEach((shape, index) => void this.nodes.set(shape, representations[index] as Node))
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
        ...(name === undefined ? [] : [entry("name", JSON.stringify(name))]),
        ...(version === undefined ? [] : [entry("version", JSON.stringify(version))]),
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
  references(name: string): ReadonlyArray<string> {
    const nothing: Node = { _tag: "Null", annotations: undefined, checks: [] }
    const document = { representations: [nothing] as const, references: bare(this.named) }
    const { nonRecursives, recursives } = SchemaRepresentation.toCodeDocument(document).references
    const names = [...nonRecursives.map(({ $ref }) => $ref), ...Object.keys(recursives)]
    for (const taken of ["TrackingPlan", name]) {
      if (names.includes(taken)) throw new InvalidPlan({ event: taken, problem: "a definition can't have this name" })
    }
    const schemaOf = (reference: string, { runtime }: SchemaRepresentation.Code) => {
      const node = this.named[reference]
      return node === undefined ? parse(runtime) : this.annotated(node)
    }
    return [
      ...nonRecursives.flatMap(({ $ref, code }) => [print([`const ${$ref} = `, schemaOf($ref, code)], 0), ""]),
      ...Object.entries(recursives).flatMap(([reference, code]) => [
        `type ${reference} = ${typeText(code.Type)}`,
        print([`const ${reference}: Schema.Codec<${reference}> = `, schemaOf(reference, code)], 0),
        ""
      ])
    ]
  }

  private event(name: string, shape: Shape): Entry {
    return entry(name, this.shape(shape), docstring(Schema.resolveAnnotations(shape)))
  }

  private shape(shape: Shape): Doc {
    const node = this.nodes.get(shape) as Node
    return withAnnotations(this.schema(node), Schema.resolveAnnotations(shape))
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

/** The type of a schema that refers to itself, as a formatter would have it. */
const typeText = (text: string): string =>
  text.replace(/"([A-Za-z_$][\w$]*)"(\??): /g, "$1$2: ").replaceAll(", readonly ", "; readonly ")

/** The annotations of a node; where it has checks, the last one has them. */
const about = (node: Node): Annotations => {
  if (!("checks" in node)) return undefined
  const last = node.checks.at(-1)
  return last === undefined ? node.annotations : { ...node.annotations, ...last.annotations }
}

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
    annotations?.[key] === undefined ? [] : [entry(key, JSON.stringify(annotations[key]))]
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
}

const closing = { "(": ")", "[": "]", "{": "}" } as const
const width = 120

const brackets = (open: Brackets["open"], items: ReadonlyArray<Doc>): Brackets => ({
  open,
  items: items.map((doc) => ({ lead: [], doc })),
  broken: false
})
const object = (items: ReadonlyArray<Entry>, broken: boolean): Brackets => ({ open: "{", items, broken })
const call = (name: string, ...args: ReadonlyArray<Doc>): Doc => [name, brackets("(", args)]
const keyOf = (name: string): string =>
  name === "__proto__" ? `["__proto__"]` : /^[A-Za-z_$][\w$]*$/.test(name) ? name : JSON.stringify(name)
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
  const items = doc.items.map((item) => flat(item.doc)).join(", ")
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
  return `${doc.open}\n${items.join(",\n")}\n${" ".repeat(indent)}${closing[doc.open]}`
}

const tokens = /"(?:[^"\\]|\\.)*"|[()[\]{}]|,\s*|[^"()[\]{},]+/g

/** Reads an expression that effect has written on one line. */
const parse = (code: string): Doc => {
  const stack: Array<{ open: Brackets["open"]; items: Array<Entry>; current: Array<Doc> }> = []
  let current: Array<Doc> = []
  const done = (docs: ReadonlyArray<Doc>): ReadonlyArray<Entry> => {
    const last = docs.at(-1)
    const all = typeof last === "string" ? [...docs.slice(0, -1), last.trimEnd()] : docs
    const said = all.filter((doc) => doc !== "")
    const [first] = said
    return first === undefined ? [] : [{ lead: [], doc: said.length === 1 ? first : said }]
  }
  const short = code.replaceAll("Schema.Number.check(Schema.isFinite())", "Schema.Finite")
  for (const [token] of short.matchAll(tokens)) {
    const top = stack.at(-1)
    if (token === "(" || token === "[" || token === "{") {
      stack.push({ open: token, items: [], current })
      current = []
    } else if (top !== undefined && /^[)\]}]$/.test(token)) {
      const items = [...top.items, ...done(current)]
      stack.pop()
      current = [...top.current, { open: top.open, items, broken: false }]
    } else if (top !== undefined && token.startsWith(",")) {
      top.items.push(...done(current))
      current = []
    } else {
      // What is before a colon is a key, and needs quotes only if it is no name.
      const [key] = current
      if (token.startsWith(":") && current.length === 1 && typeof key === "string" && key.startsWith(`"`)) {
        current = [keyOf(JSON.parse(key))]
      }
      // A space after a bracket or a comma is layout; one inside is not.
      const said = current.length === 0 ? token.trimStart() : token
      if (said !== "") current.push(said)
    }
  }
  return current.length === 1 ? (current[0] as Doc) : current
}
