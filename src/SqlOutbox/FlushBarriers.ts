/**
 * Flushes of a durable outbox: each resolves when no message is left that is not newer than the newest at its start, whichever
 * process settles them.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import type { Flushed } from "../Outbox.ts"
import type { Database, SqlOutboxError } from "./Database.ts"
import type { InFlight } from "./InFlight.ts"

interface Barrier {
  /** Waits for the messages that are not newer than this one. */
  readonly until: number
  /** How many these are. */
  readonly waiting: number
  readonly done: Deferred.Deferred<Flushed>
  delivered: number
  dropped: number
  /** Whether its database was replaced: it waits for what is in flight only. */
  isOrphaned: boolean
  /** Settlements that have deleted the last of the messages, or may have, and are not reported yet; set once none is left. */
  after: Set<object> | undefined
}

/** A flush that is under way. */
export interface Flushing {
  readonly end: Effect.Effect<Flushed>
  /** Nobody waits for it any more. */
  readonly forget: () => void
  /** What has become of its messages until now. */
  readonly soFar: () => Flushed & { readonly pending: number }
}

/** Nothing to wait for. */
const nothing: Flushing = {
  end: Effect.succeed<Flushed>({ delivered: 0, dropped: 0 }),
  forget: () => {},
  soFar: () => ({ delivered: 0, dropped: 0, pending: 0 })
}

export class FlushBarriers {
  private readonly database: Database
  private readonly inFlight: InFlight
  /** Whether this relay delivers; it takes the leadership if no relay has it. */
  private readonly isLeader: Effect.Effect<boolean, SqlOutboxError>
  private readonly barriers = new Set<Barrier>()
  private readonly requested = Latch.makeUnsafe()
  /** Settlements that are under way. */
  private readonly settling = new Set<object>()
  /** A client that closes does not wait for what another relay delivers. */
  private isClosing = false
  private isOver = false

  constructor(database: Database, inFlight: InFlight, isLeader: Effect.Effect<boolean, SqlOutboxError>) {
    this.database = database
    this.inFlight = inFlight
    this.isLeader = isLeader
  }

  /** Resolves while a flush is under way, else as soon as one begins. */
  readonly flushRequested: Effect.Effect<void> = Effect.suspend(() => this.requested.await)

  /**
   * Begins a flush of everything that is there now, and tells it to whoever flushes in the turn in which it begins: an
   * interruption right after it finds what to forget.
   */
  readonly begin = Effect.fnUntraced({ self: this }, function* (onBegin: (begun: Flushing) => void): Effect.fn.Return<
    Flushing,
    SqlOutboxError
  > {
    const { run, tables } = this.database
    if (this.isOver) return nothing
    const { count, newest: until } = yield* run(tables.summary)
    const waiting = count - this.inFlight.pendingDeletes.size + this.inFlight.orphaned.length
    if (waiting <= 0 || this.isOver) return nothing
    const barrier: Barrier = {
      until,
      waiting,
      done: Deferred.makeUnsafe(),
      delivered: 0,
      dropped: 0,
      isOrphaned: false,
      after: undefined
    }
    this.barriers.add(barrier)
    this.requested.openUnsafe()
    const begun: Flushing = {
      end: Deferred.await(barrier.done),
      forget: () => {
        this.barriers.delete(barrier)
        if (this.barriers.size === 0) this.requested.closeUnsafe()
      },
      soFar: () => {
        const { delivered, dropped } = barrier
        return { delivered, dropped, pending: Math.max(0, waiting - delivered - dropped) }
      }
    }
    onBegin(begun)
    return begun
  })

  count(seqs: Iterable<number>, end: "delivered" | "dropped"): void {
    if (this.barriers.size === 0) return
    for (const seq of seqs) for (const barrier of this.barriers) if (seq <= barrier.until) barrier[end]++
  }

  /** Deletes messages and reports them: no flush resolves in between, though nothing is left in the database. */
  readonly during = <A, E>(ends: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.suspend(() => {
      const one = {}
      this.settling.add(one)
      return Effect.ensuring(
        ends,
        Effect.sync(() => {
          this.settling.delete(one)
          for (const barrier of this.barriers) if (barrier.after?.delete(one)) this.finish(barrier)
        })
      )
    })

  /** Resolves the flushes that have nothing left to wait for. */
  readonly resolve: Effect.Effect<void> = Effect.suspend(() =>
    Effect.forEach(
      Array.from(this.barriers).filter(({ after }) => after === undefined),
      (barrier) =>
        Effect.map(
          Effect.orElseSucceed(this.isDone(barrier), () => false),
          (isDone) => {
            if (!isDone) return
            barrier.after ??= new Set(this.settling)
            this.finish(barrier)
          }
        ),
      { discard: true }
    )
  )

  private finish(barrier: Barrier): void {
    if (barrier.after === undefined || barrier.after.size > 0) return
    const { dropped, isOrphaned, waiting } = barrier
    // What was not settled here was settled by another relay, or is lost with a file that broke.
    const isOurs = isOrphaned || this.isClosing
    const delivered = isOurs ? barrier.delivered : Math.max(barrier.delivered, waiting - dropped)
    Deferred.doneUnsafe(barrier.done, Exit.succeed({ delivered, dropped }))
  }

  /** The client closes: it waits no more for what another relay delivers. */
  close(): void {
    this.isClosing = true
  }

  /** Resolves all flushes, and all to come: the rest is delivered after a restart. */
  abandon(): void {
    this.isOver = true
    for (const { delivered, done, dropped } of this.barriers) {
      Deferred.doneUnsafe(done, Exit.succeed({ delivered, dropped }))
    }
  }

  /** The database was replaced. */
  orphan(): void {
    for (const barrier of this.barriers) barrier.isOrphaned = true
  }

  private isDone({ isOrphaned, until }: Barrier): Effect.Effect<boolean, SqlOutboxError> {
    const { run, tables } = this.database
    if (this.inFlight.orphaned.length > 0) return Effect.succeed(false)
    if (isOrphaned) return Effect.succeed(true)
    const isDelivered = Effect.map(
      run(tables.hasPending(until, this.inFlight.pendingDeletes.keys())),
      (isPending) => !isPending
    )
    if (!this.isClosing) return isDelivered
    return Effect.flatMap(this.isLeader, (isLeader) => (isLeader ? isDelivered : Effect.succeed(true)))
  }
}
