/** Delivers what a fleet writes. */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as SqlOutbox from "../../src/SqlOutbox.ts"
import { life, live, living, say, transport } from "./living.ts"

const database = PgClient.layer({ url: Redacted.make(life.place) })
const relay = SqlOutbox.layerRelay({ ...life.outbox, ...life.delivery }).pipe(Layer.provide([database, transport]))

const deliver = Effect.andThen(
  Effect.sync(() => say("ready")),
  Effect.never
)

live(living(deliver, relay))
