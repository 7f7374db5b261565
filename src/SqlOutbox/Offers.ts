/**
 * How a message gets into a durable outbox: together with others that come at the same time, or in the transaction of who
 * calls; and what happens when the bound is reached.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { Closed, OutboxFull, type OutboxUnavailable } from "../AnalyticsError.ts"
import * as Message from "../Message.ts"
import type { OfferError, Overflow } from "../Outbox.ts"
import type { Backlog } from "./Backlog.ts"
import * as Commits from "./Commits.ts"
import type { Database, Fault } from "./Database.ts"
import type { Held } from "./Held.ts"
import type * as Loop from "./Loop.ts"
import type { NewEntry, Size } from "./Tables.ts"

export interface Offers {
  readonly offer: (message: Message.Message) => Effect.Effect<void, OfferError>
  /** Takes no more, and refuses those who wait for room. */
  readonly close: Effect.Effect<void>
  readonly isClosed: () => boolean
  /** Resolves when everything that was offered before is committed, or is not. */
  readonly committed: Effect.Effect<void>
}

export const make = Effect.fnUntraced(function* (
  database: Database,
  options: {
    readonly backlog: Backlog
    readonly held: Held
    readonly overflow: Overflow
    /** How many lanes there are. */
    readonly lanes: number
    /** Called when there is something new. */
    readonly onWritten: () => void
    readonly onDefect: Loop.OnDefect
    /** Why the outbox is stopped, if it is. */
    readonly stopped: () => OutboxUnavailable | undefined
    /** Removes so many of the oldest that wait, and tells of it; answers how many. */
    readonly evict: (count: number) => Effect.Effect<number, Fault>
  }
): Effect.fn.Return<Offers, never, Scope.Scope> {
  const { backlog, evict, held, lanes, onDefect, onWritten, overflow, stopped } = options
  const { ask, askInside, place, tables } = database
  let closed = false

  const written = (sizes: ReadonlyArray<Size>) =>
    Effect.sync(() => {
      backlog.added(sizes)
      onWritten()
    })

  /** What keeps room for messages that are being written. */
  const kept = new Map<NewEntry, () => void>()

  const commits = yield* Commits.make(
    (entries) =>
      Effect.flatMap(ask(tables.insert(entries)), (sizes) =>
        Effect.map(written(sizes), () => {
          // At once: counted twice, they would keep others out.
          for (const entry of entries) kept.get(entry)?.()
        })
      ),
    onDefect
  )

  /** In the transaction of the caller: it is there when that is committed, and only then. */
  const writeInside = (entry: NewEntry): Effect.Effect<void, Fault> =>
    Effect.flatMap(askInside(tables.insert([entry])), (sizes) => tables.sql.afterCommit(written(sizes)))

  const write = (message: Message.Message, isInside: boolean, release: () => void) =>
    Effect.flatMap(Clock.currentTimeMillis, (createdAt) => {
      const entry = { message, lane: ((message.user ?? Message.userOf(message.data)) >>> 0) % lanes, createdAt }
      kept.set(entry, release)
      return Effect.ensuring(
        isInside ? Effect.suspend(() => writeInside(entry)) : commits.add(entry),
        Effect.sync(() => {
          kept.delete(entry)
          release()
        })
      )
    })

  const evicting = yield* Semaphore.make(1)

  /** Removes the oldest that wait, until there is room. What this relay holds can't be called back. */
  const evictFor = Effect.fnUntraced(function* (message: Message.Message) {
    const { maxQueueBytes, maxQueueSize } = backlog.bound
    // Nothing is evicted in vain.
    if (held.size >= maxQueueSize || held.bytes + message.bytes > maxQueueBytes) return
    for (let excess = backlog.excess(message); excess !== undefined; excess = backlog.excess(message)) {
      if ((yield* evict(excess.count)) === 0) return
    }
  })

  // The only part of an offer that may be interrupted: after it the message may be there.
  const waitForRoom = (message: Message.Message) =>
    Effect.callback<() => void, Closed>((resume) => {
      const giveUp = backlog.wait(message, {
        admit: () => resume(Effect.succeed(backlog.reserve(message))),
        refuse: () => resume(Effect.fail(new Closed()))
      })
      return Effect.sync(giveUp)
    }).pipe(Effect.interruptible)

  /** Not in a transaction: what is evicted there is there again if it is rolled back. */
  const makeRoom = (message: Message.Message, isInside: boolean): Effect.Effect<void, Fault> =>
    overflow !== "drop-oldest" || isInside || backlog.excess(message) === undefined
      ? Effect.void
      : evicting.withPermits(1)(evictFor(message))

  const offer: Offers["offer"] = (message) =>
    Effect.withFiber<void, OfferError>((fiber) => {
      if (closed) return Effect.fail(new Closed())
      const why = stopped()
      if (why !== undefined) return Effect.fail(why)
      if (place.isFull()) return Effect.fail(new OutboxFull({ bound: "disk" }))
      const transaction = Context.getOrUndefined(fiber.context, tables.sql.transactionService as never)
      const isInside = transaction !== undefined
      // Who waited in a transaction would keep others waiting.
      if (overflow === "wait" && !isInside && (backlog.hasWaiters || backlog.excess(message) !== undefined)) {
        return Effect.flatMap(waitForRoom(message), (release) => write(message, false, release))
      }
      return Effect.flatMap(makeRoom(message, isInside), () => {
        const excess = backlog.excess(message)
        return excess === undefined
          ? write(message, isInside, backlog.reserve(message))
          : Effect.fail(new OutboxFull({ bound: excess.bound, limit: excess.limit }))
      })
      // Whatever a message makes throw is the error of its own call.
    }).pipe(Effect.catchDefect(() => Effect.fail(Commits.unwritable)))

  return {
    offer,
    close: Effect.sync(() => {
      closed = true
      backlog.refuseWaiters()
    }),
    isClosed: () => closed,
    committed: commits.idle
  }
})
