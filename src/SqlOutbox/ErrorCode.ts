/**
 * The codes of errors: SQLite's are numbers, whose lowest byte is the kind; PostgreSQL's and the file system's are texts. Only
 * the code of an error is told: its text could quote a row.
 */
import { OutboxFull, OutboxUnavailable } from "../AnalyticsError.ts"

export type ErrorCode = number | string | undefined

export const codeOf = (cause: unknown): ErrorCode => {
  const { code, errcode } = Object(cause) as { readonly code?: unknown; readonly errcode?: unknown }
  return [errcode, code].find((one) => typeof one === "number" || typeof one === "string")
}

const kindOf = (code: ErrorCode) => (typeof code === "number" ? code & 0xff : code)

/** Whether another connection was in the way: the same can be tried again. */
export const isLocked = (code: ErrorCode): boolean => [5, 6].includes(kindOf(code) as number)

/** Whether there is no room on the disk, or in the file. */
export const isFull = (code: ErrorCode): boolean => [13, "53100", "ENOSPC", "EDQUOT"].includes(kindOf(code) ?? "")

/** What SQLite says of a file that it can't work with. */
export const damageOf = (code: ErrorCode): string | undefined => {
  const problem = ({ 11: "corrupt", 26: "not a database" } as Record<string, string>)[kindOf(code) ?? ""]
  return problem === undefined ? undefined : `${problem}: ${nameOf(code)}`
}

const nameOf = (code: ErrorCode) => (typeof code === "number" ? `SQLITE ${code}` : code)

/** The error of the outbox for an error with this code. */
export const toOutboxError = (problem: string, code: ErrorCode): OutboxFull | OutboxUnavailable => {
  if (isFull(code)) return new OutboxFull({ bound: "disk" })
  const name = nameOf(code)
  return new OutboxUnavailable({ problem, ...(name === undefined ? {} : { code: name }) })
}
