/** `import`: every line is accounted for, whatever is in it, and whenever the process dies. */
import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { gzipSync } from "node:zlib"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { render } from "../src/cli/import/Progress.ts"
import { batchOf, directory, run, start, to } from "./cli.ts"
import { peer } from "./support.ts"

const options = { timeout: 120_000 }

/** A file of its own, for as long as the scope lasts. */
const fileOf = (name: string, content: string | Uint8Array) =>
  Effect.map(directory, (path) => {
    const file = Path.join(path, name)
    Fs.writeFileSync(file, content)
    return file
  })

const lines = (...some: ReadonlyArray<object | string>) =>
  some.map((line) => (typeof line === "string" ? line : JSON.stringify(line))).join("\n")

const track = (n: number, more: object = {}) => ({
  type: "track",
  userId: `u${n % 7}`,
  event: `event ${n}`,
  timestamp: "2026-01-02T03:04:05Z",
  ...more
})

const rejectedOf = (
  file: string
): ReadonlyArray<{ line: number; problems: ReadonlyArray<{ path: string }>; text: string }> =>
  Fs.readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line))

describe("import", options, () => {
  it.live("accounts for each line: delivered, rejected with its reason in a side file, or blank", () =>
    Effect.gen(function* () {
      const { host, received } = yield* peer()
      const bad = { type: "track", event: "nobody" }
      const content = `\uFEFF${lines(track(1), "", "{", "[1]", bad, { userId: "u" }, track(2), `{"type":"nod"}`)}\r\n${lines(track(3))}`
      const file = yield* fileOf("events.ndjson", content)
      const { code, stderr, stdout } = yield* run(["import", file, "--json"], { env: to(host) })
      assert.deepStrictEqual([code, stderr], [3, ""])
      const summary = JSON.parse(stdout)
      assert.deepInclude(summary, { lines: 9, delivered: 3, rejected: 5, blank: 1, resumedAfter: 0 })
      const sent = received.flatMap(batchOf)
      assert.deepStrictEqual(sent.map(({ event }) => event).sort(), ["event 1", "event 2", "event 3"])
      const rejected = rejectedOf(summary.rejectedFile)
      assert.deepStrictEqual(
        rejected.map(({ line }) => line),
        [3, 4, 5, 6, 8]
      )
      assert.deepStrictEqual(rejected[2], {
        line: 5,
        problems: [{ path: "anonymousId", problem: "is missing, and so is userId: a call needs one of the two" }],
        text: JSON.stringify(bad)
      } as never)
      assert.deepStrictEqual(Fs.readdirSync(Path.dirname(file)).sort(), [
        "events.ndjson",
        "events.ndjson.rejected.ndjson"
      ])
    })
  )

  it.live("prints a summary for people, and leaves no files behind where all went well", () =>
    Effect.gen(function* () {
      const { host } = yield* peer()
      const file = yield* fileOf("events.ndjson", lines(track(1), track(2)))
      const { code, stderr, stdout } = yield* run(["import", file], { env: to(host) })
      assert.deepStrictEqual([code, stderr], [0, ""])
      assert.match(
        stdout,
        /^imported \S+events\.ndjson in .*\n {2}2 lines\n {2}2 delivered\n {2}0 rejected\n {2}0 blank\n$/
      )
      assert.deepStrictEqual(Fs.readdirSync(Path.dirname(file)), ["events.ndjson"])
    })
  )

  it.live("gives a line the same id in every run, another to another source, and keeps an id that is there", () =>
    Effect.gen(function* () {
      const { host, received } = yield* peer()
      const spaced = JSON.stringify(track(1)).replace(",", ", ")
      const file = yield* fileOf("events.ndjson", lines(track(1), spaced, track(2), track(3, { messageId: "mine" })))
      const idsOf = (env: NodeJS.ProcessEnv, ...flags: ReadonlyArray<string>) =>
        Effect.gen(function* () {
          received.length = 0
          const { code } = yield* run(["import", file, "--concurrency", "1", ...flags], { env })
          assert.strictEqual(code, 0)
          return received.flatMap(batchOf).map(({ messageId }) => messageId)
        })
      const first = yield* idsOf(to(host))
      assert.deepStrictEqual(yield* idsOf(to(host)), first)
      // The same call, written in another way.
      assert.strictEqual(first[0], first[1])
      assert.strictEqual(first[3], "mine")
      const other = yield* idsOf({ ...to(host), ANALYTICS_WRITE_KEY: "another-key" })
      assert.deepStrictEqual(
        other.filter((id) => first.includes(id)),
        ["mine"]
      )
      const byPosition = yield* idsOf(to(host), "--ids", "position")
      assert.strictEqual(new Set(byPosition).size, 4)
      assert.deepStrictEqual(yield* idsOf(to(host), "--ids", "position"), byPosition)
    })
  )

  it.live("accounts for lines that share an id, where one of them is no call", () =>
    Effect.gen(function* () {
      const { host } = yield* peer()
      const same = { messageId: "same" }
      const file = yield* fileOf("events.ndjson", lines(track(1, same), { type: "track", ...same }, track(2, same)))
      const { stdout } = yield* run(["import", file, "--json"], { env: to(host) })
      const { rejectedFile, ...summary } = JSON.parse(stdout)
      assert.deepInclude(summary, { lines: 3, delivered: 2, rejected: 1 })
      assert.deepStrictEqual(
        rejectedOf(rejectedFile).map(({ line }) => line),
        [2]
      )
    })
  )

  it.live("puts what the API rejects into the side file, and delivers the rest of the batch", () =>
    Effect.gen(function* () {
      const { host } = yield* peer((response, { body }) => {
        response.writeHead(body.includes("event 5") ? 400 : 200).end()
      })
      const file = yield* fileOf("events.ndjson", lines(...Array.from({ length: 9 }, (_, n) => track(n))))
      const { code, stdout } = yield* run(["import", file, "--json"], { env: to(host) })
      const { delivered, rejected, rejectedFile } = JSON.parse(stdout)
      assert.deepStrictEqual([code, delivered, rejected], [3, 8, 1])
      assert.deepStrictEqual(
        rejectedOf(rejectedFile).map(({ line }) => line),
        [6]
      )
    })
  )

  it.live("stops where nothing can be delivered, and goes on there the next time", () =>
    Effect.gen(function* () {
      let status = 401
      const { host, received } = yield* peer((response) => void response.writeHead(status).end())
      const file = yield* fileOf("events.ndjson", lines(...Array.from({ length: 20 }, (_, n) => track(n))))
      const { code, stderr, stdout } = yield* run(["import", file], { env: to(host) })
      assert.deepStrictEqual([code, stdout], [1, ""])
      assert.match(stderr, /^stopped after 0 lines; the same command goes on from there\nerror: not delivered: .*401/)
      status = 200
      received.length = 0
      const again = yield* run(["import", file, "--json"], { env: to(host) })
      assert.deepInclude(JSON.parse(again.stdout), { lines: 20, delivered: 20 })
    })
  )

  it.live("refuses the checkpoint of another import, and begins again with --restart", () =>
    Effect.gen(function* () {
      const { host } = yield* peer((response) => void response.writeHead(401).end())
      const file = yield* fileOf("events.ndjson", lines(track(1)))
      yield* run(["import", file], { env: to(host) })
      const good = yield* peer()
      const other = yield* run(["import", file], { env: to(good.host) })
      assert.strictEqual(other.code, 2)
      assert.match(
        other.stderr,
        /is of an import with other flags, another key or another host\n {2}To begin again: --restart/
      )
      Fs.writeFileSync(
        `${file}.checkpoint`,
        Fs.readFileSync(`${file}.checkpoint`, "utf8").replace(`"records":0`, `"records":2`)
      )
      const shorter = yield* run(["import", file], { env: to(host) })
      assert.strictEqual(shorter.code, 1)
      assert.match(
        shorter.stderr,
        /events\.ndjson has 1 lines, and its checkpoint knows 2\n {2}To begin again: --restart/
      )
      Fs.writeFileSync(file, lines(track(2)))
      const changed = yield* run(["import", file], { env: to(host) })
      assert.match(changed.stderr, /is of another file than/)
      const restarted = yield* run(["import", file, "--restart", "--json"], { env: to(good.host) })
      assert.deepInclude(JSON.parse(restarted.stdout), { lines: 1, delivered: 1 })
    })
  )

  it.live("reads gzip, from a file and from stdin, in several members", () =>
    Effect.gen(function* () {
      const { host, received } = yield* peer()
      const packed = Buffer.concat([gzipSync(`${lines(track(1), track(2))}\n`), gzipSync(lines(track(3)))])
      const file = yield* fileOf("events.gz", packed)
      const cwd = Path.dirname(file)
      const ofFile = yield* run(["import", file, "--json"], { env: to(host) })
      assert.deepInclude(JSON.parse(ofFile.stdout), { lines: 3, delivered: 3 })
      const ofStdin = yield* run(["import", "-", "--json"], { cwd, env: to(host), stdin: packed })
      assert.deepInclude(JSON.parse(ofStdin.stdout), { file: "stdin", lines: 3, delivered: 3 })
      assert.strictEqual(received.flatMap(batchOf).length, 6)
      const cut = yield* run(["import", "-"], { cwd, env: to(host), stdin: packed.subarray(0, -12) })
      assert.deepStrictEqual([cut.code, cut.stdout], [1, ""])
      assert.match(cut.stderr, /stdin can't be read \(Z_BUF_ERROR\)/)
    })
  )

  it.live("reads a pipe, whose side file is in the current directory", () =>
    Effect.gen(function* () {
      const { host } = yield* peer()
      const cwd = yield* directory
      const pipe = Path.join(yield* directory, "events")
      execFileSync("mkfifo", [pipe])
      const { ended } = start(["import", pipe, "--json"], { cwd, env: to(host) })
      yield* Effect.promise(() => Fs.promises.writeFile(pipe, gzipSync(lines(track(1), "{"))))
      const { code, stderr, stdout } = yield* Effect.promise(() => ended)
      assert.deepStrictEqual([code, stderr], [3, ""])
      const { rejectedFile, ...summary } = JSON.parse(stdout)
      assert.deepInclude(summary, { file: pipe, lines: 2, delivered: 1, rejected: 1 })
      assert.strictEqual(rejectedFile, "events.rejected.ndjson")
      assert.deepStrictEqual(Fs.readdirSync(cwd), [rejectedFile])
      assert.deepStrictEqual(Fs.readdirSync(Path.dirname(pipe)), ["events"])
    })
  )

  it.live("leaves the side file of an earlier import as it is, in a dry run and where nothing is rejected", () =>
    Effect.gen(function* () {
      let status = 400
      const { host } = yield* peer((response) => void response.writeHead(status).end())
      const file = yield* fileOf("events.ndjson", lines(track(1)))
      const side = `${file}.rejected.ndjson`
      yield* run(["import", file], { env: to(host) })
      const kept = Fs.readFileSync(side, "utf8")
      assert.include(kept, "event 1")
      status = 200
      for (const more of [["--dry-run"], []]) {
        const { code } = yield* run(["import", file, ...more], { env: to(host) })
        assert.strictEqual(code, 0)
        assert.strictEqual(Fs.readFileSync(side, "utf8"), kept)
      }
      Fs.writeFileSync(file, "{")
      const { stdout } = yield* run(["import", file, "--dry-run", "--rejected", side, "--json"], { env: to(host) })
      const { rejectedFile } = JSON.parse(stdout)
      assert.strictEqual(rejectedFile, `${side}.dry-run`)
      assert.include(Fs.readFileSync(rejectedFile, "utf8"), "not JSON")
      assert.strictEqual(Fs.readFileSync(side, "utf8"), kept)
      assert.deepStrictEqual(Fs.readdirSync(Path.dirname(file)).sort(), [
        "events.ndjson",
        "events.ndjson.rejected.ndjson",
        "events.ndjson.rejected.ndjson.dry-run"
      ])
    })
  )

  it.live("never writes to its input, whatever the path, nor to one file for two purposes, nor to a device", () =>
    Effect.gen(function* () {
      const content = lines(track(1), "{")
      const file = yield* fileOf("events.ndjson", content)
      const folder = Path.dirname(file)
      const link = Path.join(folder, "link")
      Fs.symlinkSync(file, link)
      Fs.linkSync(file, Path.join(folder, "second.new"))
      Fs.symlinkSync(folder, Path.join(folder, "self"))
      const refused = [
        { args: ["--rejected", file], problem: /--rejected: \S+events\.ndjson is the input/ },
        { args: ["--rejected", file, "--dry-run"], problem: /--rejected: \S+events\.ndjson is the input/ },
        { args: ["--rejected", link], problem: /--rejected: \S+link is the input/ },
        { args: ["--rejected", Path.join(folder, "second")], problem: /--rejected: \S+second\.new is the input/ },
        { args: ["--checkpoint", file, "--restart"], problem: /--checkpoint: \S+events\.ndjson is the input/ },
        {
          args: ["--checkpoint", Path.join(folder, "x"), "--rejected", Path.join(folder, "self", "x")],
          problem: /--rejected: \S+x is the file of --checkpoint/
        },
        { args: ["--rejected", "/dev/null"], problem: /--rejected: \/dev\/null is not a regular file/ }
      ]
      for (const { args, problem } of refused) {
        const { code, stderr } = yield* run(["import", file, ...args], { env: to("http://127.0.0.1:1") })
        assert.strictEqual(code, 2)
        assert.match(stderr, problem)
        assert.strictEqual(Fs.readFileSync(file, "utf8"), content)
      }
      assert.deepStrictEqual(Fs.readdirSync(folder).sort(), ["events.ndjson", "link", "second.new", "self"])
    })
  )

  it.live("rejects a line that is too long without reading it into memory", () =>
    Effect.gen(function* () {
      const long = JSON.stringify(track(1, { properties: { text: "x".repeat(3 * 1024 * 1024) } }))
      const cwd = yield* directory
      const { stdout } = yield* run(["import", "-", "--dry-run", "--json"], { cwd, stdin: lines(long, track(2)) })
      const { rejectedFile, ...summary } = JSON.parse(stdout)
      assert.deepInclude(summary, { lines: 2, valid: 1, rejected: 1 })
      const [rejected] = rejectedOf(Path.join(cwd, rejectedFile))
      assert.deepStrictEqual([rejected?.line, rejected?.text], [1, ""])
    })
  )

  it.live("explains a place that can't be written, and a file that can't be read", () =>
    Effect.gen(function* () {
      const file = yield* fileOf("events.ndjson", lines(track(1)))
      const nowhere = Path.join(file, "below-a-file")
      const unwritable = yield* run(["import", file, "--rejected", nowhere, "--dry-run"])
      assert.deepStrictEqual([unwritable.code, unwritable.stdout], [1, ""])
      assert.match(unwritable.stderr, /can't be written \(ENOTDIR\)\n {2}Give other places with --checkpoint/)
      const missing = yield* run(["import", `${file}.not`, "--dry-run"])
      assert.match(missing.stderr, /^error: \S+events\.ndjson\.not is not there\n$/)
      const folder = yield* run(["import", Path.dirname(file), "--dry-run"])
      assert.match(folder.stderr, /is a directory\n {2}Give a file, or pipe several into: import -\n$/)
    })
  )

  it.live("sends at most so many lines in a second", () =>
    Effect.gen(function* () {
      const { host } = yield* peer()
      const file = yield* fileOf("events.ndjson", lines(...Array.from({ length: 60 }, (_, n) => track(n))))
      const { stdout } = yield* run(["import", file, "--rate", "100", "--json"], { env: to(host) })
      const { delivered, milliseconds } = JSON.parse(stdout)
      assert.strictEqual(delivered, 60)
      // The last of them is due after 550 ms.
      assert.isAtLeast(milliseconds, 540)
    })
  )
})

describe("import of CSV", options, () => {
  const csv = [
    "customer,what,at,amount,tags,ok",
    'u1,Order Completed,2026-01-02,39.95,"[""a""]",yes',
    'u2,"Order\nCancelled",2026-01-03,,,no',
    "u3,Order Completed,2026-01-04,lots,,",
    "u4,Order Completed"
  ].join("\n")
  const map = [
    ...["userId=customer", "event=what", "timestamp=at", "properties.total:number=amount"],
    ...["properties.tags:json=tags", "properties.ok:boolean=ok"]
  ].flatMap((one) => ["--map", one])

  it.live("puts columns where the mapping wants them, and rejects a row by what is wrong in it", () =>
    Effect.gen(function* () {
      const { host, received } = yield* peer()
      const file = yield* fileOf("orders.csv", csv)
      const { stdout } = yield* run(["import", file, "--type", "track", ...map, "--json"], { env: to(host) })
      const { rejectedFile, ...summary } = JSON.parse(stdout)
      assert.deepInclude(summary, { lines: 4, delivered: 2, rejected: 2 })
      const sent = received.flatMap(batchOf).map(({ event, properties, userId }) => ({ event, properties, userId }))
      assert.deepStrictEqual(sent, [
        { userId: "u1", event: "Order Completed", properties: { total: 39.95, tags: ["a"], ok: true } },
        { userId: "u2", event: "Order\nCancelled", properties: { ok: false } }
      ])
      assert.deepStrictEqual(
        rejectedOf(rejectedFile).map(({ line, problems }) => [line, problems[0]]),
        [
          [5, { path: "", problem: 'column "amount" holds no number' }],
          [6, { path: "", problem: "the row has another number of columns than the header" }]
        ] as never
      )
    })
  )

  it.live("takes columns that are named for fields without a mapping", () =>
    Effect.gen(function* () {
      const { host, received } = yield* peer()
      const file = yield* fileOf("rows.csv", "type,userId,traits.seats:number\nidentify,u1,3\n")
      const { code } = yield* run(["import", file], { env: to(host) })
      assert.strictEqual(code, 0)
      assert.deepInclude(received.flatMap(batchOf)[0], { type: "identify", userId: "u1", traits: { seats: 3 } })
    })
  )

  it.live("explains a mapping that can't work", () =>
    Effect.gen(function* () {
      const file = yield* fileOf("orders.csv", csv)
      const { code, stderr } = yield* run(["import", file, "--map", "properties.total:money=amount", "--dry-run"])
      assert.strictEqual(code, 2)
      assert.match(stderr, /no known kind of value: text, number, boolean, json\n {2}For example: --map userId=user_id/)
      const polluted = yield* run(["import", file, "--map", "__proto__.x=amount", "--dry-run"])
      assert.match(polluted.stderr, /is not a field/)
    })
  )
})

describe("an import that is killed", options, () => {
  const count = 20_000
  /** Every thousandth line is no call, every other thousandth is blank. */
  const content = lines(
    ...Array.from({ length: count }, (_, n) => (n % 1_000 === 500 ? "" : n % 1_000 === 0 ? "{" : track(n)))
  )

  it.live("by kill -9 goes on after its checkpoint: each line is accounted for once, and nothing is lost", () =>
    Effect.gen(function* () {
      const file = yield* fileOf("events.ndjson", content)
      const checkpoint = `${file}.checkpoint`
      const saved = (): number => {
        try {
          return JSON.parse(Fs.readFileSync(checkpoint, "utf8")).counts.records
        } catch {
          return 0
        }
      }
      let kill: (() => void) | undefined
      let messages = 0
      const { host, received } = yield* peer((response, { body }) => {
        messages += JSON.parse(body.toString()).batch.length
        // Not before there is a checkpoint to go on from.
        if (messages > 8_000 && saved() > 0) kill?.()
        // So that the first run is not over before it is killed.
        setTimeout(() => response.writeHead(200).end(), kill === undefined ? 0 : 40)
      })
      const args = ["import", file, "--batch-size", "250", "--json"]
      const first = start(args, { env: to(host) })
      kill = () => first.child.kill("SIGKILL")
      const killed = yield* Effect.promise(() => first.ended)
      assert.strictEqual(killed.signal, "SIGKILL")
      kill = undefined
      const before = saved()
      assert.isAbove(before, 0)
      assert.isBelow(before, count)
      // What was rejected after the checkpoint is in the side file already, and comes again.
      Fs.appendFileSync(`${file}.rejected.ndjson.new`, '{"line":0,"problems":[],"text":"of the run that died"}\n')

      const { code, stderr, stdout } = yield* run(args, { env: to(host) })
      assert.strictEqual(code, 3)
      assert.match(stderr, /^resuming after [\d,]+ lines/)
      const summary = JSON.parse(stdout)
      assert.deepInclude(summary, {
        lines: count,
        delivered: count - 40,
        rejected: 20,
        blank: 20,
        resumedAfter: before
      })
      const ids = received.flatMap(batchOf).map(({ messageId }) => messageId)
      assert.strictEqual(new Set(ids).size, count - 40)
      const events = new Set(received.flatMap(batchOf).map(({ event }) => event))
      assert.strictEqual(events.size, count - 40)
      assert.deepStrictEqual(
        rejectedOf(summary.rejectedFile).map(({ line }) => line),
        Array.from({ length: 20 }, (_, n) => n * 1_000 + 1)
      )
    })
  )

  it.live("by Ctrl-C saves how far it is, and ends with 130", () =>
    Effect.gen(function* () {
      const file = yield* fileOf("events.ndjson", content)
      let interrupt: (() => void) | undefined
      const { host, received } = yield* peer((response) => {
        interrupt?.()
        response.writeHead(200).end()
      })
      const first = start(["import", file, "--rate", "5000"], { env: to(host) })
      interrupt = () => first.child.kill("SIGINT")
      const { code, stderr } = yield* Effect.promise(() => first.ended)
      interrupt = undefined
      assert.strictEqual(code, 130)
      assert.match(stderr, /^stopped after [\d,]+ lines?; the same command goes on from there\n$/)
      const { stdout } = yield* run(["import", file, "--json"], { env: to(host) })
      assert.deepInclude(JSON.parse(stdout), { lines: count, delivered: count - 40, rejected: 20, blank: 20 })
      assert.strictEqual(new Set(received.flatMap(batchOf).map(({ messageId }) => messageId)).size, count - 40)
    })
  )
})

describe("the line of progress", () => {
  it("shows the share, the rate, the time left and what was rejected", () => {
    const state = {
      read: 25,
      total: 100,
      skipped: 0,
      records: 50_000,
      recordsHere: 50_000,
      rejected: 3,
      elapsed: 2_000
    }
    assert.strictEqual(
      render(state),
      "[======>                 ] 25 %  50,000 lines  25,000 lines/s  6 s left  3 rejected"
    )
  })

  it("leaves out of the rate what an earlier run did, and shows no share of stdin", () => {
    const state = {
      read: 60,
      total: 100,
      skipped: 50,
      records: 60_000,
      recordsHere: 10_000,
      rejected: 0,
      elapsed: 1_000
    }
    assert.include(render(state), "60 %  60,000 lines  10,000 lines/s  4 s left")
    assert.strictEqual(render({ ...state, total: undefined }), "60,000 lines  10,000 lines/s")
  })
})
