/**
 * Checks every call to a client by the rules of a plan, and applies the policies for violations.
 *
 * A message that breaks the plan fails, is dropped, or is sent with its violations in `context.protocols.violations`; each
 * is counted. Fields marked as `pii` pass unchanged only by the policy `keep`.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { Check } from "../../Analytics/Check.ts"
import { formatPath, type InvalidSetting, PlanViolation } from "../../AnalyticsError.ts"
import * as Call from "../../Call.ts"
import * as Json from "../../internal/Json.ts"
import type * as Message from "../../Message.ts"
import { countViolationUnsafe } from "../../Metrics.ts"
import { invalid, oneOf, read } from "../../Settings.ts"
import * as Transform from "../../Transform.ts"
import { type Definition, type NameIn, oneEffect } from "../Definition.ts"
import * as Marks from "../pii/Marks.ts"
import type { Rule, Rules } from "./Rule.ts"
import { none, type Violation } from "./Violation.ts"

/**
 * The policy for a call that breaks the plan: it fails with `PlanViolation`; is dropped, and the observer gets `Filtered` with
 * the violation (logged, or passed to `onError`); or is sent and flagged in its context.
 * @category models @since 0.1.0
 */
export type OnViolation = "fail" | "drop" | "flag"

/** Policies by name; none, where nothing has a name. */
type ByName<S> = [NameIn<S>] extends [never] ? never : { readonly [Name in NameIn<S>]?: OnViolation | undefined }

/** What happens to calls that break the plan. @category options @since 0.1.0 */
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
  /** The policy for events, pages and screens that are not in the plan. @default "allow" */
  readonly unplanned?: "allow" | "drop" | "fail" | undefined
  /** The policy for fields marked with `pii: true`. @default "drop" */
  readonly pii?: Marks.Policy | undefined
  /** The key of the hash. Without it and a layer, what is to be hashed is dropped. */
  readonly hashKey?: Redacted.Redacted | string | undefined
}

// ---------------------------------------------------------------------------------------------------------------------
// Check
// ---------------------------------------------------------------------------------------------------------------------

const dataOf = (message: Message.Wire): unknown => (message as Call.Data)[Call.dataKey(message.type)]

/** The words of the ecosystem for kinds of violations. */
const words: { readonly [kind in Violation["kind"]]: string } = {
  required: "Required",
  type: "Invalid Type",
  value: "Invalid Value",
  unexpected: "Additional Property",
  unplanned: "Unplanned Event"
}

const action = /* @__PURE__ */ Schema.optional(oneOf(["fail", "drop", "flag"]))
const Words = /* @__PURE__ */ Schema.Struct({
  onViolation: action,
  traits: action,
  groupTraits: action,
  unplanned: Schema.optional(oneOf(["allow", "drop", "fail"])),
  pii: Schema.optional(oneOf(["drop", "hash", "keep"]))
})

const unplanned: Violation = { kind: "unplanned", path: [], expected: "it is not in the plan" }

/** The calls that have names, by the setting with their policies. */
const named = { events: "track", pages: "page", screens: "screen" } as const

export class PlanCheck implements Check {
  /** The rules of the plan. Two checks of one plan have the same. */
  readonly rules: Rules
  private readonly policies: Policies
  private readonly key: unknown
  private readonly hash: Marks.Hash | undefined
  private readonly context: Context.Context<never>
  private readonly warned = new Set<Rule>()
  private readonly known = new Map<Rule, Check>()

  /** `context` is what is around the plan: what is around a call counts more. */
  constructor(rules: Rules, policies: Policies, context: Context.Context<never>) {
    this.rules = rules
    this.policies = policies
    this.context = context
    const { hashKey } = policies
    const key = keyOf(hashKey)
    this.key = key
    this.hash = typeof key !== "string" || key === "" ? undefined : Marks.makeHash(key)
  }

  /** Why the policies can't work: they are none, or there are fields to hash, and no key or no way to. */
  get problem(): InvalidSetting | undefined {
    try {
      this.verify()
      return undefined
    } catch (error) {
      const problem = error as InvalidSetting
      if (problem._tag === "InvalidSetting") return problem
      throw error
    }
  }

  private verify(): void {
    for (const setting of ["events", "pages", "screens"] as const) {
      const policies = this.policies[setting] ?? {}
      if (!Json.isData(policies)) invalid(setting, "must be an object")
      for (const [name, value] of Object.entries(policies)) {
        if (!this.rules.has(named[setting], name)) invalid(setting, `${name} is not in the plan`)
        const policy = `${setting}.${name}`
        read(Schema.Struct({ [policy]: action }), { [policy]: value })
      }
    }
    read(Words, this.policies)
    const { hashKey, pii = "drop" } = this.policies
    if (this.key === foreign) invalid("hashKey", `is a Redacted of another copy of effect. ${oneEffect}`)
    if (hashKey !== undefined && (typeof this.key !== "string" || this.key === "")) {
      invalid("hashKey", "must be a text that is not empty, or a Redacted one")
    }
    if (this.hash !== undefined || !this.rules.all.some((rule) => rule.needsHash(pii))) return
    invalid(
      "hashKey",
      hashKey === undefined ? "is needed to hash what is marked as pii" : "can't be used: there is no node:crypto"
    )
  }

  check(message: Message.Wire, caller: Context.Context<never>): ReturnType<Check["check"]> {
    const rule = this.rules.find(message.type, Call.nameOf(message))
    if (rule === "unplanned") return this.checkUnplanned(message, caller)
    return this.evaluate(message, rule, rule === undefined ? none : rule.violations(dataOf(message)), caller)
  }

  redact(message: Message.Wire): Message.Wire {
    const { pii = "drop" } = this.policies
    const rule = this.rules.find(message.type, Call.nameOf(message))
    if (rule !== undefined && rule !== "unplanned" && rule.marks !== undefined)
      Marks.apply(rule.marks, dataOf(message), pii, this.hash)
    const marks = this.rules.context?.marks
    if (marks === undefined) return message
    // A context may be shared with other calls.
    const context = structuredClone(message.context)
    Marks.apply(marks, context, pii, this.hash)
    return { ...message, context }
  }

  /** The same for a call of which it is known what is wrong with its data: they were encoded by the rule, or could not be. */
  knowing(rule: Rule, violations: ReadonlyArray<Violation>): Check {
    const known = violations.length === 0 ? this.known.get(rule) : undefined
    if (known !== undefined) return known
    const check: Check = {
      check: (message, caller) => this.evaluate(message, rule, violations, caller),
      redact: (message) => this.redact(message)
    }
    if (violations.length === 0) this.known.set(rule, check)
    return check
  }

  private checkUnplanned(message: Message.Wire, caller: Context.Context<never>): ReturnType<Check["check"]> {
    const { unplanned: policy = "allow" } = this.policies
    if (policy === "allow") return this.evaluate(message, undefined, none, caller)
    this.count("(unplanned)", unplanned, policy, caller)
    return stopWith(policy, violationOf(message, undefined, unplanned))
  }

  /** All that is wrong with a message, whatever the policies. */
  violations(message: Message.Wire): ReadonlyArray<Violation> {
    const rule = this.rules.find(message.type, Call.nameOf(message))
    if (rule === "unplanned") return [unplanned, ...this.located(message, none)]
    return this.located(message, rule === undefined ? none : rule.violations(dataOf(message) ?? {}))
  }

  /** The violations in the data and in the context of a message. */
  private located(message: Message.Wire, inData: ReadonlyArray<Violation>): ReadonlyArray<Violation> {
    const inContext = this.rules.context?.violations(message.context ?? {}).filter(isTheirs) ?? none
    if (inData.length === 0 && inContext.length === 0) return none
    return [...prefixed(Call.dataKey(message.type), inData), ...prefixed("context", inContext)]
  }

  private evaluate(
    message: Message.Wire,
    rule: Rule | undefined,
    inData: ReadonlyArray<Violation>,
    caller: Context.Context<never>
  ): ReturnType<Check["check"]> {
    const violations = this.located(message, inData)
    if (rule !== undefined && rule.deprecated !== false) this.warn(message, rule, rule.deprecated, caller)
    if (violations.length === 0) return undefined
    const action = this.policyOf(message) ?? this.policies.onViolation ?? "fail"
    for (const violation of violations) this.count(rule?.name ?? message.type, violation, action, caller)
    if (action !== "flag") return stopWith(action, violationOf(message, rule, violations[0] ?? unplanned))
    flag(message, violations)
    return undefined
  }

  private policyOf(message: Message.Wire): OnViolation | undefined {
    const { events, groupTraits, pages, screens, traits } = this.policies
    const policyIn = (policies: { readonly [name: string]: OnViolation | undefined } | undefined, name = "") =>
      policies !== undefined && Object.hasOwn(policies, name) ? policies[name] : undefined
    switch (message.type) {
      case "track":
        return policyIn(events, message.event)
      case "page":
        return policyIn(pages, message.name) ?? policyIn(pages)
      case "screen":
        return policyIn(screens, message.name) ?? policyIn(screens)
      case "identify":
        return traits
      case "group":
        return groupTraits
      default:
        return undefined
    }
  }

  private count(event: string, { kind }: Violation, action: string, caller: Context.Context<never>): void {
    countViolationUnsafe({ event, violation: kind, action }, Context.merge(this.context, caller))
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

const foreign = Symbol()

const keyOf = (hashKey: unknown): unknown => {
  if (!Redacted.isRedacted(hashKey)) return hashKey
  try {
    return Redacted.value(hashKey)
  } catch {
    // The value is kept by the copy of effect that has hidden it.
    return foreign
  }
}

const stopWith = (policy: "fail" | "drop", violation: PlanViolation): PlanViolation | Transform.Drop =>
  policy === "fail" ? violation : Transform.dropViolation(violation.message, violation)

/** Keys that the library puts into a context are no violations. */
const isTheirs = ({ kind, path }: Violation): boolean =>
  !(kind === "unexpected" && path.length === 1 && (path[0] === "library" || path[0] === "protocols"))

const prefixed = (key: string, violations: ReadonlyArray<Violation>): ReadonlyArray<Violation> =>
  violations.map((violation) => ({ ...violation, path: [key, ...violation.path] }))

const violationOf = (
  message: Message.Wire,
  rule: Rule | undefined,
  { expected, kind, path }: Violation
): PlanViolation => {
  const event = Call.nameOf(message)
  return new PlanViolation({
    call: message.type,
    ...(event === undefined ? {} : { event }),
    violation: kind,
    path,
    expected,
    ...(rule?.version === undefined ? {} : { version: rule.version })
  })
}

/** Violations that a message is flagged with, at most: they count towards its size. */
const maxFlags = 20

const flag = (message: Message.Wire, violations: ReadonlyArray<Violation>): void => {
  const context = message.context as Record<string, unknown>
  const protocols = Json.isData(context.protocols) ? context.protocols : {}
  const before = Array.isArray(protocols.violations) ? protocols.violations : []
  const flags = violations.slice(0, maxFlags).map(({ expected, kind, path }) => ({
    type: words[kind],
    field: formatPath(path),
    description: expected
  }))
  const [first] = violations.slice(maxFlags)
  const more =
    first === undefined
      ? []
      : [{ type: words[first.kind], field: "", description: `and ${violations.length - maxFlags} more violations` }]
  context.protocols = { ...protocols, violations: [...before, ...flags, ...more] }
}
