/**
 * What an operator asks of a durable outbox, and does with it: how much waits, what died, whose messages are to go.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { Wire } from "../Message.ts"
import type { Database, Fault } from "./Database.ts"
import type { Store } from "./Store.ts"

export interface Stats {
  /** Messages that wait, whoever wrote them. */
  readonly pending: number
  /** UTF-8 bytes of them. */
  readonly pendingBytes: number
  /** For how long the oldest has waited, in milliseconds; 0 if there is none. */
  readonly oldestAge: number
  /** Messages that the API rejected. */
  readonly dead: number
  readonly lanes: {
    readonly total: number
    /** Leased by a relay that is alive. */
    readonly leased: number
    /** Of those, by this process. */
    readonly here: number
  }
}

/** A message that the API rejected. */
export interface DeadLetter {
  readonly message: Wire
  readonly reason: string
  /** The last HTTP status, if there was an answer. */
  readonly status: number | undefined
  /** HTTP attempts made. */
  readonly attempts: number
  /** Time of day in milliseconds. */
  readonly diedAt: number
}

export interface Operations {
  readonly stats: Effect.Effect<Stats, Fault>
  /** Lets all dead letters wait again, after everything that waits now; answers how many do. */
  readonly retryDead: Effect.Effect<number, Fault>
  /** Deletes the dead letters, or those that died longer ago than `olderThan`; answers how many. */
  readonly purgeDead: (options?: { readonly olderThan?: Duration.Input | undefined }) => Effect.Effect<number, Fault>
  /**
   * Deletes every message that names this user, as `userId`, `anonymousId` or `previousId`, waiting or dead: for requests
   * of erasure. What is on its way at this moment can't be called back. Those that waited are dropped, with the reason
   * `erased`.
   */
  readonly purgeUser: (
    userId: string | number
  ) => Effect.Effect<{ readonly pending: number; readonly dead: number }, Fault>
  /**
   * The messages that wait, oldest first, read a page at a time in constant memory. What is delivered while it is read may be
   * missing.
   */
  readonly pendingMessages: Stream.Stream<Wire, Fault>
  /** The dead letters by their `messageId`, read in the same way. */
  readonly deadLetters: Stream.Stream<DeadLetter, Fault>
}

/** Messages that are looked at together. */
const pageSize = 500

/** Reads page after page; the next begins after the last of this one. */
const pages = <A, Place, E>(
  first: Place,
  read: (after: Place) => Effect.Effect<ReadonlyArray<A>, E>,
  placeOf: (row: A) => Place
): Stream.Stream<A, E> =>
  Stream.paginate(first, (after) =>
    Effect.map(read(after), (page) => {
      const last = page.at(-1)
      return [page, last === undefined ? Option.none() : Option.some(placeOf(last))] as const
    })
  )

export const makeOperations = ({ ask, tables }: Database, store: Store): Operations => ({
  stats: Effect.gen(function* () {
    const { bytes, count } = yield* ask(tables.tally)
    const oldest = yield* ask(tables.oldest)
    const now = yield* Clock.currentTimeMillis
    return {
      pending: count,
      pendingBytes: bytes,
      oldestAge: oldest === undefined ? 0 : Math.max(0, now - oldest),
      dead: yield* ask(tables.countDead),
      lanes: {
        total: yield* ask(tables.countLanes),
        leased: yield* ask(tables.countLeased),
        here: store.lanesHere()
      }
    }
  }),

  retryDead: Effect.gen(function* () {
    const again = yield* ask(tables.retryDead)
    yield* store.refresh
    return again.length
  }),

  purgeDead: ({ olderThan } = {}) =>
    Effect.gen(function* () {
      const age = olderThan === undefined ? -1 : Duration.toMillis(Duration.fromInputUnsafe(olderThan))
      return yield* ask(tables.purgeDead((yield* Clock.currentTimeMillis) - age))
    }),

  purgeUser: Effect.fnUntraced(function* (userId: string | number) {
    const id = String(userId)
    let pending = 0
    let dead = 0
    for (let after = 0; ; ) {
      const page = yield* ask(tables.page(after, pageSize))
      const last = page.at(-1)
      if (last === undefined) break
      after = last.seq
      const theirs = page.filter(({ message }) => names(message.json, id))
      pending += yield* store.erase(theirs)
      yield* Effect.yieldNow
    }
    for (let after = ""; ; ) {
      const page = yield* ask(tables.pageDead(after, pageSize))
      const last = page.at(-1)
      if (last === undefined) break
      after = last.key
      for (const { key, payload } of page) {
        if (!names(payload, id)) continue
        yield* ask(tables.removeDead(key))
        dead++
      }
      yield* Effect.yieldNow
    }
    return { pending, dead }
  }),

  pendingMessages: pages(
    0,
    (after) => ask(tables.page(after, pageSize)),
    ({ seq }) => seq
  ).pipe(Stream.map(({ message }) => message.data)),

  deadLetters: pages(
    "",
    (after) => ask(tables.pageDead(after, pageSize)),
    ({ key }) => key
  ).pipe(Stream.map(({ key, payload, ...fate }) => ({ message: JSON.parse(payload) as Wire, ...fate })))
})

const names = (json: string, id: string): boolean => {
  const message = JSON.parse(json) as Record<string, unknown>
  return [message.userId, message.anonymousId, message.previousId].includes(id)
}
