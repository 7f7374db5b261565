/**
 * A plugin for the bundler: splits modules in two, so that one entry reads nothing of what only other entries need. Bundlers
 * split between modules alone: a module that two entries use in part would be read whole by both.
 *
 * The entry is bundled alone first, module by module. What is left of a module there is its first part. The rest imports from
 * the first part, exports all, and stands in for the module.
 */
import * as path from "node:path"
import { type OutputChunk, type Plugin, type RolldownOptions, rolldown } from "rolldown"
import { parseSync } from "rolldown/utils"

type Statement = ReturnType<typeof parseSync>["program"]["body"][number]

const prefix = "\0first:"
const entryId = "\0entry"

/** Whether this is the first part of a module. */
export const isFirstPart = (id: string): boolean => id.startsWith(prefix)

/** Splits modules by what `entry` needs. */
export const splitFor = async (entry: string, options: RolldownOptions): Promise<Plugin> => {
  const sources = new Map<string, string>()
  const collect: Plugin = { name: "collect", transform: (code, id) => void sources.set(id, code) }
  const build = await rolldown({ ...options, input: entry, plugins: [options.plugins, collect] })
  const { output } = await build.generate({ format: "esm", preserveModules: true })
  const byFile = new Map<string, OutputChunk>()
  const byModule = new Map<string, OutputChunk>()
  for (const part of output) {
    if (part.type !== "chunk") continue
    byFile.set(part.fileName, part)
    for (const id of part.moduleIds) byModule.set(id, part)
  }
  return {
    name: "first-parts",
    resolveId: (specifier, importer) => {
      if (importer === undefined) return specifier === entry ? entryId : undefined
      if (isFirstPart(specifier)) return specifier
      if (!isFirstPart(importer) || !specifier.startsWith(".")) return undefined
      return prefix + path.posix.join(path.posix.dirname(importer.slice(prefix.length)), specifier)
    },
    load: (id) => {
      if (isFirstPart(id)) return firstPart(partOf(byFile, id.slice(prefix.length)))
      if (id === entryId) return reExport(partOf(byModule, entry))
      const part = byModule.get(id)
      return part && { code: rest(part, sources.get(id) ?? ""), moduleSideEffects: false }
    }
  }
}

const partOf = (parts: ReadonlyMap<string, OutputChunk>, name: string): OutputChunk => {
  const part = parts.get(name)
  if (part === undefined) throw new Error(`${name} has no first part`)
  return part
}

/** The entry, of first parts alone. */
const reExport = ({ exports, fileName }: OutputChunk): string =>
  `export { ${exports.join(", ")} } from "${prefix}${fileName}"`

/** What is left of a module, with all of its names for the rest. */
const firstPart = (part: OutputChunk) => {
  const names = Array.from(declared(part), ([name, local]) => `${local} as $${name}`)
  return { code: `${part.code}\nexport { ${names.join(", ")} }`, moduleSideEffects: true }
}

/** A module without its first part. */
const rest = (part: OutputChunk, source: string): string => {
  const first = declared(part)
  const exported: Array<string> = []
  const statements: Array<string> = []
  for (const statement of statementsOf(source)) {
    const text = source.slice(statement.start, statement.end)
    const names = namesOf(statement)
    const inFirst = names.filter((name) => first.has(name))
    if (statement.type === "ExportNamedDeclaration") exported.push(...inFirst)
    if (inFirst.length === 0 && !(statement.type === "ExpressionStatement" && first.has(subjectOf(text))))
      statements.push(text)
    else if (inFirst.length < names.length) throw new Error(`${part.fileName}: ${names} are one statement`)
  }
  return [
    `import { ${Array.from(first.keys(), (name) => `$${name} as ${name}`).join(", ")} } from "${prefix}${part.fileName}"`,
    `export { ${exported.join(", ")} }`,
    ...statements
  ].join("\n")
}

/** What a statement that declares nothing is about, as in `Impl.prototype = {}` or `install()`. */
const subjectOf = (text: string): string => {
  const [, subject] = /^(\w+)(?:\.prototype =|\.set\(|\()/.exec(text) ?? []
  if (subject === undefined) throw new Error(`nobody knows what this is about: ${text.slice(0, 100)}`)
  return subject
}

/** What a first part declares: its names in the whole module, and here. The bundler adds a number to names of the language. */
const declared = ({ code }: OutputChunk): ReadonlyMap<string, string> => {
  const statements = statementsOf(code)
  const exported = new Map(
    statements.flatMap((statement) =>
      statement.type === "ExportNamedDeclaration"
        ? statement.specifiers.map((one) => [nameOf(one.local), nameOf(one.exported)] as const)
        : []
    )
  )
  return new Map(
    statements.flatMap(namesOf).map((local) => {
      const [, bare] = /^(.*)\$\d+$/.exec(local) ?? []
      return [bare === undefined ? local : (exported.get(local) ?? bare), local] as const
    })
  )
}

const statementsOf = (code: string) => parseSync("module.js", code).program.body

/** The names that a statement declares. */
const namesOf = (statement: Statement): ReadonlyArray<string> => {
  if (statement.type === "ExportNamedDeclaration") return statement.declaration ? namesOf(statement.declaration) : []
  if (statement.type === "VariableDeclaration") return statement.declarations.flatMap(({ id }) => boundBy(id))
  if (statement.type !== "FunctionDeclaration" && statement.type !== "ClassDeclaration") return []
  return statement.id === null ? [] : [statement.id.name]
}

type Pattern = Extract<Statement, { readonly type: "VariableDeclaration" }>["declarations"][number]["id"]
const boundBy = (pattern: Pattern): ReadonlyArray<string> => {
  if (pattern.type === "Identifier") return [pattern.name]
  if (pattern.type !== "ArrayPattern") throw new Error(`a ${pattern.type} declares names`)
  return pattern.elements.flatMap((element) => (element?.type === "Identifier" ? [element.name] : []))
}

const nameOf = (name: { readonly type: string; readonly name?: string }): string => {
  if (name.name === undefined) throw new Error(`a ${name.type} is exported`)
  return name.name
}
