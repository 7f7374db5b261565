/** A script that says something and simply ends, as a process of Node, Bun or Deno: `ends.js PEER BOOK`. */
import { createAnalytics } from "effect-analytics/plain"

const [peer = "", book = ""] = process.argv.slice(2)
createAnalytics({ writeKey: "test-write-key", host: `${peer}/${book}/503,200` }).track({ userId: "u1", event: "Ended" })
