/**
 * For the tests of plain programs: the client of `createAnalytics`, with only the wire missing.
 */
import * as Effect from "effect/Effect"
import type * as Message from "./Message.ts"
import type { Outcome } from "./Outcome.ts"
import { type Client, createAnalytics, type PlannedClient, type PlanSettings, type Settings } from "./plain.ts"
import type * as TrackingPlan from "./TrackingPlan.ts"
import * as Wiretap from "./Wiretap.ts"

export type { Answer, Request } from "./Wiretap.ts"

export interface Sent {
  /** The messages that were answered with 2xx, as they went over the wire. `await flush()` first. */
  readonly sent: ReadonlyArray<Message.Wire>
  /** Every attempt, with headers and body. */
  readonly requests: ReadonlyArray<Wiretap.Request>
  /** Answers the next requests: `respond(503, 503, 200)`. After these it is 200 again. */
  readonly respond: (...answers: ReadonlyArray<Wiretap.Answer>) => void
}

export interface TestClient extends Client, Sent {}

/** The same with a tracking plan. */
export interface PlannedTestClient<D extends TrackingPlan.Definition> extends PlannedClient<D>, Sent {
  /**
   * The properties of every delivered event of this name, as the program knows them; but fields that are marked as `pii`
   * are as they were sent: missing, or the hash. Throws where the rest breaks the plan.
   */
  readonly ofType: <Name extends TrackingPlan.EventName<D>>(
    event: Name
  ) => ReadonlyArray<TrackingPlan.Properties<D, Name>>
}

/**
 * A client that sends nothing and remembers everything. Its `close` rejects if a message is not accounted for. Calls that
 * are not valid throw (`strict`) unless you say otherwise: a test should hear of them. For a plan there is a `hashKey`, if
 * you give none.
 */
export const createTestAnalytics: {
  <D extends TrackingPlan.Definition>(settings: Partial<Settings> & PlanSettings<D>): PlannedTestClient<D>
  (settings?: Partial<Settings> & { readonly plan?: undefined }): TestClient
} = (
  settings: Partial<Settings> & TrackingPlan.Policies & { readonly plan?: TrackingPlan.Plan | undefined } = {}
): PlannedTestClient<TrackingPlan.Definition> => {
  const wiretap = new Wiretap.Wiretap()
  const outcomes: Array<Outcome> = []
  const all = {
    ...settings,
    ...(settings.plan === undefined ? {} : { hashKey: settings.hashKey ?? Wiretap.hashKey }),
    writeKey: settings.writeKey ?? "test-write-key",
    strict: settings.strict ?? true,
    fetch: fetchFrom(wiretap),
    onOutcome: (outcome: Outcome) => {
      outcomes.push(outcome)
      return settings.onOutcome?.(outcome)
    }
  }
  const client = createAnalytics(all as Settings & PlanSettings<TrackingPlan.Definition>)
  const close = async () => {
    const flushed = await client.close()
    const broken = Wiretap.violation(client.stats(), outcomes)
    if (broken !== undefined) throw new Error(`${broken}: ${JSON.stringify(client.stats())}`)
    return flushed
  }
  return {
    ...client,
    close,
    [Symbol.asyncDispose]: async () => void (await close()),
    get sent() {
      return wiretap.batches.flat()
    },
    get requests() {
      return [...wiretap.requests]
    },
    ofType: (event) =>
      Wiretap.propertiesOf(wiretap.batches.flat(), event).map((properties) =>
        // Without a plan nobody can see it.
        Effect.runSync((settings.plan as TrackingPlan.Plan).decodeSent(event, properties))
      ),
    respond: (...answers) => void wiretap.script.push(...answers)
  }
}

const fetchFrom =
  (wiretap: Wiretap.Wiretap): typeof globalThis.fetch =>
  async (_url, init) => {
    const headers = Object.fromEntries(new Headers(init?.headers))
    const body = init?.body as string | Uint8Array<ArrayBuffer>
    const text = typeof body === "string" ? body : await Wiretap.toText(body, headers["content-encoding"])
    const answer = wiretap.answer(headers, text)
    if (answer === "network error") throw new TypeError("fetch failed")
    const after = typeof answer === "object" ? (answer.after ?? 0) : 0
    await until(init?.signal ?? undefined, answer === "never" ? undefined : after)
    return Wiretap.toResponse(answer === "never" ? 200 : answer)
  }

/** Resolves after a time, or never; rejects when the signal says so. */
const until = (signal: AbortSignal | undefined, after: number | undefined): Promise<void> =>
  new Promise((resolve, reject) => {
    const timer = after === undefined ? undefined : setTimeout(resolve, after)
    signal?.addEventListener("abort", () => {
      clearTimeout(timer)
      reject(signal.reason)
    })
  })
