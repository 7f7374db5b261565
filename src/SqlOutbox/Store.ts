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
  /** Removes messages that somebody wants erased. */
  readonly erase: (entries: ReadonlyArray<Entry>) => Effect.Effect<void, Fault>
  /** Looks at the database again: somebody has changed it. */
  readonly refresh: Effect.Effect<void, Fault>
  /** How many lanes are ours. */
  readonly lanesHere: () => number
}

const Trouble = Schema.fromJsonString(Schema.Struct({ retries: Schema.Int, resumeAt: Schema.Finite }))
const readTrouble = Schema.decodeUnknownOption(Trouble)

/** Milliseconds between two times of putting things in order. */
const upkeepInterval = 30_000
/** Milliseconds between two counts of what waits; and what part of the time they may take. */
const countInterval = 10_000
const countShare = 1 / 100

export const make = Effect.fnUntraced(function* (
  database: Database,
  settings: Settings
): Effect.fn.Return<Store, Fault, Scope.Scope> {
  const { lease, maxAge, pollInterval, role } = settings
  const { ask, place, tables } = database
  const delivers = role !== "writer"
  const tell = yield* Outcome.makeTell
  const total = yield* ask(tables.countLanes)
  const relay = nameOf(place.address)
  const backlog = new Backlog(settings)
  const held = new Held()
  const lanes = new Lanes(tables, { relay, lease, total, isGone: place.isGone })
  const reader = new Reader(database, lanes, held)
  const flushes = new Flushes(database, held)
  const some = Latch.makeUnsafe()
  const counts = { delivered: 0, dropped: 0 }

  const pending = () => Math.max(0, backlog.count - held.leftovers.size)
  if (role !== "relay") yield* Outcome.watchDepth(pending)

  database.onReplaced(() => {
    lanes.forget()
    reader.forget()
    held.displace()
    backlog.set(0, 0)
    some.openUnsafe()
  })

  // -------------------------------------------------------------------------------------------------------------------
  // Ends of messages
  // -------------------------------------------------------------------------------------------------------------------

  /** Removes what is at these places, or makes dead letters of it; if it can't be, it is left for later. */
  const remove = (seqs: ReadonlyArray<number>, death: Death | undefined): Effect.Effect<void, Fault> => {
    if (seqs.length === 0) return Effect.void
    return Effect.matchEffect(ask(death === undefined ? tables.remove(seqs) : tables.bury(seqs, death)), {
      onSuccess: (sizes) =>
        Effect.sync(() => {
          backlog.removed(sizes)
          held.wereRemoved(seqs)
        }),
      onFailure: (fault) => {
        held.areLeft(seqs, death)
        return Effect.fail(fault)
      }
    })
  }

  const end = Effect.fnUntraced(function* (outcome: Outcome.Settled, seqs: ReadonlyArray<number>) {
    const ended = outcome._tag === "Delivered" ? "delivered" : "dropped"
    counts[ended] += outcome.messages.length
    flushes.count(seqs, ended)
    yield* tell(outcome)
    yield* flushes.resolve
  })

  const settle: Outbox.Outbox["Service"]["settle"] = (outcome) =>
    Effect.uninterruptible(
      Effect.suspend(() => {
        const entries = held.letGo(outcome.messages)
        const messages = entries.map((entry) => entry.message)
        if (!Arr.isArrayNonEmpty(messages)) return Effect.void
        const seqs = seqsOf(entries)
        return Effect.andThen(Effect.ignore(remove(seqs, deathOf(outcome))), end({ ...outcome, messages }, seqs))
      })
    )

  const lose = (entries: Arr.NonEmptyReadonlyArray<Entry>, reason: LossReason) =>
    end(
      Outcome.Outcome.Dropped({
        messages: Arr.map(entries, (entry) => entry.message),
        error: new DeliveryError({ reason, attempts: 0 })
      }),
      seqsOf(entries)
    )

  const unexpired = Effect.fnUntraced(function* (messages: ReadonlyArray<Message>) {
    if (maxAge === Number.POSITIVE_INFINITY) return messages
    const now = yield* Clock.currentTimeMillis
    const outdated = messages.filter((message) => now - (held.get(message)?.createdAt ?? now) > maxAge)
    if (!Arr.isArrayNonEmpty(outdated)) return messages
    const error = new DeliveryError({ reason: "outdated", attempts: 0 })
    yield* settle(Outcome.Outcome.Dropped({ messages: outdated, error }))
    return messages.filter((message) => held.get(message) !== undefined)
  })

  /** Removes what was left when the database was away. */
  const clear = Effect.suspend(() => Effect.forEach(held.leftovers, ([seq, death]) => remove([seq], death)))

  // -------------------------------------------------------------------------------------------------------------------
  // The way in, and out
  // -------------------------------------------------------------------------------------------------------------------

  const offers = yield* Offers.make(database, {
    backlog,
    held,
    overflow: settings.overflow,
    lanes: total,
    onWritten: () => some.openUnsafe(),
    evicted: (entries) => {
      reader.forget()
      return lose(entries, "evicted")
    }
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

  const next = (max: number) =>
    delivers ? Effect.orElseSucceed(watched(reader.next(max)), (): ReadonlyArray<Entry> => []) : Effect.succeed([])

  const take: Outbox.Outbox["Service"]["take"] = Effect.fnUntraced(function* (max) {
    while (true) {
      // Closed before we look: what is written meanwhile opens it again.
      some.closeUnsafe()
      const entries = yield* next(max)
      held.take(entries)
      const messages = yield* unexpired(entries.map((entry) => entry.message))
      if (Arr.isReadonlyArrayNonEmpty(messages)) return messages as Arr.NonEmptyArray<Message>
      if (entries.length > 0) continue
      if (offers.isClosed()) return yield* Cause.done()
      yield* some.await
    }
  })

  /** Asks again until there is an answer. */
  const persist = <A>(question: Effect.Effect<A, Fault>): Effect.Effect<A> =>
    Effect.catch(watched(question), () => Effect.andThen(Effect.sleep(pollInterval), persist(question)))

  const flush: Effect.Effect<Outbox.Flushed> = Effect.gen(function* () {
    yield* offers.committed
    if (!delivers) return { delivered: 0, dropped: 0 }
    const flushing = yield* persist(flushes.begin())
    some.openUnsafe()
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
    if (now - countedAt >= Math.max(countInterval, countTook / countShare) || backlog.hasWaiters) yield* count
    if (now - keptUpAt >= upkeepInterval) {
      keptUpAt = now
      yield* keepUp
    }
    yield* flushes.resolve
    some.openUnsafe()
  })

  yield* count
  yield* Effect.forkScoped(
    Time.unattended(Effect.forever(Effect.andThen(Effect.sleep(pollInterval), Effect.ignoreCause(watched(tick)))))
  )

  const abandon = Effect.gen(function* () {
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
        Effect.sync(() => some.openUnsafe())
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
        unexpired,
        remember: (trouble) =>
          Effect.ignore(ask(tables.set("trouble", trouble === undefined ? undefined : JSON.stringify(trouble)))),
        recall: Effect.map(
          Effect.orElseSucceed(ask(tables.get("trouble")), () => undefined),
          (text) => Option.getOrUndefined(readTrouble(text))
        )
      }
    }),
    erase: Effect.fnUntraced(function* (entries: ReadonlyArray<Entry>) {
      if (!Arr.isReadonlyArrayNonEmpty(entries)) return
      const seqs = seqsOf(entries)
      yield* remove(seqs, undefined)
      held.letGoOf(new Set(seqs))
      reader.forget()
      yield* lose(entries, "erased")
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

const log = (line: string) =>
  Effect.ignoreCause(Effect.annotateLogs(Effect.logError(line), { module: "effect-analytics" }))

/** What is rejected, or lost by a mistake of ours, is kept as a dead letter; all else is gone when it is settled. */
const deathOf = (outcome: Outcome.Settled): Death | undefined => {
  if (outcome._tag === "Delivered") return undefined
  const { attempts, reason, status } = outcome.error
  return reason === "rejected" || reason === "broken" ? { reason, status, attempts } : undefined
}
