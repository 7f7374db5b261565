/**
 * The durable outbox for plain programs: messages wait in a file of SQLite, and survive the process.
 */
import type { DurableOutbox } from "./plain/Settings.ts"
import * as SqlOutbox from "./SqlOutbox.ts"

export type { DurableOutbox } from "./plain/Settings.ts"
export type { CommonOptions, SqliteOptions } from "./SqlOutbox.ts"

/**
 * An outbox in a file: `createAnalytics({ writeKey, outbox: sqlite({ directory: "/var/lib/shop" }) })`. A call of such a
 * client answers a promise: whether the message is committed. Making the client waits for a file that another process has
 * locked, and the program with it, for 5 seconds at the most.
 * @category constructors @since 0.1.0
 */
export const sqlite = (options: SqlOutbox.SqliteOptions): DurableOutbox =>
  SqlOutbox.sqlite(options) as unknown as DurableOutbox
