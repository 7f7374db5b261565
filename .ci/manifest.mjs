/**
 * The package.json that is published has no condition for the source, since the source is not in the package. npm packs the
 * file as it is on disk: `publish` changes it before a pack, `restore` puts back the one of the repository after it.
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs"

const file = new URL("../package.json", import.meta.url)
const kept = new URL("../node_modules/.package.json", import.meta.url)
const condition = "effect-analytics-source"

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
  const withoutSource = (key, value) => (key === condition ? undefined : value)
  writeFileSync(file, `${JSON.stringify(JSON.parse(text, withoutSource), null, 2)}\n`)
}
