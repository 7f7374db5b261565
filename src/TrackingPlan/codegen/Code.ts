/**
 * The Schema of a JSON Schema, as TypeScript. What a Schema cannot express has the widest type that is right, and is named:
 * the shape as a whole is then checked by its JSON Schema as well.
 */
import { conditional, getOwn, isObject, type Json, listOf, typesOf, valuesOf } from "../json/Keywords.ts"
import { flagOf } from "../json/Problems.ts"

/** Code for a value, and its type. */
interface Code {
  readonly schema: string
  readonly type: string
}

const anything: Code = { schema: "Schema.Json", type: "Schema.Json" }

export const quoted = (value: unknown): string =>
  JSON.stringify(value).replaceAll("\u2028", "\\u2028").replaceAll("\u2029", "\\u2029")

const indented = (text: string): string => text.replaceAll("\n", "\n  ")

/** Entries between brackets, each on its own line. */
export const block = (open: string, entries: ReadonlyArray<string>, close: string): string =>
  entries.length === 0 ? open + close : `${open}\n  ${entries.map(indented).join(",\n  ")}\n${close}`

export const isIdentifier = (name: string): boolean => /^[A-Za-z_$][\w$]*$/.test(name)

/** `__proto__` in quotes would be the prototype of an object literal. */
const keyOf = (name: string): string =>
  name === "__proto__" ? '["__proto__"]' : isIdentifier(name) ? name : quoted(name)

export const entry = (key: string, value: string, docs: ReadonlyArray<string> = []): string =>
  [...docs, `${keyOf(key)}: ${value}`].join("\n")

/** The docstring of an event or a field. */
export const docstring = ({ deprecated, description, since }: Json): ReadonlyArray<string> => {
  const lines = [
    ...(typeof description === "string" ? description.trim().split(/\r?\n/) : []),
    ...(since === undefined ? [] : [`@since ${since}`]),
    ...(deprecated === undefined || deprecated === false
      ? []
      : [deprecated === true ? "@deprecated" : `@deprecated ${deprecated}`])
  ].map((line) => line.replaceAll("*/", "*\\/").trimEnd())
  if (lines.length <= 1) return lines.map((line) => `/** ${line} */`)
  return ["/**", ...lines.map((line) => ` * ${line}`.trimEnd()), " */"]
}

/** The annotations of JSON Schema and of plans. */
const annotations = [
  ...["identifier", "title", "description", "format", "default", "examples"],
  ...["owner", "since", "deprecated", "planVersion", "aliases", "strict", "pii"]
]

export const annotated = (schema: string, about: Json): string => {
  const entries = annotations.flatMap((key) => (about[key] === undefined ? [] : [`${key}: ${quoted(about[key])}`]))
  return entries.length === 0 ? schema : `${schema}.annotate({ ${entries.join(", ")} })`
}

/** Keywords that a Schema has no check for, beside conditional ones. */
const unchecked = ["multipleOf", "uniqueItems", "minProperties", "maxProperties"]

const checks: { readonly [type: string]: Readonly<Record<string, string>> } = {
  string: { minLength: "isMinCodePoints", maxLength: "isMaxCodePoints" },
  number: {
    minimum: "isGreaterThanOrEqualTo",
    exclusiveMinimum: "isGreaterThan",
    maximum: "isLessThanOrEqualTo",
    exclusiveMaximum: "isLessThan"
  },
  array: { minItems: "isMinLength", maxItems: "isMaxLength" }
}

/** Writes the schemas of one document. */
export class CodeWriter {
  /** The keywords that types cannot express. */
  readonly unexpressed = new Set<string>()
  private readonly constantOf: (
    reference: string
  ) => { readonly name: string; readonly isRecursive: boolean } | undefined
  /** Whether all objects take no other properties. */
  private readonly isClosed: boolean

  constructor(constantOf: CodeWriter["constantOf"], isClosed: boolean) {
    this.constantOf = constantOf
    this.isClosed = isClosed
  }

  /** With its annotations. */
  write(json: unknown): Code {
    if (!isObject(json)) return json === false ? { schema: "Schema.Never", type: "never" } : anything
    const code = this.bare(json)
    return { ...code, schema: annotated(code.schema, json) }
  }

  /** Without them. */
  bare(json: Json): Code {
    const lost = Object.keys(json).filter((key) => conditional.has(key) || unchecked.includes(key))
    for (const key of lost) this.unexpressed.add(key)
    const isOpen = lost.length > 0
    if (typeof json.$ref === "string") return this.reference(json.$ref)
    const choice = json.anyOf ?? json.oneOf
    if (Array.isArray(choice)) return this.choice(json, choice)
    const values = valuesOf(json)
    if (values !== undefined) return this.values(values)
    const types = typesOf(json)
    if (types.length > 1) return this.union(types.map((type) => this.bare({ ...json, type })))
    switch (types[0]) {
      case "string":
        return { schema: this.checked("Schema.String", "string", json), type: "string" }
      case "number":
        return { schema: this.checked("Schema.Finite", "number", json), type: "number" }
      case "integer":
        return { schema: this.checked("Schema.Int", "number", json), type: "number" }
      case "boolean":
        return { schema: "Schema.Boolean", type: "boolean" }
      case "null":
        return { schema: "Schema.Null", type: "null" }
      case "array":
        return this.array(json)
      case "object":
        return this.object(json, isOpen)
      default:
        // Without a type a keyword holds for some values only.
        for (const key of Object.keys(json))
          if (!annotations.includes(key) && !key.startsWith("$")) this.unexpressed.add(key)
        return anything
    }
  }

  private reference(reference: string): Code {
    const constant = this.constantOf(reference)
    if (constant === undefined) {
      this.unexpressed.add("$ref")
      return anything
    }
    const { isRecursive, name } = constant
    return isRecursive
      ? { schema: `Schema.suspend((): Schema.Codec<${name}> => ${name})`, type: name }
      : { schema: name, type: `typeof ${name}.Type` }
  }

  private choice(json: Json, members: ReadonlyArray<unknown>): Code {
    const beside = Object.keys(json).filter(
      (key) => !["anyOf", "oneOf", ...annotations].includes(key) && !key.startsWith("$") && key !== "definitions"
    )
    const kinds = members.map((one) => (isObject(one) ? typesOf(one).join() : ""))
    const areApart = new Set(kinds).size === kinds.length && !kinds.includes("")
    if (beside.length > 0 || (json.anyOf !== undefined && json.oneOf !== undefined)) {
      for (const key of ["anyOf", "oneOf"]) if (json[key] !== undefined) this.unexpressed.add(key)
      const { anyOf: _, oneOf: __, ...rest } = json
      return rest.type === "object" || rest.properties !== undefined ? this.object(rest, true) : anything
    }
    if (json.oneOf !== undefined && !areApart) this.unexpressed.add("oneOf")
    return this.union(members.map((one) => this.write(one)))
  }

  private union(members: ReadonlyArray<Code>): Code {
    const [only, ...more] = members
    if (only !== undefined && more.length === 0) return only
    return {
      schema: block(
        "Schema.Union([",
        members.map(({ schema }) => schema),
        "])"
      ),
      type: members.map(({ type }) => type).join(" | ")
    }
  }

  private values(values: ReadonlyArray<unknown>): Code {
    if (values.some((value) => typeof value === "object" && value !== null)) {
      this.unexpressed.add("enum")
      return anything
    }
    const literals = values.filter((value) => value !== null)
    const type = values.map((value) => quoted(value)).join(" | ")
    const list = literals.length === 0 ? [] : [`Schema.Literals([${literals.map(quoted).join(", ")}])`]
    const members = [...list, ...(values.includes(null) ? ["Schema.Null"] : [])]
    return { schema: members.length === 1 ? String(members[0]) : `Schema.Union([${members.join(", ")}])`, type }
  }

  private checked(schema: string, kind: string, json: Json): string {
    const made = Object.entries(checks[kind] ?? {}).flatMap(([keyword, check]) =>
      typeof json[keyword] === "number" ? [`Schema.${check}(${json[keyword]})`] : []
    )
    if (kind === "string" && typeof json.pattern === "string") {
      if (flagOf(json.pattern) === "u") made.push(`Schema.isPattern(new RegExp(${quoted(json.pattern)}, "u"))`)
      else this.unexpressed.add("pattern")
    }
    return made.length === 0 ? schema : `${schema}.check(${made.join(", ")})`
  }

  private array(json: Json): Code {
    const elements = Array.isArray(json.items) ? json.items : listOf(json.prefixItems)
    const rest = Array.isArray(json.items) ? json.additionalItems : json.items
    if (elements.length === 0) {
      const { schema, type } = this.write(rest)
      return { schema: this.checked(`Schema.Array(${schema})`, "array", json), type: `ReadonlyArray<${type}>` }
    }
    const isExact = json.minItems === elements.length && (rest === false || json.maxItems === elements.length)
    if (!isExact) {
      this.unexpressed.add("prefixItems")
      return { schema: "Schema.Array(Schema.Json)", type: "ReadonlyArray<Schema.Json>" }
    }
    const all = elements.map((element) => this.write(element))
    return {
      schema: block(
        "Schema.Tuple([",
        all.map(({ schema }) => schema),
        "])"
      ),
      type: `readonly [${all.map(({ type }) => type).join(", ")}]`
    }
  }

  private object(json: Json, isOpen: boolean): Code {
    const required = listOf(json.required).map(String)
    const described: Json = isObject(json.properties) ? json.properties : {}
    const names = Array.from(new Set([...Object.keys(described), ...required]))
    const others = json.additionalProperties
    if (others === false && !this.isClosed) this.unexpressed.add("additionalProperties")
    if (names.length === 0 && others !== false) {
      const { schema, type } = this.write(isObject(others) ? others : true)
      return { schema: `Schema.Record(Schema.String, ${schema})`, type: `{ readonly [name: string]: ${type} }` }
    }
    const fields = names.map((name) => {
      const field = getOwn(described, name) ?? {}
      const { schema, type } = this.write(field)
      const isRequired = required.includes(name)
      return {
        schema: entry(
          name,
          isRequired ? schema : `Schema.optionalKey(${schema})`,
          isObject(field) ? docstring(field) : []
        ),
        type: `readonly ${keyOf(name)}${isRequired ? "" : "?"}: ${type}`
      }
    })
    const struct = block(
      "Schema.Struct({",
      fields.map(({ schema }) => schema),
      "})"
    )
    const type = `{ ${fields.map((field) => field.type).join("; ")} }`
    if (isObject(others)) this.unexpressed.add("additionalProperties")
    // Other properties, which a check may allow, must compile.
    if (!isOpen && !isObject(others)) return { schema: struct, type }
    return {
      schema: `Schema.StructWithRest(${struct}, [Schema.Record(Schema.String, Schema.Json)])`,
      type: `${type} & { readonly [name: string]: Schema.Json }`
    }
  }
}
