/**
 * What this relay has taken and not settled, and what is settled but could not be removed from the database yet.
 *
 * None of it may be read again: it is still in the database, or was when a query that is on its way began.
 */
import type { Message } from "../Message.ts"
import type { Death, Entry } from "./Tables.ts"

/** The place of a message that is in no database any more. */
const nowhere = -1

export class Held {
  private readonly entries = new Map<Message, Entry>()
  private readonly places = new Set<number>()
  /** Settled, and still in the database, with what is to become of it there. */
  readonly leftovers = new Map<number, Death | undefined>()
  /** Removed since the last query began. */
  private readonly removed = new Set<number>()

  get size(): number {
    return this.entries.size
  }

  get bytes(): number {
    return Array.from(this.entries.keys()).reduce((bytes, message) => bytes + message.bytes, 0)
  }

  /** The lanes of what is held. */
  get lanes(): ReadonlySet<number> {
    return new Set(Array.from(this.entries.values(), ({ lane }) => lane))
  }

  /** The places of what is held. */
  get seqs(): ReadonlySet<number> {
    return this.places
  }

  get(message: Message): Entry | undefined {
    return this.entries.get(message)
  }

  isKnown(seq: number): boolean {
    return this.places.has(seq) || this.leftovers.has(seq) || this.removed.has(seq)
  }

  /** A query begins: what was removed before is not in its answer. */
  queryBegins(): void {
    this.removed.clear()
  }

  take(entries: ReadonlyArray<Entry>): void {
    for (const entry of entries) {
      this.entries.set(entry.message, entry)
      this.places.add(entry.seq)
    }
  }

  /** Who settles these messages settles them once: answers with those that are held, and lets them go. */
  letGo(messages: ReadonlyArray<Message>): ReadonlyArray<Entry> {
    return messages.flatMap((message) => {
      const entry = this.entries.get(message)
      this.entries.delete(message)
      return entry ?? []
    })
  }

  /** Lets go of what is at these places. */
  letGoOf(seqs: ReadonlySet<number>): void {
    for (const [message, { seq }] of this.entries) if (seqs.has(seq)) this.entries.delete(message)
  }

  /** What was at these places is not in the database any more. */
  wereRemoved(seqs: Iterable<number>): void {
    for (const seq of seqs) {
      this.places.delete(seq)
      this.leftovers.delete(seq)
      this.removed.add(seq)
    }
  }

  /** What is at these places should not be in the database any more. */
  areLeft(seqs: Iterable<number>, death: Death | undefined): void {
    for (const seq of seqs) {
      this.places.delete(seq)
      this.leftovers.set(seq, death)
    }
  }

  /** Leaves everything to whoever reads it next. */
  forget(): void {
    this.entries.clear()
    this.places.clear()
  }

  /** What is on its way goes on, but at its place in the database is another message now, or none. */
  displace(): void {
    this.places.clear()
    this.leftovers.clear()
    this.removed.clear()
    for (const [message, entry] of this.entries) this.entries.set(message, { ...entry, seq: nowhere })
  }
}

/** The places of entries that have one. */
export const seqsOf = (entries: ReadonlyArray<Entry>): ReadonlyArray<number> =>
  entries.map(({ seq }) => seq).filter((seq) => seq !== nowhere)
