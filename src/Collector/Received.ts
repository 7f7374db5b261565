/** What a collector keeps: messages with their verdicts, and the requests that they came in. */
import type * as Json from "../internal/Json.ts"

/**
 * One thing that is wrong with a message: the rule, the place in the message, and what is expected there.
 * @category models @since 0.1.0
 */
export interface Problem {
  /**
   * - `call`: the message breaks the Schema of its call (no user, no event name, …);
   * - `type`: it is none of the six calls, or no object;
   * - `message-bytes`, `batch-bytes`, `batch-size`: a limit of the API;
   * - `duplicate`: its `messageId` has been taken before;
   * - `plan`, `unplanned`: it breaks the tracking plan, or is not in it.
   */
  readonly rule: "call" | "type" | "message-bytes" | "batch-bytes" | "batch-size" | "duplicate" | "plan" | "unplanned"
  /** Where in the message: `properties.items[2].price`; empty for the message as a whole. */
  readonly path: string
  readonly problem: string
}

/**
 * What becomes of a message at the real API:
 *
 * - `delivered`: it is taken, and nothing is wrong with it;
 * - `violation`: it is taken, and breaks the tracking plan;
 * - `rejected`: it is dropped, though the answer to its request may be 200;
 * - `duplicate`: it is dropped, since its `messageId` has been taken before;
 * - `failed`: its request was answered with an error, so that the client has to send it again.
 * @category models @since 0.1.0
 */
export type Verdict = "delivered" | "violation" | "rejected" | "duplicate" | "failed"

/** A message as it arrived. Times are milliseconds, sizes UTF-8 bytes. @category models @since 0.1.0 */
export class Received {
  /** Counts from 1, in order of arrival. */
  readonly id: number
  /** The `id` of its request. */
  readonly request: number
  /** Its place in the batch, from 0. */
  readonly index: number
  readonly receivedAt: number
  /** One of the six calls, or whatever the message names; absent where it names none. */
  readonly type: string | undefined
  /** The name of the event, page or screen. */
  readonly name: string | undefined
  /** `userId`, else `anonymousId`. */
  readonly user: string | undefined
  readonly messageId: string | undefined
  readonly size: number
  /** From the message's `timestamp` to its arrival; absent without a valid one. */
  readonly latency: number | undefined
  /** The write key, masked. */
  readonly source: string
  /** Name and version of `context.library`. */
  readonly library: string | undefined
  readonly verdict: Verdict
  readonly problems: ReadonlyArray<Problem>
  /** The JSON text, without a write key. */
  readonly json: string

  constructor(fields: Omit<Received, "message">) {
    this.id = fields.id
    this.request = fields.request
    this.index = fields.index
    this.receivedAt = fields.receivedAt
    this.type = fields.type
    this.name = fields.name
    this.user = fields.user
    this.messageId = fields.messageId
    this.size = fields.size
    this.latency = fields.latency
    this.source = fields.source
    this.library = fields.library
    this.verdict = fields.verdict
    this.problems = fields.problems
    this.json = fields.json
  }

  /** The message, parsed anew each time: only its text is kept. */
  get message(): Json.Data {
    return JSON.parse(this.json)
  }
}

/** One attempt to deliver a batch, and how it was answered. @category models @since 0.1.0 */
export interface Request {
  readonly id: number
  /** When it had been read to its end. */
  readonly receivedAt: number
  readonly method: string
  readonly path: string
  /** Without `authorization` and `cookie`. */
  readonly headers: Readonly<Record<string, string>>
  /** Bytes of the body as it was sent. */
  readonly bytes: number
  /** The same after decompression. */
  readonly decodedBytes: number
  /** The write key, masked; empty if there was none. */
  readonly source: string
  readonly messages: number
  /** The same for all attempts of a batch. */
  readonly batch: string
  /** From 1: what `X-Retry-Count` counts, or the number of times that the batch arrived. */
  readonly attempt: number
  /** The status of the answer; 0 where the connection was reset or stayed silent. */
  readonly status: number
  /** What was done on request, where it was not a plain answer. */
  readonly fault: string | undefined
  /** Milliseconds that the answer was held back. */
  readonly delay: number
  /** Milliseconds that the answer told the client to wait. */
  readonly retryAfter: number | undefined
  /** Why the request was refused. */
  readonly problem: string | undefined
}

/** Counts since the start or the last `clear`. @category models @since 0.1.0 */
export interface Totals {
  readonly requests: number
  readonly messages: number
  /** Bytes of the messages. */
  readonly bytes: number
  readonly verdicts: Readonly<Record<Verdict, number>>
}

/** How often an event, page or screen was seen, and how often it broke the plan. @category models @since 0.1.0 */
export interface Seen {
  readonly type: string
  readonly name: string
  readonly seen: number
  readonly violations: number
}

/** What was seen of a tracking plan since it was loaded or the last `clear`. @category models @since 0.1.0 */
export interface Coverage {
  readonly name: string | undefined
  readonly planned: ReadonlyArray<Seen>
  readonly unplanned: ReadonlyArray<Seen>
}
