/**
 * The messages that this relay has taken and not settled, and those that are settled and not deleted yet.
 *
 * None of them may be read again: each is still in the database, or was when a query that is under way began.
 */
import type { Message } from "../Message.ts"
import type { Death, Entry } from "./Tables.ts"

/** The place of a message whose database was replaced. */
const noSeq = -1

export class InFlight {
  private readonly entries = new Map<Message, Entry & { readonly ticket: number }>()
  private tickets = 0
  /** The places of what is taken, or is being deleted, and their partitions. */
  private readonly places = new Map<number, number>()
  /** Settled, and still in the database, each with what is to become of it there. */
  readonly pendingDeletes = new Map<number, Death | undefined>()
  /** Deleted since the last query began. */
  private readonly deleted = new Set<number>()

  get size(): number {
    return this.entries.size
  }

  get bytes(): number {
    return Array.from(this.entries.keys()).reduce((bytes, message) => bytes + message.bytes, 0)
  }

  /** The places of what is taken, or has to be deleted. */
  get known(): ReadonlyArray<number> {
    return [...this.places.keys(), ...this.pendingDeletes.keys()]
  }

  /** Messages that are taken, and whose database was replaced. */
  get orphaned(): ReadonlyArray<Message> {
    return Array.from(this.entries.values()).flatMap(({ message, seq }) => (seq === noSeq ? message : []))
  }

  /** The partitions of what is taken, or is being deleted, modulo a number of groups. */
  busy(groups: number): ReadonlySet<number> {
    return new Set(Array.from(this.places.values(), (partition) => partition % groups))
  }

  /** Whether something of the same groups was taken before these messages, and is not settled. */
  isBlocked(messages: ReadonlyArray<Message>, groups: number): boolean {
    const mine = new Set(messages)
    const latest = new Map<number, number>()
    for (const message of mine) {
      const { partition, ticket } = this.entries.get(message) ?? { partition: 0, ticket: -1 }
      latest.set(partition % groups, Math.max(ticket, latest.get(partition % groups) ?? -1))
    }
    for (const [message, { partition, ticket }] of this.entries) {
      if (ticket < (latest.get(partition % groups) ?? -1) && !mine.has(message)) return true
    }
    return false
  }

  get(message: Message): Entry | undefined {
    return this.entries.get(message)
  }

  isKnown(seq: number): boolean {
    return this.places.has(seq) || this.pendingDeletes.has(seq) || this.deleted.has(seq)
  }

  /** A query begins: what was deleted before is not in its answer. */
  queryBegins(): void {
    this.deleted.clear()
  }

  take(entries: ReadonlyArray<Entry>): void {
    for (const entry of entries) {
      this.entries.set(entry.message, { ...entry, ticket: this.tickets++ })
      this.places.set(entry.seq, entry.partition)
    }
  }

  /** Ends the hold on messages, so that each is settled once; answers with those that were held. */
  release(messages: ReadonlyArray<Message>): ReadonlyArray<Entry> {
    return messages.flatMap((message) => {
      const entry = this.entries.get(message)
      this.entries.delete(message)
      return entry ?? []
    })
  }

  /**
   * Ends the hold on messages that are left to the next read, here or by another relay: on those that are in the database, and
   * with them on all of their groups, which would overtake them.
   */
  giveUp(messages: ReadonlyArray<Message>, groups: number): void {
    const groupOf = ({ partition }: Entry) => partition % groups
    const given = new Set(messages.flatMap((message) => this.entries.get(message) ?? []).map(groupOf))
    for (const [message, entry] of this.entries) {
      if (entry.seq === noSeq || !given.has(groupOf(entry))) continue
      this.entries.delete(message)
      this.places.delete(entry.seq)
    }
  }

  /** Ends the hold on what is at these places. */
  releaseAt(seqs: ReadonlySet<number>): void {
    for (const [message, { seq }] of this.entries) if (seqs.has(seq)) this.entries.delete(message)
  }

  /** The messages at these places are not in the database any more. */
  wereDeleted(seqs: Iterable<number>): void {
    for (const seq of seqs) {
      this.places.delete(seq)
      this.pendingDeletes.delete(seq)
      this.deleted.add(seq)
    }
  }

  /** The messages at these places could not be deleted: that is for later. */
  deleteLater(seqs: Iterable<number>, death: Death | undefined): void {
    for (const seq of seqs) {
      this.places.delete(seq)
      this.pendingDeletes.set(seq, death)
    }
  }

  /** Leaves everything to the relay that reads it next. */
  forget(): void {
    this.entries.clear()
    this.places.clear()
  }

  /** The database was replaced: requests go on, but at their places are other messages now, or none. */
  orphan(): void {
    this.places.clear()
    this.pendingDeletes.clear()
    this.deleted.clear()
    for (const [message, entry] of this.entries) this.entries.set(message, { ...entry, seq: noSeq })
  }
}

/** The places of entries that have one. */
export const seqsOf = (entries: ReadonlyArray<Entry>): ReadonlyArray<number> =>
  entries.map(({ seq }) => seq).filter((seq) => seq !== noSeq)
