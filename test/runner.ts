/** Runs the tests. One that answers an effect has run nothing of it, and fails: it needs `it.effect`. */
import * as Effect from "effect/Effect"
import { type RunnerTestCase, TestRunner } from "vitest"

export default class extends TestRunner {
  async runTask(test: RunnerTestCase): Promise<void> {
    const answer: unknown = await TestRunner.getTestFn(test)()
    if (Effect.isEffect(answer)) throw new Error("the test answers an effect that nobody runs: use it.effect")
  }
}
