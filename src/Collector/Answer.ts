/** The answers of a collector: those of the real API, and the faults that a test or a developer requests. */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"

/** What a request gets. @category models @since 0.1.0 */
export type Answer =
  /** This status, with a body of JSON that agrees. */
  | number
  | {
      readonly status: number
      readonly headers?: Readonly<Record<string, string>> | undefined
      /** @default JSON that agrees with the status */
      readonly body?: string | undefined
      /** How long the answer is held back, in milliseconds or as a duration string. @default 0 */
      readonly delay?: Duration.Input | undefined
      /** Whether the messages are taken, independent of the status. @default true for a 2xx status */
      readonly taken?: boolean | undefined
    }
  /** The connection is reset before the body is read. */
  | "reset before"
  /** The messages are taken, and the connection is reset instead of an answer. */
  | "reset after"
  /** The request is read, and never answered. */
  | "silence"

/** What is sent for an answer: its defaults are filled in. */
export interface Response {
  /** 0 if there is no answer. */
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  readonly delay: number
  readonly taken: boolean
  readonly fault: "reset before" | "reset after" | "silence" | undefined
}

export const isSuccess = (status: number): boolean => status >= 200 && status < 300

export const bodyOf = (status: number, message?: string): string =>
  JSON.stringify({ success: isSuccess(status), ...(message === undefined ? {} : { message }) })

export const responseOf = (answer: Answer): Response => {
  if (typeof answer === "string") {
    return { status: 0, headers: {}, body: "", delay: 0, taken: answer === "reset after", fault: answer }
  }
  const { body, delay = 0, headers = {}, status, taken } = typeof answer === "number" ? { status: answer } : answer
  return {
    status,
    headers,
    body: body ?? bodyOf(status),
    delay: Duration.toMillis(Option.getOrElse(Duration.fromInput(delay), () => Duration.zero)),
    taken: taken ?? isSuccess(status),
    fault: undefined
  }
}

/** What `Retry-After` asks for, in milliseconds: it is seconds or a date. */
export const retryAfterOf = (headers: Readonly<Record<string, string>>, now: number): number | undefined => {
  const value = Object.entries(headers).find(([name]) => name.toLowerCase() === "retry-after")?.[1]
  if (value === undefined) return undefined
  const date = DateTime.make(value)
  const millis = /^\d+$/.test(value)
    ? Number(value) * 1_000
    : Option.match(date, { onNone: () => 0, onSome: (at) => at.epochMilliseconds - now })
  return Math.max(0, millis)
}
