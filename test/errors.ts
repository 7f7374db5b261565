/** The errors of calls and settings, as tests ask for them. */
import { assert } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { AnalyticsError, InvalidSetting } from "../src/AnalyticsError.ts"

/** Why a call is not accepted. */
export const reasonOf = <A, E, R>(
  call: Effect.Effect<A, AnalyticsError | E, R>
): Effect.Effect<AnalyticsError["reason"], A, R> =>
  Effect.map(Effect.flip(call), (error) => {
    assert.instanceOf(error, AnalyticsError)
    return error.reason
  })

/** The setting that cannot work: the defect of an effect. */
export const invalidSettingOf = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<InvalidSetting, A, R> =>
  Effect.map(Effect.flip(Effect.sandbox(self)), (cause) => {
    assert.isTrue(Cause.hasDies(cause))
    const error = Cause.squash(cause)
    assert.instanceOf(error, InvalidSetting)
    return error
  })
