/** What several test files say. */
import * as Http from "node:http"
import type { AddressInfo, Socket } from "node:net"
import { assert } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import * as References from "effect/References"
import * as TestClock from "effect/testing/TestClock"
import * as Analytics from "../src/Analytics.ts"
import * as AnalyticsTest from "../src/AnalyticsTest.ts"
import * as Message from "../src/Message.ts"
import * as Observer from "../src/Observer.ts"
import type * as Outcome from "../src/Outcome.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Time and chance
// ---------------------------------------------------------------------------------------------------------------------

/** Lets every fiber go on until it waits for something: time, an answer, a message. Takes no time. */
export const breathe = Effect.repeat(Effect.yieldNow, { times: 100 })

/** Lets time pass, and everything happen that was waiting for it. */
export const pass = (time: Duration.Input) => Effect.andThen(Effect.andThen(breathe, TestClock.adjust(time)), breathe)

/** Lets a long time pass in steps, so that what waits again and again is seen to do so. */
export const elapse = (time: Duration.Input, step: Duration.Input) => {
  const millis = (input: Duration.Input) => Duration.toMillis(Duration.fromInputUnsafe(input))
  const steps = Effect.repeat(TestClock.adjust(step), { times: Math.ceil(millis(time) / millis(step)) - 1 })
  return Effect.andThen(Effect.andThen(breathe, steps), breathe)
}

/** A chance that always comes out the same. */
export const chance = (value: number) =>
  Layer.succeed(Random.Random, { nextDoubleUnsafe: () => value, nextIntUnsafe: () => Math.floor(value * 1_000) })

// ---------------------------------------------------------------------------------------------------------------------
// Messages
// ---------------------------------------------------------------------------------------------------------------------

/** Tracks "event 1", "event 2", … for one user. */
export const trackMany = Effect.fnUntraced(function* (from: number, to: number) {
  const analytics = yield* Analytics.Analytics
  for (let n = from; n <= to; n++) yield* analytics.track({ userId: "u1", event: `event ${n}` })
})

export const numbered = (from: number, to: number): Array<string> =>
  Array.from({ length: to - from + 1 }, (_, n) => `event ${from + n}`)

/** A message of so many bytes, or of those that it takes. */
export const message = (event: string, bytes?: number): Message.Message => {
  const encode = (padding: string) =>
    Message.encode({
      type: "track",
      messageId: `id of ${event}`,
      timestamp: "2026-01-02T03:04:05.678Z",
      userId: "u1",
      event,
      properties: { padding },
      context: {}
    })
  const small = encode("")
  const made = small instanceof Message.Message && bytes !== undefined ? encode("x".repeat(bytes - small.bytes)) : small
  if (!(made instanceof Message.Message)) throw made
  return made
}

export const messages = (from: number, to: number): Array<Message.Message> =>
  numbered(from, to).map((event) => message(event))

export const eventOf = (wire: Message.Wire): string => (wire.type === "track" ? wire.event : wire.type)

// ---------------------------------------------------------------------------------------------------------------------
// What was sent
// ---------------------------------------------------------------------------------------------------------------------

/** How many messages each delivered batch had. */
export const sizes = AnalyticsTest.Sent.use((sent) => Effect.map(sent.batches, (all) => all.map((one) => one.length)))

/** The events of the delivered messages. */
export const events = AnalyticsTest.Sent.use((sent) => Effect.map(sent.messages, (all) => all.map(eventOf)))

/** When each attempt left, in milliseconds. */
export const attemptedAt = AnalyticsTest.Sent.use((sent) =>
  Effect.map(sent.requests, (all) => all.map(({ body }) => Date.parse(body.sentAt)))
)

/** The losses that the observer was told: why, and of how many messages. */
export const losses = AnalyticsTest.Sent.use((sent) => Effect.map(sent.outcomes, lossesOf))

export const lossesOf = (outcomes: ReadonlyArray<Outcome.Outcome>) =>
  outcomes.flatMap((outcome) =>
    outcome._tag === "Dropped" ? [[outcome.error.reason, outcome.messages.length] as const] : []
  )

// ---------------------------------------------------------------------------------------------------------------------
// A wire that judges
// ---------------------------------------------------------------------------------------------------------------------

/** What a wire was asked that answers by what it is sent. */
export class Judged extends Context.Service<
  Judged,
  {
    /** The events of every request, and the status that it was answered with. */
    readonly requests: Array<{
      readonly events: ReadonlyArray<string>
      readonly bytes: number
      readonly status: number
    }>
    /** The outcomes that the observer was told. */
    readonly outcomes: Array<Outcome.Outcome>
    /** The events that were answered with 2xx. */
    readonly taken: () => ReadonlyArray<string>
  }
>()("test/Judged") {}

/** The real client over a wire that looks at each request and answers with a status. Holds it to the same law. */
export const layerJudged = (
  judge: (events: ReadonlyArray<string>, bytes: number, request: number) => number,
  options: AnalyticsTest.Options = {}
) => {
  const requests: Judged["Service"]["requests"] = []
  const outcomes: Array<Outcome.Outcome> = []
  const client = HttpClient.make((request) =>
    Effect.sync(() => {
      const body = request.body._tag === "Uint8Array" ? request.body.body : new Uint8Array()
      const { batch } = JSON.parse(new TextDecoder().decode(body)) as Message.Request
      const events = batch.map(eventOf)
      const status = judge(events, body.byteLength, requests.length + 1)
      requests.push({ events, bytes: body.byteLength, status })
      return HttpClientResponse.fromWeb(request, new Response(null, { status }))
    })
  )
  const law = Layer.effectDiscard(
    Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      yield* Effect.addFinalizer(() =>
        Effect.gen(function* () {
          yield* analytics.close
          const { delivered, dropped, offered, pending, rejected } = yield* analytics.stats
          assert.deepStrictEqual([offered, pending], [delivered + dropped + rejected, 0])
          const ended = outcomes.flatMap((outcome) => ("messages" in outcome ? outcome.messages : []))
          assert.strictEqual(new Set(ended).size, ended.length)
          assert.strictEqual(ended.length, delivered + dropped)
        })
      )
    })
  )
  return law.pipe(
    Layer.provideMerge(Analytics.layer({ writeKey: Redacted.make("test-write-key"), closeTimeout: 0, ...options })),
    Layer.provide(Layer.succeed(HttpClient.HttpClient, client)),
    Layer.provide(Observer.layer((outcome) => Effect.sync(() => void outcomes.push(outcome)))),
    Layer.merge(
      Layer.succeed(Judged, {
        requests,
        outcomes,
        taken: () => requests.flatMap(({ events, status }) => (status < 300 ? events : []))
      })
    )
  )
}

// ---------------------------------------------------------------------------------------------------------------------
// Logs
// ---------------------------------------------------------------------------------------------------------------------

export interface Line {
  readonly level: string
  readonly text: string
  readonly annotations: Readonly<Record<string, unknown>>
}

/** Keeps what is logged, at every level, instead of printing it. */
export const layerLog = (lines: Array<Line>): Layer.Layer<never> =>
  Layer.merge(
    Logger.layer([
      Logger.make<unknown, void>(({ cause, fiber, logLevel, message }) => {
        const text = [message, ...cause.reasons].flat().map(String).join(" ")
        lines.push({ level: logLevel, text, annotations: fiber.getRef(References.CurrentLogAnnotations) })
      })
    ]),
    Layer.succeed(References.MinimumLogLevel, "All")
  )

// ---------------------------------------------------------------------------------------------------------------------
// Real sockets
// ---------------------------------------------------------------------------------------------------------------------

/** A request that a real server got. */
export interface Received {
  readonly method: string | undefined
  readonly url: string | undefined
  readonly headers: Http.IncomingHttpHeaders
  readonly body: Buffer
}

export interface Peer {
  readonly host: string
  readonly port: number
  readonly received: Array<Received>
  /** Resolves when so many requests were received. */
  readonly until: (requests: number) => Promise<void>
  /** Resolves when no connection is open. */
  readonly quiet: () => Promise<void>
}

/** A real HTTP server on loopback, for as long as the scope lasts. */
export const peer = (
  answer: (response: Http.ServerResponse, request: Received, socket: Socket) => void = (response) =>
    void response.writeHead(200, { "content-type": "application/json" }).end(`{"success":true}`)
) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly server: Http.Server; readonly peer: Peer }>((resume) => {
      const received: Array<Received> = []
      const sockets = new Set<Socket>()
      const watchers = new Set<() => void>()
      const look = () => {
        for (const watcher of watchers) watcher()
      }
      const when = (condition: () => boolean) =>
        new Promise<void>((resolve) => {
          const watcher = () => {
            if (!condition()) return
            watchers.delete(watcher)
            resolve()
          }
          watchers.add(watcher)
          watcher()
        })
      const server = Http.createServer((request, response) => {
        const chunks: Array<Buffer> = []
        request.on("data", (chunk: Buffer) => chunks.push(chunk))
        request.on("end", () => {
          const { headers, method, url } = request
          const one = { method, url, headers, body: Buffer.concat(chunks) }
          received.push(one)
          answer(response, one, request.socket)
          look()
        })
      })
      server.on("connection", (socket) => {
        sockets.add(socket)
        socket.on("error", () => {})
        socket.on("close", () => {
          sockets.delete(socket)
          look()
        })
      })
      server.listen(0, "127.0.0.1", () => {
        const { port } = server.address() as AddressInfo
        resume(
          Effect.succeed({
            server,
            peer: {
              host: `http://127.0.0.1:${port}`,
              port,
              received,
              until: (requests) => when(() => received.length >= requests),
              quiet: () => when(() => sockets.size === 0)
            }
          })
        )
      })
    }),
    ({ server }) =>
      Effect.sync(() => {
        server.close()
        server.closeAllConnections()
      })
  ).pipe(Effect.map(({ peer }) => peer))
