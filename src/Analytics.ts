/**
 * What a program says: the six calls, a flush, a close; and the layers that wire the rooms below into a client.
 *
 * A call validates, stamps, encodes once and offers to the outbox. It never waits for the network.
 */
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import type * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { type CallError, InvalidCall, type InvalidSetting, PlanViolation } from "./AnalyticsError.ts"
import * as Delivery from "./Delivery.ts"
import * as Enrichment from "./Enrichment.ts"
import * as Json from "./Json.ts"
import * as Message from "./Message.ts"
import { MessageIds } from "./MessageId.ts"
import * as Outbox from "./Outbox.ts"
import * as Outcome from "./Outcome.ts"
import * as Settings from "./Settings.ts"
import * as Time from "./Time.ts"
import * as Transport from "./Transport.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Service interface
// ---------------------------------------------------------------------------------------------------------------------

/** The six calls that name whom they are about. Each resolves when the message is accepted, not when it is delivered. */
export type Calls = {
  readonly [Type in Message.Type]: (call: Message.Calls[Type]) => Effect.Effect<void, CallError>
}

/** The six calls for code that has an identity around it (`Enrichment.withIdentity`), and may leave it out. */
export type IdentifiedCalls = {
  readonly [Type in Message.Type]: (
    call: Message.Anonymous<Message.Calls[Type]>
  ) => Effect.Effect<void, CallError, Enrichment.CurrentIdentity>
}

export interface Service extends Calls {
  /** The same six calls where the identity around them is enough. */
  readonly identified: IdentifiedCalls
  /** Resolves when everything accepted before it is delivered or dropped; says how much of it was. */
  readonly flush: Effect.Effect<Outbox.Flushed>
  /**
   * Takes no more calls, delivers what is there until `closeTimeout`, drops the rest. The end of the layer's scope does
   * the same. Idempotent.
   */
  readonly close: Effect.Effect<Outbox.Flushed>
  /** Counts since the client was made. */
  readonly stats: Effect.Effect<Outcome.Stats>
  /** @internal What every call of this client has to pass: the plans that are around it. */
  readonly checks: ReadonlyArray<Enrichment.Check>
  /**
   * @internal A call of any of the six types: what `TrackingPlan` is made with. It has to pass the checks of the client,
   * unless there are others.
   */
  readonly say: (
    type: Message.Type,
    call: unknown,
    checks?: ReadonlyArray<Enrichment.Check>
  ) => Effect.Effect<void, CallError>
  /**
   * @internal A call without a fiber, for code that is not Effect: at once, and with what has to be told, if anything. It never
   * throws, and never waits: `overflow: "wait"` refuses here. With checks as for `say`.
   */
  readonly callUnsafe: (
    type: Message.Type,
    call: unknown,
    surroundings: Enrichment.Surroundings,
    checks?: ReadonlyArray<Enrichment.Check>
  ) => Outcome.Refused | Outcome.Filtered | Outcome.Dropped | undefined
}

/** Records what users do. */
export class Analytics extends Context.Service<Analytics, Service>()("effect-analytics/Analytics") {}

// ---------------------------------------------------------------------------------------------------------------------
// Options
// ---------------------------------------------------------------------------------------------------------------------

/** What happens to messages between the call and the wire. */
export interface CallOptions {
  /** May change or drop every message before it is encoded. See `Enrichment.Transform`. */
  readonly transform?: Enrichment.Transform | undefined
}

export interface Options extends CallOptions, Outbox.Options, Delivery.Options, Transport.Options {}

// ---------------------------------------------------------------------------------------------------------------------
// Constructor
// ---------------------------------------------------------------------------------------------------------------------

/** A client over the outbox and the transport that are provided. */
export const make = Effect.fnUntraced(function* (
  options: CallOptions & Delivery.Options = {}
): Effect.fn.Return<Service, InvalidSetting, Outbox.Outbox | Transport.Transport | Scope.Scope> {
  const outbox = yield* Outbox.Outbox
  const delivery = yield* Delivery.make(options)
  const tell = yield* Outcome.makeTell
  const clock = yield* Clock.Clock
  const messageIds = yield* MessageIds
  const transform = yield* Settings.read(() => Settings.optionalFunction("transform", options.transform))
  let rejected = 0
  let filtered = 0

  const timestamp = Time.makeIso()

  const validate = (type: Message.Type, data: Json.Data): Message.Wire | InvalidCall =>
    Message.check(type, data) ?? Message.stamp(type, data, clock.currentTimeMillisUnsafe(), timestamp, messageIds)

  /** From the caller's object to a message. Whatever is in it, this does not throw. */
  const prepare: typeof encode = (type, call, surroundings, checks, caller) => {
    try {
      return encode(type, call, surroundings, checks, caller)
    } catch {
      return Message.refuse(type, new Json.Fault("could not be read: it threw", []))
    }
  }

  const encode = (
    type: Message.Type,
    call: unknown,
    surroundings: Enrichment.Surroundings,
    checks: ReadonlyArray<Enrichment.Check>,
    caller: Context.Context<never>
  ): Message.Message | InvalidCall | PlanViolation | Enrichment.Drop => {
    const copied = Json.copy(call)
    const data = Json.isData(copied) ? copied : new Json.Fault("must be an object", [])
    const fault = data instanceof Json.Fault ? data : Enrichment.surround(data, surroundings)
    if (fault !== undefined) return Message.refuse(type, fault)
    const wire = validate(type, data)
    if (wire instanceof InvalidCall) return wire
    const checked = checks.length === 0 ? wire : Enrichment.pass(checks, wire, caller)
    if (checked instanceof PlanViolation || checked instanceof Enrichment.Drop) return checked
    if (transform === undefined) return Message.encode(checked)
    const transformed = Enrichment.apply(transform, checked)
    if (transformed instanceof Enrichment.Drop || transformed instanceof InvalidCall) return transformed
    const changed = validate(type, transformed)
    return changed instanceof InvalidCall ? changed : Message.encode(changed)
  }

  const refuse = (call: Message.Type, error: CallError, message?: Message.Message) => {
    rejected++
    return Outcome.Outcome.Refused({ call, error, message })
  }

  const filter = (call: Message.Type, { reason, violation }: Enrichment.Drop) => {
    filtered++
    return Outcome.Outcome.Filtered({ call, reason, ...(violation === undefined ? {} : { violation }) })
  }

  const callUnsafe: Service["callUnsafe"] = (type, call, surroundings, checks = none) => {
    const message = prepare(type, call, surroundings, checks, Context.empty())
    if (message instanceof InvalidCall || message instanceof PlanViolation) return refuse(type, message)
    if (message instanceof Enrichment.Drop) return filter(type, message)
    const answer = outbox.offerUnsafe(message)
    return answer === undefined || answer._tag === "Dropped" ? answer : refuse(type, answer, message)
  }

  const fail = (refused: Outcome.Refused) => Effect.andThen(tell(refused), Effect.fail(refused.error))

  const say = (type: Message.Type, call: unknown, checks = none) =>
    // Counting and telling are one: who interrupts a call must not come between them. Waiting for room can be.
    Effect.uninterruptible(
      Effect.withFiber<void, CallError>((fiber) => {
        const message = prepare(type, call, Enrichment.surroundings(fiber.context), checks, fiber.context)
        if (message instanceof InvalidCall || message instanceof PlanViolation) return fail(refuse(type, message))
        if (message instanceof Enrichment.Drop) return tell(filter(type, message))
        // Mostly there is room; who has to wait for it, or for a disk, does so in an effect.
        const answer = outbox.lasting === undefined ? outbox.offerUnsafe(message) : "wait"
        if (answer === undefined) return Effect.void
        if (answer !== "wait" && answer._tag === "Dropped") return tell(answer)
        return Effect.catch(outbox.offer(message), (error) => fail(refuse(type, error, message)))
      })
    )

  const calls: Calls = Message.byType((type) => (call: unknown) => say(type, call))

  return {
    ...calls,
    // The same calls: what is different about them is what they ask of the types.
    identified: calls as IdentifiedCalls,
    flush: outbox.flush,
    close: delivery.close,
    stats: Effect.map(outbox.counts, (counts) => ({
      offered: counts.accepted + rejected + filtered,
      delivered: counts.delivered,
      pending: counts.pending,
      dropped: counts.dropped + filtered,
      rejected,
      inFlight: counts.taken,
      pendingBytes: counts.pendingBytes
    })),
    checks: none,
    say,
    callUnsafe
  }
})

const none: ReadonlyArray<Enrichment.Check> = []

// ---------------------------------------------------------------------------------------------------------------------
// Layers
// ---------------------------------------------------------------------------------------------------------------------

/** Over an `Outbox` and a `Transport` of yours. */
export const layerNoDeps = (
  options?: CallOptions & Delivery.Options
): Layer.Layer<Analytics, InvalidSetting, Outbox.Outbox | Transport.Transport> => Layer.effect(Analytics, make(options))

/** In memory, over the `HttpClient` that is provided. Called twice it is two clients; keep it in a constant. */
export const layer = (options: Options): Layer.Layer<Analytics, InvalidSetting, HttpClient.HttpClient> =>
  layerNoDeps(options).pipe(Layer.provide([Outbox.layerMemory(options), Transport.layer(options)]))

/** In memory, over `fetch`. */
export const layerFetch = (options: Options): Layer.Layer<Analytics, InvalidSetting> =>
  Layer.provide(layer(options), FetchHttpClient.layer)

/** With options that are read from the configuration: `layerConfig({ writeKey: Config.Redacted("SEGMENT_KEY") })`. */
export const layerConfig = (
  options: Config.Wrap<Options>
): Layer.Layer<Analytics, Config.ConfigError | InvalidSetting, HttpClient.HttpClient> =>
  Layer.unwrap(Effect.map(Config.unwrap(options), layer))

const optional = <A>(config: Config.Config<A>): Config.Config<A | undefined> =>
  Config.map(Config.option(config), Option.getOrUndefined)

/**
 * With options from the environment: `ANALYTICS_WRITE_KEY`, and if they are set `ANALYTICS_HOST`, `_PATH`, `_REGION`,
 * `_BATCH_SIZE`, `_FLUSH_INTERVAL`, `_MAX_IN_FLIGHT`, `_MAX_QUEUE_SIZE`, `_MAX_QUEUE_BYTES`, `_OVERFLOW`,
 * `_MAX_RETRIES`, `_REQUEST_TIMEOUT`, `_CLOSE_TIMEOUT`, `_GZIP` and `_ALLOW_INSECURE_HOST`. Times are strings such as `10 seconds`.
 */
export const layerFromConfig: Layer.Layer<Analytics, Config.ConfigError | InvalidSetting, HttpClient.HttpClient> =
  /* @__PURE__ */ Layer.suspend(() =>
    layerConfig({
      writeKey: Config.Redacted("ANALYTICS_WRITE_KEY"),
      host: optional(Config.String("ANALYTICS_HOST")),
      path: optional(Config.String("ANALYTICS_PATH")),
      allowInsecureHost: optional(Config.Boolean("ANALYTICS_ALLOW_INSECURE_HOST")),
      region: optional(Config.Literals(["us", "eu"], "ANALYTICS_REGION")),
      batchSize: optional(Config.Int("ANALYTICS_BATCH_SIZE")),
      flushInterval: optional(Config.Duration("ANALYTICS_FLUSH_INTERVAL")),
      maxInFlight: optional(Config.Int("ANALYTICS_MAX_IN_FLIGHT")),
      maxQueueSize: optional(Config.Int("ANALYTICS_MAX_QUEUE_SIZE")),
      maxQueueBytes: optional(Config.Int("ANALYTICS_MAX_QUEUE_BYTES")),
      overflow: optional(Config.Literals(["refuse", "drop-oldest", "wait"], "ANALYTICS_OVERFLOW")),
      maxRetries: optional(Config.Int("ANALYTICS_MAX_RETRIES")),
      requestTimeout: optional(Config.Duration("ANALYTICS_REQUEST_TIMEOUT")),
      closeTimeout: optional(Config.Duration("ANALYTICS_CLOSE_TIMEOUT")),
      gzip: optional(Config.Boolean("ANALYTICS_GZIP"))
    })
  )

/** Everything but the network: batches are answered with success, and logged at debug level. */
export const layerStub = (
  options: Omit<Options, keyof Transport.Options> = {}
): Layer.Layer<Analytics, InvalidSetting> =>
  layerNoDeps(options).pipe(Layer.provide([Outbox.layerMemory(options), Transport.layerStub]))

/** Takes every call, and does nothing with it. */
export const layerNoop: Layer.Layer<Analytics> = Layer.sync(Analytics, () => {
  const nothing = () => Effect.void
  const calls = Message.byType(() => nothing)
  const flushed = Effect.succeed({ delivered: 0, dropped: 0 })
  const stats = { offered: 0, delivered: 0, pending: 0, dropped: 0, rejected: 0, inFlight: 0, pendingBytes: 0 }
  return {
    ...calls,
    identified: calls,
    flush: flushed,
    close: flushed,
    stats: Effect.succeed(stats),
    checks: none,
    say: nothing,
    callUnsafe: () => undefined
  }
})
