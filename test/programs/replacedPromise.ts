/** An async callback that rejects, where the global `Promise` is not the native one, as zone.js and Bluebird replace it. */
import { createAnalytics } from "../../src/plain.ts"

class Replaced<A> extends Promise<A> {}
globalThis.Promise = Replaced as PromiseConstructor

const boom = async () => {
  throw new Error("boom")
}
const analytics = createAnalytics({
  writeKey: "test-write-key",
  fetch: async () => new Response("{}", { status: 400 }),
  logger: { debug: boom, info: boom, warn: boom, error: boom },
  onError: boom,
  onOutcome: boom
})
analytics.track({ userId: "u1", event: "Signed Up" })
await analytics.close()
await new Promise((resolve) => setTimeout(resolve, 20))
process.stdout.write("went on")
