/**
 * How fast one relay drains an outbox whose peer is 50 ms away: 1,000 messages of 471 bytes a request, by the number of requests
 * in flight. The order of each user holds with any of them.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Redacted from "effect/Redacted"
import * as Pg from "pg"
import * as Analytics from "../../src/Analytics.ts"
import * as Observer from "../../src/Observer.ts"
import type * as Outbox from "../../src/Outbox.ts"
import * as SqlOutbox from "../../src/SqlOutbox.ts"
import { Postgres } from "../../test/Postgres.ts"
import { rate, type Target } from "./targets.ts"
import {
  makeDirectory,
  median,
  rawSqlite,
  seedPostgres,
  seedSqlite,
  startSink,
  table,
  transportTo
} from "./workload.ts"

const roundTrip = 50
const count = 60_000
const batchSize = 1_000
const rounds = 3
const inFlight = [1, 2, 4]

/** Messages a second, from the first delivery to the last. */
const drain = async <E>(
  outbox: (options: { readonly maxInFlight: number }) => Layer.Layer<Outbox.Outbox, E>,
  port: number,
  maxInFlight: number
): Promise<number> => {
  let delivered = 0
  let first: { readonly at: number; readonly count: number } | undefined
  let done = () => {}
  const ended = new Promise<void>((resolve) => {
    done = resolve
  })
  const observer = Observer.layer((outcome) =>
    Effect.sync(() => {
      if (outcome._tag !== "Delivered") return
      delivered += outcome.messages.length
      first ??= { at: performance.now(), count: delivered }
      if (delivered >= count) done()
    })
  )
  const runtime = ManagedRuntime.make(
    Analytics.layerNoDeps({ closeTimeout: 0, batchSize, maxInFlight }).pipe(
      Layer.provide([outbox({ maxInFlight }), transportTo(port)]),
      Layer.provide(observer)
    )
  )
  await runtime.runPromise(Analytics.Analytics)
  await ended
  const begun = first as unknown as { readonly at: number; readonly count: number }
  const took = performance.now() - begun.at
  await runtime.dispose()
  return ((count - begun.count) / took) * 1_000
}

const compare = async (name: string, one: (maxInFlight: number) => Promise<number>) => {
  const rates = new Map<number, Array<number>>(inFlight.map((number) => [number, []]))
  for (let round = -1; round < rounds; round++) {
    for (const number of inFlight) {
      const measured = await one(number)
      if (round >= 0) rates.get(number)?.push(measured)
    }
  }
  console.log(
    `\n${name}, a round trip of ${roundTrip} ms, ${batchSize} messages a request, medians of ${rounds} rounds of ${count}`
  )
  console.table(
    Object.fromEntries(
      Array.from(rates, ([number, all]) => [
        `maxInFlight ${number}`,
        { "messages a second": Math.round(median(all)), "at most": number * batchSize * (1_000 / roundTrip) }
      ])
    )
  )
  return (number: number) => median(rates.get(number) as Array<number>)
}

export const distanceFromSqlite = async (): Promise<ReadonlyArray<Target>> => {
  const { file, remove } = makeDirectory()
  const sink = await startSink(roundTrip)
  const rates = await compare("SQLite", async (maxInFlight) => {
    const database = await rawSqlite(file)
    seedSqlite(database, count)
    database.close()
    return drain((options) => SqlOutbox.layerSqlite({ file, ...options }), sink.port, maxInFlight)
  })
  await sink.stop()
  remove()
  return [rate(`Drain of SQLite over ${roundTrip} ms, two requests in flight`, rates(2), 20_000)]
}

export const distanceFromPostgres = async (): Promise<ReadonlyArray<Target>> => {
  await using server = await Postgres.start({ fsync: true })
  const url = await server.database()
  const outbox = (options: { readonly maxInFlight: number }) =>
    SqlOutbox.layer(options).pipe(Layer.provide(PgClient.layer({ url: Redacted.make(url) })))
  await Effect.runPromise(Effect.scoped(Layer.build(outbox({ maxInFlight: 1 }))))
  const client = new Pg.Client({ connectionString: url })
  await client.connect()
  const sink = await startSink(roundTrip)
  const rates = await compare("PostgreSQL", async (maxInFlight) => {
    await client.query(`TRUNCATE ${table}`)
    await client.query(`VACUUM ANALYZE ${table}`)
    await seedPostgres(client, count)
    return drain(outbox, sink.port, maxInFlight)
  })
  await client.end()
  await sink.stop()
  return [rate(`Drain of PostgreSQL over ${roundTrip} ms, two requests in flight`, rates(2), 15_000)]
}
