/**
 * Calls as callers spread and pass them. `tsc` is the judge, twice: with `exactOptionalPropertyTypes` (as a part of the tests)
 * and without it (`tsconfig.json` in this folder).
 */
import type { Client } from "../../src/plain.ts"

declare const analytics: Client

// Two optional ids may both be absent.
declare const session: { userId?: string; anonymousId?: string }
// @ts-expect-error nobody
analytics.track({ ...session, event: "e" })
// @ts-expect-error nobody
analytics.identify({ ...session })
// @ts-expect-error nobody
analytics.group({ ...session, groupId: "g1" })

// An optional category may have no name.
declare const view: { name?: string; category?: string }
// @ts-expect-error a category needs a name
analytics.page({ userId: "u1", ...view })
// @ts-expect-error a category needs a name
analytics.screen({ userId: "u1", ...view })

// Interfaces have no index signature.
interface Destinations {
  All: boolean
  Slack: { channel: string }
}
declare const destinations: Destinations
analytics.track({ userId: "u1", event: "e", integrations: destinations })

// `null` of a database is absent.
declare const row: { user_id: string | null; anonymous_id: string }
analytics.track({ userId: row.user_id, anonymousId: row.anonymous_id, event: "e" })

// Ids of a database may be a `bigint`.
declare const id: bigint
analytics.track({ userId: id, event: "e" })
analytics.alias({ userId: id, previousId: 1n })

// Arrays are no properties.
// @ts-expect-error an array
analytics.track({ userId: "u1", event: "e", properties: [1] })
// @ts-expect-error an array
analytics.identify({ userId: "u1", traits: ["a"] })
// @ts-expect-error an array
analytics.track({ userId: "u1", event: "e", context: [] })
