/**
 * The outbox over a database: writes what is offered, hands out what this relay may deliver, and removes what is settled.
 *
 * A message is in the database from the moment its call resolves until it is settled. What a relay has taken it holds in
 * memory as well; if it dies, the lease on its lanes ends, and another one reads the same messages again.
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { Closed, DeliveryError, OutboxFull, OutboxUnavailable } from "../AnalyticsError.ts"
import type { Message } from "../Message.ts"
import * as Outbox from "../Outbox.ts"
import * as Outcome from "../Outcome.ts"
import * as Time from "../Time.ts"
import { Backlog, type Bound } from "./Backlog.ts"
import * as Commits from "./Commits.ts"
import type { Database, Fault } from "./Database.ts"
import { Lanes, laneOf } from "./Lanes.ts"
import { Reader } from "./Reader.ts"
import type { Death, Entry, NewEntry } from "./Tables.ts"

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
  /** Removes messages for a reason that the observer is told. */
  readonly erase: (entries: ReadonlyArray<Entry>) => Effect.Effect<void, Fault>
  /** Says that there may be something new to deliver. */
  readonly wake: Effect.Effect<void>
  /** Of the lanes, how many are ours. */
  readonly lanesHere: () => number
  readonly countHere: Effect.Effect<void, Fault>
}

/** A flush on its way. */
interface Barrier {
  /** Waits for the messages that are not newer than this one. */
  readonly until: number
  /** How many these are. */
  readonly waiting: number
  readonly done: Deferred.Deferred<Outbox.Flushed>
  delivered: number
  dropped: number
}

const Trouble = Schema.fromJsonString(Schema.Struct({ retries: Schema.Int, resumeAt: Schema.Finite }))
const readTrouble = Schema.decodeUnknownOption(Trouble)

/** Milliseconds between two looks at what else is to be done. */
const upkeepInterval = 30_000
/** Counting what waits may take this part of the time. */
const countingShare = 1 / 100

export const make = Effect.fnUntraced(function* (
  database: Database,
  settings: Settings
): Effect.fn.Return<Store, Fault, Scope.Scope> {
  const { lease, maxAge, overflow, role } = settings
  const { ask, place, tables } = database
  const delivers = role !== "writer"
  const tell = yield* Outcome.makeTell
  const backlog = new Backlog(settings)
  const total = yield* ask(tables.countLanes)
  const relay = `${place.address}/${crypto.randomUUID()}`
  const lanes = new Lanes(tables, { relay, lease, total, isGone: place.isGone })

  /** Taken and not settled. */
  const held = new Map<Message, Entry>()
  /** Settled, and still in the database: it could not be written. */
  const leftovers = new Map<number, Death | undefined>()
  const heldSeqs = new Set<number>()
  const reader = new Reader(database, lanes, (seq) => heldSeqs.has(seq) || leftovers.has(seq))
  const barriers = new Set<Barrier>()
  const some = Latch.makeUnsafe()
  const hurry = Latch.makeUnsafe()
  const counts = { delivered: 0, dropped: 0 }
  let closed = false
  let failing = false

  const pending = () => Math.max(0, backlog.count - leftovers.size)

  if (role !== "relay") yield* Outcome.watchDepth(pending)

  /** A database that is away is said once, until it is back. */
  const watched = <A>(work: Effect.Effect<A, Fault>): Effect.Effect<A, Fault> =>
    Effect.matchCauseEffect(work, {
      onSuccess: (value) => {
        failing = false
        return Effect.succeed(value)
      },
      onFailure: (cause) => {
        const first = !failing && !Cause.hasInterrupts(cause)
        failing ||= first
        const fault = Cause.squash(cause)
        const line = `${fault instanceof Error ? fault.message : "the outbox failed"}: deliveries wait`
        return Effect.andThen(first ? log(line) : Effect.void, Effect.failCause(cause))
      }
    })

  const log = (line: string) =>
    Effect.ignoreCause(Effect.annotateLogs(Effect.logError(line), { module: "effect-analytics" }))

  // -------------------------------------------------------------------------------------------------------------------
  // Counting
  // -------------------------------------------------------------------------------------------------------------------

  let countedAt = Number.NEGATIVE_INFINITY
  let countingTook = 0

  const countHere = Effect.gen(function* () {
    const start = yield* Time.elapsed
    const { bytes, count } = yield* ask(tables.tally)
    countedAt = yield* Time.elapsed
    countingTook = countedAt - start
    backlog.set(count, bytes)
  })

  yield* countHere

  // -------------------------------------------------------------------------------------------------------------------
  // Offers
  // -------------------------------------------------------------------------------------------------------------------

  database.onReplaced(() => {
    lanes.forget()
    reader.forget()
    leftovers.clear()
    heldSeqs.clear()
    // What is on its way goes on, but what is now at its place in the database is another message.
    for (const [message, entry] of held) held.set(message, { ...entry, seq: nowhere })
    backlog.set(0, 0)
    some.openUnsafe()
  })

  const wake = Effect.sync(() => some.openUnsafe())

  const written = (sizes: ReadonlyArray<{ readonly bytes: number }>) =>
    Effect.sync(() => {
      backlog.added(sizes)
      some.openUnsafe()
    })

  const commits = yield* Commits.make((entries) => Effect.flatMap(ask(tables.insert(entries)), written))

  const entryOf = (message: Message): Effect.Effect<NewEntry> =>
    Effect.map(Clock.currentTimeMillis, (createdAt) => ({ message, lane: laneOf(userOf(message), total), createdAt }))

  /** In the transaction of the caller: what it writes is there when that is committed, and only then. */
  const writeInside = (entry: NewEntry): Effect.Effect<void, Fault> =>
    Effect.flatMap(database.askInside(tables.insert([entry])), (sizes) => tables.sql.afterCommit(written(sizes)))

  const isInside = Effect.map(
    Effect.context<never>(),
    (context) =>
      Context.getOrUndefined(context as Context.Context<never>, tables.sql.transactionService as never) !== undefined
  )

  const evicting = yield* Semaphore.make(1)

  /** Removes the oldest that wait, until there is room. What this relay holds can't be called back. */
  const evictFor = Effect.fnUntraced(function* (message: Message, inside: boolean) {
    const heldBytes = Array.from(held.keys()).reduce((bytes, one) => bytes + one.bytes, 0)
    // Nothing is evicted in vain.
    if (held.size >= settings.maxQueueSize || heldBytes + message.bytes > settings.maxQueueBytes) return
    while (true) {
      const excess = backlog.excess(message)
      if (excess === undefined) return
      const statement = tables.evict(excess.count, heldSeqs)
      const evicted = yield* inside ? database.askInside(statement) : ask(statement)
      if (evicted.length === 0) return
      const messages = evicted.map((entry) => entry.message)
      const error = new DeliveryError({ reason: "evicted", attempts: 0 })
      backlog.removed(messages)
      counts.dropped += messages.length
      for (const entry of evicted) countInBarriers(entry.seq, "dropped")
      reader.forget()
      if (Arr.isArrayNonEmpty(messages)) yield* tell(Outcome.Outcome.Dropped({ messages, error }))
      yield* resolveFlushes
    }
  })

  const refused = (message: Message): OutboxFull | undefined => {
    const excess = backlog.excess(message)
    return excess === undefined ? undefined : new OutboxFull({ bound: excess.bound, limit: excess.limit })
  }

  const write = (message: Message, inside: boolean, release: () => void) =>
    Effect.ensuring(
      Effect.flatMap(entryOf(message), (entry) => (inside ? writeInside(entry) : commits.add(entry))),
      Effect.sync(release)
    )

  // The only part of an offer that may be interrupted: after it the message may be there.
  const waitForRoom = (message: Message) =>
    Effect.callback<() => void, Closed>((resume) => {
      const giveUp = backlog.wait(message, {
        admit: () => resume(Effect.succeed(backlog.reserve(message))),
        refuse: () => resume(Effect.fail(new Closed()))
      })
      return Effect.sync(giveUp)
    }).pipe(Effect.interruptible)

  const offer: Outbox.Outbox["Service"]["offer"] = Effect.fnUntraced(function* (message) {
    if (closed) return yield* new Closed()
    const inside = yield* isInside
    if (overflow === "wait" && !inside && (backlog.hasWaiters || backlog.excess(message) !== undefined)) {
      const release = yield* waitForRoom(message)
      return yield* write(message, false, release)
    }
    if (overflow === "drop-oldest" && backlog.excess(message) !== undefined) {
      const evict = evictFor(message, inside)
      yield* inside ? evict : evicting.withPermits(1)(evict)
    }
    const full = backlog.hasWaiters ? undefined : refused(message)
    if (full !== undefined) return yield* full
    return yield* write(message, inside, backlog.reserve(message))
  })

  // -------------------------------------------------------------------------------------------------------------------
  // Taking
  // -------------------------------------------------------------------------------------------------------------------

  const busy = (): ReadonlySet<number> => new Set(Array.from(held.values(), ({ lane }) => lane))

  const hold = (entries: ReadonlyArray<Entry>): void => {
    for (const entry of entries) {
      held.set(entry.message, entry)
      heldSeqs.add(entry.seq)
    }
  }

  const letGo = (entries: Iterable<Entry>): void => {
    for (const { message, seq } of entries) {
      held.delete(message)
      heldSeqs.delete(seq)
    }
  }

  const take: Outbox.Outbox["Service"]["take"] = Effect.fnUntraced(function* (max) {
    while (true) {
      // Closed before we look: what is written meanwhile opens it again.
      some.closeUnsafe()
      const entries = delivers
        ? yield* Effect.orElseSucceed(watched(reader.next(max, busy)), (): ReadonlyArray<Entry> => [])
        : []
      hold(entries)
      const messages = yield* unexpired(entries.map((entry) => entry.message))
      if (Arr.isReadonlyArrayNonEmpty(messages)) return messages as Arr.NonEmptyArray<Message>
      if (entries.length > 0) continue
      if (closed) return yield* Cause.done()
      yield* some.await
    }
  })

  // -------------------------------------------------------------------------------------------------------------------
  // Settling
  // -------------------------------------------------------------------------------------------------------------------

  const countInBarriers = (seq: number, end: "delivered" | "dropped") => {
    for (const barrier of barriers) if (seq <= barrier.until) barrier[end]++
  }

  const removeOrBury = (seqs: ReadonlyArray<number>, death: Death | undefined) =>
    seqs.length === 0
      ? Effect.void
      : Effect.map(ask(death === undefined ? tables.remove(seqs) : tables.bury(seqs, death)), (sizes) =>
          backlog.removed(sizes)
        )

  const settle: Outbox.Outbox["Service"]["settle"] = (outcome) =>
    Effect.uninterruptible(
      Effect.gen(function* () {
        const entries = outcome.messages.flatMap((message) => held.get(message) ?? [])
        const messages = entries.map((entry) => entry.message)
        if (!Arr.isArrayNonEmpty(messages)) return
        letGo(entries)
        const seqs = entries.map(({ seq }) => seq).filter((seq) => seq !== nowhere)
        const death = deathOf(outcome)
        yield* Effect.catch(removeOrBury(seqs, death), () =>
          Effect.sync(() => {
            for (const seq of seqs) leftovers.set(seq, death)
          })
        )
        const end = outcome._tag === "Delivered" ? "delivered" : "dropped"
        counts[end] += messages.length
        for (const seq of seqs) countInBarriers(seq, end)
        yield* tell({ ...outcome, messages })
        yield* resolveFlushes
      })
    )

  const unexpired = Effect.fnUntraced(function* (messages: ReadonlyArray<Message>) {
    if (maxAge === Number.POSITIVE_INFINITY) return messages
    const now = yield* Clock.currentTimeMillis
    const isOutdated = (message: Message) => now - (held.get(message)?.createdAt ?? now) > maxAge
    const outdated = messages.filter(isOutdated)
    const error = new DeliveryError({ reason: "outdated", attempts: 0 })
    if (Arr.isArrayNonEmpty(outdated)) yield* settle(Outcome.Outcome.Dropped({ messages: outdated, error }))
    return outdated.length === 0 ? messages : messages.filter((message) => held.has(message))
  })

  /** Removes what was settled while the database was away. */
  const clear = Effect.gen(function* () {
    for (const [seq, death] of leftovers) {
      yield* removeOrBury([seq], death)
      leftovers.delete(seq)
    }
  })

  // -------------------------------------------------------------------------------------------------------------------
  // Flushes
  // -------------------------------------------------------------------------------------------------------------------

  const isOver = (barrier: Barrier): Effect.Effect<boolean, Fault> => {
    const left = Array.from(leftovers.keys()).filter((seq) => seq <= barrier.until).length
    return left === 0
      ? Effect.map(ask(tables.hasUntil(barrier.until)), (has) => !has)
      : Effect.map(ask(tables.countUntil(barrier.until)), (count) => count <= left)
  }

  const resolveFlushes = Effect.suspend(() =>
    Effect.forEach(
      barriers,
      (barrier) =>
        Effect.map(
          Effect.orElseSucceed(isOver(barrier), () => false),
          (over) => {
            if (!over) return
            const { dropped, waiting } = barrier
            // What is gone and was not settled here, another relay has settled.
            const delivered = Math.max(barrier.delivered, waiting - dropped)
            Deferred.doneUnsafe(barrier.done, Exit.succeed({ delivered, dropped }))
          }
        ),
      { discard: true }
    )
  )

  const flush: Effect.Effect<Outbox.Flushed> = Effect.gen(function* () {
    yield* commits.idle
    if (!delivers) return { delivered: 0, dropped: 0 }
    const until = yield* persist(ask(tables.last))
    const waiting = (yield* persist(ask(tables.countUntil(until)))) - leftovers.size
    if (waiting <= 0) return { delivered: 0, dropped: 0 }
    const barrier: Barrier = { until, waiting, done: Deferred.makeUnsafe(), delivered: 0, dropped: 0 }
    barriers.add(barrier)
    hurry.openUnsafe()
    some.openUnsafe()
    return yield* Effect.ensuring(
      Deferred.await(barrier.done),
      Effect.sync(() => {
        barriers.delete(barrier)
        if (barriers.size === 0) hurry.closeUnsafe()
      })
    )
  })

  /** Asks again until there is an answer. */
  const persist = <A>(question: Effect.Effect<A, Fault>): Effect.Effect<A> =>
    Effect.catch(watched(question), () => Effect.andThen(Effect.sleep(settings.pollInterval), persist(question)))

  // -------------------------------------------------------------------------------------------------------------------
  // Upkeep
  // -------------------------------------------------------------------------------------------------------------------

  let keptUpAt = Number.NEGATIVE_INFINITY

  const keepUp = Effect.gen(function* () {
    if (delivers) {
      yield* ask(tables.purgeDead((yield* Clock.currentTimeMillis) - settings.maxDeadAge))
      yield* ask(tables.boundDead(settings.maxDead))
    }
    yield* Effect.ignoreCause(Effect.sync(place.tidy))
  })

  const tick = Effect.gen(function* () {
    const now = yield* Time.elapsed
    if (delivers && lanes.isDue(now) && held.size > 0) yield* ask(lanes.refresh(busy()))
    if (leftovers.size > 0) yield* clear
    if (now - countedAt >= Math.max(10_000, countingTook / countingShare) || backlog.hasWaiters) yield* countHere
    if (now - keptUpAt >= upkeepInterval) {
      keptUpAt = now
      yield* keepUp
    }
    yield* resolveFlushes
  })

  yield* Effect.forkScoped(
    Time.unattended(
      Effect.forever(
        Effect.andThen(Effect.sleep(settings.pollInterval), Effect.andThen(Effect.ignoreCause(watched(tick)), wake))
      )
    )
  )

  // -------------------------------------------------------------------------------------------------------------------
  // The end
  // -------------------------------------------------------------------------------------------------------------------

  const close = Effect.sync(() => {
    closed = true
    backlog.refuseWaiters()
    some.openUnsafe()
  })

  const abandon = Effect.gen(function* () {
    letGo([...held.values()])
    reader.forget()
    yield* Effect.ignore(clear)
    if (delivers) yield* Effect.ignore(ask(lanes.leave))
    for (const { delivered, done, dropped } of barriers) Deferred.doneUnsafe(done, Exit.succeed({ delivered, dropped }))
  })

  yield* Effect.addFinalizer(() => abandon)

  return {
    outbox: Outbox.Outbox.of({
      offer,
      offerUnsafe: () => (closed ? new Closed() : new OutboxUnavailable({ problem: "takes time to write" })),
      take,
      isEmpty: () => reader.size === 0,
      settle,
      flush,
      hurried: hurry.await,
      close,
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
          (text) => (text === undefined ? undefined : readTroubleOf(text))
        )
      }
    }),
    erase: Effect.fnUntraced(function* (entries: ReadonlyArray<Entry>) {
      const messages = entries.map((entry) => entry.message)
      if (!Arr.isArrayNonEmpty(messages)) return
      yield* removeOrBury(
        entries.map(({ seq }) => seq),
        undefined
      )
      reader.forget()
      counts.dropped += messages.length
      for (const { seq } of entries) countInBarriers(seq, "dropped")
      yield* tell(Outcome.Outcome.Dropped({ messages, error: new DeliveryError({ reason: "erased", attempts: 0 }) }))
      yield* resolveFlushes
    }),
    wake,
    lanesHere: () => lanes.readable.length,
    countHere
  }
})

/** The place of a message that is in no database any more. */
const nowhere = -1

const readTroubleOf = (text: string): Outbox.Trouble | undefined => {
  const trouble = readTrouble(text)
  return trouble._tag === "Some" ? trouble.value : undefined
}

/** Who a message is about, for its lane. */
const userOf = ({ json }: Message): string => {
  const { anonymousId, userId } = JSON.parse(json) as { readonly userId?: string; readonly anonymousId?: string }
  return userId ?? anonymousId ?? ""
}

/** What is rejected, or lost by a mistake of ours, is kept as a dead letter; all else is gone when it is settled. */
const deathOf = (outcome: Outcome.Settled): Death | undefined => {
  if (outcome._tag === "Delivered") return undefined
  const { attempts, reason, status } = outcome.error
  return reason === "rejected" || reason === "broken" ? { reason, status, attempts } : undefined
}
