/**
 * One batch on its way until every message in it is settled: try, retry, pause, split. What one batch learns, a rate
 * limit or a smaller size, holds for all requests of the client.
 *
 * What waits in memory is given up after a while. What waits in an outbox that outlives the process is not: there only
 * what the API rejects ends undelivered, and what grows too old.
 */
import * as Arr from "effect/Array"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as LogLevel from "effect/LogLevel"
import * as Random from "effect/Random"
import * as References from "effect/References"
import { DeliveryError, type LossReason } from "./AnalyticsError.ts"
import type { Message } from "./Message.ts"
import * as Outbox from "./Outbox.ts"
import * as Outcome from "./Outcome.ts"
import * as Settings from "./Settings.ts"
import * as Time from "./Time.ts"
import * as Transport from "./Transport.ts"

type Batch = Arr.NonEmptyReadonlyArray<Message>

/** Messages of a batch that are sent together, and the attempts that they have behind them. */
interface Part {
  messages: Batch
  attempts: number
}

export interface Attempts {
  /** Tries until every message is settled. */
  readonly deliver: (batch: Batch) => Effect.Effect<void>
  /** UTF-8 bytes of a request, at most: the API's limit, or less once it answered 413. */
  readonly maxBatchBytes: () => number
  /** What stands in the way of deliveries at the moment, if anything does. */
  readonly trouble: () => Facts
}

/** Failing, or being limited, for longer than this is the end of a batch. */
const patience = 12 * 3_600_000
/** The longest wait after the first failure; it doubles with each, up to the cap, and chance takes a part of it. */
const firstBackoff = 500
const longestBackoff = 60_000
/** What is made of a `Retry-After`. */
const shortestPause = 1_000
const longestPause = 300_000
/** Attempts beyond the retries, so that an endless `Retry-After` ends. */
const extraAttempts = 20
/** Requests that the search for the culprits in a rejected batch may cost; and after a search that found no other. */
const searchBudget = 32
const hopelessBudget = 8

export const make = Effect.fnUntraced(function* (options: {
  readonly maxRetries: number
}): Effect.fn.Return<Attempts, never, Outbox.Outbox | Transport.Transport> {
  const { maxRetries } = options
  const outbox = yield* Outbox.Outbox
  const transport = yield* Transport.Transport

  // Shared by all requests, so that a limit stops them all.
  let limitedUntil = Number.NEGATIVE_INFINITY
  let limitedSince: number | undefined
  let maxBatchBytes: number = Settings.limits.batchBytes
  let known = nothingKnown()
  const { lasting } = outbox
  /** Whether trouble is written down for the next life. */
  let remembered = false

  const trouble = yield* lasting?.recall ?? Effect.undefined
  if (trouble !== undefined) {
    remembered = true
    known.retries = trouble.retries
    const pause = Math.max(0, trouble.resumeAt - (yield* Clock.currentTimeMillis))
    limitedUntil = (yield* Time.elapsed) + Math.min(longestPause, pause)
  }

  const delivered = (part: Part, status: number) => {
    known = nothingKnown()
    const told = outbox.settle(Outcome.Outcome.Delivered({ messages: part.messages, status, attempts: part.attempts }))
    if (lasting === undefined || !remembered) return told
    remembered = false
    return Effect.andThen(told, lasting.remember(undefined))
  }

  const remember = Effect.fnUntraced(function* (wait: number) {
    if (lasting === undefined) return
    remembered = true
    yield* lasting.remember({ retries: known.retries, resumeAt: (yield* Clock.currentTimeMillis) + wait })
  })

  const backOff = Effect.fnUntraced(function* (retries: number) {
    known.retries = Math.max(known.retries, retries)
    const chance = yield* Random.next
    const wait = chance * Math.min(longestBackoff, firstBackoff * 2 ** known.retries)
    yield* remember(wait)
    yield* Effect.sleep(wait)
  })

  const dropped = (part: Part, reason: LossReason, answer: Transport.Answer) =>
    outbox.settle(
      Outcome.Outcome.Dropped({
        messages: part.messages,
        error: new DeliveryError({ reason, attempts: part.attempts, ...facts(answer) })
      })
    )

  const warnMisconfigured = (answer: Transport.Answer) => {
    if (known.misconfigured) return Effect.void
    known.misconfigured = true
    return log("Error", "the API refuses this client: check the write key and the host", { ...facts(answer) })
  }

  const pause = Effect.gen(function* () {
    let now = yield* Time.elapsed
    while (limitedUntil > now) {
      yield* Effect.sleep(Math.ceil(limitedUntil - now))
      now = yield* Time.elapsed
    }
  })

  const attempt = Effect.fnUntraced(function* (part: Part) {
    const startedAt = yield* Time.elapsed
    // A transport that breaks its promise never to fail must not take messages with it.
    const answer = yield* Effect.catchCause(
      Effect.suspend(() => transport.send(part.messages, part.attempts)),
      () => Effect.succeed(Transport.Answer.Transient({ detail: "the transport threw" }))
    )
    const now = yield* Time.elapsed
    // An answer to a request that left before the limit says nothing about it.
    if (answer._tag !== "Limited" && limitedUntil <= now) limitedSince = undefined
    part.attempts++
    yield* note(part, answer, now - startedAt)
    return answer
  })

  /** Tries until the part is settled, and answers with the last answer; or with nothing, if nothing of it is due any more. */
  const persist = Effect.fnUntraced(function* (part: Part) {
    const lastAttempt = part.attempts + maxRetries + extraAttempts
    let failingSince: number | undefined
    let retries = 0
    while (true) {
      if (limitedUntil > Number.NEGATIVE_INFINITY) yield* pause
      if (lasting !== undefined) {
        const due = yield* lasting.dueOf(part.messages)
        if (!Arr.isReadonlyArrayNonEmpty(due)) return undefined
        part.messages = due
      }
      const answer = yield* attempt(part)
      switch (answer._tag) {
        case "Delivered":
          yield* delivered(part, answer.status)
          return answer
        case "Rejected":
          return answer
        case "Misconfigured":
          yield* warnMisconfigured(answer)
          if (lasting === undefined) {
            yield* dropped(part, "misconfigured", answer)
            return answer
          }
          known.trouble = facts(answer)
          yield* backOff(retries++)
          break
        case "Limited": {
          const now = yield* Time.elapsed
          known.trouble = facts(answer)
          // A limit that had passed long before is not this one.
          if (limitedSince === undefined || now > limitedUntil + longestPause) limitedSince = now
          limitedUntil = Math.max(limitedUntil, now + Math.min(longestPause, Math.max(shortestPause, answer.delay)))
          if (lasting === undefined && (now - limitedSince > patience || part.attempts > lastAttempt)) {
            yield* dropped(part, "limited", answer)
            return answer
          }
          yield* remember(limitedUntil - now)
          break
        }
        case "Transient": {
          const now = yield* Time.elapsed
          known.trouble = facts(answer)
          failingSince ??= now
          const spent = now - failingSince > patience ? "expired" : retries === maxRetries ? "retries" : undefined
          if (lasting === undefined && spent !== undefined) {
            yield* dropped(part, spent, answer)
            return answer
          }
          yield* backOff(retries++)
        }
      }
    }
  })

  const deliver = Effect.fnUntraced(
    function* (batch: Batch) {
      const parts: Array<Part> = [{ messages: batch, attempts: 0 }]
      const limitBefore = maxBatchBytes
      let requests = 0
      /** What the search has cost so far, and whether it found something to deliver. */
      let searched = 0
      let found = false
      /** Whether the last 413 was about a single message. */
      let alone = false
      let status: number | undefined
      const canSearch = (cost: number) => searched + cost <= (known.hopeless ? hopelessBudget : searchBudget)
      for (let part = parts.shift(); part !== undefined; part = parts.shift()) {
        const isOne = part.messages.length === 1
        // Once a smaller limit is known, no request is needed to learn it again.
        if (!isOne && requestBytes(part) > maxBatchBytes && (found || canSearch(1))) {
          searched += 1
          parts.unshift(...halve(part))
          continue
        }
        const before = part.attempts
        const answer = yield* persist(part)
        requests += part.attempts - before
        // Too old by now, or erased.
        if (answer === undefined) continue
        status = facts(answer).status
        found ||= answer._tag === "Delivered"
        const isTooLarge = answer._tag === "Rejected" && answer.status === 413
        if (isTooLarge) alone = isOne
        if (found && alone) {
          // It was that message and not the number of them: what was learnt on the way to it is void.
          maxBatchBytes = limitBefore
          alone = false
        }
        if (answer._tag !== "Rejected") continue
        if (isOne) {
          yield* dropped(part, "rejected", answer)
        } else if ((isTooLarge && found) || canSearch(2)) {
          searched += 2
          if (isTooLarge) maxBatchBytes = Math.floor(requestBytes(part) / 2)
          parts.unshift(...halve(part))
        } else {
          known.hopeless = !found
          yield* dropped(part, "rejected", answer)
        }
      }
      // Nothing was found that could be delivered, whatever its size: then nothing was learnt either.
      if (!found && (alone || known.hopeless)) maxBatchBytes = limitBefore
      yield* Effect.annotateCurrentSpan({ messages: batch.length, bytes: bytesOf(batch), attempts: requests, status })
    },
    Effect.withSpan("Analytics.deliver", { kind: "client", root: true }, { captureStackTrace: false })
  )

  const requestBytes = (part: Part) => transport.envelopeBytes + bytesOf(part.messages)

  return { deliver, maxBatchBytes: () => maxBatchBytes, trouble: () => known.trouble }
})

/** What was learnt since the last delivery, which makes all of it void. */
const nothingKnown = () => ({
  /** The most retries of any batch: an outage that is known is not probed eagerly again. */
  retries: 0,
  /** A search for culprits has found no message that could be delivered: the next one is short. */
  hopeless: false,
  /** It was said, once, that the API refuses this client. */
  misconfigured: false,
  trouble: {} as Facts
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

/** What is known of an answer, for errors, logs and spans. */
interface Facts {
  readonly status?: number
  readonly detail?: string
}

const facts = (answer: Transport.Answer): Facts => {
  const { detail, status } = answer as Facts
  return { ...(status === undefined ? {} : { status }), ...(detail === undefined ? {} : { detail }) }
}

/** Counts an attempt, and logs it where anybody listens. */
const note = ({ attempts, messages }: Part, answer: Transport.Answer, duration: number): Effect.Effect<void> =>
  Effect.withFiber((fiber) => {
    if (attempts > 1) Outcome.retriesTotal.updateUnsafe(1, fiber.context)
    Outcome.requestDuration.updateUnsafe(duration, fiber.context)
    Outcome.batchSize.updateUnsafe(messages.length, fiber.context)
    if (LogLevel.isGreaterThan(fiber.getRef(References.MinimumLogLevel), "Debug")) return Effect.void
    return log("Debug", `batch: ${answer._tag}`, { messages: messages.length, attempts, ...facts(answer) })
  })

/** Logs. A logger that throws must not take messages with it. */
const log = (level: "Debug" | "Error", line: string, annotations: Record<string, unknown>) =>
  Effect.ignoreCause(
    Effect.annotateLogs(level === "Debug" ? Effect.logDebug(line) : Effect.logError(line), {
      module: "effect-analytics",
      ...annotations
    })
  )
