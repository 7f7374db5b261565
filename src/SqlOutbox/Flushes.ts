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

interface Barrier {
  /** Waits for the messages that are not newer than this one. */
  readonly until: number
  /** How many these are. */
  readonly waiting: number
  readonly done: Deferred.Deferred<Flushed>
  delivered: number
  dropped: number
}

export class Flushes {
  private readonly database: Database
  private readonly held: Held
  private readonly barriers = new Set<Barrier>()
  private readonly hurry = Latch.makeUnsafe()

  constructor(database: Database, held: Held) {
    this.database = database
    this.held = held
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
    const waiting = (yield* ask(tables.countUntil(until))) - this.leftUntil(until)
    if (waiting <= 0) return { end: Effect.succeed({ delivered: 0, dropped: 0 }) }
    const barrier: Barrier = { until, waiting, done: Deferred.makeUnsafe(), delivered: 0, dropped: 0 }
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
          Effect.orElseSucceed(this.isOver(barrier), () => false),
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

  /** Resolves all: what is left is left to the next life. */
  abandon(): void {
    for (const { delivered, done, dropped } of this.barriers) {
      Deferred.doneUnsafe(done, Exit.succeed({ delivered, dropped }))
    }
  }

  private isOver({ until }: Barrier): Effect.Effect<boolean, Fault> {
    const { ask, tables } = this.database
    const left = this.leftUntil(until)
    return left === 0
      ? Effect.map(ask(tables.hasUntil(until)), (has) => !has)
      : Effect.map(ask(tables.countUntil(until)), (count) => count <= left)
  }

  private leftUntil(until: number): number {
    return Array.from(this.held.leftovers.keys()).filter((seq) => seq <= until).length
  }
}
