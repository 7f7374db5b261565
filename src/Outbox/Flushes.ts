/**
 * The flushes of an outbox that are under way: each waits for the messages up to a place in their order, and counts how these
 * end.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import type * as Option from "effect/Option"
import type { Flushed } from "../Outbox.ts"

export interface Flush {
  /** It waits for the messages whose place is not behind this one. */
  readonly until: number
  /** How many these were at its start. */
  readonly waiting: number
  readonly done: Deferred.Deferred<Flushed>
  delivered: number
  dropped: number
}

/** `State` is what an outbox keeps for each flush besides. */
export class Flushes<State extends object = object> {
  private readonly all = new Set<Flush & State>()
  private readonly latch = Latch.makeUnsafe()

  /** Resolves while a flush is under way, else as soon as one begins. */
  readonly requested: Effect.Effect<void> = Effect.suspend(() => this.latch.await)

  /** Those that are under way. */
  get current(): ReadonlyArray<Flush & State> {
    return Array.from(this.all)
  }

  begin(until: number, waiting: number, state: State): Flush & State {
    const flush = { until, waiting, done: Deferred.makeUnsafe<Flushed>(), delivered: 0, dropped: 0, ...state }
    this.all.add(flush)
    this.latch.openUnsafe()
    return flush
  }

  finish(flush: Flush & State, flushed: Flushed = soFar(flush)): void {
    this.forget(flush)
    Deferred.doneUnsafe(flush.done, Exit.succeed(flushed))
  }

  /** The end of a flush, which is forgotten when nobody waits for it any more. */
  end(flush: Flush & State): Effect.Effect<Flushed> {
    return Effect.ensuring(
      Deferred.await(flush.done),
      Effect.sync(() => this.forget(flush))
    )
  }

  forget(flush: Flush & State): void {
    this.all.delete(flush)
    if (this.all.size === 0) this.latch.closeUnsafe()
  }
}

/** Nothing, if a timeout in milliseconds comes first. */
export const within = <A>(flushing: Effect.Effect<A>, timeout: number | undefined): Effect.Effect<Option.Option<A>> =>
  timeout === undefined ? Effect.asSome(flushing) : Effect.timeoutOption(flushing, timeout)

/** Counts the ends of the messages at these places. */
export const count = (flushes: Iterable<Flush>, places: ReadonlyArray<number>, end: "delivered" | "dropped"): void => {
  for (const flush of flushes) for (const place of places) if (place <= flush.until) flush[end]++
}

/** What has become of the messages of a flush until now. */
export const soFar = ({ delivered, dropped, waiting }: Flush): Flushed => ({
  delivered,
  dropped,
  pending: Math.max(0, waiting - delivered - dropped)
})
