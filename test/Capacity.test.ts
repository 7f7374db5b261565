import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { type Bound, Capacity } from "../src/Outbox/Capacity.ts"
import { message } from "./support.ts"

const bytes = 1_000
const one = message("one", bytes)

/** A bound of three messages, and of the bytes of ten. */
const make = (bound: Partial<Bound> = {}) => new Capacity({ maxQueueSize: 3, maxQueueBytes: 10 * bytes, ...bound })

/** Waits for room, and keeps what happens to whom. */
const waiting = (capacity: Capacity) => {
  const ends: Array<string> = []
  const wait = (name: string, size = bytes) => {
    const waiter = message(name, size)
    const admit = () => {
      capacity.add(1, size)
      ends.push(`${name} is admitted`)
    }
    const refused = Effect.sync(() => void ends.push(`${name} is refused`))
    const fiber = Effect.runFork(Effect.catch(capacity.awaitRoom(waiter, admit), () => refused))
    return () => fiber.interruptUnsafe()
  }
  return { ends, wait }
}

describe("Capacity: the bound", () => {
  it("is reached by messages, and says by how many it would be exceeded", () => {
    const capacity = make()
    capacity.add(2, 2 * bytes)
    assert.isUndefined(capacity.excess(one))
    capacity.add(1, bytes)
    assert.deepStrictEqual(capacity.excess(one), { bound: "maxQueueSize", limit: 3, count: 1 })
    capacity.set(5, 0)
    assert.deepStrictEqual(capacity.excess(one), { bound: "maxQueueSize", limit: 3, count: 3 })
  })

  it("is reached by bytes, to the byte", () => {
    const capacity = make()
    capacity.add(1, 9 * bytes)
    assert.isUndefined(capacity.excess(one))
    capacity.add(0, 1)
    assert.deepStrictEqual(capacity.excess(one), { bound: "maxQueueBytes", limit: 10 * bytes, count: 1 })
  })

  it("counts messages that are being written, until they are written or can't be, once", () => {
    const capacity = make()
    const releases = [capacity.reserve(one), capacity.reserve(one), capacity.reserve(one)]
    assert.strictEqual(capacity.excess(one)?.bound, "maxQueueSize")
    releases[0]?.()
    releases[0]?.()
    assert.isUndefined(capacity.excess(one))
    capacity.add(1, bytes)
    assert.strictEqual(capacity.excess(one)?.count, 1)
    for (const release of releases) release()
    assert.strictEqual(capacity.excess(message("large", 9 * bytes)), undefined)
    assert.strictEqual(capacity.excess(message("larger", 9 * bytes + 1))?.bound, "maxQueueBytes")
  })

  it("counts the bytes of messages that are being written", () => {
    const capacity = make({ maxQueueBytes: 2 * bytes })
    const release = capacity.reserve(one)
    assert.isUndefined(capacity.excess(one))
    assert.strictEqual(capacity.excess(message("larger", bytes + 1))?.bound, "maxQueueBytes")
    release()
    assert.isUndefined(capacity.excess(message("large", 2 * bytes)))
  })
})

describe("Capacity: what is removed", () => {
  it("makes room, and never more than there was", () => {
    const capacity = make()
    capacity.add(3, 3 * bytes)
    capacity.remove(1, bytes)
    assert.deepStrictEqual([capacity.count, capacity.bytes], [2, 2 * bytes])
    capacity.remove(7, 7 * bytes)
    assert.strictEqual(capacity.count, 0)
    assert.strictEqual(capacity.bytes, 0)
  })

  it("may be removed before it is added, while it is being written", () => {
    const capacity = make()
    const release = capacity.reserve(one)
    capacity.remove(2, 2 * bytes)
    assert.deepStrictEqual([capacity.count, capacity.bytes], [-1, -bytes])
    capacity.add(1, bytes)
    release()
    assert.deepStrictEqual([capacity.count, capacity.bytes], [0, 0])
  })

  it("is a change, as what is added is; a count is none", () => {
    const capacity = make()
    capacity.add(1, bytes)
    capacity.remove(1, bytes)
    capacity.set(1, bytes)
    assert.strictEqual(capacity.changes, 2)
    assert.deepStrictEqual([capacity.count, capacity.bytes], [1, bytes])
  })
})

describe("Capacity: calls that wait for room", () => {
  const ways: ReadonlyArray<readonly [string, (capacity: Capacity) => () => void]> = [
    [
      "a message is removed",
      (capacity) => {
        capacity.add(3, 3 * bytes)
        return () => capacity.remove(1, bytes)
      }
    ],
    [
      "a count shows that there is some",
      (capacity) => {
        capacity.add(3, 3 * bytes)
        return () => capacity.set(2, 2 * bytes)
      }
    ],
    [
      "a message could not be written",
      (capacity) => {
        capacity.add(2, 2 * bytes)
        return capacity.reserve(one)
      }
    ]
  ]

  it.each(ways)("are admitted in their order, as many as there is room for: %s", (_, fill) => {
    const capacity = make()
    const { ends, wait } = waiting(capacity)
    const makeRoom = fill(capacity)
    wait("first")
    wait("second")
    assert.isTrue(capacity.hasWaiters)
    assert.deepStrictEqual(ends, [])
    makeRoom()
    assert.deepStrictEqual(ends, ["first is admitted"])
    assert.isTrue(capacity.hasWaiters)
    capacity.remove(1, bytes)
    assert.deepStrictEqual(ends, ["first is admitted", "second is admitted"])
    assert.isFalse(capacity.hasWaiters)
    capacity.remove(1, bytes)
    assert.strictEqual(ends.length, 2)
  })

  it("wait behind a larger one, and go on when it gives up", () => {
    const capacity = make()
    const { ends, wait } = waiting(capacity)
    capacity.add(2, 2 * bytes)
    const giveUp = wait("large", 9 * bytes)
    wait("small")
    capacity.remove(0, 0)
    assert.deepStrictEqual(ends, [])
    giveUp()
    assert.deepStrictEqual(ends, ["small is admitted"])
    assert.isFalse(capacity.hasWaiters)
  })

  it("are refused together, and then wait no more", () => {
    const capacity = make()
    const { ends, wait } = waiting(capacity)
    capacity.add(3, 3 * bytes)
    wait("first")
    wait("second")
    capacity.refuseWaiters()
    assert.isFalse(capacity.hasWaiters)
    capacity.remove(3, 3 * bytes)
    assert.deepStrictEqual(ends, ["first is refused", "second is refused"])
  })
})
