/**
 * Flushes of a durable outbox: each waits until no message is left that is not newer than the newest when it was asked for,
 * whoever settles them.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import type { Flushed } from "../Outbox.ts"
import type { Database, Fault } from "./Database.ts"
import type { Held } from "./Held.ts"
import type { Lanes } from "./Lanes.ts"

interface Barrier {
  /** Waits for the messages that are not newer than this one. */
  readonly until: number
  /** How many these are. */
  readonly waiting: number
  readonly done: Deferred.Deferred<Flushed>
  delivered: number
  dropped: number
  /** Whether the database that it began in is no more: only what is on its way is left to wait for. */
  isDisplaced: boolean
}

export class Flushes {
  private readonly database: Database
  private readonly held: Held
  private readonly lanes: Lanes
  private readonly barriers = new Set<Barrier>()
  private readonly hurry = Latch.makeUnsafe()
  /** Whether what other relays have is theirs to wait for: a client that closes does not. */
  private isClosing = false
  private isOver = false

  constructor(database: Database, held: Held, lanes: Lanes) {
    this.database = database
    this.held = held
    this.lanes = lanes
  }

  /** Resolves at once while somebody waits for a flush, else as soon as somebody does. */
  readonly hurried: Effect.Effect<void> = Effect.suspend(() => this.hurry.await)

  /** Begins to wait for everything that is there now; answers with the end of it. */
  readonly begin = Effect.fnUntraced({ self: this }, function* (): Effect.fn.Return<
    { readonly end: Effect.Effect<Flushed> },
    Fault
  > {
    const { ask, tables } = this.database
    const until = yield* ask(tables.last)
    const { count } = yield* ask(tables.tally)
    const waiting = count - this.held.leftovers.size + this.held.displaced.length
    if (waiting <= 0 || this.isOver) return { end: Effect.succeed({ delivered: 0, dropped: 0 }) }
    const barrier: Barrier = {
      until,
      waiting,
      done: Deferred.makeUnsafe(),
      delivered: 0,
      dropped: 0,
      isDisplaced: false
    }
    this.barriers.add(barrier)
    this.hurry.openUnsafe()
    const forget = Effect.sync(() => {
      this.barriers.delete(barrier)
      if (this.barriers.size === 0) this.hurry.closeUnsafe()
    })
    return { end: Effect.ensuring(Deferred.await(barrier.done), forget) }
  })

  count(seqs: Iterable<number>, end: "delivered" | "dropped"): void {
    if (this.barriers.size === 0) return
    for (const seq of seqs) for (const barrier of this.barriers) if (seq <= barrier.until) barrier[end]++
  }

  /** Resolves those that have nothing left to wait for. */
  readonly resolve: Effect.Effect<void> = Effect.suspend(() =>
    Effect.forEach(
      this.barriers,
      (barrier) =>
        Effect.map(
          Effect.orElseSucceed(this.isDone(barrier), () => false),
          (over) => {
            if (!over) return
            const { dropped, isDisplaced, waiting } = barrier
            // What is gone and was not settled here, another relay has settled; or it is lost with a file that broke.
            const isOurs = isDisplaced || this.isClosing
            const delivered = isOurs ? barrier.delivered : Math.max(barrier.delivered, waiting - dropped)
            Deferred.doneUnsafe(barrier.done, Exit.succeed({ delivered, dropped }))
          }
        ),
      { discard: true }
    )
  )

  /** The client closes: nobody waits any more for what others have to deliver. */
  close(): void {
    this.isClosing = true
  }

  /** Resolves all, and all to come: what is left is left to the next life. */
  abandon(): void {
    this.isOver = true
    for (const { delivered, done, dropped } of this.barriers) {
      Deferred.doneUnsafe(done, Exit.succeed({ delivered, dropped }))
    }
  }

  /** There is another database than before. */
  displace(): void {
    for (const barrier of this.barriers) barrier.isDisplaced = true
  }

  private isDone({ isDisplaced, until }: Barrier): Effect.Effect<boolean, Fault> {
    const { ask, tables } = this.database
    if (this.held.displaced.length > 0) return Effect.succeed(false)
    if (isDisplaced) return Effect.succeed(true)
    const relay = this.isClosing ? this.lanes.relay : undefined
    return Effect.map(ask(tables.waits(until, this.held.leftovers.keys(), relay)), (waits) => !waits)
  }
}
