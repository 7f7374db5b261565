/**
 * Bundles the command line, so that it runs with nothing installed beside it: `dist/bin.js`, its parts that are loaded when
 * they are needed (`dist/bin-*.js`), and the licences of what is in them (`dist/bin-licenses.txt`).
 */
import { chmodSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { build } from "esbuild"

const root = fileURLToPath(new URL("..", import.meta.url))

const { metafile } = await build({
  absWorkingDir: root,
  entryPoints: { bin: "src/bin.ts" },
  outdir: "dist",
  chunkNames: "bin-[hash]",
  bundle: true,
  splitting: true,
  platform: "node",
  format: "esm",
  target: "node22.19",
  minifySyntax: true,
  minifyWhitespace: true,
  metafile: true,
  logLevel: "warning",
  // Packages in CommonJS require what Node has.
  banner: {
    js: `import { createRequire as bundleRequire } from "node:module"; const require = bundleRequire(import.meta.url);`
  }
})
chmodSync(join(root, "dist/bin.js"), 0o755)

const packages = new Set(
  Object.keys(metafile.inputs).flatMap((input) => {
    const [, name] = /.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input) ?? []
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
