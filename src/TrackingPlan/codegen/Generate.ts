/**
 * A plan as a module in TypeScript: the same text for the same plan, for programs that want the compiler to know a plan that
 * is kept elsewhere. Descriptions are docstrings. Its layout is left to a formatter.
 */

import { invalid } from "../../Settings.ts"
import type { AnyPlan } from "../check/Plan.ts"
import { annotationsOf, type Definition, type Shape, type Shapes } from "../Definition.ts"
import { inputJsonSchema } from "../json/JsonShape.ts"
import { isObject, type Json, mapSubschemas, target } from "../json/Keywords.ts"
import { inspect } from "../json/Problems.ts"
import { type ReadOptions, readPlan } from "../json/Reader.ts"
import { annotated, block, CodeWriter, docstring, entry, isIdentifier, literal, quoted } from "./Code.ts"

/** What is generated, and how. @category options @since 0.1.0 */
export interface GenerateOptions extends Pick<ReadOptions, "strict"> {
  /** The name of the plan in the module. @default "plan" */
  readonly name?: string | undefined
}

/**
 * TypeScript for a plan, or for the JSON of one. See `fromJson` for what is read; of an event that cannot be read there is a
 * comment, and any object is taken. Throws an `InvalidPlan`, or an `InvalidSetting` if nothing can have the name.
 * @category constructors @since 0.1.0
 */
export const generate = (plan: unknown, { name = "plan", strict }: GenerateOptions = {}): string => {
  if (!isIdentifier(name) || reserved.has(name)) return invalid("name", "must be one that a constant can have")
  const isPlan = isObject(plan) && "definition" in plan
  const definition = isPlan ? (plan as unknown as AnyPlan).definition : readPlan(plan, { strict }).definition
  const module = new Module(name)
  const code = module.definition(definition)
  return [
    "// Made by TrackingPlan/codegen. Change the plan and generate it again; changes of this file are lost.",
    ...(module.needsJson ? [`import * as PlanJson from "effect-analytics/TrackingPlan/json"`] : []),
    `import * as TrackingPlan from "effect-analytics/TrackingPlan"`,
    `import * as Schema from "effect/Schema"`,
    "",
    ...module.constants,
    `export const ${name} = TrackingPlan.make(${code})`,
    ""
  ].join("\n")
}

/** Names that no constant of a module can have, or that the module has for something else. */
const reserved = new Set(
  [
    "arguments await break case catch class const continue debugger default delete do else enum eval export extends",
    "false finally for function if implements import in instanceof interface let new null package private protected",
    "public return static super switch this throw true try typeof undefined var void while with yield Schema TrackingPlan PlanJson",
    "any bigint boolean never number object string symbol unknown undefined ReadonlyArray globalThis"
  ]
    .join(" ")
    .split(" ")
)

interface Constant {
  readonly name: string
  readonly isRecursive: boolean
}

class Module {
  readonly constants: Array<string> = []
  needsJson = false
  private readonly used: Set<string>
  /** By the text of the definition: events that share one share the constant. */
  private readonly known = new Map<string, Constant>()

  constructor(name: string) {
    this.used = new Set([...reserved, name])
  }

  definition({ context, events, groupTraits, name, pages, screens, traits, version }: Definition): string {
    const one = (key: string, shape: Shape | undefined) =>
      shape === undefined ? [] : [entry(key, this.shape(shape), this.docs(shape))]
    const many = (key: string, shapes: Shapes | undefined) =>
      shapes === undefined
        ? []
        : [
            entry(
              key,
              block(
                "{",
                Object.entries(shapes).flatMap(([name, shape]) => one(name, shape)),
                "}"
              )
            )
          ]
    return block(
      "{",
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
      "}"
    )
  }

  private docs(shape: Shape): ReadonlyArray<string> {
    return docstring(annotationsOf(shape.ast) as Json)
  }

  private shape(shape: Shape): string {
    const json = inputJsonSchema(shape)
    const about = { ...annotationsOf(shape.ast) } as Record<string, unknown>
    const { problem } = inspect(json)
    if (problem !== undefined) {
      const why = `${problem.path}: ${problem.problem}`.replaceAll("*/", "*\\/").replace(/\s+/g, " ")
      return annotated(
        `/* Not checked, since it cannot be read: ${why} */ Schema.Record(Schema.String, Schema.Json)`,
        about
      )
    }
    const isClosed = closes(json)
    const writer = new CodeWriter(json, (reference) => this.constant(reference, json, isClosed), isClosed)
    // The data of a call is an object, whatever else the schema allows.
    if (json.type !== undefined && json.type !== "object") writer.unexpressed.add("type")
    const { schema } = writer.bare({ ...json, type: "object" })
    const strict = isClosed && json.additionalProperties === false ? { strict: true } : {}
    const described = annotated(schema, { ...json, ...about, ...strict })
    for (const [, , text] of definitionsOf(json)) {
      for (const keyword of this.unexpressedOf.get(text) ?? []) writer.unexpressed.add(keyword)
    }
    if (writer.unexpressed.size === 0) return described
    this.needsJson = true
    const keywords = Array.from(writer.unexpressed).sort().join(", ").replace(/\s/g, " ")
    return block(
      "PlanJson.typed(",
      [described, `// Checked, and not in the types: ${keywords}.\n${literal(json)}`],
      ")"
    )
  }

  private readonly unexpressedOf = new Map<string, ReadonlySet<string>>()

  /** The constant of a definition; it is written before the first that refers to it. */
  private constant(reference: string, root: Json, isClosed: boolean): Constant | undefined {
    const definition = definitionsOf(root).find(([pointer]) => pointer === reference.replace(/%20/g, " "))
    const found = target(reference, root)
    if (definition === undefined || !isObject(found)) return undefined
    const [, original, key] = definition
    const known = this.known.get(key)
    if (known !== undefined) return known
    const constant = { name: this.nameFor(original), isRecursive: refersTo(found, reference, root) }
    this.known.set(key, constant)
    const writer = new CodeWriter(root, (inner) => this.constant(inner, root, isClosed), isClosed)
    const { schema, type } = writer.bare(found)
    this.unexpressedOf.set(key, writer.unexpressed)
    const code = annotated(schema, { ...found, identifier: original })
    const { name } = constant
    this.constants.push(
      ...(constant.isRecursive
        ? [`type ${name} = ${type}`, `const ${name}: Schema.Codec<${name}> = ${code}`]
        : [`const ${name} = ${code}`]),
      ""
    )
    return constant
  }

  private nameFor(original: string): string {
    const wanted = original.replace(/[^\w$]/g, "_").replace(/^(?=\d|$)/, "_")
    let name = wanted
    for (let n = 1; this.used.has(name); n++) name = `${wanted}${n}`
    this.used.add(name)
    return name
  }
}

/** The definitions of a document: pointer, name, and a text that identifies it among all events. */
const definitionsOf = (root: Json): ReadonlyArray<readonly [pointer: string, name: string, text: string]> => {
  const isClosed = closes(root)
  return (["definitions", "$defs"] as const).flatMap((key) => {
    const all = isObject(root[key]) ? root[key] : {}
    return Object.keys(all).map((name) => {
      const token = name.replaceAll("~", "~0").replaceAll("/", "~1")
      // Whether objects are closed decides what types express of a definition.
      return [`#/${key}/${token}`, name, `${name} ${isClosed} ${JSON.stringify(all)}`] as const
    })
  })
}

/** Whether a schema refers to itself, by whatever way. */
const refersTo = (schema: Json, reference: string, root: Json, seen = new Set<string>()): boolean => {
  const references = new Set<string>()
  mapSubschemas(schema, ({ $ref }) => void (typeof $ref === "string" && references.add($ref)), "all")
  return Array.from(references).some((one) => {
    if (one === reference) return true
    const next = seen.has(one) ? undefined : target(one, root)
    seen.add(one)
    return isObject(next) && refersTo(next, reference, root, seen)
  })
}

/** Whether every object of a document is closed, as `strict` means it. */
const closes = (root: Json): boolean => {
  let isClosed = root.additionalProperties === false
  mapSubschemas(
    root,
    (schema) => {
      const isStruct = isObject(schema.properties) && Object.keys(schema.properties).length > 0
      if (isStruct && schema.additionalProperties !== false) isClosed = false
    },
    "all"
  )
  return isClosed
}
