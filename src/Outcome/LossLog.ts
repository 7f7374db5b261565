/**
 * The log of losses: a warning for each kind of loss, at most once in 10 seconds. The next line of a kind gives the number of
 * repeats since the last one; the line of a close gives the repeats that no line has given yet.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { log } from "../internal/Log.ts"
import { failureOf, type Outcome } from "../Outcome.ts"

/** The least time between two lines of a kind, in milliseconds. */
const interval = 10_000
/** Kinds with a line of their own, at most. Further ones share a line. */
const maxKinds = 100

interface Kind {
  readonly isCall: boolean
  readonly reason: string
  sentence: string
  loggedAt: number
  /** Losses since the last line. */
  unlogged: number
}

export interface LossLog {
  /** Counts a loss, and logs it if its kind was not logged for 10 seconds. */
  readonly add: (outcome: Outcome) => Effect.Effect<void>
  /** Counts a loss for the next line of its kind. */
  readonly hold: (outcome: Outcome) => void
  /** Logs what was counted and not logged. */
  readonly close: Effect.Effect<void>
}

const plural = (count: number, noun: string): string =>
  `${count.toLocaleString("en-US")} ${noun}${count === 1 ? "" : "s"}`

const subject = ({ isCall }: Kind, count: number): string =>
  isCall
    ? `${plural(count, "call")} ${count === 1 ? "was" : "were"} not accepted`
    : `${plural(count, "message")} ${count === 1 ? "was" : "were"} lost`

export const make = (): LossLog => {
  const kinds = new Map<string, Kind>()

  /** The kind of a loss, with the loss counted. */
  const count = (outcome: Outcome): Kind | undefined => {
    const failure = failureOf(outcome)
    if (failure === undefined) return undefined
    const { error, messages } = failure
    const isCall = outcome._tag !== "Dropped"
    const reason = error._tag === "DeliveryError" ? error.reason : error._tag
    const key = isCall ? error.message : reason
    const name = kinds.has(key) || kinds.size < maxKinds ? key : "others"
    const kind = kinds.get(name) ?? { isCall, reason, sentence: "", loggedAt: Number.NEGATIVE_INFINITY, unlogged: 0 }
    kinds.set(name, kind)
    kind.sentence = name === key ? error.message : "for further reasons"
    kind.unlogged += isCall ? 1 : messages.length
    return kind
  }

  const write = (kind: Kind, prefix = "") => {
    const line = `${prefix}${subject(kind, kind.unlogged)}: ${kind.sentence}`
    kind.unlogged = 0
    return log("Warn", line, { reason: kind.reason })
  }

  return {
    add: (outcome) => {
      const kind = count(outcome)
      if (kind === undefined) return Effect.void
      return Effect.flatMap(Clock.currentTimeMillis, (now) => {
        // A clock that was set back must not silence the log.
        if (now >= kind.loggedAt && now - kind.loggedAt < interval) return Effect.void
        kind.loggedAt = now
        return write(kind)
      })
    },
    hold: (outcome) => void count(outcome),
    close: Effect.suspend(() =>
      Effect.forEach(
        Array.from(kinds.values()).filter(({ unlogged }) => unlogged > 0),
        (kind) => write(kind, "closed; "),
        { discard: true }
      )
    )
  }
}
