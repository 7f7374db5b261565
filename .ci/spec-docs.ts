/**
 * The docstrings of the Spec's plans: an editor shows them, exports have the descriptions, and nobody writes both.
 *
 * `npm run spec-docs` writes the docstring of every described event and property in `src/spec` anew.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs"

const text = String.raw`"(?:[^"\\]|\\.)*"`
const docstring = String.raw`(?:^ *\/\*\* .* \*\/\n)?`
const key = String.raw`^( *)(?:${text}|\w+): `
/** `sku: text.annotate({ description: "…" })`, and `"Cart Viewed": event("…", …)`. */
const described = new RegExp(
  `${docstring}${key}(?:(?!event\\()[^\\n]*\\.annotate\\(\\{\\s*description: |event\\(\\s*)(${text})`,
  "gm"
)

/** The source with the docstrings that its descriptions make. */
export const withDocstrings = (source: string): string =>
  source.replace(described, (found, indent: string, description: string) => {
    const code = found.replace(/^ *\/\*\* .* \*\/\n/, "")
    return `${indent}/** ${JSON.parse(description)} */\n${code}`
  })

export const folder = new URL("../src/spec/", import.meta.url)

if (import.meta.main) {
  for (const name of readdirSync(folder)) {
    const file = new URL(name, folder)
    writeFileSync(file, withDocstrings(readFileSync(file, "utf8")))
  }
}
