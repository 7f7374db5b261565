/**
 * Packs the library and uses it as a stranger would, installed from the tarball: its plain face with nothing beside it, the
 * others beside nothing but effect.
 */
import assert from "node:assert/strict"
import { execFileSync, spawnSync } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { gzipSync } from "node:zlib"
import { buildSync } from "esbuild"
import { tarballIn } from "./tarball.ts"

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
import { createAnalytics } from "effect-analytics/planned"
import * as TrackingPlan from "effect-analytics/TrackingPlan"
import * as Schema from "effect/Schema"

export const program = Effect.gen(function* () {
  const analytics = yield* Analytics.Analytics
  yield* analytics.track({ userId: "019mr8mf4r", event: "Purchased Item", properties: { revenue: 39.95 } })
  yield* analytics.flush
}).pipe(Effect.provide(Analytics.layerFetch({ writeKey: Redacted.make("key") })))

export const main = async (): Promise<void> => {
  const plan = TrackingPlan.make({ events: { "Signed Up": Schema.Struct({ plan: Schema.String }) } })
  const analytics = createAnalytics({ writeKey: "key", plan })
  const accepted: boolean = analytics.planned.track("Signed Up", { plan: "free" }, { userId: "019mr8mf4r" })
  if (accepted) await analytics.flush()
  // @ts-expect-error a property is missing
  analytics.planned.track("Signed Up", {}, { userId: "019mr8mf4r" })
  await analytics.close()
}
`

// ---------------------------------------------------------------------------------------------------------------------
// The plain face
// ---------------------------------------------------------------------------------------------------------------------

/** What plain programs import. */
const plainEntries = ["plain", "compat", "plainTest", "sqlite", "jsonPlan", "RequestContext"]

const compatProgram = `
import Default, { Analytics, type AnalyticsSettings, type Context, FetchHTTPClient, type HTTPClient, type Plugin } from "effect-analytics/compat"

const plugin: Plugin = {
  name: "Upper",
  type: "enrichment",
  isLoaded: () => true,
  load: async () => {},
  track: (ctx: Context) => {
    ctx.updateEvent("properties.upper", String(ctx.event.event).toUpperCase())
    return ctx
  }
}
export const compat = async (): Promise<void> => {
  const httpClient: HTTPClient = new FetchHTTPClient()
  const settings: AnalyticsSettings = { writeKey: "key", flushAt: 5, httpClient }
  settings.disable = true
  const analytics: Analytics = new Default(settings)
  analytics.on("error", ({ code, ctx, reason }) => void [code, ctx?.event.type, reason]).on("drained", () => {})
  await analytics.register(plugin)
  analytics.track({ userId: "u1", event: "Signed Up" }, (error, ctx) => void [error, ctx?.failedDelivery()])
  // @ts-expect-error no identity
  analytics.track({ event: "Signed Up" })
  await analytics.closeAndFlush({ timeout: 500 })
}
`

const plainProgram = `
import { type AsyncClient, type Client, createAnalytics, drop, type Failure, withContext } from "effect-analytics/plain"
import { createTestAnalytics } from "effect-analytics/plainTest"
import { sqlite } from "effect-analytics/sqlite"
import { fromJson } from "effect-analytics/jsonPlan"
import { make } from "effect-analytics/RequestContext"

interface Order { readonly id: string; readonly total: number }
const order: Order = { id: "o1", total: 39.95 }

export const main = async (): Promise<void> => {
  const analytics: Client = createAnalytics({
    writeKey: "key",
    closeTimeout: "10 seconds",
    plan: fromJson({ rules: { events: [] } }),
    transform: (message) => (message.type === "track" && message.event === "Secret" ? drop("secret") : message),
    onError: ({ reason, status }: Failure) => void [reason satisfies string, status satisfies number | undefined],
    onOutcome: (outcome) => void (outcome._tag === "Dropped" && outcome.error.reason)
  })
  const accepted: boolean = analytics.track({ userId: 5, event: "Order Completed", properties: order })
  if (accepted) await analytics.flush({ timeout: "2 seconds" })
  withContext(make()({ headers: {} }), () => analytics.page({ anonymousId: "v1", name: "Pricing" }))
  // @ts-expect-error a category needs a name
  analytics.page({ anonymousId: "v1", category: "Docs" })
  // @ts-expect-error a misspelled field
  analytics.track({ userId: "u1", event: "Signed Up", propertes: {} })
  // @ts-expect-error a misspelled setting
  createAnalytics({ writeKey: "key", batchsize: 5 })
  // @ts-expect-error a time is milliseconds or a text with a unit
  createAnalytics({ writeKey: "key", requestTimeout: "soon" })
  const { delivered, dropped, rejected, pending } = await analytics.close()
  const durable: AsyncClient = createAnalytics({ writeKey: "key", outbox: sqlite({ directory: "outbox" }) })
  const committed: boolean = await durable.track({ userId: "u1", event: "Signed Up" })
  const waiting: AsyncClient = createAnalytics({ writeKey: "key", overflow: "wait" })
  const sent: ReadonlyArray<string> = createTestAnalytics().sent.map(({ messageId }) => messageId)
  void [delivered, dropped, rejected, pending, committed, waiting, sent]
}
`

/** The least that a program does, for the size of its bundle. */
const smallest = `import { createAnalytics } from "effect-analytics/plain"
createAnalytics({ writeKey: "key" }).track({ userId: "u1", event: "Signed Up" })`

/** What the compiler has to refuse, and the first line of its words. */
const refused = [
  ['track({ event: "e" })', "{ event: string; }", "TrackFields & UserIdOrAnonymousId"],
  ['track({ userId, event: "e" })', "{ userId: string | null; event: string; }", "TrackFields & UserIdOrAnonymousId"],
  ["identify({ userId })", "{ userId: string | null; }", "IdentifyFields & UserIdOrAnonymousId"],
  ['page({ name: "Home" })', "{ name: string; }", "PageFields & UserIdOrAnonymousId"],
  ['group({ groupId: "g1" })', "{ groupId: string; }", "GroupFields & UserIdOrAnonymousId"]
]

/** The kinds of projects, by what they set. */
const projects = [
  { type: "module", module: "nodenext" },
  { type: "commonjs", module: "nodenext" },
  { type: "module", module: "node16" },
  { type: "commonjs", module: "node16" },
  { type: "module", module: "esnext", moduleResolution: "bundler" },
  { type: "commonjs", module: "preserve", moduleResolution: "bundler" },
  { type: "commonjs", module: "commonjs", moduleResolution: "bundler" }
]

const sizeOf = (folder) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0)

/** The plain face, where nothing is installed but the package itself: not even types of Node. */
const checkPlain = (cwd, tarball) => {
  mkdirSync(cwd)
  writeFileSync(join(cwd, "package.json"), JSON.stringify({ name: "plain", private: true }))
  npm(cwd, "install", "--prefer-offline", "--ignore-scripts", tarball)
  const installed = readdirSync(join(cwd, "node_modules")).filter((name) => !name.startsWith("."))
  assert.deepEqual(installed, ["effect-analytics"], "one package is all that is installed")
  const folder = join(cwd, "node_modules", "effect-analytics")
  const megabytes = sizeOf(folder) / 1e6
  assert.ok(megabytes <= 2, `the package is ${megabytes.toFixed(2)} MB, and may be 2`)
  assert.match(readFileSync(join(folder, "dist/bundled/licenses.txt"), "utf8"), /^effect .*MIT/m)
  for (const page of ["AGENTS.md", "llms.txt"]) {
    for (const [, target] of readFileSync(join(folder, page), "utf8").matchAll(/\]\(([^)]+)\)/g)) {
      assert.ok(existsSync(join(folder, target)), `${page} leads to ${target}, which is not in the package`)
    }
  }
  for (const file of readdirSync(join(folder, "dist"), { recursive: true }).filter((name) =>
    /\.(c?js|ts|cts)$/.test(name)
  )) {
    const text = readFileSync(join(folder, "dist", file), "utf8")
    assert.ok(!/^\/\/[#@] sourceMappingURL=/m.test(text), `${file} points to a source map, and there is none`)
  }

  const { contents } = buildSync({
    stdin: { contents: smallest, resolveDir: cwd },
    ...{ bundle: true, minify: true, write: false, format: "esm", platform: "node", target: "node22" }
  }).outputFiles[0]
  const kilobytes = gzipSync(contents, { level: 9 }).length / 1024
  assert.ok(kilobytes <= 75, `a plain program is ${kilobytes.toFixed(1)} KiB, bundled and gzipped, and may be 75`)

  const names = JSON.stringify(plainEntries.map((name) => `effect-analytics/${name}`))
  const nonEmpty = "if (Object.keys(loaded).length === 0) throw new Error(name + ' exports nothing')"
  const run = (...args) => execFileSync(process.execPath, args, { cwd, stdio: ["ignore", "inherit", "inherit"] })
  run(
    "--input-type=module",
    "--eval",
    `for (const name of ${names}) { const loaded = await import(name); ${nonEmpty} }`
  )
  // As on a Node without \`require\` of ES modules, and in jest.
  const plainRequire = ["--no-experimental-require-module", "--input-type=commonjs", "--eval"]
  run(...plainRequire, `for (const name of ${names}) { const loaded = require(name); ${nonEmpty} }`)

  const tsc = () => spawnSync(bin("tsc"), ["-p", cwd], { cwd, encoding: "utf8" })
  const compilerOptions = {
    ...tsconfig.compilerOptions,
    lib: ["es2022", "esnext.disposable"],
    verbatimModuleSyntax: false
  }
  for (const { type, ...options } of projects) {
    writeFileSync(join(cwd, "package.json"), JSON.stringify({ name: "plain", private: true, type }))
    writeFileSync(
      join(cwd, "tsconfig.json"),
      JSON.stringify({
        compilerOptions: { ...compilerOptions, ...options, skipLibCheck: false },
        files: ["plain.ts", "compat.ts"]
      })
    )
    writeFileSync(join(cwd, "plain.ts"), plainProgram)
    writeFileSync(join(cwd, "compat.ts"), compatProgram)
    const { status, stdout } = tsc()
    assert.equal(status, 0, `${type}, ${JSON.stringify(options)}:\n${stdout}`)
  }
  const calls = refused.map(([call]) => `export const accepted = createAnalytics({ writeKey: "key" }).${call}`)
  for (const [at, [call, given, wanted]] of refused.entries()) {
    writeFileSync(
      join(cwd, "plain.ts"),
      `import { createAnalytics } from "effect-analytics/plain"\ndeclare const userId: string | null\n${calls[at]}\nvoid userId\n`
    )
    const [line = ""] = tsc().stdout.split("\n")
    const expected = `Argument of type '${given}' is not assignable to parameter of type '${wanted}'`
    assert.ok(line.includes(expected), `${call}: the compiler prints ${line}`)
  }

  const attw = (...args) =>
    execFileSync(bin("attw"), [tarball, "--format", "ascii", "--no-emoji", ...args], {
      cwd,
      stdio: ["ignore", "ignore", "inherit"]
    })
  attw("--profile", "node16", "--entrypoints", ...plainEntries)
  // The Effect face is ESM alone, as effect is.
  attw("--profile", "esm-only", "--entrypoints", ".", "Analytics", "planned", "TrackingPlan", "SqlOutbox")
  console.log(
    `Alone, ${megabytes.toFixed(2)} MB, a program bundled ${kilobytes.toFixed(1)} KiB gzipped: ${plainEntries.join(", ")}`
  )
}

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
  const tarball = tarballIn(temp)
  execFileSync(bin("publint"), ["run", tarball, "--strict"], { cwd: root, stdio: ["ignore", "inherit", "inherit"] })

  checkPlain(join(temp, "plain"), tarball)
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
  assert.deepEqual(required, [], "no peer must be there")
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

  writeFileSync(join(app, "consumer.ts"), consumer)
  const typecheck = (names, compilerOptions) => {
    writeFileSync(
      join(app, "tsconfig.json"),
      JSON.stringify({ ...tsconfig, compilerOptions: { ...tsconfig.compilerOptions, ...compilerOptions } })
    )
    const imports = importAll(names)
    writeFileSync(
      join(app, "imports.ts"),
      `${imports.join("\n")}\nexport const all = [${imports.map((_, i) => `m${i}`).join(", ")}]\n`
    )
    execFileSync(bin("tsc"), ["-p", resolve(app)], { cwd: app, stdio: ["ignore", "inherit", "inherit"] })
  }
  // The modules for Node need its types; the others need none.
  const isForNode = (name) => name.endsWith("/SqlOutbox")
  typecheck(withoutPeers.filter((name) => !isForNode(name)))
  typecheck(withoutPeers, { types: ["node"], typeRoots: [join(root, "node_modules", "@types")], skipLibCheck: true })

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
