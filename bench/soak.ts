/**
 * A long bad day: `npm run soak`, or for CI `npm run soak -- --seconds 20`. A steady 2,000 messages a second to a peer
 * that fails at random; the chance is seeded, and the seed printed (`--seed`). Bounded, and on loopback only.
 *
 * Prints memory and counts over time. Fails if the heap grows, or if a message is not accounted for: by the client's own
 * counts, by what its observer was told, and by the books of the peer.
 */
import { fork } from "node:child_process"
import { parseArgs } from "node:util"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { createAnalytics } from "../src/plain.ts"
import { chances } from "../test/chances.ts"
import type { Answer } from "../test/FaultSink.ts"
import type { Ids, Question, SinkOptions } from "./sink.ts"

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "600" },
    rate: { type: "string", default: "2000" },
    seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 31)) }
  }
})
const seconds = Number(values.seconds)
const rate = Number(values.rate)
const seed = Number(values.seed)
const total = seconds * rate

/** Users by turns, so that there is an order to keep. */
const users = 50

// ---------------------------------------------------------------------------------------------------------------------
// The peer
// ---------------------------------------------------------------------------------------------------------------------

/** Nineteen of twenty answers are good; the others are of every kind that passes. */
const faults: ReadonlyArray<Answer> = [
  500,
  502,
  503,
  408,
  429,
  { status: 503, headers: { "retry-after": "1" } },
  { status: 200, delay: 250 },
  { status: 200, headers: { "content-type": "text/html" }, body: "<html>Please pay</html>", taken: false },
  "reset before",
  "reset mid",
  "reset after",
  "cut",
  "close behind",
  "endless",
  "slow head",
  "silence"
]

const script = (length: number): Array<Answer> => {
  const chance = chances(seed)
  return Array.from({ length }, () =>
    chance() < 0.95 ? 200 : (faults[Math.floor(chance() * faults.length)] as Answer)
  )
}

/** In a process of its own, so that only the client's memory is measured. */
const startSink = async () => {
  const sink = fork(new URL("./sink.ts", import.meta.url), [JSON.stringify({ count: "ids" } satisfies SinkOptions)], {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
    serialization: "advanced"
  })
  const answer = <A>() => new Promise<A>((resolve) => sink.once("message", (message) => resolve(message as A)))
  const ask = <A>(message: Question): Promise<A> => {
    const answered = answer<A>()
    sink.send(message)
    return answered
  }
  const host = `http://127.0.0.1:${await answer<number>()}`
  await ask({ script: script(Math.max(1_000, seconds * 50)) })
  return {
    host,
    books: () => ask<Ids>({ users: Array.from({ length: users }, (_, n) => `user ${n}`) }),
    stop: () => sink.disconnect()
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// The run
// ---------------------------------------------------------------------------------------------------------------------

setFlagsFromString("--expose-gc")
const collect: () => void = runInNewContext("gc")

const { books, host, stop } = await startSink()
console.log(`seed ${seed}: ${total} messages at ${rate}/s for ${seconds} s, Node ${process.version}`)

/** What the observer was told of each message, by its number: a byte each, whatever happens. */
const ends = new Uint8Array(total)
const ended = { delivered: 1, dropped: 2, refused: 3 } as const
const twice: Array<string> = []
const end = (messageId: string, how: keyof typeof ended) => {
  const number = Number(messageId)
  if (ends[number] !== 0) twice.push(messageId)
  ends[number] = ended[how]
}

const reasons: Record<string, number> = {}
const analytics = createAnalytics({
  writeKey: "soak",
  host,
  requestTimeout: 1_000,
  closeTimeout: "60 seconds",
  onError: ({ messages, reason }) => {
    reasons[reason] = (reasons[reason] ?? 0) + messages.length
  },
  onOutcome: (outcome) => {
    if (outcome._tag === "Refused" && outcome.message !== undefined) end(outcome.message.messageId, "refused")
    if (outcome._tag !== "Delivered" && outcome._tag !== "Dropped") return
    const how = outcome._tag === "Delivered" ? "delivered" : "dropped"
    for (const { messageId } of outcome.messages) end(messageId, how)
  }
})

interface Sample {
  readonly second: number
  readonly heap: number
}
const samples: Array<Sample> = []
const megabytes = (bytes: number) => Number((bytes / 2 ** 20).toFixed(1))

const sample = (second: number) => {
  collect()
  const { heapUsed, rss } = process.memoryUsage()
  const { delivered, dropped, pending, rejected } = analytics.stats()
  // What waits is no leak: it has a bound of its own, and goes.
  samples.push({ second, heap: heapUsed })
  console.log(
    [
      `${String(second).padStart(4)} s`,
      `heap ${megabytes(heapUsed).toFixed(1)} MB`,
      `rss ${megabytes(rss).toFixed(0)} MB`,
      `delivered ${delivered}`,
      `pending ${pending}`,
      `dropped ${dropped}`,
      `refused ${rejected}`
    ].join("  ")
  )
}

const every = Math.max(1, Math.floor(seconds / 40))
const startedAt = performance.now()
let sent = 0
let nextSample = every
while (sent < total) {
  const elapsed = (performance.now() - startedAt) / 1_000
  for (const due = Math.min(total, Math.floor(elapsed * rate)); sent < due; sent++) {
    analytics.track({
      messageId: String(sent),
      userId: `user ${sent % users}`,
      event: "Purchased Item",
      properties: { orderId: `order ${sent}`, revenue: 39.95, currency: "EUR", items: [{ sku: "G-32", quantity: 1 }] }
    })
  }
  if (elapsed >= nextSample) {
    sample(Math.round(elapsed))
    nextSample += every
  }
  await new Promise((resolve) => setTimeout(resolve, 5))
}
await analytics.close()
const { delivered, dropped, offered, pending, rejected } = analytics.stats()
sample(Math.round((performance.now() - startedAt) / 1_000))
const { orders, taken, totals } = await books()
stop()

// ---------------------------------------------------------------------------------------------------------------------
// The verdict
// ---------------------------------------------------------------------------------------------------------------------

const problems: Array<string> = []
const expect = (holds: boolean, problem: string) => {
  if (!holds) problems.push(problem)
}

const told = { delivered: 0, dropped: 0, refused: 0, nothing: 0 }
for (const how of ends) told[how === 1 ? "delivered" : how === 2 ? "dropped" : how === 3 ? "refused" : "nothing"]++
const takenIn = new Set(taken)
let untrue = 0
for (const [number, how] of ends.entries()) if (how === 1 && !takenIn.has(String(number))) untrue++

expect(offered === total, `${total} calls were made, and ${offered} counted`)
expect(offered === delivered + dropped + rejected && pending === 0, "the counts do not add up")
expect(told.nothing === 0, `${told.nothing} messages ended, and nobody was told how`)
expect(twice.length === 0, `${twice.length} messages ended twice, such as ${twice[0]}`)
expect(
  told.delivered === delivered && told.dropped === dropped && told.refused === rejected,
  `counted ${delivered}, ${dropped}, ${rejected}; told ${told.delivered}, ${told.dropped}, ${told.refused}`
)
expect(untrue === 0, `${untrue} messages are called delivered, and the peer never took them in`)
expect(totals.malformed.length === 0, `${totals.malformed.length} requests were malformed: ${totals.malformed[0]}`)
for (const [user, order] of orders.entries()) {
  const sorted = order.every((id, at) => at === 0 || Number(order[at - 1]) < Number(id))
  expect(sorted, `the messages of user ${user} did not arrive in their order`)
}

/**
 * The heap after a collection, first against last third of the run, warm-up left out: least of each, since what waits
 * comes and goes. Two megabytes are noise (code gets warm); four bytes kept of each message are more in ten minutes.
 */
const growth = () => {
  const warm = samples.slice(Math.floor(samples.length / 5))
  const third = Math.max(1, Math.floor(warm.length / 3))
  const least = (some: ReadonlyArray<Sample>) => Math.min(...some.map(({ heap }) => heap))
  return least(warm.slice(-third)) - least(warm.slice(0, third))
}
const grown = growth()
expect(grown < 2 ** 21, `the heap grew by ${megabytes(grown)} MB`)

console.log(
  `\ndelivered ${delivered}, dropped ${dropped}, refused ${rejected} ${JSON.stringify(reasons)}\n` +
    `the peer: ${totals.requests} requests, ${totals.connections} connections, ${totals.taken} messages taken in, ` +
    `${totals.duplicates} times one again\n` +
    `heap: ${grown < 0 ? "" : "+"}${megabytes(grown)} MB from the first to the last third`
)
if (problems.length > 0) {
  console.error(`\n${problems.join("\n")}\nseed ${seed}`)
  process.exit(1)
}
console.log("every message is accounted for, in its order, and the heap does not grow")
