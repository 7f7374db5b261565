/** The plain face where the functions of `process` throw, as on the edge runtime of Next.js. Prints the sent contexts. */
import { AsyncLocalStorage } from "node:async_hooks"

// The functions of Node are there, and throw.
const unsupported = () => {
  throw new Error("A Node.js API is used which is not supported in the Edge Runtime")
}
Object.assign(process, { getBuiltinModule: unsupported, once: unsupported, off: unsupported })
if (process.argv[2] === "global") Object.defineProperty(globalThis, "AsyncLocalStorage", { value: AsyncLocalStorage })

const { withContext, withIdentity } = await import("../../src/plain.ts")
const { createTestAnalytics } = await import("../../src/plainTest.ts")
const analytics = createTestAnalytics()
try {
  await withContext({ ip: "203.0.113.7" }, async () => {
    await new Promise((resolve) => setTimeout(resolve, 1))
    withIdentity({ userId: "u1" }, () => analytics.identified.track({ event: "Signed Up" }))
  })
} catch (error) {
  process.stdout.write(`${error}; `)
  analytics.track({ userId: "u1", event: "Signed Up" })
}
await analytics.close()
process.stdout.write(analytics.sent.map(({ context, userId }) => `${userId} ${context.ip}`).join())
