/**
 * Messages from the documentation of the protocol, and a fixture of our own for each call, through the client and over
 * a real socket to a peer that reads them as the API would.
 */
import { readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Analytics from "../src/Analytics.ts"
import { InvalidCall } from "../src/AnalyticsError.ts"
import * as Call from "../src/Call.ts"
import * as Message from "../src/Message.ts"
import * as Observer from "../src/Observer.ts"
import { createAnalytics } from "../src/plain.ts"
import { deepFreeze, say } from "./calls.ts"
import { peer } from "./support.ts"

const spec = new URL("./fixtures/spec-messages.ndjson", import.meta.url)

interface Said {
  readonly type: Call.Type
  readonly [key: string]: unknown
}

const decode = Schema.decodeUnknownSync(Schema.fromJsonString(Message.Request))

/** Reads a request as a Tracking API would. Decoding would leave out what the protocol does not know: it only judges. */
const readRequest = (body: string): Message.Request => {
  decode(body)
  return JSON.parse(body)
}

/** Says all of it to a real client of a real peer; answers with what was refused, and with what the peer read. */
const exchange = Effect.fnUntraced(function* (calls: ReadonlyArray<readonly [Call.Type, unknown]>) {
  const { host, received } = yield* peer()
  const options = { writeKey: Redacted.make("test-write-key"), host, batchSize: 20 }
  const refused = yield* Effect.gen(function* () {
    const analytics = yield* Analytics.Analytics
    const errors = yield* Effect.forEach(calls, ([type, call]) =>
      Effect.match(say(type, call), { onFailure: (error) => error, onSuccess: () => undefined })
    )
    const accepted = errors.filter((error) => error === undefined).length
    assert.deepStrictEqual(yield* analytics.flush, {
      delivered: accepted,
      dropped: 0,
      rejected: calls.length - accepted,
      pending: 0
    })
    const { delivered, dropped, offered, pending, rejected } = yield* analytics.stats
    assert.deepStrictEqual([offered, delivered, rejected], [calls.length, accepted, calls.length - accepted])
    assert.deepStrictEqual([dropped, pending], [0, 0])
    return errors
  }).pipe(
    Effect.provide(
      Layer.provide(
        Analytics.layerFetch(options),
        Observer.layer(() => Effect.void)
      )
    )
  )
  const requests = received.map(({ body }) => readRequest(body.toString("utf8")))
  assert.isTrue(requests.every(({ writeKey }) => writeKey === "test-write-key"))
  return { refused, messages: requests.flatMap(({ batch }) => batch) }
})

/** A message but for what the library says of itself, which must be right. */
const withoutLibrary = ({ context: { library, ...context }, ...message }: Message.Wire): object => {
  assert.deepStrictEqual<unknown>(library, Message.library)
  return { ...message, context }
}

describe("spec: our own messages", () => {
  const fixture = (type: Call.Type) =>
    JSON.parse(readFileSync(new URL(`./fixtures/${type}.json`, import.meta.url), "utf8")) as {
      readonly call: object
      readonly message: object
    }

  it.live("one of each of the six calls arrives at a real peer as it is written down", () =>
    Effect.gen(function* () {
      const fixtures = Call.types.map(fixture)
      const { messages, refused } = yield* exchange(
        Call.types.map((type, at) => [type, deepFreeze(fixtures[at]?.call)] as const)
      )
      assert.deepStrictEqual(refused, Array(6).fill(undefined))
      assert.deepStrictEqual(
        messages.map(withoutLibrary),
        fixtures.map(({ message }) => message)
      )
    })
  )

  it.live("and so they do from a plain program, compressed", () =>
    Effect.gen(function* () {
      const { host, received } = yield* peer()
      const fixtures = Call.types.map(fixture)
      const analytics = createAnalytics({ writeKey: "test-write-key", host, gzip: true, strict: true })
      for (const [at, type] of Call.types.entries()) analytics[type](fixtures[at]?.call as never)
      assert.deepStrictEqual(yield* Effect.promise(() => analytics.close()), {
        delivered: 6,
        dropped: 0,
        rejected: 0,
        pending: 0
      })
      const bodies = yield* Effect.forEach(received, ({ body, headers }) => {
        assert.strictEqual(headers["content-encoding"], "gzip")
        const unzipped = new Blob([new Uint8Array(body)]).stream().pipeThrough(new DecompressionStream("gzip"))
        return Effect.promise(() => new Response(unzipped).text())
      })
      const messages = bodies.flatMap((body) => readRequest(body).batch)
      assert.deepStrictEqual(
        messages.map(withoutLibrary),
        fixtures.map(({ message }) => message)
      )
    })
  )
})

describe("spec: the messages of the documentation", () => {
  const said = (): ReadonlyArray<Said> =>
    readFileSync(spec, "utf8")
      .split("\n")
      .filter((line) => line.trim() !== "")
      .map((line) => JSON.parse(line))

  const hasIdentity = ({ anonymousId, type, userId }: Said) =>
    (userId ?? undefined) !== undefined || ((anonymousId ?? undefined) !== undefined && type !== "alias")

  /** What must arrive: what was said, with ids as strings and what the protocol wants on it. */
  const expected = (message: Said, { messageId, timestamp }: Message.Wire): object => {
    const ids = Object.fromEntries(
      ["userId", "anonymousId", "groupId", "previousId"].flatMap((id) =>
        (message[id] ?? undefined) === undefined ? [] : [[id, String(message[id])]]
      )
    )
    const { anonymousId: _, userId: __, ...rest } = message
    const { library: ___, ...context } = (message.context ?? {}) as Record<string, unknown>
    const data = { identify: "traits", group: "traits", track: "properties", page: "properties", screen: "properties" }
    const defaults = message.type === "alias" ? {} : { [data[message.type]]: {} }
    return { messageId, timestamp, ...defaults, ...rest, ...ids, context }
  }

  it.live("all of them arrive intact, but for what has no identity, which is refused", () =>
    Effect.gen(function* () {
      const all = deepFreeze(said())
      assert.isAbove(all.length, 70)
      const { messages, refused } = yield* exchange(all.map((message) => [message.type, message] as const))
      const nobodies = all.flatMap((message, at) => (hasIdentity(message) ? [] : [at]))
      assert.deepStrictEqual(
        refused.flatMap((error, at) => (error === undefined ? [] : [at])),
        nobodies
      )
      for (const at of nobodies) {
        const error = refused[at]?.reason
        assert.instanceOf(error, InvalidCall)
        assert.deepStrictEqual(error.path, [all[at]?.type === "alias" ? "userId" : "anonymousId"])
      }
      const somebody = all.filter(hasIdentity)
      assert.strictEqual(messages.length, somebody.length)
      for (const [at, message] of messages.entries()) {
        assert.deepStrictEqual(withoutLibrary(message), expected(somebody[at] as Said, message))
      }
      // The ids that were not said are made, each once.
      const made = messages.flatMap(({ messageId }, at) => (somebody[at]?.messageId === undefined ? [messageId] : []))
      assert.isNotEmpty(made)
      assert.strictEqual(new Set(made).size, made.length)
      assert.sameMembers([...new Set(messages.map(({ type }) => type))], [...Call.types])
    })
  )
})
