/**
 * The README and the pages of `docs` say what is true: every program is compiled as strictly as the project, runs as it
 * stands, and prints what its lines `//=> …` say; tables agree with the code; links lead somewhere. What a program would send
 * to the real API goes to a peer on loopback.
 */
import { execFile } from "node:child_process"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { mkdir, rm, writeFile } from "node:fs/promises"
import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Analytics from "../src/Analytics.ts"
import type * as Message from "../src/Message.ts"
import { createAnalytics } from "../src/plain.ts"
import { createTestAnalytics } from "../src/plainTest.ts"
import { defaults, Settings, variableOf } from "../src/Settings.ts"
import { blocks, programs as docstringPrograms } from "./docstrings.ts"
import { Postgres } from "./Postgres.ts"

const run = promisify(execFile)
const path = (name: string) => fileURLToPath(new URL(`../${name}`, import.meta.url))
const read = (page: string) => readFileSync(path(page), "utf8")

/** The cells of all rows of the tables below a heading. */
const tableOf = (page: string, heading: string): ReadonlyArray<ReadonlyArray<string>> => {
  const [, section = ""] = read(page).split(new RegExp(`^#+ ${heading}$`, "m"))
  const [own = ""] = section.split(/^#+ /m)
  const rows = Array.from(own.matchAll(/^\| (.*) \|$/gm), ([, row = ""]) => row.split(" | "))
  return rows.filter(([first = ""]) => first.startsWith("`"))
}

/** The code in a cell. */
const codesOf = (cell = ""): ReadonlyArray<string> => Array.from(cell.matchAll(/`([^`]+)`/g), ([, code = ""]) => code)

interface Program {
  readonly name: string
  readonly code: string
  readonly file: string
  readonly prints: ReadonlyArray<string>
}

/** The programs of a page, each with the heading above it. */
const programsOf = (page: string): ReadonlyArray<Program> => {
  const programs: Array<Program> = []
  let heading = ""
  for (const [, title, code] of read(page).matchAll(/^#+ (.+)$|^```ts\n([\s\S]*?)^```$/gm)) {
    if (title !== undefined) heading = title
    if (code === undefined) continue
    const at = programs.length + 1
    const file = `${page.replace(/\W+/g, "-")}-${at}${isTest(code) ? ".test" : ""}.ts`
    const prints = Array.from(code.matchAll(/\/\/=> (.*)$/gm), ([, line = ""]) => line)
    programs.push({ name: `${page}, program ${at}, ${heading}`, code, file: path(`.readme/${file}`), prints })
  }
  return programs
}

/** The lines that a program prints. Log lines of Effect are none of these: they begin with the time. */
const linesOf = (stdout: string) => stdout.split("\n").filter((line) => line !== "" && !/^\[\d\d:\d\d:\d\d/.test(line))

const isTest = (code: string) => /from "(@effect\/)?vitest"/.test(code)
const sends = (code: string) => /YOUR_WRITE_KEY|layerFromConfig/.test(code)

const programs = ["README.md", "AGENTS.md", "docs/plain.md", "docs/effect.md", "docs/calls.md"].flatMap(programsOf)

const docstrings = docstringPrograms()
const docstringBlocks = blocks()

describe("the programs", () => {
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
    await Promise.all(programs.map(({ code, file }) => writeFile(file, code)))
    for (const { code, name } of [...docstrings, ...docstringBlocks])
      await writeFile(path(`.readme/docstrings-${name}.ts`), code)
    await writeFile(path(".readme/tsconfig.json"), `{ "extends": "../tsconfig.json", "include": ["*.ts"] }`)
    const conditions = `{ resolve: { conditions: ["effect-analytics-source"] } }`
    await writeFile(path(".readme/vitest.config.js"), `export default { ssr: ${conditions} }`)
  })
  afterAll(async () => {
    server.close()
    await Effect.runPromise(Scope.close(scope, Exit.void))
    await rm(path(".readme"), { recursive: true })
  })

  const start = (file: string) => {
    const options = {
      cwd: path(".readme"),
      env: {
        ...process.env,
        NO_COLOR: "1",
        DATABASE_URL: database,
        ANALYTICS_WRITE_KEY: "YOUR_WRITE_KEY",
        PEER: `http://127.0.0.1:${(server.address() as AddressInfo).port}`
      }
    }
    return file.endsWith(".test.ts")
      ? run("vitest", ["run", "--root", path(".readme"), file], options)
      : run(
          "node",
          ["--conditions=effect-analytics-source", "--import", path("test/programs/toPeer.ts"), file],
          options
        )
  }

  it("compile, and so do the examples in docstrings", async () => {
    assert.isAbove(programs.length, 20)
    for (const { count, name } of docstrings) assert.isAbove(count, 3, name)
    assert.isAbove(docstringBlocks.length, 10)
    const { stdout } = await run("tsc", ["-p", path(".readme/tsconfig.json")]).catch((error) => error)
    assert.strictEqual(stdout, "")
  }, 60_000)

  it.each(programs.map((program) => [program.name, program] as const))("%s", async (_, { code, file, prints }) => {
    received.length = 0
    const { stdout } = await start(file)
    if (isTest(code)) assert.match(stdout, /Tests {2}1 passed/)
    else assert.deepStrictEqual(linesOf(stdout), prints)
    if (sends(code)) assert.isNotEmpty(received)
  })

  it("a second run of the history has the same ids and times, so the API removes the duplicates", async () => {
    const history = programs.filter(({ code }) => code.includes("messageId: `order-completed-"))
    assert.lengthOf(history, 2)
    for (const { file } of history) {
      received.length = 0
      await start(file)
      const first = received.splice(0).map(({ messageId, timestamp }) => ({ messageId, timestamp }))
      await start(file)
      assert.isNotEmpty(first)
      assert.deepStrictEqual(
        first,
        received.map(({ messageId, timestamp }) => ({ messageId, timestamp }))
      )
      assert.match(first[0]?.timestamp ?? "", /^2023-/)
    }
  })
})

describe("the tables", () => {
  it("list every setting, with its default", () => {
    const rows = tableOf("docs/plain.md", "Settings")
    const listed = new Map(rows.flatMap(([names, value = ""]) => codesOf(names).map((name) => [name, value])))
    const valueOf = (cell = "") => {
      const text = cell.replaceAll("`", "")
      const [, amount = "", unit = ""] = /^([\d,]+) ?(MiB|s)?$/.exec(text) ?? []
      if (amount === "") return text
      return Number(amount.replaceAll(",", "")) * (unit === "MiB" ? 1024 * 1024 : unit === "s" ? 1_000 : 1)
    }
    for (const name of Object.keys(Settings.fields)) {
      const known = (defaults as Record<string, unknown>)[name]
      if (known !== undefined) assert.strictEqual(valueOf(listed.get(name)), known, name)
      assert.isTrue(listed.has(name), name)
    }
    for (const name of listed.keys()) {
      // A name that is no setting is refused; a value that is none is refused in other words, or taken.
      const settings = { writeKey: "test-write-key", stub: true, [name]: Number.NaN }
      let problem = ""
      try {
        createAnalytics(settings as never)
      } catch (error) {
        problem = String(error)
      }
      assert.notInclude(problem, "is no setting", name)
    }
  })

  it("list every variable of the configuration", () => {
    const listed = tableOf("docs/effect.md", "Configuration").map(([variable, setting]) => [
      codesOf(variable)[0],
      codesOf(setting)[0]
    ])
    const expected = ["writeKey", ...Object.keys(Settings.fields).filter((name) => name !== "headers")].map((name) => [
      variableOf(name),
      name
    ])
    assert.sameDeepMembers(listed, expected)
  })

  it("list every layer", () => {
    const listed = tableOf("docs/effect.md", "Layers").map(([code]) => /`Analytics\.(\w+)/.exec(code ?? "")?.[1])
    assert.sameMembers(
      listed,
      Object.keys(Analytics).filter((name) => name.startsWith("layer"))
    )
  })

  const evaluate = (code: string): unknown => new Function(`return (${code})`)()
  const values = tableOf("docs/calls.md", "Values").flatMap(([cell, result = ""]) =>
    codesOf(cell).map((code) => [code, result] as const)
  )

  it.each(values)("say what becomes of %s", async (code, result) => {
    const analytics = createTestAnalytics()
    const value = evaluate(code)
    const track = () => analytics.track({ userId: "u1", event: "e", properties: { value, list: [value] } })
    const [expected = ""] = codesOf(result)
    const isRefused = /^(is|could) /.test(expected)
    if (isRefused) assert.throws(track, expected)
    else {
      track()
      await analytics.flush()
      const left = result.startsWith("left out")
      const json = left ? undefined : JSON.parse(expected)
      const [message] = analytics.sent
      assert(message?.type === "track")
      assert.deepStrictEqual(message.properties, left ? { list: [null] } : { value: json, list: [json] })
    }
    await analytics.close()
  })

  it.each(
    tableOf("docs/calls.md", "The errors of a call").flatMap(([call = "", message = ""]) =>
      call.includes("(") ? [[codesOf(call)[0] ?? "", codesOf(message)[0]] as const] : []
    )
  )("give the words of %s", (code, words) => {
    const analytics = createTestAnalytics()
    try {
      new Function("analytics", `analytics.${code}`)(analytics)
      assert.fail("the call was accepted")
    } catch (error) {
      assert.strictEqual((error as Error).message, words)
    }
  })

  it("list every field of every call", () => {
    const fields = tableOf("docs/calls.md", "Fields").map(([name]) => codesOf(name)[0])
    const words = "userId anonymousId event groupId previousId name category traits properties"
    assert.sameMembers(fields, [...words.split(" "), "timestamp", "messageId", "context", "integrations"])
  })
})

describe("the tests that docs/reliability.md names", () => {
  const rows = Array.from(
    read("docs/reliability.md").matchAll(/^\| ([A-Z\d, ]+) \|.*\| (.*) \|$/gm),
    ([, ids = "", shown = ""]) => ({
      ids: ids.split(", "),
      files: codesOf(shown).filter((code) => code.endsWith(".ts"))
    })
  ).filter(({ files }) => files.length > 0)

  it("exist, and have the id of the fault", () => {
    assert.isAbove(rows.length, 40)
    for (const { files, ids } of rows) {
      const tests = files.map((file) => read(`test/${file}`)).join("\n")
      for (const id of ids) assert.match(tests, new RegExp(`\\b${id}\\b`), files.join(", "))
    }
  })
})

describe("the links", () => {
  const pages = [
    "README.md",
    "CHANGELOG.md",
    "AGENTS.md",
    "llms.txt",
    ...readdirSync(path("docs")).map((name) => `docs/${name}`)
  ].filter((page) => page.endsWith(".md"))
  /** The anchor of a heading. */
  const slugOf = (heading: string) =>
    heading
      .toLowerCase()
      .replace(/[^\w\- ]/g, "")
      .replaceAll(" ", "-")
  const anchorsOf = (page: string) => Array.from(read(page).matchAll(/^#+ (.+)$/gm), ([, title = ""]) => slugOf(title))

  it.each(pages)("of %s lead to a page and a heading that exist", (page) => {
    for (const [, target = ""] of read(page).matchAll(/\]\((?!https?:)([^)\s]+)\)/g)) {
      const [file = "", anchor] = target.split("#")
      const found = file === "" ? page : new URL(file, `file:///${page}`).pathname.slice(1)
      assert.isTrue(existsSync(path(found)), `${page}: ${target}`)
      if (anchor !== undefined) assert.include(anchorsOf(found), anchor, `${page}: ${target}`)
    }
  })

  it("lead to the repository in a package that does not hold their files", async () => {
    const { withLinksTo } = await import("../.ci/published.ts")
    const manifest = { version: "1.2.3", repository: { url: "git+https://code.example/analytics/sdk.git" } }
    const page = "[a](docs/calls.md#errors) ![b](docs/b.png) [c](CHANGELOG.md) [d](https://effect.website) [e](#tests)"
    assert.strictEqual(
      withLinksTo(manifest, ["CHANGELOG.md"], page),
      "[a](https://code.example/analytics/sdk/blob/v1.2.3/docs/calls.md#errors) ![b](https://code.example/analytics/sdk/raw/v1.2.3/docs/b.png) [c](CHANGELOG.md) [d](https://effect.website) [e](#tests)"
    )
    assert.strictEqual(withLinksTo({ version: "1.2.3" }, [], page), page)
  })

  it.each(["README.md", "docs/architecture.md", "docs/performance.md"])(
    "of %s: the files of the project that it names exist",
    (page) => {
      const named = Array.from(read(page).matchAll(/\b(src|test|bench|examples)\/[\w./-]*\w/g), ([name]) => name)
      assert.isNotEmpty(named)
      for (const name of named) assert.isTrue(existsSync(path(name)), `${page}: ${name}`)
    }
  )
})

describe("The figures of the README", () => {
  /** A cell of what the benchmark printed, without what is in brackets. */
  const printed = (title: string, column: string, client: string): string | undefined => {
    const [, section = ""] = read("docs/performance.md").split(`**${title}`)
    const [head = [], , ...rows] = Array.from(
      (section.split("**")[1] ?? "").matchAll(/^\| ?(.*) \|$/gm),
      ([, row = ""]) => row.split(" | ").map((cell) => cell.trim())
    )
    const row = rows.find(([first]) => first === client)
    return row?.[head.indexOf(column)]?.replace(/ \(.*/, "")
  }

  it("are those that the benchmark has printed", () => {
    const [, section = ""] = read("README.md").split("## What it costs")
    const figures = Array.from((section.split("## ")[0] ?? "").matchAll(/^\| (\w.*) \|$/gm), ([, row = ""]) =>
      row.split(" | ")
    )
    const columns: ReadonlyArray<readonly [name: string, title: string, column: string]> = [
      ["import, ms", "Cold start", "import ms"],
      ["CPU of a message in a burst, µs", "Burst", "CPU µs a message, whole process"],
      ["a program bundled and gzipped, KiB", "Size", "gzip"],
      ["installed, MB", "Size", "installed MB"],
      ["packages", "Size", "packages"]
    ]
    assert.deepStrictEqual(
      figures,
      columns.map(([name, ...cell]) => [
        name,
        printed(...cell, "effect-analytics, plain"),
        printed(...cell, "@segment/analytics-node")
      ])
    )
  })
})
