/**
 * A Tracking API on the developer's own machine. It answers as the real one does, and records for every message whether it
 * would be delivered, and if not, why.
 *
 * Any SDK that speaks Segment's Tracking API can send to it: `/v1/batch`, `/v1/import` and the six single calls, with the
 * write key as Basic user, as Bearer token or in the body, plain or gzip. On request it answers with faults. `Debugger`
 * puts a page in front of it. It listens on loopback unless asked for more, and is not meant for production.
 */
import { randomBytes } from "node:crypto"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerError from "effect/http/HttpServerError"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as PubSub from "effect/PubSub"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Answer } from "./Collector/Answer.ts"
import * as Guard from "./Collector/Guard.ts"
import { type Change, Journal } from "./Collector/Journal.ts"
import type { Coverage, Received, Request, Totals } from "./Collector/Received.ts"
import * as Routes from "./Collector/Routes.ts"
import * as Server from "./Collector/Server.ts"
import { Sources } from "./Collector/Sources.ts"
import * as Settings from "./Settings.ts"
import type { AnyPlan } from "./TrackingPlan/check/Plan.ts"

export type { Answer } from "./Collector/Answer.ts"
export type { Change } from "./Collector/Journal.ts"
export { judge } from "./Collector/Judge.ts"
export type { Coverage, Problem, Received, Request, Seen, Totals, Verdict } from "./Collector/Received.ts"
export type { Facts } from "./Collector/Routes.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Service
// ---------------------------------------------------------------------------------------------------------------------

/** The Tracking API of the collector, in scope. @category services @since 0.1.0 */
export class Collector extends Context.Service<
  Collector,
  {
    /** What an SDK is given as host: `http://127.0.0.1:8686`. */
    readonly url: string
    /** The messages that are kept, oldest first. */
    readonly messages: Effect.Effect<ReadonlyArray<Received>>
    /** The requests that are kept, oldest first. */
    readonly requests: Effect.Effect<ReadonlyArray<Request>>
    /** The message with this id; `undefined` if it is not kept. */
    readonly message: (id: number) => Effect.Effect<Received | undefined>
    /** The request with this id; `undefined` if it is not kept. */
    readonly request: (id: number) => Effect.Effect<Request | undefined>
    /** Counts since the start or the last `clear`: of everything, kept or not. */
    readonly totals: Effect.Effect<Totals>
    /** Messages that arrive from now on. A reader that is too slow misses what leaves the memory in between. */
    readonly stream: Stream.Stream<Received>
    /** What is kept, as a first change with `reset`, and then everything as it happens. */
    readonly changes: Stream.Stream<Change>
    /** Forgets everything, ids of duplicates included. The fault script stays. */
    readonly clear: Effect.Effect<void>
    /** Answers the next requests like this, in order; then as `otherwise` says. */
    readonly respond: (...answers: ReadonlyArray<Answer>) => Effect.Effect<void>
    /** Checks the kept messages and all later ones against this plan; `undefined` removes the plan. */
    readonly loadPlan: (plan: AnyPlan | undefined) => Effect.Effect<void>
    /** What was seen of the plan; `undefined` if none is loaded. */
    readonly coverage: Effect.Effect<Coverage | undefined>
  }
>()("effect-analytics/Collector") {}

// ---------------------------------------------------------------------------------------------------------------------
// Options
// ---------------------------------------------------------------------------------------------------------------------

/** The options of a collector. @category options @since 0.1.0 */
export interface Options {
  /** @default any that is free */
  readonly port?: number | undefined
  /** The address to listen on. One that is not loopback needs a `token`. @default "127.0.0.1" */
  readonly host?: string | undefined
  /** The token that the routes of the debugger require: at least 16 characters. @default a random one for each start */
  readonly token?: Redacted.Redacted<string> | undefined
  /** Further `Host` headers, with port, as they are sent: `"host.docker.internal:8686"`. @default none */
  readonly allowedHosts?: ReadonlyArray<string> | undefined
  /** Origins whose pages may send events: `"http://localhost:3000"`. @default none */
  readonly allowedOrigins?: ReadonlyArray<string> | undefined
  /** The write keys that are taken; another one is answered 401. @default any */
  readonly writeKeys?: ReadonlyArray<Redacted.Redacted<string>> | undefined
  /** Every message is checked against it. @default none */
  readonly plan?: AnyPlan | undefined
  /** How many messages are kept. @default 10_000 */
  readonly maxMessages?: number | undefined
  /** How many bytes of messages and headers are kept. @default 64 MiB */
  readonly maxBytes?: number | undefined
  /** How requests are answered when the script of `respond` is over. @default 200 */
  readonly otherwise?: Answer | ((facts: Routes.Facts) => Answer) | undefined
  /** Whether it may start where `NODE_ENV` is `production`. @default false */
  readonly allowProduction?: boolean | undefined
}

const defaults = { port: 0, maxMessages: 10_000, maxBytes: 64 * 1024 * 1024 } as const

const Numbers = /* @__PURE__ */ Schema.Struct({
  port: Schema.optional(Settings.wholeNumber(0, 65_535)),
  maxMessages: Schema.optional(Settings.wholeNumber(1, 1_000_000)),
  maxBytes: Schema.optional(Settings.wholeNumber(1, 4 * 1024 ** 3))
})

const loopback = /^(localhost|127(\.\d{1,3}){3}|::1)$/

/** @internal The options with their defaults. */
export interface Checked {
  readonly host: string
  readonly port: number
  readonly token: Redacted.Redacted<string>
  readonly maxMessages: number
  readonly maxBytes: number
  readonly options: Options
}

/** @internal Fails with the first option that cannot work. */
export const check = (options: Options): Effect.Effect<Checked> =>
  Effect.flatMap(Effect.orDie(Config.String("NODE_ENV").pipe(Config.withDefault(""))), (environment) =>
    Effect.sync(() => {
      if (environment === "production" && options.allowProduction !== true) {
        return Settings.invalid("allowProduction", "must be true to start a collector where NODE_ENV is production")
      }
      const host = (options.host ?? "127.0.0.1").replace(/^\[(.*)\]$/, "$1")
      const token = options.token && Redacted.value(options.token)
      if (token !== undefined && !/^[\x21-\x7e]{16,}$/.test(token)) {
        return Settings.invalid("token", "must be at least 16 characters of printable ASCII without spaces")
      }
      if (!loopback.test(host) && token === undefined) {
        return Settings.invalid("host", "must be a loopback address, or there must be a token")
      }
      return {
        host,
        ...Settings.read(Numbers, options, defaults),
        token: options.token ?? Redacted.make(randomBytes(24).toString("base64url")),
        options
      }
    })
  )

// ---------------------------------------------------------------------------------------------------------------------
// Constructor
// ---------------------------------------------------------------------------------------------------------------------

/** Adds the routes of the Tracking API to the router. */
const make = Effect.fnUntraced(function* (url: string, options: Options, reset: Routes.Parts["reset"]) {
  const { otherwise = 200 } = options
  const journal = new Journal({
    maxMessages: options.maxMessages ?? defaults.maxMessages,
    maxBytes: options.maxBytes ?? defaults.maxBytes,
    plan: options.plan
  })
  const script: Array<Answer> = []
  // A signal, without content: a reader fetches everything that is new at once, so one pending signal is enough.
  const ticks = yield* PubSub.sliding<void>(1)
  const changed = () => void PubSub.publishUnsafe(ticks, undefined)

  yield* Routes.install({
    journal,
    sources: new Sources(),
    writeKeys: options.writeKeys && new Set(options.writeKeys.map(Redacted.value)),
    origins: new Set(options.allowedOrigins),
    next: () => script.shift(),
    otherwise: typeof otherwise === "function" ? otherwise : () => otherwise,
    changed,
    reset
  })

  /** Everything after a cursor, live. */
  const changesFrom = (start: () => ReturnType<Journal["since"]>[0]): Stream.Stream<Change> =>
    Stream.unwrap(
      Effect.map(PubSub.subscribe(ticks), (subscription) => {
        let cursor = start()
        return Stream.concat(Stream.succeed(undefined), Stream.fromSubscription(subscription)).pipe(
          Stream.map(() => {
            const [next, change] = journal.since(cursor)
            cursor = next
            return change
          }),
          Stream.filter(({ messages, requests, reset }) => reset || messages.length > 0 || requests.length > 0)
        )
      })
    )
  const change = (action: () => void) =>
    Effect.sync(() => {
      action()
      changed()
    })

  return Collector.of({
    url,
    messages: Effect.sync(() => journal.allMessages),
    requests: Effect.sync(() => journal.allRequests),
    message: (id) => Effect.sync(() => journal.message(id)),
    request: (id) => Effect.sync(() => journal.request(id)),
    totals: Effect.sync(() => journal.totals),
    stream: Stream.suspend(() => {
      let { message: last } = journal.cursor
      return changesFrom(() => journal.cursor).pipe(
        Stream.flatMap(({ messages }) => {
          // A change with a reset brings again what is kept.
          const fresh = messages.filter(({ id }) => id > last)
          last = fresh.at(-1)?.id ?? last
          return Stream.fromIterable(fresh)
        })
      )
    }),
    changes: changesFrom(() => ({ epoch: 0, message: 0, request: 0 })),
    clear: change(() => journal.clear()),
    respond: (...answers) => Effect.sync(() => void script.push(...answers)),
    loadPlan: (plan) => change(() => journal.loadPlan(plan)),
    coverage: Effect.sync(() => journal.coverage)
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// Layers
// ---------------------------------------------------------------------------------------------------------------------

/** @internal Serves the collector, and with it the routes that `extra` adds. */
export const layerWith = <A>(
  { host, options, port, token }: Checked,
  extra: (parts: {
    readonly url: string
    readonly token: Redacted.Redacted<string>
  }) => Layer.Layer<A, never, Collector | HttpRouter.HttpRouter>
): Layer.Layer<A | Collector, HttpServerError.ServeError> =>
  Server.serve(
    Layer.unwrap(
      Effect.gen(function* () {
        const { address } = yield* HttpServer.HttpServer
        // A server that listens on all addresses is reached by the loopback one.
        const url = HttpServer.formatAddress(address).replace("//0.0.0.0", "//127.0.0.1").replace("//[::]", "//[::1]")
        const bound = Number(new URL(url).port || 80)
        yield* Guard.install(Guard.hostsOf(host, bound, options.allowedHosts ?? []))
        return Layer.provideMerge(extra({ url, token }), Layer.effect(Collector, make(url, options, Server.reset)))
      })
    ),
    { host, port }
  )

/**
 * A collector that listens for as long as the scope lasts. Needs `@effect/platform-node` to be installed.
 *
 * Fails with an `InvalidSetting`, or with a `ServeError` where the port is taken.
 * @category layers @since 0.1.0
 */
export const layer = (options: Options = {}): Layer.Layer<Collector, HttpServerError.ServeError> =>
  Layer.unwrap(Effect.map(check(options), (checked) => layerWith(checked, () => Layer.empty)))

/** What a test gives its client as host. */
const testUrl = "http://collector.test"

/**
 * A collector without a server, for tests: the `HttpClient` that it provides hands every request to it, whatever the host.
 * It opens no port, and delays of answers follow the test's clock.
 *
 * `Analytics.layer({ writeKey }).pipe(Layer.provideMerge(Collector.layerTest()))`
 * @category layers @since 0.1.0
 */
export const layerTest = (
  options: Pick<Options, "writeKeys" | "plan" | "maxMessages" | "maxBytes" | "otherwise"> = {}
): Layer.Layer<Collector | HttpClient.HttpClient> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const collector = yield* make(testUrl, options, () => Effect.die(brokenConnection))
      const router = yield* HttpRouter.HttpRouter
      // Failures of handlers become responses in `clientOf`.
      // @effect-diagnostics-next-line anyUnknownInErrorContext:off
      const client = clientOf(router.asHttpEffect())
      return Context.make(Collector, collector).pipe(Context.add(HttpClient.HttpClient, client))
    })
  ).pipe(Layer.provide(HttpRouter.layer))

/** The request as a server sees it. Its body is there at once: a test under `TestClock` must not depend on real time. */
const serverRequestOf = (request: HttpClientRequest.HttpClientRequest): HttpServerRequest.HttpServerRequest => {
  const { body } = request
  const received = HttpServerRequest.fromClientRequest(request)
  return body._tag === "Uint8Array"
    ? Object.defineProperty(received, "arrayBuffer", { value: Effect.sync(() => new Uint8Array(body.body).buffer) })
    : received
}

/** The defect that stands for a reset connection. */
const brokenConnection = new Error("The connection was reset")

const clientOf = (
  app: Effect.Effect<HttpServerResponse.HttpServerResponse, unknown, HttpServerRequest.HttpServerRequest | Scope.Scope>
): HttpClient.HttpClient =>
  HttpClient.make((request) =>
    // @effect-diagnostics-next-line anyUnknownInErrorContext:off
    app.pipe(
      Effect.provideService(HttpServerRequest.HttpServerRequest, serverRequestOf(request)),
      Effect.scoped,
      Effect.catchCause((cause) => {
        const isReset = cause.reasons.some((reason) => reason._tag === "Die" && reason.defect === brokenConnection)
        return isReset
          ? Effect.fail(
              new HttpClientError.HttpClientError({
                reason: new HttpClientError.TransportError({ request, cause: brokenConnection })
              })
            )
          : Effect.map(HttpServerError.causeResponse(cause), ([response]) => response)
      }),
      Effect.map((response) => HttpServerResponse.toClientResponse(response, { request }))
    )
  )
