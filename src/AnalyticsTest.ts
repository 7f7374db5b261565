/**
 * For the tests of programs that use `Analytics`: the real client, with only the wire replaced.
 *
 * The layer checks the client's promise: when its scope ends, every offered message must be accounted for, and every outcome
 * reported, or the test fails.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Analytics from "./Analytics.ts"
import * as FakeServer from "./internal/FakeServer.ts"
import * as MicrotaskScheduler from "./internal/MicrotaskScheduler.ts"
import type * as Message from "./Message.ts"
import * as Notifier from "./Outcome/Notifier.ts"
import type * as Outcome from "./Outcome.ts"
import type * as TrackingPlan from "./TrackingPlan.ts"

export type { Answer, Request } from "./internal/FakeServer.ts"

/** The sent requests, and the script of their answers. @category services @since 0.1.0 */
export class Sent extends Context.Service<
  Sent,
  {
    /** The messages that were answered with 2xx, as they went over the wire. */
    readonly messages: Effect.Effect<ReadonlyArray<Message.Wire>>
    /** The same by batches. */
    readonly batches: Effect.Effect<ReadonlyArray<ReadonlyArray<Message.Wire>>>
    /** Every attempt, with headers and body. */
    readonly requests: Effect.Effect<ReadonlyArray<FakeServer.Request>>
    /** Every outcome. */
    readonly outcomes: Effect.Effect<ReadonlyArray<Outcome.Outcome>>
    /** Answers the next requests: `respond(503, 503, 200)`. After these it is 200 again. */
    readonly respond: (...answers: ReadonlyArray<FakeServer.Answer>) => Effect.Effect<void>
  }
>()("effect-analytics/AnalyticsTest/Sent") {}

/** As for `Analytics.layer`; nothing is needed. @category options @since 0.1.0 */
export type Options = Partial<Analytics.Options>

/**
 * The real client over a recorded wire. Time is the test's: under `TestClock` a retry waits until the test adjusts the clock.
 * `closeTimeout` is 0 by default: messages that a test leaves undelivered are dropped at its end.
 *
 * The timers of JavaScript may be fake: without `gzip`, a `flushInterval` and a scripted delay the layer needs none.
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Analytics from "effect-analytics/Analytics"
 * import * as AnalyticsTest from "effect-analytics/AnalyticsTest"
 *
 * export const test = Effect.gen(function* () {
 *   yield* Analytics.track({ userId: "u1", event: "Order Completed" })
 *   yield* Analytics.flush
 *   const { messages } = yield* AnalyticsTest.Sent
 *   return yield* messages
 * }).pipe(Effect.provide(AnalyticsTest.layer()))
 * ```
 * @category layers @since 0.1.0
 */
export const layer = (options: Options = {}): Layer.Layer<Analytics.Analytics | Sent> =>
  Layer.unwrap(
    Effect.sync(() => {
      const server = new FakeServer.FakeServer()
      const outcomes: Array<Outcome.Outcome> = []
      const sent = Layer.succeed(Sent, {
        messages: Effect.sync(() => server.batches.flat()),
        batches: Effect.sync(() => server.batches),
        requests: Effect.sync(() => [...server.requests]),
        outcomes: Effect.sync(() => [...outcomes]),
        respond: (...answers) => Effect.sync(() => void server.script.push(...answers))
      })
      const recorder = Layer.succeed(Notifier.Recorder, (outcome) => void outcomes.push(outcome))
      const client = Analytics.layer({
        ...options,
        writeKey: options.writeKey ?? Redacted.make("test-write-key"),
        closeTimeout: options.closeTimeout ?? 0
      }).pipe(
        Layer.provide([Layer.succeed(HttpClient.HttpClient, httpClient(server)), recorder, MicrotaskScheduler.layer])
      )
      return Layer.merge(Layer.provideMerge(conservation(outcomes), client), sent)
    })
  )

declare const sentBy: unique symbol

/** The record of a client under a key of its own. @category models @since 0.1.0 */
export interface SentBy<Self> {
  readonly [sentBy]: Self
}

/** For the tests of programs with several clients. @category models @since 0.1.0 */
export interface ClientTest<Self> {
  /** What this client has sent: `yield* MarketingTest.Sent`. */
  readonly Sent: Context.Key<SentBy<Self>, Sent["Service"]>
  /** The client over a wire of its own. */
  readonly layer: (options?: Options) => Layer.Layer<Self | SentBy<Self>>
}

/**
 * The test layer of a client under a key of its own, with a record of its own:
 * `const MarketingTest = AnalyticsTest.forClient(Marketing)`.
 * @category constructors @since 0.1.0
 */
export const forClient = <Self>(client: Context.Key<Self, Analytics.Service>): ClientTest<Self> => {
  // A class would have one key for all clients.
  // @effect-diagnostics-next-line serviceNotAsClass:off
  const OwnSent = Context.Service<SentBy<Self>, Sent["Service"]>(`${client.key}/Sent`)
  return {
    Sent: OwnSent,
    layer: (options) =>
      Layer.effectContext(
        Effect.map(Layer.build(Layer.fresh(layer(options))), (context) =>
          Context.make(client, Context.get(context, Analytics.Analytics)).pipe(
            Context.add(OwnSent, Context.get(context, Sent))
          )
        )
      )
  }
}

/** For the tests of programs with a tracking plan. @category models @since 0.1.0 */
export interface PlanTest<D extends TrackingPlan.Definition> {
  /** The same layer with the plan around the client. There is a `hashKey`, if you give none. */
  readonly layer: (policies?: TrackingPlan.Policies<D>, options?: Options) => Layer.Layer<Analytics.Analytics | Sent>
  /**
   * The properties of every delivered event of this name, as the program knows them. Fields that are marked as `pii` are as
   * they were sent: missing, or the hash. Dies if the rest breaks the plan.
   */
  readonly ofType: <Name extends TrackingPlan.EventName<D>>(
    event: Name
  ) => Effect.Effect<ReadonlyArray<TrackingPlan.Properties<D, Name>>, never, Sent>
}

/**
 * The test layer, typed by a plan.
 *
 * `const ShopTest = AnalyticsTest.forPlan(plan)`, and in a test `yield* ShopTest.ofType("Order Completed")`.
 * @category constructors @since 0.1.0
 */
export const forPlan = <D extends TrackingPlan.Definition>(plan: TrackingPlan.Plan<D>): PlanTest<D> => ({
  layer: (policies, options) =>
    Layer.provideMerge(plan.layer({ hashKey: FakeServer.hashKey, ...policies }), layer(options)),
  ofType: (event) =>
    Effect.gen(function* () {
      const messages = yield* (yield* Sent).messages
      return yield* Effect.orDie(
        Effect.forEach(FakeServer.propertiesOf(messages, event), (properties) => plan.decodeSent(event, properties))
      )
    })
})

/** The wire, as a client without connections. */
const httpClient = (server: FakeServer.FakeServer): HttpClient.HttpClient =>
  HttpClient.make((request) =>
    Effect.gen(function* () {
      const answer = server.answer(request.headers, yield* textOf(request))
      if (answer === "never") return yield* Effect.never
      if (answer === "network error") {
        return yield* new HttpClientError.HttpClientError({ reason: new HttpClientError.TransportError({ request }) })
      }
      if (typeof answer === "object" && answer.delay !== undefined) yield* Effect.sleep(Duration.millis(answer.delay))
      return HttpClientResponse.fromWeb(request, FakeServer.toResponse(answer))
    })
  )

const textOf = ({ body, headers }: HttpClientRequest.HttpClientRequest): Effect.Effect<string> => {
  if (body._tag !== "Uint8Array") return Effect.die(`a body of another kind: ${body._tag}`)
  const bytes = new Uint8Array(body.body)
  // Without compression nothing is awaited: a test under `TestClock` must not depend on real time.
  return headers["content-encoding"] === undefined
    ? Effect.sync(() => new TextDecoder().decode(bytes))
    : Effect.promise(() => FakeServer.toText(bytes, headers["content-encoding"]))
}

/** Closes the client, and compares what was offered with the outcomes. */
const conservation = (outcomes: ReadonlyArray<Outcome.Outcome>) =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const analytics = yield* Analytics.Analytics
      yield* Effect.addFinalizer(() =>
        Effect.gen(function* () {
          yield* analytics.close
          const stats = yield* analytics.stats
          const broken = FakeServer.violation(stats, outcomes)
          if (broken !== undefined) return yield* Effect.die(new Error(`${broken}: ${JSON.stringify(stats)}`))
        })
      )
    })
  )
