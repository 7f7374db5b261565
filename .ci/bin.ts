/** The command line in one bundle with everything that it needs: for the package, and for tests, where it starts in a third of the time. */
import { fileURLToPath } from "node:url"
import { rolldown } from "rolldown"

const root = fileURLToPath(new URL("..", import.meta.url))

/** Writes it to `dir`: `bin-main` and its modules that are loaded when they are needed. Answers them. */
export const bundleBin = async (dir: string, extension: string, options: { readonly minify: boolean }) => {
  const bundle = await rolldown({
    cwd: root,
    input: { "bin-main": "src/bin.ts" },
    platform: "node",
    // Reading a property has no effect in any of these modules.
    treeshake: { propertyReadSideEffects: false },
    transform: { target: "node22.19" }
  })
  const { output } = await bundle.write({
    dir,
    format: "esm",
    entryFileNames: `[name]${extension}`,
    chunkFileNames: `bin-[hash]${extension}`,
    ...options
  })
  return output.filter((file) => file.type === "chunk")
}
