/**
 * Sends the same messages until they are delivered, rejected or given up: backoff after failures, and the pause that a
 * `Retry-After` asks for. Both hold for all requests of the client.
 *
 * Messages in memory are given up after a while. Messages in a durable outbox are not: there only a rejection by the API, or
 * their age, ends them undelivered.
 */
import * as Arr from "effect/Array"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as LogLevel from "effect/LogLevel"
import * as Random from "effect/Random"
import * as References from "effect/References"
import { DeliveryError, type LossReason } from "../AnalyticsError.ts"
import { log } from "../internal/Log.ts"
import * as Time from "../internal/Time.ts"
import type { Message } from "../Message.ts"
import * as Metrics from "../Metrics.ts"
import * as Outbox from "../Outbox.ts"
import * as Outcome from "../Outcome.ts"
import * as Transport from "../Transport.ts"

/** The messages of a request. @category models @since 0.1.0 */
export type Batch = Arr.NonEmptyReadonlyArray<Message>

/**
 * Messages of a batch that are sent together, and the number of attempts they have behind them.
 * @category models @since 0.1.0
 */
export interface Part {
  messages: Batch
  attempts: number
}

/** The known facts of a result, for errors, logs and spans. @category models @since 0.1.0 */
export interface Facts {
  readonly status?: number
  readonly detail?: string
}

export interface Retry {
  /**
   * Sends until the result is final, and settles the messages unless it is `Rejected`. Without a result nothing of the part
   * was left to deliver: its messages were too old, or erased.
   */
  readonly send: (part: Part) => Effect.Effect<Transport.SendResult | undefined>
  /** Drops the messages of a part. */
  readonly drop: (part: Part, reason: LossReason, result: Transport.SendResult) => Effect.Effect<void>
  /** The failure that deliveries wait for at the moment, if there is one. */
  readonly lastFailure: () => Facts
  readonly status: () => Status
}

/** What deliveries wait for. Times are in milliseconds since 1970. @category models @since 0.1.0 */
export interface Status {
  /** The last attempt that failed since the last delivery. */
  readonly lastFailure?: Facts & { readonly at: number }
  /** No attempt before this time: the API asked for a pause. */
  readonly limitedUntil?: number
}

/** The longest wait after the first failure. It doubles with each failure up to the cap; full jitter takes a part of it. */
const firstBackoff = 500
const maxBackoff = 60_000
/** The bounds of a `Retry-After`. */
const minPause = 1_000
const maxPause = 300_000
/** Attempts beyond the retries, so that an endless `Retry-After` ends. */
const extraAttempts = 20
/** Failures in a row after which a warning is logged; and how long a rate limit lasts until one is. */
const failuresBeforeWarning = 3
const limitBeforeWarning = 30_000

export const make = Effect.fnUntraced(function* (options: {
  readonly maxRetries: number
  readonly closeTimeout: number
  /** The longest time of failures that a batch in memory survives, and that of a rate limit, in milliseconds. */
  readonly maxFailingMillis: number
  readonly maxLimitedMillis: number
}): Effect.fn.Return<Retry, never, Outbox.Outbox | Transport.Transport> {
  const { closeTimeout, maxFailingMillis, maxLimitedMillis, maxRetries } = options
  const outbox = yield* Outbox.Outbox
  const transport = yield* Transport.Transport
  const { durable } = outbox
  const clock = yield* Clock.Clock

  // Shared by all requests, so that a limit stops them all.
  let limitedUntil = Number.NEGATIVE_INFINITY
  let limitedSince: number | undefined
  let limit: Transport.SendResult | undefined
  /** What is known since the last delivery. */
  let outage = noOutage()
  let isBackoffSaved = false

  const saved = yield* durable?.loadBackoff ?? Effect.undefined
  if (saved !== undefined) {
    isBackoffSaved = true
    outage.retries = saved.retries
    const pause = Math.max(0, saved.resumeAt - (yield* Clock.currentTimeMillis))
    limitedUntil = (yield* Time.monotonicMillis) + Math.min(maxPause, pause)
  }

  const saveBackoff = Effect.fnUntraced(function* (wait: number) {
    if (durable === undefined) return
    isBackoffSaved = true
    yield* durable.saveBackoff({ retries: outage.retries, resumeAt: (yield* Clock.currentTimeMillis) + wait })
  })

  const delivered = Effect.fnUntraced(function* ({ attempts, messages }: Part, status: number) {
    const { since, warned } = outage
    outage = noOutage()
    yield* outbox.settle(Outcome.Outcome.Delivered({ messages, status, attempts }))
    if (warned) yield* logRecovery((yield* Time.monotonicMillis) - since)
    if (durable === undefined || !isBackoffSaved) return
    isBackoffSaved = false
    yield* durable.saveBackoff(undefined)
  })

  const drop: Retry["drop"] = ({ attempts, messages }, reason, result) =>
    outbox.settle(
      Outcome.Outcome.Dropped({
        messages,
        error: new DeliveryError({ reason, attempts, ...destination, ...facts(result) })
      })
    )

  const destination = transport.destination === undefined ? {} : { destination: transport.destination }

  // -------------------------------------------------------------------------------------------------------------------
  // Waiting
  // -------------------------------------------------------------------------------------------------------------------

  const backOff = Effect.fnUntraced(function* (retries: number) {
    outage.retries = Math.max(outage.retries, retries)
    const wait = (yield* Random.next) * Math.min(maxBackoff, firstBackoff * 2 ** outage.retries)
    if (isTestClock) yield* logTestClock
    if (outage.failures >= failuresBeforeWarning) yield* logOutage(`${outage.failures} attempts failed in a row`, wait)
    yield* saveBackoff(wait)
    yield* sleep(wait, outage.since)
  })

  /** Waits because of failures since then. A program that simply ends is kept alive no longer than a close would take. */
  const sleep = Effect.fnUntraced(function* (wait: number, since: number) {
    const closed = since + closeTimeout - (yield* Time.monotonicMillis)
    if (wait <= closed) return yield* Effect.sleep(wait)
    if (closed > 0) yield* Effect.sleep(closed)
    yield* Time.withUnrefTimers(Effect.sleep(wait - Math.max(0, closed)))
  })

  /** Waits for the end of a rate limit. Answers with the limit if it lasts for longer than messages in memory may wait. */
  const awaitLimit = Effect.gen(function* () {
    let now = yield* Time.monotonicMillis
    while (limitedUntil > now) {
      const since = limitedSince ?? now
      const left = durable === undefined ? since + maxLimitedMillis + 1 - now : Number.POSITIVE_INFINITY
      if (left <= 0) {
        // The next batch may be limited for as long again.
        limitedSince = now
        return limit
      }
      yield* sleep(Math.ceil(Math.min(limitedUntil - now, left)), since)
      now = yield* Time.monotonicMillis
    }
    return undefined
  })

  /** Logs an outage once, until the next delivery. */
  const logOutage = Effect.fnUntraced(function* (what: string, wait: number) {
    if (outage.warned) return
    outage.warned = true
    const { pending } = yield* outbox.counts
    yield* log("Warn", `${what}; ${waiting(pending)}; next attempt in ${seconds(wait)}`, {
      ...destination,
      ...outage.failure
    })
  })

  const isTestClock = "adjust" in clock
  let isTestClockLogged = false
  /** Logs once why a test hangs: it reaches for a network, and its clock stands still. */
  const logTestClock = Effect.suspend(() => {
    // The code of a real network.
    if (isTestClockLogged || !/^(E[A-Z]|UND_)/.test(outage.failure.detail ?? "")) return Effect.void
    isTestClockLogged = true
    return log(
      "Warn",
      "the request failed, and the next attempt waits for TestClock: adjust it, use it.live, or AnalyticsTest.layer, which needs no network",
      { ...destination, ...outage.failure }
    )
  })

  const logRecovery = (duration: number) => log("Warn", `delivering again, after ${seconds(duration)}`, destination)

  const logMisconfigured = (result: Transport.SendResult) => {
    if (outage.misconfigured) return Effect.void
    outage.misconfigured = true
    return log("Error", "the API refuses this client: check the write key and the host", {
      ...destination,
      ...facts(result)
    })
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Attempts
  // -------------------------------------------------------------------------------------------------------------------

  const attempt = Effect.fnUntraced(function* (part: Part) {
    const startedAt = yield* Time.monotonicMillis
    const result = yield* Transport.attempt(transport, part.messages, part.attempts)
    const now = yield* Time.monotonicMillis
    // A request that left before the limit does not end it.
    if (result._tag !== "Limited" && limitedUntil <= now) limitedSince = undefined
    part.attempts++
    yield* note(part, result, now - startedAt)
    // A rejection is about messages: the API was reached.
    if (result._tag !== "Delivered" && result._tag !== "Rejected") {
      if (outage.failures++ === 0) outage.since = now
      outage.failure = facts(result)
      outage.failedAt = yield* Clock.currentTimeMillis
    }
    return result
  })

  const send: Retry["send"] = Effect.fnUntraced(function* (part) {
    const lastAttempt = part.attempts + maxRetries + extraAttempts
    let failingSince: number | undefined
    let retries = 0
    while (true) {
      if (limitedUntil > Number.NEGATIVE_INFINITY) {
        const tooLong = yield* awaitLimit
        if (tooLong !== undefined) {
          yield* drop(part, "limited", tooLong)
          return tooLong
        }
      }
      if (durable !== undefined) {
        const left = yield* durable.dropExpired(part.messages)
        if (!Arr.isReadonlyArrayNonEmpty(left)) return undefined
        part.messages = left
      }
      const result = yield* attempt(part)
      const now = yield* Time.monotonicMillis
      switch (result._tag) {
        case "Delivered":
          yield* delivered(part, result.status)
          return result
        case "Rejected":
          return result
        case "Misconfigured":
          yield* logMisconfigured(result)
          if (durable === undefined) {
            yield* drop(part, "misconfigured", result)
            return result
          }
          yield* backOff(retries++)
          break
        case "Limited": {
          // A limit that ended long before is another one.
          if (limitedSince === undefined || now > limitedUntil + maxPause) limitedSince = now
          limit = result
          limitedUntil = Math.max(limitedUntil, now + Math.min(maxPause, Math.max(minPause, result.delay)))
          const limitedFor = now - limitedSince
          if (durable === undefined && (limitedFor > maxLimitedMillis || part.attempts > lastAttempt)) {
            limitedSince = now
            yield* drop(part, "limited", result)
            return result
          }
          if (limitedFor >= limitBeforeWarning) {
            yield* logOutage(`rate limited for ${seconds(limitedFor)}`, limitedUntil - now)
          }
          yield* saveBackoff(limitedUntil - now)
          break
        }
        case "Transient": {
          failingSince ??= now
          const givenUp: LossReason | undefined =
            now - failingSince > maxFailingMillis
              ? "retry-timeout"
              : retries === maxRetries
                ? "retries-exhausted"
                : undefined
          if (durable === undefined && givenUp !== undefined) {
            yield* drop(part, givenUp, result)
            return result
          }
          yield* backOff(retries++)
        }
      }
    }
  })

  const status = (): Status => {
    const pause = limitedUntil - Number(clock.monotonicTimeNanosUnsafe()) / 1_000_000
    return {
      ...(outage.failures === 0 ? {} : { lastFailure: { ...outage.failure, at: outage.failedAt } }),
      ...(pause > 0 ? { limitedUntil: Math.ceil(clock.currentTimeMillisUnsafe() + pause) } : {})
    }
  }

  return { send, drop, lastFailure: () => outage.failure, status }
})

/** What is known since the last delivery, which ends an outage. */
const noOutage = () => ({
  /** The most retries of any batch: a new batch continues the backoff of a known outage. */
  retries: 0,
  /** Attempts that failed in a row, and the time of the first. */
  failures: 0,
  since: 0,
  /** The outage was logged. */
  warned: false,
  /** It was logged that the API refuses this client. */
  misconfigured: false,
  failure: {} as Facts,
  /** The time of the last failure, in milliseconds since 1970. */
  failedAt: 0
})

const waiting = (messages: number): string => (messages === 1 ? "1 message waits" : `${messages} messages wait`)
const seconds = (millis: number): string => `${(millis / 1_000).toFixed(1)} s`

/** The known facts of a result. @category accessors @since 0.1.0 */
export const facts = (result: Transport.SendResult): Facts => {
  const { detail, status } = result as Facts
  return { ...(status === undefined ? {} : { status }), ...(detail === undefined ? {} : { detail }) }
}

/** Counts an attempt, and logs it at debug level. */
const note = ({ attempts, messages }: Part, result: Transport.SendResult, duration: number): Effect.Effect<void> =>
  Effect.withFiber((fiber) => {
    Metrics.countAttemptUnsafe({ attempts, duration, messages: messages.length }, fiber.context)
    if (LogLevel.isGreaterThan(fiber.getRef(References.MinimumLogLevel), "Debug")) return Effect.void
    return log("Debug", `batch: ${result._tag}`, { messages: messages.length, attempts, ...facts(result) })
  })
