/** What happens to a process, for real: signals, exits, a loop that hangs, little memory, a proxy in the environment. */
import { type ChildProcess, fork, type Serializable } from "node:child_process"
import * as Http from "node:http"
import * as Net from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { FaultSink } from "./FaultSink.ts"

/** Far more than any of these takes, and far less than what a hang would. */
const patience = 120_000
const options = { timeout: patience }

// ---------------------------------------------------------------------------------------------------------------------
// Programs
// ---------------------------------------------------------------------------------------------------------------------

interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/** A program of `test/programs`, as it stands, without a build. */
class Program implements AsyncDisposable {
  readonly ended: Promise<Ended>
  private readonly child: ChildProcess
  private stdout = ""
  private stderr = ""

  constructor(
    name: string,
    args: ReadonlyArray<string | number>,
    { env = {}, node = [] }: { readonly env?: NodeJS.ProcessEnv; readonly node?: ReadonlyArray<string> } = {}
  ) {
    this.child = fork(fileURLToPath(new URL(`programs/${name}.ts`, import.meta.url)), args.map(String), {
      stdio: ["ignore", "pipe", "pipe", "ipc"],
      env: { PATH: process.env.PATH, NODE_COMPILE_CACHE: join(tmpdir(), "effect-analytics-test-cache"), ...env },
      execArgv: [...node]
    })
    this.child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.stdout += text
    })
    this.child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text
    })
    this.ended = new Promise((resolve) =>
      this.child.once("close", (code, signal) => resolve({ code, signal, stdout: this.stdout, stderr: this.stderr }))
    )
  }

  /** Resolves when the program has said this. */
  said(text: string): Promise<void> {
    return new Promise((resolve) => {
      const look = () => {
        if (!this.stdout.includes(text)) return
        this.child.stdout?.off("data", look)
        resolve()
      }
      this.child.stdout?.on("data", look)
      look()
    })
  }

  kill(signal: NodeJS.Signals): void {
    this.child.kill(signal)
  }

  send(message: Serializable): void {
    this.child.send(message)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill("SIGKILL")
    await this.ended
  }
}

const lastLine = ({ stderr, stdout }: Ended) => {
  const line = stdout.split("\n").at(-1) ?? ""
  assert.match(line, /^{/, stderr)
  return JSON.parse(line)
}

const numbered = (count: number) => Array.from({ length: count }, (_, n) => `event ${n + 1}`)

// ---------------------------------------------------------------------------------------------------------------------
// Signals
// ---------------------------------------------------------------------------------------------------------------------

describe("a process that is told to end", options, () => {
  it("P5 by SIGTERM, with a peer that never answers, ends by itself at the deadline, and says what it left", async () => {
    await using sink = await FaultSink.start({ otherwise: "silence" })
    const settings = JSON.stringify({ closeTimeout: "2 seconds", requestTimeout: "1 hour", batchSize: 50 })
    await using program = new Program("serves", [sink.host, 150, settings])
    await sink.until(({ requests }) => requests.length === 1)
    const told = performance.now()
    program.kill("SIGTERM")
    const ended = await program.ended
    assert.deepStrictEqual([ended.code, ended.signal, ended.stderr], [0, null, ""])
    assert.deepStrictEqual(lastLine(ended), { delivered: 0, dropped: 150, lost: 150, reasons: ["closed"] })
    // Two seconds, and a slow machine.
    assert.isBelow(performance.now() - told, 20_000)
    assert.strictEqual(sink.requests.length, 1)
  })

  it("P5 by SIGTERM delivers what it can until then, and says how much that was", async () => {
    await using sink = await FaultSink.start({ otherwise: "silence" })
    const settings = { closeTimeout: "2 seconds", requestTimeout: "1 hour", flushInterval: "1 hour" }
    await using program = new Program("serves", [sink.host, 150, JSON.stringify(settings)])
    sink.respond({ status: 200, delay: 300 })
    await program.said("serving")
    program.kill("SIGTERM")
    const ended = await program.ended
    assert.strictEqual(ended.code, 0, ended.stderr)
    const { delivered, dropped, lost, reasons } = lastLine(ended)
    assert.deepStrictEqual([delivered, dropped, lost, reasons], [100, 50, 50, ["closed"]])
    assert.deepStrictEqual(sink.takenIds().length, 100)
    assert.deepStrictEqual(sink.userEvents("u1"), numbered(150))
  })

  it("P5 by SIGTERM, with a peer that answers, leaves nothing", async () => {
    await using sink = await FaultSink.start()
    sink.respond(503)
    await using program = new Program("serves", [sink.host, 250, JSON.stringify({ flushInterval: "1 hour" })])
    await program.said("serving")
    program.kill("SIGTERM")
    const ended = await program.ended
    assert.deepStrictEqual([ended.code, sink.totals().taken], [0, 250])
    assert.deepStrictEqual(sink.userEvents("u1"), numbered(250))
  })

  it.each([
    ["SIGTERM", "SIGTERM"],
    ["SIGTERM", "SIGINT"],
    ["SIGINT", "SIGINT"]
  ] as const)("P6 by %s and then by %s ends at once, whatever the deadline", async (first, second) => {
    await using sink = await FaultSink.start({ otherwise: "silence" })
    const settings = JSON.stringify({ closeTimeout: "1 hour", requestTimeout: "1 hour" })
    await using program = new Program("serves", [sink.host, 150, settings])
    await sink.until(({ requests }) => requests.length === 1)
    program.kill(first)
    await program.said("closing")
    program.kill(second)
    const { code, signal, stdout } = await program.ended
    assert.deepStrictEqual({ code, signal, stdout }, { code: null, signal: second, stdout: "serving\nclosing\n" })
  })

  it("P6 by a signal that it does not listen for ends at once: the client takes no signals", async () => {
    await using sink = await FaultSink.start({ otherwise: "silence" })
    await using program = new Program("ends", [sink.host, 10])
    await sink.until(({ requests }) => requests.length === 1)
    program.kill("SIGTERM")
    assert.strictEqual((await program.ended).signal, "SIGTERM")
  })

  it("P5 as an Effect program run by NodeRuntime closes its layers, with the deadline, and accounts for all", async () => {
    await using sink = await FaultSink.start({ otherwise: "silence" })
    sink.respond(200)
    await using program = new Program("runs", [sink.host, 150, 1_000])
    await sink.until(({ requests }) => requests.length === 2)
    program.kill("SIGTERM")
    const ended = await program.ended
    const { closed, delivered } = lastLine(ended)
    assert.strictEqual(delivered, sink.totals().taken)
    assert.strictEqual(delivered + closed, 150)
    // What `NodeRuntime` makes of an interruption.
    assert.strictEqual(ended.code, 130)
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// Exits
// ---------------------------------------------------------------------------------------------------------------------

describe("a process that ends without a close", options, () => {
  it.each([
    ["process.exit", "exit", 3],
    ["an exception that nobody catches", "throw", 1]
  ] as const)("P7 by %s loses exactly what was not delivered, and had not said otherwise", async (_, how, code) => {
    await using sink = await FaultSink.start({ otherwise: "silence" })
    sink.respond(200, 200)
    await using program = new Program("exits", [sink.host, how])
    const ended = await program.ended
    assert.strictEqual(ended.code, code, ended.stderr)
    const { delivered, pending } = lastLine(ended)
    assert.deepStrictEqual(delivered, sink.takenIds())
    assert.deepStrictEqual([delivered.length, pending], [100, 100])
  })
})

describe("a process with closeOnSignals", options, () => {
  it.each(["SIGTERM", "SIGINT"] as const)(
    "P5 delivers what it has, and is then ended by the signal: %s",
    async (signal) => {
      await using sink = await FaultSink.start()
      sink.respond({ status: 200, delay: 300 })
      await using program = new Program("closesOnSignals", [sink.host, 250, JSON.stringify({ batchSize: 100 })])
      await sink.until(({ requests }) => requests.length === 1)
      program.kill(signal)
      const { code, signal: endedBy, stderr } = await program.ended
      assert.deepStrictEqual([code, endedBy, stderr], [null, signal, ""])
      assert.deepStrictEqual(sink.userEvents("u1"), numbered(250))
    }
  )

  it.each(["slow first", "fast first"])("P5 ends when the last of its clients has closed: %s", async (order) => {
    await using slow = await FaultSink.start({ otherwise: () => ({ status: 200, delay: 100 }) })
    await using fast = await FaultSink.start()
    const hosts = order === "slow first" ? [slow.host, fast.host] : [fast.host, slow.host]
    await using program = new Program("closesOnSignals", [hosts.join(), 10, JSON.stringify({ batchSize: 2 })])
    await slow.until(({ requests }) => requests.length === 1)
    program.kill("SIGTERM")
    const { signal, stdout } = await program.ended
    assert.deepStrictEqual([signal, stdout], ["SIGTERM", "serving\n"])
    for (const sink of [slow, fast]) assert.deepStrictEqual(sink.userEvents("u1"), numbered(10))
  })

  it("P5 reports at the deadline what it could not deliver", async () => {
    await using sink = await FaultSink.start({ otherwise: "silence" })
    await using program = new Program("closesOnSignals", [sink.host, 150, JSON.stringify({ closeTimeout: "1 second" })])
    await sink.until(({ requests }) => requests.length === 1)
    program.kill("SIGTERM")
    const { signal, stdout } = await program.ended
    assert.strictEqual(signal, "SIGTERM")
    assert.match(stdout, /^serving\n150: left over when the client closed/)
  })

  it("P6 a second signal ends it at once", async () => {
    await using sink = await FaultSink.start({ otherwise: "silence" })
    await using program = new Program("closesOnSignals", [sink.host, 150, JSON.stringify({ closeTimeout: "1 hour" })])
    await sink.until(({ requests }) => requests.length === 1)
    program.kill("SIGTERM")
    await sink.until(({ requests }) => requests.length >= 1)
    // The first is handled in a turn of its own; the second may come before it, and then is the first.
    const again = setInterval(() => program.kill("SIGTERM"), 50)
    const { signal } = await program.ended
    clearInterval(again)
    assert.strictEqual(signal, "SIGTERM")
  })
})

describe("a process that exits with messages in memory", options, () => {
  it.each([
    [1, "1 message was not delivered"],
    [3, "3 messages were not delivered"]
  ])("P7 prints how many, and what to do: %i", async (messages, expected) => {
    await using sink = await FaultSink.start()
    await using program = new Program("exitsEarly", [sink.host, messages])
    const { code, stderr } = await program.ended
    const line = `effect-analytics: ${expected}: await close() before process.exit()\n`
    assert.deepStrictEqual([code, stderr], [0, line])
  })

  it("P7 prints it beside a client whose logger throws", async () => {
    await using sink = await FaultSink.start()
    await using program = new Program("exitsEarly", [sink.host, 1, "beside"])
    const { code, stderr } = await program.ended
    const line = "effect-analytics: 1 message was not delivered: await close() before process.exit()\n"
    assert.deepStrictEqual([code, stderr], [0, line])
  })

  it("P7 prints nothing after a close", async () => {
    await using sink = await FaultSink.start()
    await using program = new Program("exitsEarly", [sink.host, 3, "close"])
    const { code, stderr } = await program.ended
    assert.deepStrictEqual([code, stderr], [0, ""])
    assert.deepStrictEqual(sink.userEvents("u1"), numbered(3))
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// A loop that hangs
// ---------------------------------------------------------------------------------------------------------------------

describe("a process whose event loop hangs for 5 seconds", options, () => {
  const retryCounts = (sink: FaultSink) => sink.requests.map(({ headers }) => headers["x-retry-count"])

  it("P8 while an answer is on its way delivers everything once", async () => {
    await using sink = await FaultSink.start()
    sink.respond({ status: 200, delay: 500 })
    await using program = new Program("blocks", [sink.host, 300, "{}"])
    await sink.until(({ requests }) => requests.length === 1)
    program.send(5_000)
    assert.deepStrictEqual(lastLine(await program.ended), { delivered: 300, dropped: 0, rejected: 0, pending: 0 })
    assert.deepStrictEqual(sink.userEvents("u1"), numbered(300))
    assert.strictEqual(sink.totals().duplicates, 0)
    assert.deepStrictEqual(
      retryCounts(sink).filter((count) => count !== undefined),
      []
    )
  })

  it("P8 while it waits for a retry makes that one, and no burst of them", async () => {
    await using sink = await FaultSink.start()
    sink.respond({ status: 503, delay: 100 }, 503, 503)
    await using program = new Program("blocks", [sink.host, 300, "{}"])
    await sink.until(({ requests }) => requests.length === 1)
    program.send(5_000)
    assert.deepStrictEqual(lastLine(await program.ended), { delivered: 300, dropped: 0, rejected: 0, pending: 0 })
    assert.deepStrictEqual(sink.userEvents("u1"), numbered(300))
    assert.strictEqual(sink.totals().duplicates, 0)
    assert.deepStrictEqual(retryCounts(sink).slice(0, 4), [undefined, "1", "2", "3"])
  })

  it("P8 beyond its request timeout loses nothing, and sends again only what was out", async () => {
    await using sink = await FaultSink.start()
    sink.respond({ status: 200, delay: 500 })
    const settings = JSON.stringify({ requestTimeout: "2 seconds", batchSize: 100, flushInterval: 50 })
    await using program = new Program("blocks", [sink.host, 300, settings])
    await sink.until(({ requests }) => requests.length === 1)
    program.send(5_000)
    assert.deepStrictEqual(lastLine(await program.ended), { delivered: 300, dropped: 0, rejected: 0, pending: 0 })
    assert.deepStrictEqual(sink.userEvents("u1"), numbered(300))
    assert.isAtMost(sink.totals().duplicates, 100)
    assert.isAtMost(sink.requests.length, 4)
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// Memory
// ---------------------------------------------------------------------------------------------------------------------

describe("a process with 64 MB and nobody at the other end", options, () => {
  const flood = async (calls: number, together: number, settings: object) => {
    const sink = await FaultSink.start()
    const { host } = sink
    await sink.stop()
    await using program = new Program("floods", [host, calls, together, JSON.stringify(settings)], {
      node: ["--max-old-space-size=64"]
    })
    const ended = await program.ended
    assert.strictEqual(ended.code, 0, ended.stderr)
    return lastLine(ended)
  }

  it("P16 loads a history through the sink: 60,000 rows, more than the heap holds, wait for room and are all accounted for", async () => {
    await using program = new Program("loads", ["60000"], { node: ["--max-old-space-size=48"] })
    const ended = await program.ended
    assert.strictEqual(ended.code, 0, ended.stderr)
    const counts = {
      accepted: 59_940,
      rejected: 60,
      delivered: 59_940,
      dropped: 0,
      pending: 0,
      refused: 60,
      waited: 0
    }
    assert.deepStrictEqual(lastLine(ended), counts)
  })

  it("P16 takes 200,000 calls in a loop: no more than 10,000 are held, and every other one is told", async () => {
    const { accepted, after, before, mostPending, told } = await flood(200_000, 1_000, {})
    assert.deepStrictEqual([accepted, mostPending], [10_000, 10_000])
    assert.deepStrictEqual(told, { QueueFull: 190_000, closed: 10_000 })
    assert.deepStrictEqual([before.offered, before.rejected, before.pending], [200_000, 190_000, 10_000])
    assert.deepStrictEqual([after.dropped, after.pending], [10_000, 0])
  })

  it("P16 P17 with drop-oldest holds the newest, and tells of every older one", async () => {
    const { accepted, mostPending, told } = await flood(50_000, 1_000, { overflow: "drop-oldest" })
    assert.deepStrictEqual([accepted, mostPending], [50_000, 10_000])
    assert.deepStrictEqual(told, { evicted: 40_000, closed: 10_000 })
  })

  it("P16 holds the bound in bytes as well, in one go without a pause", async () => {
    const maxQueueBytes = 2 ** 20
    const { accepted, mostBytes, told } = await flood(50_000, 50_000, { maxQueueBytes })
    assert.isAtMost(mostBytes, maxQueueBytes)
    assert.isAbove(mostBytes, maxQueueBytes - 1_000)
    assert.deepStrictEqual(told, { QueueFull: 50_000 - accepted, closed: accepted })
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// Proxies
// ---------------------------------------------------------------------------------------------------------------------

describe("a process with a proxy in its environment", options, () => {
  /** Opens tunnels, and knows how many. */
  const startProxy = async () => {
    let tunnels = 0
    const server = Http.createServer((_, response) => void response.writeHead(502).end())
    server.on("connect", (request, socket: Net.Socket) => {
      tunnels++
      const [host, port] = String(request.url).split(":")
      const through = Net.connect(Number(port), host, () => {
        socket.write("HTTP/1.1 200 OK\r\n\r\n")
        through.pipe(socket)
        socket.pipe(through)
      })
      through.on("error", () => socket.destroy())
      socket.on("error", () => through.destroy())
    })
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    return {
      url: `http://127.0.0.1:${(server.address() as Net.AddressInfo).port}`,
      tunnels: () => tunnels,
      [Symbol.dispose]: () => {
        server.close()
        server.closeAllConnections()
      }
    }
  }

  it.each([
    ["goes by it only if Node is told to", {}, 0],
    ["goes by it with NODE_USE_ENV_PROXY", { NODE_USE_ENV_PROXY: "1" }, 1],
    ["goes past it to where NO_PROXY says", { NODE_USE_ENV_PROXY: "1", NO_PROXY: "127.0.0.1" }, 0]
  ])("H15 %s", async (_, more, tunnels) => {
    await using sink = await FaultSink.start()
    using proxy = await startProxy()
    const env = { HTTP_PROXY: proxy.url, http_proxy: proxy.url, HTTPS_PROXY: proxy.url, ...more }
    await using program = new Program("idle", [sink.host, 10], { env })
    assert.deepStrictEqual(lastLine(await program.ended), { delivered: 10, dropped: 0, rejected: 0, pending: 0 })
    assert.deepStrictEqual(sink.userEvents("u1"), numbered(10))
    assert.strictEqual(Math.min(1, proxy.tunnels()), tunnels)
  })
})
