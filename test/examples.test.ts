import { spawn } from "node:child_process"
import { readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Collector from "effect-analytics/Collector"

const root = new URL("..", import.meta.url)
const { scripts } = JSON.parse(readFileSync(new URL("package.json", root), "utf8"))
/** What `npm start` runs, without the program itself. */
const [, ...nodeOptions]: ReadonlyArray<string> = scripts.start.split(" ").slice(0, -1)

interface Ended {
  readonly code: number | null
  readonly output: string
}

/** Runs a program in a process of its own, and interrupts it as Ctrl-C does once it has printed `until`. */
const run = (
  args: ReadonlyArray<string>,
  options: { readonly env?: Record<string, string>; readonly until?: RegExp } = {}
): Effect.Effect<Ended> =>
  Effect.callback((resume) => {
    const child = spawn(process.execPath, [...nodeOptions, ...args], {
      cwd: root,
      env: { ...process.env, NO_COLOR: "1", ...options.env }
    })
    let output = ""
    let interrupted = false
    const read = (chunk: Buffer) => {
      output += chunk.toString()
      if (interrupted || options.until?.test(output) !== true) return
      interrupted = child.kill("SIGINT")
    }
    child.stdout.on("data", read)
    child.stderr.on("data", read)
    child.on("close", (code) => resume(Effect.succeed({ code, output })))
    return Effect.sync(() => child.kill("SIGKILL"))
  })

const start = (...args: ReadonlyArray<string>) => run(["examples/start.ts", ...args])

/** The last row of the books. */
const total = ({ output }: Ended) => {
  const row = /^ *total +(.*)$/m.exec(output)?.[1]?.replaceAll(",", "").match(/\d+/g)?.map(Number) ?? []
  const [offered = 0, delivered = 0, pending = 0, dropped = 0, rejected = 0, unique, again] = row
  return { offered, delivered, pending, dropped, rejected, unique, again }
}

const assertBalanced = (ended: Ended) => {
  const { delivered, dropped, offered, pending, rejected } = total(ended)
  assert.isAbove(delivered, 0, ended.output)
  assert.strictEqual(pending, 0, ended.output)
  assert.strictEqual(offered, delivered + dropped + rejected, ended.output)
}

const writeKey = Redacted.make("a-key-that-nobody-prints")

describe("npm start", { timeout: 60_000 }, () => {
  it.live("delivers on a bad day, accounts for every message, and exits by itself", () =>
    Effect.gen(function* () {
      const ended = yield* start("--requests", "150")
      assert.strictEqual(ended.code, 0, ended.output)
      assertBalanced(ended)
      const { again, delivered, dropped, rejected, unique } = total(ended)
      assert.strictEqual(unique, delivered)
      assert.isAbove(again ?? 0, 0, "a batch whose answer was lost comes again")
      assert.isAbove(dropped, 0, "there was a crawler")
      assert.isAbove(rejected, 0, "there was a review that is too long")
      assert.include(ended.output, "requests 150/150")
      assert.match(ended.output, /× 503/)
      assert.include(ended.output, "✓ every message is accounted for, and what was delivered arrived")
    })
  )

  it.live("closes properly on Ctrl-C: what was accepted is delivered, and accounted for", () =>
    Effect.gen(function* () {
      const ended = yield* run(["examples/start.ts", "--requests", "20000"], { until: /delivered [1-9]/ })
      assert.strictEqual(ended.code, 130, ended.output)
      assertBalanced(ended)
      assert.include(ended.output, "✓ every message is accounted for, and what was delivered arrived")
    })
  )

  it.live("with --keep-open, the debugger stays when the shop has closed, and shows what arrived", () =>
    Effect.gen(function* () {
      const args = ["examples/start.ts", "--requests", "20", "--keep-open"]
      const ended = yield* run(args, { until: /stays open.*#[\w-]{32}/ })
      assert.strictEqual(ended.code, 130, ended.output)
      assertBalanced(ended)
      assert.include(ended.output, "✓ every message is accounted for, and what was delivered arrived")
      assert.match(ended.output, /Watch every event: http:\/\/127\.0\.0\.1:\d+\/#[\w-]{32}/)
    })
  )

  it.live("with a write key, sends to the API that it is told, and never prints the key", () =>
    Effect.gen(function* () {
      const { messages, url } = yield* Collector.Collector
      const ended = yield* start("--requests", "30", "--host", url, "--write-key", Redacted.value(writeKey))
      assert.strictEqual(ended.code, 0, ended.output)
      assertBalanced(ended)
      assert.strictEqual((yield* messages).length, total(ended).delivered)
      assert.notInclude(ended.output, Redacted.value(writeKey))
    }).pipe(Effect.provide(Collector.layer({ writeKeys: [writeKey] })))
  )

  it.live("with a key that the API refuses, says what was lost, and fails", () =>
    Effect.gen(function* () {
      const { messages, url } = yield* Collector.Collector
      const ended = yield* start("--requests", "5", "--host", url, "--write-key", "another-key")
      assert.strictEqual(ended.code, 1, ended.output)
      assert.isTrue((yield* messages).every(({ verdict }) => verdict === "failed"))
      const { delivered, dropped, offered, rejected } = total(ended)
      assert.strictEqual(delivered, 0)
      assert.isAbove(dropped, 0)
      assert.strictEqual(offered, dropped + rejected)
      assert.match(ended.output, /the API refuses this client/)
    }).pipe(Effect.provide(Collector.layer({ writeKeys: [writeKey] })))
  )
})
