/** What happens to a process with a durable outbox, for real: it ends in every way there is, and its next life delivers. */
import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { SqliteFile } from "../src/SqlOutbox/SqliteFile.ts"
import { Actor, Programs } from "./crash/Actor.ts"
import type { Life } from "./crash/Life.ts"
import { type Answer, FaultSink } from "./FaultSink.ts"

/** Far more than any of these takes, and far less than what a hang would. */
const options = { timeout: 120_000 }

let programs: Programs
beforeAll(async () => {
  programs = await Programs.build()
}, 60_000)
afterAll(() => programs[Symbol.dispose]())

/** One process that writes and delivers, its directory, its peer, and what it was promised. */
class Scene implements AsyncDisposable {
  readonly directory = Fs.mkdtempSync(Path.join(Os.tmpdir(), "effect-analytics-durable-"))
  readonly promised: Array<string> = []
  readonly actor = new Actor(programs, "embedded", "app", (line) => {
    if (line.includes("/")) this.promised.push(line)
  })
  readonly sink: FaultSink
  private readonly peer: { answer: Answer }

  private constructor(sink: FaultSink, peer: { answer: Answer }) {
    this.sink = sink
    this.peer = peer
  }

  static async begin(answer: Answer): Promise<Scene> {
    const peer = { answer }
    return new Scene(await FaultSink.start({ otherwise: () => peer.answer }), peer)
  }

  start(messages: number | undefined, more: Partial<Life> = {}, launch: Parameters<Actor["start"]>[1] = {}): void {
    const life = {
      users: ["ann"],
      messages,
      pause: 5,
      host: this.sink.host,
      place: this.directory,
      outbox: { pollInterval: 50 },
      delivery: { batchSize: 50 },
      requestTimeout: 3_600_000
    }
    this.actor.start({ ...life, ...more }, launch)
  }

  /** Another life on the same file, with a peer that is well: everything that was promised arrives, in its order. */
  async deliversTheRest(): Promise<void> {
    this.peer.answer = 200
    this.start(0)
    await this.actor.said("ready")
    await this.sink.until((sink) => this.promised.every((id) => (sink.counts.get(id)?.taken ?? 0) > 0))
    this.actor.signal("SIGTERM")
    const { code, output } = await this.actor.ended
    assert.strictEqual(code, 0, output)
    const promised = new Set(this.promised)
    assert.deepStrictEqual(
      this.sink.userOrder("ann").filter((id) => promised.has(id)),
      this.promised
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.actor[Symbol.asyncDispose]()
    await this.sink.stop()
    Fs.rmSync(this.directory, { recursive: true, force: true })
  }
}

describe("a process with a durable outbox that is told to end", options, () => {
  it("P5 by SIGTERM, with a peer that never answers, ends at its deadline, and its next life delivers", async () => {
    await using scene = await Scene.begin("silence")
    scene.start(150, { delivery: { batchSize: 50, closeTimeout: "2 seconds" } })
    await scene.actor.said("written")
    await scene.sink.until(({ requests }) => requests.length === 1)
    const told = performance.now()
    scene.actor.signal("SIGTERM")
    const { code, output, signal } = await scene.actor.ended
    assert.deepStrictEqual({ code, signal }, { code: 0, signal: null })
    assert.match(output, /^\[.*\] WARN .*waited 2 s and nothing was delivered; 150 messages are left.*\n$/)
    // Two seconds, and a slow machine.
    assert.isBelow(performance.now() - told, 20_000)
    assert.deepStrictEqual([scene.promised.length, scene.sink.totals().taken], [150, 0])
    await scene.deliversTheRest()
    assert.strictEqual(scene.sink.totals().duplicates, 0)
  })

  it.each(["SIGTERM", "SIGINT"] as const)(
    "P6 by SIGTERM and then by %s ends at once, whatever the deadline, and its next life delivers",
    async (second) => {
      await using scene = await Scene.begin("silence")
      scene.start(150, { delivery: { batchSize: 50, closeTimeout: "1 hour" } })
      await scene.actor.said("written")
      await scene.sink.until(({ requests }) => requests.length === 1)
      scene.actor.signal("SIGTERM")
      await scene.actor.said("ending")
      scene.actor.signal(second)
      const { code, signal } = await scene.actor.ended
      assert.deepStrictEqual({ code, signal }, { code: null, signal: second })
      await scene.deliversTheRest()
    }
  )
})

describe("a process with a durable outbox that ends without a close", options, () => {
  it.each([
    ["process.exit", "exit", 3],
    ["an exception that nobody catches", "throw", 1]
  ] as const)("P7 by %s loses nothing that was acknowledged", async (_, order, code) => {
    await using scene = await Scene.begin("silence")
    scene.start(undefined)
    await scene.sink.until(({ requests }) => requests.length === 1)
    scene.actor.order(order)
    assert.strictEqual((await scene.actor.ended).code, code)
    assert.isAbove(scene.promised.length, 0)
    await scene.deliversTheRest()
  })
})

describe("a process with a durable outbox and a connection that is half-open", options, () => {
  it("P21 gives it up at the request's timeout, and delivers over another", async () => {
    await using scene = await Scene.begin(200)
    scene.start(undefined, { requestTimeout: 500 })
    await scene.sink.until((sink) => sink.totals().taken > 0)
    scene.sink.blackHole()
    await scene.sink.until(({ swallowed }) => swallowed > 0)
    const before = scene.sink.totals().taken
    await scene.sink.until((sink) => sink.totals().taken > before)
    scene.actor.order("stop writing")
    await scene.actor.said("written")
    scene.actor.signal("SIGTERM")
    assert.strictEqual((await scene.actor.ended).code, 0)
    await scene.deliversTheRest()
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// The disk
// ---------------------------------------------------------------------------------------------------------------------

const canTrace = spawnSync("strace", ["-qq", "-e", "trace=none", "true"]).status === 0

describe("a commit", options, () => {
  it.each([
    ["full", 2],
    ["normal", 1]
  ] as const)("P4 with synchronous %s is told to SQLite as such", (synchronous, value) => {
    const directory = Fs.mkdtempSync(Path.join(Os.tmpdir(), "effect-analytics-durable-"))
    const file = new SqliteFile(
      { file: Path.join(directory, "outbox.db"), synchronous, maxFileBytes: 2 ** 24, startsAtOnce: false },
      () => {}
    )
    assert.deepStrictEqual({ ...file.open().prepare("PRAGMA synchronous").get() }, { synchronous: value })
    file.end()
    Fs.rmSync(directory, { recursive: true })
  })

  /** What a process did with its log, in order: wrote to it, had it written to the disk, or said that something is safe. */
  const trace = async (synchronous: "full" | "normal") => {
    await using scene = await Scene.begin("silence")
    const file = Path.join(scene.directory, "trace")
    const strace = ["-f", "-qq", "-y", "-e", "trace=pwrite64,fdatasync,fsync,write", "-s", "8", "-o", file]
    scene.start(60, { outbox: { pollInterval: 50, synchronous } }, { under: ["strace", ...strace] })
    await scene.actor.said("written")
    scene.actor.order("exit")
    await scene.actor.ended
    const steps = Fs.readFileSync(file, "utf8")
      .split("\n")
      .flatMap((line) => {
        if (/ pwrite64\(\d+<[^>]*outbox\.db-wal>/.test(line)) return ["wrote"]
        if (/ f(data)?sync\(\d+<[^>]*outbox\.db-wal>/.test(line)) return ["synced"]
        return / write\(4<[^>]*>, "ann\//.test(line) ? ["said"] : []
      })
    return {
      said: steps.filter((step) => step === "said").length,
      /** Messages that were called safe while something was in the log that was not on the disk. */
      early: steps.filter((step, n) => {
        const before = steps.slice(0, n)
        return step === "said" && before.lastIndexOf("wrote") > before.lastIndexOf("synced")
      }).length
    }
  }

  it.skipIf(!canTrace)(
    "P4 is on the disk before its call resolves, by the calls of the system (needs strace)",
    async () => {
      assert.deepStrictEqual(await trace("full"), { said: 60, early: 0 })
    }
  )

  it.skipIf(!canTrace)(
    "P4 with synchronous normal is not, which shows that the look is a look (needs strace)",
    async () => {
      const { early, said } = await trace("normal")
      assert.strictEqual(said, 60)
      assert.isAbove(early, 0)
    }
  )
})
