import { readdirSync } from "node:fs"
import { builtinModules } from "node:module"
import { fileURLToPath } from "node:url"
import { gzipSync } from "node:zlib"
import { assert, describe, it } from "@effect/vitest"
import * as esbuild from "esbuild"

const root = fileURLToPath(new URL("..", import.meta.url))

/** What a program that is one line is bundled to. */
const bundle = async (code: string) => {
  const { metafile, outputFiles } = await esbuild.build({
    stdin: { contents: code, resolveDir: root, loader: "ts" },
    bundle: true,
    minify: true,
    write: false,
    metafile: true,
    format: "esm",
    platform: "node",
    target: "node22"
  })
  const inputs = Object.values(metafile.outputs)[0]?.inputs ?? {}
  return {
    bytes: gzipSync(outputFiles[0]?.contents ?? "", { level: 9 }).length,
    /** The modules of which something is in the bundle. */
    modules: Object.entries(inputs).flatMap(([name, { bytesInOutput }]) => (bytesInOutput > 0 ? [name] : []))
  }
}

/** Rooms that are for Node by what they are: they open files, sockets and terminals. */
const forNode = ["Debugger", "SqlOutbox", "Collector", "cli", "bin"]
const rooms = readdirSync(new URL("../src", import.meta.url))
  .filter((file) => file.endsWith(".ts"))
  .map((file) => file.slice(0, -".ts".length))
const portable = rooms.filter((room) => !forNode.includes(room))

describe("a bundle", () => {
  it.each(portable)("of %s reaches nothing of Node, by whatever way", async (room) => {
    const { metafile } = await esbuild.build({
      entryPoints: [`${root}src/${room}.ts`],
      bundle: true,
      write: false,
      metafile: true,
      format: "esm",
      platform: "neutral",
      mainFields: ["module", "main"],
      external: ["node:*", ...builtinModules]
    })
    const reached = Object.entries(metafile.inputs).flatMap(([file, { imports }]) =>
      imports.flatMap(({ external, path }) => (external === true ? [`${file}: ${path}`] : []))
    )
    assert.deepStrictEqual(reached, [])
  })

  it("of a plain program is at most 75 KB, gzipped", async () => {
    const { bytes, modules } = await bundle(
      `import { createAnalytics } from "./src/plain.ts"
       createAnalytics({ writeKey: "k" }).track({ userId: "u", event: "e" })`
    )
    assert.isAtMost(bytes, 75_000)
    assert.isAbove(bytes, 20_000)
    for (const unused of ["src/TrackingPlan", "src/SqlOutbox", "src/internal/FakeServer.ts"]) {
      assert.isEmpty(modules.filter((name) => name.includes(unused)))
    }
  })
})
