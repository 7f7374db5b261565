/**
 * The loop between the outbox and the transport: groups what waits into batches, keeps at most `maxInFlight` of them
 * on their way, and ends in good order. What happens to one batch on its way is told in `Attempts.ts`.
 */
import type * as Arr from "effect/Array"
import type * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { DeliveryError, type InvalidSetting } from "./AnalyticsError.ts"
import * as Attempts from "./Attempts.ts"
import type { Message } from "./Message.ts"
import * as Outbox from "./Outbox.ts"
import * as Outcome from "./Outcome.ts"
import * as Settings from "./Settings.ts"
import * as Time from "./Time.ts"
import * as Transport from "./Transport.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Options
// ---------------------------------------------------------------------------------------------------------------------

export interface Options {
  /** Messages in a request, at most; the API takes up to 2,500. @default 100 */
  readonly batchSize?: number | undefined
  /**
   * How long a batch that is not full stays open, from its first message. At 0 the first message leaves at once, and
   * what arrives during its request forms the next batch. Milliseconds or a duration string. @default 0
   */
  readonly flushInterval?: Duration.Input | undefined
  /**
   * Requests at the same time. More than one gives up the order between batches; they are spread over the time that a
   * request takes, for which a batch that is not full is kept for up to 25 ms. @default 1
   */
  readonly maxInFlight?: number | undefined
  /** Attempts after the first for a batch that fails in a way that may pass. @default 10 */
  readonly maxRetries?: number | undefined
  /** How long a close may take; what is left then is dropped and reported, or kept by an outbox that outlives the process. @default "75 seconds" */
  readonly closeTimeout?: Duration.Input | undefined
}

const settings = (options: Options) =>
  Settings.read(() => ({
    batchSize: Settings.integer("batchSize", options.batchSize, 1, Settings.limits.batchSize),
    flushInterval: Settings.millis("flushInterval", options.flushInterval, 0),
    maxInFlight: Settings.integer("maxInFlight", options.maxInFlight, 1, 1_000),
    maxRetries: Settings.integer("maxRetries", options.maxRetries, 0, 1_000),
    closeTimeout: Settings.millis("closeTimeout", options.closeTimeout, 0)
  }))

// ---------------------------------------------------------------------------------------------------------------------
// The loop
// ---------------------------------------------------------------------------------------------------------------------

export interface Delivery {
  /**
   * Takes no more messages, delivers what is there until `closeTimeout`, and drops the rest with the reason `closed`; an
   * outbox that outlives the process keeps it.
   * Idempotent: a second close waits for the first, and answers the same.
   */
  readonly close: Effect.Effect<Outbox.Flushed>
}

/** Starts the loop in this scope; the end of the scope is a close. */
export const make = Effect.fnUntraced(function* (
  options: Options = {}
): Effect.fn.Return<Delivery, InvalidSetting, Outbox.Outbox | Transport.Transport | Scope.Scope> {
  const { batchSize, closeTimeout, flushInterval, maxInFlight, maxRetries } = yield* settings(options)
  const outbox = yield* Outbox.Outbox
  const transport = yield* Transport.Transport
  if (transport.destination !== undefined) yield* outbox.lasting?.bind(transport.destination) ?? Effect.void
  const attempts = yield* Attempts.make({ maxRetries })
  const running = yield* Scope.make()

  const pace = new Pace(maxInFlight)

  /** What was taken and is in no batch yet. */
  let rest: ReadonlyArray<Message> = []
  /** Takes more, if anybody asked for more and did not wait for it. */
  let taking: Fiber.Fiber<ReadonlyArray<Message>, Cause.Done> | undefined

  const take = Effect.suspend(() => (taking === undefined ? outbox.take(batchSize) : Fiber.join(taking))).pipe(
    Effect.map((messages) => {
      taking = undefined
      return messages
    })
  )

  /** Adds what comes within the interval, or until a flush is waiting. */
  const holdOpen = Effect.fnUntraced(function* (group: Group) {
    const open = yield* Effect.forkIn(Effect.raceFirst(Effect.sleep(flushInterval), outbox.hurried), running)
    while (!group.isFull) {
      // A take may not be interrupted: what it has in its hands would be lost.
      taking ??= yield* Effect.forkIn(outbox.take(batchSize), running)
      yield* Effect.raceFirst(Fiber.await(taking), Fiber.await(open))
      const taken = taking.pollUnsafe()
      // Either the window is closed, or the outbox is, and the next to take will learn it.
      if (taken === undefined || Exit.isFailure(taken)) break
      rest = group.add(yield* take)
    }
    yield* Fiber.interrupt(open)
  })

  const form = Effect.gen(function* () {
    const group = new Group(batchSize, attempts.maxBatchBytes() - transport.envelopeBytes)
    rest = group.add(rest.length === 0 ? yield* take : rest)
    if (flushInterval > 0 && !group.isFull) yield* holdOpen(group)
    if (pace.inFlight > 0 && !group.isFull) yield* Effect.sleep(pace.wait(yield* Time.elapsed))
    // Whoever is about to call comes first: no batch leaves while more could join it.
    yield* Effect.yieldNow
    while (!group.isFull && !outbox.isEmpty()) {
      taking ??= yield* Effect.forkIn(outbox.take(batchSize), running)
      yield* Effect.yieldNow
      // What takes its time, or is about to end, is for the next batch.
      const taken = taking.pollUnsafe()
      if (taken === undefined || Exit.isFailure(taken)) break
      rest = group.add(yield* take)
    }
    return group.messages
  })

  // It never fails; if it does all the same, no message may hang in the air.
  const deliver = (batch: Batch) =>
    Effect.catchCause(attempts.deliver(batch), () =>
      outbox.settle(Outcome.Outcome.Dropped({ messages: batch, error: broken }))
    )

  const slots = yield* Semaphore.make(maxInFlight - 1)
  const inTime = Effect.fnUntraced(function* (batch: Batch) {
    const begun = pace.begin(yield* Time.elapsed)
    yield* deliver(batch)
    pace.end((yield* Time.elapsed) - begun)
  })
  // The next batch is not formed before there is a slot for it: what arrives until then is part of it.
  const launch = (batch: Batch) =>
    maxInFlight === 1
      ? deliver(batch)
      : inTime(batch).pipe(Effect.ensuring(slots.release(1)), Effect.forkIn(running), Effect.andThen(slots.take(1)))

  yield* form.pipe(Effect.flatMap(launch), Effect.forever({ disableYield: true }), Effect.forkIn(running))

  const end = Effect.gen(function* () {
    yield* outbox.close
    const before = yield* outbox.counts
    yield* Effect.timeoutOption(outbox.flush, closeTimeout)
    yield* Scope.close(running, Exit.void)
    yield* outbox.abandon(new DeliveryError({ reason: "closed", attempts: 0, ...attempts.trouble() }))
    const after = yield* outbox.counts
    return { delivered: after.delivered - before.delivered, dropped: after.dropped - before.dropped }
  })

  const ended = yield* Deferred.make<Outbox.Flushed>()
  let ending = false
  const close = Effect.suspend(() => {
    if (ending) return Deferred.await(ended)
    ending = true
    // Begun, it is bounded: who interrupts one close must not leave the next one waiting.
    return Effect.uninterruptible(Effect.tap(end, (flushed) => Deferred.succeed(ended, flushed)))
  })
  yield* Effect.addFinalizer(() => close)

  return { close }
})

const broken = new DeliveryError({ reason: "broken", attempts: 0 })

type Batch = Arr.NonEmptyReadonlyArray<Message>

/**
 * Spreads requests over time. Left alone they bunch: all slots come free at once, the first takes everything that waits,
 * and what comes then waits for as long as a request takes. At an even distance a message waits for a fraction of that.
 */
class Pace {
  /** A batch is not kept for longer than this, in milliseconds, while a slot is free. */
  static readonly longest = 25
  private readonly maxInFlight: number
  private distance = 0
  private last = Number.NEGATIVE_INFINITY
  inFlight = 0

  constructor(maxInFlight: number) {
    this.maxInFlight = maxInFlight
  }

  /** How long the next request should wait. */
  wait(now: number): number {
    return Math.max(0, this.last + this.distance - now)
  }

  begin(now: number): number {
    this.inFlight++
    this.last = now
    return now
  }

  end(took: number): void {
    this.inFlight--
    this.distance = Math.min(Pace.longest, took / this.maxInFlight)
  }
}

/** As many messages as a request takes; one always fits. */
class Group {
  private readonly held: Array<Message> = []
  private bytes = 0
  private readonly maxMessages: number
  private readonly maxBytes: number
  /** Whether nothing more fits. */
  isFull = false

  constructor(maxMessages: number, maxBytes: number) {
    this.maxMessages = maxMessages
    this.maxBytes = maxBytes
  }

  get messages(): Batch {
    return this.held as Array<Message> as Arr.NonEmptyArray<Message>
  }

  /** Adds what fits; answers with the rest. */
  add(messages: ReadonlyArray<Message>): ReadonlyArray<Message> {
    for (const [index, message] of messages.entries()) {
      const bytes = message.bytes + (this.held.length === 0 ? 0 : 1)
      if (this.held.length > 0 && this.bytes + bytes > this.maxBytes) {
        this.isFull = true
        return messages.slice(index)
      }
      this.held.push(message)
      this.bytes += bytes
      if (this.held.length === this.maxMessages) {
        this.isFull = true
        return messages.slice(index + 1)
      }
    }
    return []
  }
}
