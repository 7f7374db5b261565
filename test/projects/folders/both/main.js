/** Both formats in one process, and plans and outboxes of another copy. */
import assert from "node:assert/strict"
import { createRequire } from "node:module"
import * as Schema from "effect/Schema"
import { fromJson } from "effect-analytics/jsonPlan"
import { createAnalytics, drop, withContext, withIdentity } from "effect-analytics/plain"
import { createTestAnalytics } from "effect-analytics/plainTest"
import * as planned from "effect-analytics/planned"
import * as SqlOutbox from "effect-analytics/SqlOutbox"
import { sqlite } from "effect-analytics/sqlite"
import * as TrackingPlan from "effect-analytics/TrackingPlan"

const require = createRequire(import.meta.url)
const cjs = require("effect-analytics/plain")
const cjsTest = require("effect-analytics/plainTest")
assert.notEqual(cjs.createAnalytics, createAnalytics)

const host = process.env.PEER
const one = createAnalytics({ writeKey: "k", host })
const other = cjs.createAnalytics({ writeKey: "k", host })
await cjs.withContext({ ip: "203.0.113.1" }, async () => {
  await Promise.resolve()
  one.track({ userId: "u1", event: "Context of require" })
  withIdentity({ userId: "u2" }, () => other.identified.track({ event: "Identity of import" }))
})
withContext({ ip: "203.0.113.2" }, () => other.track({ userId: "u1", event: "Context of import" }))
await Promise.all([one.close(), other.close()])

for (const [create, dropped] of [
  [createTestAnalytics, cjs.drop("sampled")],
  [cjsTest.createTestAnalytics, drop("sampled")]
]) {
  const client = create({ transform: () => dropped })
  assert.equal(client.track({ userId: "u1", event: "Dropped" }), true)
  assert.equal(client.stats().dropped, 1)
}

const events = { "Signed Up": Schema.Struct({ plan: Schema.String }) }
const plan = TrackingPlan.make({ events })
const rules = { rules: { events: [] } }
const refuses = (settings, create, pattern) =>
  assert.throws(() => create({ writeKey: "k", host, ...settings }), pattern)
const anotherPlan =
  /^InvalidSetting: effect-analytics: plan was made with another copy of effect: .*effect-analytics\/planned/
const anotherOutbox =
  /^InvalidSetting: effect-analytics: outbox was made by another copy of effect-analytics: import both, or require both/
refuses({ plan }, createAnalytics, anotherPlan)
refuses({ plan }, cjs.createAnalytics, anotherPlan)
refuses({ plan: fromJson(rules) }, cjs.createAnalytics, anotherPlan)
refuses({ plan: fromJson(rules) }, planned.createAnalytics, anotherPlan)
refuses({ outbox: sqlite({ directory: "outbox" }) }, cjs.createAnalytics, anotherOutbox)
refuses({ outbox: sqlite({ directory: "outbox" }), plan }, planned.createAnalytics, anotherOutbox)
refuses({ outbox: SqlOutbox.sqlite({ directory: "outbox" }) }, createAnalytics, anotherOutbox)

const client = planned.createAnalytics({ writeKey: "k", host, plan, outbox: SqlOutbox.sqlite({ directory: "outbox" }) })
assert.equal(await client.planned.track("Signed Up", { plan: "free" }, { userId: "u1" }), true)
await client.close()
