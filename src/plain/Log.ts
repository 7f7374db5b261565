/**
 * The log of a plain client: lines of Effect go to an object with four functions, such as `console`.
 */
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import { ignoreThrows, textOf } from "../internal/Callback.ts"

/** The target of the client's log lines. `console` is one. @category models @since 0.1.0 */
export interface Log {
  /** Details, such as each attempt. */
  readonly debug: (message: string) => void
  /** What goes well again. */
  readonly info: (message: string) => void
  /** Losses and outages. */
  readonly warn: (message: string) => void
  /** What needs somebody. */
  readonly error: (message: string) => void
}

/** The target of a client that was given none. */
export const standard: Log = console

/** The logger of a client: log lines go to this target, or to the console. */
export const logTo = (logger: Log | undefined): Layer.Layer<never> => {
  const target = logger ?? standard
  let hasThrown = false
  const write = Logger.make<unknown, void>(({ fiber, logLevel, message }) => {
    // The line has the reason already.
    const { module, reason, ...annotations } = fiber.getRef(References.CurrentLogAnnotations)
    const facts = Object.entries(annotations).map(([name, value]) => `${name} ${String(value)}`)
    const words = Array.isArray(message) ? message.map(String).join(" ") : String(message)
    const line = `effect-analytics: ${words}${facts.length === 0 ? "" : ` (${facts.join(", ")})`}`
    ignoreThrows(
      () => {
        if (logLevel === "Error" || logLevel === "Fatal") return target.error(line)
        if (logLevel === "Warn") return target.warn(line)
        return logLevel === "Info" ? target.info(line) : target.debug(line)
      },
      (cause) => {
        if (hasThrown) return
        hasThrown = true
        // The program's own logger cannot report its own failure.
        // @effect-diagnostics-next-line globalConsole:off
        ignoreThrows(() => standard.error(`effect-analytics: logger threw: ${textOf(cause)}; it did not log: ${line}`))
      }
    )
  })
  const level = logger === undefined ? "Info" : "All"
  return Layer.merge(Logger.layer([write]), Layer.succeed(References.MinimumLogLevel, level))
}
