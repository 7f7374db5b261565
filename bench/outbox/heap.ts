/**
 * A program with a small heap, and an API that is down: calls until so many messages wait, then lets them be delivered to
 * the peer at a port. It says how large it is all the while.
 */
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Analytics from "../../src/Analytics.ts"
import * as SqlOutbox from "../../src/SqlOutbox.ts"
import * as Transport from "../../src/Transport.ts"
import { byCallers, callOf, transportTo } from "./workload.ts"

export interface Said {
  readonly pending: number
  readonly delivered: number
  /** Bytes, now. */
  readonly rss: number
  readonly heap: number
}

const [directory, port, count] = process.argv.slice(2) as [string, string, string]
const gate = Latch.makeUnsafe()
const gated = Layer.effect(
  Transport.Transport,
  Effect.map(Transport.Transport, (transport) => ({
    ...transport,
    send: (...args: Parameters<typeof transport.send>) => Effect.andThen(gate.await, transport.send(...args))
  }))
).pipe(Layer.provide(transportTo(Number(port))))
const runtime = ManagedRuntime.make(
  Analytics.layerNoDeps().pipe(Layer.provide([SqlOutbox.layerSqlite({ directory }), gated]))
)
const analytics = await runtime.runPromise(Analytics.Analytics)
process.on("disconnect", () => process.exit())
setInterval(async () => {
  const { delivered, pending } = await runtime.runPromise(analytics.stats)
  const { heapUsed, rss } = process.memoryUsage()
  process.send?.({ pending, delivered, rss, heap: heapUsed } satisfies Said)
}, 50)
await runtime.runPromise(byCallers(500, Number(count), (n) => analytics.track(callOf(n))))
gate.openUnsafe()
