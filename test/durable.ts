/** Lives of a durable client: each opens the same outbox, over a wire that judges what it is sent. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Analytics from "../src/Analytics.ts"
import type * as Message from "../src/Message.ts"
import * as Observer from "../src/Observer.ts"
import type * as Outbox from "../src/Outbox.ts"
import type * as Outcome from "../src/Outcome.ts"
import * as Transport from "../src/Transport.ts"
import { eventOf } from "./support.ts"

/** A directory for as long as the scope lasts. */
export const directory: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "effect-analytics-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

/** How a request is answered: by its events, and how many requests came before. */
export type Judge = (
  events: ReadonlyArray<string>,
  before: number
) => number | { readonly status: number; readonly headers: Readonly<Record<string, string>> } | "never"

export interface Wire {
  /** The events of each request, and what it was answered. */
  readonly requests: Array<{
    readonly events: ReadonlyArray<string>
    readonly messages: ReadonlyArray<Message.Wire>
    readonly status: number
  }>
  readonly outcomes: Array<Outcome.Outcome>
  /** The events that were answered with 2xx, in their order. */
  readonly taken: () => ReadonlyArray<string>
  readonly layer: Layer.Layer<HttpClient.HttpClient>
}

export const wire = (judge: Judge = () => 200): Wire => {
  const requests: Wire["requests"] = []
  const client = HttpClient.make((request) =>
    Effect.suspend(() => {
      const body = request.body._tag === "Uint8Array" ? request.body.body : new Uint8Array()
      const { batch } = JSON.parse(new TextDecoder().decode(body)) as Message.Request
      const events = batch.map(eventOf)
      const answer = judge(events, requests.length)
      if (answer === "never") return Effect.never
      const { headers, status } = typeof answer === "number" ? { status: answer, headers: {} } : answer
      requests.push({ events, messages: batch, status })
      return Effect.succeed(HttpClientResponse.fromWeb(request, new Response(null, { status, headers })))
    })
  )
  return {
    requests,
    outcomes: [],
    taken: () => requests.flatMap(({ events, status }) => (status < 300 ? events : [])),
    layer: Layer.succeed(HttpClient.HttpClient, client)
  }
}

/** A transport over a wire. */
export const transport = (
  wire: Wire,
  options: Omit<Transport.Options, "writeKey"> = {}
): Layer.Layer<Transport.Transport> =>
  Transport.layer({ ...options, writeKey: Redacted.make("test-write-key") }).pipe(Layer.provide(wire.layer))

/** A client over an outbox and a wire. The end of its layer is the end of a life: nothing is delivered in it any more. */
export const client = <R, E, In>(
  outbox: Layer.Layer<R | Outbox.Outbox, E, In>,
  wire: Wire,
  options: Omit<Analytics.Options, keyof Outbox.Options | "writeKey"> = {}
) =>
  Analytics.layerNoDeps({ closeTimeout: 0, ...options }).pipe(
    Layer.provideMerge(outbox),
    Layer.provide(transport(wire, options)),
    Layer.provide(Observer.layer((outcome) => Effect.sync(() => void wire.outcomes.push(outcome))))
  )
