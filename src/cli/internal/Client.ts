/** A client for one call. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Analytics from "../../Analytics.ts"
import type { Type } from "../../Call.ts"
import * as Observer from "../../Observer.ts"
import type * as Outcome from "../../Outcome.ts"
import * as Settings from "../../Settings.ts"
import { usageOf } from "./Connection.ts"

/** Makes the call with a client, and answers with how it ended. */
export const outcomeOf = (type: Type, call: object, client: Layer.Layer<Analytics.Analytics>) =>
  Effect.suspend(() => {
    const outcomes: Array<Outcome.Outcome> = []
    const observer = Observer.layer((outcome) => Effect.sync(() => void outcomes.push(outcome)))
    return Analytics.Analytics.use((analytics) =>
      Effect.andThen(Effect.ignore(analytics[type](call as never)), analytics.flush)
    ).pipe(
      Effect.map(() => outcomes[0] as Outcome.Outcome),
      Effect.provide(Layer.provide(client, observer)),
      Settings.catchInvalid(({ problem, setting }) => usageOf(setting, problem))
    )
  })
