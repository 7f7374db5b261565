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
  /** What removed the last of the messages, or may have, and has not told of it yet; set once they are gone. */
  after: Set<object> | undefined
}

/** Nothing to wait for. */
const nothing = { end: Effect.succeed<Flushed>({ delivered: 0, dropped: 0 }) }

export class Flushes {
  private readonly database: Database
  private readonly held: Held
  private readonly lanes: Lanes
  private readonly barriers = new Set<Barrier>()
  private readonly hurry = Latch.makeUnsafe()
  /** What removes messages at the moment, and will tell of them. */
  private readonly ending = new Set<object>()
  /** Whether what other relays have is theirs to wait for: a client that closes does not. */
  private isClosing = false
  private isOver = false

  constructor(database: Database, held: Held, lanes: Lanes) {
    this.database = database
    this.held = held
    this.lanes = lanes
  }

  /** Resolves at once while somebody waits for a flush, else as soon as somebody does. */
  readonly flushRequested: Effect.Effect<void> = Effect.suspend(() => this.hurry.await)

  /** Begins to wait for everything that is there now; answers with the end of it. */
  readonly begin = Effect.fnUntraced({ self: this }, function* (): Effect.fn.Return<
    { readonly end: Effect.Effect<Flushed> },
    Fault
  > {
    const { ask, tables } = this.database
    if (this.isOver) return nothing
    const until = yield* ask(tables.last)
    const { count } = yield* ask(tables.tally)
    const waiting = count - this.held.leftovers.size + this.held.displaced.length
    if (waiting <= 0 || this.isOver) return nothing
    const barrier: Barrier = {
      until,
      waiting,
      done: Deferred.makeUnsafe(),
      delivered: 0,
      dropped: 0,
      isDisplaced: false,
      after: undefined
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

  /** Removes messages, and tells of them: no flush is over in between, though nothing is left in the database. */
  readonly during = <A, E>(ends: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.suspend(() => {
      const one = {}
      this.ending.add(one)
      return Effect.ensuring(
        ends,
        Effect.sync(() => {
          this.ending.delete(one)
          for (const barrier of this.barriers) if (barrier.after?.delete(one)) this.finish(barrier)
        })
      )
    })

  /** Resolves those that have nothing left to wait for. */
  readonly resolve: Effect.Effect<void> = Effect.suspend(() =>
    Effect.forEach(
      Array.from(this.barriers).filter(({ after }) => after === undefined),
      (barrier) =>
        Effect.map(
          Effect.orElseSucceed(this.isDone(barrier), () => false),
          (isDone) => {
            if (!isDone) return
            barrier.after ??= new Set(this.ending)
            this.finish(barrier)
          }
        ),
      { discard: true }
    )
  )

  private finish(barrier: Barrier): void {
    if (barrier.after === undefined || barrier.after.size > 0) return
    const { dropped, isDisplaced, waiting } = barrier
    // What is gone and was not settled here, another relay has settled; or it is lost with a file that broke.
    const isOurs = isDisplaced || this.isClosing
    const delivered = isOurs ? barrier.delivered : Math.max(barrier.delivered, waiting - dropped)
    Deferred.doneUnsafe(barrier.done, Exit.succeed({ delivered, dropped }))
  }

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
