import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Stream from "effect/Stream"
import { afterEach, assert, beforeEach, describe, expectTypeOf, it } from "vitest"
import * as FakeServerModule from "../src/internal/FakeServer.ts"
import { FakeServer } from "../src/internal/FakeServer.ts"
import {
  type AsyncClient,
  createAnalytics,
  type DurableClient,
  type Failure,
  withContext,
  withIdentity
} from "../src/plain.ts"
import * as Planned from "../src/planned.ts"
import * as SqlOutbox from "../src/SqlOutbox.ts"
import { sqlite } from "../src/sqlite.ts"
import * as TrackingPlan from "../src/TrackingPlan.ts"
import { eventOf } from "./support.ts"

let directory = ""
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "effect-analytics-"))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

/** A wire that takes everything, and remembers it; or one that is down. */
const wiretap = (status = 200) => {
  const tap = new FakeServer()
  const fetch: typeof globalThis.fetch = async (_url, init) => {
    if (status !== 200) return new Response(null, { status })
    const answer = tap.answer(Object.fromEntries(new Headers(init?.headers)), await new Response(init?.body).text())
    return FakeServerModule.toResponse(answer as number)
  }
  return { tap, fetch, sent: () => tap.batches.flat() }
}

const durable = (wire: { readonly fetch: typeof globalThis.fetch }, failures: Array<Failure> = []) =>
  createAnalytics({
    writeKey: "test-write-key",
    fetch: wire.fetch,
    outbox: sqlite({ directory }),
    closeTimeout: 0,
    onError: (failure) => failures.push(failure)
  })

describe("createAnalytics with an outbox of SQLite", () => {
  it("answers a call when it is committed, and delivers it in another life if not in this one", async () => {
    const first = durable(wiretap(503))
    assert.isTrue(await first.track({ userId: "u1", event: "event 1" }))
    assert.isTrue(await first.identify({ userId: "u1", traits: { plan: "free" } }))
    assert.include(first.stats(), { offered: 2, pending: 2 })
    await first.close()
    const wire = wiretap()
    const second = durable(wire)
    assert.deepStrictEqual(await second.flush(), { delivered: 2, dropped: 0, rejected: 0, pending: 0 })
    assert.deepStrictEqual(
      wire.sent().map(({ type }) => type),
      ["track", "identify"]
    )
    await second.close()
  })

  it("reads the call at once, whatever is done to it before it is committed", async () => {
    const wire = wiretap()
    const analytics = durable(wire)
    const properties = { plan: "free" }
    const said = analytics.track({ userId: "u1", event: "event 1", properties })
    properties.plan = "changed"
    assert.isTrue(await said)
    await analytics.flush()
    assert.deepInclude(wire.sent()[0], { properties: { plan: "free" } })
    await analytics.close()
  })

  it("answers false to a call that is not valid, or too late, and tells why", async () => {
    const failures: Array<Failure> = []
    const analytics = durable(wiretap(), failures)
    assert.isFalse(await analytics.track({ userId: " ", event: "event" }))
    await analytics.close()
    assert.isFalse(await analytics.track({ userId: "u1", event: "event" }))
    assert.deepStrictEqual(
      failures.map(({ reason }) => reason),
      ["InvalidCall", "Closed"]
    )
  })

  it("with strict rejects the promise of such a call", async () => {
    const wire = wiretap()
    await using analytics = createAnalytics({
      writeKey: "test-write-key",
      fetch: wire.fetch,
      strict: true,
      outbox: sqlite({ directory }),
      onError: () => {}
    })
    const error = await analytics.track({ userId: "u1", event: " " }).then(
      () => undefined,
      (cause) => cause
    )
    assert.strictEqual(error?._tag, "InvalidCall")
  })

  it("refuses what is too much by the bound of the outbox", async () => {
    const failures: Array<Failure> = []
    const analytics = createAnalytics({
      writeKey: "test-write-key",
      fetch: wiretap(503).fetch,
      outbox: sqlite({ directory, maxQueueSize: 2 }),
      closeTimeout: 0,
      onError: (failure) => failures.push(failure)
    })
    const answers = await Promise.all([1, 2, 3].map((n) => analytics.track({ userId: "u1", event: `event ${n}` })))
    assert.deepStrictEqual(answers, [true, true, false])
    assert.strictEqual(failures[0]?.reason, "OutboxFull")
    assert.strictEqual(failures[0]?.messages.length, 1)
    await analytics.close()
  })

  it("carries what is around a call, after an await too", async () => {
    const wire = wiretap()
    const analytics = durable(wire)
    await withContext({ ip: "203.0.113.7" }, () =>
      withIdentity({ userId: "u1" }, async () => {
        await Promise.resolve()
        assert.isTrue(await analytics.identified.track({ event: "event 1" }))
      })
    )
    await analytics.flush()
    assert.deepInclude(wire.sent()[0], { userId: "u1" })
    assert.strictEqual(wire.sent()[0]?.context.ip, "203.0.113.7")
    await analytics.close()
  })

  it("has the calls of a plan, as promises", async () => {
    const wire = wiretap()
    const plan = TrackingPlan.make({
      events: { "Signed Up": Schema.Struct({ plan: Schema.Literals(["free", "pro"]) }) }
    })
    const analytics = Planned.createAnalytics({
      writeKey: "test-write-key",
      fetch: wire.fetch,
      plan,
      outbox: SqlOutbox.sqlite({ directory }),
      onError: () => {}
    })
    expectTypeOf(analytics.planned.track).returns.toEqualTypeOf<Promise<boolean>>()
    assert.isTrue(await analytics.planned.track("Signed Up", { plan: "pro" }, { userId: "u1" }))
    assert.isFalse(await analytics.track({ userId: "u1", event: "Signed Up", properties: { plan: "gold" } }))
    await analytics.flush()
    assert.strictEqual(wire.sent().length, 1)
    await analytics.close()
  })

  it("has an outbox for its operators: its state, its dead letters, and the erasure of a user", async () => {
    const refusing = durable(wiretap(400))
    await refusing.track({ userId: "u1", event: "event 1" })
    await refusing.track({ userId: "u2", event: "event 2" })
    await refusing.flush()
    assert.include(await refusing.outbox.stats(), { pending: 0, dead: 2, leader: "here" })
    assert.deepStrictEqual(await refusing.outbox.health({ maxOldestAge: "1 minute" }), { healthy: true })
    const letters = []
    for await (const { message, status } of refusing.outbox.deadLetters()) letters.push([eventOf(message), status])
    assert.deepStrictEqual(letters.toSorted(), [
      ["event 1", 400],
      ["event 2", 400]
    ])
    assert.deepStrictEqual(await refusing.outbox.purgeUser("u1"), { pending: 0, dead: 1 })
    assert.strictEqual(await refusing.outbox.purgeDead({ olderThan: "1 day" }), 0)
    await refusing.close()
    const wire = wiretap()
    const accepting = durable(wire)
    assert.strictEqual(await accepting.outbox.retryDead(), 1)
    await accepting.flush()
    assert.deepStrictEqual(wire.sent().map(eventOf), ["event 2"])
    await accepting.close()
  })

  it("has operations whose types are those of SqlOutbox, as promises", () => {
    type Plain = DurableClient["outbox"]
    type Face = SqlOutbox.Operations
    expectTypeOf<Awaited<ReturnType<Plain["stats"]>>>().toEqualTypeOf<Effect.Success<Face["stats"]>>()
    expectTypeOf<Awaited<ReturnType<Plain["health"]>>>().toEqualTypeOf<Effect.Success<ReturnType<Face["health"]>>>()
    expectTypeOf<ReturnType<Plain["deadLetters"]>>().toEqualTypeOf<AsyncIterable<Stream.Success<Face["deadLetters"]>>>()
    expectTypeOf<Awaited<ReturnType<Plain["purgeUser"]>>>().toEqualTypeOf<
      Effect.Success<ReturnType<Face["purgeUser"]>>
    >()
  })

  it("is known to the types: a call is a promise, and the bound belongs to the outbox", () => {
    expectTypeOf<AsyncClient["track"]>().returns.toEqualTypeOf<Promise<boolean>>()
    expectTypeOf(durable).returns.toEqualTypeOf<DurableClient>()
    const outbox = sqlite({ directory })
    assert.throws(
      // @ts-expect-error the bound is the outbox's
      () => createAnalytics({ writeKey: "k", outbox, maxQueueSize: 3 }),
      /maxQueueSize belongs to the settings of the outbox/
    )
    assert.throws(
      () => createAnalytics({ writeKey: "k", outbox: {} as ReturnType<typeof sqlite> }),
      /outbox must be made by sqlite/
    )
    assert.throws(() => createAnalytics({ writeKey: "k", outbox: sqlite({}) }), /directory must be given, or file/)
  })
})
