import * as Vm from "node:vm"
import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as fc from "fast-check"
import * as Analytics from "../src/Analytics.ts"
import * as AnalyticsTest from "../src/AnalyticsTest.ts"
import * as Json from "../src/internal/Json.ts"
import { deepFreeze, properties, propertiesRefused, refused, say, sent } from "./calls.ts"

const client = AnalyticsTest.layer()

/** So many objects (or arrays) inside one another. */
const nested = (levels: number, wrap: (inner: unknown) => unknown = (a) => ({ a })): unknown =>
  levels === 0 ? "bottom" : wrap(nested(levels - 1, wrap))

/** A proxy that counts what is asked of it. */
const counting = (target: object) => {
  const reads: Record<string, number> = {}
  const proxy = new Proxy(target, {
    get: (object, key, receiver) => {
      reads[String(key)] = (reads[String(key)] ?? 0) + 1
      return Reflect.get(object, key, receiver)
    }
  })
  return { proxy, reads }
}

class Point {
  x = 1
}

const formData = new FormData()
formData.set("a", "1")

const thrower = () => {
  throw new Error("s3cret")
}

describe("Json: values", () => {
  it.effect.each([
    ["I3: an invalid Date", new Date(Number.NaN), null],
    ["I3: NaN", Number.NaN, null],
    ["I3: Infinity", Number.POSITIVE_INFINITY, null],
    ["I3: -Infinity", Number.NEGATIVE_INFINITY, null],
    ["a Date", new Date(0), "1970-01-01T00:00:00.000Z"],
    ["a DateTime in UTC", DateTime.makeUnsafe(0), "1970-01-01T00:00:00.000Z"],
    ["a DateTime in a zone", DateTime.makeZonedUnsafe(0, { timeZone: "Asia/Tokyo" }), "1970-01-01T00:00:00.000Z"],
    ["I1: a BigInt", 12345678901234567890n, "12345678901234567890"],
    ["I1: a negative BigInt", -1n, "-1"],
    ["I4: a Map", new Map([["a", 1]]), { a: 1 }],
    ["I4: a Map with keys that are no strings", new Map([[1, "a"]]), [[1, "a"]]],
    ["I4: a Map of another realm", Vm.runInNewContext('new Map([["a", 1]])'), { a: 1 }],
    ["I4: a Set", new Set([1]), [1]],
    ["Headers", new Headers([["A", "1"]]), { a: "1" }],
    ["URLSearchParams", new URLSearchParams("a=1&b=2&a=3"), { a: ["1", "3"], b: "2" }],
    ["FormData", formData, { a: "1" }],
    ["nested collections", new Map([["a", new Set([new Map()])]]), { a: [{}] }],
    ["a boxed number", Object(5), 5],
    ["a boxed string", Object("text"), "text"],
    ["a boxed boolean", Object(false), false],
    ["a boxed BigInt", Object(5n), "5"],
    ["a regular expression", /a/, {}],
    ["an Error", new TypeError("e"), { name: "TypeError", message: "e" }],
    ["a URL", new URL("https://example.com/a"), "https://example.com/a"],
    ["an instance of a class", new Point(), { x: 1 }],
    ["an object without a prototype", Object.assign(Object.create(null), { a: 1 }), { a: 1 }],
    ["what is inherited", Object.create({ inherited: 1 }), {}],
    ["what is not enumerable", Object.defineProperty({}, "hidden", { value: 1 }), {}],
    ["a symbol as a key", { [Symbol("s")]: 1, a: 1 }, { a: 1 }],
    ["minus zero", -0, 0],
    ["null", null, null]
  ] as const)("%s", ([, value, expected]) =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* properties({ value, list: [value] }), { value: expected, list: [expected] })
    }).pipe(Effect.provide(client))
  )

  it.effect("I4: undefined, functions and symbols are left out, and are null in an array", () =>
    Effect.gen(function* () {
      const nothings = [undefined, () => 1, Symbol("s")]
      const [a, b, c] = nothings
      assert.deepStrictEqual(yield* properties({ a, b, c, nothings }), { nothings: [null, null, null] })
    }).pipe(Effect.provide(client))
  )

  it("I3: a copy holds what will be on the wire: whoever works with it sees no NaN", () => {
    assert.deepStrictEqual(Json.copy({ a: Number.NaN, b: [Number.POSITIVE_INFINITY] }), { a: null, b: [null] })
  })

  it.effect("a sparse array has null where it has nothing", () =>
    Effect.gen(function* () {
      const sparse: Array<number> = []
      sparse[3] = 1
      assert.deepStrictEqual(yield* properties({ sparse }), { sparse: [null, null, null, 1] })
    }).pipe(Effect.provide(client))
  )

  it.effect("I6: __proto__ and constructor are data like any other key, and pollute nothing", () =>
    Effect.gen(function* () {
      const text = `{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"a":{"__proto__":null}}`
      const call = { userId: "u1", event: "e", properties: JSON.parse(text), context: JSON.parse(text) }
      const message = yield* sent("track", call)
      assert.strictEqual(JSON.stringify(message.properties), text)
      const { library: _, ...context } = message.context
      assert.strictEqual(JSON.stringify(context), text)
      assert.notProperty({}, "polluted")
      assert.notProperty(Object, "polluted")
    }).pipe(Effect.provide(client))
  )

  it.effect("I6: no identity comes out of a __proto__", () =>
    Effect.gen(function* () {
      const call = JSON.parse(`{"event":"e","__proto__":{"userId":"u1"}}`)
      assert.deepStrictEqual((yield* refused("track", call)).path, ["anonymousId"])
      const inherited = Object.assign(Object.create({ userId: "u1" }), { event: "e" })
      assert.deepStrictEqual((yield* refused("track", inherited)).path, ["anonymousId"])
    }).pipe(Effect.provide(client))
  )

  it.effect("I5: a lone surrogate is U+FFFD, in a value and in a key; a pair and an escaped backslash stay", () =>
    Effect.gen(function* () {
      const given = { a: "x\ud800y", b: "\udc00", c: "\\ud800", d: "\\\ud800", e: "😀", "k\udfff": 1 }
      const expected = { a: "x\ufffdy", b: "\ufffd", c: "\\ud800", d: "\\\ufffd", e: "😀", "k\ufffd": 1 }
      assert.deepStrictEqual(yield* properties(given), expected)
      const [request] = yield* (yield* AnalyticsTest.Sent).requests
      assert.include(request?.text, String.raw`"c":"\\ud800","d":"\\${"\ufffd"}"`)
    }).pipe(Effect.provide(client))
  )
})

describe("Json: what can't be sent", () => {
  it.effect.each([
    ["a Buffer", Buffer.from("x")],
    ["a typed array", new Uint8Array([1, 2])],
    ["a DataView", new DataView(new ArrayBuffer(1))],
    ["an ArrayBuffer", new ArrayBuffer(1)],
    ["a Blob", new Blob(["x"])],
    ["10 MiB of bytes", new Uint8Array(10 * 1024 * 1024)]
  ])("%s is refused with its path: it would be sent as numbers, or as nothing", ([, bytes]) =>
    Effect.gen(function* () {
      const problem = "is binary data: send a text, such as base64"
      assert.deepStrictEqual(yield* propertiesRefused({ list: [{ bytes }] }), { path: ["list", 0, "bytes"], problem })
    }).pipe(Effect.provide(client))
  )

  it.effect("I1: a collection that contains itself is refused with its path", () =>
    Effect.gen(function* () {
      const map = new Map<string, unknown>()
      map.set("self", map)
      const problem = "is a circular reference"
      assert.deepStrictEqual(yield* propertiesRefused({ map }), { path: ["map", "self"], problem })
    }).pipe(Effect.provide(client))
  )

  it.effect("I1: a circular reference is refused with its path", () =>
    Effect.gen(function* () {
      const self: Record<string, unknown> = {}
      self.self = self
      const far: Record<string, unknown> = { list: [0, { far: {} }] }
      const list = far.list as [number, { far: Record<string, unknown> }]
      list[1].far.back = list
      const problem = "is a circular reference"
      assert.deepStrictEqual(yield* propertiesRefused(self), { path: ["self"], problem })
      assert.deepStrictEqual(yield* propertiesRefused({ a: { b: self } }), { path: ["a", "b", "self"], problem })
      assert.deepStrictEqual(yield* propertiesRefused(far), { path: ["list", 1, "far", "back"], problem })
    }).pipe(Effect.provide(client))
  )

  it.effect("I1: the call itself may be the circle", () =>
    Effect.gen(function* () {
      const call: Record<string, unknown> = { userId: "u1", event: "e" }
      call.properties = { call }
      assert.deepStrictEqual((yield* refused("track", call)).path, ["properties", "call"])
    }).pipe(Effect.provide(client))
  )

  it.effect("what is said twice is no circle", () =>
    Effect.gen(function* () {
      const twice = { a: [1] }
      const given = { x: twice, y: twice, z: [twice, twice] }
      assert.deepStrictEqual(yield* properties(given), JSON.parse(JSON.stringify(given)))
    }).pipe(Effect.provide(client))
  )

  it.effect("I1: 64 levels are sent, the 65th is refused with its path", () =>
    Effect.gen(function* () {
      const problem = "is nested deeper than 64 levels"
      const objects = nested(64)
      assert.deepStrictEqual(yield* properties(objects), objects)
      const path = Array.from({ length: 64 }, () => "a")
      assert.deepStrictEqual(yield* propertiesRefused(nested(65)), { path, problem })
      const array = (inner: unknown) => [inner]
      const arrays = { a: nested(63, array) }
      assert.deepStrictEqual(yield* properties(arrays), arrays)
      const fault = yield* propertiesRefused({ a: nested(64, array) })
      assert.deepStrictEqual(fault, { path: ["a", ...Array.from({ length: 63 }, () => 0)], problem })
    }).pipe(Effect.provide(client))
  )

  it.effect("I1: a depth at which the stack would overflow is refused the same way", () =>
    Effect.gen(function* () {
      let deep: unknown = "bottom"
      for (let level = 0; level < 100_000; level++) deep = { a: deep }
      assert.strictEqual((yield* propertiesRefused(deep)).problem, "is nested deeper than 64 levels")
      const endless = { toJSON: () => ({ again: endless }) }
      assert.strictEqual((yield* propertiesRefused({ endless })).problem, "is nested deeper than 64 levels")
    }).pipe(Effect.provide(client))
  )

  const { proxy: revoked, revoke } = Proxy.revocable({}, {})
  revoke()

  it.effect.each([
    ["a getter", Object.defineProperty({}, "x", { get: thrower, enumerable: true }), ["x"]],
    ["toJSON", { toJSON: thrower }, []],
    ["a getter of toJSON", Object.defineProperty({}, "toJSON", { get: thrower }), []],
    ["a proxy's get", new Proxy({ x: 1 }, { get: thrower }), []],
    ["a proxy's ownKeys", new Proxy({ x: 1 }, { ownKeys: thrower }), []],
    ["a proxy's getPrototypeOf", new Proxy({ x: 1 }, { getPrototypeOf: thrower }), []],
    ["a proxy's getOwnPropertyDescriptor", new Proxy({ x: 1 }, { getOwnPropertyDescriptor: thrower }), []],
    ["a proxy of an array", new Proxy([1], { get: thrower }), []],
    ["a revoked proxy", revoked, []],
    ["a boxed value", Object.assign(Object(5), { valueOf: thrower }), []],
    ["a Date", Object.assign(new Date(0), { toISOString: thrower }), []]
  ] as const)("I2: %s that throws is refused with its path, and without what it threw", ([, value, below]) =>
    Effect.gen(function* () {
      const fault = yield* propertiesRefused({ list: [{ value }] })
      assert.deepStrictEqual(fault.path, ["list", 0, "value", ...below])
      assert.strictEqual(fault.problem, "could not be read: it threw")
    }).pipe(Effect.provide(client))
  )

  it.effect("I2: so is a call that is all proxy", () =>
    Effect.gen(function* () {
      for (const call of [revoked, new Proxy({}, { get: thrower }), new Proxy({}, { ownKeys: thrower })]) {
        const error = yield* refused("track", call)
        assert.deepStrictEqual([error.path, error.problem], [[], "could not be read: it threw"])
      }
    }).pipe(Effect.provide(client))
  )

  it.effect("I7: what is far too large is refused with the limit, before it is read to its end", () =>
    Effect.gen(function* () {
      const ten = 10 * 1024 * 1024
      let read = 0
      const counted = Array.from({ length: 1_000_000 }, () => ({
        get value() {
          return ++read
        }
      }))
      const doubled = (levels: number): unknown => {
        let value: unknown = "x"
        for (let level = 0; level < levels; level++) value = [value, value]
        return value
      }
      for (const [value, path] of [
        ["x".repeat(ten), ["value"]],
        [{ ["x".repeat(ten)]: 1 }, ["value", "x".repeat(ten)]],
        [new Array(1_000_000_000), ["value"]],
        [Array.from({ length: 1_000_000 }, () => ({})), ["value"]],
        [doubled(60), ["value"]],
        [counted, ["value"]]
      ] as const) {
        const fault = yield* propertiesRefused({ value })
        assert.strictEqual(fault.path[0], path[0])
        assert.include(fault.problem, "32768")
      }
      assert.isBelow(read, 100_000)
    }).pipe(Effect.provide(client))
  )

  it.effect("I7: 33 KB are refused with their true size", () =>
    Effect.gen(function* () {
      const error = yield* refused("track", { userId: "u1", event: "e", properties: { a: "x".repeat(33_000) } })
      assert.isAbove(error.size ?? 0, 33_000)
      assert.isBelow(error.size ?? 0, 33_500)
    }).pipe(Effect.provide(client))
  )
})

describe("Json: the caller's objects", () => {
  it.effect("I2: every getter, toJSON and property of a proxy is read exactly once", () =>
    Effect.gen(function* () {
      let got = 0
      let spoken = 0
      const { proxy, reads } = counting({ a: 1, b: { c: 2 }, d: [3] })
      const given = {
        get value() {
          return ++got
        },
        json: {
          toJSON: () => ++spoken
        },
        proxy
      }
      const expected = { value: 1, json: 1, proxy: { a: 1, b: { c: 2 }, d: [3] } }
      assert.deepStrictEqual(yield* properties(given), expected)
      assert.deepStrictEqual(reads, { toJSON: 1, a: 1, b: 1, d: 1 })
      assert.deepStrictEqual([got, spoken], [1, 1])
    }).pipe(Effect.provide(client))
  )

  it.effect("I2: so are those of the call itself, of its ids and its time", () =>
    Effect.gen(function* () {
      const { proxy, reads } = counting({
        userId: "u1",
        anonymousId: "v1",
        event: "e",
        messageId: "m1",
        timestamp: new Date(0),
        properties: {},
        context: {},
        integrations: {}
      })
      yield* sent("track", proxy)
      assert.deepStrictEqual(reads, Object.fromEntries(["toJSON", ...Object.keys(proxy)].map((key) => [key, 1])))
    }).pipe(Effect.provide(client))
  )

  it.effect("I2: a call that is refused has been read no more than once", () =>
    Effect.gen(function* () {
      const { proxy, reads } = counting({ userId: "u1", event: "" })
      yield* refused("track", proxy)
      assert.deepStrictEqual(reads, { toJSON: 1, userId: 1, event: 1 })
    }).pipe(Effect.provide(client))
  )

  it.effect("toJSON is told the key, is called on the object, and what it answers does not speak again", () =>
    Effect.gen(function* () {
      const heard: Array<unknown> = []
      const inner = { toJSON: () => "too far" }
      const given = {
        toJSON(this: unknown, ...args: ReadonlyArray<unknown>) {
          heard.push(this === given, ...args)
          return { inner: 1, toJSON: () => inner }
        }
      }
      assert.deepStrictEqual(yield* properties({ a: given, b: [0, given] }), { a: { inner: 1 }, b: [0, { inner: 1 }] })
      assert.deepStrictEqual(heard, [true, "a", true, "1"])
    }).pipe(Effect.provide(client))
  )

  it.effect("I9: what the caller does to the object after the call has no effect", () =>
    Effect.gen(function* () {
      const call = { userId: "u1", event: "e", properties: { list: [1], date: new Date(0) }, context: { ip: "a" } }
      yield* say("track", call)
      call.event = "other"
      call.properties.list.push(2)
      call.properties.date.setTime(1)
      call.context.ip = "b"
      yield* (yield* Analytics.Analytics).flush
      const [message] = yield* (yield* AnalyticsTest.Sent).messages
      assert(message?.type === "track")
      assert.strictEqual(message.event, "e")
      assert.deepStrictEqual(message.properties, { list: [1], date: "1970-01-01T00:00:00.000Z" })
      assert.strictEqual(message.context.ip, "a")
    }).pipe(Effect.provide(client))
  )

  it.effect("the call is never changed: a frozen one is as good as any", () =>
    Effect.gen(function* () {
      const call = {
        userId: 5,
        anonymousId: null,
        event: "e",
        timestamp: new Date(0),
        properties: { list: [{ a: undefined }], big: 5n },
        context: { library: { name: "mine" } },
        integrations: { all: false }
      }
      const before = structuredClone(call)
      yield* sent("track", deepFreeze(call))
      assert.deepStrictEqual(call, before)
    }).pipe(Effect.provide(client))
  )
})

describe("Json: as JSON.stringify has it", () => {
  const ours = (value: unknown) => {
    const copied = Json.copy({ value })
    if (copied instanceof Json.JsonError) throw new Error(copied.problem)
    return Json.stringify(copied)
  }

  it("for every ordinary value", () => {
    const anything = fc.anything({
      maxDepth: 6,
      withBoxedValues: true,
      withDate: true,
      withMap: false,
      withNullPrototype: true,
      withObjectString: true,
      withSet: false,
      withSparseArray: true,
      withTypedArray: false
    })
    fc.assert(
      fc.property(anything, (value) => {
        assert.strictEqual(ours(value), JSON.stringify({ value }))
      }),
      { numRuns: 2_000 }
    )
  })

  it("for every key, the strange ones as well", () => {
    const key = fc.oneof(fc.constantFrom("__proto__", "constructor", "toString", "length", "0", ""), fc.string())
    const entries = fc.array(fc.tuple(key, fc.jsonValue()))
    fc.assert(
      fc.property(entries, (all) => {
        const value = Object.fromEntries(all)
        assert.strictEqual(ours(value), JSON.stringify({ value }))
      })
    )
  })

  it("for objects with a toJSON", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.string(), (json, key) => {
        const speaking = { toJSON: (name: unknown) => ({ json, name }) }
        const value = Object.fromEntries([[key, speaking]])
        assert.strictEqual(ours([value, speaking]), JSON.stringify({ value: [value, speaking] }))
      })
    )
  })

  it("I5: except that every text is well formed, and has the size in UTF-8 that it is said to have", () => {
    const units = fc.string({ unit: fc.nat(0xffff).map((code) => String.fromCharCode(code)) })
    const spicy = fc.string({ unit: fc.constantFrom("\\", "u", "d", "8", "0", '"', "\ud83d", "\ude00", "\n", "é") })
    fc.assert(
      fc.property(fc.oneof(units, spicy), (text) => {
        const json = ours(text)
        assert.isTrue(json.isWellFormed())
        assert.strictEqual(JSON.parse(json).value, text.toWellFormed())
        assert.strictEqual(Json.byteLength(json), new TextEncoder().encode(json).length)
      }),
      { numRuns: 1_000 }
    )
  })

  it("a copy shares nothing with what was copied", () => {
    fc.assert(
      fc.property(fc.object({ maxDepth: 4 }), (value) => {
        const text = JSON.stringify(value)
        const copied = Json.copy(deepFreeze(value))
        const containers = (of: unknown): Array<unknown> =>
          typeof of === "object" && of !== null ? [of, ...Object.values(of).flatMap(containers)] : []
        const theirs = new Set(containers(value))
        assert.isFalse(containers(copied).some((container) => theirs.has(container)))
        assert.strictEqual(Json.stringify(copied), text)
      })
    )
  })
})
