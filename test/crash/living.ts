/**
 * What the processes of a crash story have in common.
 *
 * They track numbered messages for users of their own, and say of each that it was acknowledged as soon as the call has
 * resolved: in one write to a pipe, so that what was said is out of the process, whatever becomes of it a moment later.
 */
import { writeSync } from "node:fs"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Analytics from "../../src/Analytics.ts"
import * as Transport from "../../src/Transport.ts"
import { chances } from "../chances.ts"
import { type Life, type Order, pipe } from "./Life.ts"

/** What this process was told. */
export const life = JSON.parse(process.argv[2] ?? "{}") as Life

/** Says something in a line of its own. */
export const say = (line: string): void => void writeSync(pipe, `${line}\n`)

export const transport = Transport.layerFetch({
  writeKey: Redacted.make("test-write-key"),
  host: life.host,
  requestTimeout: life.requestTimeout
})

let writing = true

const obey = (order: Order): void => {
  if (order === "stop writing") writing = false
  else if (order === "exit") process.exit(3)
  else if (order === "throw") throw new Error("a bug elsewhere")
  else for (const until = performance.now() + order.hang; performance.now() < until; );
}

const orphaned = (): void => process.exit(1)

/** Lives until the program is over, or by SIGTERM until its scopes are closed. Nobody outlives the story. */
export const live = <E>(program: Effect.Effect<void, E>): void => {
  process.on("message", obey)
  process.once("disconnect", orphaned)
  // At the second signal it does what it does by default.
  process.once("SIGTERM", () => {
    say("ending")
    fiber.interruptUnsafe()
  })
  const fiber = Effect.runFork(program)
  fiber.addObserver((exit) => {
    if (exit._tag === "Failure" && !exit.cause.reasons.every((reason) => reason._tag === "Interrupt")) {
      process.exitCode = 1
      console.error(exit.cause)
    }
    process.off("message", obey).off("disconnect", orphaned)
    process.disconnect()
  })
}

/** Runs a program with what it needs; a server that is away at the start is waited for. */
export const living = <A, E, R, Problem>(
  program: Effect.Effect<A, E, R>,
  layer: Layer.Layer<R, Problem>
): Effect.Effect<A, E | Problem> =>
  Layer.build(layer).pipe(
    Effect.retry({ schedule: Schedule.spaced("200 millis"), times: 100 }),
    Effect.flatMap((context) => Effect.provideContext(program, context)),
    Effect.scoped
  )

/** Tracks messages for its users, some at the same time, until it is told to stop or has made as many as it is to. */
export const write = Effect.fnUntraced(function* (
  call: (message: {
    readonly userId: string
    readonly event: string
    readonly messageId: string
    readonly properties: object
  }) => Effect.Effect<void, unknown>
) {
  const { messages = Number.POSITIVE_INFINITY, name, pause, seed, users } = life
  const chance = chances(seed)
  const padding = "x".repeat(200)

  const one = (userId: string, number: number) => {
    const messageId = `${userId}/${name}/${number}`
    return Effect.matchCause(call({ userId, event: "Survived", messageId, properties: { number, padding } }), {
      onSuccess: () => say(messageId),
      // It may be there or not: nobody was promised anything.
      onFailure: () => {}
    })
  }

  const user = Effect.fnUntraced(function* (userId: string) {
    for (let number = 1; writing && number <= messages; ) {
      const together = Math.min(messages - number + 1, 1 + Math.floor(chance() * 3))
      const numbers = Array.from({ length: together }, () => number++)
      // A transaction for each, one after the other: those of one user at the same time have no order.
      const concurrency = life.transactional === true ? 1 : "unbounded"
      yield* Effect.forEach(numbers, (n) => one(userId, n), { concurrency, discard: true })
      yield* Effect.sleep(Duration.millis(chance() * pause))
    }
  })

  say("ready")
  yield* Effect.forEach(users, user, { concurrency: "unbounded", discard: true })
  say("written")
})

/** Calls of the client alone. */
export const track = Effect.gen(function* () {
  const analytics = yield* Analytics.Analytics
  yield* write(analytics.track)
})
