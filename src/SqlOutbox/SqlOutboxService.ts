/**
 * The outbox over a database: hands out messages if this process is the leader, deletes what is settled, and maintains itself.
 *
 * A message is in the database from the moment its call resolves until it is settled. If the leader dies, another relay reads
 * the same messages again.
 */
import * as Os from "node:os"
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { Closed, DeliveryError, OutboxUnavailable } from "../AnalyticsError.ts"
import { log } from "../internal/Log.ts"
import type { Message } from "../Message.ts"
import * as Metrics from "../Metrics.ts"
import { type Bound, Capacity } from "../Outbox/Capacity.ts"
import * as Flushes from "../Outbox/Flushes.ts"
import * as Outbox from "../Outbox.ts"
import * as Notifier from "../Outcome/Notifier.ts"
import type { Database, SqlOutboxError } from "./Database.ts"
import * as Destination from "./Destination.ts"
import { FlushBarriers } from "./FlushBarriers.ts"
import { InFlight } from "./InFlight.ts"
import { Leader } from "./Leader.ts"
import type * as Loop from "./Loop.ts"
import * as Maintenance from "./Maintenance.ts"
import { Reader } from "./Reader.ts"
import * as Settlement from "./Settlement.ts"
import type { Entry } from "./Tables.ts"
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

const BackoffState = Schema.fromJsonString(Schema.Struct({ retries: Schema.Int, resumeAt: Schema.Finite }))
const readBackoff = Schema.decodeUnknownOption(BackoffState)

/** The key of the backoff in the stored state. */
const backoffKey = "trouble"

/** What is known of a message that waited in a file which broke, or was moved: nothing of it is delivered from here. */
const replaced = new DeliveryError({ reason: "broken", attempts: 0, detail: "the outbox was replaced" })

/** Messages that are settled and could not be deleted: with more, nothing more is read. */
const maxPendingDeletes = 1_000

export const make = Effect.fnUntraced(function* (
  database: Database,
  settings: Settings
): Effect.fn.Return<SqlOutboxService, SqlOutboxError, Scope.Scope> {
  const { lease, role } = settings
  const { persist, run, runSameGeneration, tables, watched } = database
  const delivers = role !== "writer"
  const { close: closeNotifier, isAwaited, notify: report, onEnd } = yield* Notifier.make
  const capacity = new Capacity(settings)
  const inFlight = new InFlight(settings.maxInFlight)
  const destination = new Destination.Destination(database)
  const reader = new Reader(database, inFlight, destination, settings.maxInFlight)
  /** Stops a client whose outbox is one of another destination. */
  const orStop = (asked: Effect.Effect<boolean, SqlOutboxError>) =>
    Effect.tap(asked, (isOurs) =>
      isOurs || stopped !== undefined ? Effect.void : stop(Destination.otherDestination, Cause.empty)
    )
  const leader = new Leader(database, {
    name: makeName(),
    lease,
    mayBegin: orStop(destination.claim),
    onLost: () => reader.forget()
  })
  const barriers = new FlushBarriers(
    database,
    inFlight,
    Effect.suspend(() => (leader.isHere ? Effect.succeed(true) : leader.refresh)),
    () => leader.isHere
  )
  /** Open when there may be something to take. */
  const some = Latch.makeUnsafe()
  /** Open when something was settled or given up, since the last question. */
  const settled = Latch.makeUnsafe()

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

  const settlement = Settlement.make(database, {
    capacity,
    inFlight,
    reader,
    barriers,
    report,
    maxAge: settings.maxAge,
    onSettled: () => {
      settled.openUnsafe()
      if (settings.maxInFlight > 1) some.openUnsafe()
    }
  })

  // -------------------------------------------------------------------------------------------------------------------
  // The way in, and out
  // -------------------------------------------------------------------------------------------------------------------

  /** Open when there is something new for other processes. */
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
    isAwaited,
    recount: Effect.suspend(() => maintenance.recount),
    evict: (count) => settlement.discard((known) => runSameGeneration(tables.evict(count, known)), "evicted")
  })

  /**
   * Before an attempt: waits for what its users sent before, and forgets what another process has erased. If it can't be
   * confirmed that this relay is the leader, the messages are left to whoever is.
   */
  const beforeAttempt = Effect.fnUntraced(function* (messages: ReadonlyArray<Message>) {
    while (inFlight.isBlocked(messages)) {
      settled.closeUnsafe()
      yield* settled.await
    }
    const isLeader = Effect.tap(leader.confirm, (isLeader) =>
      isLeader ? settlement.releaseDeleted(messages) : Effect.void
    )
    if (!(yield* Effect.orElseSucceed(isLeader, () => false))) {
      inFlight.giveUp(messages)
      reader.forget()
      settled.openUnsafe()
    }
    return yield* settlement.dropExpired(messages)
  })

  /** The next messages; nothing if this process is not the leader, or the database is away or can't be written. */
  const next = (max: number): Effect.Effect<ReadonlyArray<Entry> | undefined> =>
    inFlight.pendingDeletes.size >= maxPendingDeletes
      ? Effect.undefined
      : Effect.flatMap(leader.confirm, (isLeader) => (isLeader ? reader.next(max) : Effect.undefined)).pipe(
          watched,
          Effect.orElseSucceed(() => undefined),
          Effect.tap((entries) => Effect.sync(() => inFlight.take(entries ?? []))),
          settlement.turn.withPermits(1)
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
        const messages = yield* settlement.dropExpired(entries.map((entry) => entry.message))
        if (Arr.isReadonlyArrayNonEmpty(messages)) return messages as Arr.NonEmptyArray<Message>
        continue
      }
      if (writer.isClosed() && (!delivers || (yield* isDrained))) return yield* Cause.done()
      yield* some.await
    }
  })

  const flushing = (onBegin: (soFar: () => Outbox.Flushed) => void) =>
    Effect.uninterruptibleMask(
      Effect.fnUntraced(function* (restore) {
        yield* restore(writer.committed)
        const found = delivers ? yield* restore(persist(barriers.look)) : undefined
        // Whatever interrupts from here on, a flush that began is forgotten when nobody waits for it.
        const begun = barriers.begin(found)
        if (begun === undefined) return { delivered: 0, dropped: 0, pending: barriers.isOver ? pending() : 0 }
        onBegin(() => Flushes.soFar(begun))
        some.openUnsafe()
        // Another process may settle the last message. The timer keeps this one alive until then.
        const looks = Effect.forever(Effect.andThen(barriers.resolve, Effect.sleep(settings.pollInterval)))
        return yield* Effect.ensuring(
          restore(Effect.raceFirst(Deferred.await(begun.done), looks)),
          Effect.sync(() => barriers.forget(begun))
        )
      })
    )

  const flush: Outbox.Outbox["Service"]["flush"] = Effect.fnUntraced(function* (timeout) {
    let soFar = (): Outbox.Flushed => ({ delivered: 0, dropped: 0, pending: pending() })
    const flushed = yield* Flushes.within(
      flushing((begun) => {
        soFar = begun
      }),
      timeout
    )
    return Option.getOrElse(flushed, soFar)
  })

  // -------------------------------------------------------------------------------------------------------------------
  // Loops, and the end
  // -------------------------------------------------------------------------------------------------------------------

  const maintenance = yield* Maintenance.start(
    database,
    { ...settings, delivers },
    { capacity, inFlight, leader, settlement, some, news, check: orStop(destination.isOurs), onDefect: stop }
  )

  const abandon = Effect.gen(function* () {
    // Their database is gone: no restart delivers them.
    const orphaned = inFlight.release(inFlight.orphaned)
    if (Arr.isReadonlyArrayNonEmpty(orphaned)) yield* settlement.lose(orphaned, "closed")
    inFlight.forget()
    reader.forget()
    yield* Effect.ignore(settlement.deletePending)
    if (delivers) yield* Effect.ignore(leader.resign)
    barriers.abandon()
    yield* closeNotifier
  })
  yield* Effect.addFinalizer(() => abandon)

  return {
    outbox: Outbox.Outbox.of({
      offer: writer.offer,
      offerUnsafe: () => ({
        error: writer.isClosed() ? new Closed() : new OutboxUnavailable({ problem: "takes time to write" }),
        notification: undefined
      }),
      take,
      settle: settlement.settle,
      flush,
      onEnd,
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
        const { delivered, dropped } = settlement.counts
        const waiting = pending()
        return {
          accepted: delivered + dropped + waiting,
          pending: waiting,
          pendingBytes: Math.max(0, capacity.bytes),
          taken: inFlight.size,
          delivered,
          dropped
        }
      }),
      durable: {
        maxInFlight: settings.maxInFlight,
        bind: (identity) => destination.bind(identity, settings.adoptDestination),
        dropExpired: beforeAttempt,
        stateOf: (messageId) => {
          const generation = database.generation()
          return Effect.map(run(tables.find(messageId)), (found) => {
            if (found === "pending") return found
            if (found === undefined) return generation === database.generation() ? "gone" : replaced
            const { status, ...facts } = found
            return new DeliveryError(status === undefined ? facts : { ...facts, status })
          })
        },
        saveBackoff: (state) =>
          Effect.ignore(run(tables.set(backoffKey, state === undefined ? undefined : JSON.stringify(state)))),
        loadBackoff: Effect.map(
          Effect.orElseSucceed(run(tables.get(backoffKey)), () => undefined),
          (text) => Option.getOrUndefined(readBackoff(text))
        )
      }
    }),
    erase: settlement.erase,
    refresh: Effect.andThen(
      maintenance.count,
      Effect.sync(() => some.openUnsafe())
    ),
    leader: Effect.gen(function* () {
      if (leader.isHere) return "here"
      const { epoch, holder } = yield* run(tables.readLeader)
      // One that has died has left its name.
      return holder === null || !(yield* run(database.source.lock.isHeld(epoch))) ? "none" : "elsewhere"
    }),
    stopped: () => stopped
  }
})

/** A name for a relay that no other has. An operator reads the machine and the process in it. */
const makeName = (): string => `${Os.hostname()}/${process.pid}/${crypto.randomUUID()}`
