/** One life of a process in a crash story: what it is told when it begins, and how it says what it did. */
import type * as Delivery from "../../src/Delivery.ts"
import type * as SqlOutbox from "../../src/SqlOutbox.ts"

export interface Life {
  /** No other life has it. */
  readonly name: string
  readonly seed: number
  readonly users: ReadonlyArray<string>
  /** Messages for each user, or as many as there is time for. */
  readonly messages?: number | undefined
  /** Milliseconds that a user is quiet between its calls, at most. */
  readonly pause: number
  /** Whether each call is in a transaction with a row of the program's own. */
  readonly transactional?: boolean | undefined
  /** The peer. */
  readonly host: string
  /** Where the outbox is: a directory, or the address of a PostgreSQL database. */
  readonly place: string
  readonly outbox: Omit<SqlOutbox.SqliteOptions, "directory" | "file">
  readonly delivery: Delivery.Options
  /** Milliseconds. */
  readonly requestTimeout: number
}

/** What a life can be told while it lasts. */
export type Order = "stop writing" | "exit" | "throw" | { readonly hang: number }

/** The pipe by which a life says what happened, after stdin, stdout, stderr and the orders. */
export const pipe = 4
