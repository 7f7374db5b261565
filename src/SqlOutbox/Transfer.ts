/**
 * Carries the pending messages of an outbox to another one, as lines of JSON (NDJSON), one for each message:
 * `{"seq":4711,"message":{…}}`. `message` is the message as it goes over the wire; `seq` is its place, by which an export that
 * was cut off is resumed. A line that is imported twice is one message.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Message from "../Message.ts"
import type { OfferError } from "../Outbox.ts"
import type { Database, SqlOutboxError } from "./Database.ts"
import * as Pages from "./Pages.ts"
import type { SqlOutboxService } from "./SqlOutboxService.ts"

export interface Transfer {
  /** The pending messages in their order, a line each, after the place `after`. They stay where they are. */
  readonly exportLines: (options?: { readonly after?: number | undefined }) => Stream.Stream<string, SqlOutboxError>
  /**
   * Writes the messages of these lines, in their order. Lines that are no messages are skipped and counted. Fails when the
   * outbox is full: what was read until then is written, and the lines can be imported again.
   */
  readonly importLines: <E, R = never>(
    lines: Stream.Stream<string, E, R>
  ) => Effect.Effect<{ readonly imported: number; readonly refused: number }, E | OfferError, R>
  /** Deletes the messages up to this place, which were imported elsewhere; they are dropped with the reason `erased`. */
  readonly removeExported: (options: { readonly through: number }) => Effect.Effect<number, SqlOutboxError>
}

/** Messages that are written together. */
const groupSize = 100

export const makeTransfer = (database: Database, service: SqlOutboxService): Transfer => ({
  exportLines: ({ after } = {}) =>
    Pages.pending(database, after).pipe(
      Stream.flattenIterable,
      Stream.map(({ message, seq }) => `{"seq":${seq},"message":${message.json}}\n`)
    ),

  importLines: (lines) =>
    lines.pipe(
      Stream.splitLines,
      Stream.filter((line) => line.trim() !== ""),
      Stream.map(toMessage),
      Stream.grouped(groupSize),
      Stream.mapEffect(
        Effect.fnUntraced(function* (group) {
          const messages = group.filter((message) => message !== undefined)
          // Each to its end: a call that is interrupted would take its message back.
          const exits = yield* Effect.forEach(messages, (message) => Effect.exit(service.outbox.offer(message)), {
            concurrency: "unbounded"
          })
          yield* Exit.asVoidAll(exits)
          return { imported: messages.length, refused: group.length - messages.length }
        })
      ),
      Stream.runFold(
        () => ({ imported: 0, refused: 0 }),
        (sum, group) => ({ imported: sum.imported + group.imported, refused: sum.refused + group.refused })
      )
    ),

  removeExported: ({ through }) =>
    Pages.sumOf(
      Stream.takeWhile(Pages.pending(database), ([first]) => first !== undefined && first.seq <= through),
      (page) => service.erase(page.filter(({ seq }) => seq <= through))
    )
})

const isWire = Schema.is(Message.Wire)

/** The message of a line, if it is one by the protocol. */
const toMessage = (line: string): Message.Message | undefined => {
  try {
    const { message } = JSON.parse(line) as { readonly message: unknown }
    const encoded = isWire(message) ? Message.encode(message) : undefined
    return Message.isMessage(encoded) ? encoded : undefined
  } catch {
    return undefined
  }
}
