/**
 * The last step of the build: takes out of `dist` what nobody reads there. Modules and the page of the debugger lose comments,
 * indentation and the names of variables. Functions and classes keep theirs, and lines are short, so a stack trace still shows
 * the place. Declarations keep everything but their indentation by spaces and the tags that order the reference; those that no
 * exported module reaches are removed.
 */
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import * as path from "node:path"
import { transformSync } from "esbuild"
import { minifySync } from "rolldown/utils"

const root = path.join(import.meta.dirname, "..")
const dist = path.join(root, "dist")
const exported: Record<string, unknown> = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8")).exports

const files = readdirSync(dist, { recursive: true })
  .map((file) => file.replaceAll("\\", "/"))
  // What is bundled is minified.
  .filter((file) => !file.startsWith("bundled/") && !file.startsWith("bin"))

const withShortNames = (file: string, module: string): string => {
  const { code, errors } = minifySync(file, module, {
    module: true,
    mangle: { keepNames: { class: true, function: true } }
  })
  if (errors[0] !== undefined) throw new Error(`${file}: ${errors[0].message}`)
  return code
}

const minify = (file: string): void => {
  const written = readFileSync(path.join(dist, file), "utf8")
  const { code } = transformSync(file.endsWith(".js") ? withShortNames(file, written) : written, {
    loader: file.endsWith(".css") ? "css" : "js",
    minifyWhitespace: true,
    minifySyntax: true,
    target: "es2023",
    legalComments: "none",
    charset: "utf8",
    lineLimit: 120
  })
  writeFileSync(path.join(dist, file), code)
}

/** Whether `exports` closes this module. */
const isClosed = (name: string): boolean =>
  exported[`./${name}`] === undefined &&
  Object.entries(exported).some(([to, target]) => target === null && name.startsWith(to.slice(2).replace("*", "")))

/** Adds the declarations that these reach. */
const reach = (declarations: ReadonlyArray<string>, reached: Set<string>): Set<string> => {
  for (const file of declarations) {
    if (reached.has(file) || !existsSync(path.join(dist, file))) continue
    reached.add(file)
    const code = readFileSync(path.join(dist, file), "utf8")
    const specifiers = Array.from(code.matchAll(/(?:from |import\()"(\.[^"]+)"/g), ([, to = ""]) => to)
    const next = specifiers.map((to) => path.posix.join(path.posix.dirname(file), to.replace(/\.[jt]s$/, ".d.ts")))
    reach(next, reached)
  }
  return reached
}

for (const file of files) if (/\.(js|css)$/.test(file)) minify(file)

const declarations = files.filter((file) => file.endsWith(".d.ts"))
const reached = reach(
  declarations.filter((file) => !isClosed(file.slice(0, -".d.ts".length))),
  new Set()
)
for (const file of declarations) if (!reached.has(file)) rmSync(path.join(dist, file))

/** A tab for each step, and no tags of the reference. The compiler indents by four spaces, the bundler by two. */
const shorten = (file: string): void => {
  const step = file.startsWith("bundled") ? 2 : 4
  const written = readFileSync(path.join(dist, file), "utf8")
  const shortened = written
    .replace(/(\n *\*)? @category [a-z ]+ @since [\d.]+/g, "")
    .replace(/^ +/gm, (spaces) => "\t".repeat(spaces.length / step) + " ".repeat(spaces.length % step))
  writeFileSync(path.join(dist, file), shortened)
}

for (const file of readdirSync(dist, { recursive: true, encoding: "utf8" })) if (/\.d\.c?ts$/.test(file)) shorten(file)
