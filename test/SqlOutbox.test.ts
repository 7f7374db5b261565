import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as SqlClient from "effect/sql/SqlClient"
import * as SqlOutbox from "../src/SqlOutbox.ts"
import { outboxSuite } from "./outboxSuite.ts"
import { Postgres } from "./Postgres.ts"
import { breathe } from "./support.ts"

outboxSuite(
  "SQLite",
  (options) => SqlOutbox.layerSqlite({ directory: mkdtempSync(join(tmpdir(), "effect-analytics-")), ...options }),
  { full: "OutboxFull", lasting: true, breathe }
)

/** What another process does takes time that no false clock knows: as many questions as it takes answers. */
const breatheInPostgres = Effect.gen(function* () {
  const sql = yield* Effect.serviceOption(SqlClient.SqlClient)
  if (sql._tag === "Some") yield* Effect.repeat(Effect.andThen(breathe, sql.value`SELECT 1`), { times: 20 })
}).pipe(Effect.orDie)

outboxSuite(
  "PostgreSQL",
  (options) => Layer.provideMerge(SqlOutbox.layer(options), Layer.fresh(Postgres.layerClient)),
  { full: "OutboxFull", lasting: true, breathe: breatheInPostgres }
)
