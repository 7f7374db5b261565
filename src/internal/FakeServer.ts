/**
 * The wire of the test layers: records every request, and answers from a script, else with success.
 */
import * as Schema from "effect/Schema"
import type * as Call from "../Call.ts"
import type * as CallTypes from "../CallTypes.ts"
import * as Message from "../Message.ts"
import type * as Outcome from "../Outcome.ts"

/**
 * What a request is answered with: a status; more of an answer; a connection that breaks; no answer at all.
 * `delay`, before the answer, is in milliseconds.
 * @category models @since 0.1.0
 */
export type Answer =
  | number
  | {
      readonly status: number
      readonly headers?: Readonly<Record<string, string>> | undefined
      readonly body?: string | undefined
      readonly delay?: number | undefined
    }
  | "network error"
  | "never"

/** A request as it went over the wire. @category models @since 0.1.0 */
export interface Request {
  readonly headers: Readonly<Record<string, string>>
  /** The text of the body, after decompression. */
  readonly text: string
  readonly body: CallTypes.Request
  readonly answer: Answer
}

/** What a test hashes with, if it gives no key. */
export const hashKey = "the key of a test"

const Body = Schema.fromJsonString(Message.Request)
const check = Schema.decodeUnknownSync(Body)

export class FakeServer {
  readonly requests: Array<Request> = []
  readonly script: Array<Answer> = []

  /** Records a request and answers with its response. Throws if no Tracking API could read the request. */
  answer(headers: Readonly<Record<string, string>>, text: string): Answer {
    check(text)
    const answer = this.script.shift() ?? 200
    this.requests.push({ headers, text, body: JSON.parse(text), answer })
    return answer
  }

  /** The batches that were answered with 2xx. */
  get batches(): ReadonlyArray<ReadonlyArray<Message.Wire>> {
    return this.requests.filter(isTaken).map(({ body }) => body.batch)
  }
}

/** The properties of all events of this name. */
export const propertiesOf = (messages: ReadonlyArray<Message.Wire>, event: string): ReadonlyArray<Call.Data> =>
  messages.flatMap((message) => (message.type === "track" && message.event === event ? [message.properties] : []))

const statusOf = (answer: Answer): number => (typeof answer === "object" ? answer.status : Number(answer))

const isTaken = ({ answer }: Request): boolean => statusOf(answer) >= 200 && statusOf(answer) < 300

/** The answer as `fetch` would give it. */
export const toResponse = (answer: Exclude<Answer, "network error" | "never">): Response => {
  const { body, headers, status } = typeof answer === "object" ? answer : { status: answer }
  const hasBody = ![204, 205, 304].includes(status)
  const bytes = new TextEncoder().encode(hasBody ? (body ?? `{"success":${status < 300}}`) : "")
  const response = new Response(hasBody ? bytes : null, {
    status,
    headers: { "content-type": "application/json", "content-length": String(bytes.byteLength), ...headers }
  })
  // The real one reads by `queueMicrotask`, which test libraries replace together with the timers.
  return Object.defineProperty(response, "arrayBuffer", { value: async () => bytes.buffer })
}

/** The text of a request's body. */
export const toText = (bytes: Uint8Array<ArrayBuffer>, encoding: string | undefined): Promise<string> => {
  const stream = new Blob([bytes]).stream()
  return new Response(encoding === "gzip" ? stream.pipeThrough(new DecompressionStream("gzip")) : stream).text()
}

/** Checks a closed client: every offered message has ended once, and every end was reported. Answers with what is wrong. */
export const violation = (stats: Outcome.Stats, outcomes: ReadonlyArray<Outcome.Outcome>): string | undefined => {
  if (stats.pending !== 0) return "a closed client still holds messages"
  if (stats.offered !== stats.delivered + stats.dropped + stats.rejected) return "not every message is accounted for"
  const reported = { delivered: 0, dropped: 0, rejected: 0 }
  const ids = new Set<Message.Message>()
  for (const outcome of outcomes) {
    if (outcome._tag === "Refused") reported.rejected++
    else if (outcome._tag === "Filtered") reported.dropped++
    else {
      reported[outcome._tag === "Delivered" ? "delivered" : "dropped"] += outcome.messages.length
      for (const message of outcome.messages) {
        if (ids.has(message)) return "a message ended twice"
        ids.add(message)
      }
    }
  }
  const same =
    reported.delivered === stats.delivered && reported.dropped === stats.dropped && reported.rejected === stats.rejected
  return same ? undefined : `the reported outcomes differ (${JSON.stringify(reported)})`
}
