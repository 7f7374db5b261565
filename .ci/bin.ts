/** The command line in one bundle with everything that it needs: for the package, and for tests, where it starts in a third of the time. */
import { fileURLToPath } from "node:url"
import { type BuildOptions, build } from "esbuild"

/** Bundles it with further options of esbuild. */
export const bundleBin = (options: BuildOptions) =>
  build({
    absWorkingDir: fileURLToPath(new URL("..", import.meta.url)),
    entryPoints: { "bin-main": "src/bin.ts" },
    chunkNames: "bin-[hash]",
    bundle: true,
    splitting: true,
    platform: "node",
    format: "esm",
    target: "node22.19",
    logLevel: "warning",
    // Packages in CommonJS require what Node has.
    banner: {
      js: `import { createRequire as bundleRequire } from "node:module"; const require = bundleRequire(import.meta.url);`
    },
    ...options
  })
