/**
 * The outbox over a database: hands out what this relay may deliver, removes what is settled, and keeps itself in order.
 *
 * A message is in the database from the moment its call resolves until it is settled. What a relay has taken it holds in
 * memory as well; if it dies, the lease on its lanes ends, and another one reads the same messages again.
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { Closed, DeliveryError, type LossReason, OutboxUnavailable } from "../AnalyticsError.ts"
import type { Message } from "../Message.ts"
import * as Outbox from "../Outbox.ts"
import * as Outcome from "../Outcome.ts"
import * as Time from "../Time.ts"
import { Backlog, type Bound } from "./Backlog.ts"
import type { Database, Fault } from "./Database.ts"
import { Flushes } from "./Flushes.ts"
import { Held, seqsOf } from "./Held.ts"
import { Lanes } from "./Lanes.ts"
import * as Loop from "./Loop.ts"
import * as Offers from "./Offers.ts"
import { Reader } from "./Reader.ts"
import type { Death, Entry } from "./Tables.ts"

export interface Settings extends Bound {
  readonly overflow: Outbox.Overflow
  /** What this process does: write what is called, deliver, or both. */
  readonly role: "both" | "writer" | "relay"
  /** Times in milliseconds. */
  readonly lease: number
  readonly pollInterval: number
  readonly maxAge: number
  readonly maxDead: number
  readonly maxDeadAge: number
}

export interface Store {
  readonly outbox: Outbox.Outbox["Service"]
  /** Removes messages that somebody wants erased; answers how many were there. */
  readonly erase: (entries: ReadonlyArray<Entry>) => Effect.Effect<number, Fault>
  /** Looks at the database again: somebody has changed it. */
  readonly refresh: Effect.Effect<void, Fault>
  /** How many lanes are ours. */
  readonly lanesHere: () => number
}

const Trouble = Schema.fromJsonString(Schema.Struct({ retries: Schema.Int, resumeAt: Schema.Finite }))
const readTrouble = Schema.decodeUnknownOption(Trouble)

/** Milliseconds between two times of putting things in order. */
const upkeepInterval = 30_000
/** Messages that are settled and could not be removed: with more, nothing more is read. */
const maxLeftovers = 1_000
/** Milliseconds between two counts of what waits; and what part of the time they may take. */
const countInterval = 10_000
const countShare = 1 / 100

export const make = Effect.fnUntraced(function* (
  database: Database,
  settings: Settings
): Effect.fn.Return<Store, Fault, Scope.Scope> {
  const { lease, maxAge, pollInterval, role } = settings
  const { ask, askHere, lanes: total, place, tables } = database
  const delivers = role !== "writer"
  const tell = yield* Outcome.makeTell
  const relay = nameOf(place.address)
  const backlog = new Backlog(settings)
  const held = new Held()
  const lanes = new Lanes(tables, { relay, lease, total, isGone: place.isGone })
  const reader = new Reader(database, lanes, held)
  const flushes = new Flushes(database, held, lanes)
  const some = Latch.makeUnsafe()
  /** What is evicted or erased is not handed out at the same time. */
  const turn = yield* Semaphore.make(1)
  const counts = { delivered: 0, dropped: 0 }

  const pending = () => Math.max(0, backlog.count - held.leftovers.size) + held.displaced.length
  if (role !== "relay") yield* Outcome.watchDepth(pending)

  database.onReplaced(() => {
    lanes.forget()
    reader.forget()
    held.displace()
    flushes.displace()
    backlog.set(0, 0)
    some.openUnsafe()
  })

  // -------------------------------------------------------------------------------------------------------------------
  // Ends of messages
  // -------------------------------------------------------------------------------------------------------------------

  /** Removes what is at these places, or makes dead letters of it; if it can't be, it is left for later. */
  const remove = (seqs: ReadonlyArray<number>, death: Death | undefined): Effect.Effect<void, Fault> => {
    if (seqs.length === 0) return Effect.void
    const era = database.era()
    return Effect.matchEffect(askHere(death === undefined ? tables.remove(seqs) : tables.bury(seqs, death)), {
      onSuccess: (removed) =>
        Effect.sync(() => {
          backlog.removed(removed)
          held.wereRemoved(seqs)
        }),
      onFailure: (fault) => {
        if (database.era() === era) held.areLeft(seqs, death)
        return Effect.fail(fault)
      }
    })
  }

  const end = Effect.fnUntraced(function* (outcome: Outcome.Settled, entries: ReadonlyArray<Entry>) {
    const ended = outcome._tag === "Delivered" ? "delivered" : "dropped"
    counts[ended] += outcome.messages.length
    flushes.count(
      entries.map(({ seq }) => seq),
      ended
    )
    yield* tell(outcome)
  })

  const settle: Outbox.Outbox["Service"]["settle"] = (outcome) =>
    Effect.uninterruptible(
      Effect.suspend(() => {
        const entries = held.letGo(outcome.messages)
        const messages = entries.map((entry) => entry.message)
        if (!Arr.isArrayNonEmpty(messages)) return Effect.void
        const removed = remove(seqsOf(entries), deathOf(outcome))
        const ended = Effect.andThen(Effect.ignore(removed), end({ ...outcome, messages }, entries))
        return Effect.andThen(flushes.during(ended), flushes.resolve)
      })
    )

  const lose = (entries: Arr.NonEmptyReadonlyArray<Entry>, reason: LossReason) =>
    end(
      Outcome.Outcome.Dropped({
        messages: Arr.map(entries, (entry) => entry.message),
        error: new DeliveryError({ reason, attempts: 0 })
      }),
      entries
    )

  const dueOf = Effect.fnUntraced(function* (messages: ReadonlyArray<Message>) {
    const now = yield* Clock.currentTimeMillis
    const outdated = messages.filter((message) => now - (held.get(message)?.createdAt ?? now) > maxAge)
    if (Arr.isArrayNonEmpty(outdated)) {
      const error = new DeliveryError({ reason: "outdated", attempts: 0 })
      yield* settle(Outcome.Outcome.Dropped({ messages: outdated, error }))
    }
    // What was erased is not held any more.
    return messages.filter((message) => held.get(message) !== undefined)
  })

  /** Removes what was left when the database was away, many at a time. */
  const clear = Effect.suspend(() => {
    const byDeath = Map.groupBy(held.leftovers, ([, death]) => death)
    const chunks = Array.from(byDeath).flatMap(([death, some]) =>
      Arr.chunksOf(some, maxLeftovers).map((chunk) => ({ death, seqs: chunk.map(([seq]) => seq) }))
    )
    return Effect.forEach(chunks, ({ death, seqs }) => remove(seqs, death), { discard: true })
  })

  /** Removes messages for a reason that is told: those that were there, and not settled. */
  const discard = (
    find: (known: ReadonlyArray<number>) => Effect.Effect<ReadonlyArray<Entry>, Fault>,
    reason: LossReason
  ) =>
    Effect.gen(function* () {
      // What was read ahead would be handed out.
      reader.forget()
      const found = yield* find(held.known)
      const entries = found.filter(({ seq }) => !held.leftovers.has(seq))
      backlog.removed(found.map(({ message }) => message))
      const seqs = seqsOf(found)
      held.wereRemoved(seqs)
      held.letGoOf(new Set(seqs))
      if (Arr.isReadonlyArrayNonEmpty(entries)) yield* lose(entries, reason)
      return entries.length
    }).pipe(
      flushes.during,
      turn.withPermits(1),
      Effect.tap(() => flushes.resolve)
    )

  /** Why the outbox is stopped: one of its loops has ended. */
  let stopped: OutboxUnavailable | undefined

  /** Stops everything: calls fail, flushes resolve, and nothing more is handed out. */
  const stop: Loop.OnDefect = (error, cause) =>
    Effect.suspend(() => {
      stopped ??= error
      backlog.refuseWaiters()
      flushes.abandon()
      some.openUnsafe()
      return log(`${error.message}: calls fail, and ${pending()} messages wait for the next start`, cause)
    })

  // -------------------------------------------------------------------------------------------------------------------
  // The way in, and out
  // -------------------------------------------------------------------------------------------------------------------

  const offers = yield* Offers.make(database, {
    backlog,
    held,
    overflow: settings.overflow,
    lanes: total,
    onWritten: () => some.openUnsafe(),
    onDefect: stop,
    stopped: () => stopped,
    evict: (count) => discard((known) => askHere(tables.evict(count, known)), "evicted")
  })

  let failing = false
  /** A database that is away is said once, until it is back. */
  const watched = <A>(work: Effect.Effect<A, Fault>): Effect.Effect<A, Fault> =>
    Effect.matchEffect(work, {
      onSuccess: (value) => {
        failing = false
        return Effect.succeed(value)
      },
      onFailure: (fault) => {
        const said = failing ? Effect.void : log(`${fault.message}: deliveries wait`)
        failing = true
        return Effect.andThen(said, Effect.fail(fault))
      }
    })

  /** The next messages; nothing while the database is away, or can't be written. */
  const next = (max: number): Effect.Effect<ReadonlyArray<Entry> | undefined> =>
    held.leftovers.size >= maxLeftovers
      ? Effect.undefined
      : turn.withPermits(1)(
          Effect.map(
            Effect.orElseSucceed(watched(reader.next(max)), () => undefined),
            (entries) => {
              held.take(entries ?? [])
              return entries
            }
          )
        )

  /** Whether nothing is left that this relay could take. */
  const isDrained = Effect.gen(function* () {
    yield* offers.committed
    const waits = ask(tables.waits(Number.MAX_SAFE_INTEGER, held.known, relay))
    return yield* Effect.orElseSucceed(
      Effect.map(waits, (some) => !some),
      () => false
    )
  })

  const take: Outbox.Outbox["Service"]["take"] = Effect.fnUntraced(function* (max) {
    while (true) {
      // Closed before we look: what is written meanwhile opens it again.
      if (stopped !== undefined) return yield* Cause.done()
      some.closeUnsafe()
      const entries = delivers ? yield* next(max) : []
      const messages = yield* dueOf(entries?.map((entry) => entry.message) ?? [])
      if (Arr.isReadonlyArrayNonEmpty(messages)) return messages as Arr.NonEmptyArray<Message>
      if (entries !== undefined && entries.length > 0) continue
      if (offers.isClosed() && (!delivers || (entries !== undefined && (yield* isDrained)))) return yield* Cause.done()
      yield* some.await
    }
  })

  /** Asks again until there is an answer. */
  const persist = <A>(question: Effect.Effect<A, Fault>): Effect.Effect<A> =>
    Effect.catch(watched(question), () => Effect.andThen(Effect.sleep(pollInterval), persist(question)))

  const flush: Effect.Effect<Outbox.Flushed> = Effect.gen(function* () {
    yield* offers.committed
    if (!delivers) return { delivered: 0, dropped: 0 }
    const flushing = yield* persist(Effect.suspend(() => flushes.begin()))
    some.openUnsafe()
    yield* flushes.resolve
    return yield* flushing.end
  })

  // -------------------------------------------------------------------------------------------------------------------
  // Upkeep
  // -------------------------------------------------------------------------------------------------------------------

  let countedAt = Number.NEGATIVE_INFINITY
  let countTook = 0
  let keptUpAt = Number.NEGATIVE_INFINITY

  const count = Effect.gen(function* () {
    const start = yield* Time.elapsed
    const changes = backlog.changes
    const tally = yield* ask(tables.tally)
    countedAt = yield* Time.elapsed
    countTook = countedAt - start
    // What changed while it was counted may be in it or not.
    if (backlog.changes === changes || backlog.isStale) backlog.set(tally.count, tally.bytes)
    else backlog.isStale = true
  })

  const keepUp = Effect.gen(function* () {
    if (delivers) {
      yield* ask(tables.purgeDead((yield* Clock.currentTimeMillis) - settings.maxDeadAge))
      yield* ask(tables.boundDead(settings.maxDead))
    }
    yield* Effect.ignoreCause(Effect.sync(place.tidy))
  })

  const tick = Effect.gen(function* () {
    const now = yield* Time.elapsed
    if (delivers && lanes.isDue(now) && held.size > 0) yield* ask(lanes.refresh(held.lanes))
    if (held.leftovers.size > 0) yield* clear
    // Who waits for room that others make learns of it by counting only.
    const interval = backlog.hasWaiters ? pollInterval : delivers ? countInterval : 3 * countInterval
    if (now - countedAt >= Math.max(interval, countTook / countShare)) yield* count
    if (now - keptUpAt >= upkeepInterval) {
      keptUpAt = now
      yield* keepUp
    }
    yield* flushes.resolve
    some.openUnsafe()
  })

  yield* count
  yield* Time.unattended(
    Loop.fork("maintenance", Effect.andThen(Effect.sleep(pollInterval), Effect.ignoreCause(watched(tick))), stop)
  )

  const abandon = Effect.gen(function* () {
    // In no database: there is no next life for these.
    const displaced = held.letGo(held.displaced)
    if (Arr.isReadonlyArrayNonEmpty(displaced)) yield* lose(displaced, "closed")
    held.forget()
    reader.forget()
    yield* Effect.ignore(clear)
    if (delivers) yield* Effect.ignore(ask(lanes.leave))
    flushes.abandon()
  })
  yield* Effect.addFinalizer(() => abandon)

  return {
    outbox: Outbox.Outbox.of({
      offer: offers.offer,
      offerUnsafe: () => (offers.isClosed() ? new Closed() : new OutboxUnavailable({ problem: "takes time to write" })),
      take,
      isEmpty: () => reader.size === 0,
      settle,
      flush,
      hurried: flushes.hurried,
      close: Effect.andThen(
        offers.close,
        Effect.sync(() => {
          flushes.close()
          some.openUnsafe()
        })
      ),
      abandon: () => abandon,
      counts: Effect.sync(() => {
        const { delivered, dropped } = counts
        const waiting = pending()
        return {
          accepted: delivered + dropped + waiting,
          pending: waiting,
          pendingBytes: backlog.bytes,
          taken: held.size,
          delivered,
          dropped
        }
      }),
      lasting: {
        dueOf,
        remember: (trouble) =>
          Effect.ignore(ask(tables.set("trouble", trouble === undefined ? undefined : JSON.stringify(trouble)))),
        recall: Effect.map(
          Effect.orElseSucceed(ask(tables.get("trouble")), () => undefined),
          (text) => Option.getOrUndefined(readTrouble(text))
        )
      }
    }),
    erase: Effect.fnUntraced(function* (entries: ReadonlyArray<Entry>) {
      const seqs = seqsOf(entries)
      if (seqs.length === 0) return 0
      const gone = Effect.map(askHere(tables.remove(seqs)), (removed) => {
        const places = new Set(removed.map(({ seq }) => seq))
        return entries.filter(({ seq }) => places.has(seq))
      })
      return yield* discard(() => gone, "erased")
    }),
    refresh: Effect.andThen(
      count,
      Effect.sync(() => some.openUnsafe())
    ),
    lanesHere: () => lanes.readable.length
  }
})

/** A name that no other relay has; for others it begins with an address. */
const nameOf = (address: string): string => `${address}/${crypto.randomUUID()}`

const log = (...lines: ReadonlyArray<unknown>) =>
  Effect.ignoreCause(Effect.annotateLogs(Effect.logError(...lines), { module: "effect-analytics" }))

/** What is rejected, or lost by a mistake of ours, is kept as a dead letter; all else is gone when it is settled. */
const deathOf = (outcome: Outcome.Settled): Death | undefined => {
  if (outcome._tag === "Delivered") return undefined
  const { attempts, reason, status } = outcome.error
  return reason === "rejected" || reason === "broken" ? { reason, status, attempts } : undefined
}
