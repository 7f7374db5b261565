/**
 * One client in a process of its own: makes the calls, closes, and reports what it was told. Started by `compare.ts`:
 * the name of the client, the address of the peer, the calls, the time for the close.
 */
import { createAnalytics } from "../../src/plain.ts"
import type { Calls } from "./cases.ts"

export interface Report {
  /** The calls made so far. */
  readonly made: number
  /** The ids that were called delivered, and those that were called lost or refused. */
  readonly delivered: ReadonlyArray<string>
  readonly lost: ReadonlyArray<string>
  /** Calls that threw at the caller. */
  readonly threw: number
  readonly closed: boolean
  readonly seconds: number
}

interface Call {
  readonly messageId: string
  readonly userId: string
  readonly event: string
  readonly properties: Record<string, unknown>
}

interface Client {
  readonly track: (call: Call) => void
  readonly close: () => Promise<unknown>
}

/** The part of the other client that is used here; it is installed when the comparison is run. */
interface Segment {
  readonly Analytics: new (
    settings: object
  ) => {
    readonly track: (call: Call, callback: (error: unknown) => void) => void
    readonly closeAndFlush: (options: { readonly timeout: number }) => Promise<void>
    readonly on: (event: "error", listener: () => void) => void
  }
}

const [name = "", host = "", calls = "ten", closeTimeout = "15000"] = process.argv.slice(2)
const delivered = new Set<string>()
const lost = new Set<string>()
const many = calls === "300,000"

const ours = async (): Promise<Client> => {
  const analytics = createAnalytics({
    writeKey: "compare",
    host,
    flushInterval: 100,
    batchSize: 10,
    maxRetries: 3,
    requestTimeout: 1_000,
    closeTimeout: Number(closeTimeout),
    logger: { debug() {}, info() {}, warn() {}, error() {} },
    onError: () => {},
    onOutcome: (outcome) => {
      if (outcome._tag !== "Delivered" && outcome._tag !== "Dropped") return
      const told = outcome._tag === "Delivered" ? delivered : lost
      for (const { messageId } of outcome.messages) told.add(messageId)
    }
  })
  return {
    track: (call) => {
      if (!analytics.track(call)) lost.add(call.messageId)
    },
    close: analytics.close
  }
}

const theirs = async (): Promise<Client> => {
  const from: string = "@segment/analytics-node"
  const { Analytics } = (await import(from)) as Segment
  const analytics = new Analytics({
    writeKey: "compare",
    host,
    flushInterval: 100,
    flushAt: 10,
    maxRetries: 3,
    httpRequestTimeout: 1_000
  })
  analytics.on("error", () => {})
  return {
    track: (call) =>
      analytics.track(call, (error) => void (error === undefined ? delivered : lost).add(call.messageId)),
    close: () => analytics.closeAndFlush({ timeout: Number(closeTimeout) })
  }
}

/** The properties of the odd one among ten. */
const odd: Partial<Record<Calls, () => Record<string, unknown>>> = {
  "ten, one circular": () => {
    const properties: Record<string, unknown> = {}
    properties.itself = properties
    return properties
  },
  "ten, one throws": () => ({
    get price() {
      throw new Error("no price")
    }
  }),
  "ten, one of 33 KB": () => ({ text: "x".repeat(33 * 1_024) }),
  "ten, one of 10 MB": () => ({ text: "x".repeat(10 * 1_024 * 1_024) })
}

const startedAt = performance.now()
let made = 0
let threw = 0
const report = (closed: boolean): Report => ({
  made,
  delivered: many ? [] : [...delivered],
  lost: many ? [] : [...lost],
  threw,
  closed,
  seconds: (performance.now() - startedAt) / 1_000
})
const say = (one: Report) => new Promise<void>((resolve) => void process.send?.(one, () => resolve()))

// Of what a program has not caught, it is told: the other client has promises that nobody holds.
process.on("unhandledRejection", () => {})

const client = await (name === "ours" ? ours() : theirs())
const count = many ? 300_000 : 10
for (let n = 1; n <= count; n++) {
  const messageId = `id ${n}`
  const isOdd = n === 7
  const properties = (isOdd && odd[calls as Calls]?.()) || { n, padding: "x".repeat(many ? 200 : 10) }
  const event = isOdd && calls === "ten, one a poison" ? "poison" : `event ${n}`
  try {
    client.track({ messageId, userId: "u1", event, properties })
  } catch {
    threw++
    lost.add(messageId)
  }
  made++
  if (!many || n % 1_000 > 0) continue
  await say(report(false))
}
if (!many) await client.close()
// What is only told after the close counts as well.
await new Promise((resolve) => setTimeout(resolve, 500))
await say(report(true))
process.exit()
