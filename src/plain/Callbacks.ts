/**
 * The callbacks of a plain client as an observer. One that throws is told once in the log, and harms nothing.
 */
import * as Effect from "effect/Effect"
import type { AnalyticsError } from "../AnalyticsError.ts"
import { ignoreThrows, textOf } from "../internal/Callback.ts"
import { log } from "../internal/Log.ts"
import type * as Observer from "../Observer.ts"
import * as LossLog from "../Outcome/LossLog.ts"
import { type Outcome as AnyOutcome, failureOf as failureIn } from "../Outcome.ts"
import * as CallStorage from "./CallStorage.ts"
import type { Confirmation } from "./Client.ts"
import type { Failure } from "./Outcome.ts"
import type { AnySettings } from "./Settings.ts"

interface CallbackObserver {
  readonly observe: Observer.Observer
  /** Logs what the log of losses has held back. */
  readonly close: Effect.Effect<void>
}

/** The callbacks of the settings as an observer; none if there are none. */
export const observerOf = ({ onError, onOutcome }: AnySettings): CallbackObserver | undefined => {
  if (onError === undefined && onOutcome === undefined) return undefined
  const losses = onError === undefined ? LossLog.make() : undefined
  const failed = new Set<string>()
  let failures: Effect.Effect<void> = Effect.void

  const call = (name: string, callback: () => unknown) =>
    CallStorage.runCallback(() =>
      ignoreThrows(callback, (cause) => {
        if (failed.has(name)) return
        failed.add(name)
        failures = Effect.andThen(failures, log("Error", `${name} threw: ${textOf(cause)}`))
      })
    )

  return {
    observe: (outcome) => {
      if (onOutcome !== undefined) call("onOutcome", () => onOutcome(outcome))
      const failure = onError === undefined ? undefined : failureOf(outcome)
      if (failure !== undefined) call("onError", () => onError?.(failure))
      const logged = losses?.add(outcome) ?? Effect.void
      if (failures === Effect.void) return logged
      const reported = Effect.andThen(logged, failures)
      failures = Effect.void
      return reported
    },
    close: Effect.suspend(() => Effect.andThen(losses?.close ?? Effect.void, failures))
  }
}

/** The answer of a confirmed call whose message is not delivered. */
export const unconfirmed = ({ reason }: AnalyticsError): Confirmation => ({
  delivered: false,
  reason: reason._tag === "DeliveryError" ? reason.reason : reason._tag,
  message: reason.message,
  ...(reason._tag === "DeliveryError" && reason.status !== undefined ? { status: reason.status } : {})
})

const failureOf = (outcome: AnyOutcome): Failure | undefined => {
  const failure = failureIn(outcome)
  if (failure === undefined) return undefined
  const { error, messages } = failure
  const status = error._tag === "DeliveryError" ? error.status : undefined
  return {
    ...(status === undefined ? {} : { status }),
    message: error.message,
    reason: error._tag === "DeliveryError" ? error.reason : error._tag,
    messages: messages.map((message) => message.data)
  }
}
