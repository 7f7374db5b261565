/** What a fleet owes to its users: several that write, several that deliver, one PostgreSQL database between them. */

import * as PgClient from "@effect/sql-pg/PgClient"
import { assert, describe, it, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as SqlClient from "effect/sql/SqlClient"
import * as Analytics from "../src/Analytics.ts"
import * as SqlOutbox from "../src/SqlOutbox.ts"
import * as Transport from "../src/Transport.ts"
import { reasonOf } from "./errors.ts"
import { Postgres } from "./Postgres.ts"

/** A wire that holds every request until it is opened, and knows what went over it. */
const makeWire = Effect.gen(function* () {
  const gate = yield* Latch.make()
  const begun = yield* Deferred.make<void>()
  const sent: Array<string> = []
  let done: { readonly count: number; readonly reached: Deferred.Deferred<void> } | undefined
  const send: Transport.Transport["Service"]["send"] = (messages) =>
    Effect.gen(function* () {
      yield* Deferred.succeed(begun, undefined)
      yield* gate.await
      sent.push(...messages.map(({ messageId }) => messageId))
      if (done !== undefined && sent.length >= done.count) yield* Deferred.succeed(done.reached, undefined)
      return Transport.SendResult.Delivered({ status: 200 })
    })
  return {
    layer: Layer.succeed(Transport.Transport, { send, envelopeBytes: 0 }),
    begun: Deferred.await(begun),
    open: gate.open,
    sent,
    hasSent: (count: number) =>
      Effect.gen(function* () {
        done = { count, reached: yield* Deferred.make<void>() }
        if (sent.length < count) yield* Deferred.await(done.reached)
      })
  }
})

layer(Postgres.layerClient, { timeout: 60_000, excludeTestServices: true })("a fleet", (it) => {
  it.effect("delivers a user's messages in the order of their commits, though a transaction ended late", () =>
    Effect.gen(function* () {
      const options = { table: "late" }
      const sql = yield* SqlClient.SqlClient
      const writer = yield* Layer.build(
        Analytics.layerNoDeps().pipe(Layer.provide(SqlOutbox.layerWriter({ ...options })))
      )
      yield* Effect.gen(function* () {
        const analytics = yield* Analytics.Analytics
        const track = (userId: string, messageId: string) => analytics.track({ userId, event: "Said", messageId })

        const written = yield* Deferred.make<void>()
        const enough = yield* Deferred.make<void>()
        const late = yield* sql
          .withTransaction(
            Effect.gen(function* () {
              yield* track("ann", "first")
              yield* Deferred.succeed(written, undefined)
              yield* Deferred.await(enough)
            })
          )
          .pipe(Effect.forkChild)
        yield* Deferred.await(written)
        const others = Array.from({ length: 95 }, (_, n) => `other ${n}`)
        yield* Effect.forEach(others, (id) => track("bob", id), { concurrency: "unbounded", discard: true })

        const wire = yield* makeWire
        yield* Layer.build(
          SqlOutbox.layerRelay({ ...options, batchSize: 10, pollInterval: 20 }).pipe(Layer.provide(wire.layer))
        )
        // What the others wrote is read by now, and something newer than what is about to appear.
        yield* wire.begun
        yield* Deferred.succeed(enough, undefined)
        yield* Fiber.join(late)
        yield* track("ann", "second")
        yield* wire.open
        yield* wire.hasSent(97)
        assert.deepStrictEqual(
          wire.sent.filter((id) => id === "first" || id === "second"),
          ["first", "second"]
        )
        assert.strictEqual(new Set(wire.sent).size, wire.sent.length)
      }).pipe(Effect.provideContext(writer))
    })
  )

  it.effect("delivers at once what another process writes, though it looks once an hour", () =>
    Effect.gen(function* () {
      const options = { table: "sooner", pollInterval: "1 hour" } as const
      const wire = yield* makeWire
      yield* wire.open
      const relay = yield* Layer.build(SqlOutbox.layerRelay(options).pipe(Layer.provide(wire.layer)))
      yield* Effect.repeat(Context.get(relay, SqlOutbox.SqlOutbox).stats, { until: ({ leader }) => leader === "here" })
      const writer = yield* Layer.build(Analytics.layerNoDeps().pipe(Layer.provide(SqlOutbox.layerWriter(options))))
      for (const messageId of ["first", "second", "third"]) {
        yield* Context.get(writer, Analytics.Analytics).track({ userId: "ann", event: "Said", messageId })
      }
      yield* wire.hasSent(3)
      assert.deepStrictEqual(wire.sent, ["first", "second", "third"])
    })
  )

  it.effect("keeps the order of each user with several requests in flight", () =>
    Effect.gen(function* () {
      const options = { table: "parallel" }
      const writer = yield* Layer.build(Analytics.layerNoDeps().pipe(Layer.provide(SqlOutbox.layerWriter(options))))
      const analytics = Context.get(writer, Analytics.Analytics)
      const users = Array.from({ length: 20 }, (_, n) => `user ${n}`)
      for (let n = 0; n < 30; n++) {
        yield* Effect.forEach(
          users,
          (userId) => analytics.track({ userId, event: "Said", messageId: `${userId}/${n}` }),
          { concurrency: "unbounded", discard: true }
        )
      }
      const sent: Array<string> = []
      const flying = { now: 0, most: 0 }
      const done = yield* Deferred.make<void>()
      // The requests of even numbers are slower: without care the next ones would overtake them.
      let requests = 0
      const send: Transport.Transport["Service"]["send"] = (messages) =>
        Effect.gen(function* () {
          flying.most = Math.max(flying.most, ++flying.now)
          yield* Effect.sleep(requests++ % 2 === 0 ? 30 : 5)
          flying.now--
          sent.push(...messages.map(({ messageId }) => messageId))
          if (sent.length >= 600) yield* Deferred.succeed(done, undefined)
          return Transport.SendResult.Delivered({ status: 200 })
        })
      const transport = Layer.succeed(Transport.Transport, { send, envelopeBytes: 0 })
      yield* Layer.build(
        SqlOutbox.layerRelay({ ...options, batchSize: 40, maxInFlight: 4 }).pipe(Layer.provide(transport))
      )
      yield* Deferred.await(done)
      assert.strictEqual(sent.length, 600)
      for (const user of users) {
        const theirs = sent.filter((id) => id.startsWith(`${user}/`))
        assert.deepStrictEqual(
          theirs,
          Array.from({ length: 30 }, (_, n) => `${user}/${n}`)
        )
      }
      assert.isAbove(flying.most, 1)
    })
  )
})

describe("a fleet whose server crashes", () => {
  it.live(
    "P20 fails calls by name while it is away, and takes them again when it is back",
    () =>
      Effect.gen(function* () {
        const server = yield* Effect.acquireRelease(
          Effect.promise(() => Postgres.start()),
          (server) => Effect.promise(() => server[Symbol.asyncDispose]())
        )
        const url = yield* Effect.promise(() => server.database())
        const layer = Analytics.layerNoDeps().pipe(
          Layer.provide(SqlOutbox.layerWriter({ commitTimeout: "2 seconds" })),
          Layer.provide(PgClient.layer({ url: Redacted.make(url) }))
        )
        const analytics = Context.get(yield* Layer.build(layer), Analytics.Analytics)
        const track = analytics.track({ userId: "ann", event: "Said" })
        yield* track
        yield* Effect.promise(() => server.stop("immediate"))
        for (const _ of [1, 2]) assert.strictEqual((yield* reasonOf(track))._tag, "OutboxUnavailable")
        yield* Effect.promise(() => server.resume())
        yield* Effect.retry(track, { schedule: Schedule.spaced("50 millis"), times: 100 })
      }),
    60_000
  )
})
