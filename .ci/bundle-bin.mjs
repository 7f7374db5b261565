/**
 * Bundles the command line, so that it runs with nothing installed beside it: `dist/bin.js`, its modules that are loaded when
 * they are needed (`dist/bin-*.br`), and the licences of what is in them (`dist/bin-licenses.txt`).
 *
 * The modules are compressed: with 1 MB they would be half of the package, and most of those who install it never run them.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { brotliCompressSync } from "node:zlib"
import { bundleBin } from "./bin.ts"

const root = fileURLToPath(new URL("..", import.meta.url))

/** Loads the modules. Node has these hooks since 22.15. */
const loader = `#!/usr/bin/env node
import { readFileSync } from "node:fs"
import { registerHooks } from "node:module"
import { brotliDecompressSync } from "node:zlib"

registerHooks({
  load: (url, context, nextLoad) =>
    url.endsWith(".br")
      ? { format: "module", shortCircuit: true, source: brotliDecompressSync(readFileSync(new URL(url))) }
      : nextLoad(url, context)
})
await import("./bin-main.br")
`

const chunks = await bundleBin(join(root, "dist"), ".br", { minify: true })
writeFileSync(join(root, "dist/bin.js"), loader, { mode: 0o755 })
for (const { code, fileName } of chunks) writeFileSync(join(root, "dist", fileName), brotliCompressSync(code))

const packages = new Set(
  chunks
    .flatMap(({ moduleIds }) => moduleIds)
    .flatMap((id) => {
      const [, name] = /.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(id) ?? []
      return name === undefined ? [] : [name]
    })
)
const licenses = Array.from(packages, (name) => {
  const folder = join(root, "node_modules", name)
  const { license, version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"))
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry))
  // A package of a monorepo may have its text in another one.
  const text = file === undefined ? "" : readFileSync(join(folder, file), "utf8").trim()
  return `${name} ${version} (${license})\n\n${text}`
})
writeFileSync(join(root, "dist/bin-licenses.txt"), `${licenses.sort().join(`\n\n${"-".repeat(80)}\n\n`)}\n`)
