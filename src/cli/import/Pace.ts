/** The pace of an import: `--rate`. */
import * as Effect from "effect/Effect"
import * as Time from "../../internal/Time.ts"

/** Lets so many lines through in a second, spread over it. */
export const paceOf = (rate: number): Effect.Effect<void> => {
  const slice = Math.max(1, Math.floor(rate / 20))
  let start: number | undefined
  let lines = 0
  return Effect.suspend(() => {
    if (lines++ % slice !== 0) return Effect.void
    return Effect.flatMap(Time.monotonicMillis, (time) => {
      start ??= time
      const due = start + ((lines - 1) / rate) * 1_000
      return due > time ? Effect.sleep(due - time) : Effect.void
    })
  })
}
