/**
 * What surrounds a call: the context and the identity that everything inside carries, and the function that may change
 * or drop a message before it is encoded.
 *
 * Surroundings are fiber-local: concurrent requests never see each other's.
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import type { InvalidCall, PlanViolation } from "./AnalyticsError.ts"
import * as Json from "./Json.ts"
import * as Message from "./Message.ts"

/** Whom calls are about. */
export type Identity =
  | { readonly userId: Message.Id; readonly anonymousId?: Message.Id | undefined }
  | { readonly userId?: undefined; readonly anonymousId: Message.Id }

/** The identity around a program: what makes it possible to leave it out of a call. Provided by `withIdentity`. */
export class CurrentIdentity extends Context.Service<CurrentIdentity, Identity>()(
  "effect-analytics/Enrichment/CurrentIdentity"
) {}

/** The context around a program, copied when it was given. */
export const CurrentContext = Context.Reference<Json.Data | Json.Fault>("effect-analytics/Enrichment/CurrentContext", {
  defaultValue: () => ({})
})

/** Adds to a context; what is inside wins, key by key at the top level. */
export const mergeContext = (outer: Json.Data | Json.Fault, inner: Json.Data): Json.Data | Json.Fault => {
  if (outer instanceof Json.Fault) return outer
  const copied = Json.copy(inner, ["context"])
  if (copied instanceof Json.Fault) return copied
  return Json.isData(copied) ? { ...outer, ...copied } : new Json.Fault("must be an object", ["context"])
}

/**
 * Every call inside carries this context: `withContext({ ip, userAgent })`. Nested ones add up, key by key at the top
 * level, and what a call says itself wins. A context that can't be sent makes the calls inside fail, not the program.
 */
export const withContext: {
  (context: Json.Data): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, context: Json.Data): Effect.Effect<A, E, R>
} = dual(
  2,
  <A, E, R>(self: Effect.Effect<A, E, R>, context: Json.Data): Effect.Effect<A, E, R> =>
    Effect.updateService(self, CurrentContext, (outer) => mergeContext(outer, context))
)

/**
 * Every call inside is about this user or visitor, unless it says so itself. With it, the calls of
 * `analytics.identified` need no identity.
 */
export const withIdentity: {
  (identity: Identity): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, Exclude<R, CurrentIdentity>>
  <A, E, R>(self: Effect.Effect<A, E, R>, identity: Identity): Effect.Effect<A, E, Exclude<R, CurrentIdentity>>
} = dual(2, <A, E, R>(self: Effect.Effect<A, E, R>, identity: Identity) =>
  Effect.provideService(self, CurrentIdentity, { ...identity })
)

/** What is around a call. */
export interface Surroundings {
  readonly identity: Identity | undefined
  readonly context: Json.Data | Json.Fault
}

/** The surroundings of a fiber. */
export const surroundings = (context: Context.Context<never>): Surroundings => ({
  identity: Context.getOrUndefined(context as Context.Context<CurrentIdentity>, CurrentIdentity),
  context: Context.get(context, CurrentContext)
})

/** Puts surroundings that were kept elsewhere around a call. */
export const within =
  ({ context, identity }: Surroundings) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => {
    const inside = Effect.provideService(self, CurrentContext, context)
    return identity === undefined ? inside : Effect.provideService(inside, CurrentIdentity, identity)
  }

/** Whether a call that names this user, or nobody, may be of that one. Ids are compared as they are sent. */
const isOf = (said: unknown, around: Message.Id | undefined): boolean =>
  said === undefined || around === undefined || said === around || text(said) === text(around)

/** What is no id is refused later, and has no text here: it could throw when it is asked for one. */
const text = (id: unknown): unknown => (typeof id === "number" ? String(id) : typeof id === "string" ? id : Symbol())

/**
 * Puts what is around a call into it. `data` is a copy of the call's, and changed.
 *
 * A call about another user than the one around it gets nothing of that one's identity: a visitor's id at the wrong
 * user would join the two for ever.
 */
export const surround = (
  data: Record<string, unknown>,
  { context, identity }: Surroundings
): Json.Fault | undefined => {
  // JSON's word for an id that is not there.
  if (data.userId === null) delete data.userId
  if (data.anonymousId === null) delete data.anonymousId
  if (identity !== undefined && isOf(data.userId, identity.userId)) {
    if (identity.userId !== undefined) data.userId ??= identity.userId
    if (identity.anonymousId !== undefined) data.anonymousId ??= identity.anonymousId
  }
  if (context instanceof Json.Fault) return context
  if (data.context === undefined) data.context = context
  else if (Json.isData(data.context)) data.context = { ...context, ...data.context }
  return undefined
}

// ---------------------------------------------------------------------------------------------------------------------
// Transform
// ---------------------------------------------------------------------------------------------------------------------

/** A message that is not to be sent, and why. */
export class Drop extends Data.Class<{ readonly reason: string }> {}

/** What a `transform` answers to drop a message: it is counted as dropped, and told as `Filtered`. */
export const drop = (reason: string): Drop => new Drop({ reason })

/**
 * Sees every message before it is encoded, as it would go over the wire, and answers what is to be sent instead, or
 * `drop(reason)`: for redaction, sampling, consent. The message is the function's own: it may change it. When it
 * throws, or answers with something else, the call is refused: what was to be redacted is not sent as it is.
 */
export type Transform = (message: Own<Message.Wire>) => Message.Wire | Drop

type Own<M> = M extends unknown ? { -readonly [Key in keyof M]: M[Key] } : never

/**
 * Sees every valid call before `transform` does, and answers what is to be sent, that it is not, or what rule it breaks.
 * The message is the check's own: it may change it. It must not throw. See `TrackingPlan`.
 */
export type Check = (message: Message.Wire) => Message.Wire | Drop | PlanViolation

/** Applies a transform. */
export const apply = (transform: Transform, message: Message.Wire): Json.Data | Drop | InvalidCall => {
  const invalid = (fault: Json.Fault) => Message.refuse(message.type, fault)
  // A copy: parts of a message (the context around it, the library) belong to others as well.
  const own = Json.copy(message)
  if (own instanceof Json.Fault) return invalid(own)
  try {
    const answer: unknown = transform(own as Message.Wire)
    if (answer instanceof Drop) return answer
    if (answer instanceof Promise) answer.catch(() => {})
    const copied = Json.copy(answer)
    if (copied instanceof Json.Fault) return invalid(copied)
    if (Json.isData(copied) && copied.type === message.type) return copied
    return invalid(new Json.Fault("transform must answer with a message of the same type, or with drop(reason)", []))
  } catch {
    return invalid(new Json.Fault("transform threw", []))
  }
}
