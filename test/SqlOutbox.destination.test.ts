/** An outbox and its destination: messages for one write key and host are never delivered to another one. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as SqlClient from "effect/sql/SqlClient"
import * as Analytics from "../src/Analytics.ts"
import type * as Outbox from "../src/Outbox.ts"
import { createAnalytics } from "../src/plain.ts"
import * as SqlOutbox from "../src/SqlOutbox.ts"
import { sqlite } from "../src/sqlite.ts"
import * as Transport from "../src/Transport.ts"
import { directory, type Wire, wire } from "./durable.ts"
import { invalidSettingOf, reasonOf } from "./errors.ts"
import { Postgres } from "./Postgres.ts"
import { type Line, layerLog, numbered, pass, trackMany } from "./support.ts"

const flush = Analytics.Analytics.use((analytics) => analytics.flush)

/** A life of a client with this key, and perhaps another host. */
const life = <A, E, R, E2, In>(
  outbox: Layer.Layer<SqlOutbox.SqlOutbox | Outbox.Outbox, E2, In>,
  writeKey: string,
  over: Wire,
  body: Effect.Effect<A, E, R>,
  host?: string
) =>
  Effect.provide(
    body,
    Analytics.layerNoDeps({ closeTimeout: 0 }).pipe(
      Layer.provide(outbox),
      Layer.provide(Transport.layer({ writeKey: Redacted.make(writeKey), host })),
      Layer.provide(over.layer)
    )
  )

const refused =
  "writeKey and host: the outbox belongs to another write key or host: use another file or table, or set adoptDestination to deliver what waits to this one"

const secrets = ["first-key", "second-key"]

describe("an outbox", () => {
  const outboxes = [
    [
      "SQLite",
      Effect.map(
        directory,
        (path) =>
          (options = {}) =>
            SqlOutbox.layerSqlite({ directory: path, ...options })
      )
    ],
    [
      "PostgreSQL",
      Effect.map(
        Layer.build(Layer.fresh(Postgres.layerClient)),
        (context) =>
          (options = {}) =>
            Layer.provide(SqlOutbox.layer(options), Layer.succeedContext(context))
      )
    ]
  ] as const

  for (const [name, make] of outboxes) {
    it.effect(`in ${name} refuses a client with another write key, or another host, and keeps what waits`, () =>
      Effect.gen(function* () {
        const outbox = yield* make
        yield* life(
          outbox(),
          "first-key",
          wire(() => "never"),
          trackMany(1, 2)
        )
        for (const [key, host] of [["second-key"], ["first-key", "https://example.com"]] as const) {
          const over = wire()
          const error = yield* invalidSettingOf(life(outbox(), key, over, flush, host))
          assert.strictEqual(error.setting, "writeKey")
          assert.include(error.message, refused)
          for (const secret of secrets) assert.notInclude(JSON.stringify(error), secret)
          assert.deepStrictEqual(over.requests, [])
        }
        const again = wire()
        yield* life(outbox(), "first-key", again, flush)
        assert.deepStrictEqual(again.taken(), numbered(1, 2))
      })
    )

    it.effect(`in ${name} is given to another destination on request, with what waits`, () =>
      Effect.gen(function* () {
        const outbox = yield* make
        yield* life(
          outbox(),
          "first-key",
          wire(() => "never"),
          trackMany(1, 2)
        )
        const over = wire()
        yield* life(outbox({ adoptDestination: true }), "second-key", over, flush)
        assert.deepStrictEqual(over.taken(), numbered(1, 2))
        yield* invalidSettingOf(life(outbox(), "first-key", wire(), flush))
        yield* life(outbox(), "second-key", wire(), flush)
      })
    )
  }

  it.effect("that another destination adopts is left at once by the client that had it", () =>
    Effect.gen(function* () {
      const path = yield* directory
      const clientOf = (key: string, over: Wire, options = {}) =>
        Layer.build(
          Layer.fresh(
            Analytics.layerNoDeps({ closeTimeout: 0 }).pipe(
              Layer.provide(SqlOutbox.layerSqlite({ directory: path, ...options })),
              Layer.provide(Transport.layer({ writeKey: Redacted.make(key) })),
              Layer.provide(over.layer),
              Layer.provideMerge(layerLog(lines))
            )
          )
        )
      const lines: Array<Line> = []
      const [first, second] = [wire(), wire()]
      const before = yield* clientOf("first-key", first)
      yield* Effect.provide(Effect.andThen(trackMany(1, 2), flush), before)
      const after = yield* clientOf("second-key", second, { adoptDestination: true })
      yield* Effect.provide(trackMany(3, 4), after)
      yield* Effect.repeat(pass("200 millis"), { until: () => second.taken().length === 2 })
      assert.deepStrictEqual([first.taken(), second.taken()], [numbered(1, 2), numbered(3, 4)])

      const error = yield* reasonOf(Effect.provide(trackMany(5, 5), before))
      assert.strictEqual(error._tag, "OutboxUnavailable")
      assert.include(error.message, "belongs to another write key or host")
      assert.isTrue(lines.some(({ level, text }) => level === "Error" && text.includes("belongs to another write key")))
    })
  )

  it.effect("does not hold the write key, nor anything that it could be read from", () =>
    Effect.gen(function* () {
      yield* life(SqlOutbox.layer(), "first-key", wire(), flush)
      const sql = yield* SqlClient.SqlClient
      const rows = yield* sql<{ name: string; value: string }>`SELECT name, value FROM analytics_outbox_state`
      assert.match(rows.find((row) => row.name === "destination")?.value ?? "", /^[0-9a-f]{64}$/)
      assert.notInclude(JSON.stringify(rows), "first-key")
    }).pipe(Effect.provide(Layer.fresh(Postgres.layerClient)))
  )

  it.effect("refuses a client with more requests in flight than it keeps in order", () =>
    Effect.gen(function* () {
      const path = yield* directory
      const client = Analytics.layerNoDeps({ maxInFlight: 4, closeTimeout: 0 }).pipe(
        Layer.provide(SqlOutbox.layerSqlite({ directory: path })),
        Layer.provide(Transport.layerStub)
      )
      const error = yield* invalidSettingOf(Effect.provide(flush, client))
      assert.match(error.message, /maxInFlight is 4, and 1 in the outbox/)
    })
  )

  it.effect("refuses a plain client with another write key", () =>
    Effect.gen(function* () {
      const path = yield* directory
      const plain = (writeKey: string) =>
        createAnalytics({
          writeKey,
          fetch: async () => new Response(null, { status: 200 }),
          outbox: sqlite({ directory: path }),
          closeTimeout: 0
        })
      const first = plain("first-key")
      assert.throws(() => plain("second-key"), refused)
      yield* Effect.promise(() => first.close())
    })
  )
})
