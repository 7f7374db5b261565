/**
 * The package.json that is published has no condition for the source, since the source is not in the package, and nothing that
 * only the repository uses. npm packs the file as it is on disk: `publish` changes it before a pack, `restore` puts back the one
 * of the repository after it.
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs"

const file = new URL("../package.json", import.meta.url)
const kept = new URL("../node_modules/.package.json", import.meta.url)
const ofRepository = ["effect-analytics-source", "devDependencies", "overrides", "allowScripts"]

const restore = () => {
  if (!existsSync(kept)) return
  writeFileSync(file, readFileSync(kept))
  rmSync(kept)
}

// A pack that was interrupted has left the one of the package.
restore()
if (process.argv[2] === "publish") {
  const text = readFileSync(file, "utf8")
  writeFileSync(kept, text)
  const ofPackage = (key, value) => {
    // npm reads the script that restores the file from the file itself.
    if (key === "scripts") return { postpack: value.postpack }
    return ofRepository.includes(key) ? undefined : value
  }
  writeFileSync(file, `${JSON.stringify(JSON.parse(text, ofPackage), null, 2)}\n`)
}
