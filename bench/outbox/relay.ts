/**
 * A relay in a process of its own: delivers what waits in a database to the peer at a port, once it is told to, and says
 * how much that was, twenty times a second.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Redacted from "effect/Redacted"
import * as Observer from "../../src/Observer.ts"
import * as SqlOutbox from "../../src/SqlOutbox.ts"
import * as Transport from "../../src/Transport.ts"
import { transportTo } from "./workload.ts"

export interface Said {
  readonly delivered: number
  /** Batches that it has taken. */
  readonly taken: number
  /** Who delivers. */
  readonly leader: SqlOutbox.Stats["leader"]
}

const [url, port] = process.argv.slice(2) as [string, string]
const gate = Latch.makeUnsafe()
let taken = 0
let delivered = 0

const gated = Layer.effect(
  Transport.Transport,
  Effect.map(Transport.Transport, (transport) => ({
    ...transport,
    send: (...args: Parameters<typeof transport.send>) => {
      taken++
      return Effect.andThen(gate.await, transport.send(...args))
    }
  }))
).pipe(Layer.provide(transportTo(Number(port))))

const observer = Observer.layer((outcome) =>
  Effect.sync(() => {
    if (outcome._tag === "Delivered") delivered += outcome.messages.length
  })
)

const runtime = ManagedRuntime.make(
  SqlOutbox.layerRelay({ lease: "3 seconds" }).pipe(
    Layer.provide([gated, PgClient.layer({ url: Redacted.make(url) })]),
    Layer.provide(observer)
  )
)
const outbox = await runtime.runPromise(SqlOutbox.SqlOutbox)
process.once("message", () => gate.openUnsafe())
process.on("disconnect", () => process.exit())
setInterval(async () => {
  // Nothing is asked of the database while it is measured.
  const leader = gate.isOpen() ? "none" : (await runtime.runPromise(outbox.stats)).leader
  process.send?.({ delivered, taken, leader } satisfies Said)
}, 50)
