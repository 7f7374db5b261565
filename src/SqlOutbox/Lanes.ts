/**
 * Which messages are ours to deliver. Every user's messages are in one lane, and a lane is leased to one relay at a time:
 * that keeps their order, however many relays there are. A lease that nobody prolongs is over, and the lane another's.
 */
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import type { SqlError } from "effect/sql/SqlError"
import * as Time from "../internal/Time.ts"
import type { Tables } from "./Tables.ts"

export interface Options {
  /** The name of this relay, which no other has: an address, and something random. */
  readonly relay: string
  /** Milliseconds. */
  readonly lease: number
  /** How many lanes there are. */
  readonly total: number
  /** Whether the relay of this name is gone for certain. */
  readonly isGone: (relay: string) => boolean
}

export class Lanes {
  private readonly tables: Tables
  private readonly options: Options
  private owned: ReadonlySet<number> = new Set()
  /** Lanes that another relay should have: nothing more is read from them, and once nothing of theirs is held they go. */
  private leaving: ReadonlySet<number> = new Set()
  private renewedAt = Number.NEGATIVE_INFINITY
  private readonly turn = Semaphore.makeUnsafe(1)

  constructor(tables: Tables, options: Options) {
    this.tables = tables
    this.options = options
  }

  /** The lanes to read from. */
  get readable(): ReadonlyArray<number> {
    return [...this.owned].filter((lane) => !this.leaving.has(lane))
  }

  /** Whether what was read from this lane may still be sent. */
  has(lane: number): boolean {
    return this.owned.has(lane) && !this.leaving.has(lane)
  }

  /** The name of this relay. */
  get relay(): string {
    return this.options.relay
  }

  /** Whether the leases need to be prolonged soon. */
  isDue(now: number): boolean {
    return now - this.renewedAt >= this.options.lease / 3
  }

  /** Prolongs the leases, and takes or gives lanes until every relay has its share. `busy` are those that can't go now. */
  readonly refresh = (busy: ReadonlySet<number>): Effect.Effect<void, SqlError> => {
    const { isPostgres, sql } = this.tables
    const one = this.refreshOnce(busy)
    // One write to the disk instead of five; PostgreSQL's connection could be lost inside of it.
    return this.turn.withPermits(1)(isPostgres ? one : sql.withTransaction(one))
  }

  private readonly refreshOnce = Effect.fnUntraced({ self: this }, function* (busy: ReadonlySet<number>) {
    const { isGone, lease, relay, total } = this.options
    const now = yield* Time.monotonicMillis
    let relays = 0
    for (const one of yield* this.tables.report(relay, lease)) {
      if (one !== relay && isGone(one)) yield* this.tables.bereave(one)
      else relays++
    }
    const share = Math.ceil(total / relays)
    const owned = new Set(yield* this.tables.renew(relay, lease))
    if (owned.size < share) {
      for (const lane of yield* this.tables.lease(relay, lease, share - owned.size)) owned.add(lane)
    }
    // The same ones each time, so that they do become free.
    const leaving = new Set([...owned].sort((one, other) => one - other).slice(share))
    const free = [...leaving].filter((lane) => !busy.has(lane))
    if (free.length > 0) yield* this.tables.release(relay, free)
    for (const lane of free) {
      owned.delete(lane)
      leaving.delete(lane)
    }
    this.owned = owned
    this.leaving = leaving
    this.renewedAt = now
  })

  /** Gives everything back. */
  readonly leave: Effect.Effect<void, SqlError> = Effect.suspend(() => {
    this.forget()
    return this.tables.bereave(this.options.relay)
  })

  /** Knows of no lane any more. */
  forget(): void {
    this.owned = new Set()
    this.leaving = new Set()
    this.renewedAt = Number.NEGATIVE_INFINITY
  }
}
