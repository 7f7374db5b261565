import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import { createRequire } from "node:module"
import * as os from "node:os"
import * as path from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"

const root = path.resolve(import.meta.dirname, "..")
const guide = fs.readFileSync(path.join(root, "docs/tracking-plans.md"), "utf8")

/** The programs of the guide, by the name in their first line. */
const programs = Array.from(guide.matchAll(/```ts\n\/\/ (\S+\.ts)\n(.*?)```/gs), ([, name = "", code = ""]) => ({
  name,
  code,
  prints: Array.from(code.matchAll(/^ *\/\/=> ?(.*)$/gm), ([, line]) => line)
}))

describe("docs/tracking-plans.md", () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "guide-"))

  beforeAll(() => {
    const modules = fs.realpathSync(path.join(root, "node_modules"))
    const library = path.join(folder, "node_modules/effect-analytics")
    fs.mkdirSync(library, { recursive: true })
    for (const name of ["effect", "@types", "typebox"]) {
      fs.symlinkSync(path.join(modules, name), path.join(folder, "node_modules", name))
    }
    fs.symlinkSync(path.join(root, "src"), path.join(library, "src"))
    const manifest = { name: "effect-analytics", type: "module", exports: { "./*": "./src/*.ts" } }
    fs.writeFileSync(path.join(library, "package.json"), JSON.stringify(manifest))
    fs.writeFileSync(path.join(folder, "package.json"), `{ "type": "module" }`)
    for (const { code, name } of programs) fs.writeFileSync(path.join(folder, name), code)
  })
  afterAll(() => fs.rmSync(folder, { recursive: true }))

  const run = (...args: ReadonlyArray<string>) =>
    spawnSync(process.execPath, args, { cwd: folder, encoding: "utf8", env: { ...process.env, NO_COLOR: "1" } })

  it("every program in it has a name", () => {
    assert.strictEqual(guide.match(/```ts/g)?.length, programs.length)
    assert.isAbove(programs.length, 8)
  })

  it("compiles", () => {
    const manifest = createRequire(import.meta.url).resolve("typescript/package.json")
    const extending = {
      extends: path.join(root, "tsconfig.json"),
      compilerOptions: { plugins: [] },
      include: ["*.ts"]
    }
    fs.writeFileSync(path.join(folder, "tsconfig.json"), JSON.stringify(extending))
    const { stderr, stdout } = run(path.join(path.dirname(manifest), "bin/tsc"), "-p", folder)
    // Of the guide; the library has its own check.
    const errors = stdout.split("\n").filter((line) => /^\w+\.ts\(/.test(line))
    assert.deepStrictEqual(errors, [])
    assert.strictEqual(stderr, "")
  }, 60_000)

  it.each(programs)(
    "$name runs, and prints what the guide says",
    ({ name, prints }) => {
      const { status, stderr, stdout } = run(path.join(folder, name))
      assert.strictEqual(stderr, "")
      // But for the log, which tells of losses.
      const printed = stdout.split("\n").filter((line) => line !== "" && !/^\[\d\d:/.test(line))
      assert.deepStrictEqual(printed, prints)
      assert.strictEqual(status, name === "ci.ts" ? 1 : 0)
    },
    60_000
  )
})
