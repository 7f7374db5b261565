/**
 * A tracking plan: the calls of a program by name and shape, known to the compiler and checked at run time.
 *
 * A planned call is given what the program knows (a `DateTime`, a branded id) and sends its JSON form. `layer` puts the
 * plan around a client, so that calls which know nothing of the plan are checked as well.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as AttachedSubmitter from "../../Analytics/AttachedSubmitter.ts"
import type { Check } from "../../Analytics/Check.ts"
import { Analytics, type Service as AnalyticsService } from "../../Analytics.ts"
import { type AnalyticsError, type InvalidSetting, PlanViolation } from "../../AnalyticsError.ts"
import * as Call from "../../Call.ts"
import type * as Enrichment from "../../Enrichment.ts"
import type * as Json from "../../internal/Json.ts"
import type * as Message from "../../Message.ts"
import type { Definition, NameIn, Shape, Shapes } from "../Definition.ts"
import { PlanCheck, type Policies } from "./PlanCheck.ts"
import { type Rule, Rules } from "./Rule.ts"
import { none, type Violation } from "./Violation.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Types
// ---------------------------------------------------------------------------------------------------------------------

/** The data of one of several shapes. */
type DataIn<S, Name extends string> = S extends Shapes
  ? Name extends keyof S
    ? S[Name] extends Shape
      ? S[Name]["Type"]
      : never
    : never
  : never
/** The data that a call takes: no properties for a shape without fields, though TypeScript allows any for `{}`. */
type GivenFor<Data> = Data extends unknown
  ? [keyof Data] extends [never]
    ? { readonly [key: string]: never }
    : Data
  : never
/** The data that a call takes for a shape. For one of several names: data that suits them all. */
type GivenIn<S, Name extends string> = (
  Name extends unknown
    ? (given: GivenFor<DataIn<S, Name>>) => void
    : never
) extends (given: infer All) => void
  ? All
  : never
/** The data that a call takes for one shape; any data, if it is not planned. */
type GivenOf<S> = S extends Shape ? GivenFor<S["Type"]> : Json.Data

/** The names of the events of a plan. @category models @since 0.1.0 */
export type EventName<D extends Definition> = Exclude<NameIn<D["events"]>, "">
/** The names of the pages of a plan. @category models @since 0.1.0 */
export type PageName<D extends Definition> = Exclude<NameIn<D["pages"]>, "">
/** The names of the screens of a plan. @category models @since 0.1.0 */
export type ScreenName<D extends Definition> = Exclude<NameIn<D["screens"]>, "">
/** The properties of an event, as the program knows them. @category models @since 0.1.0 */
export type Properties<D extends Definition, Name extends EventName<D>> = DataIn<D["events"], Name>
/** The properties that a call is given: for functions that pass them on. @category models @since 0.1.0 */
export type Given<D extends Definition, Name extends EventName<D>> = GivenIn<D["events"], Name>

type ContextOf<D extends Definition> = D["context"] extends Shape
  ? Json.Data & Partial<D["context"]["Encoded"]>
  : Json.Data

/** The call without the fields that the plan sets. */
type Rest<Call, D extends Definition> = Call extends unknown
  ? Omit<Call, "event" | "name" | "properties" | "traits" | "context"> & { readonly context?: ContextOf<D> | undefined }
  : never

/** The other fields of a call, its identity among them; optional where an identity is around the call. */
type About<Type extends Call.Type, D extends Definition, Identity> = Identity extends "around"
  ? Type extends "group" | "alias"
    ? [call: Rest<Call.WithOptionalIdentity<Call.Calls[Type]>, D>]
    : [call?: Rest<Call.WithOptionalIdentity<Call.Calls[Type]>, D>]
  : [call: Rest<Call.Calls[Type], D>]

/** The calls of a plan. `Identity` is `"named"` where each call has its identity. @category models @since 0.1.0 */
export interface Calls<D extends Definition, Answer, Identity extends "named" | "around" = "named"> {
  /** Tracks an event of the plan, with its properties. */
  readonly track: <Name extends EventName<D>>(
    event: Name,
    properties: Given<D, Name>,
    ...about: About<"track", D, Identity>
  ) => Answer
  /** Records a page of the plan, with its properties. */
  readonly page: <Name extends PageName<D>>(
    name: Name,
    properties: GivenIn<D["pages"], Name>,
    ...about: About<"page", D, Identity>
  ) => Answer
  /** Records a screen of the plan, with its properties. */
  readonly screen: <Name extends ScreenName<D>>(
    name: Name,
    properties: GivenIn<D["screens"], Name>,
    ...about: About<"screen", D, Identity>
  ) => Answer
  /** Records who a user is, with the traits of the plan. */
  readonly identify: (traits: GivenOf<D["traits"]>, ...about: About<"identify", D, Identity>) => Answer
  /** Records the group of a user, with the group traits of the plan. */
  readonly group: (traits: GivenOf<D["groupTraits"]>, ...about: About<"group", D, Identity>) => Answer
  /** Of the plan it has the context alone. */
  readonly alias: (...about: About<"alias", D, Identity>) => Answer
}

/** The calls of a plan, in both ways. @category models @since 0.1.0 */
export interface AllCalls<D extends Definition, Answer, Identified = Answer> extends Calls<D, Answer> {
  /** The same calls where the identity around them (`withIdentity`) is enough. */
  readonly identified: Calls<D, Identified, "around">
}

/** The calls of a plan over a client. @category models @since 0.1.0 */
export interface Planned<D extends Definition>
  extends AllCalls<
    D,
    Effect.Effect<void, AnalyticsError>,
    Effect.Effect<void, AnalyticsError, Enrichment.CurrentIdentity>
  > {}

/** How a call is made: `service` is the client, `checks` what the call has to pass. @category models @since 0.1.0 */
export type CallMaker<Answer> = (
  service: AnalyticsService,
  type: Call.Type,
  call: unknown,
  checks: ReadonlyArray<Check>
) => Answer

/**
 * Any plan, whatever is in it: for functions that export plans, compare them or put them around a client. It has no calls,
 * and no policies by name, since its names are unknown.
 * @category models @since 0.1.0
 */
export interface AnyPlan {
  readonly definition: Definition
  /** Puts the plan around a client. */
  readonly layer: (policies?: UnnamedPolicies) => Layer.Layer<Analytics, never, Analytics>
  /** The violations of a message as it is on the wire. A name that is not in the plan is a violation as well. */
  readonly violations: (message: Call.Data) => ReadonlyArray<Violation>
  /** Why the layer could not be made with these policies. */
  readonly problem: (policies: UnnamedPolicies) => InvalidSetting | undefined
}

type UnnamedPolicies = Omit<Policies, "events" | "pages" | "screens">

export interface Plan<D extends Definition = Definition>
  extends AnyPlan,
    AllCalls<
      D,
      Effect.Effect<void, AnalyticsError, Analytics>,
      Effect.Effect<void, AnalyticsError, Analytics | Enrichment.CurrentIdentity>
    > {
  readonly definition: D
  /** Properties that come from elsewhere, as the program knows them. */
  readonly decode: <Name extends EventName<D>>(
    event: Name,
    properties: unknown
  ) => Effect.Effect<Properties<D, Name>, PlanViolation>
  /** @internal The same for properties that were sent: fields that were dropped are missing, hashed ones are the hash. */
  readonly decodeSent: Plan<D>["decode"]
  /**
   * Puts the plan around a client: every call is checked, also those that know nothing of the plan. Several plans may be
   * around one client, each with its policies; a call has to pass them all.
   *
   * `plan.layer({ onViolation: "flag" }).pipe(Layer.provide(Analytics.layerFetch(options)))`
   */
  readonly layer: (policies?: Policies<D>) => Layer.Layer<Analytics, never, Analytics>
  /** Why the layer could not be made with these policies. */
  readonly problem: (policies: Policies<D>) => InvalidSetting | undefined
  /**
   * The calls of the plan over a client, made in a way of yours. Where the plan is not around the client, they have to
   * pass it with the default policies.
   */
  readonly over: <Answer>(service: AnalyticsService, makeCall: CallMaker<Answer>) => AllCalls<D, Answer>
}

// ---------------------------------------------------------------------------------------------------------------------
// Constructor
// ---------------------------------------------------------------------------------------------------------------------

const submitCall: CallMaker<Effect.Effect<void, AnalyticsError>> = (service, type, call, checks) =>
  AttachedSubmitter.over(service).submit(type, call, { checks })

/** The same client, with a further check around it. */
export const around = (service: AnalyticsService, check: Check): AnalyticsService => {
  const submitter = AttachedSubmitter.over(service)
  const checks = [...submitter.checks, check]
  const calls = Call.byType((type) => (call: unknown) => submitter.submit(type, call, { checks }))
  const { flush, close, stats } = service
  return AttachedSubmitter.attach(
    { ...calls, flush, close, stats },
    {
      ...submitter,
      checks,
      submit: (type, call, options) => submitter.submit(type, call, { checks, ...options }),
      submitUnsafe: (type, call, callContext, isNested, others = checks) =>
        submitter.submitUnsafe(type, call, callContext, isNested, others)
    }
  )
}

/** A call of a plan, in the words of all: `name` is of an event, page or screen. */
type CallFn<Answer> = (type: Call.Type, name: string | undefined, data: unknown, rest: object | undefined) => Answer

/** The calls of a plan, each for its type. `identified` differs in its types. */
const callsOf = <Answer>(makeCall: CallFn<Answer>) => {
  const named = (type: Call.Type) => (name: string, data: unknown, rest?: object) => makeCall(type, name, data, rest)
  const unnamed = (type: Call.Type) => (data: unknown, rest?: object) => makeCall(type, undefined, data, rest)
  const calls = {
    track: named("track"),
    page: named("page"),
    screen: named("screen"),
    identify: unnamed("identify"),
    group: unnamed("group"),
    alias: (rest?: object) => makeCall("alias", undefined, undefined, rest)
  }
  return { ...calls, identified: calls }
}

/** The same call as one that knows nothing of the plan. */
const untyped = (type: Call.Type, name: string | undefined, data: unknown, rest: object | undefined): object => {
  switch (type) {
    case "track":
      return { ...rest, event: name, properties: data }
    case "page":
    case "screen":
      return { ...rest, name, properties: data }
    case "alias":
      return { ...rest }
    default:
      return { ...rest, traits: data }
  }
}

/**
 * Makes a plan. Throws, with the name of the event, if what is marked as `pii` would not be found again on the wire.
 *
 * ```ts
 * import * as Schema from "effect/Schema"
 * import * as TrackingPlan from "effect-analytics/TrackingPlan"
 *
 * const plan = TrackingPlan.make({ events: { "Order Completed": Schema.Struct({ total: Schema.Finite }) } })
 *
 * export const track = plan.track("Order Completed", { total: 27.5 }, { userId: "u1" })
 * ```
 * @category constructors @since 0.1.0
 */
export const make = <const D extends Definition>(definition: D): Plan<D> => {
  const rules = new Rules(definition)
  /** For calls to a client that does not have the plan around it. */
  const bare = new PlanCheck(rules, {}, Context.empty())

  /** The checks of a client, this plan among them; `know` adds facts about the data to it. */
  const checksOf = (service: AnalyticsService, know: (planCheck: PlanCheck) => Check) => {
    const { checks } = AttachedSubmitter.over(service)
    // Whatever evaluation of the module the check comes from: it is ours if its rules are.
    const isOurs = (check: Check): check is PlanCheck => (check as Partial<PlanCheck>).rules === rules
    return checks.some(isOurs) ? checks.map((check) => (isOurs(check) ? know(check) : check)) : [...checks, know(bare)]
  }

  const plannedCall =
    <Answer>(service: AnalyticsService, makeCall: CallMaker<Answer>): CallFn<Answer> =>
    (type, name, data, rest) => {
      const rule = rules.find(type, name)
      // Nothing to encode: the plan's data is JSON, or a cast has brought a name that is not in the plan.
      if (rule === undefined || rule === "unplanned" || rule.isJson) {
        const checks = checksOf(service, (planCheck) => planCheck)
        return makeCall(service, type, untyped(type, name, data, rest), checks)
      }
      const encoded = rule.encode(data)
      // Marks are found by the names and forms of the wire.
      const given = rule.marks === undefined || !rule.isReshaped ? data : {}
      const [sent, violations] = Result.isSuccess(encoded) ? [encoded.success, none] : [given, encoded.failure]
      const checks = checksOf(service, (planCheck) => planCheck.knowing(rule, violations))
      return makeCall(service, type, untyped(type, name, sent, rest), checks)
    }

  const decode = <Name extends EventName<D>>(
    event: Name,
    run: (rule: Rule) => ReturnType<Rule["decode"]>
  ): Effect.Effect<Properties<D, Name>, PlanViolation> =>
    Effect.suspend(() => {
      const rule = rules.find("track", event)
      if (rule === undefined || rule === "unplanned") return Effect.fail(unknownEvent(event))
      const decoded = run(rule)
      if (Result.isSuccess(decoded)) return Effect.succeed(decoded.success as Properties<D, Name>)
      const { expected, kind, path } = decoded.failure[0] as (typeof decoded.failure)[number]
      return new PlanViolation({
        call: "track",
        event,
        violation: kind,
        path: ["properties", ...path],
        expected,
        ...(rule.version === undefined ? {} : { version: rule.version })
      })
    })

  const calls = callsOf((...call) =>
    Effect.withFiber<void, AnalyticsError, Analytics>((fiber) =>
      plannedCall(Context.get(fiber.context as Context.Context<Analytics>, Analytics), submitCall)(...call)
    )
  )

  return {
    ...(calls as unknown as AllCalls<D, Effect.Effect<void, AnalyticsError, Analytics>>),
    definition,
    decode: (event, properties) => decode(event, (rule) => rule.decode(properties)),
    decodeSent: (event, properties) => decode(event, (rule) => rule.decodeSent(properties)),
    layer: (policies = {}) =>
      Layer.effect(
        Analytics,
        Effect.gen(function* () {
          const planCheck = new PlanCheck(rules, policies, yield* Effect.context<never>())
          if (planCheck.problem !== undefined) return yield* Effect.die(planCheck.problem)
          return around(yield* Analytics, planCheck)
        })
      ),
    violations: (message) => bare.violations(message as Message.Wire),
    problem: (policies) => new PlanCheck(rules, policies, Context.empty()).problem,
    over: (service, makeCall) =>
      callsOf(plannedCall(service, makeCall)) as unknown as AllCalls<D, ReturnType<typeof makeCall>>
  }
}

const unknownEvent = (event: string) =>
  new PlanViolation({ call: "track", event, violation: "unplanned", path: [], expected: "it is not in the plan" })

// ---------------------------------------------------------------------------------------------------------------------
// Service
// ---------------------------------------------------------------------------------------------------------------------

/** The key of a plan's calls, and the layer that provides them. @category models @since 0.1.0 */
export interface PlanService<Self, Id extends string, D extends Definition>
  extends Context.ServiceClass<Self, Id, Planned<D>> {
  readonly plan: Plan<D>
  /** The planned calls, and the client with the plan around it. */
  readonly layer: (policies?: Policies<D>) => Layer.Layer<Self | Analytics, never, Analytics>
}

/**
 * A service with the calls of a plan.
 *
 * `class Tracking extends TrackingPlan.Service<Tracking>()("app/Tracking", plan) {}`
 * @category accessors @since 0.1.0
 */
export const Service =
  <Self>() =>
  <const Id extends string, D extends Definition>(id: Id, plan: Plan<D>): PlanService<Self, Id, D> => {
    const key = Context.Service<Self, Planned<D>>()(id)
    const planned = Layer.effect(
      key,
      Effect.gen(function* () {
        return plan.over(yield* Analytics, submitCall)
      })
    )
    const layer = (policies?: Policies<D>) => Layer.provideMerge(planned, plan.layer(policies))
    return Object.assign(key, { plan, layer }) as unknown as PlanService<Self, Id, D>
  }
