/** `verify`: one message to the real address, and what its answer tells. */
import { afterEach, assert, describe, it, vi } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Analytics from "../src/Analytics.ts"
import { createAnalytics } from "../src/plain.ts"
import { type Peer, peer } from "./support.ts"

const writeKey = "a-write-key"
const sent = ({ received }: Peer) => received.map(({ body }) => JSON.parse(body.toString()).batch)

/** The same in both faces. */
const faces = {
  plain: (host: string) =>
    Effect.acquireUseRelease(
      Effect.sync(() => createAnalytics({ writeKey, host })),
      (analytics) =>
        Effect.map(Effect.promise(analytics.verify), (verification) => [verification, analytics.stats()] as const),
      (analytics) => Effect.promise(() => analytics.close())
    ),
  effect: (host: string) =>
    Effect.gen(function* () {
      const verification = yield* Analytics.verify
      return [verification, yield* (yield* Analytics.Analytics).stats] as const
    }).pipe(Effect.provide(Analytics.layerFetch({ writeKey: Redacted.make(writeKey), host })))
}

afterEach(() => vi.unstubAllEnvs())

describe.each(["plain", "effect"] as const)("verify, the %s face", (face) => {
  it.live("sends one message past the outbox, and answers status, host and clock skew", () =>
    Effect.gen(function* () {
      const there = yield* peer((response) => {
        response.writeHead(200, { date: new Date(Date.now() + 90_000).toUTCString() }).end("{}")
      })
      const [verification, stats] = yield* faces[face](there.host)
      const { clockSkew = 0, messageId } = verification
      assert.deepStrictEqual(verification, {
        ok: true,
        status: 200,
        host: new URL(there.host).host,
        clockSkew,
        messageId
      })
      assert.closeTo(clockSkew, 90_000, 5_000)
      const [[message]] = sent(there) as [[Record<string, unknown>]]
      assert.deepInclude(message, { type: "track", event: "effect-analytics check", messageId })
      assert.deepInclude(stats, { offered: 0, delivered: 0 })
    })
  )

  it.live("answers a refused key by its status, and tries once", () =>
    Effect.gen(function* () {
      const there = yield* peer((response) => void response.writeHead(401).end())
      const [verification] = yield* faces[face](there.host)
      assert.deepInclude(verification, { ok: false, status: 401 })
      assert.strictEqual(there.received.length, 1)
    })
  )

  it.live("answers a host that does not listen by its code, and names the proxy of the environment", () =>
    Effect.gen(function* () {
      vi.stubEnv("http_proxy", "http://user:secret@proxy.example:3128")
      vi.stubEnv("NO_PROXY", "")
      const { host } = yield* Effect.scoped(peer())
      const [verification] = yield* faces[face](host)
      const proxy = { host: "proxy.example:3128", isUsed: false }
      const hint = "http_proxy is set, and Node's fetch uses it only with NODE_USE_ENV_PROXY=1"
      const detail = `ECONNREFUSED; ${hint}`
      assert.deepInclude(verification, { ok: false, detail, host: new URL(host).host, proxy })
      // Who uses it needs no hint.
      vi.stubEnv("NODE_USE_ENV_PROXY", "1")
      assert.deepInclude((yield* faces[face](host))[0], { ok: false, detail: "ECONNREFUSED" })
    })
  )
})

it.effect("verify names the region of Segment's hosts", () =>
  Effect.gen(function* () {
    const regionOf = (region?: "us" | "eu") =>
      Effect.promise(async () => {
        const fetch = async () => new Response("{}")
        await using analytics = createAnalytics({ writeKey, region, fetch })
        return (await analytics.verify()).region
      })
    assert.deepStrictEqual([yield* regionOf(), yield* regionOf("eu")], ["us", "eu"])
  })
)

it.effect("verify of a client of the program's own is not ok", () =>
  Effect.gen(function* () {
    assert.isFalse((yield* Analytics.verify).ok)
  }).pipe(Effect.provide(Analytics.layerNoop))
)
