/**
 * What the client may do and what not, as a model that any sequence of calls, answers and time is held against.
 *
 * `play` runs the real client over a scripted wire and a false clock. Fibers take their turns in a queue of ours, so
 * that a whole scenario runs at once, "everything has happened" is known and not guessed, and a scenario that never
 * comes to rest is a failure like any other. How many steps a fiber makes before others may is part of the scenario.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import * as Scheduler from "effect/Scheduler"
import * as TestClock from "effect/testing/TestClock"
import * as fc from "fast-check"
import * as AttachedSubmitter from "../src/Analytics/AttachedSubmitter.ts"
import * as Analytics from "../src/Analytics.ts"
import type { AnalyticsError, LossReason } from "../src/AnalyticsError.ts"
import type * as AnalyticsTest from "../src/AnalyticsTest.ts"
import type * as Call from "../src/Call.ts"
import type * as Message from "../src/Message.ts"
import * as Observer from "../src/Observer.ts"
import type * as Outbox from "../src/Outbox.ts"
import type * as Outcome from "../src/Outcome.ts"
import * as Transform from "../src/Transform.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Scenarios
// ---------------------------------------------------------------------------------------------------------------------

/** Good ones are accepted if there is room; poison is, and makes every batch it is in a 400. */
type Kind = "good" | "poison" | "invalid" | "too large" | "filtered"

type Action =
  /** Calls, one after the other, in a fiber of their own if they may have to wait. */
  | {
      readonly act: "call"
      readonly kind: Kind
      readonly count: number
      readonly padding: number
      readonly face: "effect" | "plain"
    }
  /** The next requests are answered so. */
  | { readonly act: "answer"; readonly answers: ReadonlyArray<AnalyticsTest.Answer> }
  | { readonly act: "pass"; readonly millis: number }
  | { readonly act: "flush" }
  | { readonly act: "give up a flush" }
  | { readonly act: "give up a call" }
  | { readonly act: "close" }
  | { readonly act: "give up a close" }

export interface Scenario {
  readonly options: {
    readonly overflow: Outbox.Overflow
    readonly maxInFlight: number
    readonly batchSize: number
    readonly flushInterval: number
    readonly maxQueueSize: number
    readonly maxQueueBytes: number
    readonly maxRetries: number
    readonly requestTimeout: number
    readonly closeTimeout: number
  }
  /** A wire that answers larger requests with 413. */
  readonly wireBytes: number
  /** How the wire refuses poison. */
  readonly refusal: Extract<AnalyticsTest.Answer, object>
  /** Seeds the chance of the client. */
  readonly seed: number
  /** Steps that a fiber makes before others take their turn. */
  readonly steps: number
  /** Whether the wire gets well at the end, before the client is closed. */
  readonly recovers: boolean
  readonly actions: ReadonlyArray<Action>
}

const one = fc.constantFrom

const answer: fc.Arbitrary<AnalyticsTest.Answer> = fc.oneof(
  { arbitrary: one(200, 204), weight: 3 },
  { arbitrary: one(400, 413, 422, 429, 500, 503, 408, 401, 404, 302, 501), weight: 4 },
  { arbitrary: one<AnalyticsTest.Answer>("never", "network error"), weight: 2 },
  {
    arbitrary: fc.record({
      status: one(429, 503),
      headers: fc.record({ "retry-after": one("0", "1", "7", "86400", "-1", "soon", "Thu, 01 Jan 1970 00:10:00 GMT") })
    }),
    weight: 2
  },
  { arbitrary: fc.record({ status: one(200, 202, 400, 429, 503), delay: one(1, 300, 2_500, 20_001) }), weight: 3 },
  one(
    { status: 200, body: `{"success":false}` },
    { status: 200, body: "<html>", headers: { "content-type": "text/html" } }
  )
)

const action: fc.Arbitrary<Action> = fc.oneof(
  {
    arbitrary: fc.record({
      act: fc.constant("call" as const),
      kind: fc.oneof(
        { arbitrary: fc.constant<Kind>("good"), weight: 8 },
        { arbitrary: one<Kind>("poison", "invalid", "too large", "filtered"), weight: 2 }
      ),
      count: fc.oneof({ arbitrary: fc.integer({ min: 1, max: 8 }), weight: 4 }, fc.integer({ min: 9, max: 40 })),
      padding: fc.oneof({ arbitrary: one(0, 1, 100), weight: 4 }, one(2_000, 10_000, 20_000, 32_000)),
      face: one("effect" as const, "plain" as const)
    }),
    weight: 8
  },
  {
    arbitrary: fc.record({
      act: fc.constant("answer" as const),
      answers: fc.array(answer, { minLength: 1, maxLength: 6 })
    }),
    weight: 5
  },
  {
    arbitrary: fc.record({
      act: fc.constant("pass" as const),
      millis: one(1, 17, 250, 1_000, 5_000, 10_000, 60_000, 300_000, 3_600_000, 86_400_000)
    }),
    weight: 6
  },
  { arbitrary: fc.constant({ act: "flush" as const }), weight: 3 },
  fc.constant({ act: "give up a flush" as const }),
  fc.constant({ act: "give up a call" as const }),
  fc.record({ act: one("close" as const, "give up a close" as const) })
)

export const scenarios: fc.Arbitrary<Scenario> = fc.record({
  options: fc.record({
    overflow: one<Outbox.Overflow>("refuse", "drop-oldest", "wait"),
    maxInFlight: one(1, 1, 2, 3),
    batchSize: one(1, 2, 5, 16, 16, 100),
    flushInterval: one(0, 0, 1, 1_000, 60_000),
    maxQueueSize: one(1, 3, 10, 50, 1_000),
    maxQueueBytes: one(32_768, 70_000, 33_554_432),
    maxRetries: one(0, 1, 3, 10),
    requestTimeout: one(1_000, 10_000),
    closeTimeout: one(0, 1, 5_000, 75_000)
  }),
  wireBytes: one(500_000, 500_000, 500_000, 60_000, 5_000, 700),
  refusal: one<Scenario["refusal"]>({ status: 400 }, { status: 422 }, { status: 200, body: `{"success":false}` }),
  seed: fc.nat(),
  steps: one(2_048, 2_048, 100, 17, 5, 3),
  recovers: fc.boolean(),
  actions: fc.array(action, { minLength: 1, maxLength: 30, size: "max" })
})

// ---------------------------------------------------------------------------------------------------------------------
// Turns
// ---------------------------------------------------------------------------------------------------------------------

/** Runs fibers turn by turn, at once. */
class Turns {
  /** More turns than these without a rest are a client that never comes to rest. */
  private readonly maxTurns: number
  private readonly tasks: Array<() => void> = []
  private resting: (() => void) | undefined

  /** Resolves when nobody has anything to do any more, before time or the test goes on. */
  readonly rest = Effect.callback<void>((resume) => {
    this.resting = () => resume(Effect.void)
  })

  private readonly scheduler = new Scheduler.MixedScheduler("async", (task) => {
    this.tasks.push(task)
    return () => {
      const at = this.tasks.indexOf(task)
      if (at >= 0) this.tasks.splice(at, 1)
    }
  })

  constructor(steps: number) {
    this.maxTurns = 2_000 + 120_000 / steps
  }

  run<A, E>(effect: Effect.Effect<A, E>): Exit.Exit<A, E> {
    const fiber = Effect.runFork(effect, { scheduler: this.scheduler })
    for (let turns = 0; turns < this.maxTurns; turns++) {
      const task = this.tasks.shift() ?? this.resting
      if (task === undefined) return fiber.pollUnsafe() ?? Exit.die("stands still: it waits for what never comes")
      if (task === this.resting) {
        this.resting = undefined
        turns = 0
      }
      task()
    }
    return Exit.die("never comes to rest")
  }
}

/** mulberry32: chance that comes out the same for the same seed. */
const chance = (seed: number) => {
  let state = seed
  const next = () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
  return Layer.succeed(Random.Random, { nextDoubleUnsafe: next, nextIntUnsafe: () => Math.floor(next() * 2 ** 31) })
}

// ---------------------------------------------------------------------------------------------------------------------
// The model
// ---------------------------------------------------------------------------------------------------------------------

/** What the model knows of a call. */
interface Known {
  readonly id: string
  readonly kind: Kind
  state: "said" | "accepted" | "refused" | "filtered" | "given up"
  ended: "delivered" | LossReason | undefined
  /** Requests that it was in. */
  requests: number
  /** Whether it was answered with 2xx, and the answer got through. */
  taken: boolean
  /** How many were in its last request, and what was answered. */
  company: number
  status: number | undefined
}

/** Somebody who waits for everything accepted until now. */
interface Waiting {
  readonly what: "flush" | "close"
  readonly for: ReadonlyArray<Known>
  readonly since: number
  fiber: Fiber.Fiber<Outbox.Flushed> | undefined
  resolved: boolean
}

const bytesOf = (text: string) => Buffer.byteLength(text)

const types: ReadonlyArray<Call.Type> = ["identify", "track", "page", "screen", "group", "alias"]

const isTaken = ({ body, headers, status }: Exclude<AnalyticsTest.Answer, number | string>) =>
  status >= 200 && status < 300 && body !== `{"success":false}` && headers?.["content-type"] !== "text/html"

const asked = (retryAfter: string, now: number): number | undefined => {
  const date = Date.parse(retryAfter)
  if (/^\d+$/.test(retryAfter)) return Number(retryAfter) * 1_000
  return retryAfter.includes("GMT") ? date - now : undefined
}

class World {
  readonly scenario: Scenario
  readonly script: Array<AnalyticsTest.Answer> = []
  readonly broken: Array<string> = []
  readonly calls = new Map<string, Known>()
  readonly callers: Array<Fiber.Fiber<void>> = []
  readonly waiting: Array<Waiting> = []
  /** Calls in the order in which they came to the outbox. */
  private readonly came: Array<Known> = []
  private readonly positions = new Map<Known, number>()
  private lastArrived = -1
  private lastTaken = -1
  private lastEvicted = -1
  private active = 0
  private limitedUntil = 0
  private learntLimit = Number.POSITIVE_INFINITY
  now = () => 0
  stats: () => Outcome.Stats | undefined = () => undefined
  requests = 0
  private firstClose: Waiting | undefined
  closing = false
  closed = false

  constructor(scenario: Scenario) {
    this.scenario = scenario
  }

  private must(holds: boolean, promise: string): void {
    if (!holds) this.broken.push(promise)
  }

  // What is said ---------------------------------------------------------------------------------------------------

  say(kind: Kind): Known {
    const id = `m${this.calls.size + 1}`
    const known: Known = {
      id,
      kind,
      state: "said",
      ended: undefined,
      requests: 0,
      taken: false,
      company: 0,
      status: undefined
    }
    this.calls.set(id, known)
    return known
  }

  /** Sees every valid call, in the moment in which it is made. */
  readonly transform: Transform.Transform = (message) => {
    const known = this.known(message.messageId)
    if (known.kind === "filtered") return Transform.drop("on purpose")
    // Applied once: a call comes once.
    this.must(!this.positions.has(known), "a call is made once")
    this.positions.set(known, this.came.length)
    this.came.push(known)
    return message
  }

  private known(id: string): Known {
    const known = this.calls.get(id)
    if (known === undefined) throw new Error(`nobody said ${id}`)
    return known
  }

  answered(known: Known, error: AnalyticsError["reason"] | undefined): void {
    known.state = error !== undefined ? "refused" : known.kind === "filtered" ? "filtered" : "accepted"
    const expected = known.kind === "invalid" || known.kind === "too large"
    this.must((error?._tag === "InvalidCall") === expected, `${known.kind} is ${expected ? "not " : ""}valid`)
    if (error?._tag === "Closed") this.must(this.closing, "a client that is open is not closed")
    if (error === undefined && known.kind !== "filtered")
      this.must(!this.closed, "a client that is closed accepts nothing")
  }

  // What is told ---------------------------------------------------------------------------------------------------

  readonly told = (outcome: Outcome.Outcome): void => {
    this.law()
    if (outcome._tag === "Filtered") return
    if (outcome._tag === "Refused") return this.refused(outcome)
    for (const { messageId } of outcome.messages) {
      const known = this.known(messageId)
      this.must(known.ended === undefined, "a message ends once")
      known.ended = outcome._tag === "Delivered" ? "delivered" : outcome.error.reason
      if (outcome._tag === "Delivered") {
        this.must(known.taken, "what is delivered was answered with 2xx")
        this.must(outcome.attempts === known.requests, "a delivery says its attempts")
      } else this.dropped(known, outcome.error.attempts)
    }
  }

  private refused({ error, message }: Outcome.Refused): void {
    const stats = this.stats()
    if (error._tag !== "QueueFull" || stats === undefined || message === undefined || !this.isCalm) return
    const { maxQueueBytes, maxQueueSize, overflow } = this.scenario.options
    const isFull = stats.pending >= maxQueueSize || stats.pendingBytes + message.bytes > maxQueueBytes
    this.must(isFull || overflow === "wait", "a call is refused only when the queue is full")
    if (overflow === "drop-oldest") this.must(stats.inFlight > 0, "what waits makes room for what is new")
  }

  private dropped(known: Known, attempts: number): void {
    const { batchSize, maxRetries, overflow } = this.scenario.options
    switch (known.ended) {
      case "closed":
        return this.must(this.closing, "only a close closes")
      case "evicted": {
        this.must(overflow === "drop-oldest", "evictions are asked for")
        this.must(known.requests === 0, "what was sent is not evicted")
        const position = this.positions.get(known) ?? -1
        // Otherwise the observer may run long after the eviction.
        if (this.isCalm) {
          this.must(position > this.lastEvicted && position > this.lastArrived, "the oldest that wait are evicted")
        }
        this.lastEvicted = position
        return
      }
      case "retries-exhausted":
        this.must(known.requests > maxRetries, "nobody gives up before the last retry")
        break
      case "rejected":
        this.must([200, 400, 413, 422].includes(known.status ?? 0), "what is rejected was refused")
        // The search is thorough where it has the requests for it.
        if (batchSize <= 16) this.must(known.company === 1, "who is dropped for a refusal was alone")
        break
      case "misconfigured":
        this.must([302, 401, 404, 501].includes(known.status ?? 0), "misconfigured is what the API said")
        break
    }
    this.must(attempts === known.requests, `a loss (${known.ended}) says its attempts`)
  }

  // What is sent ---------------------------------------------------------------------------------------------------

  /** Sees a request, and says what becomes of it. */
  sent({ body, headers }: HttpClientRequest.HttpClientRequest): Exclude<AnalyticsTest.Answer, number> {
    const text = body._tag === "Uint8Array" ? new TextDecoder().decode(body.body) : ""
    const { batch } = JSON.parse(text) as Message.Request
    const { batchSize, maxInFlight } = this.scenario.options
    const bytes = bytesOf(text)
    const all = batch.map(({ messageId }) => this.known(messageId))
    const positions = all.map((known) => this.positions.get(known) ?? -1)
    this.requests++
    this.law()
    this.must(!this.closed, "a client that is closed sends nothing")
    this.must(++this.active <= maxInFlight, "there are no more than maxInFlight requests")
    this.must(all.length > 0 && all.length <= batchSize, "a batch has at most batchSize messages")
    this.must(bytes <= 500_000, "a request has at most 500,000 bytes")
    if (this.isCalm) this.must(this.now() > this.limitedUntil - 1, "a limit stops all requests, to the millisecond")
    for (const known of all) {
      this.must(known.ended === undefined, `what has ended is not sent (${known.ended})`)
      this.must(!known.taken, "what was answered with 2xx is not sent again")
      this.must(Number(headers["x-retry-count"] ?? 0) === known.requests, "X-Retry-Count is the attempts before")
      this.must(known.kind === "good" || known.kind === "poison", "what is not valid is not sent")
      known.company = all.length
      known.requests++
    }
    if (this.isOrdered) {
      this.must(isSorted(positions), "a batch is in the order of the calls")
      if (maxInFlight === 1) {
        const news = positions.filter((_, index) => all[index]?.requests === 1)
        this.must(isSorted([this.lastArrived, ...news]), "what was called first arrives first")
        this.lastArrived = news.at(-1) ?? this.lastArrived
      }
    }
    if (maxInFlight === 1 && all.length > 1 && batchSize <= 16) {
      this.must(bytes <= this.learntLimit, "413 is answered with half, and remembered")
    }
    return this.judge(all, bytes)
  }

  private judge(all: ReadonlyArray<Known>, bytes: number): Exclude<AnalyticsTest.Answer, number> {
    const { refusal, wireBytes } = this.scenario
    const scripted = whole(this.script.shift() ?? 200)
    if (typeof scripted === "string" || !isTaken(scripted)) return scripted
    if (bytes > wireBytes) return { status: 413 }
    return all.some(({ kind }) => kind === "poison") ? { ...scripted, ...refusal } : scripted
  }

  /** The answer gets through. */
  arrives(request: HttpClientRequest.HttpClientRequest, given: Exclude<AnalyticsTest.Answer, number | string>): void {
    const text = request.body._tag === "Uint8Array" ? new TextDecoder().decode(request.body.body) : ""
    const all = (JSON.parse(text) as Message.Request).batch.map(({ messageId }) => this.known(messageId))
    const { maxInFlight } = this.scenario.options
    for (const known of all) {
      known.status = given.status
      if (!isTaken(given)) continue
      known.taken = true
      const position = this.positions.get(known) ?? -1
      if (this.isOrdered && maxInFlight === 1)
        this.must(position > this.lastTaken, "what was called first is taken first")
      this.lastTaken = position
    }
    // A single message that is too large says nothing about how many may go together.
    if (given.status === 413) {
      this.learntLimit = all.length === 1 ? Number.POSITIVE_INFINITY : Math.min(this.learntLimit, largerHalf(text))
    }
    const pause = asked(given.headers?.["retry-after"] ?? "", this.now())
    if (pause !== undefined) {
      this.limitedUntil = Math.max(this.limitedUntil, this.now() + Math.min(300_000, Math.max(1_000, pause)))
    }
  }

  leaves(): void {
    this.active--
  }

  // What holds -----------------------------------------------------------------------------------------------------

  /** Nobody is interrupted in the middle of something small. */
  private get isCalm(): boolean {
    return this.scenario.steps === 2_048
  }

  /** Where callers wait, and others may come between two steps of theirs, nobody can say who came first. */
  private get isOrdered(): boolean {
    return this.isCalm || this.scenario.options.overflow !== "wait"
  }

  /** Holds at every moment. */
  law(): void {
    const stats = this.stats()
    if (stats === undefined) return
    const { delivered, dropped, inFlight, offered, pending, pendingBytes, rejected } = stats
    const { maxQueueBytes, maxQueueSize } = this.scenario.options
    this.must(
      offered === delivered + pending + dropped + rejected,
      "offered = delivered + pending + dropped + rejected"
    )
    this.must(pending >= 0 && pending <= maxQueueSize, "no more than maxQueueSize messages are pending")
    this.must(pendingBytes >= 0 && pendingBytes <= maxQueueBytes, "no more than maxQueueBytes are pending")
    this.must(inFlight <= pending, "what is in flight is pending")
    this.must((pending === 0) === (pendingBytes === 0), "bytes and messages go together")
  }

  /** Holds when everything has happened that can without time passing. */
  atRest(): void {
    this.law()
    const all = [...this.calls.values()]
    const count = (...states: ReadonlyArray<Known["state"]>) => all.filter(({ state }) => states.includes(state)).length
    const ended = (how: (end: string) => boolean) =>
      all.filter((one) => one.ended !== undefined && how(one.ended)).length
    const stats = this.stats()
    if (stats !== undefined) {
      const accepted = count("accepted")
      const over = ended(() => true)
      this.must(stats.offered === accepted + count("refused", "filtered"), "stats know every call")
      this.must(stats.rejected === count("refused"), "stats know every refusal")
      this.must(stats.delivered === ended((how) => how === "delivered"), "what is delivered was told")
      this.must(stats.dropped === ended((how) => how !== "delivered") + count("filtered"), "what is dropped was told")
      this.must(stats.pending === accepted - over, "what is pending has not ended")
    }
    for (const waiting of this.waiting) {
      const { closeTimeout } = this.scenario.options
      const isOver = waiting.for.every((known) => known.ended !== undefined)
      if (waiting.what === "close") {
        this.must(waiting.resolved || this.now() < waiting.since + closeTimeout, "a close ends in its time")
      }
      if (isOver) this.must(waiting.resolved, `a ${waiting.what} ends when what it waits for has ended`)
    }
    if (this.closed) this.must(stats?.pending === 0, "a client that is closed holds nothing")
  }

  pending(): ReadonlyArray<Known> {
    return [...this.calls.values()].filter(({ ended, state }) => state === "accepted" && ended === undefined)
  }

  /** Somebody waits for everything that is pending; for a close it is what was when the first one began. */
  waits(what: Waiting["what"]): Waiting {
    const waiting: Waiting = { what, for: this.pending(), since: this.now(), fiber: undefined, resolved: false }
    if (what === "close") this.firstClose ??= waiting
    const { for: all, since } = (what === "close" && this.firstClose) || waiting
    const known = { ...waiting, for: all, since }
    this.waiting.push(known)
    return known
  }

  /** The barrier opens: everything that was pending then has ended, and is in the sum. */
  passed(waiting: Waiting, { delivered, dropped }: Outbox.Flushed): void {
    waiting.resolved = true
    if (waiting.what === "close") this.closed = true
    const ends = waiting.for.map(({ ended }) => ended)
    this.must(!ends.includes(undefined), `a ${waiting.what} waits for everything accepted before it`)
    const expected = ends.filter((ended) => ended === "delivered").length
    this.must(
      delivered === expected && dropped === ends.length - expected,
      `a ${waiting.what} sums up what it waited for`
    )
  }
}

/** Bytes of the larger half of a request, with its envelope. */
const largerHalf = (text: string): number => {
  const sizes = (JSON.parse(text) as Message.Request).batch.map((message) => bytesOf(JSON.stringify(message)) + 1)
  const sum = (part: ReadonlyArray<number>) => part.reduce((total, size) => total + size, 0)
  const middle = Math.ceil(sizes.length / 2)
  return bytesOf(text) - sum(sizes) + Math.max(sum(sizes.slice(0, middle)), sum(sizes.slice(middle)))
}

const isSorted = (numbers: ReadonlyArray<number>) => numbers.every((n, at) => at === 0 || n > (numbers[at - 1] ?? n))

const whole = (answer: AnalyticsTest.Answer): Exclude<AnalyticsTest.Answer, number> =>
  typeof answer === "number" ? { status: answer } : answer

/** The answer as a response whose body is there at once. */
const respond = (
  request: HttpClientRequest.HttpClientRequest,
  { body, headers, status }: Exclude<AnalyticsTest.Answer, number | string>
) => {
  const text = body ?? `{"success":${status < 300}}`
  const given = { "content-type": "application/json", "content-length": String(text.length), ...headers }
  const response = HttpClientResponse.fromWeb(request, new Response(null, { status, headers: given }))
  return Object.defineProperty(response, "text", { value: Effect.succeed(text) })
}

const wire = (world: World) =>
  HttpClient.make((request) =>
    Effect.suspend(() => {
      const answer = world.sent(request)
      if (answer === "never") return Effect.never
      if (answer === "network error") {
        return new HttpClientError.HttpClientError({ reason: new HttpClientError.TransportError({ request }) })
      }
      const arrive = Effect.sync(() => {
        world.arrives(request, answer)
        return respond(request, answer)
      })
      return answer.delay === undefined ? arrive : Effect.andThen(Effect.sleep(answer.delay), arrive)
    }).pipe(Effect.ensuring(Effect.sync(() => world.leaves())))
  )

// ---------------------------------------------------------------------------------------------------------------------
// Playing
// ---------------------------------------------------------------------------------------------------------------------

const perform = (world: World, turns: Turns, analytics: Analytics.Service) => {
  const submitter = AttachedSubmitter.over(analytics)
  const call = (known: Known, padding: number) => ({
    userId: known.kind === "invalid" ? "" : "u1",
    messageId: known.id,
    event: "e",
    groupId: "g1",
    previousId: "u0",
    context: { padding: "€".repeat((known.kind === "too large" ? 33_000 : padding) / 3) }
  })
  const typeOf = (known: Known) => types[Number(known.id.slice(1)) % types.length] as Call.Type

  const say = (known: Known, padding: number) =>
    Effect.suspend(() => analytics[typeOf(known)](call(known, padding))).pipe(
      Effect.matchEffect({
        onFailure: ({ reason }) => Effect.sync(() => world.answered(known, reason)),
        onSuccess: () => Effect.sync(() => world.answered(known, undefined))
      }),
      Effect.onInterrupt(() =>
        Effect.sync(() => {
          known.state = "given up"
        })
      )
    )

  const sayPlainly = (known: Known, padding: number) =>
    Effect.suspend(() => {
      const callContext = { identity: undefined, context: {} }
      const submission = submitter.submitUnsafe(typeOf(known), call(known, padding), callContext, false)
      world.answered(known, submission?.error)
      return submission?.notification ?? Effect.void
    })

  const wait = Effect.fnUntraced(function* (what: Waiting["what"]) {
    const begin = what === "flush" ? analytics.flush : analytics.close
    // Before the fork: the fiber that waits may end before this one goes on.
    const waiting = world.waits(what)
    waiting.fiber = yield* Effect.forkChild(
      Effect.tap(begin, (summed) => Effect.sync(() => world.passed(waiting, summed)))
    )
  })

  const giveUp = (what: Waiting["what"]) =>
    Effect.sync(() => {
      const at = world.waiting.findLastIndex((one) => one.what === what && !one.resolved)
      const [waiting] = at < 0 ? [] : world.waiting.splice(at, 1)
      waiting?.fiber?.interruptUnsafe()
      return waiting
    })

  return Effect.fnUntraced(function* (action: Action) {
    switch (action.act) {
      case "call": {
        const { count, face, kind, padding } = action
        const calls =
          face === "plain"
            ? Effect.forEach(Array(count).fill(kind), () => Effect.suspend(() => sayPlainly(world.say(kind), padding)))
            : Effect.forEach(Array(count).fill(kind), () => Effect.suspend(() => say(world.say(kind), padding)))
        const said = Effect.asVoid(calls)
        if (world.scenario.options.overflow === "wait") world.callers.push(yield* Effect.forkChild(said))
        else yield* said
        break
      }
      case "answer":
        world.script.push(...action.answers)
        break
      case "pass":
        yield* TestClock.adjust(action.millis)
        break
      case "flush":
        yield* wait("flush")
        break
      case "close":
        world.closing = true
        yield* wait("close")
        break
      case "give up a flush":
        yield* giveUp("flush")
        break
      case "give up a close": {
        // Begun, it goes on, and in its time.
        if ((yield* giveUp("close")) !== undefined) yield* wait("close")
        break
      }
      case "give up a call":
        world.callers.findLast((caller) => caller.pollUnsafe() === undefined)?.interruptUnsafe()
        break
    }
    yield* turns.rest
  })
}

const story = Effect.fnUntraced(function* (world: World, turns: Turns) {
  const { actions, options, recovers } = world.scenario
  const clock = yield* TestClock.testClockWith(Effect.succeed)
  world.now = () => clock.currentTimeMillisUnsafe()
  const layer = Analytics.layer({ writeKey: Redacted.make("k"), transform: world.transform, ...options }).pipe(
    Layer.provide(Layer.succeed(HttpClient.HttpClient, wire(world))),
    Layer.provide(Observer.layer((outcome) => Effect.sync(() => world.told(outcome)))),
    Layer.provide(Logger.layer([]))
  )
  yield* Effect.gen(function* () {
    const analytics = yield* Analytics.Analytics
    world.stats = () => Effect.runSync(analytics.stats)
    const act = perform(world, turns, analytics)
    const step = Effect.fnUntraced(function* (action: Action) {
      yield* act(action)
      world.atRest()
      if (world.broken.length > 0) throw new Error(`${world.broken[0]} (${JSON.stringify(world.stats())})`)
    })
    for (const action of actions) yield* step(action)
    if (recovers && !world.closing) {
      world.script.length = 0
      // Those who wait for room are accepted on the way, and want a flush of their own.
      for (let n = 0; n < 4; n++) {
        yield* step({ act: "flush" })
        yield* step({ act: "pass", millis: 3_600_000 })
      }
      if (world.pending().length > 0) throw new Error("a wire that is well again delivers everything")
    }
    yield* step({ act: "close" })
    yield* step({ act: "pass", millis: options.closeTimeout })
    yield* step({ act: "close" })
    const requests = world.requests
    yield* step({ act: "pass", millis: 86_400_000 })
    if (world.requests > requests) throw new Error("a client that is closed sends nothing")
    if (world.waiting.some(({ resolved }) => !resolved)) throw new Error("after a close nobody waits")
    if (world.callers.some((caller) => caller.pollUnsafe() === undefined))
      throw new Error("after a close no call waits")
  }).pipe(Effect.provide(layer))
})

/** Throws when the client does something that it must not. */
export const play = (scenario: Scenario): void => {
  const turns = new Turns(scenario.steps)
  const world = new World(scenario)
  const exit = turns.run(
    story(world, turns).pipe(
      Effect.provide(chance(scenario.seed)),
      Effect.provide(TestClock.layer()),
      Effect.provideService(Scheduler.MaxOpsBeforeYield, scenario.steps)
    )
  )
  const [broken] = world.broken
  if (broken !== undefined) throw new Error(broken)
  if (Exit.isFailure(exit)) throw new Error(String(exit.cause))
}
