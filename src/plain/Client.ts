/**
 * The client as plain programs see it: six calls, a flush, a close, counts.
 */
import type * as Analytics from "../Analytics.ts"
import type * as CallTypes from "../CallTypes.ts"
import type { Stats } from "../Outcome.ts"
import type { DurationInput } from "../Settings.ts"
import type { Operations } from "./Operations.ts"
import type { Failure } from "./Outcome.ts"

/**
 * The six calls. Each answers `true` if the message was accepted, or dropped on purpose by `transform` or by the policy of the
 * plan, and `false` if it was refused.
 * @category models @since 0.1.0
 */
export interface Calls<Answer = boolean> {
  /** Records who a user is: `identify({ userId: "u1", traits: { plan: "free" } })`. */
  readonly identify: (call: CallTypes.Identify) => Answer
  /** Records what a user did: `track({ userId: "u1", event: "Signed Up", properties: { plan: "free" } })`. */
  readonly track: (call: CallTypes.Track) => Answer
  /** Records the page that a user saw: `page({ anonymousId: "v1", name: "Pricing" })`. */
  readonly page: (call: CallTypes.Page) => Answer
  /** Records the screen of an app that a user saw: `screen({ userId: "u1", name: "Cart" })`. */
  readonly screen: (call: CallTypes.Screen) => Answer
  /** Records the group that a user belongs to: `group({ userId: "u1", groupId: "g1", traits: { employees: 329 } })`. */
  readonly group: (call: CallTypes.Group) => Answer
  /** Joins two ids of one user: `alias({ previousId: "v1", userId: "u1" })`. */
  readonly alias: (call: CallTypes.Alias) => Answer
}

/** The six calls inside of `withIdentity`: they may leave the identity out. @category models @since 0.1.0 */
export type IdentifiedCalls<Answer = boolean> = {
  readonly [T in CallTypes.Type]: (call: CallTypes.WithOptionalIdentity<CallTypes.Calls[T]>) => Answer
}

/** The end of the message of a confirmed call. @category models @since 0.1.0 */
export interface Confirmation {
  /** Whether the API has answered 2xx for the message; `true` also for a message that was dropped on purpose. */
  readonly delivered: boolean
  /** If it is not delivered: why the call was not accepted, or the message dropped. */
  readonly reason?: Failure["reason"]
  /** The same in a sentence. */
  readonly message?: string
  /** The last HTTP status, if there was an answer. */
  readonly status?: number
}

/** The deadline of a flush or a close. @category models @since 0.1.0 */
export interface Deadline {
  /** Milliseconds or a text such as `"2 seconds"`. */
  readonly timeout?: DurationInput | undefined
}

/** A client. `Answer` is `boolean`, or `Promise<boolean>` where accepting takes time. @category models @since 0.1.0 */
export interface Client<Answer = boolean> extends Calls<Answer> {
  /** The same six calls where the identity in scope (`withIdentity`) is enough. */
  readonly identified: IdentifiedCalls<Answer>
  /**
   * The same six calls, each of which waits for the end of its message: for the request that must not answer before its event
   * is safe. Never rejects. Other calls cost what they cost; the message travels in a batch with others.
   */
  readonly confirmed: Calls<Promise<Confirmation>>
  /**
   * Resolves when everything that was accepted before it is delivered or dropped, or at the timeout. Never rejects, but for a
   * timeout that is no length of time.
   */
  readonly flush: (deadline?: Deadline) => Promise<Analytics.Summary>
  /**
   * Takes no more calls, delivers the accepted messages until the timeout (`closeTimeout` if none is given), and drops the
   * rest; a durable outbox keeps it. Idempotent.
   */
  readonly close: (deadline?: Deadline) => Promise<Analytics.Summary>
  /**
   * Sends one message, track "effect-analytics check", to the API at once, past the outbox, and answers how it went: status,
   * host, region, clock skew, proxy. For readiness checks, and for "no events". Takes no longer than `requestTimeout`, without
   * a retry, and never rejects. The message counts in no flush and no `stats`.
   */
  readonly verify: () => Promise<Analytics.Verification>
  /** Counts since the client was made. */
  readonly stats: () => Stats
  /** Closes the client: `await using analytics = createAnalytics()`. */
  readonly [Symbol.asyncDispose]: () => Promise<void>
}

/**
 * A client whose calls take time (a durable outbox, `overflow: "wait"`): a call resolves when it is accepted, or refused.
 * @category models @since 0.1.0
 */
export interface AsyncClient extends Client<Promise<boolean>> {}

/** A client whose messages wait in a durable outbox. @category models @since 0.1.0 */
export interface DurableClient extends AsyncClient {
  /** What an operator does with the outbox: its state, its dead letters, the erasure of a user. */
  readonly outbox: Operations
}
