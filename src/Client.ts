/**
 * What a program says: the six calls, a flush, a close; over an outbox and a transport, whichever they are.
 *
 * A call validates, stamps, encodes once and offers to the outbox. It never waits for the network.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
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
import type * as Transport from "./Transport.ts"

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
   * Takes no more calls, delivers what is there until `closeTimeout`, drops the rest; an outbox that outlives the process
   * keeps it. The end of the layer's scope does the same. Idempotent.
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
