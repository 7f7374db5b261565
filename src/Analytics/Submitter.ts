/**
 * The way of a call into the outbox: copy, context, Schema, stamp, checks, transform, encode, enqueue. Plans and the plain face
 * share it with the `Analytics` service; programs never see it.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { AnalyticsError, type CallError, InvalidCall, type PlanViolation } from "../AnalyticsError.ts"
import * as CallCheck from "../Call/CallCheck.ts"
import * as CallFault from "../Call/CallFault.ts"
import { slipsOf } from "../Call/Slips.ts"
import type * as Call from "../Call.ts"
import type * as CallTypes from "../CallTypes.ts"
import type * as Delivery from "../Delivery.ts"
import * as Enrichment from "../Enrichment.ts"
import { textOf } from "../internal/Callback.ts"
import * as Json from "../internal/Json.ts"
import { isLogging, log } from "../internal/Log.ts"
import * as SpanLinks from "../internal/SpanLinks.ts"
import * as Time from "../internal/Time.ts"
import * as Message from "../Message.ts"
import { MessageIds } from "../MessageId.ts"
import * as Outbox from "../Outbox.ts"
import * as Notifier from "../Outcome/Notifier.ts"
import * as Outcome from "../Outcome.ts"
import * as Settings from "../Settings.ts"
import * as Transform from "../Transform.ts"
import * as Check from "./Check.ts"
import type { Verification } from "./Verification.ts"

export interface Options {
  /** May change or drop every message before it is encoded. See `Transform.Transform`. */
  readonly transform?: Transform.Transform | undefined
  /** The context under every call, key by key at the top level: `{ app: { name: "shop" } }`. */
  readonly context?: CallTypes.ContextFields | undefined
  /** Adds the span in which a call is made to its context, as `traceparent` of W3C Trace Context. @default false */
  readonly traceparent?: boolean | undefined
  /** The integrations under every call, key by key: `{ All: false, Mixpanel: true }`. */
  readonly integrations?: CallTypes.Integrations | undefined
}

/** The answer to a flush or a close. @category models @since 0.1.0 */
export interface Summary {
  /** Messages that were accepted before and are delivered. */
  readonly delivered: number
  /** Messages that were accepted before and are lost, each for a reported reason. */
  readonly dropped: number
  /** Calls that were not accepted, since the last flush. */
  readonly rejected: number
  /** Messages that were accepted before and are not settled: the timeout came first, or a durable outbox keeps them. */
  readonly pending: number
}

/** The rest of a call that was not simply accepted. */
export interface Submission {
  /** The reason why the call was not accepted, if it was not. */
  readonly error: CallError | undefined
  /** What an observer that takes time has left to do. */
  readonly notification: Effect.Effect<void> | undefined
}

/** Two evaluations of the package in one process understand each other if their versions are equal. */
export const version = 1

export interface Submitter {
  readonly version: typeof version
  /** The checks that every call of this client has to pass. */
  readonly checks: ReadonlyArray<Check.Check>
  /** A call of any type. It has to pass `checks`: those of the client, unless others are given. */
  readonly submit: (
    type: Call.Type,
    call: unknown,
    options?: {
      readonly checks?: ReadonlyArray<Check.Check> | undefined
      readonly overflow?: Outbox.Overflow | undefined
      /** Gets the message before it is enqueued. */
      readonly onMessage?: ((message: Message.Message) => void) | undefined
    }
  ) => Effect.Effect<void, AnalyticsError>
  /** The same at once, without a fiber. It never throws and never waits: `overflow: "wait"` refuses here. */
  readonly submitUnsafe: (
    type: Call.Type,
    call: unknown,
    callContext: Enrichment.CallContext,
    isNested: boolean,
    checks?: ReadonlyArray<Check.Check>
  ) => Submission | undefined
  readonly onEnd: Outbox.Outbox["Service"]["onEnd"]
  /** There if another process may settle what this client accepts. */
  readonly stateOf?: Outbox.Durable["stateOf"] | undefined
  /** Waits for everything accepted before it, at most for `timeout` milliseconds. */
  readonly flush: (timeout?: number | undefined) => Effect.Effect<Summary>
  /** Ends the client, at most in `timeout` milliseconds instead of `closeTimeout`. */
  readonly close: (timeout?: number | undefined) => Effect.Effect<Summary>
  /** Sends one message past the outbox. Absent for a service of the program's own. */
  readonly verify?: Effect.Effect<Verification>
}

// ---------------------------------------------------------------------------------------------------------------------
// Constructor
// ---------------------------------------------------------------------------------------------------------------------

const Switch = /* @__PURE__ */ Schema.Struct({ traceparent: Schema.optional(Settings.Flag) })

const settings = ({ context, integrations, traceparent, transform }: Options) =>
  Effect.sync(() => ({
    contextOf: Settings.read(Switch, { traceparent }).traceparent
      ? (context: Context.Context<never>) => Enrichment.withTraceparent(Enrichment.currentContext(context), context)
      : Enrichment.currentContext,
    transform: Settings.optionalFunction("transform", transform),
    defaults: { context: copyOf("context", context), integrations: copyOf("integrations", integrations) }
  }))

const copyOf = (setting: "context" | "integrations", value: Call.Data | undefined): Call.Data | undefined => {
  const copied = Json.copy(value)
  if (Json.isJsonError(copied)) return Settings.invalid(setting, copied.problem)
  return copied === undefined || Json.isData(copied) ? copied : Settings.invalid(setting, "must be an object")
}

/** The submitter over an outbox and a delivery, with the counts of the calls that it did not accept. */
export const make = Effect.fnUntraced(function* (
  options: Options,
  delivery: Delivery.Delivery
): Effect.fn.Return<Submitter & { readonly stats: Effect.Effect<Outcome.Stats> }, never, Outbox.Outbox> {
  const { contextOf, defaults, transform } = yield* settings(options)
  const outbox = yield* Outbox.Outbox
  const notifier = yield* Notifier.make
  const clock = yield* Clock.Clock
  const messageIds = yield* MessageIds
  const runLog = Effect.runSyncExitWith(yield* Effect.context<never>())
  const timestamp = Time.makeIso()
  const none: ReadonlyArray<Check.Check> = []
  let rejected = 0
  let filtered = 0
  let reported = 0
  let isTransforming = false

  const warned = new Set<string>()
  /** Logs a slip that the API would not notice, once. */
  const warnOnce = (line: string) => {
    if (warned.size >= 100 || warned.has(line)) return
    warned.add(line)
    runLog(log("Warn", line))
  }
  const transformThrew = (cause: unknown) => {
    if (warned.has("transform")) return
    warned.add("transform")
    runLog(log("Error", `transform threw; calls are refused as long as it does: ${textOf(cause)}`))
  }

  const validate = (type: Call.Type, data: Call.Data): Message.Wire | InvalidCall =>
    CallCheck.check(type, data) ?? Message.stamp(type, data, clock.currentTimeMillisUnsafe(), timestamp, messageIds)

  const encode = (
    type: Call.Type,
    call: unknown,
    callContext: Enrichment.CallContext,
    checks: ReadonlyArray<Check.Check>,
    caller: Context.Context<never>
  ): Message.Message | InvalidCall | PlanViolation | Transform.Drop => {
    const data = CallCheck.read(type, call)
    if (data instanceof InvalidCall) return data
    const fault = Enrichment.applyContext(data, callContext, defaults)
    if (fault !== undefined) return CallFault.refuse(type, fault, data)
    for (const slip of slipsOf(type, data)) warnOnce(slip)
    const wire = validate(type, data)
    if (wire instanceof InvalidCall) return wire
    const passed = checks.length === 0 ? wire : Check.pass(checks, wire, caller)
    if (!Check.isWire(passed)) return passed
    if (transform === undefined) return Message.encode(passed, clock.currentTimeMillisUnsafe())
    isTransforming = true
    const transformed = Transform.apply(transform, passed, transformThrew)
    isTransforming = false
    if (Transform.isDrop(transformed)) return transformed
    if (Json.isJsonError(transformed)) return CallFault.refuse(type, transformed, data)
    const changed = validate(type, CallCheck.withoutNulls(transformed))
    return changed instanceof InvalidCall ? changed : Message.encode(changed, clock.currentTimeMillisUnsafe())
  }

  /** From the caller's value to a message. Whatever the value is, this does not throw. */
  const prepare: typeof encode = (type, call, callContext, checks, caller) => {
    if (isTransforming) return CallFault.refuse(type, insideTransform)
    if (isLogging()) return CallFault.refuse(type, insideLogger)
    try {
      return encode(type, call, callContext, checks, caller)
    } catch {
      isTransforming = false
      return CallFault.refuse(type, new Json.JsonError("could not be read: it threw", []))
    }
  }

  const refused = (call: Call.Type, error: CallError, message?: Message.Message) => {
    rejected++
    return Outcome.Outcome.Refused({ call, error, message })
  }

  const filteredBy = (call: Call.Type, { reason, violation }: Transform.PlanDrop) => {
    filtered++
    return Outcome.Outcome.Filtered({ call, reason, ...(violation === undefined ? {} : { violation }) })
  }

  /** The outcome of a call that was filtered or refused. A message comes here if it is none by `isMessage`: an id is no string. */
  const rejection = (type: Call.Type, value: InvalidCall | PlanViolation | Transform.Drop | Message.Message) => {
    if (Transform.isDrop(value)) return filteredBy(type, value)
    if (value instanceof InvalidCall || Check.isPlanViolation(value)) return refused(type, value)
    return refused(
      type,
      CallFault.refuse(type, new Json.JsonError("did not become a message: are its ids strings?", []))
    )
  }

  const submitUnsafe: Submitter["submitUnsafe"] = (type, call, callContext, isNested, checks = none) => {
    const message = prepare(type, call, callContext, checks, Context.empty())
    if (!Message.isMessage(message)) return submission(rejection(type, message), isNested)
    if (isNested) Notifier.markNested(message)
    const offered = outbox.offerUnsafe(message)
    return offered?.error === undefined ? offered : submission(refused(type, offered.error, message), isNested)
  }

  const submission = (outcome: Outcome.Refused | Outcome.Filtered, isNested: boolean): Submission => ({
    error: outcome._tag === "Refused" ? outcome.error : undefined,
    notification: notifier.notifyUnsafe(outcome, isNested)
  })

  const fail = (outcome: Outcome.Refused) =>
    Effect.andThen(notifier.notify(outcome), new AnalyticsError({ reason: outcome.error }))

  const submit: Submitter["submit"] = (type, call, { checks = none, onMessage, overflow } = {}) =>
    // Counting and notifying are atomic; only waiting for room can be interrupted.
    Effect.uninterruptible(
      Effect.withFiber<void, AnalyticsError>((fiber) => {
        const message = prepare(type, call, contextOf(fiber.context), checks, fiber.context)
        if (!Message.isMessage(message)) {
          const outcome = rejection(type, message)
          return outcome._tag === "Refused" ? fail(outcome) : notifier.notify(outcome)
        }
        if (Notifier.isNested(fiber.context)) Notifier.markNested(message)
        SpanLinks.remember(message, fiber.context)
        onMessage?.(message)
        // Mostly there is room: then no fiber has to suspend, as it has to for a disk.
        if (outbox.durable === undefined && overflow === undefined) {
          const offered = outbox.offerUnsafe(message)
          if (offered?.error === undefined) return offered?.notification ?? Effect.void
        }
        return Effect.catch(outbox.offer(message, overflow), (error) => fail(refused(type, error, message)))
      })
    )

  /** Calls that were not accepted and that no flush has counted. */
  const takeRejected = () => {
    const count = rejected - reported
    reported = rejected
    return count
  }

  const flush: Submitter["flush"] = Effect.fnUntraced(function* (timeout) {
    const rejected = takeRejected()
    const { delivered, dropped, pending } = yield* outbox.flush(timeout)
    return { delivered, dropped, rejected, pending }
  })

  let closedRejected: number | undefined
  const close: Submitter["close"] = Effect.fnUntraced(function* (timeout) {
    const closed = yield* delivery.close(timeout)
    yield* notifier.close
    closedRejected ??= takeRejected()
    const { delivered, dropped, pending } = closed
    return { delivered, dropped, rejected: closedRejected, pending }
  })

  const stats = Effect.map(
    outbox.counts,
    (counts): Outcome.Stats => ({
      offered: counts.accepted + rejected + filtered,
      delivered: counts.delivered,
      pending: counts.pending,
      dropped: counts.dropped + filtered,
      rejected,
      inFlight: counts.taken,
      pendingBytes: counts.pendingBytes,
      ...(counts.oldestPendingAt === undefined ? {} : { oldestPendingAt: counts.oldestPendingAt }),
      ...delivery.status()
    })
  )

  return {
    version,
    checks: none,
    submit,
    submitUnsafe,
    onEnd: outbox.onEnd,
    stateOf: outbox.durable?.stateOf,
    flush,
    close,
    stats
  }
})

const insideTransform = new Json.JsonError("was made by transform: it would be transformed again, without end", [])
const insideLogger = new Json.JsonError(
  "was made by a logger while it wrote a line of the client: it would cause the next line, without end",
  []
)
