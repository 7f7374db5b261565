import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/testing/TestClock"
import * as Analytics from "../src/Analytics.ts"
import * as Destination from "../src/Destination.ts"
import type * as Message from "../src/Message.ts"
import * as Observer from "../src/Observer.ts"
import type { Outcome } from "../src/Outcome.ts"
import * as TrackingPlan from "../src/TrackingPlan.ts"
import * as Transport from "../src/Transport.ts"
import { invalidSettingOf, reasonOf } from "./errors.ts"
import { breathe, eventOf, lossesOf } from "./support.ts"

const writeKey = Redacted.make("test-write-key")
const user = { userId: "u1" } as const

/** A backend that answers by the event of a batch, and remembers. */
class Backend {
  readonly requests: Array<{
    readonly url: string
    readonly headers: Record<string, string>
    readonly batch: ReadonlyArray<Message.Wire>
    readonly writeKey: string
  }> = []
  readonly outcomes: Array<Outcome> = []
  answer: (events: ReadonlyArray<string>) => Response | Promise<Response> = () => new Response("{}")

  readonly fetch: typeof globalThis.fetch = async (url, init) => {
    const { batch, writeKey } = JSON.parse(String(init?.body))
    this.requests.push({ url: String(url), headers: Object.fromEntries(new Headers(init?.headers)), batch, writeKey })
    return this.answer(batch.map(eventOf))
  }

  /** A client of this backend. */
  layer(options: Partial<Analytics.Options> = {}) {
    return Analytics.layer({ writeKey, ...options }).pipe(
      Layer.provide([
        Transport.layerHttpClient(this.fetch),
        Observer.layer((outcome) => Effect.sync(() => void this.outcomes.push(outcome)))
      ])
    )
  }

  get messages() {
    return this.requests.flatMap(({ batch }) => batch)
  }

  get events() {
    return this.messages.map(eventOf)
  }
}

const track = (event: string, rest: object = {}) => Analytics.track({ ...user, event, ...rest })

// ---------------------------------------------------------------------------------------------------------------------

describe("Destination", () => {
  const presets: ReadonlyArray<[string, Destination.Destination, string, Record<string, string>]> = [
    ["Segment, US", Destination.segment({ writeKey }), "https://api.segment.io/v1/batch", {}],
    ["Segment, EU", Destination.segment({ writeKey, region: "eu" }), "https://events.eu1.segmentapis.com/v1/batch", {}],
    [
      "RudderStack",
      Destination.rudderstack({ writeKey, dataPlaneUrl: "https://example.dataplane.rudderstack.com/" }),
      "https://example.dataplane.rudderstack.com/v1/batch",
      {}
    ],
    [
      "Customer.io, US",
      Destination.customerio({ writeKey }),
      "https://cdp.customer.io/v1/batch",
      { "x-strict-mode": "1" }
    ],
    [
      "Customer.io, EU",
      Destination.customerio({ writeKey, region: "eu" }),
      "https://cdp-eu.customer.io/v1/batch",
      { "x-strict-mode": "1" }
    ],
    ["Hightouch", Destination.hightouch({ writeKey }), "https://us-east-1.hightouch-events.com/v1/batch", {}],
    [
      "Jitsu",
      Destination.jitsu({ writeKey, host: "https://jitsu.example.com" }),
      "https://jitsu.example.com/v1/batch",
      {}
    ]
  ]

  it.effect.each(presets)("%s: the request has its address and its headers", ([_, options, url, headers]) =>
    Effect.gen(function* () {
      const backend = new Backend()
      yield* Effect.andThen(track("e"), Analytics.flush).pipe(Effect.provide(backend.layer(options)))
      const [request = assert.fail()] = backend.requests
      assert.strictEqual(request.url, url)
      assert.strictEqual(request.writeKey, "test-write-key")
      assert.deepInclude(request.headers, {
        authorization: `Basic ${btoa("test-write-key:")}`,
        "content-type": "application/json",
        ...headers
      })
    })
  )

  it.effect("any base URL, with a prefix and a path of its own", () =>
    Effect.gen(function* () {
      const backend = new Backend()
      const options = { host: "https://example.com/proxy", path: "/events" }
      yield* Effect.andThen(track("e"), Analytics.flush).pipe(Effect.provide(backend.layer(options)))
      assert.strictEqual(backend.requests[0]?.url, "https://example.com/proxy/events")
    })
  )

  it.effect.each([
    ["Segment", 400, "{}"],
    ["Segment, too large", 413, "{}"],
    ["Customer.io, in strict mode", 400, `{"errors":[]}`],
    ["a 200 that says so", 200, `{"success":false}`],
    ["Jitsu, a 200 with nothing taken", 200, `{"ok":false,"errors":["…"],"receivedEvents":1,"okEvents":0}`]
  ] as const)("an answer that is a rejection is told: %s", ([_, status, body]) =>
    Effect.gen(function* () {
      const backend = new Backend()
      backend.answer = () => new Response(body, { status })
      yield* Effect.andThen(track("e"), Analytics.flush).pipe(Effect.provide(backend.layer()))
      assert.deepStrictEqual(lossesOf(backend.outcomes), [["rejected", 1]])
    })
  )

  it.effect("of which Jitsu has taken a part is not sent again: it would have that part twice", () =>
    Effect.gen(function* () {
      const backend = new Backend()
      backend.answer = () => new Response(`{"ok":false,"errors":["…"],"receivedEvents":2,"okEvents":1}`)
      yield* Effect.all([track("e"), track("e"), Analytics.flush]).pipe(Effect.provide(backend.layer()))
      assert.strictEqual(backend.requests.length, 1)
    })
  )
})

// ---------------------------------------------------------------------------------------------------------------------

/** A client over backends of these names. */
const fanOut = (backends: Record<string, Backend>, options: Partial<Analytics.Options> = {}) =>
  Analytics.layerFanOut(Object.entries(backends).map(([name, backend]) => ({ name, layer: backend.layer(options) })))

describe("Analytics.layerFanOut", () => {
  it.effect("sends each call to all destinations, by their own queues, and a flush waits for all", () => {
    const [one, two] = [new Backend(), new Backend()]
    return Effect.gen(function* () {
      yield* track("a")
      yield* Analytics.identify(user)
      assert.deepStrictEqual(yield* Analytics.flush, { delivered: 4, dropped: 0, rejected: 0, pending: 0 })
      assert.deepStrictEqual(
        [one.events, two.events],
        [
          ["a", "identify"],
          ["a", "identify"]
        ]
      )
      const { delivered, dropped, offered, pending, rejected } = yield* Effect.flatMap(
        Analytics.Analytics,
        ({ stats }) => stats
      )
      assert.deepStrictEqual([offered, delivered, dropped, rejected, pending], [4, 4, 0, 0, 0])
    }).pipe(Effect.provide(fanOut({ one, two })))
  })

  it.effect("reads what the caller gives once, for all destinations", () => {
    const [one, two] = [new Backend(), new Backend()]
    let read = 0
    const properties = {
      get n() {
        return ++read
      }
    }
    return Effect.gen(function* () {
      yield* track("a", { properties })
      yield* Analytics.flush
      assert.strictEqual(read, 1)
    }).pipe(Effect.provide(fanOut({ one, two })))
  })

  it.effect("gives a message an id of its own at each destination, always the same for an id of the caller's", () => {
    const [one, two] = [new Backend(), new Backend()]
    const long = "x".repeat(100)
    return Effect.gen(function* () {
      for (const messageId of ["order-1", long, `${long.slice(1)}y`, "order-1"]) yield* track("e", { messageId })
      yield* track("e")
      yield* Analytics.flush
      const [ids = [], others = []] = [one, two].map(({ messages }) => messages.map(({ messageId }) => messageId))
      assert.deepStrictEqual([ids[0], others[0]], ["order-1-one", "order-1-No__2"])
      assert.strictEqual(ids[3], ids[0])
      // The four that differ, at both destinations.
      assert.strictEqual(new Set([...ids, ...others]).size, 8)
      assert.isTrue([...ids, ...others].every((id) => id.length <= 100))
    }).pipe(Effect.provide(fanOut({ one, "No. 2": two })))
  })

  it.effect(
    "sends a call to the destinations that its integrations leave on; the others count it as dropped on purpose",
    () => {
      const backends = { "Segment.io": new Backend(), A: new Backend(), B: new Backend() }
      return Effect.gen(function* () {
        yield* track("all")
        yield* track("only A", { integrations: { All: false, A: true, "Segment.io": false } })
        yield* track("not B", { integrations: { B: false } })
        yield* track("A with options", { integrations: { All: false, A: { session: 1 } } })
        yield* track("none of ours", { integrations: { All: false, Mixpanel: true } })
        const { delivered, dropped } = yield* Effect.andThen(
          Analytics.flush,
          Effect.flatMap(Analytics.Analytics, (it) => it.stats)
        )
        assert.deepStrictEqual(backends["Segment.io"].events, ["all", "not B", "A with options", "none of ours"])
        assert.deepStrictEqual(backends.A.events, ["all", "only A", "not B", "A with options"])
        assert.deepStrictEqual(backends.B.events, ["all"])
        assert.deepStrictEqual([delivered, dropped], [9, 6])
        assert.deepStrictEqual(
          backends.B.outcomes.flatMap((outcome) => (outcome._tag === "Filtered" ? [outcome.reason] : [])),
          ["integrations", "integrations", "integrations", "integrations"]
        )
      }).pipe(Effect.provide(fanOut(backends)))
    }
  )

  it.effect("one that is down holds up no other, and its losses are its own", () => {
    const [up, down] = [new Backend(), new Backend()]
    down.answer = () => new Response(null, { status: 503 })
    return Effect.gen(function* () {
      yield* track("a")
      yield* breathe
      yield* track("b")
      yield* breathe
      assert.deepStrictEqual(up.events, ["a", "b"])
      assert.deepStrictEqual(lossesOf(up.outcomes), [])
      const flushing = yield* Effect.forkChild(Analytics.flush)
      while (flushing.pollUnsafe() === undefined) yield* Effect.andThen(TestClock.adjust("1 seconds"), breathe)
      assert.deepStrictEqual(lossesOf(down.outcomes), [
        ["retries-exhausted", 1],
        ["retries-exhausted", 1]
      ])
      assert.deepStrictEqual(
        up.outcomes.map(({ _tag }) => _tag),
        ["Delivered", "Delivered"]
      )
    }).pipe(Effect.provide(fanOut({ up, down }, { maxRetries: 2 })))
  })

  it.effect("one whose queue is full refuses for itself; a call fails if all refuse", () => {
    const [roomy, full] = [new Backend(), new Backend()]
    const client = Analytics.layerFanOut([
      { name: "roomy", layer: roomy.layer({ maxQueueSize: 2, flushInterval: "1 hour" }) },
      { name: "full", layer: full.layer({ maxQueueSize: 1, flushInterval: "1 hour" }) }
    ])
    return Effect.gen(function* () {
      yield* track("a")
      yield* track("b")
      const error = yield* reasonOf(track("c"))
      assert.strictEqual(error._tag, "QueueFull")
      assert.strictEqual((yield* reasonOf(track(" ")))._tag, "InvalidCall")
      yield* Analytics.flush
      assert.deepStrictEqual([roomy.events, full.events], [["a", "b"], ["a"]])
      assert.deepStrictEqual(
        full.outcomes.flatMap((outcome) => (outcome._tag === "Refused" ? [outcome.error._tag] : [])),
        ["QueueFull", "QueueFull", "InvalidCall"]
      )
    }).pipe(Effect.provide(client))
  })

  it.effect("a confirmed call waits for all destinations, and fails if one of them does not get it", () => {
    const [one, two] = [new Backend(), new Backend()]
    two.answer = ([event]) => new Response("{}", { status: event === "refused" ? 400 : 200 })
    return Effect.gen(function* () {
      yield* Analytics.confirmed.track({ ...user, event: "e" })
      assert.deepStrictEqual([one.events, two.events], [["e"], ["e"]])
      const error = yield* reasonOf(Analytics.confirmed.track({ ...user, event: "refused" }))
      assert.strictEqual(error._tag === "DeliveryError" && error.reason, "rejected")
      yield* Analytics.confirmed.track({ ...user, event: "refused", integrations: { two: false } })
    }).pipe(Effect.provide(fanOut({ one, two })))
  })

  it.effect("the end of its scope closes all at once: each has its whole time", () => {
    const backends = { one: new Backend(), two: new Backend(), three: new Backend() }
    for (const backend of Object.values(backends)) backend.answer = () => new Response(null, { status: 503 })
    return Effect.gen(function* () {
      const closing = yield* Effect.forkChild(
        Effect.andThen(track("e"), breathe).pipe(Effect.provide(fanOut(backends, { closeTimeout: "10 seconds" })))
      )
      yield* breathe
      yield* TestClock.adjust("9 seconds")
      yield* breathe
      assert.isUndefined(closing.pollUnsafe())
      yield* TestClock.adjust("1 seconds")
      yield* breathe
      assert.isDefined(closing.pollUnsafe())
      for (const { outcomes } of Object.values(backends)) assert.deepStrictEqual(lossesOf(outcomes), [["closed", 1]])
    })
  })

  it.effect("carries a tracking plan as one client does", () => {
    const [one, two] = [new Backend(), new Backend()]
    const plan = TrackingPlan.make({ events: { Ordered: Schema.Struct({ total: Schema.Finite }) } })
    return Effect.gen(function* () {
      yield* plan.track("Ordered", { total: 5 }, user)
      assert.strictEqual((yield* reasonOf(track("Ordered", { properties: { total: "5" } })))._tag, "PlanViolation")
      yield* Analytics.flush
      assert.deepStrictEqual([one.events, two.events], [["Ordered"], ["Ordered"]])
    }).pipe(Effect.provide(Layer.provide(plan.layer(), fanOut({ one, two }))))
  })

  it.effect("the same layer under two names is two clients", () => {
    const backend = new Backend()
    const layer = backend.layer()
    return Effect.gen(function* () {
      yield* track("e")
      yield* Analytics.flush
      assert.deepStrictEqual(backend.events, ["e", "e"])
    }).pipe(
      Effect.provide(
        Analytics.layerFanOut([
          { name: "one", layer },
          { name: "two", layer }
        ])
      )
    )
  })

  it.effect.each([[[]], [["a", "a"]], [[" "]], [["All"]]] as const)("refuses names that mean nothing: %o", ([names]) =>
    Effect.gen(function* () {
      const client = Analytics.layerFanOut(names.map((name) => ({ name, layer: Analytics.layerNoop })))
      const error = yield* invalidSettingOf(Effect.scoped(Layer.build(client)))
      assert.strictEqual(error.setting, "destinations")
    })
  )
})
