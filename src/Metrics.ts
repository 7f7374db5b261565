/**
 * The metrics of all clients: messages by outcome and reason, bytes, queue depth, batch size, request duration, retries,
 * violations of tracking plans, and the state of durable outboxes.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type * as Scope from "effect/Scope"
import { type Type, types } from "./Call.ts"
import * as WeakCollection from "./internal/WeakCollection.ts"
import { failureOf, type Outcome } from "./Outcome.ts"

/** Messages by `type`, `outcome` (`delivered`, `dropped`, `refused`) and `reason`. @category metrics @since 0.1.0 */
export const messagesTotal = Metric.counter("analytics_messages_total", {
  description: "Messages by type, outcome and reason",
  incremental: true
})
/** UTF-8 bytes of messages by `outcome`. @category metrics @since 0.1.0 */
export const bytesTotal = Metric.counter("analytics_bytes_total", {
  description: "UTF-8 bytes of delivered and dropped messages",
  incremental: true
})
/**
 * Messages accepted and not settled, of all living clients together. Computed when it is read.
 * @category metrics @since 0.1.0
 */
export const queueDepth = Metric.gauge("analytics_queue_depth", {
  description: "Messages accepted and not yet settled"
})
/** Messages in a request. @category metrics @since 0.1.0 */
export const batchSize = Metric.histogram("analytics_batch_size", {
  description: "Messages in a request",
  boundaries: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2500]
})
/** Milliseconds from the start of a request to its answer. @category metrics @since 0.1.0 */
export const requestDuration = Metric.histogram("analytics_request_duration_ms", {
  description: "Milliseconds from the start of a request to its answer",
  boundaries: Metric.exponentialBoundaries({ start: 1, factor: 2, count: 15 })
})
/** Attempts after the first. @category metrics @since 0.1.0 */
export const retriesTotal = Metric.counter("analytics_retries_total", {
  description: "HTTP attempts after the first",
  incremental: true
})
/**
 * Violations of a tracking plan by `event`, `violation` and `action`. Events that are not in the plan count as `(unplanned)`.
 * @category metrics @since 0.1.0
 */
export const violationsTotal = Metric.counter("analytics_plan_violations_total", {
  description: "Violations of the tracking plan by event, kind and what was done",
  incremental: true
})
/** Messages in a durable outbox that are not settled, of all processes. @category metrics @since 0.1.0 */
export const outboxPending = Metric.gauge("analytics_outbox_pending", { description: "Messages that are not settled" })
/** Milliseconds since the oldest of them was written. @category metrics @since 0.1.0 */
export const outboxOldestAge = Metric.gauge("analytics_outbox_oldest_age_ms", {
  description: "Age of the oldest message"
})
/** 1 where the process delivers from a durable outbox, 0 where another one does. @category metrics @since 0.1.0 */
export const outboxLeader = Metric.gauge("analytics_outbox_leader", { description: "Whether this process delivers" })

const counters = new Map<string, Metric.Counter<number>>()
/** The counter with these attributes, made once. */
const messagesBy = (type: Type, outcome: string, reason: string): Metric.Counter<number> => {
  const key = `${type} ${outcome} ${reason}`
  const known = counters.get(key)
  if (known !== undefined) return known
  const made = Metric.withAttributes(messagesTotal, { type, outcome, reason })
  counters.set(key, made)
  return made
}
const bytesBy = {
  delivered: Metric.withAttributes(bytesTotal, { outcome: "delivered" }),
  dropped: Metric.withAttributes(bytesTotal, { outcome: "dropped" })
}

/** @internal Counts an outcome. */
export const countUnsafe = (outcome: Outcome, context: Context.Context<never>): void => {
  if (outcome._tag === "Refused" || outcome._tag === "Filtered") {
    const reason = failureOf(outcome)?.error._tag ?? "filtered"
    const ended = outcome._tag === "Refused" ? "refused" : "dropped"
    return messagesBy(outcome.call, ended, reason).updateUnsafe(1, context)
  }
  const ended = outcome._tag === "Delivered" ? "delivered" : "dropped"
  const reason = outcome._tag === "Delivered" ? "ok" : outcome.error.reason
  const byType = { identify: 0, track: 0, page: 0, screen: 0, group: 0, alias: 0 }
  let bytes = 0
  for (const message of outcome.messages) {
    byType[message.type]++
    bytes += message.bytes
  }
  for (const type of types) {
    if (byType[type] > 0) messagesBy(type, ended, reason).updateUnsafe(byType[type], context)
  }
  bytesBy[ended].updateUnsafe(bytes, context)
}

/**
 * @internal Counts an attempt to deliver a batch: `attempts` with this one, `duration` in milliseconds.
 */
export const countAttemptUnsafe = (
  { attempts, duration, messages }: { readonly attempts: number; readonly duration: number; readonly messages: number },
  context: Context.Context<never>
): void => {
  if (attempts > 1) retriesTotal.updateUnsafe(1, context)
  requestDuration.updateUnsafe(duration, context)
  batchSize.updateUnsafe(messages, context)
}

/** @internal Counts a violation of a tracking plan. */
export const countViolationUnsafe = (
  attributes: { readonly event: string; readonly violation: string; readonly action: string },
  context: Context.Context<never>
): void => Metric.withAttributes(violationsTotal, attributes).updateUnsafe(1, context)

/** @internal Shows what waits in a durable outbox: `oldestAge` in milliseconds. */
export const showPending = (found: { readonly count: number; readonly oldestAge: number }): Effect.Effect<void> =>
  Effect.andThen(Metric.update(outboxPending, found.count), Metric.update(outboxOldestAge, found.oldestAge))

/** @internal Shows whether this process delivers from a durable outbox. */
export const showLeader = (isHere: boolean): Effect.Effect<void> => Metric.update(outboxLeader, isHere ? 1 : 0)

interface Series {
  readonly depths: WeakCollection.WeakCollection<() => number>
  readonly registration: Metric.Registration
}

/** The series of `queueDepth`: by registry, and by the attributes that are in scope of a client. */
const series = new WeakMap<Metric.MetricRegistry, Map<string, Series>>()

/**
 * @internal Adds the depth of a client to `queueDepth`, until the scope ends or the client is collected.
 */
export const watchDepth = Effect.fnUntraced(function* (
  depth: () => number
): Effect.fn.Return<void, never, Scope.Scope> {
  const context = yield* Effect.context<never>()
  const registry = Context.get(context, Metric.MetricRegistry)
  const attributes = JSON.stringify(Context.get(context, Metric.CurrentMetricAttributes))
  const known = series.get(registry) ?? new Map<string, Series>()
  series.set(registry, known)
  const one =
    known.get(attributes) ??
    register(Context.pick(Metric.CurrentMetricAttributes, Metric.MetricRegistry)(context), () => {
      known.delete(attributes)
    })
  known.set(attributes, one)
  const remove = one.depths.add(depth)
  yield* Effect.addFinalizer(() => Effect.sync(remove))
})

/** A series that ends with its last client. In a function of its own: a closure made beside `depth` would hold it. */
const register = (context: Context.Context<never>, onEnd: () => void): Series => {
  const depths = WeakCollection.make<() => number>(() => {
    if (depths.values().length > 0) return
    registration.remove()
    onEnd()
  })
  const sum = () => ({ value: depths.values().reduce((total, depth) => total + depth(), 0) })
  const registration = Metric.registerUnsafe(queueDepth, context, { get: sum, update: () => {}, modify: () => {} })
  return { depths, registration }
}
