/** The command line in one bundle with everything that it needs: for the package, and for tests, where it starts in a third of the time. */
import { fileURLToPath } from "node:url"
import { type Plugin, rolldown } from "rolldown"

const root = fileURLToPath(new URL("..", import.meta.url))

/** The server of the debugger has no web sockets. */
const withoutWebSockets: Plugin = {
  name: "without-web-sockets",
  resolveId: { filter: { id: /^ws$/ }, handler: () => "\0ws" },
  load: { filter: { id: /^\0ws$/ }, handler: () => "export const WebSocket = undefined, WebSocketServer = undefined" }
}

/** Writes it to `dir`: `bin-main` and its modules that are loaded when they are needed. Answers them. */
export const bundleBin = async (dir: string, extension: string, options: { readonly minify: boolean }) => {
  const bundle = await rolldown({
    cwd: root,
    input: { "bin-main": "src/bin.ts" },
    platform: "node",
    plugins: [withoutWebSockets],
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
