/** What the tests of the calls say: makes a call, and sees what of it went over the wire, or why it did not. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fc from "fast-check"
import * as Analytics from "../src/Analytics.ts"
import { InvalidCall } from "../src/AnalyticsError.ts"
import * as AnalyticsTest from "../src/AnalyticsTest.ts"
import type * as Call from "../src/Call.ts"
import type * as Message from "../src/Message.ts"

/** Makes a call as JavaScript can: with anything. */
export const say = (type: Call.Type, call: unknown) =>
  Analytics.Analytics.use((analytics) => analytics[type](call as never))

/** Makes a call and answers with its message as it went over the wire. */
export const sent = Effect.fnUntraced(function* (type: Call.Type, call: unknown) {
  const analytics = yield* Analytics.Analytics
  const wire = yield* AnalyticsTest.Sent
  const before = (yield* wire.messages).length
  yield* say(type, call)
  yield* analytics.flush
  const messages = yield* wire.messages
  assert.strictEqual(messages.length, before + 1)
  return messages[before] as Message.Wire & { readonly [key: string]: unknown }
})

/** Makes a call that is refused as invalid, and answers with the error; nothing of it goes over the wire. */
export const refused = Effect.fnUntraced(function* (type: Call.Type, call: unknown) {
  const wire = yield* AnalyticsTest.Sent
  const analytics = yield* Analytics.Analytics
  const before = (yield* wire.requests).length
  const error = yield* Effect.match(say(type, call), { onFailure: ({ reason }) => reason, onSuccess: () => "accepted" })
  assert.instanceOf(error, InvalidCall)
  assert.strictEqual(error.call, type)
  yield* analytics.flush
  assert.strictEqual((yield* wire.requests).length, before)
  return error
})

/** What a tracked event with these properties has on the wire. */
export const properties = (given: unknown) =>
  Effect.map(sent("track", { userId: "u1", event: "e", properties: given }), (wire) => wire.properties as unknown)

/** Why an event with these properties is refused: the path below `properties`, and the rule. */
export const propertiesRefused = (given: unknown) =>
  Effect.map(refused("track", { userId: "u1", event: "e", properties: given }), ({ path, problem }) => {
    assert.strictEqual(path[0], "properties")
    return { path: path.slice(1), problem }
  })

/** Freezes a value and everything in it. */
export const deepFreeze = <A>(value: A): A => {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const key of Reflect.ownKeys(value)) deepFreeze((value as Record<PropertyKey, unknown>)[key])
  }
  return value
}

const text = fc.oneof(
  fc.constantFrom("u1", "", " ", "\u2003", "\ufeff", "\u200b", "x".repeat(100), "x".repeat(101)),
  fc.string()
)
const time = fc.constantFrom(
  "2026-01-02",
  "2026-02-30",
  "2026-01-02T03:04:05Z",
  "2026-01-02t03:04",
  "2026",
  "9999-12-31"
)
const object = fc.oneof(fc.constant({}), fc.dictionary(fc.string(), fc.jsonValue()))
const anything = fc.oneof(text, time, object, fc.constant(null), fc.boolean(), fc.double(), fc.array(fc.jsonValue()))
const often = (usual: fc.Arbitrary<unknown>) => fc.oneof({ weight: 6, arbitrary: usual }, anything)
/** A call that is often valid, with all that is not. */
export const anyCall = fc.record(
  {
    messageId: often(text),
    timestamp: often(time),
    context: often(object),
    integrations: often(fc.dictionary(fc.string(), fc.oneof(fc.boolean(), object, anything), { maxKeys: 3 })),
    userId: often(fc.oneof(fc.constant("u1"), fc.integer())),
    anonymousId: often(fc.oneof(fc.constant("v1"), fc.double())),
    traits: often(object),
    properties: often(object),
    event: often(text),
    name: often(text),
    category: often(text),
    groupId: often(text),
    previousId: often(text)
  },
  { requiredKeys: [] }
)
