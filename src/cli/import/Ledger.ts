/**
 * The account of an import: each record of the input ends once, delivered, rejected or blank, and they are counted in
 * the order of the input. So a checkpoint is a single number: everything before it is settled, nothing after it counts.
 */

export interface Counts {
  /** Records before which everything is settled. */
  readonly records: number
  readonly delivered: number
  readonly rejected: number
  readonly blank: number
}

/** A record that is on its way. */
export interface Entry {
  readonly line: number
  readonly text: string
  end: "delivered" | "rejected" | "blank" | undefined
  problems: ReadonlyArray<{ readonly path: string; readonly problem: string }>
}

/** The places at the front that are free are given back when there are so many. */
const maxGone = 1_024

export class Ledger {
  private readonly entries: Array<Entry> = []
  private gone = 0
  private readonly byId = new Map<string, Array<Entry>>()
  private counted: Counts
  private readonly onRejected: (entry: Entry) => void

  /** `onRejected` is called with each rejected record, in the order of the input. */
  constructor(before: Counts, onRejected: (entry: Entry) => void) {
    this.counted = before
    this.onRejected = onRejected
  }

  get counts(): Counts {
    return this.counted
  }

  /** Records that are read, and before which something is not settled. */
  get open(): number {
    return this.entries.length - this.gone
  }

  /** The next record of the input. */
  add(line: number, text: string): Entry {
    const entry: Entry = { line, text, end: undefined, problems: [] }
    this.entries.push(entry)
    return entry
  }

  /** The record travels under this id. Equal records have equal ids. */
  travels(entry: Entry, messageId: string): void {
    const others = this.byId.get(messageId)
    if (others === undefined) this.byId.set(messageId, [entry])
    else others.push(entry)
  }

  /** The record that was the last to set out under this id is refused, and does not travel. */
  stays(messageId: string): void {
    const entries = this.byId.get(messageId)
    entries?.pop()
    if (entries?.length === 0) this.byId.delete(messageId)
  }

  /** Whatever travelled under this id has arrived, or was refused. */
  find(messageId: string): Entry | undefined {
    const entries = this.byId.get(messageId)
    const entry = entries?.shift()
    if (entries?.length === 0) this.byId.delete(messageId)
    return entry
  }

  /** Counts what is settled at the front. */
  advance(): void {
    let { blank, delivered, records, rejected } = this.counted
    let entry = this.entries[this.gone]
    while (entry?.end !== undefined) {
      records++
      if (entry.end === "delivered") delivered++
      else if (entry.end === "blank") blank++
      else {
        rejected++
        this.onRejected(entry)
      }
      entry = this.entries[++this.gone]
    }
    this.counted = { records, delivered, rejected, blank }
    if (this.gone < maxGone) return
    this.entries.splice(0, this.gone)
    this.gone = 0
  }
}
