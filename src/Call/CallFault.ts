/**
 * What is wrong with a call, in words: the field, what it takes, the type of what was given, and what was probably meant. Never
 * the value itself.
 */
import type * as SchemaIssue from "effect/SchemaIssue"
import { InvalidCall } from "../AnalyticsError.ts"
import type * as Call from "../Call.ts"
import { firstProblem, typeOf } from "../internal/Issue.ts"
import { JsonError } from "../internal/Json.ts"
import { limits } from "../Settings.ts"
import { meantBy } from "./Slips.ts"

/** The error of a call that cannot be sent. */
export const refuse = (type: Call.Type, { path, problem, size }: JsonError, data?: Call.Data): InvalidCall =>
  new InvalidCall({
    call: type,
    path,
    problem: problem + hintOf(path, problem, data),
    ...(typeof data?.event === "string" && type === "track" && path[0] !== "event"
      ? { event: data.event.slice(0, 100) }
      : {}),
    ...(size === undefined ? {} : { size, limit: limits.messageBytes })
  })

/** The fault of a call that is no object: mostly one with the arguments of another SDK. */
export const notAnObject = (type: Call.Type, value: unknown): JsonError =>
  new JsonError(`the call must be one object, ${examples[type]}; it is ${typeOf(value)}`, [])

const examples: { readonly [T in Call.Type]: string } = {
  identify: "{ userId, traits }",
  track: "{ userId, event, properties }",
  page: "{ userId, name, properties }",
  screen: "{ userId, name, properties }",
  group: "{ userId, groupId, traits }",
  alias: "{ userId, previousId }"
}

/** The first field that is wrong, by the issue of its Schema. */
export const of = (issue: SchemaIssue.Issue, data: Call.Data): JsonError => {
  const { expected, isMissing, path, value } = firstProblem(issue, data)
  if (isMissing) return new JsonError(expected ?? "is missing", path)
  return new JsonError(`must be ${expected ?? "another value"}; it is ${typeOf(value)}${timeHint(path, value)}`, path)
}

/** Later than this, in milliseconds since 1970, is a number of milliseconds; earlier, of seconds. */
const firstMillis = 100_000_000_000

const timeHint = (path: ReadonlyArray<string | number>, value: unknown): string => {
  if (path[0] !== "timestamp") return ""
  if (typeof value === "string") return " that is no such time"
  if (typeof value !== "number") return ""
  return Math.abs(value) < firstMillis ? " (seconds? use new Date(1000 * …))" : " (milliseconds? use new Date(…))"
}

const hintOf = (path: ReadonlyArray<string | number>, problem: string, data: Call.Data | undefined): string => {
  if (data === undefined || !problem.startsWith("is missing")) return ""
  const wanted = path[0] === "anonymousId" ? ["anonymousId", "userId"] : [path[0]]
  const slip = Object.keys(data).find((name) => wanted.includes(meantBy(name)))
  return slip === undefined ? "" : ` (did you mean ${meantBy(slip)} by ${slip}?)`
}
