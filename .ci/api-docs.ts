/**
 * `npm run docs`: the reference of the API, made of the docstrings, in `.docs`. It fails if an export has no docstring, no
 * `@category` or no `@since`, or if a link leads nowhere. typedoc is installed by this command, in `.ci/docs`, when it is
 * missing; it is no part of the project's own install.
 */
import { spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import * as path from "node:path"
import { installed } from "./tools.ts"

const root = path.join(import.meta.dirname, "..")
const tools = installed("docs")

const { status } = spawnSync(
  process.execPath,
  [path.join(tools, "node_modules/typedoc/bin/typedoc"), "--options", tools],
  { stdio: "inherit" }
)
if (status !== 0) process.exit(status ?? 1)

interface Reflection {
  readonly id: number
  readonly name: string
  readonly kind: number
  readonly comment?: { readonly blockTags?: ReadonlyArray<{ readonly tag: string }> }
  readonly signatures?: ReadonlyArray<Reflection>
  readonly children?: ReadonlyArray<Reflection>
  readonly categories?: ReadonlyArray<{ readonly title: string; readonly children: ReadonlyArray<number> }>
}

/** What a module exports of another has its docstring there. */
const isReference = ({ kind }: Reflection): boolean => kind === 4_194_304
const isSince = ({ comment }: Reflection): boolean => comment?.blockTags?.some(({ tag }) => tag === "@since") ?? false

const { children: modules = [] }: Reflection = JSON.parse(readFileSync(path.join(root, ".docs/api.json"), "utf8"))
const untagged = modules.flatMap(({ categories = [], children = [], name }) => {
  const categorized = new Set(categories.flatMap(({ children, title }) => (title === "Other" ? [] : children)))
  return children
    .filter((one) => !isReference(one))
    .filter((one) => !categorized.has(one.id) || ![one, ...(one.signatures ?? [])].some(isSince))
    .map((one) => `${name}.${one.name} has no @category or no @since`)
})
for (const problem of untagged) console.error(problem)
if (modules.length === 0 || untagged.length > 0) process.exitCode = 1
