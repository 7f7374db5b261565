/**
 * The loops of an outbox: they count what is pending, delete what could not be deleted, keep the leadership, and listen to other
 * processes.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import * as Time from "../internal/Time.ts"
import * as Metrics from "../Metrics.ts"
import type { Capacity } from "../Outbox/Capacity.ts"
import type { Database, SqlOutboxError } from "./Database.ts"
import type { InFlight } from "./InFlight.ts"
import type { Leader } from "./Leader.ts"
import * as Loop from "./Loop.ts"
import type { Settlement } from "./Settlement.ts"

export interface Settings {
  /** Whether this process may deliver. */
  readonly delivers: boolean
  /** Milliseconds. */
  readonly pollInterval: number
  readonly maxDead: number
  readonly maxDeadAge: number
}

/** Milliseconds between two maintenances of dead letters and space. */
const maintenanceInterval = 30_000
/** Milliseconds between two counts of the messages; and the part of the time that they may take. */
const countInterval = 10_000
const countShare = 1 / 100
/** Milliseconds between two looks where other processes announce what they write, and between two such announcements. */
const listeningInterval = 10_000
const notifyInterval = 10
/** Milliseconds until a connection that listens is opened again. */
const listenRetry = 1_000

export interface Maintenance {
  /** Counts what is pending. */
  readonly count: Effect.Effect<void, SqlOutboxError>
  /** The same, unless that was just done, or this relay knows by itself what it has delivered. */
  readonly recount: Effect.Effect<void>
}

/** Counts what is pending, and starts the loops. */
export const start = Effect.fnUntraced(function* (
  database: Database,
  settings: Settings,
  options: {
    readonly capacity: Capacity
    readonly inFlight: InFlight
    readonly leader: Leader
    readonly settlement: Settlement
    /** Open when there may be something to take. */
    readonly some: Latch.Latch
    /** Open when there is something new for other processes. */
    readonly news: Latch.Latch
    /** Looks whether the outbox is still one of this destination. */
    readonly check: Effect.Effect<unknown, SqlOutboxError>
    readonly onDefect: Loop.OnDefect
  }
): Effect.fn.Return<Maintenance, SqlOutboxError, Scope.Scope> {
  const { capacity, check, inFlight, leader, news, onDefect, settlement, some } = options
  const { delivers, pollInterval } = settings
  const { isAway, run, source, tables, watched } = database
  let countedAt = Number.NEGATIVE_INFINITY
  let countTook = 0
  let checkedAt = Number.NEGATIVE_INFINITY
  /** Whether the last count was void: the next one is taken in any case. */
  let isStale = false
  let maintainedAt = Number.NEGATIVE_INFINITY

  /** Counts what is pending; answers whether the count was void. */
  const countUnless = Effect.fnUntraced(function* (mayBeVoid: boolean) {
    const start = yield* Time.monotonicMillis
    const { changes, isWriting } = capacity
    const found = yield* run(tables.summary)
    countedAt = yield* Time.monotonicMillis
    countTook = countedAt - start
    // What changes while it is counted may be in it or not.
    const isVoid = mayBeVoid && (capacity.changes !== changes || isWriting || capacity.isWriting)
    if (!isVoid) capacity.set(found.count, found.bytes)
    yield* Metrics.showPending(found)
    yield* Metrics.showLeader(leader.isHere)
    return isVoid
  })
  const count = Effect.map(
    Effect.suspend(() => countUnless(!isStale)),
    (isVoid) => {
      isStale = isVoid
    }
  )

  const isDue = (now: number, interval: number) => now - countedAt >= Math.max(interval, countTook / countShare)

  let recountedAt = Number.NEGATIVE_INFINITY
  const recount = Effect.flatMap(Time.monotonicMillis, (now) => {
    // One call at a time asks: the others would wait for a database that does not answer, one after the other.
    if (leader.isHere || isAway() || now - recountedAt < pollInterval || !isDue(now, pollInterval)) return Effect.void
    recountedAt = now
    return Effect.ignore(countUnless(true))
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
        settlement.deletePending,
        Effect.sync(() => some.openUnsafe())
      )
    // A call that waits for room which others make is admitted by a count only.
    const interval = capacity.hasWaiters ? pollInterval : delivers ? countInterval : 3 * countInterval
    if (isDue(now, interval)) yield* count
    if (now - checkedAt >= interval) {
      checkedAt = now
      yield* check
    }
    if (now - maintainedAt >= maintenanceInterval) {
      maintainedAt = now
      yield* maintain
    }
    if (isListening && !isAway() && now - lookedAt < listeningInterval) return
    lookedAt = now
    some.openUnsafe()
  })

  yield* count
  yield* Time.withUnrefTimers(
    Loop.fork("maintenance", Effect.andThen(Effect.sleep(pollInterval), Effect.ignoreCause(watched(tick))), onDefect)
  )
  if (delivers) {
    const lead = Effect.gen(function* () {
      yield* Effect.sleep(leader.interval)
      const before = leader.isHere
      yield* Effect.ignore(watched(leader.refresh))
      if (leader.isHere) yield* Effect.ignore(check)
      if (leader.isHere === before) return
      some.openUnsafe()
      yield* Metrics.showLeader(leader.isHere)
    })
    yield* Time.withUnrefTimers(Loop.fork("leadership", lead, onDefect))
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
    yield* Time.withUnrefTimers(Loop.fork("listener", Effect.andThen(Effect.ignoreCause(listening), again), onDefect))
  }
  if (notify !== undefined) {
    const announce = Effect.gen(function* () {
      yield* news.await
      news.closeUnsafe()
      yield* Effect.ignore(run(notify))
      yield* Effect.sleep(notifyInterval)
    })
    yield* Time.withUnrefTimers(Loop.fork("announcements", announce, onDefect))
  }

  return { count, recount }
})
