/**
 * The context and the identity that all calls inside an effect carry.
 *
 * They are fiber-local: concurrent requests never see each other's.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Tracer from "effect/Tracer"
import type { ContextFields, Id, Integrations } from "./CallTypes.ts"
import * as Json from "./internal/Json.ts"

/** The user or visitor that calls are about. @category models @since 0.1.0 */
export type Identity =
  | { readonly userId: Id; readonly anonymousId?: Id | null | undefined }
  | { readonly userId?: Id | null | undefined; readonly anonymousId: Id }

/**
 * The identity in scope: with it a call may leave its identity out. Provided by `withIdentity`.
 * @category services @since 0.1.0
 */
export class CurrentIdentity extends Context.Service<CurrentIdentity, Identity>()(
  "effect-analytics/Enrichment/CurrentIdentity"
) {}

/** The context in scope, copied when it was given. @category references @since 0.1.0 */
export const CurrentContext = Context.Reference<Json.Data | Json.JsonError>(
  "effect-analytics/Enrichment/CurrentContext",
  { defaultValue: () => ({}) }
)

/** @internal Adds to a context, key by key at the top level; the inner one wins. */
export const mergeContext = (outer: Json.Data | Json.JsonError, inner: Json.Data): Json.Data | Json.JsonError => {
  if (Json.isJsonError(outer)) return outer
  const copied = Json.copy(inner, ["context"])
  if (Json.isJsonError(copied)) return copied
  return Json.isData(copied) ? { ...outer, ...copied } : new Json.JsonError("must be an object", ["context"])
}

/**
 * Gives all calls inside this context: `withContext({ ip, userAgent })`. Nested contexts add up, key by key at the top level;
 * the context of the call itself wins. A context that cannot be sent makes the calls inside fail, not the program.
 * @category combinators @since 0.1.0
 */
export const withContext: {
  (context: ContextFields): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, context: ContextFields): Effect.Effect<A, E, R>
} = dual(
  2,
  <A, E, R>(self: Effect.Effect<A, E, R>, context: ContextFields): Effect.Effect<A, E, R> =>
    Effect.updateService(self, CurrentContext, (outer) => mergeContext(outer, context))
)

/**
 * Makes this user or visitor the subject of all calls inside that have no identity of their own. With it the calls of
 * `Analytics.identified` need no identity.
 * @category combinators @since 0.1.0
 */
export const withIdentity: {
  (identity: Identity): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, Exclude<R, CurrentIdentity>>
  <A, E, R>(self: Effect.Effect<A, E, R>, identity: Identity): Effect.Effect<A, E, Exclude<R, CurrentIdentity>>
} = dual(2, <A, E, R>(self: Effect.Effect<A, E, R>, identity: Identity) =>
  Effect.provideService(self, CurrentIdentity, { ...identity })
)

/** What a call inherits from its surroundings. @category models @since 0.1.0 */
export interface CallContext {
  readonly identity: Identity | undefined
  readonly context: Json.Data | Json.JsonError
}

/** @internal The context and identity of a fiber. */
export const currentContext = (context: Context.Context<never>): CallContext => ({
  identity: Context.getOrUndefined(context as Context.Context<CurrentIdentity>, CurrentIdentity),
  context: Context.get(context, CurrentContext)
})

/**
 * @internal Adds the span in scope, as the `traceparent` of W3C Trace Context: calls can be found by their trace.
 */
export const withTraceparent = (callContext: CallContext, context: Context.Context<never>): CallContext => {
  const span = Context.getOrUndefined(context, Tracer.ParentSpan)
  if (span === undefined || Json.isJsonError(callContext.context)) return callContext
  const traceparent = `00-${span.traceId}-${span.spanId}-${span.sampled ? "01" : "00"}`
  return { ...callContext, context: { traceparent, ...callContext.context } }
}

/** @internal Provides a call context that was kept outside of a fiber. */
export const provideCallContext =
  ({ context, identity }: CallContext) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => {
    const inside = Effect.provideService(self, CurrentContext, context)
    return identity === undefined ? inside : Effect.provideService(inside, CurrentIdentity, identity)
  }

/** The text of an id on the wire. Other values are refused later, and have no text here: reading it could throw. */
const textOf = (id: unknown): unknown =>
  typeof id === "string" ? id : typeof id === "number" || typeof id === "bigint" ? String(id) : Symbol()

/** Whether a call that names this user, or none, may be about that one. */
const isAbout = (named: unknown, user: unknown): boolean =>
  named === undefined || user === undefined || user === null || textOf(named) === textOf(user)

/** An id as `Json.copy` would give it. */
const copyId = (id: Id): Id => (typeof id === "bigint" ? String(id) : id)

/**
 * @internal Adds the defaults of the client, the context and the identity in scope to a call. `data` is a copy of the call, and is changed.
 *
 * A call about another user than the one in scope gets nothing of that one's identity: the id of a visitor at the wrong user
 * would join the two for ever.
 */
export const applyContext = (
  data: Record<string, unknown>,
  { context, identity }: CallContext,
  defaults: { readonly context?: Json.Data | undefined; readonly integrations?: Integrations | undefined }
): Json.JsonError | undefined => {
  if (identity !== undefined && isAbout(data.userId, identity.userId)) {
    if (identity.userId !== undefined && identity.userId !== null) data.userId ??= copyId(identity.userId)
    if (identity.anonymousId !== undefined && identity.anonymousId !== null) {
      data.anonymousId ??= copyId(identity.anonymousId)
    }
  }
  if (Json.isJsonError(context)) return context
  const inherited = defaults.context === undefined ? context : { ...defaults.context, ...context }
  if (data.context === undefined) data.context = inherited
  else if (Json.isData(data.context)) data.context = { ...inherited, ...data.context }
  if (defaults.integrations !== undefined && (data.integrations === undefined || Json.isData(data.integrations))) {
    data.integrations = { ...defaults.integrations, ...data.integrations }
  }
  return undefined
}
