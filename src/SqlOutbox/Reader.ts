/**
 * Reads ahead from the lanes that are ours: a query for a few hundred messages costs little more than one for a few.
 *
 * What is read is in order within its lane. It is ours only as long as the lane is.
 */
import * as Effect from "effect/Effect"
import * as Time from "../Time.ts"
import type { Database, Fault } from "./Database.ts"
import type { Held } from "./Held.ts"
import type { Lanes } from "./Lanes.ts"
import type { Entry } from "./Tables.ts"

/** Messages that are read at a time. */
const readAhead = 512
/** Milliseconds after which reading begins again at the oldest: a transaction may have committed behind our back. */
const longestSweep = 5_000

export class Reader {
  private readonly database: Database
  private readonly lanes: Lanes
  private readonly held: Held
  private ahead: Array<Entry> = []
  /** The last message that was read of each lane, in this sweep. */
  private readonly last = new Map<number, number>()
  private sweepStart = Number.NEGATIVE_INFINITY
  /** Whether this sweep has come to the newest message. */
  private isOver = false
  /** In how many lanes something was found the last time. */
  private found: number | undefined

  constructor(database: Database, lanes: Lanes, held: Held) {
    this.database = database
    this.lanes = lanes
    this.held = held
  }

  /** How many messages were read and not handed out. */
  get size(): number {
    return this.ahead.length
  }

  /** The next messages, at most so many; none if there are none. */
  readonly next = Effect.fnUntraced({ self: this }, function* (max: number): Effect.fn.Return<
    ReadonlyArray<Entry>,
    Fault
  > {
    const now = yield* Time.elapsed
    if (this.lanes.isDue(now)) {
      yield* this.database.ask(this.lanes.refresh(this.held.lanes))
      this.ahead = this.ahead.filter(({ lane }) => this.lanes.has(lane))
    }
    if (this.ahead.length < max) yield* this.fill(now, max)
    return this.ahead.splice(0, max)
  })

  /** Forgets what was read: it will be read again. */
  forget(): void {
    this.ahead = []
    this.last.clear()
  }

  private readonly fill = Effect.fnUntraced({ self: this }, function* (now: number, enough: number): Effect.fn.Return<
    void,
    Fault
  > {
    const lanes = this.lanes.readable
    // What was read and not handed out would be read again.
    if (this.ahead.length === 0 && (this.isOver || now - this.sweepStart >= longestSweep)) {
      this.last.clear()
      this.isOver = false
      this.sweepStart = now
    }
    while (lanes.length > 0 && this.ahead.length < enough) {
      const after = new Map(lanes.map((lane) => [lane, this.last.get(lane) ?? 0]))
      this.held.queryBegins()
      const each = Math.max(16, Math.ceil((2 * readAhead) / (this.found ?? lanes.length)))
      const read = yield* this.database.ask(this.database.tables.read(after, each, readAhead))
      const counts = new Map<number, number>()
      for (const { lane, seq } of read) {
        counts.set(lane, (counts.get(lane) ?? 0) + 1)
        this.last.set(lane, seq)
      }
      this.found = Math.max(1, counts.size)
      for (const entry of read) if (!this.held.isKnown(entry.seq)) this.ahead.push(entry)
      if (read.length === readAhead || Array.from(counts.values()).some((count) => count === each)) continue
      this.isOver = true
      return
    }
  })
}
