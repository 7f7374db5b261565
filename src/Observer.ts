/**
 * The one hook: an observer receives the outcome of every call and every message. The default logs losses.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { ignoreThrows } from "./internal/Callback.ts"
import { failureOf, type Outcome } from "./Outcome.ts"

/**
 * Receives every outcome, in the fiber that caused it: a call or a delivery waits for it, for at most 5 seconds. Its failures
 * are logged and have no other effect.
 *
 * An observer may make calls. The outcomes of these calls are counted and logged, but not observed: nothing recurs.
 * @category models @since 0.1.0
 */
export type Observer = (outcome: Outcome) => Effect.Effect<void>

/**
 * The observer of a client. Without one, losses are logged as warnings: each kind at most once in 10 seconds, with the
 * number of repeats.
 *
 * Provide it to the layer of the client: `Analytics.layerFetch(options).pipe(Layer.provide(Observer.layer(f)))`.
 * @category references @since 0.1.0
 */
export const Observer = Context.Reference<Observer | undefined>("effect-analytics/Observer", {
  defaultValue: () => undefined
})

/** Reports every outcome to `observer`. @category layers @since 0.1.0 */
export const layer = (observer: Observer): Layer.Layer<never> => Layer.succeed(Observer, observer)

/**
 * The classic error callback: called for every loss with the last HTTP status, if there was one, and a sentence.
 *
 * Messages that `transform` dropped on purpose are no losses; messages that a tracking plan dropped are.
 * @category layers @since 0.1.0
 */
export const layerOnError = (onError: (status: number | undefined, message: string) => void): Layer.Layer<never> =>
  layer((outcome) => {
    // At once, and not as an effect: calls that it makes, by whatever fiber, are known as those of an observer.
    const error = failureOf(outcome)?.error
    if (error !== undefined) ignoreThrows(() => onError("status" in error ? error.status : undefined, error.message))
    return Effect.void
  })
