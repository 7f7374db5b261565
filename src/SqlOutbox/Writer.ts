/**
 * Writes messages to a durable outbox: in a group commit, or in the transaction of the caller; and decides what happens when
 * the bound is reached.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { Closed, OutboxFull, OutboxUnavailable } from "../AnalyticsError.ts"
import * as Message from "../Message.ts"
import type { Capacity } from "../Outbox/Capacity.ts"
import type { OfferError, Overflow } from "../Outbox.ts"
import type { Database, SqlOutboxError } from "./Database.ts"
import * as GroupCommit from "./GroupCommit.ts"
import type { InFlight } from "./InFlight.ts"
import type * as Loop from "./Loop.ts"
import { type NewRow, type Size, sum, toRow } from "./Tables.ts"

export interface Writer {
  readonly offer: (message: Message.Message, overflow?: Overflow) => Effect.Effect<void, OfferError>
  /** Refuses further calls, and those that wait for room. */
  readonly close: Effect.Effect<void>
  readonly isClosed: () => boolean
  /** Resolves when everything that was offered before is committed, or is not. */
  readonly committed: Effect.Effect<void>
}

const unwritable = new OutboxUnavailable({ problem: "can't write this message" })
const unconfirmable = new OutboxUnavailable({
  problem: "can't confirm a call inside of a transaction: it is delivered after the commit"
})

export const make = Effect.fnUntraced(function* (
  database: Database,
  options: {
    readonly capacity: Capacity
    readonly inFlight: InFlight
    readonly overflow: Overflow
    /** Called when something was committed. */
    readonly onWritten: () => void
    readonly onDefect: Loop.OnDefect
    /** Why the outbox is stopped, if it is. */
    readonly stopped: () => OutboxUnavailable | undefined
    /** Whether somebody waits for the end of a message. */
    readonly isAwaited: (message: Message.Message) => boolean
    /** Counts what is pending, unless that was just done: other processes deliver it. */
    readonly recount: Effect.Effect<void, SqlOutboxError>
    /** Deletes and reports so many of the oldest pending messages; answers how many. */
    readonly evict: (count: number) => Effect.Effect<number, SqlOutboxError>
  }
): Effect.fn.Return<Writer, never, Scope.Scope> {
  const { capacity, evict, inFlight, isAwaited, onDefect, onWritten, recount, stopped } = options
  const { run, runInTransaction, source, tables } = database
  let closed = false

  const written = (sizes: ReadonlyArray<Size>) =>
    Effect.sync(() => {
      capacity.add(sizes.length, sum(sizes))
      onWritten()
    })

  /** The room that is reserved for messages that are being written. */
  const reserved = new Map<NewRow, () => void>()

  const commits = yield* GroupCommit.make(
    (rows) =>
      Effect.flatMap(run(tables.insert(rows)), (sizes) =>
        Effect.map(written(sizes), () => {
          // At once: counted twice, they would keep others out.
          for (const row of rows) reserved.get(row)?.()
        })
      ),
    onDefect
  )

  /** In the transaction of the caller: the message is there when that is committed, and only then. */
  const writeInTransaction = (row: NewRow): Effect.Effect<void, SqlOutboxError> =>
    Effect.flatMap(runInTransaction(tables.insert([row])), (sizes) => tables.sql.afterCommit(written(sizes)))

  const write = (message: Message.Message, isInTransaction: boolean, release: () => void) =>
    Effect.flatMap(Clock.currentTimeMillis, (createdAt) => {
      const partition = ((message.user ?? Message.userOf(message.data)) >>> 0) % database.partitions
      const row = toRow(message, partition, createdAt)
      reserved.set(row, release)
      return Effect.ensuring(
        isInTransaction ? writeInTransaction(row) : commits.add(row),
        Effect.sync(() => void reserved.delete(row))
      )
    }).pipe(Effect.ensuring(Effect.sync(release)))

  const evicting = yield* Semaphore.make(1)

  /** Deletes the oldest pending messages until there is room. What is in flight can't be called back. */
  const evictFor = Effect.fnUntraced(function* (message: Message.Message) {
    const { maxQueueBytes, maxQueueSize } = capacity.bound
    // Nothing is evicted in vain.
    if (inFlight.size >= maxQueueSize || inFlight.bytes + message.bytes > maxQueueBytes) return
    for (let excess = capacity.excess(message); excess !== undefined; excess = capacity.excess(message)) {
      if ((yield* evict(excess.count)) === 0) return
    }
  })

  /** Not in a transaction: what is evicted there is there again if it is rolled back. */
  const makeRoom = (
    message: Message.Message,
    overflow: Overflow,
    isInTransaction: boolean
  ): Effect.Effect<void, SqlOutboxError> =>
    overflow !== "drop-oldest" || isInTransaction || capacity.excess(message) === undefined
      ? Effect.void
      : evicting.withPermits(1)(evictFor(message))

  const offer: Writer["offer"] = (message, overflow = options.overflow) =>
    Effect.withFiber<void, OfferError>((fiber) => {
      if (closed) return Effect.fail(new Closed())
      const why = stopped()
      if (why !== undefined) return Effect.fail(why)
      if (source.isFull()) return Effect.fail(new OutboxFull({ bound: "disk" }))
      const transaction = Context.getOrUndefined(fiber.context, tables.sql.transactionService as never)
      const isInTransaction = transaction !== undefined
      if (isInTransaction && isAwaited(message)) return Effect.fail(unconfirmable)
      // A call in a transaction never waits: it would hold locks.
      if (overflow === "wait" && !isInTransaction && (capacity.hasWaiters || capacity.excess(message) !== undefined)) {
        const room = capacity.awaitRoom(message, () => capacity.reserve(message))
        return Effect.flatMap(room, (release) => write(message, false, release))
      }
      const counted = isInTransaction || capacity.excess(message) === undefined ? Effect.void : recount
      return Effect.flatMap(Effect.andThen(counted, makeRoom(message, overflow, isInTransaction)), () => {
        const excess = capacity.excess(message)
        return excess === undefined
          ? write(message, isInTransaction, capacity.reserve(message))
          : Effect.fail(new OutboxFull({ bound: excess.bound, limit: excess.limit }))
      })
      // What a message makes throw is the error of its own call.
    }).pipe(Effect.catchDefect(() => Effect.fail(unwritable)))

  return {
    offer,
    close: Effect.sync(() => {
      closed = true
      capacity.refuseWaiters()
    }),
    isClosed: () => closed,
    committed: commits.idle
  }
})
