/**
 * Who waits for the end of a message of this outbox, by its id. Two messages of one id end together.
 */
import { DeliveryError } from "../AnalyticsError.ts"
import type { Message } from "../Message.ts"
import type { Outcome } from "../Outcome.ts"

type Resume = (error: DeliveryError | undefined) => void

export class MessageEnds {
  private readonly waiting = new Map<string, Set<Resume>>()
  private isClosed = false

  /** See `Outbox.onEnd`. */
  readonly on = ({ messageId }: Message, resume: Resume): (() => void) => {
    if (this.isClosed) {
      resume(closed)
      return () => {}
    }
    const known = this.waiting.get(messageId) ?? new Set()
    this.waiting.set(messageId, known.add(resume))
    return () => {
      if (known.delete(resume) && known.size === 0) this.waiting.delete(messageId)
    }
  }

  /** Whether somebody waits for the end of a message. */
  readonly isAwaited = ({ messageId }: Message): boolean => this.waiting.has(messageId)

  report(outcome: Outcome): void {
    if (this.waiting.size === 0 || (outcome._tag !== "Delivered" && outcome._tag !== "Dropped")) return
    for (const { messageId } of outcome.messages) {
      this.end(messageId, outcome._tag === "Dropped" ? outcome.error : undefined)
    }
  }

  close(): void {
    this.isClosed = true
    for (const messageId of this.waiting.keys()) this.end(messageId, closed)
  }

  private end(messageId: string, error: DeliveryError | undefined): void {
    const known = this.waiting.get(messageId)
    this.waiting.delete(messageId)
    for (const resume of known ?? []) resume(error)
  }
}

const closed = new DeliveryError({ reason: "closed", attempts: 0 })
