/**
 * A tracking plan: what is said of users, by name and shape, known to the compiler and checked when it runs.
 *
 * A planned call is given what the program knows (a `DateTime`, a branded id) and sends its JSON form. `layer` puts the
 * plan around a client, so that calls which know nothing of the plan are checked as well.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import { Analytics, type Service as AnalyticsService } from "../Analytics.ts"
import { type CallError, type InvalidSetting, PlanViolation } from "../AnalyticsError.ts"
import type * as Enrichment from "../Enrichment.ts"
import type * as Json from "../Json.ts"
import type * as Message from "../Message.ts"
import type { Definition, Shape, Shapes } from "./Definition.ts"
import { dataKey, Gate, type Policies, Rules } from "./Gate.ts"
import { none } from "./Rule.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Types
// ---------------------------------------------------------------------------------------------------------------------

type NameIn<S> = S extends Shapes ? keyof S & string : never
/** The data of one of several shapes. */
type DataIn<S, Name extends string> = S extends { readonly [N in Name]: Shape } ? S[Name]["Type"] : never
/** The data of one shape; any, if it is not planned. */
type DataOf<S> = S extends Shape ? S["Type"] : Json.Data

/** The names of the events of a plan. */
export type EventName<D extends Definition> = NameIn<D["events"]>
/** The properties of an event, as the program knows them. */
export type Properties<D extends Definition, Name extends EventName<D>> = DataIn<D["events"], Name>

type ContextOf<D extends Definition> = D["context"] extends Shape
  ? Json.Data & Partial<D["context"]["Encoded"]>
  : Json.Data

/** What the plan gives is not given a second time. */
type Rest<Call, D extends Definition> = Call extends unknown
  ? Omit<Call, "event" | "name" | "properties" | "traits" | "context"> & { readonly context?: ContextOf<D> | undefined }
  : never

/** Whom a call is about, and what else it says: always, or where something around it says so. */
type About<Type extends Message.Type, D extends Definition, Identity> = Identity extends "around"
  ? Type extends "group"
    ? [call: Rest<Message.Anonymous<Message.Calls[Type]>, D>]
    : [call?: Rest<Message.Anonymous<Message.Calls[Type]>, D>]
  : [call: Rest<Message.Calls[Type], D>]

/** The calls of a plan. `Identity` is `"named"` where each call names whom it is about. */
export interface Calls<D extends Definition, Answer, Identity extends "named" | "around" = "named"> {
  readonly track: <Name extends EventName<D>>(
    event: Name,
    properties: Properties<D, Name>,
    ...about: About<"track", D, Identity>
  ) => Answer
  readonly page: <Name extends NameIn<D["pages"]>>(
    name: Name,
    properties: DataIn<D["pages"], Name>,
    ...about: About<"page", D, Identity>
  ) => Answer
  readonly screen: <Name extends NameIn<D["screens"]>>(
    name: Name,
    properties: DataIn<D["screens"], Name>,
    ...about: About<"screen", D, Identity>
  ) => Answer
  readonly identify: (traits: DataOf<D["traits"]>, ...about: About<"identify", D, Identity>) => Answer
  readonly group: (traits: DataOf<D["groupTraits"]>, ...about: About<"group", D, Identity>) => Answer
}

/** The calls of a plan, in both ways. */
export interface AllCalls<D extends Definition, Answer, Identified = Answer> extends Calls<D, Answer> {
  /** The same calls where the identity around them (`withIdentity`) is enough. */
  readonly identified: Calls<D, Identified, "around">
}

/** The calls of a plan over a client. */
export interface Planned<D extends Definition>
  extends AllCalls<D, Effect.Effect<void, CallError>, Effect.Effect<void, CallError, Enrichment.CurrentIdentity>> {}

/** How a call is made: `service` is the client, `check` what the call has to pass. */
export type Say<Answer> = (
  service: AnalyticsService,
  type: Message.Type,
  call: unknown,
  check: Enrichment.Check
) => Answer

export interface Plan<D extends Definition = Definition>
  extends AllCalls<
    D,
    Effect.Effect<void, CallError, Analytics>,
    Effect.Effect<void, CallError, Analytics | Enrichment.CurrentIdentity>
  > {
  readonly definition: D
  /** Properties that come from elsewhere, as the program knows them. */
  readonly decode: <Name extends EventName<D>>(
    event: Name,
    properties: unknown
  ) => Effect.Effect<Properties<D, Name>, PlanViolation>
  /**
   * Puts the plan around a client: every call is checked, also those that know nothing of the plan.
   *
   * `plan.layer({ onViolation: "flag" }).pipe(Layer.provide(Analytics.layerFetch(options)))`
   */
  readonly layer: (policies?: Policies<EventName<D>>) => Layer.Layer<Analytics, InvalidSetting, Analytics>
  /** Why the layer could not be made with these policies. */
  readonly problem: (policies: Policies<EventName<D>>) => InvalidSetting | undefined
  /** The calls of the plan over a client, made in a way of yours. */
  readonly over: <Answer>(
    service: AnalyticsService,
    say: Say<Answer>,
    context: Context.Context<never>
  ) => AllCalls<D, Answer>
}

// ---------------------------------------------------------------------------------------------------------------------
// Constructor
// ---------------------------------------------------------------------------------------------------------------------

const sayEffect: Say<Effect.Effect<void, CallError>> = (service, type, call, check) => service.say(type, call, check)

/** Makes a plan. Throws, with the name of the event, if what is marked as `pii` would not be found again on the wire. */
export const make = <const D extends Definition>(definition: D): Plan<D> => {
  const rules = new Rules(definition)
  /** The clients that have this plan around them already: planned calls go to the client inside, and need no second look. */
  const inside = new WeakMap<AnalyticsService, { readonly gate: Gate; readonly service: AnalyticsService }>()
  const planned = new WeakMap<AnalyticsService, Calls<D, Effect.Effect<void, CallError>>>()

  const around = (service: AnalyticsService, gate: Gate): AnalyticsService => {
    const say = (type: Message.Type) => (call: unknown) => service.say(type, call, gate.check)
    const and = (check: Enrichment.Check | undefined): Enrichment.Check =>
      check === undefined
        ? gate.check
        : (message) => {
            const checked = gate.check(message)
            return "type" in checked ? check(checked) : checked
          }
    const calls = {
      identify: say("identify"),
      track: say("track"),
      page: say("page"),
      screen: say("screen"),
      group: say("group"),
      alias: say("alias")
    }
    const outside: AnalyticsService = {
      ...service,
      ...calls,
      identified: calls as AnalyticsService["identified"],
      say: (type, call, check) => service.say(type, call, and(check)),
      callUnsafe: (type, call, surroundings, check) => service.callUnsafe(type, call, surroundings, and(check))
    }
    inside.set(outside, { gate, service })
    return outside
  }

  const over = <Answer>(outside: AnalyticsService, say: Say<Answer>, context: Context.Context<never>) => {
    const { gate, service } = inside.get(outside) ?? { gate: new Gate(rules, {}, context), service: outside }
    const call = (type: Message.Type, name: string | undefined, data: unknown, rest: object) => {
      const key = dataKey(type)
      const rule = rules.find(type, name)
      // Only a cast can bring us here with a name that is not in the plan.
      if (rule === undefined || rule === "unplanned") return say(service, type, { ...rest, [key]: data }, gate.check)
      const encoded = rule.encode(data)
      return Result.isSuccess(encoded)
        ? say(service, type, { ...rest, [key]: encoded.success }, gate.checkEncoded(rule, none))
        : say(service, type, { ...rest, [key]: data }, gate.checkEncoded(rule, encoded.failure))
    }
    const calls = {
      track: (event: string, properties: unknown, rest?: object) =>
        call("track", event, properties, { ...rest, event }),
      page: (name: string, properties: unknown, rest?: object) => call("page", name, properties, { ...rest, name }),
      screen: (name: string, properties: unknown, rest?: object) => call("screen", name, properties, { ...rest, name }),
      identify: (traits: unknown, rest?: object) => call("identify", undefined, traits, { ...rest }),
      group: (traits: unknown, rest?: object) => call("group", undefined, traits, { ...rest })
    }
    // The same calls twice: what is different about them is what they ask of the types.
    return { ...calls, identified: calls } as unknown as AllCalls<D, Answer>
  }

  const overEffect = (service: AnalyticsService, context: Context.Context<never>) => {
    const known = planned.get(service)
    if (known !== undefined) return known
    const made = over(service, sayEffect, context)
    planned.set(service, made)
    return made
  }

  type Caller = (...call: ReadonlyArray<unknown>) => Effect.Effect<void, CallError>
  const here =
    (type: keyof Calls<D, unknown>) =>
    (...call: ReadonlyArray<unknown>): Effect.Effect<void, CallError, Analytics> =>
      Effect.withFiber((fiber) => {
        const context = fiber.context as Context.Context<Analytics>
        return (overEffect(Context.get(context, Analytics), context)[type] as Caller)(...call)
      })
  const calls = {
    track: here("track"),
    page: here("page"),
    screen: here("screen"),
    identify: here("identify"),
    group: here("group")
  }

  return {
    ...(calls as unknown as Calls<D, Effect.Effect<void, CallError, Analytics>>),
    identified: calls as unknown as Plan<D>["identified"],
    definition,
    decode: (event, properties) =>
      Effect.suspend(() => {
        const rule = rules.find("track", event)
        if (rule === undefined || rule === "unplanned") return Effect.fail(unknownEvent(event))
        const decoded = rule.decode(properties)
        if (Result.isSuccess(decoded)) return Effect.succeed(decoded.success as Properties<D, typeof event>)
        const { expected, kind, path } = decoded.failure[0] as (typeof decoded.failure)[number]
        return new PlanViolation({
          call: "track",
          event,
          violation: kind,
          path: ["properties", ...path],
          expected,
          ...(rule.version === undefined ? {} : { version: rule.version })
        })
      }),
    layer: (policies = {}) =>
      Layer.effect(
        Analytics,
        Effect.gen(function* () {
          const gate = new Gate(rules, policies, yield* Effect.context<never>())
          if (gate.problem !== undefined) return yield* gate.problem
          return around(yield* Analytics, gate)
        })
      ),
    problem: (policies) => new Gate(rules, policies, Context.empty()).problem,
    over
  }
}

const unknownEvent = (event: string) =>
  new PlanViolation({ call: "track", event, violation: "unplanned", path: [], expected: "it is not in the plan" })

// ---------------------------------------------------------------------------------------------------------------------
// Service
// ---------------------------------------------------------------------------------------------------------------------

/** The key of a plan's calls, and the layer that provides them. */
export interface PlanService<Self, Id extends string, D extends Definition>
  extends Context.ServiceClass<Self, Id, Planned<D>> {
  readonly plan: Plan<D>
  /** The planned calls, and the client with the plan around it. */
  readonly layer: (policies?: Policies<EventName<D>>) => Layer.Layer<Self | Analytics, InvalidSetting, Analytics>
}

/**
 * A service with the calls of a plan.
 *
 * `class Tracking extends TrackingPlan.Service<Tracking>()("app/Tracking", plan) {}`
 */
export const Service =
  <Self>() =>
  <const Id extends string, D extends Definition>(id: Id, plan: Plan<D>): PlanService<Self, Id, D> => {
    const key = Context.Service<Self, Planned<D>>()(id)
    const planned = Layer.effect(
      key,
      Effect.gen(function* () {
        return plan.over(yield* Analytics, sayEffect, yield* Effect.context<never>())
      })
    )
    const layer = (policies?: Policies<EventName<D>>) => Layer.provideMerge(planned, plan.layer(policies))
    return Object.assign(key, { plan, layer }) as unknown as PlanService<Self, Id, D>
  }
