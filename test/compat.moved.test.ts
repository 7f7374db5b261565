import { readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Peer } from "./compat/both.ts"
import * as There from "./compat/shop.segment.ts"
import * as Here from "./compat/shop.ts"

const read = (file: string) => readFileSync(new URL(`compat/${file}`, import.meta.url), "utf8").split("\n")

/** A day of the shop: what its visitors get, what its operators see, and what its peer has received. */
const day = async (sdk: { readonly Shop: new (settings: There.Settings) => There.Shop | Here.Shop }) => {
  const peer = await new Peer().start()
  const shop = new sdk.Shop({ writeKey: "test-write-key", host: peer.host, version: "1.2.3" })
  const url = await shop.start()
  const visit = async (path: string, method: string, headers: Record<string, string>) =>
    (await fetch(url + path, { method, headers: { "user-agent": "browser", connection: "close", ...headers } })).status
  const statuses = [
    await visit("/", "GET", { "x-visitor": "v1", referer: "https://example.com" }),
    await visit("/signup", "POST", { "x-visitor": "v1" }),
    await visit("/orders", "POST", { "x-user": "user-of-v1" }),
    await visit("/orders", "POST", { "x-user": "staff-1" }),
    await visit("/nowhere", "GET", {})
  ]
  peer.answers.push(400)
  statuses.push(await visit("/orders", "POST", { "x-user": "unlucky" }))
  await shop.stop()
  peer.stop()
  const { delivered, failed, reasons } = shop.metrics
  const events = peer.events.map(({ traits, ...event }) => ({
    ...event,
    ...(traits === undefined ? {} : { traits: { ...(traits as object), createdAt: undefined } })
  }))
  return {
    seen: { statuses, delivered, failed, rows: shop.rows, late: shop.late, staff: reasons[0] },
    sent: JSON.parse(JSON.stringify(events).replaceAll(/127\.0\.0\.1:\d+/g, "a host")),
    lost: reasons[1]
  }
}

describe("a shop that was written for @segment/analytics-node", () => {
  it("has about 150 lines, of which one changes: the import", () => {
    const [before, after] = [read("shop.segment.ts"), read("shop.ts")]
    const changed = after.flatMap((line, at) => (line === before[at] ? [] : [[before[at], line]]))
    assert.isAtLeast(before.length, 150)
    assert.strictEqual(before.length, after.length)
    assert.deepStrictEqual(
      changed.map((lines) => lines.map((line) => /from (.*)$/.exec(line ?? "")?.[1])),
      [['"@segment/analytics-node"', '"effect-analytics/compat"']]
    )
  })

  it("does and sends the same", async () => {
    const [there, here] = await Promise.all([day(There), day(Here)])
    assert.deepStrictEqual(here.seen, there.seen)
    assert.deepStrictEqual(here.sent, there.sent)
    assert.deepStrictEqual(here.seen, {
      statuses: [200, 201, 200, 503, 404, 503],
      delivered: 6,
      failed: 2,
      rows: ["o1", "o1"],
      late: ["track"],
      staff: "delivery_failure: staff"
    })
    assert.match(there.lost ?? "", /\[400\] Bad Request/)
    assert.match(here.lost ?? "", /refused by the API \(status 400/)
  })
})
