/**
 * For the tests of plain programs: the client of `createAnalytics`, with only the wire replaced.
 */
import * as Layer from "effect/Layer"
import type * as Message from "./CallTypes.ts"
import * as FakeServer from "./internal/FakeServer.ts"
import * as MicrotaskScheduler from "./internal/MicrotaskScheduler.ts"
import * as Notifier from "./Outcome/Notifier.ts"
import type { Outcome } from "./Outcome.ts"
import type { Client, Deadline } from "./plain/Client.ts"
import type { AnySettings, Settings } from "./plain/Settings.ts"
import { createInside } from "./plain.ts"

export type { Answer, Request } from "./internal/FakeServer.ts"

/** What a test client has sent, and what its API answers. @category models @since 0.1.0 */
export interface Sent {
  /** The messages that were answered with 2xx, as they went over the wire. `await flush()` first. */
  readonly sent: ReadonlyArray<Message.Wire>
  /** Every attempt, with headers and body. */
  readonly requests: ReadonlyArray<FakeServer.Request>
  /** Answers the next requests: `respond(503, 503, 200)`. After these it is 200 again. */
  readonly respond: (...answers: ReadonlyArray<FakeServer.Answer>) => void
  /** Forgets requests and answers: between two tests that share the client. `await flush()` first. */
  readonly reset: () => void
}

/** A client for tests. @category models @since 0.1.0 */
export interface TestClient extends Client, Sent {}

/**
 * A client over a recorded wire. Its `close` rejects if a message is not accounted for. Calls that are not accepted throw, unless
 * `strict` is `false`. A plan has a `hashKey` if none is given. Timers may be fake: without `gzip`, a `flushInterval` and a
 * scripted delay it needs none.
 * @category constructors @since 0.1.0
 */
export const createTestAnalytics = (settings: Partial<Settings> = {}): TestClient =>
  createRecordedTest(settings as object).client

/** @internal The same, and its server. */
export const createRecordedTest = (
  settings: Partial<AnySettings>
): { readonly client: TestClient; readonly server: FakeServer.FakeServer } => {
  const server = new FakeServer.FakeServer()
  const outcomes: Array<Outcome> = []
  const all = {
    ...settings,
    ...(settings.plan === undefined ? {} : { hashKey: settings.hashKey ?? FakeServer.hashKey }),
    writeKey: settings.writeKey ?? "test-write-key",
    strict: settings.strict ?? true,
    fetch: fetchFrom(server)
  }
  const recorder = Layer.succeed(Notifier.Recorder, (outcome) => void outcomes.push(outcome))
  const client = createInside(Layer.merge(recorder, MicrotaskScheduler.layer), all)
  const close = async (deadline?: Deadline) => {
    const flushed = await client.close(deadline)
    const broken = FakeServer.violation(client.stats(), outcomes)
    if (broken !== undefined) throw new Error(`${broken}: ${JSON.stringify(client.stats())}`)
    return flushed
  }
  const recorded = {
    ...client,
    close,
    [Symbol.asyncDispose]: async () => void (await close()),
    get sent() {
      return server.batches.flat()
    },
    get requests() {
      return [...server.requests]
    },
    respond: (...answers: ReadonlyArray<FakeServer.Answer>) => void server.script.push(...answers),
    reset: () => {
      server.requests.length = 0
      server.script.length = 0
    }
  }
  return { client: recorded, server }
}

const fetchFrom =
  (server: FakeServer.FakeServer): typeof globalThis.fetch =>
  async (_url, init) => {
    const headers = Object.fromEntries(new Headers(init?.headers))
    const body = init?.body as string | Uint8Array<ArrayBuffer>
    const text = typeof body === "string" ? body : await FakeServer.toText(body, headers["content-encoding"])
    const answer = server.answer(headers, text)
    if (answer === "network error") throw new TypeError("fetch failed")
    const delay = typeof answer === "object" ? (answer.delay ?? 0) : 0
    // Without a delay no timer is needed: timers may be fake.
    if (answer === "never" || delay > 0) await until(init?.signal ?? undefined, answer === "never" ? undefined : delay)
    return FakeServer.toResponse(answer === "never" ? 200 : answer)
  }

/** Resolves after a time, or never; rejects when the signal aborts. */
const until = (signal: AbortSignal | undefined, after: number | undefined): Promise<void> =>
  new Promise((resolve, reject) => {
    const timer = after === undefined ? undefined : setTimeout(resolve, after)
    signal?.addEventListener("abort", () => {
      clearTimeout(timer)
      reject(signal.reason)
    })
  })
