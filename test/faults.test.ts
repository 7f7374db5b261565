/**
 * The faults of a network, for real: sockets that break, stall and lie, on loopback. What is asserted is what the peer
 * has in its books: every message once, in the order of its user, whatever the client believes.
 */
import * as Tls from "node:tls"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import type { Summary } from "../src/Analytics.ts"
import * as Analytics from "../src/Analytics.ts"
import * as Observer from "../src/Observer.ts"
import type * as Outcome from "../src/Outcome.ts"
import { createAnalytics, type Outcome as PlainOutcome } from "../src/plain.ts"
import { type Certificates, makeCertificates } from "./certificates.ts"
import { type Answer, FaultSink, type Options as SinkOptions } from "./FaultSink.ts"
import { type Line, layerLog } from "./support.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Every way to a socket
// ---------------------------------------------------------------------------------------------------------------------

interface Settings {
  readonly host: string
  readonly batchSize?: number
  readonly flushInterval?: number
  readonly requestTimeout?: number
  readonly maxRetries?: number
}

interface Client {
  readonly track: (user: string, event: string) => Promise<void>
  readonly flush: () => Promise<Summary>
  readonly close: () => Promise<Summary>
  readonly stats: () => Promise<Outcome.Stats>
  /** What the observer was told. */
  readonly outcomes: ReadonlyArray<PlainOutcome>
  /** What was logged as an error. */
  readonly errors: ReadonlyArray<string>
}

type Face = (settings: Settings) => Promise<Client>

const plain: Face = async (settings) => {
  const outcomes: Array<PlainOutcome> = []
  const errors: Array<string> = []
  const ignore = () => {}
  const analytics = createAnalytics({
    writeKey: "test-write-key",
    ...settings,
    logger: { debug: ignore, info: ignore, warn: ignore, error: (line) => errors.push(line) },
    onError: () => {},
    onOutcome: (outcome) => outcomes.push(outcome)
  })
  return {
    track: async (userId, event) => assert.isTrue(analytics.track({ userId, event })),
    flush: analytics.flush,
    close: analytics.close,
    stats: async () => analytics.stats(),
    outcomes,
    errors
  }
}

const effect =
  (layer: (options: Analytics.Options) => Layer.Layer<Analytics.Analytics, unknown>): Face =>
  async (settings) => {
    const outcomes: Array<Outcome.Outcome> = []
    const scope = Scope.makeUnsafe()
    const lines: Array<Line> = []
    const observer = Observer.layer((outcome) => Effect.sync(() => void outcomes.push(outcome)))
    const services = await Effect.runPromise(
      Layer.buildWithScope(
        Layer.provide(layer({ writeKey: Redacted.make("test-write-key"), ...settings }), [observer, layerLog(lines)]),
        scope
      )
    )
    const analytics = Context.get(services, Analytics.Analytics)
    return {
      track: (userId, event) => Effect.runPromise(analytics.track({ userId, event })),
      flush: () => Effect.runPromise(analytics.flush),
      close: () => Effect.runPromise(Effect.ensuring(analytics.close, Scope.close(scope, Exit.void))),
      stats: () => Effect.runPromise(analytics.stats),
      outcomes,
      get errors() {
        return lines.filter(({ level }) => level === "Error").map(({ text }) => text)
      }
    }
  }

const faces = {
  createAnalytics: plain,
  layerFetch: effect(Analytics.layerFetch),
  "layer over node:http": effect((options) => Layer.provide(Analytics.layer(options), NodeHttpClient.layerNodeHttp)),
  "layer over undici": effect((options) => Layer.provide(Analytics.layer(options), NodeHttpClient.layerUndici))
}

const eachFace = Object.entries(faces)

// ---------------------------------------------------------------------------------------------------------------------
// What must hold
// ---------------------------------------------------------------------------------------------------------------------

const users = ["anna", "ben"]

const numbered = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, n) => `event ${from + n}`)

/** Events for every user by turns. */
const trackAll = async (client: Client, from: number, to: number) => {
  for (const event of numbered(from, to)) for (const user of users) await client.track(user, event)
}

/** Nothing is lost, nothing is out of order, and the client says of itself what the peer says of it. */
const assertAllThere = async (client: Client, sink: FaultSink, each: number) => {
  for (const user of users) assert.deepStrictEqual(sink.userEvents(user), numbered(1, each))
  const { malformed, taken } = sink.totals()
  assert.deepStrictEqual({ malformed, taken }, { malformed: [], taken: each * users.length })
  const { delivered, dropped, offered, pending, rejected } = await client.stats()
  assert.deepStrictEqual(
    { delivered, dropped, offered, pending, rejected },
    { delivered: taken, dropped: 0, offered: taken, pending: 0, rejected: 0 }
  )
  const told = client.outcomes.flatMap((outcome) => (outcome._tag === "Delivered" ? outcome.messages : []))
  assert.deepStrictEqual(told.map(({ messageId }) => messageId).toSorted(), [...sink.takenIds()].toSorted())
}

/** The ids of every request, in the order in which they were read. */
const idsOf = (sink: FaultSink) => sink.requests.map(({ messages }) => messages.map(({ messageId }) => messageId))

const withSink = async (options: SinkOptions, body: (sink: FaultSink) => Promise<void>) => {
  await using sink = await FaultSink.start(options)
  await body(sink)
}

/** Where nobody listens. */
const freePort = async () => {
  await using sink = await FaultSink.start()
  return sink.port
}

/** How the first loss that was told is told. */
const firstLoss = ({ outcomes }: Client) => outcomes.find((outcome) => outcome._tag === "Dropped")?.error

/** They wait for one another's timeouts. The time is far more than any of them takes. */
const options = { timeout: 30_000, concurrent: true }

// ---------------------------------------------------------------------------------------------------------------------
// Faults that pass
// ---------------------------------------------------------------------------------------------------------------------

describe("a fault in the middle of the work loses nothing and changes no order", options, () => {
  /** The fault, how often its batch arrives in all, and how often it is taken in. */
  const faults: ReadonlyArray<readonly [string, Answer, { readonly arrived: number; readonly taken: number }]> = [
    ["H4 a reset before the request", "reset before", { arrived: 1, taken: 1 }],
    ["H4 a reset in the middle of the request", "reset mid", { arrived: 1, taken: 1 }],
    ["H4 a reset instead of the answer", "reset after", { arrived: 2, taken: 2 }],
    ["H4 a reset in the middle of a 2xx answer, which has arrived by then", "cut", { arrived: 1, taken: 1 }],
    ["H5 a status line that never ends", "slow head", { arrived: 2, taken: 1 }],
    ["H5 the body of a 2xx that comes byte by byte", "slow body", { arrived: 1, taken: 1 }],
    ["H5 the body of a 2xx without end", "endless", { arrived: 1, taken: 1 }],
    ["H5 no answer at all", "silence", { arrived: 2, taken: 1 }],
    ["H15 a connection that is closed behind an answer", "close behind", { arrived: 1, taken: 1 }],
    [
      "H11 a captive portal",
      { status: 200, headers: { "content-type": "text/html" }, body: "<h1>Please pay</h1>", taken: false },
      { arrived: 2, taken: 1 }
    ]
  ]

  for (const [fault, answer, expected] of faults) {
    it.each(eachFace)(`${fault}: %s`, async (_, face) =>
      withSink({}, async (sink) => {
        // What is without end must be ended before the time is over.
        const requestTimeout = answer === "endless" ? 3_600_000 : 800
        const client = await face({ host: sink.host, batchSize: 20, flushInterval: 20, requestTimeout })
        // A connection that was good before, and is kept.
        await trackAll(client, 1, 10)
        await client.flush()
        sink.respond(answer)
        await trackAll(client, 11, 30)
        assert.deepStrictEqual(await client.close(), { delivered: 40, dropped: 0, rejected: 0, pending: 0 })
        await assertAllThere(client, sink, 30)
        const [, hit = []] = idsOf(sink)
        for (const id of hit) assert.deepStrictEqual(sink.counts.get(id), expected)
        assert.deepStrictEqual(sink.script, [])
        // Of a connection that went wrong nothing is left once the client is closed.
        if (answer !== "close behind" && typeof answer === "string") {
          await sink.until(({ open }) => open <= 1)
        }
        // Of what has no end no more was taken than the system holds of it on the way.
        assert.isBelow(sink.bytesSent, 32 * 2 ** 20)
      })
    )
  }
})

describe("a fault that ends a request", options, () => {
  it.each(eachFace)("H4 H16 is followed by the same messageIds: %s", async (_, face) =>
    withSink({}, async (sink) => {
      sink.respond("reset after", 503, "silence")
      const client = await face({ host: sink.host, flushInterval: 20, requestTimeout: 800 })
      await trackAll(client, 1, 5)
      await client.close()
      await assertAllThere(client, sink, 5)
      const [first, ...others] = idsOf(sink)
      assert.strictEqual(first?.length, 10)
      assert.deepStrictEqual(others, [first, first, first])
      assert.deepStrictEqual(
        sink.requests.map(({ headers }) => headers["x-retry-count"]),
        [undefined, "1", "2", "3"]
      )
    })
  )

  it.each(eachFace)("H16 by a timeout takes no notice of an answer that comes late: %s", async (_, face) =>
    withSink({}, async (sink) => {
      // The first answer is on its way when the second request is out; a batch that it could be taken for waits.
      sink.respond({ status: 200, delay: 1_100 }, { status: 503, delay: 300 })
      const client = await face({ host: sink.host, batchSize: 10, flushInterval: 20, requestTimeout: 800 })
      await trackAll(client, 1, 10)
      assert.deepStrictEqual(await client.close(), { delivered: 20, dropped: 0, rejected: 0, pending: 0 })
      await assertAllThere(client, sink, 10)
      const ids = idsOf(sink)
      assert.deepStrictEqual(ids[1], ids[0])
      assert.deepStrictEqual(ids[2], ids[0])
      const attempts = client.outcomes.map((outcome) => outcome._tag === "Delivered" && outcome.attempts)
      assert.deepStrictEqual(attempts, [3, 1])
    })
  )

  it.each(eachFace)(
    "P21 because its connection is half-open is followed by one on a new connection: %s",
    async (_, face) =>
      withSink({}, async (sink) => {
        const client = await face({ host: sink.host, flushInterval: 20, requestTimeout: 800 })
        await trackAll(client, 1, 5)
        await client.flush()
        // Whether the client keeps its connection or opens one: what it says next, nobody reads.
        sink.blackHole()
        sink.hold()
        await trackAll(client, 6, 10)
        await sink.until(({ swallowed }) => swallowed === 1)
        sink.release()
        const { connections } = sink.totals()
        assert.deepStrictEqual(await client.close(), { delivered: 10, dropped: 0, rejected: 0, pending: 0 })
        await assertAllThere(client, sink, 10)
        assert.isAbove(sink.requests.at(-1)?.connection ?? 0, connections)
        assert.isAtLeast(Number(sink.requests.at(-1)?.headers["x-retry-count"]), 1)
      })
  )

  it("P21 H15 goes on through every kind of broken connection in a row", async () =>
    withSink({}, async (sink) => {
      sink.hold()
      const client = await plain({ host: sink.host, batchSize: 10, requestTimeout: 800 })
      await trackAll(client, 1, 10)
      await sink.until(() => sink.totals().connections === 1)
      sink.release()
      sink.respond("reset before", "close behind", "reset after", "cut", "reset mid")
      await trackAll(client, 11, 40)
      assert.deepStrictEqual(await client.close(), { delivered: 80, dropped: 0, rejected: 0, pending: 0 })
      await assertAllThere(client, sink, 40)
    }))
})

describe("a peer that nobody reaches", options, () => {
  it.each(eachFace)("H6 refuses, and is there again: %s", async (_, face) => {
    const port = await freePort()
    const client = await face({ host: `http://127.0.0.1:${port}`, flushInterval: 20 })
    await trackAll(client, 1, 5)
    await withSink({ port }, async (sink) => {
      assert.deepStrictEqual(await client.close(), { delivered: 10, dropped: 0, rejected: 0, pending: 0 })
      await assertAllThere(client, sink, 5)
    })
  })

  it.each([
    ["no such name", "https://nobody.invalid", ["ENOTFOUND", "EAI_AGAIN", "timeout"]],
    ["no way there", "https://255.255.255.255", ["ENETUNREACH", "EHOSTUNREACH", "EACCES", "EINVAL", "timeout"]]
  ] as const)("H6 is told by its code: %s", async (_, host, codes) => {
    const client = await plain({ host, maxRetries: 1, requestTimeout: 4_000 })
    await client.track("anna", "event 1")
    assert.deepStrictEqual(await client.close(), { delivered: 0, dropped: 1, rejected: 0, pending: 0 })
    const loss = firstLoss(client)
    assert.include(codes, loss?.detail)
    assert.deepStrictEqual([loss?.reason, loss?.attempts, loss?.status], ["retries-exhausted", 2, undefined])
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// Faults that stay
// ---------------------------------------------------------------------------------------------------------------------

describe("a peer that is not the API", options, () => {
  it.each(eachFace)("H11 because it is a captive portal for good gets nothing delivered: %s", async (_, face) =>
    withSink(
      { otherwise: { status: 200, headers: { "content-type": "text/html; charset=utf-8" }, body: "<html>Pay" } },
      async (sink) => {
        const client = await face({ host: sink.host, flushInterval: 20, maxRetries: 1 })
        await trackAll(client, 1, 5)
        assert.deepStrictEqual(await client.close(), { delivered: 0, dropped: 10, rejected: 0, pending: 0 })
        const loss = firstLoss(client)
        assert.deepStrictEqual([loss?.reason, loss?.status, loss?.attempts], ["retries-exhausted", 200, 2])
        assert.include(loss?.detail, "HTML")
      }
    )
  )

  for (const status of [301, 302, 303, 307, 308]) {
    it.each(eachFace)(`H13 because it answers ${status} is not followed, and the loss is told: %s`, async (_, face) =>
      withSink({}, async (elsewhere) =>
        withSink({ otherwise: { status, headers: { location: `${elsewhere.host}/v1/batch` } } }, async (sink) => {
          const client = await face({ host: sink.host, flushInterval: 20 })
          await trackAll(client, 1, 5)
          assert.deepStrictEqual(await client.close(), { delivered: 0, dropped: 10, rejected: 0, pending: 0 })
          const loss = firstLoss(client)
          assert.deepStrictEqual([loss?.reason, loss?.status, loss?.attempts], ["misconfigured", status, 1])
          assert.strictEqual(elsewhere.totals().connections, 0)
          assert.strictEqual(sink.totals().requests, 1)
        })
      )
    )
  }
})

describe("a peer with a certificate", options, () => {
  let certificates: Certificates
  const trusted = Tls.getCACertificates("default")

  beforeAll(async () => {
    certificates = await makeCertificates()
    Tls.setDefaultCACertificates([...trusted, certificates.authority])
  })
  afterAll(() => Tls.setDefaultCACertificates(trusted))

  /** Everything by which other clients are talked into looking away. */
  const pleas = {
    rejectUnauthorized: false,
    insecure: true,
    strictSSL: false,
    verify: false,
    tls: { rejectUnauthorized: false }
  }

  /** The one setting of ours that is near it, and for a layer, which does not ask what else there is, the others too. */
  const begging = (face: Face) => ({ allowInsecureHost: true, ...(face === plain ? {} : pleas) })

  it.each(Object.entries(pleas))("H7 is not looked away from: createAnalytics has no setting %s", (name, value) => {
    const settings = { writeKey: "test-write-key", host: "https://127.0.0.1", [name]: value }
    assert.throws(() => createAnalytics(settings), `${name} is no setting`)
  })

  it.each(eachFace)("H7 that is good gets everything: %s", async (_, face) =>
    withSink({ tls: certificates.good }, async (sink) => {
      const client = await face({ host: sink.host, flushInterval: 20 })
      await trackAll(client, 1, 5)
      assert.deepStrictEqual(await client.close(), { delivered: 10, dropped: 0, rejected: 0, pending: 0 })
      await assertAllThere(client, sink, 5)
    })
  )

  const bad: ReadonlyArray<readonly [keyof Omit<Certificates, "authority" | "good">, string]> = [
    ["expired", "CERT_HAS_EXPIRED"],
    ["notYetValid", "CERT_NOT_YET_VALID"],
    ["otherHost", "ERR_TLS_CERT_ALTNAME_INVALID"],
    ["selfSigned", "DEPTH_ZERO_SELF_SIGNED_CERT"]
  ]

  for (const [kind, code] of bad) {
    it.each(eachFace)(`H7 that is no good (${kind}) gets nothing, and is told as ${code}: %s`, async (_, face) =>
      withSink({ tls: certificates[kind] }, async (sink) => {
        const client = await face({ ...begging(face), host: sink.host, flushInterval: 20, maxRetries: 1 })
        await trackAll(client, 1, 5)
        assert.deepStrictEqual(await client.close(), { delivered: 0, dropped: 10, rejected: 0, pending: 0 })
        const loss = firstLoss(client)
        assert.deepStrictEqual([loss?.reason, loss?.detail, loss?.attempts], ["retries-exhausted", code, 2])
        assert.include(loss?.message, code)
        assert.deepStrictEqual([sink.totals().requests, sink.totals().connections], [0, 2])
      })
    )
  }

  it.each(eachFace)("H7 of a CA that nobody trusts gets nothing: %s", async (_, face) => {
    const strange = await makeCertificates()
    await withSink({ tls: strange.good }, async (sink) => {
      const client = await face({ ...begging(face), host: sink.host, flushInterval: 20, maxRetries: 0 })
      await trackAll(client, 1, 5)
      assert.deepStrictEqual(await client.close(), { delivered: 0, dropped: 10, rejected: 0, pending: 0 })
      assert.include(["UNABLE_TO_VERIFY_LEAF_SIGNATURE", "SELF_SIGNED_CERT_IN_CHAIN"], firstLoss(client)?.detail)
      assert.strictEqual(sink.totals().requests, 0)
    })
  })

  it.each(eachFace)("H7 that speaks no TLS at all gets nothing: %s", async (_, face) =>
    withSink({}, async (sink) => {
      const client = await face({ host: sink.host.replace("http:", "https:"), flushInterval: 20, maxRetries: 0 })
      await trackAll(client, 1, 5)
      assert.deepStrictEqual(await client.close(), { delivered: 0, dropped: 10, rejected: 0, pending: 0 })
      assert.strictEqual(sink.totals().requests, 0)
    })
  )
})
