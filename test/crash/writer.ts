/** Writes for a fleet: others deliver. */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as SqlClient from "effect/sql/SqlClient"
import * as Analytics from "../../src/Analytics.ts"
import * as SqlOutbox from "../../src/SqlOutbox.ts"
import { chances } from "../chances.ts"
import { life, live, living, track, write } from "./living.ts"

const database = PgClient.layer({ url: Redacted.make(life.place) })
const analytics = Analytics.layerNoDeps(life.delivery).pipe(Layer.provide(SqlOutbox.layerWriter(life.outbox)))

/** A row of the program's own and a message, both or neither: one of ten thinks better of it. */
const order = Effect.gen(function* () {
  const analytics = yield* Analytics.Analytics
  const sql = yield* SqlClient.SqlClient
  const chance = chances(life.seed + 1)
  yield* write((message) =>
    sql.withTransaction(
      Effect.gen(function* () {
        yield* sql`INSERT INTO orders (id) VALUES (${message.messageId})`
        yield* analytics.track(message)
        // Others write meanwhile, and commit before.
        yield* Effect.sleep(Duration.millis(chance() * 20))
        if (chance() < 0.1) return yield* Effect.fail("thought better of it")
      })
    )
  )
})

live(living(life.transactional === true ? order : track, Layer.provideMerge(analytics, database)))
