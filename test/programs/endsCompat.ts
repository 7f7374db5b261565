/** Tracks by the client of `compat`, and simply ends. */
import { Analytics } from "../../src/compat.ts"

const [host = ""] = process.argv.slice(2)
new Analytics({ writeKey: "test-write-key", host, flushInterval: 100 }).track({ userId: "u1", event: "e" })
