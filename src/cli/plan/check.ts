/** `effect-analytics plan check`: whether a plan can be read, and whether events keep it. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as Analytics from "../../Analytics.ts"
import { nameOf, type Type, types } from "../../Call.ts"
import type { Data } from "../../internal/Json.ts"
import type { Wire } from "../../Message.ts"
import * as Observer from "../../Observer.ts"
import type * as TrackingPlan from "../../TrackingPlan.ts"
import * as Mapping from "../import/Mapping.ts"
import * as Records from "../import/Records.ts"
import { CommandError, Findings } from "../internal/Exit.ts"
import { optional, toggle } from "../internal/Flags.ts"
import * as Input from "../internal/Input.ts"
import * as Output from "../internal/Output.ts"
import * as PlanFile from "../internal/PlanFile.ts"
import { type Problem, problemsOf } from "../internal/Problems.ts"

const config = {
  plan: Argument.String("plan").pipe(Argument.withDescription("The plan: JSON, or a module that exports it")),
  events: Argument.String("events").pipe(
    Argument.withDescription("Events to check against it: NDJSON, one call a line; - is stdin"),
    Argument.optional
  ),
  type: optional(Flag.Literals("type", types), "The call of lines without a type"),
  strict: toggle("strict", "An event that is not in the plan is a violation")
}

export const check = Command.make("check", config, (options) => run(options)).pipe(
  Command.withDescription("Check a tracking plan, and events against it. Exit code 3: an event breaks the plan"),
  Command.withExamples([
    { command: "effect-analytics plan check plan.json", description: "Can the plan be read?" },
    {
      command: "effect-analytics plan check src/plan.ts events.ndjson --strict",
      description: "Do these events keep it?"
    }
  ])
)

/** Violations that are printed, at most; all are counted. */
const maxShown = 100

/** A line that breaks the plan, or is no call. */
interface Violation extends Problem {
  readonly line: number
  readonly event: string
}

const run = Effect.fnUntraced(function* (options: Command.Command.Config.Infer<typeof config>) {
  const plan = yield* PlanFile.plan(options.plan)
  const { events, name = "the plan", pages, screens, version } = plan.definition
  const planned = Object.keys(events ?? {})
  const shapes = planned.length + Object.keys(pages ?? {}).length + Object.keys(screens ?? {}).length
  const title = `${name}${version === undefined ? "" : ` (version ${version})`}`
  const unreadable = plan.problems.map(({ event, path, problem }) => ({ event, path, problem }))
  const unread = unreadable.map(
    ({ event, path, problem }) => `${Output.style("red", "can't be read")}  ${event}${path}: ${problem}`
  )
  if (Option.isNone(options.events)) {
    const state = unread.length === 0 ? Output.style("green", "valid") : "read"
    yield* Output.result({ plan: name, version, events: planned, unreadable }, () =>
      [...unread, `${state} ${title}: ${Output.count(shapes, "event")}`].join("\n")
    )
    return unread.length === 0 ? undefined : yield* new Findings()
  }
  const found = yield* checkAll(plan, options.events.value, options)
  const unseen = planned.filter((event) => !found.seen.has(event))
  const unplanned = Object.fromEntries(found.unplanned)
  yield* Output.result(
    {
      plan: name,
      version,
      unreadable,
      lines: found.lines,
      violating: found.violating,
      violations: found.violations,
      unplanned,
      unseen
    },
    () =>
      [
        ...unread,
        ...found.violations.map(
          ({ event, line, path, problem }) =>
            `line ${line}  ${Output.style("bold", event)}  ${path === "" ? "" : `${path}: `}${problem}`
        ),
        ...(found.total > maxShown ? [`… and ${found.total - maxShown} more`] : []),
        `${title}: ${Output.count(found.lines, "event")}, ${found.violating} ${found.violating === 1 ? "breaks" : "break"} the plan`,
        ...(found.unplanned.size === 0 ? [] : [`not in the plan: ${Array.from(found.unplanned.keys()).join(", ")}`]),
        ...(unseen.length === 0 ? [] : [`planned, and not seen: ${unseen.join(", ")}`])
      ].join("\n")
  )
  if (found.violating > 0 || unread.length > 0) return yield* new Findings()
})

const checkAll = Effect.fnUntraced(function* (
  plan: TrackingPlan.AnyPlan,
  path: string,
  { strict, type }: { readonly strict: boolean; readonly type: Type | undefined }
) {
  const mapping = Mapping.make(undefined, type)
  if (mapping instanceof CommandError) return yield* mapping
  const violations: Array<Violation> = []
  const unplanned = new Map<string, number>()
  const seen = new Set<string>()
  let lines = 0
  let violating = 0
  let total = 0

  const violates = (line: number, event: string, problems: ReadonlyArray<Problem>) => {
    violating++
    for (const problem of problems) {
      total++
      if (total <= maxShown) violations.push({ line, event, ...problem })
    }
  }

  // The messages as they would be sent: what breaks the plan is flagged in them, all of it.
  const observer = Observer.layer((outcome) =>
    Effect.sync(() => {
      if (outcome._tag !== "Delivered") return
      for (const { data } of outcome.messages) {
        const flagged = violationsIn(data)
        if (flagged.length > 0) violates(Number(data.messageId), labelOf(data), flagged)
      }
    })
  )
  const client = plan
    .layer({ onViolation: "flag", unplanned: "fail", pii: "keep" })
    .pipe(Layer.provide(Analytics.layerStub({ overflow: "wait" })), Layer.provide(observer))

  const take = Effect.fnUntraced(function* (analytics: Analytics.Service, { call, line, problem }: Records.Record) {
    if (call === undefined) {
      if (problem !== undefined) violates(line, "?", [{ path: "", problem }])
      return
    }
    lines++
    const event = labelOf(call)
    if (call.type === "track") seen.add(event)
    const { type, ...rest } = call
    const exit = yield* Effect.exit(analytics[type as Type]({ ...rest, messageId: String(line) } as never))
    if (Exit.isSuccess(exit)) return
    const { reason } = yield* Effect.flip(exit)
    if (reason._tag === "PlanViolation" && reason.violation === "unplanned") {
      unplanned.set(event, (unplanned.get(event) ?? 0) + 1)
      if (!strict) return
    }
    violates(line, event, problemsOf(type as Type, rest, reason))
  })

  yield* Effect.gen(function* () {
    const analytics = yield* Analytics.Analytics
    const all = Stream.fromAsyncIterable(
      Records.records(path, "ndjson", mapping, () => {}),
      (error) => Input.unreadableFile(path, error)
    )
    yield* Stream.runForEach(all, (some) =>
      Effect.forEach(some, (record) => take(analytics, record), { discard: true })
    )
    yield* analytics.flush
  }).pipe(Effect.provide(client))
  violations.sort((one, other) => one.line - other.line)
  return { lines, violating, violations, total, unplanned, seen }
})

const labelOf = (call: Data): string => nameOf(call) ?? String(call.type)

/** What a plan has flagged in a message. */
const violationsIn = ({ context }: Wire): ReadonlyArray<Problem> => {
  const flags: ReadonlyArray<{ readonly field: string; readonly description: string }> =
    context.protocols?.violations ?? []
  return flags.map(({ description, field }) => ({ path: field, problem: description }))
}
