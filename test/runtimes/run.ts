/**
 * `npm run test:runtimes`: the portable program on every runtime, over the library as it is published. Prints a
 * table, as markdown, and under it what failed. A runtime that could not be installed or started is a failure.
 *
 * The runtimes are installed by this command, in `packages`, when they are missing; they are no part of the project's
 * own install.
 */
import { execFileSync } from "node:child_process"
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import * as esbuild from "esbuild"
import { tarballIn } from "../../.ci/tarball.ts"
import { type Host, hosts, packages } from "./hosts.ts"
import * as Peer from "./peer.ts"

const here = import.meta.dirname
const root = path.join(here, "..", "..")

const npm = (cwd: string, ...args: ReadonlyArray<string>) =>
  execFileSync("npm", [...args, "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"], {
    cwd,
    // Packages look at what runs npm: it is this Node.
    env: { ...process.env, PATH: `${path.dirname(process.execPath)}${path.delimiter}${process.env.PATH}` },
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"]
  })

/** Each is an optional dependency: one that can't be had does not take the others with it, and is missed by its name. */
const install = () => {
  const [wanted, done] = [
    path.join(packages, "package-lock.json"),
    path.join(packages, "node_modules", "installed.json")
  ]
  if (existsSync(done) && readFileSync(done, "utf8") === readFileSync(wanted, "utf8")) return
  try {
    npm(packages, "ci")
    copyFileSync(wanted, done)
  } catch {
    console.error("npm ci failed in test/runtimes/packages: what is missing is named below")
  }
}

/** The programs, beside the library installed from its tarball; bundled where a runtime knows no `node_modules`. */
const build = async (app: string, peer: string) => {
  writeFileSync(path.join(app, "package.json"), `{ "private": true, "type": "module" }`)
  const effect: { readonly version: string } = JSON.parse(
    readFileSync(path.join(root, "node_modules", "effect", "package.json"), "utf8")
  )
  npm(app, "install", "--prefer-offline", "--ignore-scripts", tarballIn(app), `effect@${effect.version}`)
  const options = { bundle: true, format: "esm", target: "es2022", logLevel: "error", allowOverwrite: true } as const
  const entryPoints = {
    ...Object.fromEntries(["server", "ends", "worker", "page"].map((name) => [name, path.join(here, `${name}.ts`)])),
    guide: path.join(root, "examples", "platforms", "worker.ts"),
    next: path.join(root, "examples", "platforms", "next.ts")
  }
  await esbuild.build({ ...options, entryPoints, outdir: app, packages: "external" })
  const bundled = ["worker", "page"].map((name) => path.join(app, `${name}.js`))
  await esbuild.build({ ...options, entryPoints: bundled, outdir: app, platform: "browser" })
  // What the handler of the guide would send to the real API goes to the peer.
  const api = JSON.stringify(`${peer}/guide/200`)
  const js = `globalThis.fetch = ((real) => (url, init) => real(String(url).replace("https://api.segment.io", ${api}), init))(fetch);`
  const guide = [path.join(app, "guide.js")]
  await esbuild.build({ ...options, entryPoints: guide, outdir: app, platform: "browser", banner: { js } })
  copyFileSync(path.join(here, "workerd.capnp"), path.join(app, "workerd.capnp"))
}

/** A row of the table, and what to say of failures. */
const rowOf = async (host: Host, app: string, peer: Peer.Peer) => {
  try {
    const version = await host.version()
    const checks = await host.run(app, peer)
    const failed = checks.filter(({ problem }) => problem !== undefined)
    return {
      row: [host.name, version, `${checks.length - failed.length} of ${checks.length}`],
      failures: failed.map(({ problem, promise }) => `${promise}: ${problem}`)
    }
  } catch (error) {
    return { row: [host.name, "", "**did not run**"], failures: [`did not run: ${String(error)}`] }
  }
}

const app = mkdtempSync(path.join(tmpdir(), "effect-analytics-runtimes-"))
const failures: Array<string> = []
try {
  await using peer = await Peer.start()
  install()
  await build(app, peer.url)
  console.log("| runtime | version | checks passed |\n| --- | --- | --- |")
  for (const host of hosts) {
    const ran = await rowOf(host, app, peer)
    console.log(`| ${ran.row.join(" | ")} |`)
    failures.push(...ran.failures.map((failure) => `${host.name}: ${failure}`))
  }
} finally {
  rmSync(app, { recursive: true, force: true, maxRetries: 5 })
}
for (const failure of failures) console.error(`FAILED: ${failure}`)
process.exitCode = failures.length === 0 ? 0 : 1
