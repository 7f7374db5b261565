import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Reactivity from "effect/reactivity/Reactivity"
import * as SqliteClient from "../src/SqlOutbox/SqliteClient.ts"

describe("SqliteClient", () => {
  it.effect("a transaction that could not begin, since another writes, leaves nothing behind", () =>
    Effect.gen(function* () {
      const file = join(mkdtempSync(join(tmpdir(), "effect-analytics-")), "outbox.db")
      const database = new DatabaseSync(file, { timeout: 0 })
      const other = new DatabaseSync(file)
      database.exec("PRAGMA journal_mode = WAL; CREATE TABLE t (a)")
      const sql = yield* SqliteClient.make({ open: () => database, failed: () => {} })
      other.exec("BEGIN IMMEDIATE")
      const error = yield* Effect.flip(sql.withTransaction(sql`INSERT INTO t VALUES (1)`))
      assert.strictEqual(error.reason._tag, "LockTimeoutError")
      other.exec("COMMIT")
      yield* sql`INSERT INTO t VALUES (2)`
      yield* sql.withTransaction(sql`INSERT INTO t VALUES (3)`)
      assert.deepStrictEqual(
        (yield* sql<{ a: number }>`SELECT a FROM t`).map(({ a }) => a),
        [2, 3]
      )
    }).pipe(Effect.provide(Reactivity.layer))
  )
})
