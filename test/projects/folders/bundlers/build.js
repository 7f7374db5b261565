/** Bundles `main.js` with each bundler as a server program is bundled, into one file, and fails at a warning. */
import { builtinModules } from "node:module"
import { promisify } from "node:util"
import nodeResolve from "@rollup/plugin-node-resolve"
import { rollup } from "rollup"
import * as vite from "vite"
import webpack from "webpack"

const builtins = [...builtinModules, /^node:/]
const fail = (warning) => {
  throw new Error(warning.message)
}

const stats = await promisify(webpack)({
  mode: "production",
  entry: "./main.js",
  target: "node22",
  experiments: { outputModule: true },
  output: { path: `${import.meta.dirname}/out`, filename: "webpack.mjs", module: true }
})
const { errors, warnings } = stats.toJson()
for (const problem of [...errors, ...warnings]) fail(problem)

const bundle = await rollup({ input: "main.js", external: builtins, plugins: [nodeResolve()], onwarn: fail })
await bundle.write({ file: "out/rollup.mjs", format: "esm" })

await vite.build({
  logLevel: "warn",
  ssr: { noExternal: true },
  build: {
    ssr: "main.js",
    outDir: "out",
    emptyOutDir: false,
    rollupOptions: { output: { entryFileNames: "vite.mjs" } }
  }
})
