/**
 * `effect-analytics e2e`: the contract of the ecosystem's end-to-end tests. It takes events as JSON, sends them with the real
 * client, and prints one JSON value: `{ success, sentBatches, error? }`.
 */

import * as Console from "effect/Console"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Analytics from "../Analytics.ts"
import { types } from "../Call.ts"
import * as Observer from "../Observer.ts"
import * as Outcome from "../Outcome.ts"
import * as Settings from "../Settings.ts"
import { Failure } from "./internal/Exit.ts"
import { optional } from "./internal/Flags.ts"
import * as Proxy from "./internal/Proxy.ts"

const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

const Input = Schema.fromJsonString(
  Schema.Struct({
    writeKey: Schema.String,
    apiHost: Schema.optional(Schema.String),
    sequences: Schema.Array(
      Schema.Struct({
        /** Milliseconds before these events. */
        delayMs: Schema.optional(Count),
        events: Schema.Array(
          Schema.StructWithRest(Schema.Struct({ type: Schema.Literals(types) }), [
            Schema.Record(Schema.String, Schema.Unknown)
          ])
        )
      })
    ),
    config: Schema.optional(
      Schema.Struct({
        flushAt: Schema.optional(Count),
        /** Milliseconds. */
        flushInterval: Schema.optional(Count),
        maxRetries: Schema.optional(Count),
        /** Seconds that the close may take. */
        timeout: Schema.optional(Schema.Finite)
      })
    )
  })
)

const config = {
  input: optional(Flag.String("input").pipe(Flag.withMetavar("json")), "Key, host, events and settings")
}

export const e2e = Command.make("e2e", config, ({ input }) =>
  Effect.gen(function* () {
    const decoded = Schema.decodeUnknownResult(Input)(input)
    const { error, sentBatches } = Result.isSuccess(decoded)
      ? yield* send(decoded.success)
      : { error: `--input: ${decoded.failure.message}`, sentBatches: 0 }
    const success = error === undefined
    yield* Console.log(JSON.stringify({ success, sentBatches, ...(success ? {} : { error }) }))
    if (!success) return yield* new Failure()
  })
).pipe(
  Command.withDescription("Send events as the end-to-end tests of the ecosystem ask for it"),
  Command.withExamples([
    {
      command: `effect-analytics e2e --input '{"writeKey":"k","apiHost":"http://127.0.0.1:8686","sequences":[{"delayMs":0,"events":[{"type":"track","event":"Hi","userId":"u1"}]}]}'`,
      description: "One event to the debugger"
    }
  ])
)

const send = Effect.fnUntraced(function* ({ apiHost, config = {}, sequences, writeKey }: typeof Input.Type) {
  let sentBatches = 0
  let error: string | undefined
  const observer = Observer.layer((outcome) =>
    Effect.suspend(() => {
      if (outcome._tag === "Delivered") sentBatches++
      const failure = Outcome.failureOf(outcome)
      if (failure === undefined) return Effect.void
      error ??= failure.error.message
      return Console.error(failure.error.message)
    })
  )
  const client = Analytics.layerFetch({
    writeKey: Redacted.make(writeKey),
    host: apiHost,
    // The hosts of tests are where the tests are.
    allowInsecureHost: true,
    batchSize: config.flushAt,
    flushInterval: config.flushInterval,
    maxRetries: config.maxRetries,
    closeTimeout: Duration.seconds(config.timeout ?? 75),
    overflow: "wait"
  })
  const all = Effect.gen(function* () {
    const analytics = yield* Analytics.Analytics
    for (const { delayMs = 0, events } of sequences) {
      yield* Effect.sleep(delayMs)
      for (const { type, ...event } of events) {
        const identity =
          event.userId === undefined && event.anonymousId === undefined ? { anonymousId: "anonymous" } : {}
        yield* Effect.ignore(analytics[type]({ ...identity, ...event } as never))
      }
    }
    yield* analytics.close
  })
  yield* Proxy.use.pipe(
    Effect.andThen(Effect.provide(all, Layer.provide(client, observer))),
    Settings.catchInvalid((invalid) => invalid),
    Effect.catch(({ message }) =>
      Effect.sync(() => {
        error = message
      })
    )
  )
  return { error, sentBatches }
})
