/**
 * The messages that this relay has taken and not settled, and those that are settled and not deleted yet.
 *
 * None of them may be read again: each is still in the database, or was when a query that is under way began.
 *
 * With several requests in flight the users are divided into as many groups.
 */
import type { Message } from "../Message.ts"
import type { Death, Entry } from "./Tables.ts"

/** The place of a message whose database was replaced. */
const noSeq = -1

export class InFlight {
  private readonly groups: number
  private readonly entries = new Map<Message, Entry & { readonly ticket: number }>()
  private tickets = 0
  /** The places of what is taken, or is being deleted, and their partitions. */
  private readonly places = new Map<number, number>()
  /** Settled, and still in the database, each with what is to become of it there. */
  readonly pendingDeletes = new Map<number, Death | undefined>()
  /** Deleted since a query began that is under way. */
  private deleted: Set<number> | undefined

  constructor(groups: number) {
    this.groups = groups
  }

  /** The group of its user. */
  groupOf(partition: number): number {
    return partition % this.groups
  }

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

  /** The groups of what is taken, or is being deleted. */
  get busy(): ReadonlySet<number> {
    return new Set(Array.from(this.places.values(), (partition) => this.groupOf(partition)))
  }

  /** Whether something of the same groups was taken before these messages, and is not settled. */
  isBlocked(messages: ReadonlyArray<Message>): boolean {
    if (this.groups === 1) return false
    const mine = new Set(messages)
    const latest = new Map<number, number>()
    for (const message of mine) {
      const { partition, ticket } = this.entries.get(message) ?? { partition: 0, ticket: -1 }
      const group = this.groupOf(partition)
      latest.set(group, Math.max(ticket, latest.get(group) ?? -1))
    }
    for (const [message, { partition, ticket }] of this.entries) {
      if (ticket < (latest.get(this.groupOf(partition)) ?? -1) && !mine.has(message)) return true
    }
    return false
  }

  get(message: Message): Entry | undefined {
    return this.entries.get(message)
  }

  isKnown(seq: number): boolean {
    return this.places.has(seq) || this.pendingDeletes.has(seq) || this.deleted?.has(seq) === true
  }

  /** A query begins: what was deleted before is not in its answer; what is deleted from now on may be. */
  queryBegins(): void {
    this.deleted = new Set()
  }

  /** Its answer was read. */
  queryEnds(): void {
    this.deleted = undefined
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
  giveUp(messages: ReadonlyArray<Message>): void {
    const given = new Set(
      messages.flatMap((message) => this.entries.get(message) ?? []).map(({ partition }) => this.groupOf(partition))
    )
    for (const [message, { partition, seq }] of this.entries) {
      if (seq === noSeq || !given.has(this.groupOf(partition))) continue
      this.entries.delete(message)
      this.places.delete(seq)
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
      this.deleted?.add(seq)
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
    this.deleted?.clear()
    for (const [message, entry] of this.entries) this.entries.set(message, { ...entry, seq: noSeq })
  }
}

/** The places of entries that have one. */
export const seqsOf = (entries: ReadonlyArray<Entry>): ReadonlyArray<number> =>
  entries.map(({ seq }) => seq).filter((seq) => seq !== noSeq)
