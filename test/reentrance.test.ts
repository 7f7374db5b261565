/**
 * Callbacks of a client that call the client again: each chain ends after a bounded number of calls, and every call is counted
 * once.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Analytics from "../src/Analytics.ts"
import * as AnalyticsTest from "../src/AnalyticsTest.ts"
import * as Observer from "../src/Observer.ts"
import type * as Outcome from "../src/Outcome.ts"
import type { Log, Settings } from "../src/plain.ts"
import { createTestAnalytics, type TestClient } from "../src/plainTest.ts"
import { breathe } from "./support.ts"

const valid = { userId: "u1", event: "Callback" }
const invalid = { userId: "u1", event: "" }

const lawful = ({ delivered, dropped, offered, pending, rejected }: Outcome.Stats) => {
  assert.strictEqual(pending, 0)
  assert.strictEqual(offered, delivered + dropped + rejected)
}

describe("a plain client", () => {
  /** What starts the chain: an outcome that callbacks see. */
  const starts: Readonly<
    Record<string, { readonly settings?: Partial<Settings>; readonly start: (client: TestClient) => void }>
  > = {
    "a refused call": { start: (client) => void client.track(invalid) },
    "a dropped message": {
      start: (client) => {
        client.respond(...Array(50).fill(400))
        client.track({ userId: "u1", event: "Dropped" })
      }
    },
    "a full queue": {
      settings: { maxQueueSize: 1 },
      start: (client) => {
        client.respond("never")
        client.track({ userId: "u1", event: "First" })
        client.track({ userId: "u1", event: "Second" })
      }
    },
    "an evicted message": {
      settings: { maxQueueSize: 1, overflow: "drop-oldest" },
      start: (client) => {
        client.track({ userId: "u1", event: "First" })
        client.track({ userId: "u1", event: "Second" })
      }
    },
    "a call that transform drops": {
      settings: { transform: () => undefined as never },
      start: (client) => void client.track({ userId: "u1", event: "Transformed" })
    }
  }

  /** How a callback calls the client again. */
  const ways: Readonly<Record<string, (again: () => void) => () => unknown>> = {
    "at once": (again) => again,
    "after an await": (again) => async () => {
      await undefined
      again()
    },
    "after a timer": (again) => async () => {
      await new Promise((resolve) => setTimeout(resolve, 1))
      again()
    }
  }

  const cases = Object.keys(starts).flatMap((start) =>
    Object.keys(ways).flatMap((way) =>
      (["onError", "onOutcome"] as const).flatMap((callback) =>
        ([valid, invalid] as const).flatMap((call) =>
          (["", "confirmed "] as const).map((confirmed) => ({
            start,
            way,
            callback,
            call,
            kind: `${confirmed}${call === valid ? "valid" : "invalid"}`,
            make: (client: TestClient) =>
              confirmed === "" ? void client.track(call) : void client.confirmed.track(call)
          }))
        )
      )
    )
  )

  it.each(cases)("$start, and a $callback that makes a $kind call $way", async ({ callback, make, start, way }) => {
    const one = starts[start] ?? assert.fail(start)
    let callbacks = 0
    const client: TestClient = createTestAnalytics({
      strict: false,
      closeTimeout: 200,
      logger: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
      ...one.settings,
      [callback]: (ways[way] ?? assert.fail(way))(() => {
        callbacks++
        make(client)
      })
    })
    one.start(client)
    // Chains over timers and deliveries have time to go on, if they do.
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setTimeout(resolve, 1))
    await client.close({ timeout: 200 })
    // The start itself has two outcomes at most, and a call of a callback none that callbacks see.
    assert.isAtLeast(callbacks, 1)
    assert.isAtMost(callbacks, 3)
    lawful(client.stats())
    assert.isAtMost(client.stats().offered, 2 + callbacks)
  })

  it.each(["valid", "invalid"])("a transform that makes a %s call: that call is refused", async (then) => {
    let transforms = 0
    const errors: Array<string> = []
    const client: TestClient = createTestAnalytics({
      strict: false,
      onError: ({ message }) => errors.push(message),
      transform: (message) => {
        transforms++
        client.track(then === "valid" ? valid : invalid)
        return message
      }
    })
    assert.isTrue(client.track({ userId: "u1", event: "Signed Up" }))
    await client.close()
    assert.strictEqual(transforms, 1)
    assert.deepInclude(client.stats(), { offered: 2, delivered: 1, rejected: 1 })
    assert.match(errors[0] ?? "", /was made by transform/)
    assert.strictEqual(errors.length, 1)
  })

  it.each(["valid", "invalid"])("a logger that makes a %s call: that call is refused", async (then) => {
    let lines = 0
    const write = () => {
      lines++
      client.track(then === "valid" ? valid : invalid)
    }
    const logger: Log = { debug: write, info: write, warn: write, error: write }
    const client: TestClient = createTestAnalytics({ strict: false, logger })
    client.track(invalid)
    const before = lines
    assert.isAtLeast(before, 1)
    await client.close()
    assert.isAtMost(lines, 2 * before + 1)
    const stats = client.stats()
    lawful(stats)
    assert.deepInclude(stats, { offered: 1 + lines, rejected: 1 + lines })
  })

  it("an onError that flushes and closes the client", async () => {
    const client: TestClient = createTestAnalytics({
      strict: false,
      onError: async () => {
        await client.flush()
        await client.close()
      }
    })
    client.track({ userId: "u1", event: "Signed Up" })
    client.track(invalid)
    await client.close()
    assert.deepInclude(client.stats(), { offered: 2, delivered: 1, rejected: 1 })
  })
})

describe("an Effect client", () => {
  const observed = (again: Effect.Effect<unknown, unknown, Analytics.Analytics>) => {
    const outcomes: Array<Outcome.Outcome> = []
    let client: Analytics.Service | undefined
    const observer = Observer.layer((outcome) =>
      Effect.suspend(() => {
        outcomes.push(outcome)
        return client === undefined
          ? Effect.void
          : Effect.ignore(Effect.provideService(again, Analytics.Analytics, client))
      })
    )
    const remember = Layer.effectDiscard(
      Effect.map(Analytics.Analytics, (service) => {
        client = service
      })
    )
    return { outcomes, observer, remember }
  }

  const ways: Readonly<Record<string, Effect.Effect<unknown, unknown, Analytics.Analytics>>> = {
    "makes a valid call": Analytics.track(valid),
    "makes an invalid call": Analytics.track(invalid),
    "makes a call after a yield": Effect.andThen(Effect.yieldNow, Analytics.track(invalid)),
    "makes a call in a fiber of its own": Effect.forkDetach(Analytics.track(invalid))
  }

  it.effect.each(Object.entries(ways))("an observer that %s", ([, again]) => {
    const { observer, outcomes, remember } = observed(again)
    return Effect.gen(function* () {
      yield* Effect.ignore(Analytics.track(invalid))
      yield* Analytics.flush
      yield* (yield* AnalyticsTest.Sent).respond(400)
      yield* Analytics.track({ userId: "u1", event: "Dropped" })
      yield* breathe
      yield* Analytics.track({ userId: "u1", event: "Delivered" })
      yield* breathe
      yield* Analytics.flush
      // The three outcomes of the program's own calls.
      assert.deepStrictEqual(
        outcomes.map(({ _tag }) => _tag),
        ["Refused", "Dropped", "Delivered"]
      )
      const stats = yield* (yield* Analytics.Analytics).stats
      lawful(stats)
      assert.strictEqual(stats.offered, 6)
    }).pipe(Effect.provide(Layer.provideMerge(remember, Layer.provide(AnalyticsTest.layer(), observer))))
  })

  it.effect("a logger that makes calls", () => {
    let lines = 0
    let client: Analytics.Service | undefined
    const logger = Logger.layer([
      Logger.make<unknown, void>(() => {
        lines++
        if (client !== undefined) Effect.runFork(Effect.ignore(client.track(invalid)))
      })
    ])
    return Effect.gen(function* () {
      client = yield* Analytics.Analytics
      yield* Effect.ignore(Analytics.track(invalid))
      yield* breathe
      assert.strictEqual(lines, 1)
      const stats = yield* client.stats
      lawful(stats)
      assert.deepInclude(stats, { offered: 2, rejected: 2 })
    }).pipe(Effect.provide(Layer.provideMerge(AnalyticsTest.layer(), logger)))
  })
})
