/**
 * What a user of any runtime may rely on, as a program that needs no more than the library and `fetch`: the same checks
 * run on every runtime, against the peer in `peer.ts`, over the library as it is published.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as Analytics from "effect-analytics/Analytics"
import * as Enrichment from "effect-analytics/Enrichment"
import * as Observer from "effect-analytics/Observer"
import type * as Outcome from "effect-analytics/Outcome"
import { type Client, createAnalytics, type Failure, withContext, withIdentity } from "effect-analytics/plain"
import type { Arrival, Step } from "./peer.ts"

/** What is different from one runtime to the other, and known before. */
export interface Runtime {
  /** Whether there is `AsyncLocalStorage`, as `withContext` of the plain face needs it. */
  readonly surroundings: boolean
  /** Whether a program may say its own `User-Agent`. */
  readonly userAgent: boolean
}

/** What was promised, and what is wrong with it; `undefined` if it was kept. */
export interface Check {
  readonly promise: string
  readonly problem?: string | undefined
}

const writeKey = "test-write-key"

/** A check that takes longer, in milliseconds, has failed. */
const patience = 15_000

// ---------------------------------------------------------------------------------------------------------------------
// Comparing
// ---------------------------------------------------------------------------------------------------------------------

const text = (value: unknown): string => JSON.stringify(value) ?? String(value)

const same = (what: string, actual: unknown, expected: unknown): void => {
  if (text(actual) !== text(expected)) throw new Error(`${what}: ${text(actual)} instead of ${text(expected)}`)
}

const holds = (what: string, value: boolean): void => same(what, value, true)

// ---------------------------------------------------------------------------------------------------------------------
// What arrived
// ---------------------------------------------------------------------------------------------------------------------

interface Wire extends Record<string, unknown> {
  readonly type: string
  readonly event?: string
  readonly messageId: string
  readonly timestamp: string
  readonly context: Record<string, unknown>
}

interface Body {
  readonly batch: ReadonlyArray<Wire>
  readonly writeKey: string
  readonly sentAt: string
}

const bodyOf = (arrival: Arrival | undefined): Body =>
  arrival === undefined ? { batch: [], writeKey: "", sentAt: "" } : JSON.parse(arrival.text)
const messagesOf = (arrivals: ReadonlyArray<Arrival>) => arrivals.flatMap((arrival) => bodyOf(arrival).batch)
const idsOf = (arrival: Arrival | undefined) => bodyOf(arrival).batch.map(({ messageId }) => messageId)
const eventsOf = (arrivals: ReadonlyArray<Arrival>) => messagesOf(arrivals).map(({ event }) => event)

const uuid7 = /^[\da-f]{8}-[\da-f]{4}-7[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/
const iso = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

const wholeOf = (delivered: number) => ({
  offered: delivered,
  delivered,
  pending: 0,
  dropped: 0,
  rejected: 0,
  inFlight: 0,
  pendingBytes: 0
})

/** The six calls, and what of each must arrive. */
const words = { userId: "u1", context: { ip: "203.0.113.7", note: "Zoë bought 🛒" } }
const calls = {
  identify: { ...words, traits: { plan: "free", since: new Date(0) } },
  track: { ...words, event: "Purchased Item", properties: { revenue: 39.95, tags: ["a", "ü"] } },
  page: { ...words, name: "Home", properties: { path: "/" } },
  screen: { ...words, name: "Cart" },
  group: { ...words, groupId: "g1", traits: { seats: 3 } },
  alias: { userId: "u1", previousId: "visitor 1", context: words.context }
} as const

const six = {
  identify: { traits: { plan: "free", since: "1970-01-01T00:00:00.000Z" } },
  track: { event: "Purchased Item", properties: { revenue: 39.95, tags: ["a", "ü"] } },
  page: { name: "Home", properties: { path: "/" } },
  screen: { name: "Cart", properties: {} },
  group: { groupId: "g1", traits: { seats: 3 } },
  alias: { previousId: "visitor 1" }
} as const

const checkSix = (arrivals: ReadonlyArray<Arrival>, { userAgent }: Runtime) => {
  const messages = messagesOf(arrivals)
  same(
    "the order",
    messages.map(({ type }) => type),
    Object.keys(six)
  )
  messages.forEach((message, index) => {
    const [type, expected] = Object.entries(six)[index] ?? []
    for (const [name, value] of Object.entries(expected ?? {})) same(`${type}.${name}`, message[name], value)
    same(`${type}.userId`, message.userId, "u1")
    holds(`${type} has a UUID of version 7 (${message.messageId})`, uuid7.test(message.messageId))
    holds(`${type} has a timestamp (${message.timestamp})`, iso.test(message.timestamp))
    const { library, ...said } = message.context
    same(`${type}.context`, said, words.context)
    same(`${type}.context.library.name`, (library as { readonly name?: string } | undefined)?.name, "effect-analytics")
  })
  same("different ids", new Set(messages.map(({ messageId }) => messageId)).size, 6)
  for (const { headers, method, path, text: sent } of arrivals) {
    const { sentAt, writeKey: key } = JSON.parse(sent)
    same("the method and path", `${method} ${path}`, "POST /v1/batch")
    same("the key in the body", key, writeKey)
    holds(`sentAt (${sentAt})`, iso.test(sentAt))
    same("authorization", headers.authorization, `Basic ${btoa(`${writeKey}:`)}`)
    same("content-type", headers["content-type"], "application/json")
    same("a first attempt has no retry count", headers["x-retry-count"], undefined)
    if (userAgent)
      holds(`user-agent (${headers["user-agent"]})`, headers["user-agent"]?.startsWith("effect-analytics/") === true)
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// The program
// ---------------------------------------------------------------------------------------------------------------------

/** Runs every check, one after the other. `run` names the books of this run at the peer. */
export const program = async (peer: string, run: string, runtime: Runtime): Promise<ReadonlyArray<Check>> => {
  const done: Array<Check> = []
  let books = 0

  /** A book at the peer: where a client sends to, how it is answered there, and what arrived. */
  const open = (...steps: ReadonlyArray<Step>) => {
    const book = `${run}-${++books}`
    return {
      host: `${peer}/${book}/${steps.join(",")}`,
      arrivals: async (): Promise<ReadonlyArray<Arrival>> => (await fetch(`${peer}/${book}`)).json() as never
    }
  }

  const check = async (promise: string, body: () => Promise<void>) => {
    let timer: ReturnType<typeof setTimeout> | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`nothing for ${patience / 1_000} s`)), patience)
    })
    try {
      await Promise.race([body(), late])
      done.push({ promise })
    } catch (error) {
      done.push({ promise, problem: error instanceof Error ? error.message : text(error) })
    } finally {
      clearTimeout(timer)
    }
  }

  /** A check of the plain face: a client over a book, whose failures are kept. */
  const plain = (
    promise: string,
    steps: ReadonlyArray<Step>,
    settings: Partial<Parameters<typeof createAnalytics>[0]>,
    body: (client: Client, book: ReturnType<typeof open>, failures: ReadonlyArray<Failure>) => Promise<void>
  ) =>
    check(`plain: ${promise}`, async () => {
      const book = open(...steps)
      const failures: Array<Failure> = []
      const onError = (failure: Failure) => void failures.push(failure)
      const client = createAnalytics({ writeKey, host: book.host, onError, ...settings })
      try {
        await body(client, book, failures)
      } finally {
        await client.close()
      }
    })

  /** A check of the Effect face: a client over a book, whose outcomes are kept. */
  const effect = <E>(
    promise: string,
    steps: ReadonlyArray<Step>,
    settings: Partial<Analytics.Options>,
    body: (analytics: Analytics.Service) => Effect.Effect<void, E>,
    after: (arrivals: ReadonlyArray<Arrival>, outcomes: ReadonlyArray<Outcome.Outcome>) => void
  ) =>
    check(`Effect: ${promise}`, async () => {
      const book = open(...steps)
      const outcomes: Array<Outcome.Outcome> = []
      await Effect.runPromise(
        Analytics.Analytics.use(body).pipe(
          Effect.provide(Analytics.layerFetch({ writeKey: Redacted.make(writeKey), host: book.host, ...settings })),
          Effect.provide(Observer.layer((outcome) => Effect.sync(() => void outcomes.push(outcome))))
        )
      )
      after(await book.arrivals(), outcomes)
    })

  const track = (client: Client, event: string) => client.track({ userId: "u1", event })

  await plain("six calls, flushed, arrive as they were said", [200], {}, async (client, book) => {
    const answers = Object.entries(calls).map(([type, call]) => client[type as "track"](call as never))
    same("the answers", answers, [true, true, true, true, true, true])
    same("the flush", await client.flush(), { delivered: 6, dropped: 0, rejected: 0, pending: 0 })
    same("the stats", client.stats(), wholeOf(6))
    checkSix(await book.arrivals(), runtime)
  })

  await plain("a call that is not valid is refused, and says where", [200], {}, async (client, book, failures) => {
    same("the answer", client.track({ userId: "u1", event: " " }), false)
    same(
      "the reason",
      failures.map(({ reason }) => reason),
      ["InvalidCall"]
    )
    same("rejected", client.stats().rejected, 1)
    same("the requests", (await book.arrivals()).length, 0)
  })

  await plain("hundreds of calls keep their order, in batches", [200], { batchSize: 50 }, async (client, book) => {
    const events = Array.from({ length: 300 }, (_, n) => `event ${n}`)
    for (const event of events) track(client, event)
    same("the flush", await client.flush(), { delivered: 300, dropped: 0, rejected: 0, pending: 0 })
    const arrivals = await book.arrivals()
    same("the events", eventsOf(arrivals), events)
    holds(
      "no batch is larger than 50",
      arrivals.every((arrival) => bodyOf(arrival).batch.length <= 50)
    )
  })

  await plain("a 503 is tried again, with the same ids", [503, 200], {}, async (client, book) => {
    track(client, "again")
    same("the flush", await client.flush(), { delivered: 1, dropped: 0, rejected: 0, pending: 0 })
    const [first, second, ...more] = await book.arrivals()
    same("the number of attempts", [first === undefined, second === undefined, more.length], [false, false, 0])
    same("the ids of the second attempt", idsOf(second), idsOf(first))
    same("the retry count", second?.headers["x-retry-count"], "1")
  })

  await plain("a 429 with Retry-After is waited for", [429, 200], { maxRetries: 0 }, async (client, book) => {
    track(client, "later")
    same("the flush", await client.flush(), { delivered: 1, dropped: 0, rejected: 0, pending: 0 })
    const [first, second] = await book.arrivals()
    same("the ids of the second attempt", idsOf(second), idsOf(first))
    holds("a second lies between the attempts", (second?.at ?? 0) - (first?.at ?? 0) >= 950)
  })

  await plain("a connection that breaks is tried again", ["cut", 200], {}, async (client, book) => {
    track(client, "again")
    same("the flush", await client.flush(), { delivered: 1, dropped: 0, rejected: 0, pending: 0 })
    same("one message", new Set(messagesOf(await book.arrivals()).map(({ messageId }) => messageId)).size, 1)
  })

  await plain("silence ends with the timeout", ["silence", 200], { requestTimeout: 400 }, async (client, book) => {
    track(client, "again")
    same("the flush", await client.flush(), { delivered: 1, dropped: 0, rejected: 0, pending: 0 })
    holds("it was tried again", (await book.arrivals()).length > 1)
  })

  await plain("a wrong key is told, and not tried again", [401], { logger: quiet }, async (client, book, failures) => {
    track(client, "lost")
    same("the flush", await client.flush(), { delivered: 0, dropped: 1, rejected: 0, pending: 0 })
    same(
      "the failures",
      failures.map(({ reason, status }) => [reason, status]),
      [["misconfigured", 401]]
    )
    same("the number of attempts", (await book.arrivals()).length, 1)
  })

  await plain("a redirect is not followed, and told", [302], { logger: quiet }, async (client, book, failures) => {
    track(client, "lost")
    same("the flush", await client.flush(), { delivered: 0, dropped: 1, rejected: 0, pending: 0 })
    same(
      "the failures",
      failures.map(({ reason }) => reason),
      ["misconfigured"]
    )
    same(
      "the paths",
      (await book.arrivals()).map(({ path }) => path),
      ["/v1/batch"]
    )
  })

  await plain("gzip", [200], { gzip: true }, async (client, book) => {
    track(client, "small")
    same("the flush", await client.flush(), { delivered: 1, dropped: 0, rejected: 0, pending: 0 })
    const arrivals = await book.arrivals()
    same(
      "the encoding",
      arrivals.map(({ headers }) => headers["content-encoding"]),
      ["gzip"]
    )
    same("the events", eventsOf(arrivals), ["small"])
  })

  await plain(
    "a close delivers, and then refuses",
    [200],
    { flushInterval: "1 minute" },
    async (client, book, failures) => {
      track(client, "first")
      track(client, "second")
      same("the close", await client.close(), { delivered: 2, dropped: 0, rejected: 0, pending: 0 })
      same("a call after the close", track(client, "late"), false)
      same(
        "the failures",
        failures.map(({ reason }) => reason),
        ["Closed"]
      )
      same("the stats", client.stats(), { ...wholeOf(2), offered: 3, rejected: 1 })
      same("the events", eventsOf(await book.arrivals()), ["first", "second"])
    }
  )

  await plain(
    "a close is bounded, and what is left is told",
    ["silence"],
    { closeTimeout: 200 },
    async (client, _, failures) => {
      track(client, "lost")
      same("the close", await client.close(), { delivered: 0, dropped: 1, rejected: 0, pending: 0 })
      same(
        "the failures",
        failures.map(({ reason }) => reason),
        ["closed"]
      )
    }
  )

  if (runtime.surroundings) {
    await plain("requests at the same time keep their context and identity apart", [200], {}, async (client, book) => {
      const request = (user: string, pause: number) =>
        withContext({ ip: user, locale: "de" }, () =>
          withIdentity({ userId: user }, async () => {
            await new Promise((resolve) => setTimeout(resolve, pause))
            client.identified.track({ event: "Seen", context: { page: { path: user } } })
          })
        )
      await Promise.all([request("u1", 40), request("u2", 20), request("u3", 5)])
      same("a call outside", client.track({ anonymousId: "v1", event: "Outside" }), true)
      await client.flush()
      for (const { context, event, userId } of messagesOf(await book.arrivals())) {
        const { library: _, ...said } = context
        same(
          `the context of ${userId}`,
          said,
          event === "Outside" ? {} : { ip: userId, locale: "de", page: { path: userId } }
        )
      }
    })
  } else {
    await check("plain: withContext says that it cannot work here", async () => {
      let problem = "nothing was thrown"
      try {
        withContext({}, () => {})
      } catch (error) {
        problem = String(error)
      }
      holds(problem, problem.includes("AsyncLocalStorage"))
    })
  }

  const effectCalls = (analytics: Analytics.Service) =>
    Effect.forEach(Object.entries(calls), ([type, call]) => analytics[type as "track"](call as never))

  await effect(
    "six calls, flushed, arrive as they were said",
    [200],
    {},
    Effect.fnUntraced(function* (analytics) {
      yield* effectCalls(analytics)
      same("the flush", yield* analytics.flush, { delivered: 6, dropped: 0, rejected: 0, pending: 0 })
      same("the stats", yield* analytics.stats, wholeOf(6))
    }),
    (arrivals) => checkSix(arrivals, runtime)
  )

  await effect(
    "the end of the scope delivers, after a 503 and a 429",
    [503, 429, 200],
    { flushInterval: "1 minute" },
    (analytics) => analytics.track({ userId: "u1", event: "again" }),
    (arrivals, outcomes) => {
      same("the number of attempts", arrivals.length, 3)
      same(
        "the retry counts",
        arrivals.map(({ headers }) => headers["x-retry-count"] ?? "0"),
        ["0", "1", "2"]
      )
      same("the ids", new Set(arrivals.flatMap(idsOf)).size, 1)
      same(
        "the outcomes",
        outcomes.map(({ _tag }) => _tag),
        ["Delivered"]
      )
    }
  )

  await effect(
    "a redirect is not followed, and told",
    [302],
    {},
    (analytics) => Effect.andThen(analytics.track({ userId: "u1", event: "lost" }), analytics.flush),
    (arrivals, outcomes) => {
      same(
        "the paths",
        arrivals.map(({ path }) => path),
        ["/v1/batch"]
      )
      same(
        "the outcomes",
        outcomes.map((one) => one._tag === "Dropped" && one.error.reason),
        ["misconfigured"]
      )
    }
  )

  await effect(
    "silence ends with the timeout",
    ["silence", 200],
    { requestTimeout: 400 },
    (analytics) => analytics.track({ userId: "u1", event: "again" }),
    (arrivals) => holds("it was tried again", arrivals.length > 1)
  )

  await effect(
    "fibers keep their context and identity apart",
    [200],
    {},
    Effect.fnUntraced(function* (analytics) {
      const request = (user: string, pause: number) =>
        Effect.sleep(pause).pipe(
          Effect.andThen(
            Analytics.identifiedCalls(analytics).track({ event: "Seen", context: { page: { path: user } } })
          ),
          Enrichment.withIdentity({ userId: user }),
          Enrichment.withContext({ ip: user })
        )
      yield* Effect.all([request("u1", 40), request("u2", 20), request("u3", 5)], { concurrency: "unbounded" })
    }),
    (arrivals) => {
      const messages = messagesOf(arrivals)
      same(
        "the users",
        messages.map(({ userId }) => userId),
        ["u3", "u2", "u1"]
      )
      for (const { context, userId } of messages) {
        same(`the context of ${userId}`, [context.ip, context.page], [userId, { path: userId }])
      }
    }
  )

  await effect(
    "a call that is not valid fails, with a type and a path",
    [200],
    {},
    Effect.fnUntraced(function* (analytics) {
      const { reason } = yield* Effect.flip(analytics.track({ userId: "u1", event: "" }))
      same("the error", reason._tag === "InvalidCall" && [reason.call, reason.path], ["track", ["event"]])
    }),
    (arrivals) => same("the requests", arrivals.length, 0)
  )

  await effect(
    "a fiber that is interrupted takes nothing with it",
    [200],
    {},
    Effect.fnUntraced(function* (analytics) {
      const fiber = yield* Effect.forkChild(
        Effect.andThen(analytics.track({ userId: "u1", event: "said" }), Effect.never),
        { startImmediately: true }
      )
      yield* Fiber.interrupt(fiber)
    }),
    (arrivals) => same("the events", eventsOf(arrivals), ["said"])
  )

  return done
}

const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }
