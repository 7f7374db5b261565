import { describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { play, scenarios } from "./model.ts"

/** `EFFECT_ANALYTICS_MODEL_RUNS=100000` runs more of them, `EFFECT_ANALYTICS_MODEL_REPLAY=seed:path` one again. */
const { EFFECT_ANALYTICS_MODEL_REPLAY: replay, EFFECT_ANALYTICS_MODEL_RUNS: runs } = process.env

describe("the client, whatever happens to it", () => {
  it("keeps its promises in a thousand random stories", { timeout: 24 * 3_600_000 }, () => {
    const [seed, ...path] = replay?.split(":") ?? []
    fc.assert(fc.property(scenarios, play), {
      numRuns: Number(runs ?? 1_000),
      ...(seed === undefined ? {} : { seed: Number(seed), path: path.join(":"), endOnFailure: true })
    })
  })

  it("a limit that a retry meets between two milliseconds ends", () => {
    const options = {
      overflow: "refuse",
      maxInFlight: 2,
      batchSize: 1,
      flushInterval: 0,
      maxQueueSize: 50,
      maxQueueBytes: 32_768,
      maxRetries: 3,
      requestTimeout: 10_000,
      closeTimeout: 0
    } as const
    const limited = { status: 429, headers: { "retry-after": "7" } }
    const wire = { wireBytes: 500_000, refusal: { status: 400 }, recovers: false, steps: 2_048 }
    for (let seed = 0; seed < 100; seed++) {
      play({
        options,
        ...wire,
        seed,
        actions: [
          { act: "answer", answers: [503, 503, limited] },
          { act: "call", kind: "good", count: 2, padding: 0, face: "effect" },
          { act: "pass", millis: 10_000 }
        ]
      })
    }
  })
})
