/** Every rule that a call breaks, in the words of the client. */
import { type AnalyticsError, formatPath, type InvalidCall } from "../../AnalyticsError.ts"
import * as CallCheck from "../../Call/CallCheck.ts"
import type * as Call from "../../Call.ts"

export interface Problem {
  /** Where in the call, as in `properties.items[0].price`; empty when it is the call as a whole. */
  readonly path: string
  readonly problem: string
}

/** Something valid for each field that may be missing. */
const repairs: { readonly [field: string]: string } = {
  userId: "x",
  anonymousId: "x",
  event: "x",
  groupId: "x",
  previousId: "x",
  name: "x"
}

/** More than a call has fields. */
const maxProblems = 20

/** The rules that a refused call breaks. The client stops at the first: it is repaired, and the client is asked again. */
export const problemsOf = (type: Call.Type, call: object, first: AnalyticsError["reason"]): ReadonlyArray<Problem> => {
  const problems: Array<Problem> = []
  const repaired: { [field: string]: unknown } = { ...call }
  let error: AnalyticsError["reason"] | undefined = first
  while (error !== undefined && problems.length < maxProblems) {
    if (error._tag !== "InvalidCall") return [...problems, { path: "", problem: error.message }]
    const { path, problem }: InvalidCall = error
    problems.push({ path: formatPath(path), problem })
    const field = path[0]
    if (field === undefined) break
    if (repairs[field] === undefined) delete repaired[field]
    else repaired[field] = repairs[field]
    error = CallCheck.check(type, CallCheck.withoutNulls(repaired))
  }
  return problems
}
