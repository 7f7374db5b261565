/**
 * A crash story: processes write and deliver, chance strikes them, they come back, and in the end the books are compared.
 *
 * What an actor said it was promised must be with the peer, in the order in which it was promised; what came twice must
 * have a cause; and the database must be empty and sound.
 */
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { DatabaseSync } from "node:sqlite"
import { setTimeout as sleep } from "node:timers/promises"
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Reactivity from "effect/reactivity/Reactivity"
import { chances } from "../chances.ts"
import { type Answer, FaultSink } from "../FaultSink.ts"
import { Postgres } from "../Postgres.ts"
import { Actor, type Programs, type Role } from "./Actor.ts"
import type { Life } from "./Life.ts"
import { Proxy } from "./Proxy.ts"

// ---------------------------------------------------------------------------------------------------------------------
// What a story is
// ---------------------------------------------------------------------------------------------------------------------

export interface Story {
  readonly name: string
  /** Who is in it. Those that are embedded share a file of SQLite; the others a database of PostgreSQL. */
  readonly cast: Partial<Readonly<Record<Role, number>>>
  /** What chance does, in turn. */
  readonly strikes: ReadonlyArray<Strike>
  /** Whether calls are made in transactions with rows of the program's own. */
  readonly transactional?: boolean | undefined
  /** Requests that a relay has in flight. @default 1 */
  readonly maxInFlight?: number | undefined
  /** How often the peer answers 503, or takes everything in and drops the connection. @default 0.05 and 0.03 */
  readonly faults?: { readonly refused: number; readonly dropped: number } | undefined
}

/**
 * `kill` is SIGKILL; `pause` is SIGSTOP for longer than a lease, and then SIGCONT; `hang` is a loop for as long that lets
 * nothing else happen, with all connections open; `restart` stops the server in immediate mode and starts it again; `cut`
 * resets all connections to the server, which lives on, and refuses new ones for a moment.
 */
export type Strike = "kill" | "pause" | "hang" | "restart" | "cut"

export interface Ending {
  readonly story: string
  /** The database, with its version. */
  readonly engine: string
  readonly strikes: Readonly<Record<Strike, number>>
  /** Messages of which a call had resolved, as heard by the story. */
  readonly acknowledged: number
  /** Of those, how many the peer has not taken in, and the database does not hold any more. */
  readonly lost: number
  /** Times that the peer took in what it had taken in before. */
  readonly duplicates: number
  /** How many of these can be explained. */
  readonly bound: number
  /** Messages whose first arrival was before that of one of the same user that had been acknowledged before. */
  readonly disorder: number
  /** Acknowledged messages a second, from the first start until everything was delivered. */
  readonly rate: number
  /** What else is wrong: must be empty. */
  readonly problems: ReadonlyArray<string>
}

/** Whether a story ended as it must. */
export const isGood = ({ bound, disorder, duplicates, lost, problems }: Ending): boolean =>
  lost === 0 && disorder === 0 && duplicates <= bound && problems.length === 0

/** Messages in a request. */
const batch = 50

/**
 * What can come twice, for each strike.
 * - A kill of the relay that delivers: the batch in flight, whose answer was there or on its way.
 * - A pause or a hang longer than the lease: that batch, once more if its answer was missed, and the next one, which was formed.
 * - A restart of the server, or a cut of its connections: what was delivered meanwhile and could not be deleted. No more is sent
 *   once the leadership is not confirmed any more, so that is the batch in flight of each relay.
 */
const twice = { kill: batch, pause: 3 * batch, hang: 3 * batch, restart: 2 * batch, cut: 2 * batch } as const

// ---------------------------------------------------------------------------------------------------------------------
// Where the messages wait
// ---------------------------------------------------------------------------------------------------------------------

/** The database of a story, as its operator sees it. */
interface Place extends AsyncDisposable {
  /** The database, with its version. */
  readonly engine: string
  /** What the actors are given. */
  readonly address: string
  /** How many messages wait. */
  readonly pending: () => Promise<number>
  /** The ids of those that wait. */
  readonly waiting: () => Promise<ReadonlyArray<string>>
  readonly restart: () => Promise<void>
  readonly cut: () => Promise<void>
  /** What is wrong with it when all is over. */
  readonly problems: () => Promise<ReadonlyArray<string>>
  /** The ids of the rows that the program wrote together with messages. */
  readonly orders: () => Promise<ReadonlyArray<string>>
}

const leftovers = (waiting: number, dead: number): ReadonlyArray<string> => [
  ...(waiting > 0 ? [`${waiting} messages are left`] : []),
  ...(dead > 0 ? [`${dead} dead letters`] : [])
]

const onFile = (): Place => {
  const address = Fs.mkdtempSync(Path.join(Os.tmpdir(), "effect-analytics-crash-"))
  const file = Path.join(address, "outbox.db")
  const askAll = <A>(sql: string): ReadonlyArray<A> => {
    using database = new DatabaseSync(file, { timeout: 5_000 })
    return database
      .prepare(sql)
      .all()
      .map((row) => Object.values(row)[0] as A)
  }
  const ask = <A>(sql: string): A => askAll<A>(sql)[0] as A
  const count = (table: string) => ask<number>(`SELECT count(*) FROM ${table}`)
  return {
    engine: `SQLite ${process.versions.sqlite}`,
    address,
    pending: async () => count("analytics_outbox"),
    waiting: async () => askAll("SELECT message_id FROM analytics_outbox"),
    restart: () => Promise.reject(new Error("a file is not restarted")),
    cut: () => Promise.reject(new Error("a file has no connections")),
    problems: async () => {
      const strangers = Fs.readdirSync(address).filter((name) => name.includes("corrupt"))
      const check = ask<string>("PRAGMA integrity_check")
      return [
        ...strangers.map((name) => `${name} was set aside`),
        ...(check === "ok" ? [] : [`integrity_check: ${check}`]),
        ...leftovers(count("analytics_outbox"), count("analytics_outbox_dead"))
      ]
    },
    orders: async () => [],
    [Symbol.asyncDispose]: async () => Fs.rmSync(address, { recursive: true, force: true })
  }
}

const onServer = async (server: Postgres): Promise<Place> => {
  const address = await server.database()
  const proxy = await Proxy.start(address)
  const ask = <A>(statement: string): Promise<ReadonlyArray<A>> =>
    Effect.runPromise(
      Effect.flatMap(PgClient.makeClient({ url: Redacted.make(address) }), (sql) =>
        Effect.map(sql.unsafe(statement), (rows) => rows as ReadonlyArray<A>)
      ).pipe(Effect.scoped, Effect.provide(Reactivity.layer))
    )
  const count = async (table: string) =>
    (await ask<{ count: number }>(`SELECT count(*)::int AS count FROM ${table}`))[0]?.count ?? 0
  await ask("CREATE TABLE orders (id text PRIMARY KEY)")
  const [version] = await ask<{ server_version: string }>("SHOW server_version")
  return {
    engine: `PostgreSQL ${version?.server_version}`,
    address: proxy.address,
    pending: () => count("analytics_outbox"),
    waiting: async () =>
      (await ask<{ id: string }>("SELECT message_id AS id FROM analytics_outbox")).map(({ id }) => id),
    restart: () => server.restart("immediate"),
    cut: () => proxy.cut(),
    problems: async () => leftovers(await count("analytics_outbox"), await count("analytics_outbox_dead")),
    orders: async () => (await ask<{ id: string }>("SELECT id FROM orders")).map(({ id }) => id),
    [Symbol.asyncDispose]: () => proxy.stop()
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// How it goes
// ---------------------------------------------------------------------------------------------------------------------

/** How long the end of a story may take without any progress: much longer than it does. */
const patience = 90_000

export interface Options {
  readonly programs: Programs
  readonly seed: number
  readonly strikes: number
  /** The server of those stories that don't restart it. @default one for this story alone */
  readonly server?: Postgres
}

/** Plays a story until chance has struck so many times, and compares the books. */
export const play = async (story: Story, { programs, seed, server, strikes }: Options): Promise<Ending> => {
  const chance = chances(seed)
  const { dropped, refused } = story.faults ?? { refused: 0.05, dropped: 0.03 }
  let answersLost = 0
  const answer = (): Answer => {
    const one = chance()
    if (one < refused) return 503
    if (one >= refused + dropped) return 200
    answersLost++
    return "reset after"
  }
  await using sink = await FaultSink.start({ otherwise: answer, remember: false })
  const fsync = story.strikes.includes("restart")
  const isEmbedded = story.cast.embedded !== undefined
  await using own = isEmbedded || (server !== undefined && !fsync) ? undefined : await Postgres.start({ fsync })
  const shared = own ?? server
  await using place = isEmbedded || shared === undefined ? onFile() : await onServer(shared)

  const maxInFlight = story.maxInFlight ?? 1
  // Where nothing strikes, a slow machine must not look like a strike.
  const isQuiet = story.strikes.length === 0
  const slow = 60_000
  const pauses = story.strikes.some((strike) => strike === "pause" || strike === "hang")
  const life = {
    // Many messages in a short life, and not as many as the machine can write: a strike has to hit all kinds of moments.
    pause: pauses || !isEmbedded ? 100 : 5,
    transactional: story.transactional,
    host: sink.host,
    place: place.address,
    outbox: { lease: isQuiet ? slow : pauses ? 1_500 : 2_500, pollInterval: 100, maxInFlight },
    delivery: { batchSize: batch, maxInFlight },
    requestTimeout: isQuiet ? slow : pauses ? 1_000 : 2_000
  } satisfies Partial<Life>

  const problems: Array<string> = []
  const acknowledged = new Map<string, Array<string>>()
  let count = 0
  const hear = (line: string) => {
    const [user = "", ...rest] = line.split("/")
    if (rest.length === 0) return
    const theirs = acknowledged.get(user)
    if (theirs === undefined) acknowledged.set(user, [line])
    else theirs.push(line)
    count++
  }

  await using stack = new AsyncDisposableStack()
  const actors = Object.entries(story.cast).flatMap(([role, number]) =>
    Array.from({ length: number }, (_, n) => stack.use(new Actor(programs, role as Role, `${role}${n + 1}`, hear)))
  )
  const delivering = actors.filter(({ role }) => role !== "writer")
  const struck = new Set<Actor>()
  let over = false

  const begin = (actor: Actor): void => {
    const users = actor.role === "relay" ? [] : Array.from({ length: 12 }, (_, n) => `${actor.name}-${n + 1}`)
    actor.start({ ...life, users }, { seed })
    void actor.ended.then(({ code, output, signal }) => {
      if (over) return
      if (!struck.delete(actor)) problems.push(`${actor.name} ended by itself (${signal ?? code}): ${output}`)
      begin(actor)
    })
  }

  const startedAt = performance.now()
  for (const actor of actors) begin(actor)
  await Promise.all(actors.map((actor) => actor.said("ready")))

  const counts = { kill: 0, pause: 0, hang: 0, restart: 0, cut: 0 }
  let bound = 0
  const paused = new Map<Actor, Promise<void>>()
  const one = <A>(of: ReadonlyArray<A>): A => of[Math.floor(chance() * of.length)] as A

  const strike = async (number: number): Promise<void> => {
    const kind = story.strikes[number % story.strikes.length]
    if (kind === undefined) return
    counts[kind]++
    if (kind === "restart" || kind === "cut") {
      bound += twice[kind] * (story.cast.relay ?? 0)
      await place[kind]()
      return
    }
    const able = (kind === "kill" ? actors : delivering).filter((actor) => !paused.has(actor))
    const actor = one(able)
    if (actor.role !== "writer") bound += twice[kind] * maxInFlight
    if (kind === "pause" || kind === "hang") {
      const millis = life.outbox.lease + 500 + chance() * 1_000
      if (kind === "pause") actor.signal("SIGSTOP")
      else actor.order({ hang: millis })
      const end = sleep(millis).then(() => {
        if (kind === "pause") actor.signal("SIGCONT")
        paused.delete(actor)
      })
      paused.set(actor, end)
      // Half of those who deliver are left.
      if (paused.size * 2 >= delivering.length) await Promise.race(paused.values())
      return
    }
    // Now and then in the middle of its start.
    if (chance() < 0.8) await actor.said("ready")
    await sleep(chance() * 300)
    if (actor.pid === undefined) return
    struck.add(actor)
    actor.signal("SIGKILL")
    await actor.ended
  }

  for (let n = 0; n < strikes; n++) {
    await sleep(chance() * 200)
    await strike(n)
  }
  await Promise.all(paused.values())

  // Everything that was promised is delivered, and the actors end as they would on any day.
  await Promise.all(actors.map((actor) => actor.said("ready")))
  over = true
  const writers = actors.filter(({ role }) => role !== "relay")
  for (const writer of writers) writer.order("stop writing")
  const inTime = async <A>(what: string, wait: Promise<A>): Promise<A | undefined> => {
    const answer = await Promise.race([wait, sleep(patience, "late", { ref: false })])
    if (answer !== "late") return answer as A
    problems.push(`${what} did not end`)
    return undefined
  }
  await Promise.all(writers.map((writer) => inTime(writer.name, writer.said("written"))))
  let fewest = Number.POSITIVE_INFINITY
  for (let since = performance.now(); performance.now() - since < patience; await sleep(50)) {
    const pending = await place.pending()
    if (pending === 0) break
    if (pending < fewest) since = performance.now()
    fewest = Math.min(fewest, pending)
  }
  const seconds = (performance.now() - startedAt) / 1_000
  for (const actor of delivering) actor.signal("SIGTERM")
  for (const actor of actors) {
    const ended = await inTime(actor.name, actor.ended)
    if (ended !== undefined && ended.code !== 0) {
      problems.push(`${actor.name} ended with ${ended.signal ?? ended.code}: ${ended.output}`)
    }
  }

  // -------------------------------------------------------------------------------------------------------------------
  // The books
  // -------------------------------------------------------------------------------------------------------------------

  const waiting = new Set(await place.waiting())
  let lost = 0
  let disorder = 0
  for (const [user, promised] of acknowledged) {
    const at = new Map(sink.userOrder(user).map((id, index) => [id, index]))
    let latest = -1
    for (const id of promised) {
      if ((sink.counts.get(id)?.taken ?? 0) === 0 && !waiting.has(id)) lost++
      const index = at.get(id) ?? latest
      if (index < latest) disorder++
      latest = Math.max(latest, index)
    }
  }
  problems.push(...(await place.problems()), ...sink.totals().malformed)
  if (story.transactional === true) {
    const rows = new Set(await place.orders())
    const taken = new Set(sink.takenIds())
    const lonely = [...rows].filter((id) => !taken.has(id)).length
    const unwanted = [...taken].filter((id) => !rows.has(id)).length
    if (lonely > 0) problems.push(`${lonely} rows without their message`)
    if (unwanted > 0) problems.push(`${unwanted} messages without their row`)
  }
  return {
    story: story.name,
    engine: place.engine,
    strikes: counts,
    acknowledged: count,
    lost,
    duplicates: sink.totals().duplicates,
    bound: bound + answersLost * batch,
    disorder,
    rate: Math.round(count / seconds),
    problems
  }
}
