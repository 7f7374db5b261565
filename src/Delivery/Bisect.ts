/**
 * Delivers one batch. A batch that the API rejects is halved until the culprits are found, within a budget of requests: they
 * are dropped, the others delivered. A smaller size limit that the API reveals with 413 is kept for later batches.
 */
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as SpanLinks from "../internal/SpanLinks.ts"
import type { Message } from "../Message.ts"
import * as Settings from "../Settings.ts"
import * as Transport from "../Transport.ts"
import { type Batch, facts, type Part, type Retry } from "./Retry.ts"

export interface Bisect {
  /** Sends until every message of the batch is settled. */
  readonly deliver: (batch: Batch) => Effect.Effect<void>
  /** UTF-8 bytes of a request, at most: the API's limit, or less once it answered 413. */
  readonly maxBatchBytes: () => number
}

/** Requests that the search for culprits in a rejected batch may cost; and after a search that delivered nothing. */
const searchBudget = 32
const hopelessBudget = 8

/** The search in one batch. */
interface Search {
  /** Requests that it has cost. */
  cost: number
  /** Whether it has delivered something. */
  found: boolean
  /** Whether the last 413 was about a single message. */
  isSingleTooLarge: boolean
}

export const make = Effect.fnUntraced(function* (retry: Retry): Effect.fn.Return<Bisect, never, Transport.Transport> {
  const { destination, envelopeBytes } = yield* Transport.Transport
  let maxBatchBytes: number = Settings.limits.batchBytes
  /** The last search delivered nothing: the next one is short. */
  let isHopeless = false

  const server =
    destination === undefined || !URL.canParse(destination)
      ? {}
      : { "url.full": destination, "server.address": new URL(destination).hostname }
  /** By the conventions of OpenTelemetry for messaging and for HTTP. */
  const attributesOf = (batch: Batch) => ({
    "messaging.system": "effect-analytics",
    "messaging.operation.name": "deliver",
    "messaging.operation.type": "send",
    "messaging.batch.message_count": batch.length,
    "messaging.message.body.size": bytesOf(batch),
    "http.request.method": "POST",
    ...server
  })

  const requestBytes = (part: Part) => envelopeBytes + bytesOf(part.messages)

  const deliver = Effect.fnUntraced(
    function* (batch: Batch) {
      const parts: Array<Part> = [{ messages: batch, attempts: 0 }]
      const limitBefore = maxBatchBytes
      const search: Search = { cost: 0, found: false, isSingleTooLarge: false }
      let requests = 0
      let status: number | undefined
      const canAfford = (cost: number) => search.cost + cost <= (isHopeless ? hopelessBudget : searchBudget)
      const split = (part: Part, cost: number) => {
        search.cost += cost
        parts.unshift(...halve(part))
      }
      for (let part = parts.shift(); part !== undefined; part = parts.shift()) {
        const isSingle = part.messages.length === 1
        // A known smaller limit needs no request to be learnt again.
        if (!isSingle && requestBytes(part) > maxBatchBytes && (search.found || canAfford(1))) {
          split(part, 1)
          continue
        }
        const before = part.attempts
        const result = yield* retry.send(part)
        requests += part.attempts - before
        if (result === undefined) continue
        status = facts(result).status
        if (result._tag === "Delivered") {
          search.found = true
          isHopeless = false
        }
        const isTooLarge = result._tag === "Rejected" && result.status === 413
        if (isTooLarge) search.isSingleTooLarge = isSingle
        if (search.found && search.isSingleTooLarge) {
          // One message was too large, not the number of them: the limit learnt on the way to it is void.
          maxBatchBytes = limitBefore
          search.isSingleTooLarge = false
        }
        if (result._tag !== "Rejected") continue
        if (isSingle) {
          yield* retry.drop(part, "rejected", result)
        } else if ((isTooLarge && search.found) || canAfford(2)) {
          split(part, 2)
          // The halves are the next sizes to try.
          if (isTooLarge) maxBatchBytes = Math.max(...parts.slice(0, 2).map(requestBytes))
        } else {
          isHopeless = !search.found
          yield* retry.drop(part, "rejected", result)
        }
      }
      // Where nothing was delivered, a 413 says nothing about size.
      if (!search.found && (search.isSingleTooLarge || isHopeless)) maxBatchBytes = limitBefore
      yield* Effect.annotateCurrentSpan({
        "http.request.resend_count": requests - 1,
        "http.response.status_code": status
      })
    },
    (delivery, batch) =>
      Effect.withSpan(
        "Analytics.deliver",
        { kind: "client", root: true, attributes: attributesOf(batch), links: SpanLinks.linksOf(batch) },
        { captureStackTrace: false }
      )(delivery)
  )

  return { deliver, maxBatchBytes: () => maxBatchBytes }
})

/** Bytes of messages in a request, with the commas between them. */
const bytesOf = (messages: Batch): number => messages.reduce((sum, message) => sum + message.bytes + 1, -1)

const halve = ({ attempts, messages }: Part): [Part, Part] => {
  const [left, right] = Arr.splitAtNonEmpty(messages, Math.ceil(messages.length / 2))
  return [
    { messages: left, attempts },
    { messages: right as Array<Message> as Arr.NonEmptyArray<Message>, attempts }
  ]
}
