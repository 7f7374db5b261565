/**
 * A plan's rules and what is to be done when they are broken: what every call to a client has to pass.
 *
 * A message that breaks the plan fails, is dropped, or is sent with its violations in `context.protocols.violations`; each
 * is counted. Fields marked as `pii` never pass as they are, unless the policy says so.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Redacted from "effect/Redacted"
import { InvalidSetting, PlanViolation } from "../AnalyticsError.ts"
import * as Enrichment from "../Enrichment.ts"
import * as Json from "../Json.ts"
import type * as Message from "../Message.ts"
import type { Definition, Shape, Shapes } from "./Definition.ts"
import * as Privacy from "./Privacy.ts"
import { none, Rule, type Violation } from "./Rule.ts"

/**
 * What becomes of a call that breaks the plan: it fails with `PlanViolation`, is dropped and told as `Filtered`, or is sent
 * and flagged in its context.
 */
export type OnViolation = "fail" | "drop" | "flag"

export interface Policies<Event extends string = string> {
  /** @default "fail" */
  readonly onViolation?: OnViolation | undefined
  /** Events with a policy of their own. */
  readonly events?: { readonly [Name in Event]?: OnViolation | undefined } | undefined
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
// Rules
// ---------------------------------------------------------------------------------------------------------------------

/** The rules of a plan, by what they are about. */
export class Rules {
  private readonly named: { readonly [type in Message.Type]?: ReadonlyMap<string, Rule> | undefined }
  private readonly unnamed: { readonly [type in Message.Type]?: Rule | undefined }
  readonly context: Rule | undefined

  constructor({ context, events, groupTraits, pages, screens, traits, version }: Definition) {
    const made = (shape: Shape, name: string | undefined, label: string) => {
      try {
        return new Rule(shape, name, version)
      } catch (error) {
        throw new Error(`${label}: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
      }
    }
    const one = (shape: Shape | undefined, label: string) =>
      shape === undefined ? undefined : made(shape, undefined, label)
    const many = (shapes: Shapes | undefined) =>
      shapes === undefined
        ? undefined
        : new Map(Object.entries(shapes).map(([name, shape]) => [name, made(shape, name, name)]))
    this.named = { track: many(events), page: many(pages), screen: many(screens) }
    this.unnamed = { identify: one(traits, "traits"), group: one(groupTraits, "groupTraits") }
    this.context = one(context, "context")
  }

  /** The rule for a call; `undefined` if the plan says nothing of such calls. */
  find(type: Message.Type, name: string | undefined): Rule | "unplanned" | undefined {
    const named = this.named[type]
    return named === undefined
      ? this.unnamed[type]
      : ((name === undefined ? undefined : named.get(name)) ?? "unplanned")
  }

  get all(): ReadonlyArray<Rule> {
    const named = Object.values(this.named).flatMap((rules) => (rules === undefined ? [] : Array.from(rules.values())))
    return [...named, ...Object.values(this.unnamed), this.context].filter((rule) => rule !== undefined)
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Gate
// ---------------------------------------------------------------------------------------------------------------------

const nameOf = (message: Message.Wire): string | undefined =>
  message.type === "track" ? message.event : "name" in message ? message.name : undefined

/** The key of a call's data, by its type. */
export const dataKey = (type: Message.Type): "traits" | "properties" =>
  type === "identify" || type === "group" ? "traits" : "properties"

const dataOf = (message: Message.Wire): unknown => (message as Message.Data)[dataKey(message.type)]

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

export class Gate {
  private readonly rules: Rules
  private readonly policies: Policies
  private readonly key: unknown
  private readonly hash: Privacy.Hash | undefined
  private readonly context: Context.Context<never>
  private readonly warned = new Set<Rule>()
  private readonly encoded = new Map<Rule, Enrichment.Check>()

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
    const { events = {}, hashKey, onViolation, pii = "drop", unplanned } = this.policies
    const invalid = (setting: string, problem: string) => new InvalidSetting({ setting, problem })
    const oneOf = (setting: string, value: unknown, known: ReadonlyArray<string>) =>
      value === undefined || known.some((one) => one === value)
        ? undefined
        : invalid(setting, `must be one of ${known.join(", ")}`)
    if (!Json.isData(events)) return invalid("events", "must be an object")
    for (const [name, value] of Object.entries(events)) {
      if (this.rules.find("track", name) instanceof Rule === false)
        return invalid("events", `${name} is not in the plan`)
      const problem = oneOf(`events.${name}`, value, actions)
      if (problem !== undefined) return problem
    }
    const problem =
      oneOf("onViolation", onViolation, actions) ??
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

  /** Checks a call of which nothing is known. */
  readonly check: Enrichment.Check = (message) => {
    const rule = this.rules.find(message.type, nameOf(message))
    if (rule === "unplanned") return this.judgeUnplanned(message)
    const violations = rule === undefined ? none : rule.violations(dataOf(message))
    return this.judge(message, rule, violations)
  }

  /** Checks a call whose data were encoded by the rule, or could not be. */
  checkEncoded(rule: Rule, violations: ReadonlyArray<Violation>): Enrichment.Check {
    if (violations.length > 0) return (message) => this.judge(message, rule, violations)
    const known = this.encoded.get(rule)
    if (known !== undefined) return known
    const check: Enrichment.Check = (message) => this.judge(message, rule, none)
    this.encoded.set(rule, check)
    return check
  }

  private judgeUnplanned(message: Message.Wire): ReturnType<Enrichment.Check> {
    const { unplanned: policy = "allow" } = this.policies
    if (policy === "allow") return this.judge(message, undefined, none)
    this.count(undefined, unplanned, policy)
    const violation = violationOf(message, undefined, unplanned)
    return policy === "fail" ? violation : Enrichment.drop(violation.message)
  }

  private judge(
    message: Message.Wire,
    rule: Rule | undefined,
    inData: ReadonlyArray<Violation>
  ): ReturnType<Enrichment.Check> {
    const inContext = this.rules.context?.violations(message.context) ?? none
    if (rule !== undefined && rule.deprecated !== false) this.warn(message, rule, rule.deprecated)
    if (inData.length > 0 || inContext.length > 0) {
      const violations = [...within(dataKey(message.type), inData), ...within("context", inContext)]
      const action = this.policyOf(message) ?? this.policies.onViolation ?? "fail"
      for (const violation of violations) this.count(rule?.name ?? message.type, violation, action)
      if (action === "flag") flag(message, violations)
      else {
        const violation = violationOf(message, rule, violations[0] ?? unplanned)
        return action === "fail" ? violation : Enrichment.drop(violation.message)
      }
    }
    const { pii = "drop" } = this.policies
    if (rule?.marks !== undefined) Privacy.apply(rule.marks, dataOf(message), pii, this.hash)
    const marks = this.rules.context?.marks
    if (marks === undefined) return message
    // What is in a context may be shared with other calls.
    const context = structuredClone(message.context)
    Privacy.apply(marks, context, pii, this.hash)
    return { ...message, context }
  }

  private policyOf(message: Message.Wire): OnViolation | undefined {
    const { events } = this.policies
    return message.type === "track" && events !== undefined && Object.hasOwn(events, message.event)
      ? events[message.event]
      : undefined
  }

  private count(event: string | undefined, { kind }: Violation, action: string): void {
    const attributes = { event: event ?? "(unplanned)", violation: kind, action }
    Metric.withAttributes(violationsTotal, attributes).updateUnsafe(1, this.context)
  }

  private warn(message: Message.Wire, rule: Rule, why: string | true): void {
    if (this.warned.has(rule)) return
    this.warned.add(rule)
    const what = rule.name === undefined ? message.type : `${message.type} ${JSON.stringify(rule.name)}`
    Effect.runForkWith(this.context)(
      Effect.annotateLogs(Effect.logWarning(`${what} is deprecated${why === true ? "" : `: ${why}`}`), {
        module: "effect-analytics"
      })
    )
  }
}

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
