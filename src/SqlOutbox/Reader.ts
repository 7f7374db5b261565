/**
 * Reads ahead in the order of the messages: a query for many costs little more than one for a few.
 *
 * With several requests in flight a group of users is handed out again once nothing of it is in flight: the order of each
 * user holds.
 */
import * as Effect from "effect/Effect"
import type { Database, SqlOutboxError } from "./Database.ts"
import type { Destination } from "./Destination.ts"
import type { InFlight } from "./InFlight.ts"
import type { Entry } from "./Tables.ts"

/** Messages of a query, at least and at most. */
const minRead = 512
const maxRead = 5_000

export class Reader {
  private readonly database: Database
  private readonly inFlight: InFlight
  private readonly destination: Destination
  private readonly groups: number
  private ahead: Array<Entry> = []
  /** The last message that was read. */
  private last = 0
  /** How often all of this was forgotten: an answer to an earlier query is void. */
  private generation = 0

  constructor(database: Database, inFlight: InFlight, destination: Destination, groups: number) {
    this.database = database
    this.inFlight = inFlight
    this.destination = destination
    this.groups = groups
  }

  /** The next messages, at most so many; none if there are none. */
  readonly next = Effect.fnUntraced({ self: this }, function* (max: number): Effect.fn.Return<
    ReadonlyArray<Entry>,
    SqlOutboxError
  > {
    if (this.ahead.length < max * this.groups) yield* this.fill(max * this.groups)
    if (this.groups === 1) return this.ahead.splice(0, max)
    const { busy } = this.inFlight
    const groupOf = ({ partition }: Entry) => this.inFlight.groupOf(partition)
    const group = this.ahead.map(groupOf).find((one) => !busy.has(one))
    const taken = this.ahead.filter((entry) => groupOf(entry) === group).slice(0, max)
    const places = new Set(taken.map(({ seq }) => seq))
    this.ahead = this.ahead.filter(({ seq }) => !places.has(seq))
    return taken
  })

  /** Forgets what was read: it will be read again. */
  forget(): void {
    this.generation++
    this.ahead = []
    this.last = 0
  }

  private readonly fill = Effect.fnUntraced({ self: this }, function* (enough: number): Effect.fn.Return<
    void,
    SqlOutboxError
  > {
    const { isPostgres, read } = this.database.tables
    const limit = Math.min(maxRead, Math.max(minRead, 2 * enough))
    while (this.ahead.length < enough) {
      // In PostgreSQL a message appears before what was read when its transaction began earlier and ended later: it is due
      // before what its user does afterwards.
      const after = isPostgres ? 0 : this.last
      const but = isPostgres ? [...this.inFlight.known, ...this.ahead.map(({ seq }) => seq)] : []
      const { generation } = this
      this.inFlight.queryBegins()
      const reading = this.database.runSameGeneration(read(after, limit, but, this.destination.fingerprint))
      const { found, rows } = yield* Effect.ensuring(
        Effect.map(reading, (rows) => ({ found: rows.filter(({ seq }) => !this.inFlight.isKnown(seq)), rows })),
        Effect.sync(() => this.inFlight.queryEnds())
      )
      if (generation !== this.generation) continue
      this.ahead.push(...found)
      this.last = rows.at(-1)?.seq ?? this.last
      if (rows.length < limit) return
    }
  })
}
