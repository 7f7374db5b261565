/** One process, two evaluations of the package: two bundles of a framework, two installed versions, two copies of effect. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { patience, run } from "./programs.ts"

const meet = (scenario: string) =>
  Effect.map(run("copies", scenario), ({ code, stderr, stdout }) => {
    assert.deepStrictEqual([code, stderr], [0, ""])
    return JSON.parse(stdout)
  })

const options = { timeout: patience }

const message = (user: string, ...context: ReadonlyArray<string>) => ({
  type: "track",
  id: "string",
  user,
  context: [...context, "library"]
})

describe("two copies of the package over one effect", () => {
  it.live(
    "Effect: plans, context, identity, drop, flush and close of the one work with the runtime of the other",
    () =>
      Effect.map(meet("effects"), ({ dropped, sent, stats, ...answers }) => {
        assert.deepStrictEqual(answers, {
          violation: "PlanViolation",
          planned: "accepted",
          layer: "PlanViolation",
          circular: "InvalidCall",
          context: "accepted",
          identity: "accepted",
          flush: "accepted",
          flushWithin: "accepted"
        })
        assert.deepInclude(stats, { offered: 6, delivered: 3, pending: 0, dropped: 0, rejected: 3 })
        assert.deepInclude(dropped, { offered: 1, dropped: 1, rejected: 0 })
        assert.deepStrictEqual(sent, [message("u1"), message("u1", "ip"), message("u2")])
      }),
    options
  )

  it.live(
    "plain: plans, drop, withContext and withIdentity of the one work with a client of the other",
    () =>
      Effect.map(meet("plains"), (answers) =>
        assert.deepStrictEqual(answers, {
          violation: false,
          planned: true,
          circular: false,
          context: true,
          identity: true,
          drop: true,
          dropped: 1,
          reasons: ["PlanViolation", "InvalidCall"],
          sent: [message("u1"), message("u1", "ip"), message("u2")]
        })
      ),
    options
  )

  it.live(
    "observers that call the client of the other copy start no recursion",
    () => Effect.map(meet("observers"), (answers) => assert.deepStrictEqual(answers, { calls: 1, rejected: 2 })),
    options
  )
})

describe("two incompatible versions of the package", () => {
  it.live(
    "are named, with the cure, where they meet; calls elsewhere are accepted",
    () =>
      Effect.map(meet("incompatible"), ({ outside, plan, reasons, within, withContext }) => {
        assert.deepStrictEqual([outside, within], [true, false])
        for (const text of [plan, withContext, ...reasons]) {
          assert.match(text, /two incompatible versions .*\(npm ls effect-analytics\)/)
        }
        assert.strictEqual(reasons.length, 1)
      }),
    options
  )
})

describe("two copies of effect", () => {
  it.live(
    "a Redacted of the other copy is named, with the cure; plain clients of both share their context",
    () =>
      Effect.map(meet("effectCopies"), ({ redacted, sent }) => {
        assert.match(redacted, /^InvalidSetting: .*writeKey .*two copies of effect \(npm dedupe, npm ls effect\)/)
        assert.deepStrictEqual(sent, [message("u1"), message("u1", "ip")])
      }),
    options
  )
})
