/** Offers messages to an outbox, one after the other: each is a commit of its own. */
import * as Effect from "effect/Effect"
import * as Outbox from "../../src/Outbox.ts"
import * as SqlOutbox from "../../src/SqlOutbox.ts"
import { messages } from "../support.ts"

const [options = "{}", count = "1"] = process.argv.slice(2)

await Effect.forEach(messages(1, Number(count)), (one) => Outbox.Outbox.use((outbox) => outbox.offer(one)), {
  discard: true
}).pipe(Effect.provide(SqlOutbox.layerSqlite(JSON.parse(options) as SqlOutbox.SqliteOptions)), Effect.runPromise)
