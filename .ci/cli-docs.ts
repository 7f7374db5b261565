/**
 * The transcripts in README.md and docs/cli.md: every `console` block is run, command by command, and holds what the commands print.
 *
 * `npm run cli-docs` writes them anew. The commands run in a directory of their own, with a peer that takes every event.
 */
import { spawn } from "node:child_process"
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"
import { fileURLToPath } from "node:url"
import { gzipSync } from "node:zlib"

export const pages = ["README.md", "docs/cli.md"]
export const fileOf = (page: string) => new URL(`../${page}`, import.meta.url)

const bin = fileURLToPath(new URL("../src/bin.ts", import.meta.url))
const block = /^```console\n([\s\S]*?)^```$/gm

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
}

/** What differs from run to run. */
const steady = (output: string, host: string): string =>
  output
    .replaceAll(host, "http://127.0.0.1:8686")
    .replaceAll(`port ${new URL(host).port} `, "port 8686 ")
    .replace(/[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f-]{21}/g, "01a2150d-19b1-7fcc-8b8f-98c76c153f61")
    .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/g, "2026-01-02T03:04:05.678Z")
    .replace(/in \d+ s \([\d,]+ lines\/s\)/g, "in … s (… lines/s)")
    .replace(/\(\d+ ms\)/g, "(… ms)")
    .replace(/ +$/gm, "")

const runIn = (cwd: string, host: string) => (command: string) =>
  new Promise<string>((resolve) => {
    const env = {
      PATH: [cwd, process.env.PATH].join(delimiter),
      ANALYTICS_WRITE_KEY: "a-key-of-a-source",
      ANALYTICS_HOST: host,
      NODE_COMPILE_CACHE: join(tmpdir(), "effect-analytics-test-cache")
    }
    // Both outputs, as a terminal shows them.
    const child = spawn("sh", ["-c", `exec 2>&1; ${command}`], { cwd, env, stdio: ["ignore", "pipe", "inherit"] })
    let output = ""
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      output += text
    })
    child.on("close", (code) => resolve(steady(output, host) + (code === 0 ? "" : `[exit code ${code}]\n`)))
  })

/** The text with its transcripts as they are now. */
export const withTranscripts = async (text: string): Promise<string> => {
  const directory = mkdtempSync(join(tmpdir(), "effect-analytics-docs-"))
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
  for (const page of pages) writeFileSync(fileOf(page), await withTranscripts(readFileSync(fileOf(page), "utf8")))
}
