/** A tracking plan as a collector uses it: finds what breaks the plan, and counts what was seen of it. */
import * as Result from "effect/Result"
import { formatPath } from "../AnalyticsError.ts"
import type * as Call from "../Call.ts"
import { dataKey, nameOf } from "../Call.ts"
import type * as Json from "../internal/Json.ts"
import type { AnyPlan } from "../TrackingPlan/check/Plan.ts"
import { Rules } from "../TrackingPlan/check/Rule.ts"
import type { Violation } from "../TrackingPlan/check/Violation.ts"
import type { Coverage, Problem, Seen } from "./Received.ts"

interface Count {
  readonly type: string
  readonly name: string
  readonly planned: boolean
  seen: number
  violations: number
}

/** How many names of unplanned events are counted: they are data, and have no bound of their own. */
const maxUnplanned = 1_000

export class PlanCoverage {
  private readonly rules: Rules
  private readonly plan: AnyPlan
  private readonly counts = new Map<string, Count>()
  private unplanned = 0

  constructor(plan: AnyPlan) {
    this.plan = plan
    this.rules = new Rules(plan.definition)
    this.clear()
  }

  /** What breaks the plan in a message of this type. Fields that the plan drops or hashes may be missing, or the hash. */
  problems(type: Call.Type, message: Json.Data): ReadonlyArray<Problem> {
    const rule = this.rules.find(type, nameOf(message))
    const context = this.rules.context?.decodeSent(message.context ?? {})
    const inContext = context === undefined ? [] : problemsOf("context", context).filter(isTheirs)
    if (rule === undefined) return inContext
    if (rule === "unplanned") {
      return [{ rule: "unplanned", path: type === "track" ? "event" : "name", problem: "is not in the plan" }]
    }
    const key = dataKey(type)
    return [...problemsOf(key, rule.decodeSent(message[key] ?? {})), ...inContext]
  }

  /** Counts a message that was taken. */
  count(type: Call.Type, name: string | undefined, problems: ReadonlyArray<Problem>): void {
    const key = `${type} ${name ?? ""}`
    let count = this.counts.get(key)
    if (count === undefined) {
      if (type === "alias" || this.rules.find(type, name) === undefined || this.unplanned >= maxUnplanned) return
      this.unplanned++
      count = { type, name: name ?? "", planned: false, seen: 0, violations: 0 }
      this.counts.set(key, count)
    }
    count.seen++
    if (problems.some(({ rule }) => rule === "plan")) count.violations++
  }

  clear(): void {
    this.counts.clear()
    this.unplanned = 0
    const { events, groupTraits, pages, screens, traits } = this.plan.definition
    const add = (type: string, name: string) =>
      this.counts.set(`${type} ${name}`, { type, name, planned: true, seen: 0, violations: 0 })
    for (const [type, shapes] of [
      ["track", events],
      ["page", pages],
      ["screen", screens]
    ] as const) {
      for (const name of Object.keys(shapes ?? {})) if (name !== "") add(type, name)
    }
    if (traits !== undefined) add("identify", "")
    if (groupTraits !== undefined) add("group", "")
  }

  get coverage(): Coverage {
    const all = Array.from(this.counts.values())
    const which = (wanted: boolean): ReadonlyArray<Seen> =>
      all.flatMap(({ planned, ...seen }) => (planned === wanted ? [seen] : []))
    return { name: this.plan.definition.name, planned: which(true), unplanned: which(false) }
  }
}

const problemsOf = (key: string, result: Result.Result<unknown, ReadonlyArray<Violation>>): ReadonlyArray<Problem> =>
  Result.isSuccess(result)
    ? []
    : result.failure.map(({ expected, path }) => ({
        rule: "plan",
        path: formatPath([key, ...path]),
        problem: expected
      }))

/** What a client puts into a context by itself breaks no plan. */
const isTheirs = ({ path }: Problem): boolean => path !== "context.library" && path !== "context.protocols"
