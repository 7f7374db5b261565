/**
 * The log lines of a client. Logging never fails: a logger that throws must not take messages with it.
 */
import * as Effect from "effect/Effect"

let depth = 0

/** Whether a logger runs at the moment. A call that a logger makes would cause the next line, without end. */
export const isLogging = (): boolean => depth > 0

const levels = {
  Debug: Effect.logDebug,
  Info: Effect.logInfo,
  Warn: Effect.logWarning,
  Error: Effect.logError
}

/** Writes a line. The loggers run before this returns to the fiber, so that `isLogging` is true for their calls alone. */
export const log = (
  level: keyof typeof levels,
  line: string,
  annotations: Readonly<Record<string, unknown>> = {}
): Effect.Effect<void> =>
  Effect.withFiber((fiber) => {
    depth++
    try {
      const written = Effect.annotateLogs(levels[level](line), { module: "effect-analytics", ...annotations })
      Effect.runSyncExitWith(fiber.context)(written)
    } finally {
      depth--
    }
    return Effect.void
  })
