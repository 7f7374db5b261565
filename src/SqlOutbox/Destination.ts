/**
 * The destination of an outbox: the write key and the address of its first client. Clients with another one are refused, so that
 * messages for one source are never delivered to another. Only a fingerprint is stored.
 */
import { createHash } from "node:crypto"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { OutboxUnavailable } from "../AnalyticsError.ts"
import type * as Outbox from "../Outbox.ts"
import * as Settings from "../Settings.ts"
import type { Database, SqlOutboxError } from "./Database.ts"
import { destinationKey } from "./Tables.ts"

const problem =
  "belongs to another write key or host: use another file or table, or set adoptDestination to deliver what waits to this one"

/** The error of a client that finds out later: two clients began at the same time, or another one has adopted the outbox. */
export const otherDestination = new OutboxUnavailable({ problem })

export class Destination {
  private readonly database: Database
  /** Absent for a client whose transport has no destination. */
  fingerprint: string | undefined

  constructor(database: Database) {
    this.database = database
  }

  /** Makes the outbox one of this destination, if it is of none, or if it is to adopt it; fails if it is of another one. */
  readonly bind = Effect.fnUntraced(
    { self: this },
    function* (
      ...[identity, adopts]: [...Parameters<Outbox.Durable["bind"]>, adopts: boolean]
    ): Effect.fn.Return<void> {
      const { persist, run, runInTransaction, tables } = this.database
      const fingerprint = createHash("sha256").update(Redacted.value(identity)).digest("hex")
      this.fingerprint = fingerprint
      if (adopts) yield* persist(run(tables.set(destinationKey, fingerprint)))
      // Once: a client that starts at once can't wait for a lock, and the leader does it again.
      yield* Effect.ignore(runInTransaction(tables.setOnce(destinationKey, fingerprint)))
      if (!(yield* persist(this.isOurs))) {
        return Settings.invalid("writeKey", `and host: the outbox ${problem}`)
      }
    }
  )

  /** The same before anything is delivered; answers whether the outbox is of this destination. */
  readonly claim: Effect.Effect<boolean, SqlOutboxError> = Effect.suspend(() => {
    const { run, tables } = this.database
    const bound = this.fingerprint === undefined ? Effect.void : run(tables.setOnce(destinationKey, this.fingerprint))
    return Effect.andThen(bound, this.isOurs)
  })

  readonly isOurs: Effect.Effect<boolean, SqlOutboxError> = Effect.suspend(() =>
    this.fingerprint === undefined
      ? Effect.succeed(true)
      : Effect.map(
          this.database.run(this.database.tables.get(destinationKey)),
          (found) => found === undefined || found === this.fingerprint
        )
  )
}
