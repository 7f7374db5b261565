/**
 * Makes `docs/debugger.png`: `npm run screenshot`. The shop runs, one program sends an event that the API would drop, and
 * somebody clicks on it.
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import * as path from "node:path"
import { chromium } from "playwright-core"
import { chromiumFiles, flags } from "../test/chromium.ts"

const shop = spawn(
  process.execPath,
  [
    "--conditions=effect-analytics-source",
    path.join(import.meta.dirname, "start.ts"),
    "--requests",
    "900",
    "--keep-open"
  ],
  { stdio: ["ignore", "pipe", "inherit"] }
)
try {
  let printed = ""
  const stayed = new Promise<string>((resolve) =>
    shop.stdout.on("data", (chunk: Buffer) => {
      printed += chunk.toString()
      const url = /stays open.*?(http:\S+)/.exec(printed)?.[1]
      if (url !== undefined) resolve(url)
    })
  )
  const url = await stayed
  const purchase = { event: "Gift Card Redeemed", timestamp: new Date(), properties: { amount: 25, currency: "EUR" } }
  await fetch(new URL("/v1/track", url), {
    method: "POST",
    headers: { authorization: `Basic ${btoa("another-service-key-7d21:")}` },
    body: JSON.stringify({ ...purchase, context: { library: { name: "analytics-ruby", version: "2.5.0" } } })
  })
  const { env, file } = await chromiumFiles()
  const browser = await chromium.launch({ executablePath: file, args: flags, env: env as Record<string, string> })
  const page = await browser.newPage({ viewport: { width: 1280, height: 760 }, deviceScaleFactor: 1.5 })
  await page.goto(url)
  await page.locator(".row.rejected").click()
  await page.locator(".json .marked").waitFor()
  await page.screenshot({ path: path.join(import.meta.dirname, "..", "docs", "debugger.png") })
  await browser.close()
} finally {
  shop.kill("SIGINT")
  await once(shop, "exit")
}
