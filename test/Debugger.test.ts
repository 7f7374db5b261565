import { readFileSync } from "node:fs"
import { request as httpRequest } from "node:http"
import { createRequire } from "node:module"
import { afterAll, assert, beforeAll, describe, it, vi } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Collector from "effect-analytics/Collector"
import * as Debugger from "effect-analytics/Debugger"
import * as TrackingPlan from "effect-analytics/TrackingPlan"
import * as PlanJson from "effect-analytics/TrackingPlan/json"
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core"
import { chromiumFiles, flags } from "./chromium.ts"
import { payloads } from "./xss.ts"

const key = "a-key-that-nobody-sees"
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8")

let browser: Browser
beforeAll(async () => {
  const { env, file } = await chromiumFiles()
  browser = await chromium.launch({ executablePath: file, args: flags, env: env as Record<string, string> })
}, 60_000)
afterAll(() => browser?.close())

interface Scene {
  readonly collector: Collector.Collector["Service"]
  /** With the token. */
  readonly url: string
  readonly token: string
  readonly send: (messages: ReadonlyArray<unknown>, headers?: Record<string, string>) => Promise<number>
}

/** A debugger, for as long as the body runs. */
const withDebugger = async (body: (scene: Scene) => Promise<void>, options?: Collector.Options) => {
  const scope = Effect.runSync(Scope.make())
  try {
    const context = await Effect.runPromise(Scope.provide(Layer.build(Debugger.layer(options)), scope))
    const collector = Context.get(context, Collector.Collector)
    const { url } = Context.get(context, Debugger.Debugger)
    const send: Scene["send"] = async (messages, headers) => {
      const authorization = `Basic ${btoa(`${key}:`)}`
      const body = JSON.stringify({ batch: messages })
      const answer = await fetch(`${collector.url}/v1/batch`, {
        method: "POST",
        headers: { authorization, ...headers },
        body
      })
      return answer.status
    }
    await body({ collector, url, token: new URL(url).hash.slice(1), send })
  } finally {
    await Effect.runPromise(Scope.close(scope, Exit.void))
  }
}

/** The page of a debugger in a browser. An error in the page fails the test. */
const withPage = (
  body: (scene: Scene & { readonly page: Page; readonly errors: Array<string> }) => Promise<void>,
  { browser: browserOptions, ...options }: Collector.Options & { readonly browser?: BrowserContextOptions } = {}
) =>
  withDebugger(async (scene) => {
    const context = await browser.newContext({ viewport: { width: 1360, height: 800 }, ...browserOptions })
    context.setDefaultTimeout(10_000)
    const page = await context.newPage()
    const errors: Array<string> = []
    page.on("pageerror", (error) => errors.push(String(error)))
    page.on("console", (message) => message.type() === "error" && errors.push(message.text()))
    try {
      await page.goto(scene.url)
      await page.locator(".dot.live").waitFor()
      await body({ ...scene, page, errors })
      assert.deepStrictEqual(errors, [])
    } finally {
      await context.close()
    }
  }, options)

const order = (n: number, more: object = {}) => ({
  type: "track",
  userId: `user-${n % 50}`,
  event: "Order Completed",
  messageId: `m${n}`,
  timestamp: new Date().toISOString(),
  properties: { orderId: `o${n}`, total: n },
  context: { library: { name: "effect-analytics", version: "0.1.0" } },
  ...more
})
const orders = (from: number, count: number) => Array.from({ length: count }, (_, index) => order(from + index))

const rowsOf = (page: Page) => page.locator(".row")
/** Waits until there are so many elements, no more and no fewer. */
const countIs = (page: Page, selector: string, count: number) =>
  vi.waitFor(async () => assert.strictEqual(await page.locator(selector).count(), count), {
    timeout: 10_000,
    interval: 20
  })
const rowsAre = (page: Page, count: number) => countIs(page, ".row", count)
/** The names from top to bottom: rows are placed by their number, whatever their order in the document. */
const names = (page: Page) =>
  page.evaluate<Array<string>>(`
    Array.from(document.querySelectorAll(".row"))
      .sort((a, b) => Number(a.getAttribute("aria-posinset")) - Number(b.getAttribute("aria-posinset")))
      .map((row) => row.querySelector(".name b").textContent)
  `)

describe("the page", { timeout: 60_000 }, () => {
  it("shows messages as they arrive, newest first, with everything that is asked first", () =>
    withPage(async ({ page, send }) => {
      await page.getByText("No events yet").waitFor()
      await send([order(1, { event: "First" })])
      await rowsOf(page).first().waitFor()
      await send([order(2, { event: "Second" }), { type: "page", anonymousId: "a1", name: "Home" }])
      await rowsOf(page).nth(2).waitFor()
      assert.deepStrictEqual(await names(page), ["Home", "Second", "First"])
      const row = page.locator(".row", { hasText: "First" })
      assert.strictEqual(await row.locator(".verdict").textContent(), "Delivered")
      assert.strictEqual(await row.locator(".user").textContent(), "user-1")
      assert.strictEqual(await row.locator(".source").textContent(), "…sees")
      assert.strictEqual(await row.locator(".library").textContent(), "effect-analytics 0.1.0")
      assert.match((await row.locator(".latency").textContent()) ?? "", /^−?\d/)
      assert.match((await row.locator(".size").textContent()) ?? "", /^\d+ B$/)
      assert.strictEqual(await page.locator(".chip b").first().textContent(), "3")
    }))

  it("finds the one message of 5,000 that would be rejected, and why, in one click", () =>
    withPage(async ({ page, send }) => {
      for (let n = 0; n < 50; n++) {
        const batch = orders(n * 100, 100)
        if (n === 23) batch[45] = order(2_345, { userId: undefined })
        await send(batch)
      }
      const chip = page.locator(".chip.rejected")
      await chip.locator("b", { hasText: /^1$/ }).waitFor()
      await chip.click()
      const problem = page.locator(".problems li")
      await problem.waitFor()
      assert.include(await problem.textContent(), "is missing, and so is userId")
      await rowsAre(page, 1)
      assert.include(await page.locator(".json .marked").textContent(), "is missing, and so is userId")
      assert.include(await page.title(), "(1)")
    }))

  it("narrows by verdict, type, event, user, source and words, and says so when nothing fits", () =>
    withPage(async ({ page, send }) => {
      await send([order(1), order(2, { event: "Signed Up" }), { type: "page", userId: "user-2", name: "Home" }])
      await send([order(3, { userId: "other" })], { authorization: "Bearer a-key-of-somebody-else" })
      await rowsOf(page).nth(3).waitFor()
      const shown = async (expected: Array<string>) => {
        await rowsAre(page, expected.length)
        assert.deepStrictEqual(await names(page), expected)
        await page.getByRole("button", { name: "Reset filters" }).first().click()
        await rowsAre(page, 4)
      }
      const [type, source] = [page.getByLabel("Type"), page.getByLabel("Source")]
      await type.focus()
      await type.selectOption("page")
      await shown(["Home"])
      await source.focus()
      await source.selectOption("…else")
      await shown(["Order Completed"])
      await page.getByRole("combobox", { name: "Event" }).fill("signed")
      await shown(["Signed Up"])
      await page.getByRole("combobox", { name: "User" }).fill("user-2")
      await shown(["Home", "Signed Up"])
      await page.getByLabel("Search").fill("track other")
      await shown(["Order Completed"])
      await page.locator(".chip.delivered").click()
      await shown(["Order Completed", "Home", "Signed Up", "Order Completed"])
      await page.getByLabel("Search").fill("nothing has this")
      await page.getByText("No message fits").waitFor()
    }))

  it("shows a message and the request that it came in, without the key, and copies both forms", () =>
    withPage(
      async ({ collector, page, send }) => {
        await Effect.runPromise(collector.respond(503))
        const quote = { event: `It's "tea"`, properties: { total: 39.95, "a key": [1, null], nested: { deep: true } } }
        await send([order(1), order(2, quote)])
        await send([order(1), order(2, quote)], { "x-retry-count": "1", "user-agent": "a-test/1.0" })
        await page.locator(".row.delivered", { hasText: "tea" }).click()
        const detail = page.locator("#detail")
        await detail.getByText("POST /v1/batch").waitFor()
        const text = (await detail.textContent()) ?? ""
        assert.include(text, "message 2 of 2")
        assert.include(text, "Attempt2")
        assert.include(text, `"total": 39.95`)
        await detail.locator("summary").click()
        assert.include(await detail.textContent(), "a-test/1.0")
        const everything = await page.content()
        assert.notInclude(everything, key)
        assert.notInclude(everything, btoa(`${key}:`))

        await detail.getByRole("button", { name: "Copy as TypeScript" }).click()
        const typescript = await page.evaluate<string>("navigator.clipboard.readText()")
        const called: Array<unknown> = []
        new Function("analytics", typescript)({ track: (call: unknown) => called.push(call) })
        const { context: _, messageId: __, type: ___, ...call } = order(2, quote) as Record<string, unknown>
        assert.strictEqual(called.length, 1)
        assert.deepInclude(called[0] as object, { event: call.event, properties: call.properties, userId: "user-2" })

        await detail.getByRole("button", { name: "Copy as curl" }).click()
        const curl = await page.evaluate<string>("navigator.clipboard.readText()")
        assert.include(curl, `curl '${collector.url}/v1/batch' -u "$WRITE_KEY:"`)
        const quoted = /-d '(.*)'$/s.exec(curl)?.[1]?.replaceAll(`'\\''`, "'") ?? ""
        assert.strictEqual(JSON.parse(quoted).batch[0].event, quote.event)
      },
      { browser: { permissions: ["clipboard-read", "clipboard-write"] } }
    ))

  it("shows batches on a timeline: attempts, the waits between them, and what the client was told to wait", () =>
    withPage(async ({ collector, page, send }) => {
      await Effect.runPromise(
        collector.respond(503, { status: 429, headers: { "retry-after": "3" } }, { status: 200, delay: 20 })
      )
      for (let attempt = 0; attempt < 3; attempt++) await send(orders(1, 2))
      await send(orders(10, 1))
      await page.getByRole("button", { name: "Timeline" }).click()
      const batches = page.locator(".batch")
      await batches.nth(1).waitFor()
      assert.strictEqual(await batches.count(), 2)
      const retried = page.locator(".batch", { hasText: "2 messages" })
      assert.include(await retried.textContent(), "503, 429, 200")
      assert.strictEqual(await retried.locator(".mark.error").count(), 2)
      assert.strictEqual(await retried.locator(".mark.ok").count(), 1)
      assert.strictEqual(await retried.locator(".bar.wait").count(), 2)
      assert.strictEqual(await retried.locator(".bar.limit").getAttribute("title"), "told to wait 3.0 s")
      await page.getByText("Only batches with retries or errors").click()
      await countIs(page, ".batch", 1)
      await retried.getByRole("button", { name: "2 messages" }).click()
      await page.locator("#detail").getByText("POST /v1/batch").waitFor()
    }))

  it("plays a fault on request", () =>
    withPage(async ({ page, send }) => {
      await page.keyboard.press("2")
      await page.getByLabel("Answer of the next request").selectOption("429, Retry-After 5 s")
      await page.getByRole("button", { name: "Play" }).click()
      await page.getByText("Next: 429").waitFor()
      assert.strictEqual(await send(orders(1, 1)), 429)
      assert.strictEqual(await send(orders(1, 1)), 200)
      await page.locator(".bar.limit").waitFor()
    }))

  it("loads a plan from a file, judges what is there by it, and shows its coverage", () =>
    withPage(async ({ errors, page, send }) => {
      const plan = TrackingPlan.make({
        name: "Tea shop",
        events: {
          "Order Completed": Schema.Struct({
            orderId: Schema.String,
            total: Schema.optional(Schema.Finite),
            items: Schema.optional(Schema.Array(Schema.Struct({ "unit price": Schema.Finite })))
          }),
          "Signed Up": Schema.Struct({ plan: Schema.String })
        }
      })
      await send([
        order(1),
        order(2, { properties: { orderId: "o2", items: [{ "unit price": "2" }] } }),
        order(3, { event: "Cart Viewed" })
      ])
      await page.keyboard.press("3")
      await page.getByText("No tracking plan").waitFor()
      const upload = (text: string) =>
        page.locator("#plan-file").setInputFiles({
          name: "plan.json",
          mimeType: "application/json",
          buffer: Buffer.from(text)
        })
      await upload(`{"rules":{"events":[{"name":""}]}}`)
      await page.getByText("The plan cannot be used").waitFor()
      // The browser notes the answer 400.
      assert.strictEqual(errors.splice(0).length, 1)
      await upload(JSON.stringify(PlanJson.toJson(plan)))
      await page.getByText("1 of 2 planned events seen, 1 with violations, 1 not in the plan").waitFor()
      const table = (title: string) =>
        page.locator(".tables section", { hasText: title }).locator("tbody").textContent()
      assert.include(await table("Not seen yet"), "Signed Up")
      assert.include(await table("Not in the plan"), "Cart Viewed")
      await page.getByRole("button", { name: "Order Completed" }).click()
      await page.locator(".row.violation").click()
      const problem = page.locator(".problems.violation li")
      await problem.waitFor()
      assert.include(await problem.textContent(), `properties.items[0]["unit price"]`)
      assert.include(await page.locator(".json .marked").textContent(), `"unit price": "2"`)
      await page.keyboard.press("3")
      await page.getByRole("button", { name: "Remove the plan" }).click()
      await page.getByText("No tracking plan").waitFor()
    }))

  it("stays a small page with 10,000 messages: rows are made for what is visible, and the oldest is a scroll away", () =>
    withPage(async ({ page, send }) => {
      for (let n = 0; n < 10_500; n += 500) await send(orders(n, 500))
      await page.locator(".chip b", { hasText: "10,500" }).first().waitFor()
      await page.locator('.row[aria-setsize="10000"]').first().waitFor()
      assert.isBelow(await rowsOf(page).count(), 60)
      await page.locator("#list").evaluate((list) => {
        list.scrollTop = list.scrollHeight
      })
      await page.locator('.row[aria-posinset="10000"]').waitFor()
      assert.isBelow(await rowsOf(page).count(), 60)
      // Who reads further down keeps the place while others arrive.
      const place = () => page.locator("#list").evaluate((list) => list.scrollHeight - list.scrollTop)
      await page.locator("#list").evaluate((list) => {
        list.scrollTop = 100_000
      })
      await page.locator(".row").first().waitFor()
      await send([order(20_000)])
      await page.locator(".chip b", { hasText: "10,501" }).first().waitFor()
      assert.isAbove(await place(), 0)
      assert.isAbove(await page.locator("#list").evaluate((list) => list.scrollTop), 100_000)
    }))

  it("says when a request was refused before its messages could be read", () =>
    withPage(async ({ collector: { url }, page }) => {
      await fetch(`${url}/v1/batches`, { method: "POST", body: "{}" })
      await fetch(`${url}/v1/batch`, { method: "POST", body: "no JSON", headers: { authorization: `Bearer ${key}` } })
      const notice = page.locator("#refused")
      await notice.getByText("2 requests were refused").waitFor()
      assert.include(await notice.textContent(), "with 400 at POST /v1/batch: The body is no JSON")
      await notice.getByRole("button").click()
      await page.locator(".batch", { hasText: "The Tracking API has no such path" }).waitFor()
    }))

  it("pauses, resumes with what came in the meantime, and clears", () =>
    withPage(async ({ collector, page, send }) => {
      await send([order(1)])
      await rowsOf(page).first().waitFor()
      await page.keyboard.press("p")
      await send([order(2), order(3)])
      await page.getByRole("button", { name: "Resume (2 new)" }).waitFor()
      await rowsAre(page, 1)
      await page.keyboard.press("p")
      await rowsOf(page).nth(2).waitFor()
      await page.getByRole("button", { name: "Clear" }).click()
      await page.getByText("No events yet").waitFor()
      assert.deepStrictEqual(await Effect.runPromise(collector.messages), [])
    }))

  it("is used by the keyboard alone", () =>
    withPage(async ({ page, send }) => {
      await send([order(1, { event: "" }), order(2), order(3), order(4, { event: "" }), order(5)])
      await rowsOf(page).nth(4).waitFor()
      const selected = () => page.locator('.row[aria-selected="true"]').getAttribute("aria-posinset")
      const press = async (name: string, place: string) => {
        await page.keyboard.press(name)
        await page.locator(`.row[aria-posinset="${place}"][aria-selected="true"]`).waitFor()
        assert.strictEqual(await selected(), place)
      }
      await press("j", "1")
      await press("n", "2")
      await press("n", "5")
      await press("k", "4")
      await page.keyboard.press("Enter")
      await page.keyboard.press("Escape")
      await page.locator("#detail").waitFor({ state: "hidden" })
      await page.keyboard.press("/")
      await page.keyboard.type("user-3")
      await rowsAre(page, 1)
      await page.keyboard.press("Escape")
      await page.keyboard.press("Escape")
      await rowsAre(page, 5)
      await page.keyboard.press("?")
      await page.getByRole("heading", { name: "Keys" }).waitFor()
      await page.keyboard.press("Escape")
      await page.keyboard.press("2")
      await page.locator("#timeline").waitFor()
    }))
})

describe("accessibility", { timeout: 60_000 }, () => {
  const violations = async (page: Page) => {
    // Through the debugger protocol: the policy of the page lets no script in.
    await page.evaluate(axe)
    return page.evaluate(async () => {
      const { axe } = globalThis as unknown as {
        axe: {
          run: () => Promise<{
            violations: Array<{ id: string; nodes: Array<{ html: string; any: Array<{ message: string }> }> }>
          }>
        }
      }
      const { violations } = await axe.run()
      return violations.flatMap(({ id, nodes }) =>
        nodes.map(({ any, html }) => `${id}: ${html} ${any[0]?.message ?? ""}`)
      )
    })
  }
  const plan = TrackingPlan.make({
    events: { "Order Completed": Schema.Struct({ total: Schema.Int }), Other: Schema.Struct({}) }
  })

  for (const [name, options] of Object.entries({
    light: { colorScheme: "light" },
    dark: { colorScheme: "dark" },
    "a phone": { viewport: { width: 390, height: 780 } }
  } satisfies Record<string, BrowserContextOptions>)) {
    it(`axe finds nothing, in any view: ${name}`, () =>
      withPage(
        async ({ collector, page, send }) => {
          assert.deepStrictEqual(await violations(page), [])
          await send([order(1), order(2, { properties: { total: 0.5 } }), order(3, { event: "" }), order(1)])
          await Effect.runPromise(collector.respond(503))
          await send([order(4)])
          await rowsOf(page).nth(4).waitFor()
          assert.deepStrictEqual(await violations(page), [])
          for (const verdict of ["rejected", "violation", "duplicate", "failed"]) {
            await page.locator(`.chip.${verdict}`).click()
            await page.locator("#detail h3").nth(1).waitFor()
            assert.deepStrictEqual(await violations(page), [])
            await page.locator(".close").click()
          }
          await page.getByRole("button", { name: "Timeline" }).click()
          await page.locator(".batch").first().waitFor()
          assert.deepStrictEqual(await violations(page), [])
          await page.getByRole("button", { name: "Plan", exact: true }).click()
          await page.locator(".tables").waitFor()
          assert.deepStrictEqual(await violations(page), [])
        },
        { browser: options, plan }
      ))
  }

  it("nothing is wider than a phone", () =>
    withPage(
      async ({ page, send }) => {
        await send([
          order(1, { userId: "u".repeat(200), properties: { note: "n".repeat(2_000) } }),
          order(2, { event: "" })
        ])
        await rowsOf(page).nth(1).waitFor()
        const overflow = () => page.evaluate<number>("document.documentElement.scrollWidth - innerWidth")
        assert.isAtMost(await overflow(), 0)
        await page.locator(".row").first().click()
        await page.locator("#detail h3").first().waitFor()
        assert.isAtMost(await overflow(), 0)
      },
      { browser: { viewport: { width: 360, height: 700 } } }
    ))
})

describe("attackers", { timeout: 60_000 }, () => {
  it("50 payloads in every place of a message: none runs, none becomes an element", () =>
    withPage(async ({ page, send }) => {
      assert.isAtLeast(payloads.length, 50)
      const dialogs: Array<string> = []
      page.on("dialog", (dialog) => {
        dialogs.push(dialog.message())
        void dialog.dismiss()
      })
      await page.evaluate(`
        globalThis.seen = []
        globalThis.alert = () => seen.push("alert")
        document.addEventListener("securitypolicyviolation", ({ violatedDirective }) => seen.push(violatedDirective))
      `)
      const elements = () =>
        page.locator("img, iframe, object, embed, video, audio, marquee, base, math, form:not([method=dialog])").count()
      for (const payload of payloads) {
        const message = {
          type: "track",
          event: payload,
          userId: payload,
          messageId: payload.slice(0, 100),
          properties: { [payload]: payload, list: [payload] },
          context: { library: { name: payload, version: payload } }
        }
        await send([message, { ...message, type: payload }], { "user-agent": encodeURI(payload).slice(0, 200) })
      }
      await page
        .locator(".chip b", { hasText: String(payloads.length * 2) })
        .first()
        .waitFor()
      for (let n = 0; n < payloads.length; n++) {
        await page.keyboard.press("j")
        await page.locator("#detail .json").waitFor()
      }
      await page.locator("#detail summary").click()
      await page.getByRole("combobox", { name: "Event" }).focus()
      await page.keyboard.press("Escape")
      await page.keyboard.press("2")
      await page.locator(".batch").first().waitFor()
      const plan = {
        name: payloads[4],
        rules: { events: payloads.map((name) => ({ name, rules: { type: "object" } })) }
      }
      await page.locator("#plan-file").setInputFiles({
        name: `${payloads[4]}.json`,
        mimeType: "application/json",
        buffer: Buffer.from(JSON.stringify(plan))
      })
      await page.keyboard.press("3")
      await page.locator(".tables").waitFor()
      assert.strictEqual(await elements(), 0)
      assert.deepStrictEqual(await page.evaluate("seen"), [])
      assert.deepStrictEqual(dialogs, [])
    }))

  const dataRoutes = [
    ["GET", "/debugger/session"],
    ["GET", "/debugger/events"],
    ["GET", "/debugger/messages/1"],
    ["POST", "/debugger/clear"],
    ["POST", "/debugger/plan"],
    ["POST", "/debugger/faults"]
  ] as const

  /** The status of a request with headers as given, `Host` included. */
  const statusOf = (url: string, method: string, path: string, headers: Record<string, string>) =>
    new Promise<number>((resolve, reject) => {
      const request = httpRequest(new URL(path, url), { method, headers, agent: false }, (response) => {
        resolve(response.statusCode ?? 0)
        response.destroy()
      })
      request.on("error", reject)
      request.end(method === "POST" ? "null" : undefined)
    })

  it("no data route answers without the token of this start, to another host, or to another origin", () =>
    withDebugger(async ({ collector: { url }, send, token }) => {
      await send([order(1)])
      const authorization = `Bearer ${token}`
      const { port } = new URL(url)
      for (const [method, path] of dataRoutes) {
        const status = (headers: Record<string, string>) => statusOf(url, method, path, headers)
        assert.strictEqual(await status({}), 401, path)
        assert.strictEqual(await status({ authorization: "Bearer wrong" }), 401, path)
        assert.strictEqual(await status({ cookie: `effect-analytics-${port}=wrong` }), 401, path)
        assert.strictEqual(await status({ authorization, host: "evil.example" }), 421, path)
        assert.strictEqual(await status({ authorization, host: `evil.example:${port}` }), 421, path)
        assert.strictEqual(await status({ authorization, origin: "https://evil.example" }), 403, path)
        assert.strictEqual(await status({ authorization, origin: `http://localhost:${Number(port) + 1}` }), 403, path)
        assert.strictEqual(await status({ authorization, "sec-fetch-site": "cross-site" }), 403, path)
        assert.strictEqual(await status({ authorization, "sec-fetch-site": "same-site" }), 403, path)
      }
      assert.strictEqual(await statusOf(url, "GET", "/debugger/messages/1", { authorization }), 200)
      assert.strictEqual(
        await statusOf(url, "GET", "/debugger/messages/1", { cookie: `effect-analytics-${port}=${token}` }),
        200
      )
    }))

  it("a rebound host name reaches nothing in a real browser", () =>
    withDebugger(async ({ collector: { url }, token }) => {
      const { env, file } = await chromiumFiles()
      // The name resolves to loopback, as it does after a rebinding.
      const args = [...flags, "--host-resolver-rules=MAP evil.example 127.0.0.1"]
      const rebound = await chromium.launch({ executablePath: file, args, env: env as Record<string, string> })
      try {
        const page = await rebound.newPage()
        const answer = await page.goto(`http://evil.example:${new URL(url).port}/#${token}`)
        assert.strictEqual(answer?.status(), 421)
        const fetched = await page.evaluate(async (authorization) => {
          const { status } = await fetch("/debugger/events", { headers: { authorization } })
          return status
        }, `Bearer ${token}`)
        assert.strictEqual(fetched, 421)
      } finally {
        await rebound.close()
      }
    }))

  it("the token leaves the address for a cookie that no script reads, and another start has another token", () =>
    withPage(async ({ page, token, url }) => {
      assert.isAtLeast(token.length, 32)
      assert.notInclude(page.url(), token)
      const [cookie] = await page.context().cookies()
      assert.strictEqual(cookie?.httpOnly, true)
      assert.strictEqual(cookie?.sameSite, "Strict")
      assert.strictEqual(await page.evaluate("document.cookie"), "")
      await page.reload()
      await page.locator(".dot.live").waitFor()
      await withDebugger(async (other) => assert.notStrictEqual(other.token, token))
      const stranger = await browser.newPage()
      await stranger.goto(new URL(url).origin)
      await stranger.getByText("This page needs its token").waitFor()
      await stranger.close()
    }))

  it("a page of an earlier start gets nothing of the next one, and asks for the new address", () =>
    withDebugger(async ({ collector: { url } }) => {
      // Another server on loopback, as a restart on the same port would be: the cookie is not for it.
      const context = await browser.newContext()
      const { port } = new URL(url)
      await context.addCookies([{ name: `effect-analytics-${port}`, value: "the-token-of-an-earlier-start", url }])
      const page = await context.newPage()
      await page.goto(url)
      await page.getByText("This page needs its token").waitFor()
      await page.goto(`${url}/#the-token-of-an-earlier-start`)
      await page.reload()
      await page.getByText("This page needs its token").waitFor()
      await context.close()
    }))

  it("the page brings everything with it under a policy that allows nothing else", () =>
    withDebugger(async ({ collector: { url } }) => {
      const page = await fetch(url)
      const policy = page.headers.get("content-security-policy") ?? ""
      for (const rule of [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'"
      ]) {
        assert.include(policy, rule)
      }
      assert.notInclude(policy, "unsafe")
      assert.strictEqual(page.headers.get("x-content-type-options"), "nosniff")
      assert.strictEqual(page.headers.get("referrer-policy"), "no-referrer")
      assert.isNull(page.headers.get("access-control-allow-origin"))
      const html = await page.text()
      const sources = Array.from(html.matchAll(/(?:src|href)="([^"]+)"/g), ([, source]) => source ?? "")
      assert.isAbove(sources.length, 2)
      assert.isTrue(
        sources.every((source) => source.startsWith("/debugger/") || source.startsWith("data:image/svg+xml,"))
      )
      assert.strictEqual((await fetch(`${url}/debugger/..%2f..%2fpackage.json`)).status, 404)
    }))

  it("faults can be asked for with the token, from any language, and nonsense is refused", () =>
    withDebugger(async ({ collector: { url }, send, token }) => {
      const ask = async (body: unknown) => {
        const headers = { authorization: `Bearer ${token}` }
        return (await fetch(`${url}/debugger/faults`, { method: "POST", headers, body: JSON.stringify(body) })).status
      }
      assert.strictEqual(await ask({ answers: [503, { status: 429, headers: { "retry-after": "2" } }] }), 204)
      assert.strictEqual(await send([order(1)]), 503)
      assert.strictEqual(await send([order(1)]), 429)
      assert.strictEqual(await send([order(1)]), 200)
      for (const answers of [[99], ["explode"], [{ status: 200, headers: { "x\r\ny": "z" } }], "503"]) {
        assert.strictEqual(await ask({ answers }), 400)
      }
    }))
})
