/** Real processes, real sockets: what only shows when a program ends. */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Analytics from "../src/Analytics.ts"
import * as SqlOutbox from "../src/SqlOutbox.ts"
import * as Transport from "../src/Transport.ts"
import { directory } from "./durable.ts"
import { patience, run, runWith } from "./programs.ts"
import { peer, type Received } from "./support.ts"

const delivered = (received: ReadonlyArray<Received>): Array<string> =>
  received.flatMap(({ body }) => JSON.parse(body.toString()).batch.map(({ event }: { event: string }) => event))

const numbered = (count: number) => Array.from({ length: count }, (_, n) => `event ${n + 1}`)

const options = { timeout: 2 * patience }

describe("a process", () => {
  it.live(
    "with an idle client ends by itself",
    () =>
      Effect.gen(function* () {
        const { host, received } = yield* peer()
        const ended = yield* run("idle", host, 250)
        assert.deepStrictEqual(ended, {
          code: 0,
          stdout: `{"delivered":250,"dropped":0,"rejected":0,"pending":0}`,
          stderr: ""
        })
        assert.deepStrictEqual(delivered(received), numbered(250))
      }),
    options
  )

  it.live(
    "that made a client and never called it ends by itself",
    () =>
      Effect.gen(function* () {
        const { host, received } = yield* peer()
        assert.deepStrictEqual(yield* run("ends", host, 0), { code: 0, stdout: "", stderr: "" })
        assert.deepStrictEqual(received, [])
      }),
    options
  )

  it.live(
    "with an idle client whose outbox outlives it ends by itself",
    () =>
      Effect.gen(function* () {
        const { host, received } = yield* peer()
        const ended = yield* run("endsDurably", host, 50, yield* directory, "idle")
        assert.deepStrictEqual(ended, { code: 0, stdout: "0", stderr: "" })
        assert.deepStrictEqual(delivered(received), numbered(50))
      }),
    options
  )

  it.live(
    "that flushes lives until another process has delivered its messages",
    () =>
      Effect.gen(function* () {
        const path = yield* directory
        const asked = yield* Deferred.make<void>()
        const answer = yield* Deferred.make<void>()
        const http = HttpClient.make((request) =>
          Effect.gen(function* () {
            yield* Deferred.succeed(asked, undefined)
            yield* Deferred.await(answer)
            return HttpClientResponse.fromWeb(request, new Response(null, { status: 200 }))
          })
        )
        yield* Layer.build(
          Analytics.layerNoDeps().pipe(
            Layer.provideMerge(SqlOutbox.layerSqlite({ directory: path })),
            Layer.provide(Transport.layer({ writeKey: Redacted.make("test-write-key"), host: "http://127.0.0.1:9" })),
            Layer.provide(Layer.succeed(HttpClient.HttpClient, http))
          )
        )
        const program = yield* Effect.forkChild(run("endsDurably", "http://127.0.0.1:9", 1, path, "idle"))
        yield* Deferred.await(asked)
        // Its message is on its way, and its flush has nothing to do but to wait.
        yield* Effect.raceFirst(Fiber.await(program), Effect.sleep("2 seconds"))
        assert.isUndefined(program.pollUnsafe())
        yield* Deferred.succeed(answer, undefined)
        assert.deepStrictEqual(yield* Fiber.join(program), { code: 0, stdout: "0", stderr: "" })
      }),
    options
  )

  it.live(
    "that tracks into an outbox that outlives it, and simply ends, loses nothing",
    () =>
      Effect.gen(function* () {
        const { host, received } = yield* peer()
        const path = yield* directory
        assert.deepStrictEqual(yield* run("endsDurably", host, 50, path), { code: 0, stdout: "", stderr: "" })
        assert.deepStrictEqual(yield* run("endsDurably", host, 0, path, "idle"), { code: 0, stdout: "0", stderr: "" })
        assert.deepStrictEqual([...new Set(delivered(received))], numbered(50))
      }),
    options
  )

  it.live.each([
    {},
    { flushInterval: "2 seconds" },
    { maxInFlight: 3, batchSize: 10 },
    { gzip: false, batchSize: 1, maxInFlight: 5 }
  ])(
    "that tracks and simply ends still delivers all, with %j",
    (settings) =>
      Effect.gen(function* () {
        const { host, received } = yield* peer()
        const ended = yield* run("ends", host, 130, JSON.stringify(settings))
        assert.deepStrictEqual(ended, { code: 0, stdout: "", stderr: "" })
        assert.deepStrictEqual(delivered(received).toSorted(), numbered(130).toSorted())
      }),
    options
  )

  it.live(
    "that simply ends waits for a retry as well",
    () =>
      Effect.gen(function* () {
        let requests = 0
        const { host, received } = yield* peer((response) => {
          response.writeHead(requests++ < 2 ? 503 : 200).end()
        })
        const ended = yield* run("ends", host, 3, JSON.stringify({ flushInterval: 50 }))
        assert.deepStrictEqual(ended, { code: 0, stdout: "", stderr: "" })
        assert.deepStrictEqual(delivered(received.slice(-1)), numbered(3))
        assert.deepStrictEqual(
          received.map(({ headers }) => headers["x-retry-count"]),
          [undefined, "1", "2"]
        )
      }),
    options
  )

  it.live.each([
    ["nobody is there", () => Effect.scoped(peer())],
    ["the API limits the rate", () => peer((response) => void response.writeHead(429, { "retry-after": "300" }).end())]
  ] as const)(
    "that simply ends waits for a retry no longer than a close would take, when %s",
    ([, start]) =>
      Effect.gen(function* () {
        const { host } = yield* start()
        const ended = yield* run("ends", host, 3, JSON.stringify({ closeTimeout: 1_000 }))
        assert.strictEqual(ended.code, 0)
      }),
    options
  )

  it.live(
    "that simply ends waits no longer than a close would take for a limit that is renewed again and again",
    () =>
      Effect.gen(function* () {
        const { host, received } = yield* peer((response) => void response.writeHead(429, { "retry-after": "1" }).end())
        const ended = yield* run("ends", host, 3, JSON.stringify({ closeTimeout: 1_500 }))
        assert.strictEqual(ended.code, 0)
        // At once, and after a second; the next one is due when the time is over.
        assert.isAtMost(received.length, 2)
      }),
    options
  )

  it.live(
    "P5 closes within its deadline when the peer never answers, and says what it had to leave",
    () =>
      Effect.gen(function* () {
        const { host, received } = yield* peer(() => {})
        const ended = yield* run("closes", host, 150, 300)
        assert.strictEqual(ended.code, 0, ended.stderr)
        const left = { delivered: 0, dropped: 150, lost: 150, reasons: ["closed"] }
        assert.deepStrictEqual(JSON.parse(ended.stdout), left)
        assert.strictEqual(received.length, 1)
      }),
    options
  )

  it.live(
    "P5 closes within its deadline when nobody is there",
    () =>
      Effect.gen(function* () {
        const { host } = yield* Effect.scoped(peer())
        const ended = yield* run("closes", host, 10, 300)
        const left = { delivered: 0, dropped: 10, lost: 10, reasons: ["closed"] }
        assert.deepStrictEqual([ended.code, JSON.parse(ended.stdout)], [0, left])
      }),
    options
  )

  it.live(
    "of Effect delivers at the end of its scope, an open window included",
    () =>
      Effect.gen(function* () {
        const { host, received } = yield* peer()
        assert.deepStrictEqual(yield* run("layers", host, 130), { code: 0, stdout: "", stderr: "" })
        assert.deepStrictEqual(delivered(received), numbered(130))
      }),
    options
  )

  it.live.each(["unused", "used"])(
    "keeps nothing of %s clients that nobody closes and nobody holds; the depth of the queues is the sum of the others",
    (use) =>
      Effect.gen(function* () {
        const { code, stderr, stdout } = yield* runWith(["--expose-gc"], "forgets", use)
        assert.deepStrictEqual([code, stderr], [0, ""])
        const { depths, kilobytes, pending } = JSON.parse(stdout)
        assert.deepStrictEqual({ depths, pending }, { depths: [6, 6], pending: [3, 3] })
        // A client that stays takes more than 50.
        assert.isBelow(kilobytes, 25)
      }),
    options
  )
})
