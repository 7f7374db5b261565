/**
 * `npm run docs`: the reference of the API, made of the docstrings, in `.docs`. It fails if an export has no docstring, or a link leads
 * nowhere. typedoc is installed by this command, in `.ci/docs`, when it is missing; it is no part of the project's own install.
 */
import { execFileSync, spawnSync } from "node:child_process"
import { copyFileSync, existsSync, readFileSync } from "node:fs"
import * as path from "node:path"

const tools = path.join(import.meta.dirname, "docs")
const [wanted, done] = [path.join(tools, "package-lock.json"), path.join(tools, "node_modules", "installed.json")]

if (!existsSync(done) || readFileSync(done, "utf8") !== readFileSync(wanted, "utf8")) {
  execFileSync("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: tools,
    stdio: ["ignore", "ignore", "inherit"]
  })
  copyFileSync(wanted, done)
}
const { status } = spawnSync(
  process.execPath,
  [path.join(tools, "node_modules/typedoc/bin/typedoc"), "--options", tools],
  { stdio: "inherit" }
)
process.exitCode = status ?? 1
