/** A client whose outbox is chosen by the environment alone. */
import { existsSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it, vi } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Analytics from "../src/Analytics.ts"
import * as SqlOutbox from "../src/SqlOutbox.ts"
import { directory, type Wire, wire } from "./durable.ts"
import { Postgres } from "./Postgres.ts"
import { breathe, numbered, trackMany } from "./support.ts"

/** A life of a client in this environment. */
const life = <A, E, R>(env: Record<string, string>, over: Wire, body: Effect.Effect<A, E, R>) =>
  Effect.provide(
    body,
    Analytics.layerFromConfigOver(SqlOutbox.layerFromConfig).pipe(
      Layer.provide(over.layer),
      Layer.provide(
        ConfigProvider.layer(
          ConfigProvider.fromEnv({
            env: { ANALYTICS_WRITE_KEY: "test-key", ANALYTICS_CLOSE_TIMEOUT: "0 millis", ...env }
          })
        )
      )
    )
  )

const flush = Analytics.Analytics.use((analytics) => analytics.flush)
const stats = SqlOutbox.SqlOutbox.use((outbox) => outbox.stats)

describe("the environment", () => {
  it.effect("without a word about it chooses the memory", () =>
    Effect.gen(function* () {
      const over = wire()
      yield* life({}, over, Effect.andThen(trackMany(1, 2), flush))
      assert.deepStrictEqual(over.taken(), numbered(1, 2))
      assert.strictEqual((yield* Effect.flip(life({}, wire(), stats))).message, "the outbox is in memory")
    })
  )

  it.effect("chooses a file", () =>
    Effect.gen(function* () {
      const path = yield* directory
      const env = { ANALYTICS_OUTBOX: "sqlite", ANALYTICS_OUTBOX_DIRECTORY: path }
      yield* life(
        env,
        wire(() => "never"),
        trackMany(1, 2)
      )
      assert.isTrue(existsSync(join(path, "outbox.db")))
      const over = wire()
      yield* life(env, over, flush)
      assert.deepStrictEqual(over.taken(), numbered(1, 2))
    })
  )

  it.effect.each([
    ["a file", Effect.map(directory, (path) => ({ ANALYTICS_OUTBOX: "sqlite", ANALYTICS_OUTBOX_DIRECTORY: path }))],
    [
      "a database",
      Effect.map(Postgres.scopedDatabase, (url) => ({
        ANALYTICS_OUTBOX: "postgres",
        ANALYTICS_OUTBOX_URL: url,
        ANALYTICS_OUTBOX_TABLE: "chosen"
      }))
    ]
  ] as const)("chooses %s, and who writes and who delivers", ([, place]) =>
    Effect.gen(function* () {
      const env = yield* place
      const writes = wire()
      yield* life({ ...env, ANALYTICS_OUTBOX_ROLE: "writer" }, writes, Effect.andThen(trackMany(1, 2), flush))
      assert.deepStrictEqual(writes.requests, [])
      const over = wire()
      const pending = yield* life({ ...env, ANALYTICS_OUTBOX_ROLE: "relay" }, over, Effect.andThen(flush, stats))
      assert.strictEqual(pending.pending, 0)
      assert.deepStrictEqual(over.taken(), numbered(1, 2))
    })
  )

  it.effect.each([
    ["another database", { ANALYTICS_OUTBOX: "redis" }, "ConfigError"],
    ["a file without a place", { ANALYTICS_OUTBOX: "sqlite" }, "ConfigError"],
    [
      "a database that is not there",
      { ANALYTICS_OUTBOX: "postgres", ANALYTICS_OUTBOX_URL: "postgres://nobody@127.0.0.1:1/none" },
      "OutboxUnavailable"
    ]
  ] as const)("with %s is refused by name", ([, env, tag]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(life(env, wire(), flush))
      assert.strictEqual((error as { readonly _tag: string })._tag, tag)
    })
  )
})

describe("a whole client in one line", () => {
  it.effect("keeps in its file what it accepted, and delivers it in its next life", () =>
    Effect.gen(function* () {
      const path = yield* directory
      const layer = SqlOutbox.layerSqliteClient({
        writeKey: Redacted.make("test-write-key"),
        directory: path,
        closeTimeout: 0
      })
      vi.stubGlobal("fetch", () => new Promise(() => {}))
      yield* Effect.provide(Effect.andThen(trackMany(1, 2), breathe), layer, { local: true })
      vi.stubGlobal("fetch", async () => new Response())
      assert.deepInclude(yield* Effect.provide(flush, layer, { local: true }), { delivered: 2, pending: 0 })
    }).pipe(Effect.ensuring(Effect.sync(() => vi.unstubAllGlobals())))
  )
})
