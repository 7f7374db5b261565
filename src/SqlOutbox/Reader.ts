/**
 * Reads ahead from the lanes that are ours: a query for a few hundred messages costs little more than one for a few.
 *
 * What is read is in order within its lane. It is ours only as long as the lane is.
 */
import * as Effect from "effect/Effect"
import * as Time from "../internal/Time.ts"
import type { Database, Fault } from "./Database.ts"
import type { Held } from "./Held.ts"
import type { Lanes } from "./Lanes.ts"
import type { Entry } from "./Tables.ts"

/** Messages that are read at a time. */
const readAhead = 512

export class Reader {
  private readonly database: Database
  private readonly lanes: Lanes
  private readonly held: Held
  private ahead: Array<Entry> = []
  /** The last message that was read of each lane. */
  private readonly last = new Map<number, number>()
  /** How often all of this was forgotten: the answer to a question from before is not for now. */
  private forgotten = 0
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
    const now = yield* Time.monotonicMillis
    if (this.lanes.isDue(now)) yield* this.database.ask(this.lanes.refresh(this.held.lanes))
    this.leave()
    if (this.ahead.length < max) yield* this.fill(max)
    // A lane may have gone while the database was asked.
    this.leave()
    return this.ahead.splice(0, max)
  })

  /** Forgets what was read: it will be read again. */
  forget(): void {
    this.forgotten++
    this.ahead = []
    this.last.clear()
  }

  /** Forgets what was read of lanes that are ours no more: when one comes back, it is read from its beginning. */
  private leave(): void {
    for (const lane of this.last.keys()) if (!this.lanes.has(lane)) this.last.delete(lane)
    this.ahead = this.ahead.filter(({ lane }) => this.lanes.has(lane))
  }

  private readonly fill = Effect.fnUntraced({ self: this }, function* (enough: number): Effect.fn.Return<void, Fault> {
    const { isPostgres, read: statement } = this.database.tables
    let more = true
    while (more && this.ahead.length < enough) {
      const lanes = this.lanes.readable
      if (lanes.length === 0) return
      // In PostgreSQL a message appears behind what was read when its transaction began earlier and ended later: reading
      // on would send what the user did afterwards before it.
      const after = new Map(lanes.map((lane) => [lane, isPostgres ? 0 : (this.last.get(lane) ?? 0)]))
      const but = [...this.held.known, ...this.ahead.map(({ seq }) => seq)]
      const each = Math.max(16, Math.ceil((2 * readAhead) / (this.found ?? lanes.length)))
      const { forgotten } = this
      this.held.queryBegins()
      const read = yield* this.database.askHere(statement(after, each, readAhead, but))
      if (forgotten !== this.forgotten) continue
      const counts = new Map<number, number>()
      for (const entry of read) {
        counts.set(entry.lane, (counts.get(entry.lane) ?? 0) + 1)
        this.last.set(entry.lane, entry.seq)
        if (!this.held.isKnown(entry.seq)) this.ahead.push(entry)
      }
      this.found = Math.max(1, counts.size)
      more = read.length === readAhead || Array.from(counts.values()).some((count) => count === each)
    }
  })
}
