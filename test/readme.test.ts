/**
 * Every program in the README is compiled as strictly as the project, and run as it stands. What it would send to the
 * real API goes to a peer on loopback.
 */
import { execFile } from "node:child_process"
import { mkdir, readFile, rm, writeFile } from "node:fs/promises"
import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type * as Message from "../src/Message.ts"
import { Postgres } from "./Postgres.ts"

const run = promisify(execFile)
const path = (name: string) => fileURLToPath(new URL(`../${name}`, import.meta.url))

/** The code blocks of a text, each with the heading above it. */
const programsOf = (text: string) => {
  const programs: Array<{ readonly name: string; readonly code: string }> = []
  let heading = ""
  for (const [, title, code] of text.matchAll(/^#+ (.+)$|^```ts\n([\s\S]*?)^```$/gm)) {
    if (title !== undefined) heading = title
    if (code !== undefined) programs.push({ name: `${programs.length + 1}, ${heading}`, code })
  }
  return programs
}

const programs = programsOf(await readFile(path("README.md"), "utf8"))
const file = (index: number) => path(`.readme/${index + 1}${isTest(index) ? ".test" : ""}.ts`)
const isTest = (index: number) => programs[index]?.code.includes("@effect/vitest") === true

describe("README", () => {
  const received: Array<Message.Wire> = []
  let server: Server
  const scope = Scope.makeUnsafe()
  let database = ""

  beforeAll(async () => {
    server = createServer(async (request, response) => {
      const chunks: Array<Buffer> = []
      for await (const chunk of request) chunks.push(chunk)
      received.push(...JSON.parse(Buffer.concat(chunks).toString()).batch)
      response.writeHead(200, { "content-type": "application/json" }).end(`{"success":true}`)
    })
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    database = await Effect.runPromise(Scope.provide(Postgres.scopedDatabase, scope))
    await mkdir(path(".readme"), { recursive: true })
    await Promise.all(programs.map(({ code }, index) => writeFile(file(index), code)))
    await writeFile(path(".readme/tsconfig.json"), `{ "extends": "../tsconfig.json", "include": ["*.ts"] }`)
    const conditions = `{ resolve: { conditions: ["effect-analytics-source"] } }`
    await writeFile(path(".readme/vitest.config.js"), `export default { ssr: ${conditions} }`)
  })
  afterAll(async () => {
    server.close()
    await Effect.runPromise(Scope.close(scope, Exit.void))
    await rm(path(".readme"), { recursive: true })
  })

  it("compiles", async () => {
    assert.isAbove(programs.length, 5)
    const { stdout } = await run("tsc", ["-p", path(".readme/tsconfig.json")]).catch((error) => error)
    assert.strictEqual(stdout, "")
  })

  it.each(programs.map(({ name }, index) => [name, index] as const))("program %s", async (_, index) => {
    received.length = 0
    const options = {
      cwd: path(".readme"),
      env: {
        ...process.env,
        NO_COLOR: "1",
        DATABASE_URL: database,
        PEER: `http://127.0.0.1:${(server.address() as AddressInfo).port}`
      }
    }
    if (isTest(index)) {
      const { stdout } = await run("vitest", ["run", "--root", path(".readme")], options)
      assert.match(stdout, /Tests {2}1 passed/)
    } else {
      await run(
        "node",
        ["--conditions=effect-analytics-source", "--import", path("test/programs/toPeer.ts"), file(index)],
        options
      )
      // The one that brings its own wire asserts by itself.
      if (!programs[index]?.code.includes("createTestAnalytics")) assert.isNotEmpty(received)
    }
  })
})
