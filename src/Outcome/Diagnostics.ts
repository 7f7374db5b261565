/**
 * Outcomes for monitoring tools that listen to Node's `diagnostics_channel`: `effect-analytics:outcome` gets each batch that is
 * delivered, each loss, and each call that is not accepted. Without subscribers it costs nothing.
 */

import { builtin } from "../internal/Builtin.ts"
import type { Outcome } from "../Outcome.ts"

/** What subscribers receive: facts, no payload. */
interface OutcomeEvent {
  readonly outcome: "delivered" | "dropped" | "refused" | "filtered"
  readonly messages: number
  readonly bytes: number
  /** Why messages were lost, or a call was not accepted. */
  readonly reason?: string
  /** The last HTTP status, and the number of attempts. */
  readonly status?: number
  readonly attempts?: number
}

interface Channel {
  readonly hasSubscribers: boolean
  readonly publish: (event: OutcomeEvent) => void
}

const open = (): Channel | undefined =>
  builtin<{ readonly channel: (name: string) => Channel }>("node:diagnostics_channel")?.channel(
    "effect-analytics:outcome"
  )

let channel: Channel | undefined
let isOpened = false

/** Publishes an outcome, if anybody listens. */
export const publish = (outcome: Outcome): void => {
  if (!isOpened) {
    isOpened = true
    channel = open()
  }
  if (channel?.hasSubscribers === true) channel.publish(eventOf(outcome))
}

const eventOf = (outcome: Outcome): OutcomeEvent => {
  switch (outcome._tag) {
    case "Refused":
      return { outcome: "refused", messages: 1, bytes: outcome.message?.bytes ?? 0, reason: outcome.error._tag }
    case "Filtered":
      return { outcome: "filtered", messages: 1, bytes: 0, reason: outcome.violation?._tag ?? outcome.reason }
    default: {
      const messages = outcome.messages.length
      const bytes = outcome.messages.reduce((sum, message) => sum + message.bytes, 0)
      if (outcome._tag === "Delivered") {
        return { outcome: "delivered", messages, bytes, status: outcome.status, attempts: outcome.attempts }
      }
      const { attempts, reason, status } = outcome.error
      return { outcome: "dropped", messages, bytes, reason, attempts, ...(status === undefined ? {} : { status }) }
    }
  }
}
