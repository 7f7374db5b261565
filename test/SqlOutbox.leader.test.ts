/** How long nobody delivers when the relay at work dies, hangs, or wakes up again; with the default settings. */
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import * as Database from "../src/SqlOutbox/Database.ts"
import * as DatabaseSources from "../src/SqlOutbox/DatabaseSources.ts"
import { Leader } from "../src/SqlOutbox/Leader.ts"
import { directory } from "./durable.ts"

const lease = 10_000

/** A relay on a file, whose heartbeat and looks are up to the test. */
const relayOn = Effect.fnUntraced(function* (
  path: string,
  name: string,
  mayBegin: Effect.Effect<boolean> = Effect.succeed(true)
) {
  const source = yield* DatabaseSources.ofFile({
    file: join(path, "outbox.db"),
    synchronous: "normal",
    maxFileBytes: 2 ** 30,
    startsAtOnce: false
  })
  const database = yield* Database.make(source, { table: "analytics_outbox", timeout: 5_000, pollInterval: 1_000 })
  let lost = 0
  const leader = new Leader(database, { name, lease, mayBegin, onLost: () => lost++ })
  yield* Effect.addFinalizer(() => Effect.ignore(leader.resign))
  return { database, leader, lost: () => lost }
})

/** Milliseconds until a relay that stands by is the leader. */
const untilLeader = (leader: Leader) =>
  Effect.gen(function* () {
    let waited = 0
    while (!(yield* leader.refresh)) {
      if (waited > 60_000) return yield* Effect.die("never")
      yield* TestClock.adjust(leader.interval)
      waited += leader.interval
    }
    return waited
  })

describe("the place of a relay", () => {
  it.effect("that dies is taken within 2 seconds", () =>
    Effect.gen(function* () {
      const path = yield* directory
      const dead = yield* relayOn(path, "dead")
      const process = yield* Scope.make()
      const { lock } = dead.database.source
      assert.isTrue(yield* Scope.provide(lock.hold(1), process))
      assert.isTrue(yield* dead.database.run(dead.database.tables.beginEpoch(0, 1, "dead")))
      const { leader } = yield* relayOn(path, "standby")
      assert.isFalse(yield* leader.refresh)
      yield* Scope.close(process, Exit.void)
      assert.isAtMost(leader.interval + (yield* untilLeader(leader)), 2_000)
    })
  )

  it.effect("that hangs, and keeps its lock, is taken within 15 seconds, and not before its lease is over", () =>
    Effect.gen(function* () {
      const path = yield* directory
      const hanging = yield* relayOn(path, "hanging")
      assert.isTrue(yield* hanging.leader.refresh)
      const standby = yield* relayOn(path, "standby")
      // Its last heartbeat comes right after a look: the longest time that it may take.
      assert.isFalse(yield* standby.leader.refresh)
      assert.isTrue(yield* hanging.leader.refresh)
      const waited = yield* untilLeader(standby.leader)
      assert.isAtLeast(waited, lease)
      assert.isAtMost(waited, 15_000)

      // It wakes up: before its next batch it finds out, and forgets what it has read.
      assert.isTrue(hanging.leader.isHere)
      assert.isFalse(yield* hanging.leader.confirm)
      assert.strictEqual(hanging.lost(), 1)
      assert.isTrue(yield* standby.leader.confirm)
    })
  )

  it.effect("that one took a moment ago is not taken by one that looked before", () =>
    Effect.gen(function* () {
      const path = yield* directory
      const first = yield* relayOn(path, "first")
      assert.isTrue(yield* first.leader.refresh)
      yield* first.leader.resign
      const quick = yield* relayOn(path, "quick")
      // It finds the place free, and another one is quicker.
      const slow = yield* relayOn(path, "slow", Effect.orDie(quick.leader.refresh))
      assert.isFalse(yield* slow.leader.refresh)
      const third = yield* relayOn(path, "third")
      assert.isFalse(yield* third.leader.refresh)
      assert.isTrue(yield* quick.leader.refresh)
    })
  )

  it.effect("that is at work is never taken", () =>
    Effect.gen(function* () {
      const path = yield* directory
      const { leader } = yield* relayOn(path, "at work")
      assert.isTrue(yield* leader.refresh)
      const standby = yield* relayOn(path, "standby")
      for (let seconds = 0; seconds < 120; seconds++) {
        if (seconds % 2 === 0) assert.isTrue(yield* leader.refresh)
        assert.isFalse(yield* standby.leader.refresh)
        yield* TestClock.adjust("1 second")
      }
    })
  )
})
