/**
 * Callbacks of the program: whatever they throw, or reject with, is the program's own affair and ends nothing here.
 */
import { isThenable } from "./Json.ts"

/** Runs a callback. `onFailure` gets what it throws, or what its promise is rejected with. */
export const ignoreThrows = (callback: () => unknown, onFailure: (cause: unknown) => void = () => {}): void => {
  try {
    const answer = callback()
    // Any object with a `then`: promises of other realms and libraries included.
    if (isThenable(answer)) answer.then(undefined, onFailure)
  } catch (cause) {
    onFailure(cause)
  }
}

/** The text of what was thrown, for a log line: its stack if it has one. It may be anything, of any realm. */
export const textOf = (cause: unknown): string => {
  try {
    const { stack } = Object(cause) as { readonly stack?: unknown }
    return typeof stack === "string" ? stack : String(cause)
  } catch {
    return "a value without a text"
  }
}
