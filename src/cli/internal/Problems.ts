/** Every rule that a call breaks, in the words of the client. */
import type { CallError } from "../../AnalyticsError.ts"
import type { Type } from "../../Message.ts"

export interface Problem {
  /** Where in the call, as in `properties.total`; empty when it is the call as a whole. */
  readonly path: string
  readonly problem: string
}

/** The rules that a refused call breaks; the client itself stops at the first. */
export const problemsOf = (_type: Type, _call: unknown, error: CallError): ReadonlyArray<Problem> =>
  "path" in error && "problem" in error
    ? [{ path: error.path.join("."), problem: error.problem }]
    : [{ path: "", problem: error.message }]
