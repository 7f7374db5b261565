/** Loads a history through `Analytics.sink`, and prints what became of it. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Analytics from "../../src/Analytics.ts"

const rows = Number(process.argv[2])
const history = Stream.range(1, rows).pipe(
  Stream.map((n) => ({
    type: "track" as const,
    userId: n % 1_000 === 0 ? "" : `user ${n % 100}`,
    event: "Order Completed",
    messageId: `order-${n}`,
    timestamp: new Date(n),
    properties: { n, padding: "x".repeat(1_000) }
  }))
)

const loaded = await Effect.gen(function* () {
  const counts = yield* Stream.run(history, Analytics.sink)
  const flushed = yield* Analytics.flush
  const { delivered, dropped, pending, rejected } = yield* Analytics.Analytics.use((analytics) => analytics.stats)
  return { ...counts, delivered, dropped, pending, refused: rejected, waited: flushed.pending }
}).pipe(Effect.provide(Analytics.layerStub({ maxQueueSize: 1_000, batchSize: 500 })), Effect.runPromise)

process.stdout.write(JSON.stringify(loaded))
