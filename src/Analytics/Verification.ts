/**
 * One message sent straight to the API, past the outbox, and what its answer tells: the way of it, the clock of this machine,
 * and the proxy in the environment. `verify` of both faces and the command `check` ask here.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Call from "../Call.ts"
import * as EnvironmentProxy from "../internal/Proxy.ts"
import * as Time from "../internal/Time.ts"
import * as Message from "../Message.ts"
import { MessageIds } from "../MessageId.ts"
import { type Region, regionOf } from "../Settings.ts"
import * as Transport from "../Transport.ts"

/** The answer to `verify`. @category models @since 0.1.0 */
export interface Verification {
  /** Whether the API has answered 2xx for the message. A key of another region, or a wrong one of the right form, is too. */
  readonly ok: boolean
  /** The HTTP status, if there was an answer. */
  readonly status?: number
  /** What went wrong, such as `ENOTFOUND` or `timeout`. */
  readonly detail?: string
  /** The host that was asked; absent in a stub. */
  readonly host?: string
  /** The region of the host, if it is Segment's. */
  readonly region?: Region
  /** Milliseconds that the API's clock is ahead of this machine's, by the header `Date`: about a second exact. */
  readonly clockSkew?: number
  /** The proxy that the environment has for the host, without its password. */
  readonly proxy?: Proxy
  /** The message that was sent: track "effect-analytics check". */
  readonly messageId: string
}

/** The proxy in the environment. @category models @since 0.1.0 */
export interface Proxy {
  /** Host and port. */
  readonly host: string
  /** Whether `fetch` of Node uses it: with `NODE_USE_ENV_PROXY=1`. */
  readonly isUsed: boolean
}

/** The result of an attempt, and the milliseconds that the API's clock is ahead of this machine's. */
export const attempt = Effect.fnUntraced(function* (
  transport: Transport.Transport["Service"],
  messages: ReadonlyArray<Message.Message>
) {
  let date: string | undefined
  const before = yield* Clock.currentTimeMillis
  const result = yield* Effect.provideService(Transport.attempt(transport, messages, 0), Transport.OnDate, (header) => {
    date = header
  })
  const skew = Date.parse(date ?? "") - ((yield* Clock.currentTimeMillis) + before) / 2
  return { result, clockSkew: Number.isNaN(skew) ? undefined : skew }
})

/** A message to look for in the debugger of the source. */
export const testMessage = Effect.gen(function* () {
  const now = yield* Clock.currentTimeMillis
  const call: Call.Data = { event: "effect-analytics check", anonymousId: "effect-analytics-check" }
  // It is far below the limit of a message.
  return Message.encode(Message.stamp("track", call, now, Time.makeIso(), yield* MessageIds), now) as Message.Message
})

/** Sends one message, which no flush and no count knows. */
export const verify = Effect.fnUntraced(function* (
  transport: Transport.Transport["Service"]
): Effect.fn.Return<Verification> {
  const message = yield* testMessage
  const { clockSkew, result } = yield* attempt(transport, [message])
  const url = transport.destination === undefined ? undefined : new URL(transport.destination)
  const proxy = url && EnvironmentProxy.proxyFor(url)
  const region = url && regionOf(url)
  return {
    ok: result._tag === "Delivered",
    ...(result.status === undefined ? {} : { status: result.status }),
    ...("detail" in result && result.detail !== undefined ? { detail: result.detail } : {}),
    ...(url === undefined ? {} : { host: url.host }),
    ...(region === undefined ? {} : { region }),
    ...(clockSkew === undefined ? {} : { clockSkew }),
    ...(proxy === undefined ? {} : { proxy: { host: proxy, isUsed: EnvironmentProxy.isUsed() } }),
    messageId: message.messageId
  }
})
