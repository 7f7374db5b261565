/**
 * What happens to the file of an embedded outbox: it breaks, it is cut off, moved, locked, too large for its disk, not
 * ours to read. Real files, in directories that are removed afterwards.
 */
import { execFile, execFileSync, fork, spawnSync } from "node:child_process"
import { once } from "node:events"
import * as Fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { assert, describe, it, vi } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type { OutboxUnavailable } from "../src/AnalyticsError.ts"
import { DeliveryError } from "../src/AnalyticsError.ts"
import * as Outcome from "../src/Outcome.ts"
import type { ErrorCode } from "../src/SqlOutbox/ErrorCode.ts"
import * as SqliteClient from "../src/SqlOutbox/SqliteClient.ts"
import type * as SqlOutbox from "../src/SqlOutbox.ts"
import { invalidSettingOf } from "./errors.ts"
import {
  type Client,
  delivered,
  directory,
  drain,
  eventsOf,
  idsIn,
  inFile,
  numbered,
  obeysTheLaw,
  offerAll,
  open,
  settleFile
} from "./outboxFiles.ts"
import { breathe, elapse, message, messages, pass } from "./support.ts"

const modeOf = (file: string) => (Fs.statSync(file).mode & 0o777).toString(8)

const overwrite = (file: string, from: number, bytes: number) => {
  const handle = Fs.openSync(file, "r+")
  Fs.writeSync(handle, Buffer.alloc(bytes, 0x55), 0, bytes, from)
  Fs.closeSync(handle)
}

/** Overwrites the one page that this message is in. */
const overwritePageOf = (file: string, event: string) => {
  const page = Math.floor(Fs.readFileSync(file).indexOf(`"event":"${event}"`) / 4_096)
  assert.isAtLeast(page, 1)
  overwrite(file, page * 4_096, 4_096)
}

/** What can happen to a file, and what it is called in the log. */
const damages: ReadonlyArray<{
  readonly id: "P11" | "P12"
  readonly name: string
  readonly damage: (file: string) => void
  readonly problem: RegExp
  /** What it is called by who has it open. */
  readonly problemOpen: RegExp
}> = [
  {
    id: "P11",
    name: "whose header is overwritten",
    damage: (file) => overwrite(file, 0, 100),
    problem: /not a database: SQLITE 26/,
    problemOpen: /not a database: SQLITE 26/
  },
  {
    id: "P11",
    name: "whose pages are overwritten",
    damage: (file) => overwrite(file, 4096, Fs.statSync(file).size - 4096),
    problem: /corrupt/,
    problemOpen: /corrupt: SQLITE 11/
  },
  {
    id: "P11",
    name: "that is something else altogether",
    damage: (file) => Fs.writeFileSync(file, "a list of shops\n".repeat(1_000)),
    problem: /not a database: SQLITE 26/,
    problemOpen: /not a database: SQLITE 26/
  },
  {
    id: "P12",
    name: "that is cut in half",
    damage: (file) => Fs.truncateSync(file, Math.floor(Fs.statSync(file).size / 2)),
    problem: /corrupt/,
    problemOpen: /corrupt: SQLITE 11/
  },
  {
    id: "P12",
    name: "that is cut to 50 bytes",
    damage: (file) => Fs.truncateSync(file, 50),
    problem: /not a database: SQLITE 26|corrupt: SQLITE 11/,
    problemOpen: /cut off|not a database|corrupt/
  },
  {
    id: "P12",
    name: "that is cut to nothing",
    damage: (file) => Fs.truncateSync(file, 0),
    problem: /it is empty, and was not/,
    problemOpen: /cut off|not a database|corrupt/
  }
]

/** What an operator reads of it. */
const reportOf = (problem: RegExp, file: string, place: number, bytes: number) =>
  new RegExp(
    `^the outbox ${file} was broken \\(.*(${problem.source}).*\\) and is set aside as ${file}\\.corrupt-${place} ` +
      `\\(${bytes} bytes\\): what waited in it is not delivered$`
  )

// ---------------------------------------------------------------------------------------------------------------------
// Broken files
// ---------------------------------------------------------------------------------------------------------------------

describe("a file that is broken when it is opened", () => {
  for (const { damage, id, name, problem } of damages) {
    it.effect(`${id} ${name}: is set aside as it is, told as an error, and a new one takes its place`, () =>
      Effect.gen(function* () {
        const file = join(yield* directory, "outbox.db")
        yield* Effect.scoped(Effect.flatMap(open({ file }), (client) => offerAll(client, 1, 50)))
        damage(file)
        const broken = Fs.readFileSync(file)
        const client = yield* open({ file })
        assert.strictEqual(client.errors().length, 1)
        assert.match(client.errors()[0] ?? "", reportOf(problem, file, 1, broken.length))
        assert.isTrue(Fs.readFileSync(`${file}.corrupt-1`).equals(broken))
        assert.strictEqual(modeOf(`${file}.corrupt-1`), "600")
        yield* offerAll(client, 51, 60)
        assert.deepStrictEqual(yield* drain(client, 10), numbered(51, 60))
        assert.deepStrictEqual(yield* client.outbox.flush(), { delivered: 0, dropped: 0, pending: 0 })
        yield* obeysTheLaw(client)
      })
    )
  }

  it.effect("P11 in one page that no call would read for long: it is found at the start", () =>
    Effect.gen(function* () {
      const file = join(yield* directory, "outbox.db")
      yield* Effect.scoped(Effect.flatMap(open({ file }), (client) => offerAll(client, 1, 200)))
      overwritePageOf(file, "event 100")
      const bytes = Fs.statSync(file).size
      const client = yield* open({ file })
      assert.strictEqual(client.errors().length, 1)
      assert.match(client.errors()[0] ?? "", reportOf(/corrupt: .+/, file, 1, bytes))
    })
  )

  it.effect("P11 is set aside under a name that is free, whatever was set aside before", () =>
    Effect.gen(function* () {
      const file = join(yield* directory, "outbox.db")
      Fs.writeFileSync(`${file}.corrupt-1`, "of another day")
      Fs.writeFileSync(`${file}.corrupt-2-wal`, "of another day")
      Fs.writeFileSync(file, "a list of shops\n".repeat(1_000), { mode: 0o644 })
      const client = yield* open({ file })
      assert.match(client.errors()[0] ?? "", reportOf(/not a database/, file, 3, 16_000))
      assert.strictEqual(Fs.readFileSync(`${file}.corrupt-1`, "utf8"), "of another day")
      assert.strictEqual(Fs.readFileSync(`${file}.corrupt-2-wal`, "utf8"), "of another day")
      assert.strictEqual(modeOf(`${file}.corrupt-3`), "600")
    })
  )

  it.effect("P12 that is missing, with a log beside it: the log is set aside, and not thrown away", () =>
    Effect.gen(function* () {
      const path = yield* directory
      const file = join(path, "outbox.db")
      Fs.writeFileSync(`${file}-wal`, "the log of it")
      const client = yield* open({ directory: path })
      assert.match(client.errors()[0] ?? "", reportOf(/it is empty, and was not/, file, 1, 13))
      assert.strictEqual(Fs.readFileSync(`${file}.corrupt-1-wal`, "utf8"), "the log of it")
      yield* offerAll(client, 1, 1)
    })
  )

  it.effect("P12 an empty file that never was anything else is a new one, and nothing is said", () =>
    Effect.gen(function* () {
      const file = join(yield* directory, "outbox.db")
      Fs.writeFileSync(file, "")
      const client = yield* open({ file })
      yield* offerAll(client, 1, 1)
      assert.deepStrictEqual(client.errors(), [])
      assert.strictEqual(modeOf(file), "600")
    })
  )
})

/** Another process that has the same file open. */
const shared = (file: string) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.promise(async () => {
        const child = fork(fileURLToPath(new URL("programs/sharesOutbox.ts", import.meta.url)), [file])
        await once(child, "message")
        return child
      }),
      (child) => Effect.sync(() => child.kill("SIGKILL"))
    ),
    (child) => ({
      /** Has it accept a message; answers with the errors that it logged. */
      offer: (event: string) =>
        Effect.promise(async () => {
          child.send(event)
          const [{ accepted, errors }] = (await once(child, "message")) as [
            { readonly accepted: boolean; readonly errors: ReadonlyArray<string> }
          ]
          assert.isTrue(accepted)
          return errors
        }),
      close: Effect.promise(async () => {
        child.send("close")
        await once(child, "exit")
      })
    })
  )

describe("a file that breaks while it is open", () => {
  for (const { damage, id, name, problemOpen } of damages) {
    it.effect(`${id} ${name}: the next calls are accepted into a new one, and what is on its way ends`, () =>
      Effect.gen(function* () {
        const file = join(yield* directory, "outbox.db")
        const client = yield* open({ file })
        yield* offerAll(client, 1, 50)
        const flight = yield* client.outbox.take(5)
        settleFile(file)
        damage(file)
        const bytes = Fs.statSync(file).size
        yield* offerAll(client, 51, 53)
        assert.strictEqual(client.errors().length, 1)
        assert.match(client.errors()[0] ?? "", reportOf(problemOpen, file, 1, bytes))
        assert.deepStrictEqual(
          ["", "-wal", "-shm"].map((suffix) => modeOf(`${file}.corrupt-1${suffix}`)),
          ["600", "600", "600"]
        )
        assert.deepStrictEqual(idsIn(file), numbered(51, 53))
        assert.strictEqual((yield* client.outbox.counts).pending, 5 + 3)
        // A flush waits for both: what is in the new file, and what is in none.
        const flush = yield* Effect.forkChild(client.outbox.flush())
        yield* breathe
        assert.deepStrictEqual(yield* drain(client, 3), numbered(51, 53))
        yield* breathe
        assert.isUndefined(flush.pollUnsafe())
        yield* client.outbox.settle(delivered(flight))
        assert.deepStrictEqual(yield* Fiber.join(flush), { delivered: 8, dropped: 0, pending: 0 })
        assert.deepStrictEqual((yield* client.outbox.counts).delivered, 8)
        assert.strictEqual((yield* client.operations.stats).pending, 0)
        yield* obeysTheLaw(client)
      })
    )
  }

  it.effect(
    "P11 in one page: it is found when somebody reads it; what is on its way ends, and calls are accepted",
    () =>
      Effect.gen(function* () {
        const file = join(yield* directory, "outbox.db")
        const client = yield* open({ file })
        yield* Effect.forEach(messages(1, 2_000), (message) => client.outbox.offer(message), {
          concurrency: "unbounded",
          discard: true
        })
        const flight = yield* client.outbox.take(100)
        settleFile(file)
        overwritePageOf(file, "event 1900")
        yield* offerAll(client, 2_001, 2_001)
        assert.deepStrictEqual(client.errors(), [])
        const rest = yield* Effect.forkChild(drain(client, 1_901))
        yield* elapse("10 seconds", "1 second")
        assert.match(client.errors()[0] ?? "", / was broken \(corrupt: SQLITE 11\) and is set aside /)
        yield* offerAll(client, 2_002, 2_003)
        yield* breathe
        yield* Fiber.interrupt(rest)
        assert.deepStrictEqual(idsIn(file), [])
        yield* client.outbox.settle(delivered(flight))
        yield* obeysTheLaw(client)
      })
  )

  it.effect("P12 that is cut to nothing, though all of it is still in memory: the next call finds out", () =>
    Effect.gen(function* () {
      const file = join(yield* directory, "outbox.db")
      const client = yield* open({ file })
      yield* offerAll(client, 1, 5)
      Fs.truncateSync(file, 0)
      yield* offerAll(client, 6, 7)
      assert.match(client.errors()[0] ?? "", / was broken \(it is cut off\) and is set aside /)
      assert.deepStrictEqual(idsIn(file), numbered(6, 7))
      // What waited is in the log that was set aside with it.
      assert.isAbove(Fs.statSync(`${file}.corrupt-1-wal`).size, 0)
    })
  )

  it.effect("P11 a flush that waits for it is over with what is on its way, and claims no more than that", () =>
    Effect.gen(function* () {
      const file = join(yield* directory, "outbox.db")
      const client = yield* open({ file })
      yield* offerAll(client, 1, 50)
      const flight = yield* client.outbox.take(5)
      const flush = yield* Effect.forkChild(client.outbox.flush())
      yield* breathe
      settleFile(file)
      overwrite(file, 0, Fs.statSync(file).size)
      yield* offerAll(client, 51, 51)
      yield* pass("1 second")
      assert.isUndefined(flush.pollUnsafe())
      yield* client.outbox.settle(delivered(flight))
      assert.deepStrictEqual(yield* Fiber.join(flush), { delivered: 5, dropped: 0, pending: 0 })
    })
  )

  it.effect("P11 what is on its way and in no file is dropped by a close, and told", () =>
    Effect.gen(function* () {
      const file = join(yield* directory, "outbox.db")
      const client = yield* open({ file })
      yield* offerAll(client, 1, 50)
      const flight = yield* client.outbox.take(5)
      settleFile(file)
      overwrite(file, 0, Fs.statSync(file).size)
      yield* offerAll(client, 51, 51)
      yield* client.outbox.abandon(new DeliveryError({ reason: "closed", attempts: 0 }))
      const dropped = client.outcomes.flatMap((outcome) =>
        outcome._tag === "Dropped" ? eventsOf(outcome.messages).map((event) => [event, outcome.error.reason]) : []
      )
      assert.deepStrictEqual(
        dropped,
        eventsOf(flight).map((event) => [event, "closed"])
      )
      assert.deepStrictEqual(idsIn(file), numbered(51, 51))
      yield* obeysTheLaw(client)
    })
  )

  it.effect("P11 a message of the new file is not taken for one of the old at the same place", () =>
    Effect.gen(function* () {
      const file = join(yield* directory, "outbox.db")
      const client = yield* open({ file })
      yield* offerAll(client, 1, 5)
      const flight = yield* client.outbox.take(5)
      settleFile(file)
      overwrite(file, 0, Fs.statSync(file).size)
      // Another process finds it first, and has five messages in the new one before this one looks.
      yield* Effect.scoped(Effect.flatMap(open({ file }), (other) => offerAll(other, 11, 15)))
      yield* client.outbox.settle(delivered(flight))
      assert.deepStrictEqual(idsIn(file), numbered(11, 15))
      assert.deepStrictEqual(yield* drain(client, 5), numbered(11, 15))
      yield* obeysTheLaw(client)
    })
  )

  for (const [how, away] of [
    ["removed", (file: string) => Fs.rmSync(file)],
    ["renamed", (file: string) => Fs.renameSync(file, `${file}.backup`)],
    ["removed, with all that belongs to it", (file: string) => Fs.rmSync(join(file, ".."), { recursive: true })]
  ] as const) {
    it.effect(`P12 a file that is ${how} by somebody: calls are accepted into a new one, and it is said`, () =>
      Effect.gen(function* () {
        const file = join(yield* directory, "here", "outbox.db")
        const client = yield* open({ file })
        yield* offerAll(client, 1, 5)
        const flight = yield* client.outbox.take(2)
        away(file)
        yield* offerAll(client, 6, 7)
        assert.deepStrictEqual(idsIn(file), numbered(6, 7))
        assert.strictEqual(
          client.errors()[0],
          `the outbox ${file} was moved or removed: what waited in it is not delivered from here any more`
        )
        yield* client.outbox.settle(delivered(flight))
        assert.deepStrictEqual(yield* drain(client, 2), numbered(6, 7))
        yield* obeysTheLaw(client)
      })
    )
  }

  it.effect("P11 of two clients on it, one sets it aside, and both go on with the new one", () =>
    Effect.gen(function* () {
      const file = join(yield* directory, "outbox.db")
      const one = yield* open({ file })
      const other = yield* open({ file })
      yield* offerAll(one, 1, 20)
      settleFile(file)
      overwrite(file, 0, Fs.statSync(file).size)
      for (let n = 21; n <= 30; n += 2) {
        yield* offerAll(one, n, n)
        yield* offerAll(other, n + 1, n + 1)
      }
      assert.deepStrictEqual(idsIn(file), numbered(21, 30))
      const errors = [...one.errors(), ...other.errors()]
      assert.deepStrictEqual(
        errors.map((line) => (/was broken/.test(line) ? "set aside" : /was moved/.test(line) ? "moved" : line)).sort(),
        ["moved", "set aside"]
      )
      assert.deepStrictEqual(
        Fs.readdirSync(join(file, "..")).filter((name) => /corrupt-\d+$/.test(name)),
        ["outbox.db.corrupt-1"]
      )
    })
  )

  it.live("P11 of two processes on it, one sets it aside, and both go on with the new one", () =>
    Effect.gen(function* () {
      const file = join(yield* directory, "outbox.db")
      const here = yield* open({ file })
      const there = yield* shared(file)
      yield* offerAll(here, 1, 20)
      for (const round of [1, 2, 3]) {
        settleFile(file)
        overwrite(file, 0, Fs.statSync(file).size)
        const said: Array<string> = []
        for (let n = round * 100; n < round * 100 + 10; n += 2) {
          // By turns one or the other is the first to find out.
          if (round === 2) said.push(...(yield* there.offer(`event ${n + 1}`)))
          yield* offerAll(here, n, n)
          if (round !== 2) said.push(...(yield* there.offer(`event ${n + 1}`)))
        }
        assert.deepStrictEqual(idsIn(file).toSorted(), numbered(round * 100, round * 100 + 9).toSorted())
        const errors = [...said, ...here.errors().slice(round - 1)]
        assert.deepStrictEqual(
          errors
            .map((line) => (/ was broken /.test(line) ? "broken" : / was moved /.test(line) ? "moved" : line))
            .sort(),
          ["broken", "moved"]
        )
      }
      yield* there.close
      const aside = Fs.readdirSync(join(file, "..")).filter((name) => /corrupt-\d+$/.test(name))
      assert.deepStrictEqual(
        aside.sort(),
        [1, 2, 3].map((n) => `outbox.db.corrupt-${n}`)
      )
      assert.strictEqual((yield* drain(here, 10)).length, 10)
      yield* obeysTheLaw(here)
    })
  )

  it.effect("P11 and that can't be replaced fails typed, until it can be", () =>
    Effect.gen(function* () {
      const path = join(yield* directory, "here")
      const client = yield* open({ directory: path })
      yield* offerAll(client, 1, 1)
      Fs.rmSync(path, { recursive: true })
      Fs.writeFileSync(path, "in the way")
      const error = yield* Effect.flip(client.outbox.offer(message("event 2")))
      assert.deepStrictEqual([error._tag, (error as OutboxUnavailable).code], ["OutboxUnavailable", "EEXIST"])
      Fs.rmSync(path)
      yield* offerAll(client, 3, 3)
      assert.deepStrictEqual(idsIn(join(path, "outbox.db")), numbered(3, 3))
    })
  )
})

// ---------------------------------------------------------------------------------------------------------------------
// Places that can't be used
// ---------------------------------------------------------------------------------------------------------------------

/** Opens an outbox that can't be, and answers why. */
const failsToOpen = (options: SqlOutbox.SqliteOptions) =>
  Effect.map(Effect.flip(Effect.scoped(open(options))), (error) => {
    assert(error._tag === "OutboxUnavailable")
    return error
  })

/** Places where no outbox can be, with what the error says. */
const places: ReadonlyArray<{
  readonly name: string
  readonly make: (path: string) => SqlOutbox.SqliteOptions
  readonly message: (path: string) => string
}> = [
  {
    name: "below a file",
    make: (path) => {
      Fs.writeFileSync(join(path, "file"), "")
      return { directory: join(path, "file", "here") }
    },
    message: (path) => `the outbox could not be opened: ${path}/file/here/outbox.db (ENOTDIR)`
  },
  {
    name: "where a directory is",
    make: (path) => {
      Fs.mkdirSync(join(path, "outbox.db"))
      return { directory: path }
    },
    message: (path) => `the outbox could not be opened: ${path}/outbox.db is a directory`
  },
  {
    name: "behind a symbolic link",
    make: (path) => {
      Fs.writeFileSync(join(path, "elsewhere"), "")
      Fs.symlinkSync(join(path, "elsewhere"), join(path, "outbox.db"))
      return { directory: path }
    },
    message: (path) => `the outbox could not be opened: ${path}/outbox.db is a symbolic link`
  },
  {
    name: "behind a symbolic link to nowhere",
    make: (path) => {
      Fs.symlinkSync(join(path, "elsewhere"), join(path, "outbox.db"))
      return { directory: path }
    },
    message: (path) => `the outbox could not be opened: ${path}/outbox.db is a symbolic link`
  },
  {
    name: "where a pipe is, which is not waited for",
    make: (path) => {
      execFileSync("mkfifo", [join(path, "outbox.db")])
      return { directory: path }
    },
    message: (path) => `the outbox could not be opened: ${path}/outbox.db is not a file`
  },
  {
    name: "in a file that is nobody's outbox: its lock",
    make: (path) => {
      Fs.writeFileSync(join(path, "outbox.db-lock"), "something else".repeat(100))
      return { directory: path }
    },
    message: (path) => `the outbox could not be opened: ${path}/outbox.db-lock (SQLITE 26)`
  }
]

describe("a place where the outbox can't be", () => {
  for (const { make, message: said, name } of places) {
    it.effect(`P13 ${name}: fails at the start, typed, and says where`, () =>
      Effect.gen(function* () {
        const path = yield* directory
        const options = make(path)
        const before = Fs.readdirSync(path).sort()
        const error = yield* failsToOpen(options)
        assert.strictEqual(error.message, said(path))
        assert.deepStrictEqual(
          Fs.readdirSync(path)
            .filter((name) => name !== "outbox.db-lock")
            .sort(),
          before.filter((name) => name !== "outbox.db-lock")
        )
      })
    )

    it.effect(`P13 ${name}: with a fallback messages wait in memory, and an error says so`, () =>
      Effect.gen(function* () {
        const path = yield* directory
        const client = yield* open({ ...make(path), fallback: "memory" })
        assert.deepStrictEqual(client.errors(), [
          `${said(path)}: messages wait in memory, and are lost when the process ends`
        ])
        yield* offerAll(client, 1, 3)
        assert.deepStrictEqual(yield* drain(client, 3), numbered(1, 3))
        assert.strictEqual((yield* Effect.flip(client.operations.stats)).message, said(path))
        yield* obeysTheLaw(client)
      })
    )
  }

  for (const [name, make, code] of [
    [
      "in a directory that is read-only",
      (path: string) => {
        Fs.chmodSync(path, 0o555)
        return { directory: path }
      },
      "EACCES"
    ],
    [
      "in a directory that can't be made",
      (path: string) => {
        Fs.chmodSync(path, 0o555)
        return { directory: join(path, "here") }
      },
      "EACCES"
    ],
    [
      "in a file that is read-only",
      (path: string) => {
        Fs.chmodSync(path, 0o777)
        inFile(join(path, "outbox.db"), (database) => database.exec("PRAGMA journal_mode = WAL"))
        Fs.chmodSync(join(path, "outbox.db"), 0o444)
        return { directory: path }
      },
      "EACCES"
    ]
  ] as const) {
    it.live(`P13 ${name}, for a user who is not root: fails at the start, typed, with the code`, () =>
      Effect.gen(function* () {
        const path = yield* directory
        const options = make(path)
        const { error } = yield* asNobody(options)
        assert.deepStrictEqual([error?._tag, error?.code], ["OutboxUnavailable", code])
        assert.include(error?.message, path)
        const fallen = yield* asNobody({ ...options, fallback: "memory" })
        assert.deepStrictEqual(fallen, {
          errors: [`${error?.message}: messages wait in memory, and are lost when the process ends`],
          pending: 1
        })
      })
    )
  }
})

/** Opens an outbox in a process that is not root, and offers it one message. */
const asNobody = (options: SqlOutbox.SqliteOptions) =>
  Effect.promise(async () => {
    const program = fileURLToPath(new URL("programs/opensOutbox.ts", import.meta.url))
    const { stdout } = await promisify(execFile)(process.execPath, [program, JSON.stringify(options)])
    return JSON.parse(stdout) as {
      readonly error?: { readonly _tag: string; readonly code?: string; readonly message: string }
      readonly errors?: ReadonlyArray<string>
      readonly pending?: number
    }
  })

describe("who may read it", () => {
  const files = ["outbox.db", "outbox.db-lock", "outbox.db-reserve", "outbox.db-shm", "outbox.db-wal"]

  it.effect("P13 a directory that is missing is made, for this user only; so is every file", () =>
    Effect.gen(function* () {
      const path = join(yield* directory, "not", "there")
      const client = yield* open({ directory: path })
      yield* offerAll(client, 1, 1)
      assert.deepStrictEqual([modeOf(join(path, "..")), modeOf(path)], ["700", "700"])
      assert.deepStrictEqual(Fs.readdirSync(path).sort(), files)
      for (const name of files) assert.strictEqual(modeOf(join(path, name)), "600", name)
    })
  )

  it.effect("a file that others could read is this user's only from now on; the directory is left as it is", () =>
    Effect.gen(function* () {
      const path = yield* directory
      Fs.chmodSync(path, 0o755)
      const first = yield* open({ directory: path })
      yield* offerAll(first, 1, 1)
      for (const name of files) Fs.chmodSync(join(path, name), 0o644)
      const client = yield* open({ directory: path })
      for (const name of files) {
        if (name !== "outbox.db-lock") assert.strictEqual(modeOf(join(path, name)), "600", name)
      }
      assert.strictEqual(modeOf(path), "755")
      assert.deepStrictEqual(yield* drain(client, 1), numbered(1, 1))
    })
  )
})

// ---------------------------------------------------------------------------------------------------------------------
// Room
// ---------------------------------------------------------------------------------------------------------------------

/** Offers until there is no room; answers how many were accepted. */
const fill = Effect.fnUntraced(function* ({ outbox }: Client, from: number, bytes: number) {
  for (let n = from; ; n++) {
    const exit = yield* Effect.exit(outbox.offer(message(`event ${n}`, bytes)))
    if (Exit.isSuccess(exit)) continue
    const error = Option.getOrThrow(Exit.findErrorOption(exit))
    assert.strictEqual(error.message, "the outbox is full (disk)")
    return n - from
  }
})

describe("a file that is as large as it may be", () => {
  it.effect("P10 refuses calls, typed, delivers what waits, and then takes calls again", () =>
    Effect.gen(function* () {
      const file = join(yield* directory, "outbox.db")
      const client = yield* open({ file, maxFileBytes: 1024 * 1024 })
      const accepted = yield* fill(client, 1, 8_000)
      assert.isAtLeast(accepted, 50)
      // Nothing else breaks: it can be looked at, and another client can open it.
      assert.strictEqual((yield* client.operations.stats).pending, accepted)
      yield* Effect.scoped(open({ file, maxFileBytes: 1024 * 1024 }))
      assert.deepStrictEqual(yield* drain(client, accepted), numbered(1, accepted))
      assert.deepStrictEqual(idsIn(file), [])
      assert.strictEqual(yield* fill(client, 1_001, 8_000), accepted)
      assert.isAtMost(Fs.statSync(file).size, 1024 * 1024)
      assert.deepStrictEqual(client.errors(), [])
      yield* obeysTheLaw(client)
    })
  )

  it.effect("P10 calls that are refused together leave nothing behind", () =>
    Effect.gen(function* () {
      const file = join(yield* directory, "outbox.db")
      const client = yield* open({ file, maxFileBytes: 1024 * 1024 })
      const exits = yield* Effect.forEach(
        messages(1, 1_000),
        ({ messageId }) => Effect.exit(client.outbox.offer(message(messageId.slice("id of ".length), 8_000))),
        { concurrency: "unbounded" }
      )
      const accepted = exits.flatMap((exit, n) => (Exit.isSuccess(exit) ? [`event ${n + 1}`] : []))
      assert.isAtMost(accepted.length, 130)
      assert.deepStrictEqual(idsIn(file), accepted)
      assert.strictEqual((yield* client.outbox.counts).pending, accepted.length)
    })
  )

  it.effect("P10 what has no room as a dead letter is not sent again, and becomes one when there is room", () =>
    Effect.gen(function* () {
      const file = join(yield* directory, "outbox.db")
      const client = yield* open({ file, maxFileBytes: 1024 * 1024 })
      yield* fill(client, 1, 8_000)
      // The list of dead letters has pages of its own.
      const rejected = yield* client.outbox.take(20)
      const error = new DeliveryError({ reason: "rejected", status: 400, attempts: 1 })
      yield* client.outbox.settle(Outcome.Outcome.Dropped({ messages: rejected, error }))
      const rest = yield* client.outbox.take(1_000)
      assert.deepStrictEqual(eventsOf(rest)[0], "event 21")
      yield* client.outbox.settle(delivered(rest))
      yield* pass("2 seconds")
      assert.strictEqual((yield* client.operations.stats).dead, 20)
      assert.deepStrictEqual(idsIn(file), [])
      yield* obeysTheLaw(client)
    })
  )

  it.effect("P10 gives back what is no longer used: the file shrinks", () =>
    Effect.gen(function* () {
      const file = join(yield* directory, "outbox.db")
      const client = yield* open({ file })
      yield* Effect.forEach(
        messages(1, 400),
        ({ messageId }) => client.outbox.offer(message(messageId.slice("id of ".length), 8_000)),
        { concurrency: "unbounded", discard: true }
      )
      yield* drain(client, 400)
      settleFile(file)
      const large = Fs.statSync(file).size
      assert.isAtLeast(large, 3 * 1024 * 1024)
      yield* pass("10 minutes")
      inFile(file, (database) => database.exec("PRAGMA wal_checkpoint(TRUNCATE)"))
      assert.isAtMost(Fs.statSync(file).size, large / 4)
    })
  )
})

/** A disk of its own, of so many megabytes; `undefined` where the machine lets nobody have one. */
const smallDisk = (megabytes: number) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const path = Fs.mkdtempSync(join(tmpdir(), "effect-analytics-disk-"))
      try {
        execFileSync("mount", ["-t", "tmpfs", "-o", `size=${megabytes}m`, "tmpfs", path], { stdio: "ignore" })
        return path
      } catch {
        Fs.rmdirSync(path)
        return undefined
      }
    }),
    (path) =>
      Effect.sync(() => {
        if (path === undefined) return
        execFileSync("umount", ["--lazy", path])
        Fs.rmdirSync(path)
      })
  )

const canMount = Effect.runSync(Effect.scoped(Effect.map(smallDisk(1), (path) => path !== undefined)))
if (!canMount) console.warn("P10 a disk that is full: NOT SHOWN HERE, since only root may mount one")

describe("a disk that is full", () => {
  it.effect.runIf(canMount)("P10 refuses calls, typed, removes what is delivered, and then takes calls again", () =>
    Effect.gen(function* () {
      const path = yield* smallDisk(24)
      assert(path !== undefined)
      const client = yield* open({ directory: path })
      let accepted = 0
      // Until its log is full, and once more with the room that the log had.
      for (let more = -1; more !== 0; accepted += more) more = yield* fill(client, accepted + 1, 8_000)
      assert.isAtLeast(accepted, 500)
      assert.deepStrictEqual(yield* drain(client, accepted), numbered(1, accepted))
      yield* pass("5 seconds")
      assert.strictEqual((yield* client.operations.stats).pending, 0)
      assert.deepStrictEqual(idsIn(join(path, "outbox.db")), [])
      yield* pass("10 minutes")
      yield* offerAll(client, 10_001, 10_010)
      assert.deepStrictEqual(yield* drain(client, 10), numbered(10_001, 10_010))
      yield* obeysTheLaw(client)
    })
  )

  it.effect.runIf(canMount)(
    "P10 filled by somebody else: what is delivered is not sent again, here or after a restart",
    () =>
      Effect.gen(function* () {
        const path = yield* smallDisk(24)
        assert(path !== undefined)
        const settled = yield* Effect.scoped(
          Effect.gen(function* () {
            const client = yield* open({ directory: path })
            yield* Effect.forEach(messages(1, 500), (message) => client.outbox.offer(message), {
              concurrency: "unbounded",
              discard: true
            })
            const handle = Fs.openSync(join(path, "of somebody else"), "w")
            assert.throws(() => {
              for (;;) Fs.writeSync(handle, new Uint8Array(4_096))
            }, /ENOSPC/)
            Fs.closeSync(handle)
            const draining = yield* Effect.forkChild(drain(client, 300))
            yield* elapse("20 seconds", "1 second")
            return yield* Fiber.join(draining)
          })
        )
        assert.deepStrictEqual(settled, numbered(1, 300))
        const client = yield* open({ directory: path })
        assert.deepStrictEqual(yield* drain(client, 200), numbered(301, 500))
      })
  )
})

describe("a transaction that SQLite ends by itself", () => {
  it.effect("P10 since the file is full: what follows in it is refused, and nothing of it is there", () =>
    Effect.gen(function* () {
      const database = yield* Effect.acquireRelease(
        Effect.sync(() => new DatabaseSync(":memory:")),
        (one) => Effect.sync(() => one.close())
      )
      database.exec("CREATE TABLE t (a TEXT)")
      database.exec("PRAGMA max_page_count = 4")
      const codes: Array<ErrorCode> = []
      const sql = yield* SqliteClient.make({ open: () => database, failed: (code) => codes.push(code) })
      const exit = yield* Effect.exit(
        sql.withTransaction(
          Effect.gen(function* () {
            yield* sql`INSERT INTO t VALUES ('before')`
            yield* Effect.ignore(sql`INSERT INTO t VALUES (${"x".repeat(50_000)})`)
            assert.isFalse(database.isTransaction)
            yield* Effect.ignore(sql`INSERT INTO t VALUES ('after')`)
          })
        )
      )
      assert.isTrue(Exit.isFailure(exit))
      assert.deepStrictEqual(codes.slice(0, 1), [13])
      assert.deepStrictEqual(yield* sql`SELECT a FROM t`, [])
      // The next one has nothing to do with it.
      yield* sql.withTransaction(sql`INSERT INTO t VALUES ('next')`)
      assert.deepStrictEqual(yield* sql`SELECT a FROM t`, [{ a: "next" }])
    })
  )
})

// ---------------------------------------------------------------------------------------------------------------------
// Locks
// ---------------------------------------------------------------------------------------------------------------------

/** Another process that holds the lock of a file until it is told to let go. */
const locked = (file: string) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const child = fork(fileURLToPath(new URL("programs/locks.ts", import.meta.url)), [file])
      await once(child, "message")
      return {
        release: async () => {
          child.send("release")
          await once(child, "exit")
        },
        end: () => child.kill("SIGKILL")
      }
    }),
    ({ end }) => Effect.sync(end)
  )

/** Turns of the event loop: what is blocked has none. */
const turns = (count: number) =>
  Effect.promise(async () => {
    for (let n = 0; n < count; n++) await new Promise((resolve) => setTimeout(resolve, 1))
  })

describe("a file that another process has locked", () => {
  it.live("P9 is waited for while everything else goes on, and the call is accepted when it is free", () =>
    Effect.gen(function* () {
      const file = join(yield* directory, "outbox.db")
      const client = yield* open({ file, commitTimeout: "1 minute" })
      const lock = yield* locked(file)
      const offers = yield* Effect.forkChild(
        Effect.forEach(messages(1, 10), (message) => client.outbox.offer(message), {
          concurrency: "unbounded",
          discard: true
        })
      )
      // A driver that waits inside of SQLite, for seconds at a time, would not be here before the test gives up.
      yield* turns(100)
      assert.isUndefined(offers.pollUnsafe())
      yield* Effect.promise(lock.release)
      yield* Fiber.join(offers)
      assert.deepStrictEqual(idsIn(file), numbered(1, 10))
    })
  )

  it.live("P9 for longer than commitTimeout: the call fails, typed, and is not there; the next one is accepted", () =>
    Effect.gen(function* () {
      const file = join(yield* directory, "outbox.db")
      const client = yield* open({ file, commitTimeout: "100 millis" })
      const lock = yield* locked(file)
      const error = yield* Effect.flip(client.outbox.offer(message("event 1")))
      assert.deepStrictEqual(
        [error._tag, error.message],
        ["OutboxUnavailable", "the outbox did not answer within 100ms"]
      )
      yield* Effect.promise(lock.release)
      yield* offerAll(client, 2, 2)
      assert.deepStrictEqual(idsIn(file), numbered(2, 2))
      yield* obeysTheLaw(client)
    })
  )

  it.live("P9 at the start: it is waited for as well, or fails typed", () =>
    Effect.gen(function* () {
      const file = join(yield* directory, "outbox.db")
      inFile(file, (database) => database.exec("PRAGMA journal_mode = WAL"))
      const lock = yield* locked(file)
      const error = yield* failsToOpen({ file, commitTimeout: "100 millis" })
      assert.strictEqual(error.message, "the outbox did not answer within 100ms")
      const opening = yield* Effect.forkChild(open({ file, commitTimeout: "1 minute" }))
      yield* turns(50)
      assert.isUndefined(opening.pollUnsafe())
      yield* Effect.promise(lock.release)
      yield* offerAll(yield* Fiber.join(opening), 1, 1)
      assert.deepStrictEqual(idsIn(file), numbered(1, 1))
    })
  )
})

// ---------------------------------------------------------------------------------------------------------------------
// Settings
// ---------------------------------------------------------------------------------------------------------------------

const canTrace = spawnSync("strace", ["-f", "-e", "trace=fsync", process.execPath, "--version"]).status === 0
if (!canTrace) console.warn("P4 the disk is asked to keep every commit: NOT SHOWN HERE, since there is no strace")

describe("what a commit survives", () => {
  for (const [synchronous, level] of [
    [undefined, 2],
    ["full", 2],
    ["normal", 1]
  ] as const) {
    it.effect(`P4 synchronous ${synchronous ?? "by default"} arrives at the connection that writes`, () =>
      Effect.gen(function* () {
        const file = join(yield* directory, "outbox.db")
        const exec = vi.spyOn(DatabaseSync.prototype, "exec")
        const client = yield* open({ file, synchronous })
        yield* offerAll(client, 1, 1)
        const used = exec.mock.contexts as ReadonlyArray<DatabaseSync>
        const connections = new Set(used.filter((one) => one.isOpen && one.location() === file))
        const levels = Array.from(connections, (one) => ({ ...one.prepare("PRAGMA synchronous").get() }))
        assert.deepStrictEqual(levels, [{ synchronous: level }])
      })
    )
  }

  it.live.runIf(canTrace)("P4 the disk is asked to keep every commit with full, and not with normal", () =>
    Effect.gen(function* () {
      const path = yield* directory
      const commits = 40
      const syncs = (synchronous: string) =>
        Effect.promise(async () => {
          const program = fileURLToPath(new URL("programs/commits.ts", import.meta.url))
          const options = JSON.stringify({ directory: join(path, synchronous), synchronous })
          const log = join(path, `${synchronous}.strace`)
          const traced = ["-f", "-y", "-e", "trace=fsync,fdatasync", "-o", log, process.execPath, program]
          await promisify(execFile)("strace", [...traced, options, String(commits)])
          return Fs.readFileSync(log, "utf8")
            .split("\n")
            .filter((line) => /sync\(.*outbox\.db/.test(line)).length
        })
      assert.isAtLeast(yield* syncs("full"), commits)
      assert.isBelow(yield* syncs("normal"), commits / 2)
    })
  )
})

describe("a setting that can't work", () => {
  const cases: ReadonlyArray<readonly [string, string, SqlOutbox.SqliteOptions & SqlOutbox.Options]> = [
    ["directory", "must be given, or file: one of the two", {}],
    ["directory", "must be given, or file: one of the two", { directory: "/tmp/here", file: "/tmp/here/outbox.db" }],
    ["directory", "must be a path", { directory: " " }],
    ["file", "must be a path", { file: "" }],
    ["file", "must be a path", { file: "/tmp/out\0box.db" }],
    ["synchronous", 'must be one of "full", "normal"', { directory: "/tmp", synchronous: "off" as "full" }],
    ["maxFileBytes", "must be a whole number from 1048576", { directory: "/tmp", maxFileBytes: 1_000 }],
    ["table", "must be lower-case letters", { directory: "/tmp", table: "outbox; DROP TABLE users" }],
    ["table", "must be lower-case letters", { directory: "/tmp", table: "Outbox" }],
    ["table", "must be lower-case letters", { directory: "/tmp", table: "x".repeat(41) }],
    ["maxInFlight", "must be a whole number from 1 to 1000", { directory: "/tmp", maxInFlight: 0 }],
    ["maxInFlight", "must be a whole number from 1 to 1000", { directory: "/tmp", maxInFlight: 1_001 }],
    ["maxQueueSize", "must be a whole number from 1", { directory: "/tmp", maxQueueSize: 0 }],
    ["maxQueueBytes", "must be a whole number from 32768", { directory: "/tmp", maxQueueBytes: 100 }],
    ["lease", "must be", { directory: "/tmp", lease: 1 }],
    ["pollInterval", "must be", { directory: "/tmp", pollInterval: 0 }],
    ["commitTimeout", "must be", { directory: "/tmp", commitTimeout: 0 }],
    ["maxAge", "must be", { directory: "/tmp", maxAge: 0 }],
    ["maxDead", "must be a whole number from 0", { directory: "/tmp", maxDead: -1 }],
    ["maxDeadAge", "must be", { directory: "/tmp", maxDeadAge: "for ever" as "1 day" }],
    ["overflow", "must be", { directory: "/tmp", overflow: "drop-newest" as "wait" }],
    ["fallback", 'must be one of "none", "memory"', { directory: "/tmp", fallback: "disk" as "memory" }]
  ]
  for (const [setting, problem, options] of cases) {
    it.effect(`fails by its name, and makes no file: ${JSON.stringify(options)}`, () =>
      Effect.gen(function* () {
        const error = yield* invalidSettingOf(open(options))
        assert.strictEqual(error.setting, setting)
        assert.include(error.problem, problem)
        assert.isFalse(Fs.existsSync("/tmp/outbox.db"))
      })
    )
  }
})
