/**
 * The routes of the debugger. The page itself holds no data and is public. All other routes require the token of this
 * start, and refuse requests from pages of other origins.
 */
import { createHash, timingSafeEqual } from "node:crypto"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Body from "../Collector/Body.ts"
import * as Guard from "../Collector/Guard.ts"
import type { Change, Received, Request } from "../Collector.ts"
import * as Collector from "../Collector.ts"

/** A file of the page. */
export interface Asset {
  readonly path: `/${string}`
  readonly contentType: string
  readonly text: string
}

/** Messages in one event of the stream. */
const chunkSize = 1_000

/** Adds the page and its routes to the router. */
export const install = Effect.fnUntraced(function* (options: {
  readonly url: string
  readonly token: Redacted.Redacted<string>
  readonly assets: ReadonlyArray<Asset>
  /** How many messages the page keeps. */
  readonly maxMessages: number
}) {
  const router = yield* HttpRouter.HttpRouter
  const collector = yield* Collector.Collector
  const cookie = `effect-analytics-${new URL(options.url).port}`
  const isToken = equals(Redacted.value(options.token))

  /** Requires the token, in the cookie or as a Bearer token. */
  const guarded = <E, R>(handler: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>) =>
    Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
      if (!Guard.isSameOrigin(request)) return refusal(403, "Only the page of this server may ask")
      const bearer = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? "")?.[1]
      return isToken(bearer ?? request.cookies[cookie] ?? "")
        ? handler
        : refusal(401, "Open the URL that the debugger printed: it has the token of this start")
    })

  for (const { contentType, path, text } of options.assets) {
    yield* router.add("GET", path, HttpServerResponse.text(text, { contentType }))
  }

  yield* router.add(
    "POST",
    "/debugger/session",
    Effect.gen(function* () {
      const request = yield* HttpServerRequest.HttpServerRequest
      if (!Guard.isSameOrigin(request)) return yield* refusal(403, "Only the page of this server may ask")
      const { json } = yield* Body.read
      const token = Schema.is(Session)(json) ? json.token : ""
      if (!isToken(token)) return yield* refusal(401, "This is not the token of this start")
      return HttpServerResponse.setCookieUnsafe(HttpServerResponse.empty(), cookie, token, {
        httpOnly: true,
        sameSite: "strict",
        path: "/"
      })
    }).pipe(catchBody)
  )
  yield* router.add("GET", "/debugger/session", guarded(Effect.succeed(HttpServerResponse.empty())))

  yield* router.add(
    "GET",
    "/debugger/events",
    guarded(Effect.sync(() => HttpServerResponse.stream(events(collector, options), eventStream)))
  )

  yield* router.add(
    "GET",
    "/debugger/messages/:id",
    guarded(
      Effect.gen(function* () {
        const { id } = yield* HttpRouter.params
        const received = yield* collector.message(Number(id))
        if (received === undefined) return yield* refusal(404, "The message is not kept any more")
        const request = yield* collector.request(received.request)
        return HttpServerResponse.jsonUnsafe({ message: received, request: request ?? null })
      })
    )
  )

  yield* router.add("POST", "/debugger/clear", guarded(Effect.as(collector.clear, HttpServerResponse.empty())))

  yield* router.add(
    "POST",
    "/debugger/plan",
    guarded(
      Effect.gen(function* () {
        const { json } = yield* Body.read
        const plan = yield* Effect.tryPromise({
          // The validator of plans from JSON is an optional peer.
          try: async () => {
            if (json === null) return undefined
            const { fromJson } = await import("../TrackingPlan/json.ts")
            const read = fromJson(json)
            // Where nothing can be read, the first reason helps more than an empty plan.
            const isEmpty = Object.keys(read.definition.events ?? {}).length === 0
            return isEmpty && read.problems.length > 0 ? fromJson(json, { strict: true }) : read
          },
          catch: planProblem
        })
        yield* collector.loadPlan(plan)
        return HttpServerResponse.empty()
      }).pipe(
        catchBody,
        Effect.catch((problem) => refusal(400, problem))
      )
    )
  )

  yield* router.add(
    "POST",
    "/debugger/faults",
    guarded(
      Effect.gen(function* () {
        const { json } = yield* Body.read
        if (!Schema.is(Faults)(json)) {
          return yield* refusal(
            400,
            `Expected {"answers":[503,{"status":429,"headers":{"retry-after":"5"}},"reset after"]}`
          )
        }
        yield* collector.respond(...json.answers)
        return HttpServerResponse.empty()
      }).pipe(catchBody)
    )
  )
})

const Session = Schema.Struct({ token: Schema.String })

const Status = Schema.Int.check(Schema.isBetween({ minimum: 200, maximum: 599 }))
const HeaderText = Schema.String.check(Schema.isPattern(/^[\x20-\x7e]*$/))
const hasNames = Schema.makeFilter((headers: object) => Object.keys(headers).every((name) => /^[\w-]+$/.test(name)))
const Faults = Schema.Struct({
  answers: Schema.Array(
    Schema.Union([
      Status,
      Schema.Literals(["reset before", "reset after", "silence"]),
      Schema.Struct({
        status: Status,
        headers: Schema.optional(Schema.Record(Schema.String, HeaderText).check(hasNames)),
        body: Schema.optional(Schema.String),
        /** Milliseconds. */
        delay: Schema.optional(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 300_000 }))),
        taken: Schema.optional(Schema.Boolean)
      })
    ])
  ).check(Schema.isMaxLength(100))
})

const refusal = (status: number, problem: string): Effect.Effect<HttpServerResponse.HttpServerResponse> =>
  Effect.succeed(HttpServerResponse.jsonUnsafe({ problem }, { status }))

/** A body that cannot be read is answered with the status that this has. */
const catchBody = <E, R>(
  handler: Effect.Effect<HttpServerResponse.HttpServerResponse, E | Body.UnreadableBody, R>
): Effect.Effect<HttpServerResponse.HttpServerResponse, Exclude<E, Body.UnreadableBody>, R> =>
  Effect.catch(handler, (error) =>
    error instanceof Body.UnreadableBody
      ? refusal(error.status, error.problem)
      : Effect.fail(error as Exclude<E, Body.UnreadableBody>)
  )

/** Compares digests, so that the time tells nothing about the text. */
const equals = (text: string): ((other: string) => boolean) => {
  const digest = (of: string) => createHash("sha256").update(of).digest()
  const expected = digest(text)
  return (other) => timingSafeEqual(expected, digest(other))
}

// ---------------------------------------------------------------------------------------------------------------------
// Events
// ---------------------------------------------------------------------------------------------------------------------

const eventStream = { contentType: "text/event-stream", headers: { "x-accel-buffering": "no" } } as const

/** Everything that is kept, then everything as it happens. A comment every 15 seconds detects dead connections. */
const events = (
  collector: Collector.Collector["Service"],
  options: { readonly maxMessages: number }
): Stream.Stream<Uint8Array> =>
  collector.changes.pipe(
    Stream.mapEffect((change) =>
      Effect.map(Effect.all([collector.totals, collector.coverage]), ([totals, coverage]) =>
        chunksOf(change).map((part) => ({
          ...part,
          totals,
          coverage: coverage ?? null,
          maxMessages: options.maxMessages
        }))
      )
    ),
    Stream.flatMap((parts) => Stream.fromIterable(parts)),
    // Everything that arrives during the pause is one event.
    Stream.tap(({ more }) => (more ? Effect.void : Effect.sleep("60 millis"))),
    Stream.map((part) => `data: ${JSON.stringify(part)}\n\n`),
    Stream.merge(Stream.map(Stream.tick("15 seconds"), () => ": still here\n\n")),
    Stream.encodeText
  )

/** A change in parts of a bounded size; all but the last have `more`. */
const chunksOf = ({ messages, requests, reset }: Change) => {
  const parts = Math.max(1, Math.ceil(Math.max(messages.length, requests.length) / chunkSize))
  return Array.from({ length: parts }, (_, part) => {
    const slice = <A>(all: ReadonlyArray<A>) => all.slice(part * chunkSize, (part + 1) * chunkSize)
    return {
      reset: reset && part === 0,
      messages: slice(messages).map(rowOf),
      requests: slice(requests).map(attemptOf),
      more: part < parts - 1
    }
  })
}

/** What the list shows of a message. */
const rowOf = ({ json: _, problems: [problem], ...row }: Received) => ({ ...row, problem: problem ?? null })

/** What the timeline shows of a request. */
const attemptOf = ({ headers: _, ...attempt }: Request) => attempt

const planProblem = (error: unknown): string => {
  const { _tag, code, message } = error as { readonly _tag?: string; readonly code?: string; readonly message: string }
  if (_tag === "InvalidPlan") return message
  return code === "ERR_MODULE_NOT_FOUND"
    ? "Plans from JSON need the package typebox: npm install typebox"
    : "The plan cannot be read"
}
