/**
 * Packs the library and uses it as a stranger would: installed from the tarball, beside nothing but effect.
 */
import assert from "node:assert/strict"
import { execFileSync, spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const bin = (name) => join(root, "node_modules", ".bin", name)
const readJson = (...path) => JSON.parse(readFileSync(join(...path), "utf8"))

const npm = (cwd, ...args) =>
  execFileSync("npm", [...args, "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"], {
    cwd,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"]
  })

/** A program for each face, which only has to compile. */
const consumer = `
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Analytics from "effect-analytics/Analytics"
import { createAnalytics } from "effect-analytics/plain"

export const program = Effect.gen(function* () {
  const analytics = yield* Analytics.Analytics
  yield* analytics.track({ userId: "019mr8mf4r", event: "Purchased Item", properties: { revenue: 39.95 } })
  yield* analytics.flush
}).pipe(Effect.provide(Analytics.layerFetch({ writeKey: Redacted.make("key") })))

export const main = async (): Promise<void> => {
  const analytics = createAnalytics({ writeKey: "key" })
  const accepted: boolean = analytics.identify({ userId: "019mr8mf4r", traits: { plan: "free" } })
  if (accepted) await analytics.flush()
  // @ts-expect-error a call without an event name
  analytics.track({ userId: "019mr8mf4r" })
  await analytics.close()
}
`

const tsconfig = {
  compilerOptions: {
    target: "es2022",
    lib: ["es2023", "dom"],
    module: "nodenext",
    types: [],
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    verbatimModuleSyntax: true,
    noEmit: true
  },
  files: ["consumer.ts", "imports.ts"]
}

const importAll = (modules) => modules.map((name, i) => `import * as m${i} from "${name}"`)

/** What `import` may name, read from what was packed and what `exports` closes. */
const exportedModules = (installed, manifest) => {
  const closed = Object.entries(manifest.exports).flatMap(([path, to]) => (to === null ? [path.slice(2)] : []))
  const isClosed = (name) =>
    manifest.exports[`./${name}`] == null &&
    closed.some((path) => (path.endsWith("*") ? name.startsWith(path.slice(0, -1)) : name === path))
  const names = readdirSync(join(installed, "dist"), { recursive: true })
    .map((file) => file.replaceAll("\\", "/"))
    .filter((file) => file.endsWith(".js"))
    .map((file) => file.slice(0, -".js".length))
    .filter((name) => name !== "index" && !isClosed(name))
    .sort()
  return [manifest.name, ...names.map((name) => `${manifest.name}/${name}`)]
}

/** Starts the debugger of the installed package, whose page is files beside its modules. */
const startDebugger = (cwd) => {
  const script = `
    import * as Effect from "effect/Effect"
    import * as Debugger from "effect-analytics/Debugger"
    const answers = Effect.gen(function* () {
      const { url } = yield* Debugger.Debugger
      return yield* Effect.promise(async () => {
        const html = await (await fetch(url)).text()
        const files = Array.from(html.matchAll(/(?:src|href)="(\\/[^"]+)"/g), ([, file]) => new URL(file, url))
        return Promise.all(files.map(async (file) => (await fetch(file)).status))
      })
    }).pipe(Effect.provide(Debugger.layer()), Effect.scoped)
    console.log(JSON.stringify(await Effect.runPromise(answers)))`
  const said = execFileSync(process.execPath, ["--input-type=module", "--eval", script], {
    cwd,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"]
  })
  assert.deepEqual(JSON.parse(said), [200, 200], "the page of the debugger and its files are there")
}

/** Imports every module in a process of its own, and answers which of them miss which package. */
const importEach = (cwd, modules) => {
  const script = `
    for (const name of ${JSON.stringify(modules)}) {
      try {
        if (Object.keys(await import(name)).length === 0) throw new Error(name + " exports nothing")
      } catch (error) {
        const missing = error.code === "ERR_MODULE_NOT_FOUND" && /package '([^']+)'/.exec(error.message)?.[1]
        if (!missing) throw error
        console.log(JSON.stringify([name, missing]))
      }
    }`
  const said = execFileSync(process.execPath, ["--input-type=module", "--eval", script], {
    cwd,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"]
  })
  return said.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line)]))
}

/** The command line, where nothing is installed but the package itself: not even its peers. */
const checkCommandLine = (cwd, tarball) => {
  mkdirSync(cwd)
  writeFileSync(join(cwd, "package.json"), JSON.stringify({ name: "alone", private: true }))
  npm(cwd, "install", "--prefer-offline", "--ignore-scripts", "--legacy-peer-deps", tarball)
  const installed = readdirSync(join(cwd, "node_modules")).filter((name) => !name.startsWith("."))
  assert.deepEqual(installed, ["effect-analytics"])
  const npx = (...args) => execFileSync("npx", ["--no-install", "effect-analytics", ...args], { cwd, encoding: "utf8" })
  assert.match(npx("--help"), /import +Import events from NDJSON or CSV/)
  const { message, valid } = JSON.parse(npx("track", "Signed Up", "--user-id", "u1", "--dry-run", "--json"))
  assert.deepEqual([valid, message.event, message.userId], [true, "Signed Up", "u1"])
  // It ends by itself only when it is told to.
  const { stdout } = spawnSync(
    process.execPath,
    ["node_modules/effect-analytics/dist/bin.js", "debugger", "--port", "0", "--json"],
    {
      cwd,
      encoding: "utf8",
      timeout: 10_000
    }
  )
  assert.match(JSON.parse(stdout).url, /^http:\/\/127\.0\.0\.1:\d+\/#/)
  writeFileSync(join(cwd, "events.csv"), "userId,event\nu1,Signed Up\n")
  const { lines, valid: rows } = JSON.parse(npx("import", "events.csv", "--type", "track", "--dry-run", "--json"))
  assert.deepEqual([lines, rows], [1, 1])
  const rules = {
    type: "object",
    properties: { properties: { type: "object", properties: { a: { type: "string" } } } }
  }
  writeFileSync(
    join(cwd, "plan.json"),
    JSON.stringify({ display_name: "Shop", rules: { events: [{ name: "E", rules }] } })
  )
  assert.equal(npx("plan", "check", "plan.json"), "valid Shop: 1 event\n")
  for (const name of ["effect", "@effect/platform-node", "csv-parse", "typebox"]) {
    assert.match(
      readFileSync(join(cwd, "node_modules/effect-analytics/dist/bin-licenses.txt"), "utf8"),
      new RegExp(`^${name} `, "m")
    )
  }
}

const temp = mkdtempSync(join(tmpdir(), "effect-analytics-package-"))
try {
  npm(root, "pack", "--pack-destination", temp)
  const tarball = join(
    temp,
    readdirSync(temp).find((file) => file.endsWith(".tgz"))
  )
  execFileSync(bin("publint"), ["run", tarball, "--strict"], { cwd: root, stdio: ["ignore", "inherit", "inherit"] })

  checkCommandLine(join(temp, "alone"), tarball)

  const versionOf = (name) => readJson(root, "node_modules", name, "package.json").version
  const app = join(temp, "app")
  mkdirSync(app)
  writeFileSync(join(app, "package.json"), JSON.stringify({ name: "app", private: true, type: "module" }))
  npm(app, "install", "--prefer-offline", "--ignore-scripts", tarball, `effect@${versionOf("effect")}`)

  const installed = join(app, "node_modules", "effect-analytics")
  const manifest = readJson(installed, "package.json")
  const optional = Object.keys(manifest.peerDependenciesMeta ?? {})
  const required = Object.keys(manifest.peerDependencies).filter((name) => !optional.includes(name))
  assert.deepEqual(required, ["effect"], "effect is the only peer that must be there")
  assert.deepEqual(Object.keys(manifest.dependencies ?? {}), [], "there are no dependencies beside the peers")
  assert.deepEqual(Object.keys(manifest.optionalDependencies ?? {}), [])

  const lock = readJson(app, "package-lock.json").packages
  const reached = new Set()
  const reach = (name) => {
    if (reached.has(name) || lock[`node_modules/${name}`] === undefined) return
    reached.add(name)
    Object.keys(lock[`node_modules/${name}`].dependencies ?? {}).forEach(reach)
  }
  reach("effect")
  const strangers = Object.keys(lock)
    .map((path) => path.split("node_modules/").at(-1))
    .filter((name) => name !== "" && name !== "effect-analytics" && !reached.has(name))
  assert.deepEqual(strangers, [], "nothing was installed but effect and what effect needs")

  const modules = exportedModules(installed, manifest)
  const incomplete = importEach(app, modules)
  for (const [name, missing] of incomplete) assert.ok(optional.includes(missing), `${name} needs ${missing}`)
  const withoutPeers = modules.filter((name) => !incomplete.some(([other]) => other === name))

  writeFileSync(join(app, "tsconfig.json"), JSON.stringify(tsconfig))
  writeFileSync(join(app, "consumer.ts"), consumer)
  const imports = importAll(withoutPeers)
  writeFileSync(
    join(app, "imports.ts"),
    `${imports.join("\n")}\nexport const all = [${imports.map((_, i) => `m${i}`).join(", ")}]\n`
  )
  execFileSync(bin("tsc"), ["-p", resolve(app)], { cwd: app, stdio: ["ignore", "inherit", "inherit"] })

  if (incomplete.length > 0) {
    const peers = [...new Set(incomplete.map(([, missing]) => missing))]
    const versions = peers.map((name) => `${name}@${versionOf(name)}`)
    npm(app, "install", "--prefer-offline", "--ignore-scripts", ...versions)
    const rest = incomplete.map(([name]) => name)
    assert.deepEqual(importEach(app, rest), [], "with the optional peers everything can be imported")
    startDebugger(app)
    console.log(`With ${peers.join(", ")}: ${rest.join(", ")}`)
  }
  console.log(`With effect alone: ${withoutPeers.join(", ")}`)
} finally {
  rmSync(temp, { recursive: true, force: true })
}
