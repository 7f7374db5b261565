/**
 * What an operator does with a durable outbox, as plain programs see it: the same as `SqlOutbox`, in types that name nothing of
 * Effect.
 */
import type { Wire } from "../CallTypes.ts"
import type { DurationInput } from "../Settings.ts"

/** Counts of an outbox. @category models @since 0.1.0 */
export interface OutboxStats {
  /** Pending messages, of all processes. */
  readonly pending: number
  /** UTF-8 bytes of them. */
  readonly pendingBytes: number
  /** Milliseconds since the oldest of them was written; 0 if there is none. */
  readonly oldestAge: number
  /** Messages that the API rejected. */
  readonly dead: number
  /** The process that delivers: this one, another one, or none. */
  readonly leader: "here" | "elsewhere" | "none"
}

/** A message that the API rejected. @category models @since 0.1.0 */
export interface DeadLetter {
  readonly message: Wire
  readonly reason: string
  /** The last HTTP status, if there was an answer. */
  readonly status: number | undefined
  /** HTTP attempts made. */
  readonly attempts: number
  /** Milliseconds since 1970. */
  readonly diedAt: number
}

/** Whether an outbox is at work, and what is wrong if it is not. @category models @since 0.1.0 */
export type Health = { readonly healthy: true } | { readonly healthy: false; readonly problem: string }

/**
 * The operations on an outbox. All but `health` reject with `OutboxUnavailable` where the file cannot be read or written.
 * @category models @since 0.1.0
 */
export interface Operations {
  /** Counts of the outbox, of all processes. */
  readonly stats: () => Promise<OutboxStats>
  /**
   * For the health check of a load balancer: unhealthy is an outbox whose file does not answer, whose messages no process
   * delivers, or whose oldest message is older than `maxOldestAge`. Never rejects.
   */
  readonly health: (options?: { readonly maxOldestAge?: DurationInput | undefined }) => Promise<Health>
  /** The dead letters, read a page at a time: `for await (const letter of analytics.outbox.deadLetters())`. */
  readonly deadLetters: () => AsyncIterable<DeadLetter>
  /** Lets all dead letters wait again, after everything that waits now; answers how many do. */
  readonly retryDead: () => Promise<number>
  /** Deletes the dead letters, or those that died longer ago than `olderThan`; answers how many. */
  readonly purgeDead: (options?: { readonly olderThan?: DurationInput | undefined }) => Promise<number>
  /**
   * Deletes every message that names this user, as `userId`, `anonymousId` or `previousId`, waiting or dead: for requests of
   * erasure. What is in a request at this moment cannot be called back.
   */
  readonly purgeUser: (userId: string | number) => Promise<{ readonly pending: number; readonly dead: number }>
}
