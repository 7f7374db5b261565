/**
 * The transcripts in README.md, docs/cli.md and docs/troubleshooting.md: every `console` block is run, command by command, and holds what the commands print.
 *
 * `npm run cli-docs` writes them anew. The commands run in a directory of their own, with a peer that takes every event.
 */
import { spawn } from "node:child_process"
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"
import { fileURLToPath } from "node:url"
import { gzipSync } from "node:zlib"

export const pages = ["README.md", "docs/cli.md", "docs/troubleshooting.md"]
export const fileOf = (page: string) => new URL(`../${page}`, import.meta.url)

const root = fileURLToPath(new URL("..", import.meta.url))
const bin = fileURLToPath(new URL("../src/bin.ts", import.meta.url))
const block = /^```console\n([\s\S]*?)^```$/gm

const client = "const analytics = createAnalytics()"

/** The programs in docs/troubleshooting.md. */
const mistakes: { readonly [name: string]: ReadonlyArray<string> } = {
  "no-key": [`createAnalytics({ writeKey: process.env.SEGMENT_KEY ?? "" })`],
  "other-name": [`createAnalytics({ writeKey: "a-write-key", flushAt: 20 })`],
  "path-in-host": [`createAnalytics({ writeKey: "a-write-key", host: "https://api.segment.io/v1" })`],
  environment: [client],
  invalid: [
    client,
    `analytics.track({ userId: "u1", event: "Order Completed", properties: ["o1"] })`,
    `analytics.track({ user_id: "u1", event: "Order Completed" })`,
    `analytics.track("u1", "Order Completed")`,
    `console.log(await analytics.close())`
  ],
  slips: [
    client,
    `analytics.track({ userId: "u1", event: "Order Completed", propertes: { total: 5 } })`,
    `analytics.track({ userId: String(undefined), event: "Order Completed" })`,
    `console.log(await analytics.close())`
  ],
  flood: [
    `const analytics = createAnalytics({ writeKey: "a-write-key", host: process.env.ANALYTICS_HOST, maxQueueSize: 1_000 })`,
    `for (let n = 0; n < 5_000; n++) analytics.track({ userId: "u1", event: "Clicked" })`,
    `console.log(await analytics.close())`
  ],
  exits: [client, `analytics.track({ userId: "u1", event: "Order Completed" })`, "process.exit(0)"],
  refused: [
    `const analytics = createAnalytics({ writeKey: "a-write-key", host: "http://127.0.0.1:65530", maxRetries: 1 })`,
    `analytics.track({ userId: "u1", event: "Order Completed" })`,
    `console.log(await analytics.close())`
  ],
  lookalike: [client, "await analytics.close()"],
  strict: [
    `const analytics = createAnalytics({ writeKey: "a-write-key", strict: true })`,
    `analytics.track({ userId: "u1", event: "" })`
  ],
  outage: [
    `const analytics = createAnalytics({ writeKey: "a-write-key", host: "http://127.0.0.1:65530", maxRetries: 3 })`,
    `analytics.track({ userId: "u1", event: "Order Completed" })`,
    `console.log(await analytics.flush())`,
    "await analytics.close()"
  ],
  stops: [
    "const analytics = createAnalytics({",
    `  writeKey: "a-write-key",`,
    `  host: "http://127.0.0.1:65530",`,
    `  flushInterval: "1 minute",`,
    "  closeTimeout: 0,",
    "  closeOnSignals: true",
    "})",
    `analytics.track({ userId: "u1", event: "Order Completed" })`,
    `setTimeout(() => process.kill(process.pid, "SIGTERM"), 100)`,
    "setInterval(() => {}, 1_000)"
  ],
  callbacks: [
    "const analytics = createAnalytics({",
    `  writeKey: "a-write-key",`,
    "  host: process.env.ANALYTICS_HOST,",
    "  onError: (failure) => failure.messages[0].event.length",
    "})",
    `analytics.track({ userId: "u1", event: "" })`,
    "await analytics.close()"
  ],
  throws: [
    "const analytics = createAnalytics({",
    `  writeKey: "a-write-key",`,
    "  host: process.env.ANALYTICS_HOST,",
    "  transform: ({ context }) => context.user.name",
    "})",
    `console.log(analytics.track({ userId: "u1", event: "Order Completed" }))`,
    "await analytics.close()"
  ]
}

/** The files that the commands read. */
const files = (directory: string) => {
  const events = Array.from({ length: 1_000 }, (_, n) =>
    JSON.stringify(
      n === 41
        ? { type: "track", event: "Order Completed", properties: { total: 1 } }
        : { type: "track", userId: `u${n % 9}`, event: "Order Completed", timestamp: "2026-01-02T03:04:05Z" }
    )
  ).join("\n")
  const rule = (properties: object, required: ReadonlyArray<string>) => ({
    type: "object",
    properties: { properties: { type: "object", properties, required } }
  })
  const text = { type: "string" }
  const plan = (version: number, signedUp: object) => ({
    display_name: "Shop",
    version,
    rules: {
      events: [
        { name: "Order Completed", rules: rule({ orderId: text, total: { type: "number" } }, ["orderId", "total"]) },
        { name: "Signed Up", rules: signedUp }
      ]
    }
  })
  writeFileSync(join(directory, "events.ndjson.gz"), gzipSync(events))
  writeFileSync(
    join(directory, "orders.csv"),
    "customer,what,at,amount\nu1,Order Completed,2026-01-02,39.95\nu2,Order Completed,2026-01-03,lots\n"
  )
  writeFileSync(join(directory, "plan.json"), JSON.stringify(plan(1, rule({ plan: text }, []))))
  writeFileSync(join(directory, "new.json"), JSON.stringify(plan(2, rule({ plan: text, source: text }, ["source"]))))
  writeFileSync(
    join(directory, "some.ndjson"),
    `{"type":"track","userId":"u1","event":"Order Completed","properties":{"total":"39.95"}}\n{"type":"track","userId":"u1","event":"Clicked"}\n`
  )
  const command = join(directory, "effect-analytics")
  writeFileSync(command, `#!/bin/sh\nexec "${process.execPath}" --conditions=effect-analytics-source "${bin}" "$@"\n`)
  chmodSync(command, 0o755)
  for (const [name, lines] of Object.entries(mistakes)) {
    writeFileSync(
      join(directory, `${name}.mjs`),
      `import { createAnalytics } from "effect-analytics/plain"\n\n${lines.join("\n")}\n`
    )
  }
  mkdirSync(join(directory, "node_modules"))
  symlinkSync(root, join(directory, "node_modules/effect-analytics"))
}

/** What differs from run to run. */
const steady = (output: string, host: string, cwd: string): string =>
  output
    .replaceAll(cwd, "/app")
    .replaceAll(root, "/app/node_modules/effect-analytics/")
    // Frames that are not the program's own: they differ with each version.
    .replace(/\n +at .*(?:node:internal|node_modules\/effect-analytics).*?(?= \{$|$)/gm, "")
    .replace(/^\s*Node\.js v.*\n/gm, "")
    // Some shells say it, some do not.
    .replace(/^Terminated\n/gm, "")
    .replaceAll(host, "http://127.0.0.1:8686")
    .replaceAll(`port ${new URL(host).port} `, "port 8686 ")
    .replace(/[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f-]{21}/g, "01a2150d-19b1-7fcc-8b8f-98c76c153f61")
    .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/g, "2026-01-02T03:04:05.678Z")
    .replace(/in \d+ s \([\d,]+ lines\/s\)/g, "in … s (… lines/s)")
    .replace(/\(\d+ ms\)/g, "(… ms)")
    .replace(/next attempt in \d+\.\d s/g, "next attempt in 1.9 s")
    .replace(/ +$/gm, "")

const runIn = (cwd: string, host: string) => (command: string) =>
  new Promise<string>((resolve) => {
    const env = {
      PATH: [cwd, process.env.PATH].join(delimiter),
      ANALYTICS_WRITE_KEY: "a-key-of-a-source",
      ANALYTICS_HOST: host,
      NODE_OPTIONS: "--conditions=effect-analytics-source",
      NODE_COMPILE_CACHE: join(tmpdir(), "effect-analytics-test-cache")
    }
    // Both outputs, as a terminal shows them.
    const child = spawn("sh", ["-c", `exec 2>&1; ${command}`], { cwd, env, stdio: ["ignore", "pipe", "inherit"] })
    let output = ""
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      output += text
    })
    child.on("close", (code) => resolve(steady(output, host, cwd) + (code === 0 ? "" : `[exit code ${code}]\n`)))
  })

/** The text with its transcripts as they are now. */
export const withTranscripts = async (text: string): Promise<string> => {
  const directory = realpathSync(mkdtempSync(join(tmpdir(), "effect-analytics-docs-")))
  const peer = createServer((request, response) => {
    request.resume().on("end", () => response.writeHead(200, { "content-type": "application/json" }).end("{}"))
  })
  await new Promise<void>((resolve) => peer.listen(0, "127.0.0.1", resolve))
  const run = runIn(directory, `http://127.0.0.1:${(peer.address() as AddressInfo).port}`)
  try {
    files(directory)
    let made = text
    for (const [whole, body = ""] of text.matchAll(block)) {
      const parts: Array<string> = []
      // A command may go on in the next line.
      for (const [, command = ""] of body.matchAll(/^\$ ((?:.*\\\n)*.*)$/gm)) {
        parts.push(`$ ${command}\n${await run(command)}`)
      }
      made = made.replace(whole, () => `\`\`\`console\n${parts.join("\n")}\`\`\``)
    }
    return made
  } finally {
    peer.close()
    peer.closeAllConnections()
    rmSync(directory, { recursive: true, force: true })
  }
}

if (import.meta.main) {
  const [, , ...chosen] = process.argv
  for (const page of chosen.length === 0 ? pages : chosen)
    writeFileSync(fileOf(page), await withTranscripts(readFileSync(fileOf(page), "utf8")))
}
