/** Every entry of every lock file has the hash of its package, and comes from the registry: nothing from a URL of its own. */
import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const files = execFileSync("git", ["ls-files", "*package-lock.json"], { cwd: root, encoding: "utf8" })
  .trim()
  .split("\n")

const problems = files.flatMap((file) =>
  Object.entries(JSON.parse(readFileSync(root + file, "utf8")).packages).flatMap(([path, entry]) => {
    if (path === "" || entry.link) return []
    const at = `${file}: ${path}`
    if (entry.resolved !== undefined && !entry.resolved.startsWith("https://registry.npmjs.org/")) {
      return [`${at} comes from ${entry.resolved}`]
    }
    if (entry.integrity === undefined) return [`${at} has no integrity hash`]
    return entry.integrity.startsWith("sha512-") ? [] : [`${at} has a weak hash`]
  })
)

for (const problem of problems) console.error(problem)
if (problems.length > 0) process.exit(1)
console.log(`${files.length} lock files: every entry has its hash`)
