/**
 * Which relay delivers. One does, and so every user's messages are delivered in their order; the others stand by.
 *
 * The leader holds a lock that ends with its process, and shows by a heartbeat that it is not only there, but at work. A relay
 * takes its place when the lock is free, or when the heartbeat has stopped for as long as a lease. No clocks are compared.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Time from "../internal/Time.ts"
import type { Database, SqlOutboxError } from "./Database.ts"
import type { LeaderRow } from "./Tables.ts"

/** How many locks of epochs that never began may be in the way: each was held by a relay that stopped just then. */
const maxStuck = 8

export class Leader {
  private readonly database: Database
  /** A name that no other relay has. */
  private readonly name: string
  /** Milliseconds. */
  private readonly lease: number
  private readonly mayBegin: Effect.Effect<boolean, SqlOutboxError>
  private readonly onLost: () => void
  private epoch: number | undefined
  private scope: Scope.Closeable | undefined
  /** When the leadership was last confirmed, or looked at. */
  private confirmedAt = Number.NEGATIVE_INFINITY
  private lookedAt = Number.NEGATIVE_INFINITY
  /** The heartbeat of another leader, and since when it has not changed. */
  private seen: (LeaderRow & { readonly since: number }) | undefined
  private readonly turn = Semaphore.makeUnsafe(1)
  /** Whether this relay has resigned for good. */
  private isOver = false
  constructor(
    database: Database,
    options: {
      readonly name: string
      readonly lease: number
      /** Asked before this relay becomes the leader. */
      readonly mayBegin: Effect.Effect<boolean, SqlOutboxError>
      readonly onLost: () => void
    }
  ) {
    this.database = database
    this.name = options.name
    this.lease = options.lease
    this.mayBegin = options.mayBegin
    this.onLost = options.onLost
  }

  /** Whether this relay is the leader, as far as it knows. */
  get isHere(): boolean {
    return this.epoch !== undefined
  }

  /** Milliseconds between two heartbeats, and between two looks of a relay that stands by. */
  get interval(): number {
    return this.lease / (this.isHere ? 5 : 10)
  }

  /** Whether this relay may deliver now. Asks the database only if the last answer is too old. */
  readonly confirm: Effect.Effect<boolean, SqlOutboxError> = Effect.suspend(() =>
    Effect.flatMap(Time.monotonicMillis, (now) =>
      this.isHere
        ? now - this.confirmedAt < this.lease / 2
          ? Effect.succeed(true)
          : this.refresh
        : now - this.lookedAt < this.interval
          ? Effect.succeed(false)
          : this.refresh
    )
  )

  /** Confirms the leadership, or takes it if no relay is at work; answers whether this relay is the leader. */
  readonly refresh: Effect.Effect<boolean, SqlOutboxError> = Effect.suspend(() =>
    this.turn.withPermits(1)(
      Effect.suspend(() => (this.isOver ? Effect.succeed(false) : this.isHere ? this.beat : this.look))
    )
  )

  /** Gives the leadership back for good. */
  readonly resign: Effect.Effect<unknown, SqlOutboxError> = Effect.suspend(() => {
    this.isOver = true
    const { epoch } = this
    if (epoch === undefined) return this.lose
    return Effect.ensuring(this.database.run(this.database.tables.resign(epoch)), this.lose)
  })

  /** Ends the leadership of this relay, without a word to the database. The lock is freed at the next look, or by `lose`. */
  forget(): void {
    if (this.isHere) this.onLost()
    this.epoch = undefined
    this.seen = undefined
    this.lookedAt = Number.NEGATIVE_INFINITY
  }

  private readonly lose: Effect.Effect<void> = Effect.suspend(() => {
    this.forget()
    const { scope } = this
    this.scope = undefined
    return scope === undefined ? Effect.void : Effect.ignoreCause(Scope.close(scope, Exit.void))
  })

  private readonly beat: Effect.Effect<boolean, SqlOutboxError> = Effect.gen({ self: this }, function* () {
    const { run, source, tables } = this.database
    const now = yield* Time.monotonicMillis
    const confirmed = yield* Effect.onError(
      run(source.lock.guarded(tables.heartbeat(this.epoch as number))),
      // The lock may be lost with its connection.
      () => (tables.isPostgres ? this.lose : Effect.void)
    )
    if (!confirmed) yield* this.lose
    else this.confirmedAt = now
    return confirmed
  })

  private readonly look: Effect.Effect<boolean, SqlOutboxError> = Effect.gen({ self: this }, function* () {
    const { run, source, tables } = this.database
    if (this.scope !== undefined) yield* this.lose
    const now = yield* Time.monotonicMillis
    this.lookedAt = now
    const row = yield* run(tables.readLeader)
    if (row.epoch !== this.seen?.epoch || row.beat !== this.seen.beat) this.seen = { ...row, since: now }
    // A name of ours is of a connection that was lost.
    const isVacant = row.holder === null || row.holder === this.name || now - this.seen.since >= this.lease
    if (!isVacant && (yield* run(source.lock.isHeld(row.epoch)))) return false
    return (yield* this.mayBegin) && (yield* this.begin(row.epoch))
  })

  /** Begins an epoch. The lock comes first: an epoch without it would seem to be vacant. */
  private readonly begin = Effect.fnUntraced({ self: this }, function* (from: number): Effect.fn.Return<
    boolean,
    SqlOutboxError
  > {
    const { run, source, tables } = this.database
    for (let epoch = from + 1; epoch <= from + maxStuck; epoch++) {
      const now = yield* Time.monotonicMillis
      const scope = yield* Scope.make()
      const begun = Effect.gen(function* () {
        if (!(yield* run(Scope.provide(source.lock.hold(epoch), scope)))) return "held"
        return (yield* run(source.lock.guarded(tables.beginEpoch(from, epoch, name)))) ? "begun" : "late"
      })
      const { name } = this
      const end = yield* Effect.onExit(begun, (exit) =>
        Exit.isSuccess(exit) && exit.value === "begun" ? Effect.void : Scope.close(scope, Exit.void)
      )
      if (end === "held") continue
      if (end === "late") return false
      this.epoch = epoch
      this.scope = scope
      this.confirmedAt = now
      // Its process has died, or it would have done this itself.
      yield* source.lock.remove(from)
      // It may have resigned meanwhile.
      if (this.isOver) yield* this.resign
      return this.isHere
    }
    return false
  })
}
