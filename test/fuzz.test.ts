/**
 * Hostile input: the six calls of the plain face with anything that JavaScript can make. What is generated is a recipe,
 * plain data, so that a failure can be printed and shrunk; what is made of it keeps book of what is done to it.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import * as fc from "fast-check"
import * as Message from "../src/Message.ts"
import { createAnalytics, withContext, withIdentity } from "../src/plain.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Recipes
// ---------------------------------------------------------------------------------------------------------------------

type Recipe =
  | { readonly make: "primitive"; readonly of: unknown }
  | { readonly make: "native"; readonly which: number }
  | {
      readonly make: "object" | "array" | "null object" | "instance" | "frozen" | "getters" | "hidden" | "thenable"
      readonly entries: ReadonlyArray<readonly [string, Recipe]>
    }
  | { readonly make: "toJSON"; readonly of: Recipe; readonly throws: boolean; readonly inherited: boolean }
  | { readonly make: "thrower"; readonly of: Recipe; readonly key: string }
  | { readonly make: "circle"; readonly up: number }
  | { readonly make: "proxy"; readonly of: Recipe; readonly traps: ReadonlyArray<Trap>; readonly thrown: Recipe }

const trapNames = ["get", "ownKeys", "getOwnPropertyDescriptor", "getPrototypeOf", "has"] as const
interface Trap {
  readonly name: (typeof trapNames)[number]
  readonly does: "throws" | "lies"
  readonly lie: number
}

const key = fc.oneof(
  {
    arbitrary: fc.constantFrom(
      ...["__proto__", "constructor", "prototype", "toString", "valueOf", "hasOwnProperty", "then", "length", "toJSON"],
      ...["userId", "anonymousId", "messageId", "timestamp", "context", "integrations", "all", "library", "type", ""]
    ),
    weight: 2
  },
  { arbitrary: fc.string({ unit: "binary", maxLength: 5 }), weight: 1 }
)

const primitive = fc.oneof(
  fc.constantFrom<unknown>(undefined, null, true, -0, Number.NaN, Number.POSITIVE_INFINITY, 5e-324, 1e300, 10n ** 40n),
  fc.constantFrom<unknown>(
    "",
    " ",
    "\ud800",
    "\\ud800",
    "a\u0000b",
    "\u2028",
    "__proto__",
    "2026-01-01",
    "€".repeat(40)
  ),
  fc.string({ unit: "binary" }),
  fc.double()
)

/** Made anew each time. The first of them are large. */
const natives: ReadonlyArray<() => unknown> = [
  () => "x".repeat(5_000_000),
  () => new Array(500_000_000),
  () => new Float64Array(1_000_000),
  () => globalThis,
  () => Symbol("s"),
  () => Symbol.iterator,
  () => () => "function",
  () => class Anything {},
  () => new Date(Number.NaN),
  () => new Date(8.64e15),
  () => new Proxy(new Date(0), {}),
  () => /a/g,
  () => new Map([[{}, {}]]),
  () => new Set([1]),
  () => new WeakMap(),
  () => Promise.resolve(1),
  () => new Error("e", { cause: new Error("c") }),
  () => new Uint8Array(3),
  () => new BigInt64Array(2),
  () => new DataView(new ArrayBuffer(8)),
  () => Buffer.from("buffer"),
  () => Object(1n),
  () => Object("boxed"),
  () => Object(Symbol("boxed")),
  () => new Number(Number.NaN),
  () => Object.assign(new Number(1), { valueOf: () => ({ valueOf: () => 1 }) }),
  () => Object.create(Number.prototype),
  () => Object.create(Date.prototype),
  () => new URL("https://example.com/?a=b"),
  () => Object.assign(new Array(4), { 1: 1 }),
  () => {
    const endless: object = new Proxy({}, { getPrototypeOf: () => endless })
    return endless
  },
  () => Object.assign([1, 2], { extra: true, length: 5 }),
  () => Object.setPrototypeOf([1], null),
  () => Object.setPrototypeOf({ a: 1 }, Array.prototype),
  () => (function* () {})(),
  () =>
    new (class extends Date {
      override toISOString(): string {
        return Symbol("time") as never
      }
    })(0),
  () =>
    new (class extends Array {
      override get length() {
        return { valueOf: () => 3 } as never
      }
    })(),
  () => {
    const { proxy, revoke } = Proxy.revocable({}, {})
    revoke()
    return proxy
  },
  () => {
    const { proxy, revoke } = Proxy.revocable([], {})
    revoke()
    return proxy
  },
  () => {
    const { proxy, revoke } = Proxy.revocable(() => {}, {})
    revoke()
    return proxy
  }
]

const { hostile } = fc.letrec<{ hostile: Recipe; entries: ReadonlyArray<readonly [string, Recipe]> }>((tie) => ({
  entries: fc.array(fc.tuple(key, tie("hostile")), { maxLength: 4 }),
  hostile: fc.oneof(
    { maxDepth: 5, depthSize: "medium" },
    fc.record({ make: fc.constant("primitive" as const), of: primitive }),
    fc.record({
      make: fc.constant("native" as const),
      which: fc.oneof(
        { arbitrary: fc.integer({ min: 4, max: natives.length - 1 }), weight: 30 },
        { arbitrary: fc.nat(3), weight: 1 }
      )
    }),
    fc.record({
      make: fc.constantFrom(
        ...(["object", "array", "null object", "instance", "frozen", "getters", "hidden", "thenable"] as const)
      ),
      entries: tie("entries")
    }),
    fc.record({
      make: fc.constant("toJSON" as const),
      of: tie("hostile"),
      throws: fc.boolean(),
      inherited: fc.boolean()
    }),
    fc.record({ make: fc.constant("thrower" as const), of: tie("hostile"), key }),
    fc.record({ make: fc.constant("circle" as const), up: fc.nat(3) }),
    fc.record({
      make: fc.constant("proxy" as const),
      of: tie("hostile"),
      traps: fc.array(
        fc.record({
          name: fc.constantFrom(...trapNames),
          does: fc.constantFrom("throws" as const, "lies" as const),
          lie: fc.nat(4)
        }),
        { maxLength: 2 }
      ),
      thrown: tie("hostile")
    })
  )
}))

// ---------------------------------------------------------------------------------------------------------------------
// What is made of them
// ---------------------------------------------------------------------------------------------------------------------

/** Keeps book of what is done to the values that are made. */
class Book {
  /** How often each getter, `toJSON` and property of a proxy was read. */
  readonly reads: Array<{ readonly what: string; times: number }> = []
  /** What should not have happened. */
  readonly misdeeds: Array<string> = []
  /** Whether one thing can be reached in two ways, or answers with other things than it has: then reads prove nothing. */
  isTangled = false
  private readonly made: Array<{
    readonly object: object
    readonly own: PropertyDescriptorMap
    readonly prototype: unknown
    readonly extensible: boolean
  }> = []

  reading(what: string): () => void {
    const read = { what, times: 0 }
    this.reads.push(read)
    return () => void read.times++
  }

  remember(object: object): void {
    this.made.push({
      object,
      own: Object.getOwnPropertyDescriptors(object),
      prototype: Object.getPrototypeOf(object),
      extensible: Object.isExtensible(object)
    })
  }

  /** What was changed since it was made. Asks no getter and no trap. */
  get changed(): ReadonlyArray<object> {
    return this.made
      .filter(({ extensible, object, own, prototype }) => {
        const now = Object.getOwnPropertyDescriptors(object)
        const isSame = Reflect.ownKeys(own).every((key) => {
          const [before, after] = [own[key as string], now[key as string]]
          return (
            after !== undefined &&
            Object.is(before?.value, after.value) &&
            before?.get === after.get &&
            before?.writable === after.writable
          )
        })
        return !(
          isSame &&
          Reflect.ownKeys(now).length === Reflect.ownKeys(own).length &&
          Object.getPrototypeOf(object) === prototype &&
          Object.isExtensible(object) === extensible
        )
      })
      .map(({ object }) => object)
  }
}

const isObject = (value: unknown): value is object =>
  (typeof value === "object" && value !== null) || typeof value === "function"

const define = (object: object, name: string, value: unknown) =>
  Object.defineProperty(object, name, { value, enumerable: true, configurable: true, writable: true })

const make = (recipe: Recipe, book: Book, parents: ReadonlyArray<object> = []): unknown => {
  switch (recipe.make) {
    case "primitive":
      return recipe.of
    case "native":
      return natives[recipe.which]?.()
    case "circle":
      book.isTangled = true
      return parents.at(-1 - recipe.up)
    case "toJSON": {
      const inner = make(recipe.of, book, parents)
      const read = book.reading("toJSON")
      const toJSON = () => {
        read()
        if (recipe.throws) throw inner
        return inner
      }
      return recipe.inherited ? Object.create({ toJSON }) : { toJSON }
    }
    case "thrower": {
      const thrown = make(recipe.of, book, parents)
      const read = book.reading(`a getter that throws, ${recipe.key}`)
      return Object.defineProperty({}, recipe.key, {
        enumerable: true,
        get: () => {
          read()
          throw thrown
        }
      })
    }
    case "proxy": {
      const inner = make(recipe.of, book, parents)
      return isObject(inner) ? proxied(inner, recipe, book, parents) : inner
    }
    default:
      return container(recipe, book, parents)
  }
}

const container = (
  { entries, make: kind }: Extract<Recipe, { readonly entries: unknown }>,
  book: Book,
  parents: ReadonlyArray<object>
): object => {
  const object: object =
    kind === "array" ? [] : kind === "null object" ? Object.create(null) : kind === "instance" ? new (class A {})() : {}
  for (const [at, [name, recipe]] of entries.entries()) {
    const value = make(recipe, book, [...parents, object])
    const where = kind === "array" ? String(at) : name
    if (kind !== "getters") {
      Object.defineProperty(object, where, {
        value,
        enumerable: kind !== "hidden",
        configurable: true,
        writable: true
      })
      continue
    }
    const read = book.reading(`a getter, ${name}`)
    Object.defineProperty(object, where, {
      enumerable: true,
      configurable: true,
      get: () => {
        read()
        return value
      },
      set: () => book.misdeeds.push(`set ${name}`)
    })
  }
  if (kind === "thenable") {
    define(object, "then", () => book.misdeeds.push("took it for a promise"))
    define(object, "catch", () => book.misdeeds.push("took it for a promise"))
  }
  if (kind === "frozen") Object.freeze(object)
  book.remember(object)
  return object
}

const proxied = (
  target: object,
  { thrown, traps }: Extract<Recipe, { readonly make: "proxy" }>,
  book: Book,
  parents: ReadonlyArray<object>
): object => {
  const error = make(thrown, book, parents)
  const counts = new Map<PropertyKey, () => void>()
  const mutation = (what: string) => () => {
    book.misdeeds.push(what)
    return false
  }
  const handler: ProxyHandler<object> = {
    get: (object, name, receiver) => {
      const read = counts.get(name) ?? book.reading(`a property of a proxy, ${String(name)}`)
      counts.set(name, read)
      read()
      return Reflect.get(object, name, receiver)
    },
    set: mutation("set"),
    deleteProperty: mutation("deleteProperty"),
    defineProperty: mutation("defineProperty"),
    setPrototypeOf: mutation("setPrototypeOf"),
    preventExtensions: mutation("preventExtensions")
  }
  const lies: Record<Trap["name"], ReadonlyArray<unknown>> = {
    get: [undefined, Symbol("lie"), 1e9, Date.prototype.toJSON, error],
    ownKeys: [["a", "a"], [Symbol("k")], ["ghost"], {}, error],
    getOwnPropertyDescriptor: [undefined, {}, { enumerable: true, configurable: true, value: 1 }, 1, error],
    getPrototypeOf: [null, Number.prototype, Array.prototype, 1, error],
    has: [true, false, 1, {}, error]
  }
  for (const { does, lie, name } of traps) {
    // The engine itself reads the list that `ownKeys` answers with, each time that it asks.
    if (name === "get" || name === "ownKeys") book.isTangled = true
    handler[name] = () => {
      if (does === "throws") throw error
      return lies[name][lie] as never
    }
  }
  return new Proxy(target, handler)
}

// ---------------------------------------------------------------------------------------------------------------------
// The client and its wire
// ---------------------------------------------------------------------------------------------------------------------

const decode = Schema.decodeUnknownSync(Schema.fromJsonString(Message.Request))

/** A client whose wire reads every body as an API would, and holds it to the limits. */
const client = () => {
  const malformed: Array<unknown> = []
  let received = 0
  const analytics = createAnalytics({
    writeKey: "test-write-key",
    onError: () => {},
    fetch: async (_, init) => {
      try {
        const text = String(init?.body)
        assert.isTrue(text.isWellFormed())
        assert.isAtMost(Buffer.byteLength(text), 500_000)
        const { batch } = decode(text)
        received += batch.length
        for (const message of (JSON.parse(text) as Message.Request).batch) {
          assert.isAtMost(Buffer.byteLength(JSON.stringify(message)), 32_768)
          assert.deepStrictEqual(message.context.library, Message.library)
        }
      } catch (error) {
        malformed.push(error)
      }
      return new Response("{}")
    }
  })
  return { analytics, malformed, received: () => received }
}

const types = ["identify", "track", "page", "screen", "group", "alias"] as const

const valid = { userId: "u1", event: "e", groupId: "g1", previousId: "u0" }

/** Where the hostile value is in the call: all of it, or one of its fields. */
const places = [
  "call",
  ...["userId", "anonymousId", "event", "name", "category", "groupId", "previousId", "messageId", "timestamp"],
  ...["properties", "traits", "context", "integrations", "type", "anything else"]
] as const

const cases = fc.record({
  type: fc.constantFrom(...types),
  place: fc.constantFrom(...places),
  surroundings: fc.constantFrom("none", "identity", "hostile context"),
  value: hostile
})

describe("hostile input", () => {
  it("throws nothing, rejects nothing, sends nothing malformed, changes nothing, reads nothing twice", {
    timeout: 60_000
  }, async () => {
    const rejections: Array<unknown> = []
    const onRejection = (reason: unknown) => rejections.push(reason)
    process.on("unhandledRejection", onRejection)
    const { analytics, malformed, received } = client()
    let accepted = 0
    await fc.assert(
      fc.asyncProperty(cases, async ({ place, surroundings, type, value }) => {
        const book = new Book()
        const given = make(value, book)
        const call = place === "call" ? given : define({ ...valid }, place, given)
        const say = () => analytics[type](call as never)
        const answer =
          surroundings === "none"
            ? say()
            : surroundings === "identity"
              ? withIdentity({ userId: "u1", anonymousId: "v1" }, say)
              : withContext(make(value, book) as never, say)
        assert.isBoolean(answer)
        if (answer) {
          accepted++
          await analytics.flush()
        }
        assert.deepStrictEqual(malformed, [])
        assert.strictEqual(received(), accepted)
        assert.deepStrictEqual(book.misdeeds, [])
        // A `toJSON` that is no function is data as well, and read as such, as `JSON.stringify` has it; so is `valueOf`.
        assert.deepStrictEqual(
          book.reads.filter(({ times, what }) => !book.isTangled && times > (/ (toJSON|valueOf)$/.test(what) ? 2 : 1)),
          []
        )
        assert.strictEqual(book.changed.length, 0)
        assert.isFalse(Object.keys(Object.prototype).length > 0)
      }),
      { numRuns: 3_000 }
    )
    await new Promise(setImmediate)
    process.off("unhandledRejection", onRejection)
    assert.deepStrictEqual(rejections, [])
    assert.isAbove(accepted, 500)
    assert.include(analytics.stats(), { delivered: accepted, pending: 0, dropped: 0 })
    await analytics.close()
  })

  it("what is accepted was read whole: every getter of plain objects exactly once", async () => {
    const { analytics, received } = client()
    const { tree } = fc.letrec<{ tree: Recipe }>((tie) => ({
      tree: fc.oneof(
        { maxDepth: 4 },
        fc.record({ make: fc.constant("primitive" as const), of: primitive }),
        fc.record({
          make: fc.constantFrom("getters" as const, "array" as const),
          entries: fc.uniqueArray(
            fc.tuple(
              key.filter((name) => name !== "toJSON"),
              tie("tree")
            ),
            { maxLength: 4, selector: ([name]) => name }
          )
        })
      )
    }))
    let accepted = 0
    fc.assert(
      fc.property(fc.constantFrom(...types), tree, (type, recipe) => {
        const book = new Book()
        if (analytics[type]({ ...valid, anything: make(recipe, book) } as never)) accepted++
        assert.isTrue(book.reads.every(({ times }) => times === 1))
      }),
      { numRuns: 1_000 }
    )
    await analytics.flush()
    assert.strictEqual(received(), accepted)
    assert.isAbove(accepted, 900)
    await analytics.close()
  })

  it("what is thrown may be hostile itself", async () => {
    const { analytics } = client()
    const { proxy: revoked, revoke } = Proxy.revocable({}, {})
    revoke()
    const thrower = {
      toJSON: () => {
        throw revoked
      }
    }
    for (const type of types) assert.isFalse(analytics[type]({ ...valid, properties: thrower } as never))
    for (const type of types) assert.isFalse(analytics[type](thrower as never))
    await analytics.close()
  })

  it("an id that is no text is refused where an identity is around the call, too", async () => {
    const { analytics } = client()
    for (const userId of [{ toString: 1 }, [{ toString: 1, valueOf: 2 }], { toString: null }]) {
      assert.isFalse(withIdentity({ userId: "u1" }, () => analytics.track({ userId, event: "e" } as never)))
    }
    for (const userId of [Object.create(null), Symbol("s"), { toString: () => assert.fail("was read late") }]) {
      assert.isFalse(withIdentity({ userId: userId as never }, () => analytics.identified.track({ event: "e" })))
      withIdentity({ userId: userId as never }, () => analytics.track({ userId: "u1", event: "e" }))
    }
    await analytics.close()
  })
})
