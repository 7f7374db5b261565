import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"
import { OutboxUnavailable } from "../src/AnalyticsError.ts"
import * as GroupCommit from "../src/SqlOutbox/GroupCommit.ts"
import { type NewRow, toRow } from "../src/SqlOutbox/Tables.ts"
import { breathe, messages } from "./support.ts"

/** No loop may end here. */
const noDefect = () => Effect.die("a loop has ended")

const rows = (count: number): ReadonlyArray<NewRow> => messages(1, count).map((message) => toRow(message, 0, 0))

/** The messageId of a row. */
const idOf = ({ values }: NewRow) => values[2]

/** GroupCommit that take this long, and the sizes of their groups. */
const taking = Effect.fnUntraced(function* (millis: number) {
  const groups: Array<number> = []
  const commits = yield* GroupCommit.make(
    (group) =>
      Effect.andThen(
        Effect.sync(() => void groups.push(group.length)),
        millis === 0 ? Effect.void : Effect.sleep(millis)
      ),
    noDefect
  )
  return { commits, groups }
})

const addAll = (commits: GroupCommit.GroupCommit, some: ReadonlyArray<NewRow>) =>
  Effect.forEach(some, (entry) => Effect.forkChild(commits.add(entry)))

describe("a group commit", () => {
  it.effect("share a transaction between the calls of one turn, a hundred at the most", () =>
    Effect.gen(function* () {
      const { commits, groups } = yield* taking(0)
      const calls = yield* addAll(commits, rows(250))
      yield* Effect.forEach(calls, Fiber.join)
      assert.deepStrictEqual(groups, [100, 100, 50])
    })
  )

  it.effect("make nobody wait where a commit costs nothing", () =>
    Effect.gen(function* () {
      const { commits, groups } = yield* taking(0)
      for (const row of rows(3)) yield* commits.add(row)
      assert.deepStrictEqual(groups, [1, 1, 1])
    })
  )

  it.effect("keep a group open for as long as the last took, and for 5 ms at the most", () =>
    Effect.gen(function* () {
      const { commits, groups } = yield* taking(40)
      const [first, second, third] = rows(3)
      assert(first !== undefined && second !== undefined && third !== undefined)
      yield* Effect.forkChild(commits.add(first))
      yield* breathe
      yield* TestClock.adjust("40 millis")
      yield* breathe
      yield* addAll(commits, [second])
      yield* breathe
      yield* TestClock.adjust("4 millis")
      yield* breathe
      assert.deepStrictEqual(groups, [1])
      yield* addAll(commits, [third])
      yield* breathe
      yield* TestClock.adjust("1 millis")
      yield* breathe
      assert.deepStrictEqual(groups, [1, 2])
      // What is being written is written to its end.
      yield* TestClock.adjust("40 millis")
    })
  )

  it.effect("are idle once all calls before are committed, though the last of them is given up", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const commits = yield* GroupCommit.make(
        (group) =>
          Effect.andThen(
            Effect.sleep(50),
            Effect.sync(() => void log.push(`committed ${group.map(idOf)}`))
          ),
        noDefect
      )
      const [first, second, third] = rows(3)
      assert(first !== undefined && second !== undefined && third !== undefined)
      yield* addAll(commits, [first])
      yield* breathe
      const [, last] = yield* addAll(commits, [second, third])
      yield* breathe
      yield* Effect.forkChild(
        Effect.tap(
          commits.idle,
          Effect.sync(() => void log.push("idle"))
        )
      )
      yield* breathe
      yield* Fiber.interrupt(last as Fiber.Fiber<void, unknown>)
      yield* Effect.repeat(Effect.andThen(TestClock.adjust("10 millis"), breathe), { times: 20 })
      assert.deepStrictEqual(log, [`committed ${idOf(first)}`, `committed ${idOf(second)}`, "idle"])
    })
  )

  it.effect("close a group early when it is full", () =>
    Effect.gen(function* () {
      const { commits, groups } = yield* taking(40)
      yield* addAll(commits, rows(1))
      yield* breathe
      yield* TestClock.adjust("40 millis")
      yield* breathe
      yield* addAll(commits, rows(100))
      yield* breathe
      assert.deepStrictEqual(groups, [1, 100])
      yield* TestClock.adjust("40 millis")
    })
  )

  it.effect("answer each call when its group is written, and not before", () =>
    Effect.gen(function* () {
      const written = yield* Deferred.make<void>()
      const commits = yield* GroupCommit.make(() => Deferred.await(written), noDefect)
      const [call] = yield* addAll(commits, rows(1))
      assert(call !== undefined)
      yield* breathe
      assert.isUndefined(call.pollUnsafe())
      yield* Deferred.succeed(written, undefined)
      yield* Fiber.join(call)
    })
  )

  it.effect("fail every call of a group that could not be written, and go on with the next", () =>
    Effect.gen(function* () {
      let isDown = true
      const fault = new OutboxUnavailable({ problem: "is away" })
      const commits = yield* GroupCommit.make(() => (isDown ? Effect.fail(fault) : Effect.void), noDefect)
      const calls = yield* addAll(commits, rows(3))
      for (const call of calls) assert.strictEqual(yield* Effect.flip(Fiber.join(call)), fault)
      isDown = false
      yield* Effect.forEach(rows(1), commits.add)
    })
  )

  it.effect("leave out a call that is given up before its group is written; nobody waits for it", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const groups: Array<ReadonlyArray<string>> = []
      const commits = yield* GroupCommit.make(
        (group) =>
          Effect.andThen(
            Effect.sync(() => void groups.push(group.map((row) => String(idOf(row))))),
            Deferred.await(gate)
          ),
        noDefect
      )
      const [first, second] = rows(2)
      assert(first !== undefined && second !== undefined)
      const kept = yield* Effect.forkChild(commits.add(first))
      yield* breathe
      const given = yield* Effect.forkChild(commits.add(second))
      yield* breathe
      const idle = yield* Effect.forkChild(commits.idle)
      yield* breathe
      yield* Fiber.interrupt(given)
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(kept)
      yield* Fiber.join(idle)
      assert.deepStrictEqual(groups, [["id of event 1"]])
    })
  )

  it.effect("wait with one that is given up while it is written: the message may be there", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const commits = yield* GroupCommit.make(() => Deferred.await(gate), noDefect)
      const [call] = yield* addAll(commits, rows(1))
      assert(call !== undefined)
      yield* breathe
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(call))
      yield* breathe
      assert.isUndefined(interrupting.pollUnsafe())
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(interrupting)
    })
  )

  it.effect("fail every call, present and future, when their loop ends by a defect, and report it", () =>
    Effect.gen(function* () {
      const reports: Array<string> = []
      const clock = yield* Clock.Clock
      let isBroken = false
      const broken: Clock.Clock = {
        ...clock,
        currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe(),
        sleep: (duration) => clock.sleep(duration),
        monotonicTimeNanos: Effect.suspend(() => (isBroken ? Effect.die("no clock") : clock.monotonicTimeNanos))
      }
      const commits = yield* Effect.provideService(
        GroupCommit.make(
          () => Effect.void,
          (error) => Effect.sync(() => void reports.push(error.message))
        ),
        Clock.Clock,
        broken
      )
      yield* Effect.forEach(rows(1), commits.add)
      isBroken = true
      const calls = yield* addAll(commits, rows(3))
      const message = "the outbox is stopped: its group commit ended by a defect"
      for (const call of calls) assert.strictEqual((yield* Effect.flip(Fiber.join(call))).message, message)
      yield* commits.idle
      yield* breathe
      for (const entry of rows(1)) assert.strictEqual((yield* Effect.flip(commits.add(entry))).message, message)
      assert.deepStrictEqual(reports, [message])
    })
  )
})
