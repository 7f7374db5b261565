/**
 * A step of the build: bundles the modules that plain programs import, with everything of other packages that they need
 * inside, as ESM and as CommonJS, with declarations that name no other package.
 *
 * It reads what `tsc` wrote to `dist`, and writes `dist/bundled/*.js`, `*.cjs`, `*.d.ts`, `*.d.cts` and `licenses.txt`. Entries of one
 * format share their chunks: what one of them makes, the others know.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import * as path from "node:path"
import { type Plugin, type RolldownOptions, rolldown } from "rolldown"
import { dts } from "rolldown-plugin-dts"
import { isFirstPart, splitFor } from "./firstParts.ts"

const root = path.join(import.meta.dirname, "..")
const dist = path.join(root, "dist")
const out = path.join(dist, "bundled")
const entries = ["plain", "compat", "plainTest", "sqlite", "jsonPlan", "RequestContext"]
const inputs = (extension: string) =>
  Object.fromEntries(entries.map((name) => [name, path.join(dist, `${name}${extension}`)]))

/** What the runtime has. */
const external = /^node:/

/** The packages of which something is in a bundle. */
const bundled = new Set<string>()

/** Leaves the metrics of the clients out: the effect inside of a bundle has a registry of its own, which nobody can read. */
const withoutMetrics: Plugin = {
  name: "without-metrics",
  load: {
    filter: { id: /\/dist\/Metrics\.js$/ },
    handler: () => `import * as Effect from "effect/Effect"
      export const countUnsafe = () => {}
      export const countAttemptUnsafe = () => {}
      export const countViolationUnsafe = () => {}
      export const showPending = () => Effect.void
      export const showLeader = () => Effect.void
      export const watchDepth = () => Effect.void`
  }
}

/** Leaves the Schemas of the errors out: the types of a bundle name nothing of effect, and so nobody can encode with them. */
const withoutErrorSchemas: Plugin = {
  name: "without-error-schemas",
  resolveId: {
    filter: { id: /^effect\/Schema$/ },
    handler: (_id, importer) => (importer?.endsWith("/dist/AnalyticsError.js") ? "\0error-schemas" : undefined)
  },
  load: {
    filter: { id: /\0error-schemas$/ },
    handler: () => `import * as Data from "effect/Data"
      const none = {}
      export { none as Number, none as String }
      export const Array = () => none
      export const Literals = () => none
      export const optionalKey = () => none
      export const Union = (members) => ({ members })
      export const TaggedError = (identifier) => (tag) => {
        const TaggedError = class extends Data.TaggedError(tag) {}
        TaggedError.prototype.name = identifier
        return TaggedError
      }`
  }
}

/**
 * CommonJS: the exports of a chunk are hundreds of getters, each in a fifth of the text (only entries are read by those who look
 * for names), and nobody takes parts of a module.
 */
const withShortCommonJs: Plugin = {
  name: "short-common-js",
  generateBundle: ({ format }, output) => {
    if (format !== "cjs") return
    for (const chunk of Object.values(output)) {
      if (chunk.type !== "chunk") continue
      chunk.code = chunk.code.replace(/(\w?)\/\*\s*[@#]__PURE__\s*\*\/ ?/g, (_, before) =>
        before === "" ? "" : `${before} `
      )
      if (chunk.isEntry) continue
      const getter = /Object\.defineProperty\(exports,("\w+"),\{enumerable:!0,get:function\(\)\{return ([\w$]+)\}\}\)/g
      const code = chunk.code.replace(getter, "exportGetter($1,()=>$2)")
      if (code === chunk.code) continue
      const helper = "const exportGetter=(name,get)=>Object.defineProperty(exports,name,{enumerable:!0,get});"
      chunk.code = helper + code
    }
  }
}

const options = {
  cwd: root,
  external,
  platform: "neutral",
  resolve: { mainFields: ["module", "main"] },
  // Reading a property has no effect in any of these modules.
  treeshake: { propertyReadSideEffects: false },
  plugins: [withoutMetrics, withoutErrorSchemas]
} satisfies RolldownOptions

/** Most programs import the plain client alone: they read what it needs, and nothing of what the other entries need as well. */
const firstParts = await splitFor(path.join(dist, "plain.js"), options)

const bundle = async (format: "esm" | "cjs", extension: string) => {
  const build = await rolldown({
    ...options,
    input: inputs(".js"),
    plugins: [firstParts, ...options.plugins, withShortCommonJs]
  })
  const { output } = await build.write({
    dir: out,
    format,
    entryFileNames: `[name]${extension}`,
    chunkFileNames: `chunks/[name]${extension}`,
    // One file is read faster than several.
    codeSplitting: {
      groups: [
        { name: "client", test: isFirstPart, priority: 2 },
        { name: "shared", minShareCount: 2, priority: 1 }
      ]
    },
    exports: "named",
    minify: true
  })
  for (const chunk of output) {
    if (chunk.type !== "chunk") continue
    for (const module of chunk.moduleIds) {
      const [, name] = /.*\bnode_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(module) ?? []
      if (name !== undefined) bundled.add(name)
    }
    const strangers = [...chunk.imports, ...chunk.dynamicImports].filter(
      (name) => !external.test(name) && !output.some(({ fileName }) => fileName === name)
    )
    if (strangers.length > 0) throw new Error(`${chunk.fileName} imports ${strangers.join(", ")}`)
  }
}

/** The declarations of both formats. They may name nothing that is not in them. */
const bundleTypes = async () => {
  const build = await rolldown({
    cwd: root,
    input: inputs(".d.ts"),
    external: /^(?!\.|\/)/,
    plugins: [dts({ dtsInput: true, oxc: true })]
  })
  const { output } = await build.generate({ format: "esm", chunkFileNames: "chunks/[name].js" })
  for (const chunk of output) {
    if (chunk.type !== "chunk") throw new Error(`${chunk.fileName} is no declaration`)
    // Examples in docstrings import as programs do.
    const types = chunk.code.replace(/\/\*\*[\s\S]*?\*\//g, "")
    const foreign = types.match(/(from|import\(|import) ?"(?!\.)[^"]+"/g) ?? []
    if (foreign.length > 0) throw new Error(`the types in ${chunk.fileName} name other packages: ${foreign.join(", ")}`)
    // Two declarations of one name: editors and compilers would show `Options$1`.
    const renamed = chunk.code.match(/(interface|type|class|const|function) \w+\$\d/g) ?? []
    if (renamed.length > 0) throw new Error(`the types in ${chunk.fileName} show ${renamed.join(", ")}`)
    mkdirSync(path.dirname(path.join(out, chunk.fileName)), { recursive: true })
    const file = chunk.fileName.replace(/(\.d)?\.ts$/, "")
    writeFileSync(path.join(out, `${file}.d.cts`), chunk.code.replace(/(from ?"\.[^"]+)\.js"/g, '$1.cjs"'))
    if (chunk.isEntry) writeFileSync(path.join(out, `${file}.d.ts`), reExport(`./${file}.cjs`, chunk.code))
  }
}

/** The declarations of an ES module that are those of its twin. What is `default` in CommonJS has another meaning to an import. */
const reExport = (twin: string, code: string): string => {
  const [, name] = /\b(\w+) as default\b/.exec(code) ?? []
  return `export * from "${twin}"\n${name === undefined ? "" : `export { ${name} as default } from "${twin}"\n`}`
}

const writeLicenses = () => {
  const licenses = [...bundled].sort().map((name) => {
    const folder = path.join(root, "node_modules", name)
    const { license, version } = JSON.parse(readFileSync(path.join(folder, "package.json"), "utf8"))
    const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry))
    if (file === undefined) throw new Error(`${name} has no licence to publish`)
    return `${name} ${version} (${license})\n\n${readFileSync(path.join(folder, file), "utf8").trim()}\n`
  })
  writeFileSync(path.join(out, "licenses.txt"), licenses.join(`\n${"-".repeat(80)}\n\n`))
}

rmSync(out, { recursive: true, force: true })
await bundle("esm", ".js")
await bundle("cjs", ".cjs")
await bundleTypes()
writeLicenses()
// Nobody imports it but by its bundle.
for (const name of ["compat", "compat.js", "compat.d.ts"]) rmSync(path.join(dist, name), { recursive: true })
