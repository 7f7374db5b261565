/**
 * Several clients as one: a call goes to each, which has its own queue, limits, outcomes and message ids. A call is accepted if
 * one of them accepts it; what another refuses is that one's outcome.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { AnalyticsError } from "../AnalyticsError.ts"
import type { Integrations } from "../CallTypes.ts"
import * as Json from "../internal/Json.ts"
import * as Message from "../Message.ts"
import type * as Outcome from "../Outcome.ts"
import { limits } from "../Settings.ts"
import { drop } from "../Transform.ts"
import type { Check } from "./Check.ts"
import * as Confirmation from "./Confirmation.ts"
import * as Submitter from "./Submitter.ts"

/** A client by the name that `integrations` have for it. */
export interface Named {
  readonly name: string
  readonly submitter: Submitter.Submitter
  readonly stats: Effect.Effect<Outcome.Stats>
}

/** The submitter over several, and the sums of their counts. */
export const make = (
  destinations: ReadonlyArray<Named>
): Submitter.Submitter & { readonly stats: Effect.Effect<Outcome.Stats> } => {
  const filters = destinations.map(({ name }) => filterOf(name))
  const renamings = destinations.map(({ name }) => renamingOf(name))

  const checksOf = (at: number, call: unknown, checks: ReadonlyArray<Check>): ReadonlyArray<Check> => [
    ...(destinations[at]?.submitter.checks ?? []),
    ...checks,
    filters[at] as Check,
    // The API removes duplicates by id across sources. Ids of the client's own differ already.
    ...(hasMessageId(call) ? [renamings[at] as Check] : [])
  ]

  const submit: Submitter.Submitter["submit"] = (type, given, { checks = [], onMessage, overflow } = {}) =>
    Effect.suspend(() => {
      const call = readOnce(given)
      const submitTo = ({ submitter }: Named, at: number): Effect.Effect<void, AnalyticsError> => {
        const all = checksOf(at, call, checks)
        return onMessage === undefined
          ? submitter.submit(type, call, { checks: all, overflow })
          : Confirmation.confirm({ ...submitter, checks: all }, type, call)
      }
      return Effect.flatMap(
        Effect.forEach(destinations, (destination, at) => Effect.exit(submitTo(destination, at)), {
          concurrency: "unbounded"
        }),
        (exits) => {
          const failed = exits.filter(Exit.isFailure)
          // Who waits for the end of a message wants all of its ends.
          const [failure] = onMessage !== undefined || failed.length === exits.length ? failed : []
          return failure ?? Effect.void
        }
      )
    })

  const submitUnsafe: Submitter.Submitter["submitUnsafe"] = (type, given, callContext, isNested, checks = []) => {
    const call = readOnce(given)
    const submissions = destinations.map(({ submitter }, at) =>
      submitter.submitUnsafe(type, call, callContext, isNested, checksOf(at, call, checks))
    )
    const notifications = submissions.flatMap((submission) => submission?.notification ?? [])
    return {
      error: submissions.every((submission) => submission?.error !== undefined) ? submissions[0]?.error : undefined,
      notification: notifications.length === 0 ? undefined : Effect.all(notifications, { discard: true })
    }
  }

  const all = <A>(each: (destination: Named) => Effect.Effect<A>) =>
    Effect.forEach(destinations, each, { concurrency: "unbounded" })

  return {
    version: Submitter.version,
    checks: [],
    submit,
    submitUnsafe,
    // No message is this client's own: `submit` waits for the ends of those of the destinations.
    onEnd: () => () => {},
    flush: (timeout) =>
      Effect.map(
        all(({ submitter }) => submitter.flush(timeout)),
        sumOf
      ),
    close: (timeout) =>
      Effect.map(
        all(({ submitter }) => submitter.close(timeout)),
        sumOf
      ),
    stats: Effect.map(
      all(({ stats }) => stats),
      statsOf
    )
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Destinations of a call
// ---------------------------------------------------------------------------------------------------------------------

/** What `All: false` is behind, and so not about. */
const hub = "Segment.io"

const isSelected = (integrations: Integrations | undefined, name: string): boolean =>
  (integrations?.[name] ?? (name === hub ? true : integrations?.All)) !== false

const filterOf = (name: string): Check => ({
  check: ({ integrations }) => (isSelected(integrations, name) ? undefined : drop("integrations")),
  redact: (message) => message
})

const renamingOf = (name: string): Check => ({
  check: () => undefined,
  redact: (message) => ({ ...message, messageId: messageIdFor(message.messageId, name) })
})

/** The id of a message at one destination: always the same for the same id. */
const messageIdFor = (messageId: string, name: string): string => {
  const whole = `${messageId}-${name.replace(/[^\w-]/g, "_")}`
  if (whole.length <= limits.messageId) return whole
  const hash = (Message.userOf({ userId: whole }) >>> 0).toString(16).padStart(8, "0")
  return `${whole.slice(0, limits.messageId - hash.length - 1)}-${hash}`
}

/** A copy for all destinations, so that what the caller gave is read once. One that can't be made is refused by each of them. */
const readOnce = (call: unknown): unknown => {
  const copied = Json.copy(call)
  return Json.isJsonError(copied) ? call : copied
}

const hasMessageId = (call: unknown): boolean => Json.isData(call) && typeof call.messageId === "string"

// ---------------------------------------------------------------------------------------------------------------------
// Sums
// ---------------------------------------------------------------------------------------------------------------------

const sum = <Field extends string>(all: ReadonlyArray<{ readonly [F in Field]: number }>, field: Field): number =>
  all.reduce((total, each) => total + each[field], 0)

const sumOf = (all: ReadonlyArray<Submitter.Summary>): Submitter.Summary => ({
  delivered: sum(all, "delivered"),
  dropped: sum(all, "dropped"),
  rejected: sum(all, "rejected"),
  pending: sum(all, "pending")
})

const statsOf = (all: ReadonlyArray<Outcome.Stats>): Outcome.Stats => {
  const oldest = all.flatMap(({ oldestPendingAt }) => oldestPendingAt ?? [])
  const limited = all.flatMap(({ limitedUntil }) => limitedUntil ?? [])
  const [lastFailure] = all.flatMap(({ lastFailure }) => lastFailure ?? []).sort((one, other) => other.at - one.at)
  return {
    ...sumOf(all),
    offered: sum(all, "offered"),
    inFlight: sum(all, "inFlight"),
    pendingBytes: sum(all, "pendingBytes"),
    ...(oldest.length === 0 ? {} : { oldestPendingAt: Math.min(...oldest) }),
    ...(limited.length === 0 ? {} : { limitedUntil: Math.max(...limited) }),
    ...(lastFailure === undefined ? {} : { lastFailure })
  }
}
