/**
 * A plan's rules and what is to be done when they are broken: what every call to a client has to pass.
 *
 * A message that breaks the plan fails, is dropped, or is sent with its violations in `context.protocols.violations`; each
 * is counted. Fields marked as `pii` never pass as they are, unless the policy says so.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Redacted from "effect/Redacted"
import { InvalidSetting, PlanViolation } from "../AnalyticsError.ts"
import type { Data, Type } from "../Call.ts"
import type { Check } from "../internal/Check.ts"
import * as Json from "../internal/Json.ts"
import type * as Message from "../Message.ts"
import * as Transform from "../Transform.ts"
import type { Definition, NameIn } from "./Definition.ts"
import * as Privacy from "./Privacy.ts"
import { Rule } from "./Rule.ts"
import type { Rules } from "./Rules.ts"
import { none, type Violation } from "./Violation.ts"

/**
 * What becomes of a call that breaks the plan: it fails with `PlanViolation`; is dropped, and the observer is told
 * (`Filtered`, with the violation: logged, or told to `onError`); or is sent and flagged in its context.
 */
export type OnViolation = "fail" | "drop" | "flag"

/** Policies by name; none, where nothing has a name. */
type ByName<S> = [NameIn<S>] extends [never] ? never : { readonly [Name in NameIn<S>]?: OnViolation | undefined }

export interface Policies<D extends Definition = Definition> {
  /** @default "fail" */
  readonly onViolation?: OnViolation | undefined
  /** Events with a policy of their own. */
  readonly events?: ByName<D["events"]> | undefined
  /** Pages with a policy of their own. */
  readonly pages?: ByName<D["pages"]> | undefined
  /** Screens with a policy of their own. */
  readonly screens?: ByName<D["screens"]> | undefined
  /** The policy of `identify`. */
  readonly traits?: OnViolation | undefined
  /** The policy of `group`. */
  readonly groupTraits?: OnViolation | undefined
  /** What becomes of events, pages and screens that are not in the plan. @default "allow" */
  readonly unplanned?: "allow" | "drop" | "fail" | undefined
  /** What becomes of fields marked with `pii: true`. @default "drop" */
  readonly pii?: Privacy.Policy | undefined
  /** The key of the hash. Without it and a layer, what is to be hashed is dropped. */
  readonly hashKey?: Redacted.Redacted | string | undefined
}

/** Violations by `event`, `violation` and `action`. Events that are not in the plan count as `(unplanned)`. */
export const violationsTotal = Metric.counter("analytics_plan_violations_total", {
  description: "Violations of the tracking plan by event, kind and what was done",
  incremental: true
})

// ---------------------------------------------------------------------------------------------------------------------
// Gate
// ---------------------------------------------------------------------------------------------------------------------

const nameOf = (message: Message.Wire): string | undefined =>
  message.type === "track" ? message.event : "name" in message ? message.name : undefined

/** The key of a call's data, by its type. */
const dataKey = (type: Type): "traits" | "properties" =>
  type === "identify" || type === "group" ? "traits" : "properties"

const dataOf = (message: Message.Wire): unknown => (message as Data)[dataKey(message.type)]

/** The words of the ecosystem for kinds of violations. */
const words: { readonly [kind in Violation["kind"]]: string } = {
  required: "Required",
  type: "Invalid Type",
  value: "Invalid Value",
  unexpected: "Additional Property",
  unplanned: "Unplanned Event"
}

const actions: ReadonlyArray<OnViolation> = ["fail", "drop", "flag"]

const unplanned: Violation = { kind: "unplanned", path: [], expected: "it is not in the plan" }

/** What is named in a plan, by the setting that has its policies, and the call that it is about. */
const named = { events: "track", pages: "page", screens: "screen" } as const

const brand = Symbol.for("effect-analytics/PlanCheck")

/** By brand: the check may come from another evaluation of this module. */
export const isGate = (check: Check): check is Gate => brand in check

export class Gate implements Check {
  readonly [brand] = true
  /** Whose plan this is. */
  readonly rules: Rules
  private readonly policies: Policies
  private readonly key: unknown
  private readonly hash: Privacy.Hash | undefined
  private readonly context: Context.Context<never>
  private readonly warned = new Set<Rule>()
  private readonly known = new Map<Rule, Check>()

  /** `context` is what is around the plan: what is around a call counts more. */
  constructor(rules: Rules, policies: Policies, context: Context.Context<never>) {
    this.rules = rules
    this.policies = policies
    this.context = context
    const { hashKey } = policies
    const key: unknown = Redacted.isRedacted(hashKey) ? Redacted.value(hashKey) : hashKey
    this.key = key
    this.hash = typeof key !== "string" || key === "" ? undefined : Privacy.makeHash(key)
  }

  /** Why the policies can't work: they are none, or there are fields to hash, and no key or no way to. */
  get problem(): InvalidSetting | undefined {
    const { groupTraits, hashKey, onViolation, pii = "drop", traits, unplanned } = this.policies
    const problem =
      this.problemOfNames ??
      oneOf("onViolation", onViolation, actions) ??
      oneOf("traits", traits, actions) ??
      oneOf("groupTraits", groupTraits, actions) ??
      oneOf("unplanned", unplanned, ["allow", "drop", "fail"]) ??
      oneOf("pii", pii, ["drop", "hash", "keep"])
    if (problem !== undefined) return problem
    if (hashKey !== undefined && (typeof this.key !== "string" || this.key === "")) {
      return invalid("hashKey", "must be a text that is not empty, or a Redacted one")
    }
    const hashes = this.rules.all.some(({ marks }) => marks !== undefined && Privacy.hashes(marks, pii))
    if (!hashes || this.hash !== undefined) return undefined
    return invalid(
      "hashKey",
      hashKey === undefined ? "is needed to hash what is marked as pii" : "can't be used: there is no node:crypto"
    )
  }

  private get problemOfNames(): InvalidSetting | undefined {
    for (const setting of ["events", "pages", "screens"] as const) {
      const policies = this.policies[setting] ?? {}
      if (!Json.isData(policies)) return invalid(setting, "must be an object")
      for (const [name, value] of Object.entries(policies)) {
        if (!this.rules.has(named[setting], name)) return invalid(setting, `${name} is not in the plan`)
        const problem = oneOf(`${setting}.${name}`, value, actions)
        if (problem !== undefined) return problem
      }
    }
    return undefined
  }

  check(message: Message.Wire, caller: Context.Context<never>): ReturnType<Check["check"]> {
    const rule = this.rules.find(message.type, nameOf(message))
    if (rule === "unplanned") return this.judgeUnplanned(message, caller)
    return this.weigh(message, rule, rule === undefined ? none : rule.violations(dataOf(message)), caller)
  }

  redact(message: Message.Wire): Message.Wire {
    const { pii = "drop" } = this.policies
    const rule = this.rules.find(message.type, nameOf(message))
    if (rule instanceof Rule && rule.marks !== undefined) Privacy.apply(rule.marks, dataOf(message), pii, this.hash)
    const marks = this.rules.context?.marks
    if (marks === undefined) return message
    // What is in a context may be shared with other calls.
    const context = structuredClone(message.context)
    Privacy.apply(marks, context, pii, this.hash)
    return { ...message, context }
  }

  /** The same for a call of which it is known what is wrong with its data: they were encoded by the rule, or could not be. */
  knowing(rule: Rule, violations: ReadonlyArray<Violation>): Check {
    const known = violations.length === 0 ? this.known.get(rule) : undefined
    if (known !== undefined) return known
    const check: Check = {
      check: (message, caller) => this.weigh(message, rule, violations, caller),
      redact: (message) => this.redact(message)
    }
    if (violations.length === 0) this.known.set(rule, check)
    return check
  }

  private judgeUnplanned(message: Message.Wire, caller: Context.Context<never>): ReturnType<Check["check"]> {
    const { unplanned: policy = "allow" } = this.policies
    if (policy === "allow") return this.weigh(message, undefined, none, caller)
    this.count("(unplanned)", unplanned, policy, caller)
    return stopped(policy, violationOf(message, undefined, unplanned))
  }

  private weigh(
    message: Message.Wire,
    rule: Rule | undefined,
    inData: ReadonlyArray<Violation>,
    caller: Context.Context<never>
  ): ReturnType<Check["check"]> {
    const inContext = this.rules.context?.violations(message.context).filter(isTheirs) ?? none
    if (rule !== undefined && rule.deprecated !== false) this.warn(message, rule, rule.deprecated, caller)
    if (inData.length === 0 && inContext.length === 0) return undefined
    const violations = [...within(dataKey(message.type), inData), ...within("context", inContext)]
    const action = this.policyOf(message) ?? this.policies.onViolation ?? "fail"
    for (const violation of violations) this.count(rule?.name ?? message.type, violation, action, caller)
    if (action !== "flag") return stopped(action, violationOf(message, rule, violations[0] ?? unplanned))
    flag(message, violations)
    return undefined
  }

  private policyOf(message: Message.Wire): OnViolation | undefined {
    const { events, groupTraits, pages, screens, traits } = this.policies
    const own = (policies: { readonly [name: string]: OnViolation | undefined } | undefined, name = "") =>
      policies !== undefined && Object.hasOwn(policies, name) ? policies[name] : undefined
    switch (message.type) {
      case "track":
        return own(events, message.event)
      case "page":
        return own(pages, message.name) ?? own(pages)
      case "screen":
        return own(screens, message.name) ?? own(screens)
      case "identify":
        return traits
      case "group":
        return groupTraits
      default:
        return undefined
    }
  }

  private count(event: string, { kind }: Violation, action: string, caller: Context.Context<never>): void {
    const metric = Metric.withAttributes(violationsTotal, { event, violation: kind, action })
    metric.updateUnsafe(1, Context.merge(this.context, caller))
  }

  private warn(message: Message.Wire, rule: Rule, why: string | true, caller: Context.Context<never>): void {
    if (this.warned.has(rule)) return
    this.warned.add(rule)
    const what = rule.name === undefined ? message.type : `${message.type} ${JSON.stringify(rule.name)}`
    Effect.runForkWith(Context.merge(this.context, caller))(
      Effect.annotateLogs(Effect.logWarning(`${what} is deprecated${why === true ? "" : `: ${why}`}`), {
        module: "effect-analytics"
      })
    )
  }
}

const invalid = (setting: string, problem: string): InvalidSetting => new InvalidSetting({ setting, problem })

const oneOf = (setting: string, value: unknown, known: ReadonlyArray<string>): InvalidSetting | undefined =>
  value === undefined || known.some((one) => one === value)
    ? undefined
    : invalid(setting, `must be one of ${known.join(", ")}`)

const stopped = (policy: "fail" | "drop", violation: PlanViolation): PlanViolation | Transform.Drop =>
  policy === "fail" ? violation : Transform.dropViolation(violation.message, violation)

/** What we put into a context ourselves breaks no plan. */
const isTheirs = ({ kind, path }: Violation): boolean =>
  !(kind === "unexpected" && path.length === 1 && (path[0] === "library" || path[0] === "protocols"))

const within = (key: string, violations: ReadonlyArray<Violation>): ReadonlyArray<Violation> =>
  violations.map((violation) => ({ ...violation, path: [key, ...violation.path] }))

const violationOf = (
  message: Message.Wire,
  rule: Rule | undefined,
  { expected, kind, path }: Violation
): PlanViolation => {
  const event = nameOf(message)
  return new PlanViolation({
    call: message.type,
    ...(event === undefined ? {} : { event }),
    violation: kind,
    path,
    expected,
    ...(rule?.version === undefined ? {} : { version: rule.version })
  })
}

const flag = (message: Message.Wire, violations: ReadonlyArray<Violation>): void => {
  const context = message.context as Record<string, unknown>
  const protocols = Json.isData(context.protocols) ? context.protocols : {}
  const before = Array.isArray(protocols.violations) ? protocols.violations : []
  const flags = violations.map(({ expected, kind, path }) => ({
    type: words[kind],
    field: path.join("."),
    description: expected
  }))
  context.protocols = { ...protocols, violations: [...before, ...flags] }
}
