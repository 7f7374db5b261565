/**
 * Reports outcomes: counts each in the metrics, and passes it to the observer, or to the log of losses if there is none.
 *
 * An observer that makes calls starts no recursion: the outcomes of these calls are counted and logged, but not observed.
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import type { DeliveryError } from "../AnalyticsError.ts"
import { isLogging, log } from "../internal/Log.ts"
import type { Message } from "../Message.ts"
import * as Metrics from "../Metrics.ts"
import { Observer } from "../Observer.ts"
import type { Outcome } from "../Outcome.ts"
import * as Diagnostics from "./Diagnostics.ts"
import * as LossLog from "./LossLog.ts"
import { MessageEnds } from "./MessageEnds.ts"

/** Receives every outcome without exception, those of calls that an observer made included: for the test layers. */
export const Recorder = Context.Reference<(outcome: Outcome) => void>("effect-analytics/internal/Recorder", {
  defaultValue: () => () => {}
})

/** Whether a fiber runs on behalf of an observer. */
export const IsObserving = Context.Reference<boolean>("effect-analytics/internal/IsObserving", {
  defaultValue: () => false
})

// Shared by all clients of a process: the observers of two clients may call each other's client.
/** Observers that run at the moment. */
let depth = 0
/** Accepted messages of nested calls. */
const nested = new WeakSet<Message>()

/** Whether a call is nested: made by an observer or a logger. */
export const isNested = (caller: Context.Context<never>): boolean =>
  depth > 0 || isLogging() || Context.get(caller, IsObserving)

/** Keeps the later outcome of a nested call's message from observers. */
export const markNested = (message: Message): void => void nested.add(message)

export const isOfNestedCall = (message: Message): boolean => nested.has(message)

/** Observers whose failure was logged: one line each. */
const failedObservers = new WeakSet<Observer>()

/** The longest time that a call or a delivery waits for an observer. */
const observerTimeout = "5 seconds"

export interface Notifier {
  readonly notify: (outcome: Outcome) => Effect.Effect<void>
  /** The same at once. The result is what is left to run, if the observer takes time. */
  readonly notifyUnsafe: (outcome: Outcome, nestedCall: boolean) => Effect.Effect<void> | undefined
  /** See `Outbox.onEnd`. */
  readonly onEnd: (message: Message, resume: (error: DeliveryError | undefined) => void) => () => void
  /** Whether somebody waits for the end of a message. */
  readonly isAwaited: (message: Message) => boolean
  /** Logs what the log of losses has held back, and ends confirmed calls that still wait, with the reason `closed`. */
  readonly close: Effect.Effect<void>
}

/** The notifier of a client, made of the observer in this context. */
export const make: Effect.Effect<Notifier> = Effect.contextWith((context: Context.Context<never>) => {
  const observer = Context.get(context, Observer)
  const record = Context.get(context, Recorder)
  const losses = LossLog.make()
  const ends = new MessageEnds()

  /** The messages of an outcome that are observed, and those that are not: they are of nested calls. */
  const split = (outcome: Outcome, nestedCall: boolean): readonly [visible?: Outcome | undefined, held?: Outcome] => {
    if (nestedCall) return [undefined, outcome]
    if (outcome._tag !== "Delivered" && outcome._tag !== "Dropped") return [outcome]
    if (!outcome.messages.some((message) => nested.has(message))) return [outcome]
    const [shown, hidden] = Arr.partition(outcome.messages, (message) =>
      nested.has(message) ? Result.fail(message) : Result.succeed(message)
    )
    return [
      Arr.isArrayNonEmpty(shown) ? { ...outcome, messages: shown } : undefined,
      { ...outcome, messages: hidden as Arr.NonEmptyArray<Message> }
    ]
  }

  const notifyUnsafe: Notifier["notifyUnsafe"] = (outcome, nestedCall) => {
    Metrics.countUnsafe(outcome, context)
    record(outcome)
    ends.report(outcome)
    const [visible, held] = split(outcome, nestedCall)
    if (held !== undefined) losses.hold(held)
    if (visible === undefined) return undefined
    depth++
    try {
      Diagnostics.publish(visible)
      const observed = observer === undefined ? losses.add(visible) : observer(visible)
      return Exit.isExit(observed) && Exit.isSuccess(observed) ? undefined : guard(observed)
    } catch (cause) {
      return guard(Effect.die(cause))
    } finally {
      depth--
    }
  }

  /** What an observer does takes a while at most, and fails for itself. */
  const guard = (observing: Effect.Effect<void>): Effect.Effect<void> =>
    observing.pipe(
      Effect.provideService(IsObserving, true),
      Effect.interruptible,
      Effect.timeoutOption(observerTimeout),
      Effect.catchCause((cause) => {
        if (observer === undefined || failedObservers.has(observer)) return Effect.void
        failedObservers.add(observer)
        return log("Error", `the observer failed: ${Cause.pretty(cause)}`)
      }),
      Effect.asVoid
    )

  return Effect.succeed({
    notify: (outcome) => Effect.withFiber((fiber) => notifyUnsafe(outcome, isNested(fiber.context)) ?? Effect.void),
    notifyUnsafe,
    onEnd: ends.on,
    isAwaited: ends.isAwaited,
    close: Effect.andThen(
      losses.close,
      Effect.sync(() => ends.close())
    )
  })
})
