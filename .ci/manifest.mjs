/**
 * What a pack changes. The package.json that is published has no condition for the source, since the source is not in the
 * package, and nothing that only the repository uses. The pages lead to the repository, where `docs` is.
 *
 * npm packs files as they are on disk: `publish` changes them before a pack, `restore` puts back those of the repository
 * after it.
 */
import { copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { ofPackage, withLinksTo } from "./published.ts"

const root = fileURLToPath(new URL("..", import.meta.url))
const kept = join(root, "node_modules/.packed")
const pages = ["README.md", "CHANGELOG.md", "AGENTS.md"]

const restore = () => {
  if (existsSync(kept)) cpSync(kept, root, { recursive: true })
  rmSync(kept, { recursive: true, force: true })
}

// A pack that was interrupted has left the files of the package.
restore()
if (process.argv[2] === "publish") {
  mkdirSync(kept)
  for (const file of ["package.json", ...pages]) copyFileSync(join(root, file), join(kept, file))
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))
  writeFileSync(join(root, "package.json"), `${JSON.stringify(ofPackage(manifest), null, 2)}\n`)
  const packed = [...manifest.files, ...readdirSync(root).filter((name) => /^(readme|license)/i.test(name))]
  for (const page of pages) {
    writeFileSync(join(root, page), withLinksTo(manifest, packed, readFileSync(join(root, page), "utf8")))
  }
}
