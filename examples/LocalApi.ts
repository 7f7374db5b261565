/**
 * Where the shop sends to without a write key of its own: a collector on loopback with its page, and a count of what
 * arrived.
 *
 * It has good and bad days, as the real API: sometimes it is slow, overloaded or asks for a pause, and once in a while it
 * takes a batch and loses the answer, so that the batch comes again. Its days follow one another in a fixed order.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as Collector from "effect-analytics/Collector"
import * as Debugger from "effect-analytics/Debugger"
import type { Receipt } from "./Account.ts"

const day: ReadonlyArray<Collector.Answer> = (() => {
  const well = { status: 200, delay: 20 }
  const slow = { status: 200, delay: 300 }
  const overloaded = { status: 503, delay: 20 }
  const forgetful = { status: 503, delay: 20, taken: true }
  const limited = { status: 429, delay: 5, headers: { "retry-after": "1" } }
  const many = (count: number) => Array.from({ length: count }, () => well)
  // The first bad ones come early, so that a short run meets them too.
  return [well, forgetful, well, overloaded, well, slow, ...many(12), limited, well, well, slow, ...many(18)]
})()

/** Starts it, for as long as the scope lasts. */
export const start = Effect.fnUntraced(function* (options: { readonly port: number }) {
  const writeKey = Redacted.make("a-key-for-loopback")
  const services = yield* Layer.build(
    Debugger.layer({
      port: options.port,
      otherwise: ({ before }) => day[before % day.length] ?? 200
    })
  )
  const collector = Context.get(services, Collector.Collector)
  const received = new Map<string, Receipt>()
  let last = 0
  const count = ({ id, messageId = "", type = "", verdict }: Collector.Received) => {
    if (id <= last) return
    last = id
    if (verdict !== "delivered" && verdict !== "duplicate") return
    const receipt = received.get(messageId) ?? { type, times: 0 }
    receipt.times++
    received.set(messageId, receipt)
  }
  yield* Effect.forkScoped(Stream.runForEach(collector.stream, (message) => Effect.sync(() => count(message))))
  return {
    writeKey,
    url: collector.url,
    page: Context.get(services, Debugger.Debugger).url,
    /** Everything that was taken until now, by `messageId`. */
    received: Effect.map(collector.messages, (messages) => {
      messages.forEach(count)
      return received as ReadonlyMap<string, Receipt>
    })
  }
})
