/**
 * The ends of messages: each is deleted from the database, or becomes a dead letter, and is reported once.
 */
import * as Arr from "effect/Array"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import { DeliveryError, type LossReason } from "../AnalyticsError.ts"
import type { Message } from "../Message.ts"
import type { Capacity } from "../Outbox/Capacity.ts"
import type * as Outbox from "../Outbox.ts"
import * as Outcome from "../Outcome.ts"
import type { Database, SqlOutboxError } from "./Database.ts"
import type { FlushBarriers } from "./FlushBarriers.ts"
import { type InFlight, seqsOf } from "./InFlight.ts"
import type { Reader } from "./Reader.ts"
import { type Death, type Entry, sum } from "./Tables.ts"

/** Messages that are deleted together, when they could not be deleted before. */
const chunkSize = 1_000

export type Settlement = ReturnType<typeof make>

export const make = (
  database: Database,
  options: {
    readonly capacity: Capacity
    readonly inFlight: InFlight
    readonly reader: Reader
    readonly barriers: FlushBarriers
    readonly report: (outcome: Outcome.Outcome) => Effect.Effect<void>
    /** Milliseconds. */
    readonly maxAge: number
    /** Called when messages are settled: those of the same users may be sent. */
    readonly onSettled: () => void
  }
) => {
  const { barriers, capacity, inFlight, maxAge, onSettled, reader, report } = options
  const { runSameGeneration, tables } = database
  /** What is evicted or erased is not handed out at the same time. */
  const turn = Semaphore.makeUnsafe(1)
  const counts = { delivered: 0, dropped: 0 }

  /** Deletes the messages at these places, or makes dead letters of them; what fails is done later. */
  const remove = (seqs: ReadonlyArray<number>, death: Death | undefined): Effect.Effect<void, SqlOutboxError> => {
    if (seqs.length === 0) return Effect.void
    const generation = database.generation()
    const statement = death === undefined ? tables.remove(seqs) : tables.moveToDeadLetters(seqs, death)
    return Effect.matchEffect(runSameGeneration(statement), {
      onSuccess: (removed) =>
        Effect.sync(() => {
          capacity.remove(removed.length, sum(removed))
          inFlight.wereDeleted(seqs)
        }),
      onFailure: (error) => {
        if (database.generation() === generation) inFlight.deleteLater(seqs, death)
        return Effect.fail(error)
      }
    })
  }

  const end = Effect.fnUntraced(function* (outcome: Outcome.Settled, entries: ReadonlyArray<Entry>) {
    const ended = outcome._tag === "Delivered" ? "delivered" : "dropped"
    counts[ended] += outcome.messages.length
    barriers.count(
      entries.map(({ seq }) => seq),
      ended
    )
    yield* report(outcome)
  })

  const settle: Outbox.Outbox["Service"]["settle"] = (outcome) =>
    Effect.uninterruptible(
      Effect.suspend(() => {
        const entries = inFlight.release(outcome.messages)
        const messages = entries.map((entry) => entry.message)
        if (!Arr.isArrayNonEmpty(messages)) return Effect.void
        const removed = remove(seqsOf(entries), deathOf(outcome))
        const ended = Effect.andThen(Effect.ignore(removed), () => {
          onSettled()
          return end({ ...outcome, messages }, entries)
        })
        return Effect.andThen(barriers.during(ended), barriers.resolve)
      })
    )

  const lose = (entries: Arr.NonEmptyReadonlyArray<Entry>, reason: LossReason) =>
    end(
      Outcome.Outcome.Dropped({
        messages: Arr.map(entries, (entry) => entry.message),
        error: new DeliveryError({ reason, attempts: 0 })
      }),
      entries
    )

  /** Drops what is too old; answers with the rest. */
  const dropExpired = Effect.fnUntraced(function* (messages: ReadonlyArray<Message>) {
    const now = yield* Clock.currentTimeMillis
    const outdated = messages.filter((message) => now - (inFlight.get(message)?.createdAt ?? now) > maxAge)
    if (Arr.isArrayNonEmpty(outdated)) {
      const error = new DeliveryError({ reason: "max-age", attempts: 0 })
      yield* settle(Outcome.Outcome.Dropped({ messages: outdated, error }))
    }
    // What was erased, or given up, is not held any more.
    return messages.filter((message) => inFlight.get(message) !== undefined)
  })

  /** Ends the hold on messages that another process has deleted. It has reported them. */
  const releaseDeleted = Effect.fnUntraced(function* (messages: ReadonlyArray<Message>) {
    const held = messages.flatMap((message) => inFlight.get(message) ?? [])
    const missing = yield* runSameGeneration(tables.missing(seqsOf(held)))
    if (missing.length === 0) return
    inFlight.wereDeleted(missing)
    inFlight.releaseAt(new Set(missing))
    onSettled()
    yield* barriers.resolve
  })

  /** Deletes what could not be deleted before, many at a time. */
  const deletePending = Effect.suspend(() => {
    const byDeath = Map.groupBy(inFlight.pendingDeletes, ([, death]) => death)
    const chunks = Array.from(byDeath).flatMap(([death, some]) =>
      Arr.chunksOf(some, chunkSize).map((chunk) => ({ death, seqs: chunk.map(([seq]) => seq) }))
    )
    return Effect.forEach(chunks, ({ death, seqs }) => remove(seqs, death), { discard: true })
  })

  /** Deletes messages and reports them as lost: those that were there, and not settled. */
  const discard = (
    find: (known: ReadonlyArray<number>) => Effect.Effect<ReadonlyArray<Entry>, SqlOutboxError>,
    reason: LossReason
  ) =>
    Effect.gen(function* () {
      // What was read ahead would be handed out.
      reader.forget()
      const found = yield* find(inFlight.known)
      const entries = found.filter(({ seq }) => !inFlight.pendingDeletes.has(seq))
      capacity.remove(found.length, sum(found.map(({ message }) => message)))
      const seqs = seqsOf(found)
      inFlight.wereDeleted(seqs)
      inFlight.releaseAt(new Set(seqs))
      onSettled()
      if (Arr.isReadonlyArrayNonEmpty(entries)) yield* lose(entries, reason)
      return entries.length
    }).pipe(
      barriers.during,
      turn.withPermits(1),
      Effect.tap(() => barriers.resolve)
    )

  /** Deletes messages on request, and reports them; answers how many were there. */
  const erase = Effect.fnUntraced(function* (entries: ReadonlyArray<Entry>) {
    const seqs = seqsOf(entries)
    if (seqs.length === 0) return 0
    const gone = Effect.map(runSameGeneration(tables.remove(seqs)), (removed) => {
      const places = new Set(removed.map(({ seq }) => seq))
      return entries.filter(({ seq }) => places.has(seq))
    })
    return yield* discard(() => gone, "erased")
  })

  return { counts, turn, settle, lose, dropExpired, releaseDeleted, deletePending, discard, erase }
}

/** What is rejected, or lost by a mistake of ours, is kept as a dead letter; all else is gone when it is settled. */
const deathOf = (outcome: Outcome.Settled): Death | undefined => {
  if (outcome._tag === "Delivered") return undefined
  const { attempts, reason, status } = outcome.error
  return reason === "rejected" || reason === "broken" ? { reason, status, attempts } : undefined
}
