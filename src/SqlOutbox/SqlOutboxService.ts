/**
 * The outbox over a database: hands out messages if this process is the leader, deletes what is settled, and maintains itself.
 *
 * A message is in the database from the moment its call resolves until it is settled. If the leader dies, another relay reads
 * the same messages again.
 */
import { createHash } from "node:crypto"
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { Closed, DeliveryError, InvalidSetting, type LossReason, OutboxUnavailable } from "../AnalyticsError.ts"
import { log } from "../internal/Log.ts"
import * as Notifier from "../internal/Notifier.ts"
import * as Time from "../internal/Time.ts"
import type { Message } from "../Message.ts"
import * as Metrics from "../Metrics.ts"
import * as Outbox from "../Outbox.ts"
import * as Outcome from "../Outcome.ts"
import { type Bound, Capacity } from "./Capacity.ts"
import type { Database, SqlOutboxError } from "./Database.ts"
import { FlushBarriers } from "./FlushBarriers.ts"
import { InFlight, seqsOf } from "./InFlight.ts"
import { Leader } from "./Leader.ts"
import * as Loop from "./Loop.ts"
import { Reader } from "./Reader.ts"
import type { Death, Entry } from "./Tables.ts"
import * as Writer from "./Writer.ts"

export interface Settings extends Bound {
  readonly overflow: Outbox.Overflow
  /** Whether this process writes calls, delivers, or both. */
  readonly role: "both" | "writer" | "relay"
  /** Whether an outbox of another destination becomes one of this. */
  readonly adoptDestination: boolean
  /** Requests that may be in flight at the same time. */
  readonly maxInFlight: number
  /** Times in milliseconds. */
  readonly lease: number
  readonly pollInterval: number
  readonly maxAge: number
  readonly maxDead: number
  readonly maxDeadAge: number
}

export interface SqlOutboxService {
  readonly outbox: Outbox.Outbox["Service"]
  /** Deletes messages on request, and reports them; answers how many were there. */
  readonly erase: (entries: ReadonlyArray<Entry>) => Effect.Effect<number, SqlOutboxError>
  /** Looks at the database again: an operator has changed it. */
  readonly refresh: Effect.Effect<void, SqlOutboxError>
  /** The relay that delivers. */
  readonly leader: Effect.Effect<"here" | "elsewhere" | "none", SqlOutboxError>
  /** Why the outbox is stopped, if it is. */
  readonly stopped: () => OutboxUnavailable | undefined
}

const Trouble = Schema.fromJsonString(Schema.Struct({ retries: Schema.Int, resumeAt: Schema.Finite }))
const readTrouble = Schema.decodeUnknownOption(Trouble)

/** The key of the state by which the destination is known, and what is wrong with another one. */
const destinationKey = "destination"
const otherDestination =
  "belongs to another write key or host: use another file or table, or set adoptDestination to deliver what waits to this one"

/** Pending messages of an outbox, of all processes. */
const pendingTotal = Metric.gauge("analytics_outbox_pending", { description: "Messages that are not settled" })
/** Milliseconds since the oldest of them was written. */
const oldestAge = Metric.gauge("analytics_outbox_oldest_age_ms", { description: "Age of the oldest message" })
/** 1 where the process delivers, 0 where it does not. */
const isLeader = Metric.gauge("analytics_outbox_leader", { description: "Whether this process delivers" })

/** Milliseconds between two maintenances of dead letters and space. */
const maintenanceInterval = 30_000
/** Messages that are settled and could not be deleted: with more, nothing more is read. */
const maxPendingDeletes = 1_000
/** Milliseconds between two counts of the messages; and the part of the time that they may take. */
const countInterval = 10_000
const countShare = 1 / 100
/** Milliseconds between two looks where other processes announce what they write, and between two such announcements. */
const listeningInterval = 10_000
const notifyInterval = 10
/** Milliseconds until a connection that listens is opened again. */
const listenRetry = 1_000

export const make = Effect.fnUntraced(function* (
  database: Database,
  settings: Settings
): Effect.fn.Return<SqlOutboxService, SqlOutboxError, Scope.Scope> {
  const { lease, maxAge, pollInterval, role } = settings
  const { run, runSameGeneration, source, tables } = database
  const delivers = role !== "writer"
  const { close: closeLog, notify: report } = yield* Notifier.make
  const capacity = new Capacity(settings)
  const inFlight = new InFlight()
  const reader = new Reader(database, inFlight, settings.maxInFlight)
  const leader = new Leader(database, {
    name: crypto.randomUUID(),
    lease,
    mayBegin: Effect.suspend(() => claim),
    onLost: () => reader.forget()
  })
  const barriers = new FlushBarriers(database, inFlight, () => leader.isHere)
  /** Open when there may be something to take. */
  const some = Latch.makeUnsafe()
  /** Open when something was settled or given up, since the last question. */
  const settled = Latch.makeUnsafe()

  /** What is evicted or erased is not handed out at the same time. */
  const turn = yield* Semaphore.make(1)
  const counts = { delivered: 0, dropped: 0 }

  const pending = () => Math.max(0, capacity.count - inFlight.pendingDeletes.size) + inFlight.orphaned.length
  if (role !== "relay") yield* Metrics.watchDepth(pending)

  database.onReplaced(() => {
    leader.forget()
    reader.forget()
    inFlight.orphan()
    barriers.orphan()
    capacity.set(0, 0)
    some.openUnsafe()
  })

  // -------------------------------------------------------------------------------------------------------------------
  // Ends of messages
  // -------------------------------------------------------------------------------------------------------------------

  /** Deletes the messages at these places, or makes dead letters of them; what fails is done later. */
  const remove = (seqs: ReadonlyArray<number>, death: Death | undefined): Effect.Effect<void, SqlOutboxError> => {
    if (seqs.length === 0) return Effect.void
    const generation = database.generation()
    const statement = death === undefined ? tables.remove(seqs) : tables.moveToDeadLetters(seqs, death)
    return Effect.matchEffect(runSameGeneration(statement), {
      onSuccess: (removed) =>
        Effect.sync(() => {
          capacity.removed(removed)
          inFlight.wereDeleted(seqs)
        }),
      onFailure: (error) => {
        if (database.generation() === generation) inFlight.deleteLater(seqs, death)
        return Effect.fail(error)
      }
    })
  }

  const end = Effect.fnUntraced(function* (outcome: Outcome.Settled, entries: ReadonlyArray<Entry>) {
    const ended = outcome._tag === "Delivered" ? "delivered" : "dropped"
    counts[ended] += outcome.messages.length
    barriers.count(
      entries.map(({ seq }) => seq),
      ended
    )
    yield* report(outcome)
  })

  const settle: Outbox.Outbox["Service"]["settle"] = (outcome) =>
    Effect.uninterruptible(
      Effect.suspend(() => {
        const entries = inFlight.release(outcome.messages)
        const messages = entries.map((entry) => entry.message)
        if (!Arr.isArrayNonEmpty(messages)) return Effect.void
        const removed = remove(seqsOf(entries), deathOf(outcome))
        const ended = Effect.andThen(Effect.ignore(removed), () => {
          // The group of their users may be handed out, and sent, again.
          settled.openUnsafe()
          if (settings.maxInFlight > 1) some.openUnsafe()
          return end({ ...outcome, messages }, entries)
        })
        return Effect.andThen(barriers.during(ended), barriers.resolve)
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

  /** Drops what is too old; answers with the rest. */
  const dropExpired = Effect.fnUntraced(function* (messages: ReadonlyArray<Message>) {
    const now = yield* Clock.currentTimeMillis
    const outdated = messages.filter((message) => now - (inFlight.get(message)?.createdAt ?? now) > maxAge)
    if (Arr.isArrayNonEmpty(outdated)) {
      const error = new DeliveryError({ reason: "max-age", attempts: 0 })
      yield* settle(Outcome.Outcome.Dropped({ messages: outdated, error }))
    }
    // What was erased, or given up, is not held any more.
    return messages.filter((message) => inFlight.get(message) !== undefined)
  })

  /** Before an attempt: waits for what its users sent before, and leaves everything to the next leader, if there is one. */
  const beforeAttempt = Effect.fnUntraced(function* (messages: ReadonlyArray<Message>) {
    while (settings.maxInFlight > 1 && inFlight.isBlocked(messages, settings.maxInFlight)) {
      settled.closeUnsafe()
      yield* settled.await
    }
    if (!(yield* Effect.orElseSucceed(leader.confirm, () => false))) {
      inFlight.giveUp(messages)
      settled.openUnsafe()
    }
    return yield* dropExpired(messages)
  })

  /** Deletes what could not be deleted before, many at a time. */
  const deletePending = Effect.suspend(() => {
    const byDeath = Map.groupBy(inFlight.pendingDeletes, ([, death]) => death)
    const chunks = Array.from(byDeath).flatMap(([death, some]) =>
      Arr.chunksOf(some, maxPendingDeletes).map((chunk) => ({ death, seqs: chunk.map(([seq]) => seq) }))
    )
    return Effect.forEach(chunks, ({ death, seqs }) => remove(seqs, death), { discard: true })
  })

  /** Deletes messages and reports them as lost: those that were there, and not settled. */
  const discard = (
    find: (known: ReadonlyArray<number>) => Effect.Effect<ReadonlyArray<Entry>, SqlOutboxError>,
    reason: LossReason
  ) =>
    Effect.gen(function* () {
      // What was read ahead would be handed out.
      reader.forget()
      const found = yield* find(inFlight.known)
      const entries = found.filter(({ seq }) => !inFlight.pendingDeletes.has(seq))
      capacity.removed(found.map(({ message }) => message))
      const seqs = seqsOf(found)
      inFlight.wereDeleted(seqs)
      inFlight.releaseAt(new Set(seqs))
      settled.openUnsafe()
      if (Arr.isReadonlyArrayNonEmpty(entries)) yield* lose(entries, reason)
      return entries.length
    }).pipe(
      barriers.during,
      turn.withPermits(1),
      Effect.tap(() => barriers.resolve)
    )

  /** Why the outbox is stopped: one of its loops has ended. */
  let stopped: OutboxUnavailable | undefined

  /** Stops everything: calls fail, flushes resolve, and nothing more is handed out. */
  const stop: Loop.OnDefect = (error, cause) =>
    Effect.suspend(() => {
      stopped ??= error
      capacity.refuseWaiters()
      barriers.abandon()
      some.openUnsafe()
      // Another relay may deliver what this one can't.
      return Effect.andThen(
        Effect.ignoreCause(leader.resign),
        log("Error", `${error.message}: calls fail, and ${pending()} messages wait for the next start`, {
          cause: Cause.pretty(cause)
        })
      )
    })

  /** The fingerprint of the address and the key to which this client delivers. */
  let destination: string | undefined

  /** Whether the outbox is of this destination; one that is of none yet becomes so. */
  const isOurs = Effect.gen(function* () {
    if (destination === undefined) return true
    const found = yield* run(tables.get(destinationKey))
    return found === undefined || found === destination
  })

  /** Makes the outbox one of this destination before anything of it is delivered. */
  const claim = Effect.gen(function* () {
    if (destination !== undefined) yield* run(tables.setOnce(destinationKey, destination))
    if (yield* isOurs) return true
    yield* stop(new OutboxUnavailable({ problem: otherDestination }), Cause.empty)
    return false
  })

  const bind: Outbox.Durable["bind"] = Effect.fnUntraced(function* (given) {
    const fingerprint = createHash("sha256").update(Redacted.value(given)).digest("hex")
    destination = fingerprint
    if (settings.adoptDestination) yield* persist(run(tables.set(destinationKey, fingerprint)))
    // Once: a client that starts at once can't wait for a lock, and the leader does it again.
    yield* Effect.ignore(database.runInTransaction(tables.setOnce(destinationKey, fingerprint)))
    if (!(yield* persist(isOurs))) {
      return yield* new InvalidSetting({ setting: "writeKey", problem: `and host: the outbox ${otherDestination}` })
    }
  })

  // -------------------------------------------------------------------------------------------------------------------
  // The way in, and out
  // -------------------------------------------------------------------------------------------------------------------

  /** Open when other processes are to be told of something new. */
  const news = Latch.makeUnsafe()

  const writer = yield* Writer.make(database, {
    capacity,
    inFlight,
    overflow: settings.overflow,
    onWritten: () => {
      some.openUnsafe()
      if (!leader.isHere) news.openUnsafe()
    },
    onDefect: stop,
    stopped: () => stopped,
    evict: (count) => discard((known) => runSameGeneration(tables.evict(count, known)), "evicted")
  })

  let failing = false
  /** A database that is away is said once, until it is back. */
  const watched = <A>(work: Effect.Effect<A, SqlOutboxError>): Effect.Effect<A, SqlOutboxError> =>
    Effect.matchEffect(work, {
      onSuccess: (value) => {
        failing = false
        return Effect.succeed(value)
      },
      onFailure: (fault) => {
        const said = failing ? Effect.void : log("Error", `${fault.message}: deliveries wait`)
        failing = true
        return Effect.andThen(said, Effect.fail(fault))
      }
    })

  /** The next messages; nothing if this process is not the leader, or the database is away or can't be written. */
  const next = (max: number): Effect.Effect<ReadonlyArray<Entry> | undefined> =>
    inFlight.pendingDeletes.size >= maxPendingDeletes
      ? Effect.undefined
      : Effect.flatMap(leader.confirm, (isLeader) => (isLeader ? reader.next(max) : Effect.undefined)).pipe(
          watched,
          Effect.orElseSucceed(() => undefined),
          Effect.tap((entries) => Effect.sync(() => inFlight.take(entries ?? []))),
          turn.withPermits(1)
        )

  /** Whether nothing is left that this relay would deliver. */
  const isDrained = Effect.gen(function* () {
    yield* writer.committed
    const isDone = Effect.flatMap(leader.isHere ? leader.confirm : leader.refresh, (isLeader) =>
      isLeader
        ? Effect.map(run(tables.hasPending(Number.MAX_SAFE_INTEGER, inFlight.known)), (some) => !some)
        : Effect.succeed(true)
    )
    return yield* Effect.orElseSucceed(isDone, () => false)
  })

  const take: Outbox.Outbox["Service"]["take"] = Effect.fnUntraced(function* (max) {
    while (true) {
      // Closed before we look: what is written meanwhile opens it again.
      if (stopped !== undefined) return yield* Cause.done()
      some.closeUnsafe()
      const entries = delivers ? yield* next(max) : []
      if (entries !== undefined && entries.length > 0) {
        const messages = yield* dropExpired(entries.map((entry) => entry.message))
        if (Arr.isReadonlyArrayNonEmpty(messages)) return messages as Arr.NonEmptyArray<Message>
        continue
      }
      if (writer.isClosed() && (!delivers || (yield* isDrained))) return yield* Cause.done()
      yield* some.await
    }
  })

  /** Asks again until there is an answer. */
  const persist = <A>(question: Effect.Effect<A, SqlOutboxError>): Effect.Effect<A> =>
    Effect.catch(watched(question), () => Effect.andThen(Effect.sleep(pollInterval), persist(question)))

  const flush: Effect.Effect<Outbox.Flushed> = Effect.gen(function* () {
    yield* writer.committed
    if (!delivers) return { delivered: 0, dropped: 0 }
    const flushing = yield* persist(Effect.suspend(() => barriers.begin()))
    some.openUnsafe()
    yield* barriers.resolve
    return yield* flushing.end
  })

  // -------------------------------------------------------------------------------------------------------------------
  // Maintenance
  // -------------------------------------------------------------------------------------------------------------------

  let countedAt = Number.NEGATIVE_INFINITY
  let countTook = 0
  let maintainedAt = Number.NEGATIVE_INFINITY

  const count = Effect.gen(function* () {
    const start = yield* Time.monotonicMillis
    const changes = capacity.changes
    const found = yield* run(tables.countPending)
    countedAt = yield* Time.monotonicMillis
    countTook = countedAt - start
    // What changed while it was counted may be in it or not.
    if (capacity.changes === changes || capacity.isStale) capacity.set(found.count, found.bytes)
    else capacity.isStale = true
    const oldest = yield* run(tables.oldest)
    yield* Metric.update(pendingTotal, found.count)
    yield* Metric.update(oldestAge, oldest === undefined ? 0 : Math.max(0, (yield* Clock.currentTimeMillis) - oldest))
    yield* Metric.update(isLeader, leader.isHere ? 1 : 0)
  })

  const maintain = Effect.gen(function* () {
    if (delivers) {
      yield* run(tables.purgeDead((yield* Clock.currentTimeMillis) - settings.maxDeadAge))
      yield* run(tables.boundDead(settings.maxDead))
    }
    yield* Effect.ignoreCause(Effect.sync(source.maintain))
  })

  /** Whether other processes announce what they write. */
  let isListening = false
  let lookedAt = Number.NEGATIVE_INFINITY

  const tick = Effect.gen(function* () {
    const now = yield* Time.monotonicMillis
    if (inFlight.pendingDeletes.size > 0)
      yield* Effect.andThen(
        deletePending,
        Effect.sync(() => some.openUnsafe())
      )
    // A call that waits for room which others make is admitted by a count only.
    const interval = capacity.hasWaiters ? pollInterval : delivers ? countInterval : 3 * countInterval
    if (now - countedAt >= Math.max(interval, countTook / countShare)) yield* count
    if (now - maintainedAt >= maintenanceInterval) {
      maintainedAt = now
      yield* maintain
    }
    yield* barriers.resolve
    if (isListening && !failing && now - lookedAt < listeningInterval) return
    lookedAt = now
    some.openUnsafe()
  })

  yield* count
  yield* Time.withUnrefTimers(
    Loop.fork("maintenance", Effect.andThen(Effect.sleep(pollInterval), Effect.ignoreCause(watched(tick))), stop)
  )
  if (delivers) {
    const lead = Effect.gen(function* () {
      yield* Effect.sleep(leader.interval)
      const before = leader.isHere
      yield* Effect.ignore(watched(leader.refresh))
      if (leader.isHere === before) return
      some.openUnsafe()
      yield* Metric.update(isLeader, leader.isHere ? 1 : 0)
    })
    yield* Time.withUnrefTimers(Loop.fork("leadership", lead, stop))
  }
  const { listen, notify } = source
  if (delivers && listen !== undefined) {
    const listening = listen(() => {
      isListening = true
      some.openUnsafe()
    })
    const again = Effect.suspend(() => {
      isListening = false
      return Effect.sleep(listenRetry)
    })
    yield* Time.withUnrefTimers(Loop.fork("listener", Effect.andThen(Effect.ignoreCause(listening), again), stop))
  }
  if (notify !== undefined) {
    const announce = Effect.gen(function* () {
      yield* news.await
      news.closeUnsafe()
      yield* Effect.ignore(run(notify))
      yield* Effect.sleep(notifyInterval)
    })
    yield* Time.withUnrefTimers(Loop.fork("announcements", announce, stop))
  }

  const abandon = Effect.gen(function* () {
    // Their database is gone: no restart delivers them.
    const orphaned = inFlight.release(inFlight.orphaned)
    if (Arr.isReadonlyArrayNonEmpty(orphaned)) yield* lose(orphaned, "closed")
    inFlight.forget()
    reader.forget()
    yield* Effect.ignore(deletePending)
    if (delivers) yield* Effect.ignore(leader.resign)
    barriers.abandon()
    yield* closeLog
  })
  yield* Effect.addFinalizer(() => abandon)

  return {
    outbox: Outbox.Outbox.of({
      offer: writer.offer,
      offerUnsafe: () => (writer.isClosed() ? new Closed() : new OutboxUnavailable({ problem: "takes time to write" })),
      take,
      settle,
      flush,
      flushRequested: barriers.flushRequested,
      close: Effect.andThen(
        writer.close,
        Effect.sync(() => {
          barriers.close()
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
          pendingBytes: capacity.bytes,
          taken: inFlight.size,
          delivered,
          dropped
        }
      }),
      durable: {
        bind,
        dropExpired: beforeAttempt,
        saveBackoff: (trouble) =>
          Effect.ignore(run(tables.set("trouble", trouble === undefined ? undefined : JSON.stringify(trouble)))),
        loadBackoff: Effect.map(
          Effect.orElseSucceed(run(tables.get("trouble")), () => undefined),
          (text) => Option.getOrUndefined(readTrouble(text))
        )
      }
    }),
    erase: Effect.fnUntraced(function* (entries: ReadonlyArray<Entry>) {
      const seqs = seqsOf(entries)
      if (seqs.length === 0) return 0
      const gone = Effect.map(runSameGeneration(tables.remove(seqs)), (removed) => {
        const places = new Set(removed.map(({ seq }) => seq))
        return entries.filter(({ seq }) => places.has(seq))
      })
      return yield* discard(() => gone, "erased")
    }),
    refresh: Effect.andThen(
      count,
      Effect.sync(() => some.openUnsafe())
    ),
    leader: Effect.suspend(() =>
      leader.isHere
        ? Effect.succeed("here" as const)
        : Effect.map(run(tables.readLeader), ({ holder }) => (holder === null ? "none" : "elsewhere"))
    ),
    stopped: () => stopped
  }
})

/** What is rejected, or lost by a mistake of ours, is kept as a dead letter; all else is gone when it is settled. */
const deathOf = (outcome: Outcome.Settled): Death | undefined => {
  if (outcome._tag === "Delivered") return undefined
  const { attempts, reason, status } = outcome.error
  return reason === "rejected" || reason === "broken" ? { reason, status, attempts } : undefined
}
