/** The test clients under fake timers, each with its full set: where no delay is scripted, nothing waits for a timer. */
import { mock } from "node:test"
import { afterEach, assert, describe, it, vi } from "@effect/vitest"
import { ModernFakeTimers } from "@jest/fake-timers"
import * as Sinon from "@sinonjs/fake-timers"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Analytics from "../src/Analytics.ts"
import * as AnalyticsTest from "../src/AnalyticsTest.ts"
import * as Observer from "../src/Observer.ts"
import { createTestAnalytics } from "../src/plainTest.ts"

// All that vitest can replace; by default it leaves the last two alone.
const vitestTimers = [
  ...(["setTimeout", "clearTimeout", "setInterval", "clearInterval", "setImmediate", "clearImmediate"] as const),
  ...(["Date", "performance", "queueMicrotask", "nextTick"] as const)
] as const

/** Makes the timers of this process fake, until the function is called that is the answer. */
const kinds: Readonly<Record<string, () => () => void>> = {
  vitest: () => {
    vi.useFakeTimers()
    return () => void vi.useRealTimers()
  },
  "vitest, all of them": () => {
    vi.useFakeTimers({ toFake: [...vitestTimers] })
    return () => void vi.useRealTimers()
  },
  sinon: () => {
    const clock = Sinon.install()
    return () => clock.uninstall()
  },
  "node:test": () => {
    mock.timers.enable()
    return () => mock.timers.reset()
  },
  jest: () => {
    const timers = new ModernFakeTimers({ config: { fakeTimers: {} } as never, global: globalThis })
    timers.useFakeTimers()
    return () => timers.useRealTimers()
  }
}

let restore = () => {}
const useFakeTimers = (kind: string) => {
  restore = kinds[kind]?.() ?? assert.fail(kind)
}
afterEach(() => restore())

describe.each(Object.keys(kinds))("fake timers of %s", (kind) => {
  it.each([{}, { batchSize: 2, maxInFlight: 3 }, { flushInterval: "1 hour" } as const])(
    "createTestAnalytics(%j) delivers, flushes and closes",
    async (settings) => {
      useFakeTimers(kind)
      const analytics = createTestAnalytics({ ...settings, onError: () => {} })
      for (let n = 0; n < 5; n++) analytics.track({ userId: "u1", event: "Signed Up" })
      const flushed = await analytics.flush()
      analytics.respond(400)
      analytics.track({ userId: "u1", event: "Refused" })
      const answers = [flushed, await analytics.close(), analytics.sent.length]
      assert.deepStrictEqual(answers, [
        { delivered: 5, dropped: 0, rejected: 0, pending: 0 },
        { delivered: 0, dropped: 1, rejected: 0, pending: 0 },
        5
      ])
    }
  )

  it.each([{}, { batchSize: 2, maxInFlight: 3 }, { flushInterval: "1 hour" } as const])(
    "AnalyticsTest.layer(%j) delivers, flushes and closes",
    async (options) => {
      useFakeTimers(kind)
      const program = Effect.gen(function* () {
        const sent = yield* AnalyticsTest.Sent
        for (let n = 0; n < 5; n++) yield* Analytics.track({ userId: "u1", event: "Signed Up" })
        const flushed = yield* Analytics.flush
        yield* sent.respond(400)
        yield* Analytics.track({ userId: "u1", event: "Refused" })
        return [flushed, yield* Analytics.closeWithin("1 second"), (yield* sent.messages).length]
      })
      const answers = await Effect.runPromise(
        Effect.provide(
          program,
          Layer.provide(
            AnalyticsTest.layer(options),
            Observer.layer(() => Effect.void)
          )
        )
      )
      assert.deepStrictEqual(answers, [
        { delivered: 5, dropped: 0, rejected: 0, pending: 0 },
        { delivered: 0, dropped: 1, rejected: 0, pending: 0 },
        5
      ])
    }
  )
})
