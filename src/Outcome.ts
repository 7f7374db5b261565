/**
 * What became of a message: every accepted one ends in exactly one `Delivered` or `Dropped`, every call that was not
 * accepted in one `Refused` or `Filtered`, and the observer is told of each.
 */
import type * as Arr from "effect/Array"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import type * as Scope from "effect/Scope"
import type { CallError, DeliveryError, PlanViolation } from "./AnalyticsError.ts"
import type { Message, Type } from "./Message.ts"

export type Outcome = Data.TaggedEnum<{
  /** A call was not accepted. `message` is what it would have been, if it got that far. */
  Refused: { readonly call: Type; readonly error: CallError; readonly message: Message | undefined }
  /**
   * The message was dropped on purpose, before it was encoded: by `transform`, or by the policy of a tracking plan, and
   * then with the `violation`.
   */
  Filtered: { readonly call: Type; readonly reason: string; readonly violation?: PlanViolation | undefined }
  /** The API has answered 2xx for these messages, after so many HTTP attempts. */
  Delivered: {
    readonly messages: Arr.NonEmptyReadonlyArray<Message>
    readonly status: number
    readonly attempts: number
  }
  /** These messages were accepted, and are lost for one reason. */
  Dropped: { readonly messages: Arr.NonEmptyReadonlyArray<Message>; readonly error: DeliveryError }
}>
export const Outcome = Data.taggedEnum<Outcome>()

export type Refused = Data.TaggedEnum.Value<Outcome, "Refused">
export type Filtered = Data.TaggedEnum.Value<Outcome, "Filtered">
export type Delivered = Data.TaggedEnum.Value<Outcome, "Delivered">
export type Dropped = Data.TaggedEnum.Value<Outcome, "Dropped">
/** How an accepted message ends. */
export type Settled = Delivered | Dropped

/** Counts of messages since the client was made: `offered = delivered + pending + dropped + rejected`, at every moment. */
export interface Stats {
  /** Calls that were answered: a call that waits for room is not, yet. */
  readonly offered: number
  readonly delivered: number
  /** Accepted and not settled: waiting, grouped, or in flight. */
  readonly pending: number
  /** Accepted, or filtered by `transform` or a plan, and lost for a reason that the observer was told. */
  readonly dropped: number
  /** Calls that were not accepted. */
  readonly rejected: number
  /** Of those pending: handed to the delivery, grouped or in flight. */
  readonly inFlight: number
  /** UTF-8 bytes of those pending. */
  readonly pendingBytes: number
}

// ---------------------------------------------------------------------------------------------------------------------
// Metrics
// ---------------------------------------------------------------------------------------------------------------------

/** Messages by `type`, `outcome` (`delivered`, `dropped`, `refused`) and `reason`. */
export const messagesTotal = Metric.counter("analytics_messages_total", {
  description: "Messages by type, outcome and reason",
  incremental: true
})
/** UTF-8 bytes of messages by `outcome`. */
export const bytesTotal = Metric.counter("analytics_bytes_total", {
  description: "UTF-8 bytes of delivered and dropped messages",
  incremental: true
})
/** Messages accepted and not settled, of all clients together. Read when it is asked for. */
export const queueDepth = Metric.gauge("analytics_queue_depth", {
  description: "Messages accepted and not yet settled"
})
/** Messages in a request. */
export const batchSize = Metric.histogram("analytics_batch_size", {
  description: "Messages in a request",
  boundaries: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2500]
})
/** Milliseconds from the start of a request to its answer. */
export const requestDuration = Metric.histogram("analytics_request_duration_ms", {
  description: "Milliseconds from the start of a request to its answer",
  boundaries: Metric.exponentialBoundaries({ start: 1, factor: 2, count: 15 })
})
/** Attempts after the first. */
export const retriesTotal = Metric.counter("analytics_retries_total", {
  description: "HTTP attempts after the first",
  incremental: true
})

const counters = new Map<string, Metric.Counter<number>>()
const counter = (of: Metric.Counter<number>, attributes: Record<string, string>): Metric.Counter<number> => {
  const key = `${of.id} ${Object.values(attributes).join(" ")}`
  const known = counters.get(key)
  if (known !== undefined) return known
  const made = Metric.withAttributes(of, attributes)
  counters.set(key, made)
  return made
}

/** Counts an outcome in the metrics. */
export const countUnsafe = (outcome: Outcome, context: Context.Context<never>): void => {
  if (outcome._tag === "Refused" || outcome._tag === "Filtered") {
    const reason = failureOf(outcome)?.error._tag ?? "filtered"
    const ended = outcome._tag === "Refused" ? "refused" : "dropped"
    return counter(messagesTotal, { type: outcome.call, outcome: ended, reason }).updateUnsafe(1, context)
  }
  const ended = outcome._tag === "Delivered" ? "delivered" : "dropped"
  const reason = outcome._tag === "Delivered" ? "ok" : outcome.error.reason
  const byType = new Map<Type, number>()
  let bytes = 0
  for (const message of outcome.messages) {
    byType.set(message.type, (byType.get(message.type) ?? 0) + 1)
    bytes += message.bytes
  }
  for (const [type, count] of byType) {
    counter(messagesTotal, { type, outcome: ended, reason }).updateUnsafe(count, context)
  }
  counter(bytesTotal, { outcome: ended }).updateUnsafe(bytes, context)
}

interface Series {
  readonly depths: Set<() => number>
  readonly registration: Metric.Registration
}

/** The series of `queueDepth`: by registry, and by the attributes that are around a client. */
const series = new WeakMap<Metric.MetricRegistry, Map<string, Series>>()

/** Adds a client's depth to `queueDepth` for as long as the scope lasts. Costs nothing until the gauge is read. */
export const watchDepth = Effect.fnUntraced(function* (
  depth: () => number
): Effect.fn.Return<void, never, Scope.Scope> {
  const context = yield* Effect.context<never>()
  const registry = Context.get(context, Metric.MetricRegistry)
  const attributes = JSON.stringify(Context.get(context, Metric.CurrentMetricAttributes))
  const known = series.get(registry) ?? new Map<string, Series>()
  series.set(registry, known)
  const one = known.get(attributes) ?? register(context)
  known.set(attributes, one)
  one.depths.add(depth)
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      one.depths.delete(depth)
      if (one.depths.size > 0) return
      one.registration.remove()
      known.delete(attributes)
    })
  )
})

const register = (context: Context.Context<never>): Series => {
  const depths = new Set<() => number>()
  const sum = () => ({ value: Array.from(depths).reduce((total, depth) => total + depth(), 0) })
  const registration = Metric.registerUnsafe(queueDepth, context, { get: sum, update: () => {}, modify: () => {} })
  return { depths, registration }
}

// ---------------------------------------------------------------------------------------------------------------------
// Observer
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Is told of every outcome, in the fiber that caused it: a call or a delivery waits for it, for at most 5 seconds. What it
 * throws is logged and harms nobody.
 */
export type Observer = (outcome: Outcome) => Effect.Effect<void>

/** No second line about the same kind of loss in this time. */
const quietMillis = 10_000

/** Logs losses: a warning at most every 10 s for each kind, which says how many messages were lost since the last. */
export const makeLogLosses = (): Observer => {
  const said = new Map<string, { at: number; unsaid: number }>()
  return (outcome) => {
    const failure = failureOf(outcome)
    if (failure === undefined) return Effect.void
    const { error } = failure
    const kind = error._tag === "DeliveryError" ? error.reason : error._tag
    const count = Math.max(1, failure.messages.length)
    return Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const last = said.get(kind)
      if (last !== undefined && now >= last.at && now - last.at < quietMillis) {
        last.unsaid += count
        return Effect.void
      }
      const messages = count + (last?.unsaid ?? 0)
      said.set(kind, { at: now, unsaid: 0 })
      return Effect.logWarning(`${messages} ${messages === 1 ? "message" : "messages"} lost: ${error.message}`).pipe(
        Effect.annotateLogs({ module: "effect-analytics", reason: kind })
      )
    })
  }
}

/**
 * The one hook: who is told what became of messages. The default logs losses (see `makeLogLosses`).
 *
 * Provide it to the layer of the client: `Analytics.layerFetch(options).pipe(Layer.provide(Outcome.layerObserver(f)))`.
 */
export const Observer = Context.Reference<Observer>("effect-analytics/Outcome/Observer", {
  defaultValue: makeLogLosses
})

/** Tells every outcome to `observer`. */
export const layerObserver = (observer: Observer): Layer.Layer<never> => Layer.succeed(Observer, observer)

/**
 * What an outcome is to somebody who wants to hear of failures only; `undefined` if it is none. What `transform` has
 * dropped is none; what a plan has dropped is.
 */
export const failureOf = (
  outcome: Outcome
): { readonly error: CallError | DeliveryError; readonly messages: ReadonlyArray<Message> } | undefined => {
  if (outcome._tag === "Dropped") return outcome
  if (outcome._tag === "Filtered" && outcome.violation !== undefined) return { error: outcome.violation, messages: [] }
  if (outcome._tag !== "Refused") return undefined
  return { error: outcome.error, messages: outcome.message === undefined ? [] : [outcome.message] }
}

/** Runs somebody else's callback. What it throws, or what its promise is rejected with, is theirs. */
export const harmless = (callback: () => unknown): void => {
  try {
    const answer = callback()
    if (answer instanceof Promise) answer.catch(() => {})
  } catch {
    // Nobody to tell: the one who would be told threw.
  }
}

/**
 * The classic error callback: called for every loss with the last HTTP status, if there was one, and what happened.
 *
 * Messages that `transform` dropped on purpose are no errors and are not told; those that a tracking plan dropped are.
 */
export const layerOnError = (onError: (status: number | undefined, message: string) => void): Layer.Layer<never> =>
  layerObserver((outcome) =>
    Effect.sync(() => {
      const error = failureOf(outcome)?.error
      if (error !== undefined) harmless(() => onError("status" in error ? error.status : undefined, error.message))
    })
  )

/** What an observer that never answers may take from a call or a delivery. */
const observerTimeout = "5 seconds"

/** Counts an outcome and tells it to the observer. */
export type Tell = (outcome: Outcome) => Effect.Effect<void>

/** The way to tell outcomes to the observer of this context. */
export const makeTell: Effect.Effect<Tell> = Effect.contextWith((context: Context.Context<never>) => {
  const observer = Context.get(context, Observer)
  return Effect.succeed((outcome) =>
    Effect.suspend(() => {
      countUnsafe(outcome, context)
      const told = observer(outcome)
      return Exit.isExit(told) ? told : Effect.timeoutOption(Effect.interruptible(told), observerTimeout)
    }).pipe(
      Effect.catchCause((cause) => Effect.ignoreCause(Effect.logError("an outcome observer failed", cause))),
      Effect.asVoid
    )
  )
})
