/**
 * How fast what waits is delivered to a peer on loopback, with little waiting and with much; against a raw driver that
 * reads a hundred, posts them and deletes them.
 */
import type { DatabaseSync } from "node:sqlite"
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Redacted from "effect/Redacted"
import * as Pg from "pg"
import * as Analytics from "../../src/Analytics.ts"
import * as Observer from "../../src/Observer.ts"
import * as Outbox from "../../src/Outbox.ts"
import * as SqlOutbox from "../../src/SqlOutbox.ts"
import { Postgres } from "../../test/Postgres.ts"
import type { Said } from "./relay.ts"
import { part, rate, type Target } from "./targets.ts"
import {
  makeDirectory,
  median,
  type Program,
  rawSqlite,
  seedPostgres,
  seedSqlite,
  start,
  startSink,
  table,
  transportTo
} from "./workload.ts"

const few = 40_000
const many = 200_000
const rounds = 3
const relays = 4

type Drain = (waiting: number) => Promise<number>

/** Messages a second, of the first that are delivered. */
const compare = async (name: string, drains: Readonly<Record<string, Drain>>, inSlots: number) => {
  const rates = Object.fromEntries(
    Object.keys(drains).map((kind) => [kind, { few: [] as Array<number>, many: [] as Array<number> }])
  )
  for (let round = -1; round < rounds; round++) {
    for (const [kind, drain] of Object.entries(drains)) {
      const one = { few: await drain(few), many: await drain(many) }
      if (round < 0) continue
      rates[kind]?.few.push(one.few)
      rates[kind]?.many.push(one.many)
    }
  }
  console.log(`\n${name}: the first ${few - inSlots} of what waits, batches of 100, medians of ${rounds} rounds`)
  console.table(
    Object.fromEntries(
      Object.entries(rates).map(([kind, known]) => [
        kind,
        {
          [`a second, ${few} wait`]: Math.round(median(known.few)),
          [`a second, ${many} wait`]: Math.round(median(known.many))
        }
      ])
    )
  )
  return rates
}

// ---------------------------------------------------------------------------------------------------------------------
// SQLite
// ---------------------------------------------------------------------------------------------------------------------

const rawDrain = (database: DatabaseSync, port: number): Drain => {
  const read = database.prepare(`SELECT seq, payload FROM ${table} ORDER BY seq LIMIT 100`)
  const remove = database.prepare(`DELETE FROM ${table} WHERE seq <= ?`)
  return async (waiting) => {
    seedSqlite(database, waiting)
    const start = performance.now()
    for (let sent = 0; sent < few; sent += 100) {
      const rows = read.all() as unknown as ReadonlyArray<{ readonly seq: number; readonly payload: string }>
      const body = `{"batch":[${rows.map(({ payload }) => payload).join(",")}],"writeKey":"bench","sentAt":"${new Date().toISOString()}"}`
      const headers = { "content-type": "application/json" }
      await (await fetch(`http://127.0.0.1:${port}/v1/batch`, { method: "POST", body, headers })).text()
      remove.run((rows.at(-1) as { readonly seq: number }).seq)
    }
    return (few / (performance.now() - start)) * 1_000
  }
}

/** A client of an outbox in which messages wait already; the time counts from its first delivery to its last. */
const ourDrain =
  (file: string, port: number): Drain =>
  async (waiting) => {
    const database = await rawSqlite(file)
    seedSqlite(database, waiting)
    database.close()
    let delivered = 0
    let first = 0
    let last = () => {}
    const done = new Promise<void>((resolve) => (last = resolve))
    const observer = Observer.layer((outcome) =>
      Effect.sync(() => {
        if (outcome._tag !== "Delivered") return
        if (delivered === 0) first = performance.now()
        delivered += outcome.messages.length
        if (delivered >= few) last()
      })
    )
    const runtime = ManagedRuntime.make(
      Analytics.layerNoDeps({ closeTimeout: 0 }).pipe(
        Layer.provide([SqlOutbox.layerSqlite({ file }), transportTo(port)]),
        Layer.provide(observer)
      )
    )
    await runtime.runPromise(Analytics.Analytics)
    await done
    const took = performance.now() - first
    await runtime.dispose()
    return ((few - 100) / took) * 1_000
  }

export const drainSqlite = async (): Promise<ReadonlyArray<Target>> => {
  const [ours, theirs] = [makeDirectory(), makeDirectory()]
  const sink = await startSink()
  const database = await rawSqlite(theirs.file)
  const rates = await compare(
    "SQLite to a sink, one request at a time",
    { "raw driver and fetch": rawDrain(database, sink.port), outbox: ourDrain(ours.file, sink.port) },
    100
  )
  database.close()
  await sink.stop()
  ours.remove()
  theirs.remove()
  const mine = rates.outbox as { readonly few: Array<number>; readonly many: Array<number> }
  return [
    rate("Drain of SQLite", median(mine.few), 15_000),
    rate(`Drain of SQLite, ${many} rows waiting`, median(mine.many), 15_000),
    part(`${many} rows waiting, of the speed with ${few}`, median(mine.many) / median(mine.few), 0.9)
  ]
}

// ---------------------------------------------------------------------------------------------------------------------
// PostgreSQL
// ---------------------------------------------------------------------------------------------------------------------

const fleetDrain =
  (url: string, client: Pg.Client, port: number): Drain =>
  async (waiting) => {
    await client.query(`TRUNCATE ${table}; UPDATE ${table}_leader SET holder = NULL`)
    // As an outbox usually is: empty, and known to be.
    await client.query(`VACUUM ANALYZE ${table}`)
    const fleet = Array.from({ length: relays }, () => start<Said>("relay.ts", [url, String(port)]))
    // One of them is the leader before it begins, and has seen that there is something.
    const isLeader = await Promise.all(
      fleet.map(async (relay) => {
        let said = await relay.hear()
        while (said.leader === "none") said = await relay.hear()
        return said.leader === "here"
      })
    )
    const leader = fleet[isLeader.indexOf(true)] as Program<Said>
    await seedPostgres(client, waiting)
    while ((await leader.hear()).taken === 0);
    const begin = performance.now()
    for (const relay of fleet) relay.say("go")
    const delivered = fleet.map(() => 0)
    let sum = 0
    await Promise.all(
      fleet.map(async (relay, at) => {
        while (sum < few) {
          delivered[at] = (await relay.hear()).delivered
          sum = delivered.reduce((one, other) => one + other, 0)
        }
      })
    )
    const took = performance.now() - begin
    await Promise.all(fleet.map((relay) => relay.stop()))
    return (sum / took) * 1_000
  }

export const drainPostgres = async (): Promise<ReadonlyArray<Target>> => {
  await using server = await Postgres.start({ fsync: true })
  const url = await server.database()
  const prepared = ManagedRuntime.make(
    SqlOutbox.layerWriter().pipe(Layer.provide(PgClient.layer({ url: Redacted.make(url) })))
  )
  await prepared.runPromise(Outbox.Outbox)
  await prepared.dispose()
  const client = new Pg.Client({ connectionString: url })
  await client.connect()
  const sink = await startSink()
  const rates = await compare(
    `PostgreSQL to a sink, ${relays} relays, each one request at a time`,
    { outbox: fleetDrain(url, client, sink.port) },
    0
  )
  await client.end()
  await sink.stop()
  const mine = rates.outbox as { readonly few: Array<number>; readonly many: Array<number> }
  return [
    rate(`Drain of PostgreSQL with ${relays} relays`, median(mine.few), 8_000),
    rate(`Drain of PostgreSQL with ${relays} relays, ${many} rows waiting`, median(mine.many), 8_000),
    part(`${many} rows waiting, of the speed with ${few}`, median(mine.many) / median(mine.few), 0.9)
  ]
}
