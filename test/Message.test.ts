import { readFileSync } from "node:fs"
import { inspect } from "node:util"
import * as V8 from "node:v8"
import * as Vm from "node:vm"
import { assert, describe, it } from "@effect/vitest"
import * as Arr from "effect/Array"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/testing/TestClock"
import * as fc from "fast-check"
import * as Analytics from "../src/Analytics.ts"
import { InvalidCall } from "../src/AnalyticsError.ts"
import * as AnalyticsTest from "../src/AnalyticsTest.ts"
import * as CallCheck from "../src/Call/CallCheck.ts"
import * as Call from "../src/Call.ts"
import * as Json from "../src/internal/Json.ts"
import * as Message from "../src/Message.ts"
import { limits } from "../src/Settings.ts"
import { anyCall, deepFreeze, refused, say, sent } from "./calls.ts"

const client = AnalyticsTest.layer()
const library = { name: "effect-analytics", version: Message.library.version }

/** The least that each call takes. */
const least = {
  identify: { userId: "u1" },
  track: { userId: "u1", event: "Signed Up" },
  page: { userId: "u1" },
  screen: { userId: "u1" },
  group: { userId: "u1", groupId: "g1" },
  alias: { userId: "u1", previousId: "a1" }
} as const satisfies Call.Calls

/** The calls that may be about a visitor: an alias is always about a user. */
const visitors = Call.types.filter((type) => type !== "alias")

const without = (call: object, ...keys: ReadonlyArray<string>) =>
  Object.fromEntries(Object.entries(call).filter(([key]) => !keys.includes(key)))

const utf8 = (text: string) => new TextEncoder().encode(text).length

// ---------------------------------------------------------------------------------------------------------------------

describe("Message: what each call becomes", () => {
  it.effect.each([
    ["identify", { traits: {} }],
    ["track", { event: "Signed Up", properties: {} }],
    ["page", { properties: {} }],
    ["screen", { properties: {} }],
    ["group", { groupId: "g1", traits: {} }],
    ["alias", { previousId: "a1" }]
  ] as const)("%s with the least it takes gets an id, the time, the library and its defaults", ([type, defaults]) =>
    Effect.gen(function* () {
      yield* TestClock.setTime(Date.UTC(2026, 0, 2, 3, 4, 5, 678))
      const { messageId, ...message } = yield* sent(type, least[type])
      assert.match(messageId, /^[0-9a-f-]{36}$/)
      assert.deepStrictEqual(message as object, {
        type,
        timestamp: "2026-01-02T03:04:05.678Z",
        userId: "u1",
        ...defaults,
        context: { library }
      })
    }).pipe(Effect.provide(client))
  )

  it.effect.each([
    ["identify", { traits: { plan: "free", address: { city: "Rome" } } }],
    ["track", { event: "Purchased Item", properties: { revenue: 39.95, items: [1, 2] } }],
    ["page", { name: "Pricing", category: "Docs", properties: { url: "https://example.com/" } }],
    ["screen", { name: "Cart", category: "Shop", properties: { items: 0 } }],
    ["group", { groupId: "g1", traits: { employees: 329 } }],
    ["alias", { previousId: "a1" }]
  ] as const)("%s with everything it takes is sent as it was said", ([type, more]) =>
    Effect.gen(function* () {
      const call = deepFreeze({
        ...more,
        userId: "u1",
        anonymousId: "v1",
        messageId: "m1",
        timestamp: "2026-01-02T03:04:05.678Z",
        context: { ip: "203.0.113.7", app: { version: "2" } },
        integrations: { All: false, KISSmetrics: true, Mixpanel: { token: "t" } }
      })
      assert.deepStrictEqual((yield* sent(type, call)) as object, {
        type,
        ...call,
        context: { ...call.context, library }
      })
    }).pipe(Effect.provide(client))
  )

  it.effect.each(["page", "screen"] as const)(
    "a %s keeps properties.name and properties.category to the caller",
    (type) =>
      Effect.gen(function* () {
        const named = yield* sent(type, { userId: "u1", name: "Home", category: "Docs" })
        assert.deepStrictEqual(named.properties, {})
        const own = { name: "own", category: "own" }
        assert.deepStrictEqual((yield* sent(type, { userId: "u1", name: "Home", properties: own })).properties, own)
      }).pipe(Effect.provide(client))
  )

  it.effect.each(Call.types)("the type of an %s call is the method's, whatever the object says", (type) =>
    Effect.gen(function* () {
      assert.strictEqual((yield* sent(type, { ...least[type], type: "other" })).type, type)
    }).pipe(Effect.provide(client))
  )

  it.effect("what the protocol does not know travels along", () =>
    Effect.gen(function* () {
      const message = yield* sent("track", { ...least.track, channel: "server", version: 2 })
      assert.strictEqual(message.channel, "server")
      assert.strictEqual(message.version, 2)
    }).pipe(Effect.provide(client))
  )
})

// ---------------------------------------------------------------------------------------------------------------------

describe("Message: identity", () => {
  it.effect.each(visitors)("%s can be about a visitor", (type) =>
    Effect.gen(function* () {
      const message = yield* sent(type, { ...without(least[type], "userId"), anonymousId: "v1" })
      assert.strictEqual(message.anonymousId, "v1")
      assert.notProperty(message, "userId")
    }).pipe(Effect.provide(client))
  )

  it.effect.each(visitors)("%s without an identity is refused", (type) =>
    Effect.gen(function* () {
      for (const nobody of [{}, { userId: undefined }, { userId: null, anonymousId: null }, { userId: Number.NaN }]) {
        const error = yield* refused(type, { ...without(least[type], "userId"), ...nobody })
        assert.deepStrictEqual(error.path, ["anonymousId"])
        assert.strictEqual(error.problem, "is missing, and so is userId: a call needs one of the two")
      }
    }).pipe(Effect.provide(client))
  )

  it.effect("an alias without a userId is refused, even if it has an anonymousId", () =>
    Effect.gen(function* () {
      for (const call of [{ previousId: "a1" }, { previousId: "a1", anonymousId: "v1" }]) {
        const error = yield* refused("alias", call)
        assert.deepStrictEqual(
          [error.path, error.problem],
          [
            ["userId"],
            "is missing: it must be a string that is not blank, or a whole number up to 2^53 - 1 (write larger ones as strings)"
          ]
        )
      }
    }).pipe(Effect.provide(client))
  )

  it.effect("null is no id, and does not stand in the way of one", () =>
    Effect.gen(function* () {
      const visitor = yield* sent("identify", { userId: null, anonymousId: "v1" })
      assert.deepStrictEqual([visitor.userId, visitor.anonymousId], [undefined, "v1"])
      const user = yield* sent("identify", { userId: "u1", anonymousId: null })
      assert.deepStrictEqual([user.userId, user.anonymousId], ["u1", undefined])
    }).pipe(Effect.provide(client))
  )

  const ids = [
    ["identify", "userId"],
    ["identify", "anonymousId"],
    ["group", "groupId"],
    ["alias", "userId"],
    ["alias", "previousId"]
  ] as const

  it.effect.each(ids)("I10: numbers become strings: %s %s", ([type, id]) =>
    Effect.gen(function* () {
      for (const number of [0, -1, 42, Number.MAX_SAFE_INTEGER, 12345678901234567890n]) {
        assert.strictEqual((yield* sent(type, { ...least[type], [id]: number }))[id], String(number))
      }
    }).pipe(Effect.provide(client))
  )

  it.effect.each(ids)("I10: a number that is no safe integer was rounded before: it is refused: %s %s", ([type, id]) =>
    Effect.gen(function* () {
      for (const number of [Number("800356270543470622"), Number.MAX_SAFE_INTEGER + 1, 1.5]) {
        const error = yield* refused(type, { ...least[type], [id]: number })
        assert.deepStrictEqual(error.path, [id])
        assert.match(
          error.problem,
          /write larger ones as strings.*it is a number (that JavaScript has rounded|with a fraction)/
        )
      }
    }).pipe(Effect.provide(client))
  )

  it.effect.each([
    ["identify", "user_id"],
    ["track", "userID"],
    ["track", "anonymous_id"],
    ["group", "UserId"]
  ] as const)("a %s with %s instead of an id is told which field is meant", ([type, slip]) =>
    Effect.gen(function* () {
      const error = yield* refused(type, { ...without(least[type], "userId"), [slip]: "u1" })
      assert.match(error.problem, new RegExp(`did you mean (userId|anonymousId) by ${slip}\\?`))
    }).pipe(Effect.provide(client))
  )

  it.effect("an event under another name is told which field is meant", () =>
    Effect.gen(function* () {
      const error = yield* refused("track", { userId: "u1", eventName: "Signed Up" })
      assert.match(error.message, /^track: event is missing: .* \(did you mean event by eventName\?\)$/)
    }).pipe(Effect.provide(client))
  )

  it.effect.each(ids)("I10: blank ids and what is no id are refused: %s %s", ([type, id]) =>
    Effect.gen(function* () {
      for (const bad of ["", " ", "\t\n\u3000", true, {}, ["u1"]]) {
        const error = yield* refused(type, { ...least[type], [id]: bad })
        assert.deepStrictEqual(error.path, [id])
      }
    }).pipe(Effect.provide(client))
  )

  it.effect.each([
    ["group", "groupId"],
    ["alias", "previousId"]
  ] as const)("%s without its %s is refused", ([type, id]) =>
    Effect.gen(function* () {
      for (const nothing of [
        without(least[type], id),
        { ...least[type], [id]: undefined },
        { ...least[type], [id]: null }
      ]) {
        assert.deepStrictEqual((yield* refused(type, nothing)).path, [id])
      }
    }).pipe(Effect.provide(client))
  )

  it.effect("I10: long ids and NUL characters are data", () =>
    Effect.gen(function* () {
      const userId = `\u0000${"x".repeat(1_000)}`
      assert.strictEqual((yield* sent("identify", { userId })).userId, userId)
    }).pipe(Effect.provide(client))
  )
})

// ---------------------------------------------------------------------------------------------------------------------

describe("Message: names", () => {
  it.effect.each(["", "  ", "\n", undefined, null, 5, {}])("an event named %j is refused", (event) =>
    Effect.gen(function* () {
      assert.deepStrictEqual((yield* refused("track", { userId: "u1", event })).path, ["event"])
    }).pipe(Effect.provide(client))
  )

  it.effect.each(["page", "screen"] as const)("a %s with a category needs a name", (type) =>
    Effect.gen(function* () {
      const error = yield* refused(type, { userId: "u1", category: "Docs" })
      assert.deepStrictEqual([error.path, error.problem], [["name"], "is missing: a category needs a name"])
      const visitor = yield* refused(type, { anonymousId: "v1", category: "Docs" })
      assert.deepStrictEqual([visitor.path, visitor.problem], [["name"], "is missing: a category needs a name"])
      assert.strictEqual((yield* sent(type, { userId: "u1", name: "Home" })).name, "Home")
    }).pipe(Effect.provide(client))
  )

  it.effect.each(["page", "screen"] as const)("a %s with a blank name or category is refused", (type) =>
    Effect.gen(function* () {
      for (const bad of ["", " ", 5]) {
        assert.deepStrictEqual((yield* refused(type, { userId: "u1", name: bad })).path, ["name"])
        assert.deepStrictEqual((yield* refused(type, { userId: "u1", name: "Home", category: bad })).path, ["category"])
      }
    }).pipe(Effect.provide(client))
  )
})

// ---------------------------------------------------------------------------------------------------------------------

describe("Message: messageId and timestamp", () => {
  it.effect.each([1, 2, 99, 100])("a messageId of %i characters is sent as it is", (length) =>
    Effect.gen(function* () {
      const messageId = "x".repeat(length)
      assert.strictEqual((yield* sent("track", { ...least.track, messageId })).messageId, messageId)
    }).pipe(Effect.provide(client))
  )

  it.effect.each(["", "x".repeat(101), "x".repeat(10_000), 5])("I10: any other messageId is refused", (messageId) =>
    Effect.gen(function* () {
      assert.deepStrictEqual((yield* refused("track", { ...least.track, messageId })).path, ["messageId"])
    }).pipe(Effect.provide(client))
  )

  it.effect("I5: a message is known here by the very id that it has on the wire, lone surrogates and all", () =>
    Effect.gen(function* () {
      const wire = yield* sent("track", { ...least.track, messageId: "\ud800x" })
      assert.strictEqual(wire.messageId, "\ufffdx")
      const [outcome] = yield* (yield* AnalyticsTest.Sent).outcomes
      assert(outcome?._tag === "Delivered")
      assert.strictEqual(outcome.messages[0].messageId, wire.messageId)
    }).pipe(Effect.provide(client))
  )

  describe("a messageId that is a part of a long text", () => {
    const megabyte = 1_000_000

    /** What fifty ids of forty characters keep in memory, each cut out of a megabyte that nobody else holds. */
    const kept = (keep: (messageId: string) => unknown): number => {
      V8.setFlagsFromString("--expose-gc")
      const collect = Vm.runInNewContext("gc") as () => void
      collect()
      const before = V8.getHeapStatistics().used_heap_size
      const held = Array.from({ length: 50 }, (_, n) => {
        const text = Buffer.alloc(megabyte, 97 + (n % 26)).toString("latin1")
        return keep(JSON.parse(JSON.stringify(text)).slice(5, 45))
      })
      collect()
      const after = V8.getHeapStatistics().used_heap_size
      assert.strictEqual(held.length, 50)
      return after - before
    }

    it("does not keep it in memory", () => {
      const message = (messageId: string) => {
        const call = { ...least.track, messageId }
        const encoded = Message.encode(
          Message.stamp(
            "track",
            call,
            0,
            () => moment,
            () => ""
          )
        )
        assert.instanceOf(encoded, Message.Message)
        return encoded
      }
      assert.isBelow(kept(message), 5 * megabyte)
      // Which is seen here where it does.
      assert.isAbove(
        kept((messageId) => messageId),
        40 * megabyte
      )
    })
  })

  const moment = "2026-01-02T03:04:05.678Z"
  it.effect.each([
    ["a Date", new Date(moment), moment],
    ["a DateTime in UTC", DateTime.makeUnsafe(moment), moment],
    ["a DateTime in a zone", DateTime.makeZonedUnsafe(moment, { timeZone: "Europe/Rome" }), moment],
    ["ISO 8601", moment, moment],
    ["ISO 8601 with an offset", "2026-01-02T04:04:05+01:00", "2026-01-02T04:04:05+01:00"],
    ["ISO 8601 with nanoseconds", "2018-09-05T23:05:25.862826855Z", "2018-09-05T23:05:25.862826855Z"],
    ["ISO 8601 of a day", "2026-01-02", "2026-01-02"],
    ["the 29th of February of a leap year", "2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z"]
  ] as const)("a timestamp may be %s", ([, timestamp, expected]) =>
    Effect.gen(function* () {
      assert.strictEqual((yield* sent("track", { ...least.track, timestamp })).timestamp, expected)
    }).pipe(Effect.provide(client))
  )

  it.effect.each([
    ["an invalid Date", new Date(Number.NaN)],
    ["a Date beyond the year 9999", new Date(8.64e15)],
    ["a DateTime before the year 0", DateTime.makeUnsafe(-8.64e15)],
    ["a word", "tomorrow"],
    ["nothing", ""],
    ["a number", 1_700_000_000_000],
    ["a year", "2026"],
    ["a 13th month", "2026-13-01"],
    ["a 25th hour", "2026-01-01T25:00:00Z"],
    ["a date as people write it", "01/02/2026"],
    ["a date as Date.parse also reads it", "2 January 2026"],
    ["an object", {}],
    ["the 30th of February", "2026-02-30T10:00:00Z"],
    ["the 29th of February of no leap year", "2026-02-29"],
    ["the 31st of April", "2026-04-31T00:00:00+02:00"]
  ] as const)("%s is no timestamp", ([, timestamp]) =>
    Effect.gen(function* () {
      const error = yield* refused("track", { ...least.track, timestamp })
      assert.deepStrictEqual(error.path, ["timestamp"])
      assert.include(error.problem, "must be a Date, a DateTime or an ISO 8601 string; it is ")
    }).pipe(Effect.provide(client))
  )
})

// ---------------------------------------------------------------------------------------------------------------------

describe("Message: context, integrations, data", () => {
  it("says of the library what package.json says", () => {
    const { name, version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"))
    assert.deepStrictEqual<object>(Message.library, { name, version })
  })

  it.effect("context.library is always ours, the rest of the context is kept", () =>
    Effect.gen(function* () {
      const context = deepFreeze({ library: { name: "other", version: "9" }, ip: "203.0.113.7", deep: { library: 1 } })
      const message = yield* sent("track", { ...least.track, context })
      assert.deepStrictEqual<object>(message.context, { ip: "203.0.113.7", deep: { library: 1 }, library })
    }).pipe(Effect.provide(client))
  )

  it.effect.each([
    [
      { All: false, KISSmetrics: true },
      { All: false, KISSmetrics: true }
    ],
    [
      { all: false, KISSmetrics: true },
      { All: false, KISSmetrics: true }
    ],
    [{ all: true, All: false }, { All: false }],
    [{ Mixpanel: { distinctId: 1 } }, { Mixpanel: { distinctId: 1 } }],
    [{}, {}]
  ])("integrations %j are sent as %j", ([given, expected]) =>
    Effect.gen(function* () {
      assert.deepStrictEqual(
        (yield* sent("track", { ...least.track, integrations: deepFreeze(given) })).integrations,
        expected
      )
    }).pipe(Effect.provide(client))
  )

  it.effect.each(["InvalidCall", "PlanViolation"])("a field _tag that is %s is a field like any other", (_tag) =>
    Effect.gen(function* () {
      const message = yield* sent("track", { userId: "u1", event: "e", _tag })
      assert.propertyVal(message, "_tag", _tag)
      assert.propertyVal(message, "transformed", true)
    }).pipe(Effect.provide(AnalyticsTest.layer({ transform: (wire) => ({ ...wire, transformed: true }) })))
  )

  it.effect.each(["yes", 1, null, ["a"]])("an integration that is %j is refused", (value) =>
    Effect.gen(function* () {
      const error = yield* refused("track", { ...least.track, integrations: { Mixpanel: value } })
      assert.deepStrictEqual(error.path, ["integrations", "Mixpanel"])
    }).pipe(Effect.provide(client))
  )

  it.effect.each([
    ["identify", "traits"],
    ["track", "properties"],
    ["page", "properties"],
    ["screen", "properties"],
    ["group", "traits"],
    ["alias", "context"],
    ["alias", "integrations"]
  ] as const)("%s needs %s to be an object, if they are there", ([type, key]) =>
    Effect.gen(function* () {
      for (const bad of ["text", 5, true, ["a"], new Date(0)]) {
        assert.deepStrictEqual((yield* refused(type, { ...least[type], [key]: bad })).path, [key])
      }
      assert.strictEqual((yield* sent(type, { ...least[type], [key]: undefined })).type, type)
    }).pipe(Effect.provide(client))
  )

  it.effect.each(Call.types)("null in an optional field of %s is the same as an absent field", (type) =>
    Effect.gen(function* () {
      const optional = { anonymousId: null, messageId: null, timestamp: null, context: null, integrations: null }
      const own = { properties: null, traits: null, name: null, category: null }
      const { messageId, ...message } = yield* sent(type, { ...least[type], ...optional, ...own })
      const { messageId: _, ...expected } = yield* sent(type, least[type])
      assert.deepStrictEqual(message as object, expected)
      assert.match(messageId, /^[0-9a-f-]{36}$/)
    }).pipe(Effect.provide(client))
  )

  it.effect.each([null, undefined, "text", 5, [], () => {}, Symbol("s")])(
    "a call that is no object is refused",
    (call) =>
      Effect.gen(function* () {
        const error = yield* refused("track", call)
        assert.deepStrictEqual(error.path, [])
        assert.match(error.message, /^track: the call must be one object, { userId, event, properties }; it is /)
      }).pipe(Effect.provide(client))
  )

  it.effect.each([
    ["identify", "traits"],
    ["track", "properties"],
    ["track", "context"],
    ["group", "traits"]
  ] as const)("%s: dates anywhere inside %s are ISO strings", ([type, key]) =>
    Effect.gen(function* () {
      const date = new Date("2026-01-02T03:04:05.678Z")
      const zoned = DateTime.makeZonedUnsafe(date, { timeZone: "Asia/Tokyo" })
      const data = { a: date, b: [{ c: date }, DateTime.makeUnsafe(date), zoned] }
      const iso = "2026-01-02T03:04:05.678Z"
      const { library: _, ...encoded } = (yield* sent(type, { ...least[type], [key]: data }))[key] as Call.Data
      assert.deepStrictEqual(encoded, { a: iso, b: [{ c: iso }, iso, iso] })
    }).pipe(Effect.provide(client))
  )
})

// ---------------------------------------------------------------------------------------------------------------------

describe("Message: size", () => {
  /** A call whose message has so many bytes, if each of these units has as many as it says. */
  const sized = (bytes: number, unit: string, unitBytes: number) => {
    const call = (padding: string) => ({
      userId: "u1",
      event: "e",
      messageId: "m1",
      timestamp: "2026-01-02T03:04:05.678Z",
      properties: { padding }
    })
    const room = bytes - utf8(JSON.stringify({ type: "track", ...call(""), context: { library } }))
    return call(unit.repeat(Math.floor(room / unitBytes)) + "x".repeat(room % unitBytes))
  }

  const units = [
    ["ASCII", "x", 1],
    ["two bytes", "é", 2],
    ["three bytes", "€", 3],
    ["four bytes, a pair of surrogates", "😀", 4],
    ["a lone surrogate, three bytes as U+FFFD", "\ud800", 3],
    ["a quote, two bytes with its backslash", '"', 2],
    ["a control character, six bytes as an escape", "\u0001", 6]
  ] as const

  it.effect.each(units)("I7: a message of 32,768 bytes is sent: %s", ([, unit, unitBytes]) =>
    Effect.gen(function* () {
      yield* sent("track", sized(32_768, unit, unitBytes))
      const [outcome] = yield* (yield* AnalyticsTest.Sent).outcomes
      assert(outcome?._tag === "Delivered")
      const [message] = outcome.messages
      assert.strictEqual(message.bytes, 32_768)
      assert.strictEqual(utf8(message.json), 32_768)
    }).pipe(Effect.provide(client))
  )

  it.effect.each(units)(
    "I7: a message of 32,769 bytes is refused, with its size and the limit: %s",
    ([, unit, unitBytes]) =>
      Effect.gen(function* () {
        const error = yield* refused("track", sized(32_769, unit, unitBytes))
        assert.deepStrictEqual([error.size, error.limit, error.path], [32_769, 32_768, []])
        assert.include(error.message, "32769")
        assert.include(error.message, "32768")
      }).pipe(Effect.provide(client))
  )

  it.effect("I7: what only the context and the id add counts as well", () =>
    Effect.gen(function* () {
      const call = sized(32_768, "x", 1)
      assert.strictEqual((yield* refused("track", { ...call, context: { a: 1 } })).size, 32_768 + '"a":1,'.length)
      assert.strictEqual((yield* refused("track", { ...call, messageId: "m12" })).size, 32_769)
    }).pipe(Effect.provide(client))
  )
})

// ---------------------------------------------------------------------------------------------------------------------

describe("Message: what errors tell", () => {
  const secret = "s3cret"
  const circular: Record<string, unknown> = { secret }
  circular.self = circular

  it.effect.each([
    ["an id", "track", { userId: { secret }, event: "e" }],
    ["an event", "track", { userId: secret, event: [secret] }],
    ["a timestamp", "track", { userId: secret, event: "e", timestamp: secret }],
    ["a messageId", "track", { userId: secret, event: "e", messageId: secret.repeat(50) }],
    ["a context", "track", { userId: secret, event: "e", context: secret }],
    ["an integration", "track", { userId: secret, event: "e", integrations: { A: secret } }],
    ["a property", "track", { userId: secret, event: "e", properties: circular }],
    [
      "a getter that throws",
      "track",
      {
        userId: secret,
        event: "e",
        properties: {
          get a() {
            throw new Error(secret)
          }
        }
      }
    ],
    ["no identity", "identify", { traits: { secret } }],
    ["a size", "identify", { userId: secret, traits: { secret: secret.repeat(10_000) } }],
    ["a call", "identify", secret]
  ] as const)("names the path and the rule, never the value: %s", ([, type, call]) =>
    Effect.gen(function* () {
      const error = yield* refused(type, call)
      assert.isNotEmpty(error.problem)
      const [outcome] = yield* (yield* AnalyticsTest.Sent).outcomes
      const all = [error, outcome].flatMap((one) => [String(one), JSON.stringify(one), inspect(one, { depth: 20 })])
      // The paths may hold names, which are the caller's code, and one of them is called like this here.
      assert.notInclude(
        [error.message, error.stack, ...all].join("\n").replaceAll(/properties\.secret|traits\.secret/g, ""),
        secret
      )
    }).pipe(Effect.provide(client))
  )

  it.effect("the message reads as a sentence, with the path as one would write it", () =>
    Effect.gen(function* () {
      const error = yield* refused("page", { userId: "u1", category: "Docs" })
      assert.strictEqual(error.message, "page: name is missing: a category needs a name")
      const numbered = yield* refused("track", { ...least.track, timestamp: 1_700_000_000_000 })
      assert.strictEqual(
        numbered.message,
        'track "Signed Up": timestamp must be a Date, a DateTime or an ISO 8601 string; it is a number (milliseconds? use new Date(…))'
      )
    }).pipe(Effect.provide(client))
  )

  it.effect("an accepted message shows type, id and size when it is printed, not what is in it", () =>
    Effect.gen(function* () {
      yield* sent("identify", { userId: secret, messageId: "m1", traits: { a: secret } })
      const [outcome] = yield* (yield* AnalyticsTest.Sent).outcomes
      assert(outcome?._tag === "Delivered")
      const [message] = outcome.messages
      const shown = { type: "identify", messageId: "m1", bytes: message.bytes }
      assert.deepStrictEqual(JSON.parse(JSON.stringify(message)), shown)
      assert.strictEqual(inspect(message), inspect(shown))
      const { data } = message
      assert.strictEqual("userId" in data ? data.userId : undefined, secret)
      assert.notStrictEqual(message.data, data)
    }).pipe(Effect.provide(client))
  )
})

// ---------------------------------------------------------------------------------------------------------------------

describe("Message: properties of the Schemas", () => {
  /** What JSON makes of a value, with U+FFFD for what UTF-8 can't say. */
  const wellFormed = (value: unknown): unknown => {
    if (typeof value === "string") return value.toWellFormed()
    if (typeof value !== "object" || value === null) return value
    if (Array.isArray(value)) return value.map(wellFormed)
    return Object.fromEntries(Object.entries(value).map(([key, field]) => [key.toWellFormed(), wellFormed(field)]))
  }

  /** JSON text in which the order of keys says nothing. */
  const sorted = (value: unknown): string =>
    JSON.stringify(value, (_, field: unknown) =>
      typeof field === "object" && field !== null && !Array.isArray(field)
        ? Object.fromEntries(Object.entries(field).sort(([one], [other]) => (one < other ? -1 : 1)))
        : field
    )

  const expected = (type: Call.Type, call: Call.Calls[Call.Type]) => {
    const digits = (_: string, value: unknown) => (typeof value === "bigint" ? String(value) : value)
    const json = wellFormed(JSON.parse(JSON.stringify(call, digits))) as Record<string, unknown>
    for (const [name, value] of Object.entries(json)) if (value === null) delete json[name]
    for (const id of ["userId", "anonymousId", "groupId", "previousId"]) {
      if (id in json) json[id] = String(json[id])
    }
    const data = type === "alias" ? {} : type === "identify" || type === "group" ? { traits: {} } : { properties: {} }
    return {
      timestamp: "1970-01-01T00:00:00.000Z",
      ...data,
      ...json,
      type,
      context: { ...(json.context as object), library }
    }
  }

  const schemas = [
    ["identify", Call.Identify],
    ["track", Call.Track],
    ["page", Call.Page],
    ["screen", Call.Screen],
    ["group", Call.Group],
    ["alias", Call.Alias]
  ] as const

  for (const [type, schema] of schemas) {
    it.effect.prop(
      `every valid ${type} arrives, byte for byte as it was encoded`,
      [Schema.NonEmptyArray(schema as Schema.Schema<Call.Calls[typeof type]>)],
      ([calls]) =>
        Effect.gen(function* () {
          const analytics = yield* Analytics.Analytics
          const wire = yield* AnalyticsTest.Sent
          for (const call of deepFreeze(calls)) yield* say(type, call)
          yield* analytics.flush
          const messages = yield* wire.messages
          assert.strictEqual(
            sorted(messages.map(({ messageId, ...message }) => message)),
            sorted(calls.map((call) => without(expected(type, call), "messageId")))
          )
          for (const [at, { messageId }] of calls.entries()) {
            if (typeof messageId === "string") assert.strictEqual(messages[at]?.messageId, messageId.toWellFormed())
          }
          const accepted = (yield* wire.outcomes).flatMap((one) => (one._tag === "Delivered" ? one.messages : []))
          const encoded = (yield* wire.requests).map(({ text }) => text.slice(0, text.lastIndexOf(`],"writeKey":`)))
          assert.strictEqual(
            encoded.map((text) => text.slice(`{"batch":[`.length)).join(","),
            accepted.map(({ json }) => json).join(",")
          )
          assert.deepStrictEqual(
            accepted.map(({ bytes }) => bytes),
            accepted.map(({ json }) => utf8(json))
          )
        }).pipe(Effect.provide(client)),
      { arbitrary: { runs: 100, size: 12, seed: process.env.EFFECT_ANALYTICS_SEED ?? type } }
    )
  }

  it.effect.prop(
    "H17: every batch is within its limits, in messages and in bytes with the envelope, whatever the messages are",
    {
      batchSize: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 200 })),
      lengths: Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 10_000 }))).check(
        Schema.isBetweenLength(50, 150)
      )
    },
    ({ batchSize, lengths }) =>
      Effect.gen(function* () {
        const analytics = yield* Analytics.Analytics
        const wire = yield* AnalyticsTest.Sent
        for (const [n, length] of lengths.entries()) {
          yield* analytics.track({ userId: "u1", event: `event ${n}`, properties: { euros: "€".repeat(length) } })
        }
        yield* analytics.flush
        const requests = yield* wire.requests
        for (const { body, text } of requests) {
          assert.isAtMost(body.batch.length, batchSize)
          assert.isAtMost(utf8(text), limits.batchBytes)
        }
        // And none is smaller than it must be.
        for (const [request, next] of Arr.zip(requests, requests.slice(1))) {
          if (request.body.batch.length === batchSize) continue
          const first = utf8(JSON.stringify(next.body.batch[0]))
          assert.isAbove(utf8(request.text) + 1 + first, limits.batchBytes)
        }
        assert.deepStrictEqual(
          (yield* wire.messages).map((message) => "event" in message && message.event),
          lengths.map((_, n) => `event ${n}`)
        )
      }).pipe(Effect.provide(AnalyticsTest.layer({ batchSize }))),
    { arbitrary: { runs: 20 }, timeout: 30_000 }
  )
})

describe("Message: the rules", () => {
  for (const type of Call.types) {
    it(`of ${type} are those of its Schema: the same calls are valid`, () => {
      const isValid = Schema.is(Call.schemas[type])
      const valid = { true: 0, false: 0 }
      fc.assert(
        fc.property(anyCall, (given) => {
          const data = Json.copy(given)
          assert(Json.isData(data) && !Json.isJsonError(data))
          const verdict = CallCheck.check(type, CallCheck.withoutNulls(data)) === undefined
          valid[`${verdict}`]++
          assert.strictEqual(verdict, isValid(data))
        }),
        { numRuns: 1_000 }
      )
      assert.isAbove(valid.true, 10)
      assert.isAbove(valid.false, 10)
    })
  }
})

describe("Message: what goes over the wire", () => {
  const valid = {
    type: "track",
    messageId: "m1",
    timestamp: "2026-01-02T03:04:05.678Z",
    userId: "u1",
    event: "e",
    properties: {},
    context: {}
  }
  const isWire = Schema.is(Message.Wire)

  it("is what the Schema of the wire describes: ids are strings, times are ISO, defaults are there", () => {
    assert.isTrue(isWire(valid))
    for (const wrong of [
      { ...valid, type: "other" },
      { ...valid, userId: 5 },
      { ...valid, timestamp: new Date(0) },
      { ...valid, messageId: "" },
      without(valid, "properties"),
      without(valid, "context"),
      without(valid, "messageId")
    ]) {
      assert.isFalse(isWire(wrong))
    }
  })

  it("refuses what is too large when it encodes, and nothing else", () => {
    const wire = { ...valid, type: "track" as const, properties: { padding: "x".repeat(40_000) } }
    const error = Message.encode({ ...wire, event: "e".repeat(200) })
    assert.instanceOf(error, InvalidCall)
    assert.include({ ...error }, { call: "track", event: "e".repeat(100), limit: limits.messageBytes })
    const page = Message.encode({ ...wire, type: "page", name: "Home" } as never)
    assert.instanceOf(page, InvalidCall)
    assert.notProperty(page, "event")
    const message = Message.encode({ ...wire, properties: {} })
    assert(message instanceof Message.Message)
    assert.deepStrictEqual(message.data, { ...wire, properties: {} })
  })
})

// ---------------------------------------------------------------------------------------------------------------------

describe("Message: the hash of its user", () => {
  // The published vectors of FNV-1a with 32 bits.
  it.each([
    ["a", 0xe40c292c],
    ["foobar", 0xbf9cf968]
  ])("is that of every process and release: %s", (user, hash) => {
    assert.strictEqual(Message.userOf({ userId: user }), hash | 0)
    assert.strictEqual(Message.userOf({ anonymousId: user }), hash | 0)
    assert.strictEqual(Message.userOf({ userId: user, anonymousId: "other" }), hash | 0)
  })

  it("is in the message, with the time of the call", () => {
    const message = Message.encode(
      {
        type: "identify",
        messageId: "m1",
        timestamp: "2026-01-02T03:04:05.678Z",
        userId: "foobar",
        traits: {},
        context: {}
      },
      1_000
    )
    assert(message instanceof Message.Message)
    assert.deepStrictEqual([message.user, message.madeAt], [0xbf9cf968 | 0, 1_000])
  })
})

describe("Message.isMessage", () => {
  const fields = { type: "track", messageId: "m1", json: "{}", bytes: 2 }
  const branded = (fields: object) => Object.assign({ [Symbol.for("effect-analytics/Message")]: true }, fields)

  it("knows a message, and one of another evaluation of this module", () => {
    assert.isTrue(Message.isMessage(new Message.Message("track", "m1", "{}", 2)))
    assert.isTrue(Message.isMessage(branded(fields)))
  })

  it.each([
    ["nothing", undefined],
    ["null", null],
    ["a text", "{}"],
    ["what only looks like one", fields],
    ["one without its text", branded({ ...fields, json: undefined })],
    ["one without its id", branded({ ...fields, messageId: 5 })],
    ["one without its size", branded({ ...fields, bytes: 2.5 })]
  ])("knows that %s is none", (_, value) => {
    assert.isFalse(Message.isMessage(value))
  })
})
