/**
 * Flushes of a durable outbox: each resolves when no message is left that is not newer than the newest at its start, whichever
 * process settles them.
 */
import * as Effect from "effect/Effect"
import * as Flushes from "../Outbox/Flushes.ts"
import type { Database, SqlOutboxError } from "./Database.ts"
import type { InFlight } from "./InFlight.ts"
import type { Summary } from "./Tables.ts"

interface State {
  /** Whether its database was replaced: it waits for what is in flight only. */
  isOrphaned: boolean
  /** Settlements that have deleted the last of the messages, or may have, and are not reported yet; set once none is left. */
  after: Set<object> | undefined
  /** Dead letters of its messages, and of older ones, at its start; and how many more there are at its end. */
  readonly deadBefore: number | undefined
  died: number
}

/** `dead`: dead letters that are not newer, where another relay may deliver. */
interface Found extends Summary {
  readonly dead?: number
}

type Barrier = Flushes.Flush & State

export class FlushBarriers {
  private readonly database: Database
  private readonly inFlight: InFlight
  /** Whether this relay delivers; it takes the leadership if no relay has it. */
  private readonly isLeader: Effect.Effect<boolean, SqlOutboxError>
  /** Whether it delivers, as far as it knows. */
  private readonly isHere: () => boolean
  private readonly barriers = new Flushes.Flushes<State>()
  /** Settlements that are under way. */
  private readonly settling = new Set<object>()
  /** A client that closes does not wait for what another relay delivers. */
  private isClosing = false
  /** No flush waits any more: the rest is delivered after a restart. */
  isOver = false

  constructor(
    database: Database,
    inFlight: InFlight,
    isLeader: Effect.Effect<boolean, SqlOutboxError>,
    isHere: () => boolean
  ) {
    this.database = database
    this.inFlight = inFlight
    this.isLeader = isLeader
    this.isHere = isHere
  }

  /** Resolves while a flush is under way, else as soon as one begins. */
  readonly flushRequested: Effect.Effect<void> = this.barriers.requested

  /** Looks at what a flush would wait for; at nothing if all flushes are over. */
  readonly look: Effect.Effect<Found | undefined, SqlOutboxError> = Effect.suspend(() => {
    const { run, tables } = this.database
    if (this.isOver) return Effect.undefined
    return Effect.flatMap(run(tables.summary), (found) =>
      // What is delivered here is counted here.
      found.count === 0 || this.isHere()
        ? Effect.succeed(found)
        : Effect.map(run(tables.countDead(found.newest)), (dead) => ({ ...found, dead }))
    )
  })

  /** Begins a flush of what was found, if that is something. */
  begin(found: Found | undefined): Barrier | undefined {
    if (found === undefined || this.isOver) return undefined
    const waiting = found.count - this.inFlight.pendingDeletes.size + this.inFlight.orphaned.length
    const state = { isOrphaned: false, after: undefined, deadBefore: found.dead, died: 0 }
    return waiting > 0 ? this.barriers.begin(found.newest, waiting, state) : undefined
  }

  /** Nobody waits for this flush any more. */
  forget(barrier: Barrier): void {
    this.barriers.forget(barrier)
  }

  count(seqs: ReadonlyArray<number>, end: "delivered" | "dropped"): void {
    Flushes.count(this.barriers.current, seqs, end)
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
          for (const barrier of this.barriers.current) if (barrier.after?.delete(one)) this.finish(barrier)
        })
      )
    })

  /** Resolves the flushes that have nothing left to wait for. */
  readonly resolve: Effect.Effect<void> = Effect.suspend(() =>
    Effect.forEach(
      this.barriers.current.filter(({ after }) => after === undefined),
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
    const { isOrphaned, waiting } = barrier
    const dropped = Math.max(barrier.dropped, barrier.died)
    // What was not settled here was settled by another relay, or is lost with a file that broke.
    const isOurs = isOrphaned || this.isClosing
    const delivered = isOurs ? barrier.delivered : Math.max(barrier.delivered, waiting - dropped)
    this.barriers.finish(barrier, { delivered, dropped, pending: 0 })
  }

  /** The client closes: it waits no more for what another relay delivers. */
  close(): void {
    this.isClosing = true
  }

  /** Resolves all flushes, and all to come: the rest is delivered after a restart. */
  abandon(): void {
    this.isOver = true
    for (const barrier of this.barriers.current) this.barriers.finish(barrier)
  }

  /** The database was replaced. */
  orphan(): void {
    for (const barrier of this.barriers.current) barrier.isOrphaned = true
  }

  private isDone(barrier: Barrier): Effect.Effect<boolean, SqlOutboxError> {
    const { deadBefore, isOrphaned, until } = barrier
    const { run, tables } = this.database
    const { orphaned, pendingDeletes } = this.inFlight
    if (orphaned.length > 0) return Effect.succeed(false)
    if (isOrphaned) return Effect.succeed(true)
    const isDelivered = Effect.gen(function* () {
      if (yield* run(tables.hasPending(until, pendingDeletes.keys()))) return false
      // Another relay may have made dead letters of them.
      if (deadBefore !== undefined) barrier.died = (yield* run(tables.countDead(until))) - deadBefore
      return true
    })
    if (!this.isClosing) return isDelivered
    return Effect.flatMap(this.isLeader, (isLeader) => (isLeader ? isDelivered : Effect.succeed(true)))
  }
}
