/**
 * Source code, laid out as a formatter would: what stands in brackets is on one line if it fits, else each item has its own.
 */

/** A text that is laid out: brackets stand on one line if they fit, else each item has its own. */
export type Doc = string | ReadonlyArray<Doc> | Brackets

export interface Entry {
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

export const brackets = (open: Brackets["open"], items: ReadonlyArray<Doc>): Brackets => ({
  open,
  items: items.map((doc) => ({ lead: [], doc })),
  broken: false,
  between: commas
})
export const object = (items: ReadonlyArray<Entry>, broken: boolean): Brackets => ({
  open: "{",
  items,
  broken,
  between: commas
})
export const call = (name: string, ...args: ReadonlyArray<Doc>): Doc => [name, brackets("(", args)]
export const isIdentifier = (name: string): boolean => /^[A-Za-z_$][\w$]*$/.test(name)
const keyOf = (name: string): string =>
  name === "__proto__" ? `["__proto__"]` : isIdentifier(name) ? name : quoted(name)
/** A text in quotes: double ones, unless there are more of them in it than of the others. */
export const quoted = (text: string): string => {
  const json = JSON.stringify(text)
  const count = (quote: string) => text.split(quote).length
  if (count(`"`) <= count("'")) return json
  return `'${json.slice(1, -1).replaceAll(`\\"`, `"`).replaceAll("'", "\\'")}'`
}
/** A value of JSON. */
export const valueDoc = (value: unknown): Doc => {
  if (typeof value === "string") return quoted(value)
  if (Array.isArray(value)) return brackets("[", value.map(valueDoc))
  if (typeof value !== "object" || value === null) return String(JSON.stringify(value))
  return object(
    Object.entries(value).map(([key, one]) => entry(key, valueDoc(one))),
    false
  )
}
export const entry = (key: string, doc: Doc, lead: ReadonlyArray<string> = []): Entry => ({
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
export const print = (doc: Doc, indent: number, column = indent, after = 0): string => {
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
  const comma = doc.between[1].length
  const items = doc.items.map(({ doc: item, lead }, index) =>
    [...lead, print(item, indent + 2, indent + 2, index === doc.items.length - 1 ? 0 : comma)]
      .map((line) => `${pad}${line}`)
      .join("\n")
  )
  return `${doc.open}\n${items.join(`${doc.between[1]}\n`)}\n${" ".repeat(indent)}${closing[doc.open]}`
}

const tokens = /"(?:[^"\\]|\\.)*"|[()[\]{}]|,\s*|[^"()[\]{},]+/g

/** What effect writes for a number that is one, and has a shorter name for. */
const [number, finite] = ["Schema.Number.check", "(Schema.isFinite())"] as const

/** Reads an expression, or a type, that effect has written on one line. */
export const parse = (code: string, what: "expression" | "type" = "expression"): Doc => {
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
