import { execFile, spawn } from "node:child_process"
import { mkdir, readFile, rm, writeFile } from "node:fs/promises"
import * as path from "node:path"
import { promisify } from "node:util"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"

const root = path.resolve(import.meta.dirname, "..")
const folder = path.join(root, ".docs")
const run = promisify(execFile)
const args = (name: string) => ["--conditions=effect-analytics-source", path.join(folder, name)]

describe("docs/debugger.md", () => {
  beforeAll(async () => {
    const guide = await readFile(path.join(root, "docs/debugger.md"), "utf8")
    const programs = Array.from(guide.matchAll(/^```ts\n([\s\S]*?)^```$/gm), ([, code = ""]) => code)
    assert.strictEqual(programs.length, 2)
    await mkdir(folder, { recursive: true })
    const [start = "", faults = ""] = programs
    // Any port that is free: on a developer's machine the one of the guide may be taken.
    await writeFile(path.join(folder, "start.ts"), start.replace("port: 8686", "port: 0"))
    await writeFile(path.join(folder, "faults.ts"), faults)
    await writeFile(path.join(folder, "tsconfig.json"), `{ "extends": "../tsconfig.json", "include": ["*.ts"] }`)
  })
  afterAll(() => rm(folder, { recursive: true }))

  it("compiles", async () => {
    const { stdout } = await run("tsc", ["-p", folder]).catch((error) => error)
    assert.strictEqual(stdout, "")
  }, 60_000)

  it("the program that starts it prints where the page is, and where to send", async () => {
    const child = spawn(process.execPath, args("start.ts"), { stdio: ["ignore", "pipe", "inherit"] })
    try {
      const printed = await new Promise<string>((resolve) => {
        let text = ""
        child.stdout.on("data", (chunk: Buffer) => {
          text += chunk.toString()
          if (/send to http:\S+\n/.test(text)) resolve(text)
        })
      })
      const [, page = "", host = ""] = /open (\S+)\nsend to (\S+)\n/.exec(printed) ?? []
      assert.strictEqual(new URL(page).origin, host)
      assert.strictEqual((await fetch(page)).status, 200)
    } finally {
      child.kill()
    }
  })

  it("the program with faults prints what the guide says", async () => {
    const code = await readFile(path.join(folder, "faults.ts"), "utf8")
    const expected = Array.from(code.matchAll(/\/\/=> (.*)$/gm), ([, line]) => line)
    const { stdout } = await run(process.execPath, args("faults.ts"), { env: { ...process.env, NO_COLOR: "1" } })
    assert.deepStrictEqual(stdout.trim().split("\n"), expected)
  })
})
