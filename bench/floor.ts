/**
 * The least that any client must do, to compare with: stamp, stringify once, join, one kind of keep-alive connection.
 * It validates nothing, bounds nothing, retries nothing, and tells nobody anything.
 */
import { Agent, request } from "node:http"

/** What is tracked in the benchmarks: 350 bytes of JSON before it is stamped. */
export const event = {
  userId: "019mr8mf4r",
  event: "Purchased Item",
  properties: {
    n: 0,
    at: 0,
    orderId: "order-4711",
    revenue: 39.95,
    shippingMethod: "2-day",
    currency: "EUR",
    items: [{ sku: "G-32", name: "Monopoly: 3rd Edition", quantity: 1, price: 19 }],
    express: true,
    coupon: "hasbros",
    affiliation: "Google Store"
  },
  context: { ip: "203.0.113.7", locale: "en-US" }
} as const
export type Event = {
  readonly [Key in keyof typeof event]: Key extends "properties" ? MarkedProperties : (typeof event)[Key]
}
type MarkedProperties = {
  readonly [Key in keyof typeof event.properties]: Key extends "n" | "at" ? number : (typeof event.properties)[Key]
}

/** The same event, with its number and the time of the call in microseconds: what the sink finds it by. */
export const marked = (n: number, at: number): Event => ({ ...event, properties: { ...event.properties, n, at } })

const library = { name: "effect-analytics", version: "0.1.0" }

/** The text of an event, stamped. */
export const stamped = (event: Event): string =>
  JSON.stringify({
    type: "track",
    messageId: crypto.randomUUID(),
    timestamp: new Date().toISOString(),
    ...event,
    context: { ...event.context, library }
  })

export interface FloorClient {
  readonly track: (event: Event) => void
  readonly flush: () => Promise<void>
}

const make = (maxInFlight: number, post: (body: string) => Promise<unknown>): FloorClient => {
  const waiting: Array<string> = []
  let inFlight = 0
  let started = false
  let idle = Promise.withResolvers<void>()
  const start = () => {
    started = false
    for (; inFlight < maxInFlight && waiting.length > 0; inFlight++) void send()
  }
  const send = async () => {
    while (waiting.length > 0) {
      const batch = waiting.splice(0, 100).join(",")
      await post(`{"batch":[${batch}],"writeKey":"bench","sentAt":"${new Date().toISOString()}"}`)
    }
    if (--inFlight === 0) idle.resolve()
  }
  return {
    track: (event) => {
      waiting.push(stamped(event))
      if (started || inFlight === maxInFlight) return
      started = true
      queueMicrotask(start)
    },
    flush: () => {
      if (waiting.length === 0 && inFlight === 0) return Promise.resolve()
      idle = Promise.withResolvers()
      return idle.promise
    }
  }
}

const headers = { "content-type": "application/json", authorization: `Basic ${btoa("bench:")}` }

/** Over `fetch`. */
export const floorFetch = (url: string, maxInFlight = 1): FloorClient =>
  make(maxInFlight, async (body) => (await fetch(url, { method: "POST", body, headers })).text())

/** Over `node:http`. */
export const floorHttp = (url: string, maxInFlight = 4): FloorClient => {
  const agent = new Agent({ keepAlive: true, maxSockets: maxInFlight })
  return make(
    maxInFlight,
    (body) =>
      new Promise((resolve, reject) => {
        const length = Buffer.byteLength(body)
        const sent = request(url, { method: "POST", agent, headers: { ...headers, "content-length": length } })
        sent.on("response", (response) => response.resume().on("end", resolve)).on("error", reject)
        sent.end(body)
      })
  )
}
