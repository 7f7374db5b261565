/** The routes of the Tracking API: authentication, reading of bodies, answers. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Call from "../Call.ts"
import * as Json from "../internal/Json.ts"
import * as Answer from "./Answer.ts"
import * as Body from "./Body.ts"
import * as Guard from "./Guard.ts"
import type * as Journal from "./Journal.ts"
import type { Sources } from "./Sources.ts"

export interface Parts {
  readonly journal: Journal.Journal
  readonly sources: Sources
  /** The write keys that are taken; any, if there is no list. */
  readonly writeKeys: ReadonlySet<string> | undefined
  /** Origins whose pages may send events. */
  readonly origins: ReadonlySet<string>
  /** The next answer of the script, if there is one. */
  readonly next: () => Answer.Answer | undefined
  /** The answer where the script is over. */
  readonly otherwise: (facts: Facts) => Answer.Answer
  /** Called whenever there is something new to read. */
  readonly changed: () => void
  /** Breaks the connection of a request. */
  readonly reset: (request: HttpServerRequest.HttpServerRequest) => Effect.Effect<HttpServerResponse.HttpServerResponse>
}

/** What an answer may depend on. @category models @since 0.1.0 */
export interface Facts {
  /** Requests that arrived before. */
  readonly before: number
  /** Messages in this one. */
  readonly messages: number
}

/** Adds the routes to the router. */
export const install = Effect.fnUntraced(function* (parts: Parts) {
  const router = yield* HttpRouter.HttpRouter
  let requests = 0

  /** Records a request whose body is not read. */
  const enterUnread = Effect.fnUntraced(function* (
    request: HttpServerRequest.HttpServerRequest,
    plan: Answer.Response,
    refusal?: Journal.Incoming["refusal"]
  ) {
    const receivedAt = yield* Clock.currentTimeMillis
    const nothing = { bytes: 0, decodedBytes: 0, source: "", messages: [] }
    parts.journal.enter({ ...factsOf(request), ...nothing, receivedAt, refusal }, plan)
    parts.changed()
  })

  const receive = Effect.fnUntraced(function* (type: Call.Type | undefined) {
    const request = yield* HttpServerRequest.HttpServerRequest
    if (!Guard.isSameOrigin(request) && !Guard.isAllowedOrigin(parts.origins, request)) return forbidden
    const scripted = parts.next()
    if (scripted === "reset before") {
      yield* enterUnread(request, Answer.responseOf(scripted))
      return yield* parts.reset(request)
    }
    const body = yield* Effect.result(Body.read)
    const receivedAt = yield* Clock.currentTimeMillis
    const read = body._tag === "Success" ? body.success : { ...body.failure, decodedBytes: 0, json: undefined }
    const key = keyIn(request.headers.authorization) ?? keyOf(read.json)
    const messages = messagesOf(read.json, type)
    const refusal = body._tag === "Failure" ? body.failure : refusalOf(key, messages, parts.writeKeys)
    const answer = scripted ?? parts.otherwise({ before: requests, messages: messages.length })
    requests++
    const plan = parts.journal.enter(
      {
        ...factsOf(request),
        receivedAt,
        bytes: read.bytes,
        decodedBytes: read.decodedBytes,
        source: key === undefined ? "" : parts.sources.nameOf(key),
        messages,
        refusal
      },
      Answer.responseOf(answer)
    )
    parts.changed()
    if (plan.delay > 0) yield* Effect.sleep(plan.delay)
    if (plan.fault === "silence") return yield* Effect.never
    if (plan.fault !== undefined) return yield* parts.reset(request)
    const response = HttpServerResponse.text(plan.status === 204 || plan.status === 304 ? "" : plan.body, {
      status: plan.status,
      contentType: "application/json"
    })
    return HttpServerResponse.setHeaders(response, { ...plan.headers, ...sharing(parts.origins, request) })
  })

  const preflight = Effect.map(HttpServerRequest.HttpServerRequest, (request) =>
    Guard.isAllowedOrigin(parts.origins, request)
      ? HttpServerResponse.empty({ headers: sharing(parts.origins, request) })
      : forbidden
  )
  const paths = [
    ...(["batch", "import"] as const).map((name) => [name, undefined] as const),
    ...Call.types.map((type) => [type, type] as const)
  ]
  for (const [name, type] of paths) {
    yield* router.add("POST", `/v1/${name}`, receive(type))
    yield* router.add("OPTIONS", `/v1/${name}`, preflight)
  }
  yield* router.add(
    "POST",
    "/*",
    Effect.gen(function* () {
      const request = yield* HttpServerRequest.HttpServerRequest
      if (!Guard.isSameOrigin(request) && !Guard.isAllowedOrigin(parts.origins, request)) return forbidden
      yield* enterUnread(request, Answer.responseOf(unknownPath.status), unknownPath)
      return HttpServerResponse.text(Answer.bodyOf(unknownPath.status, unknownPath.problem), {
        status: unknownPath.status,
        contentType: "application/json"
      })
    })
  )
})

/** An SDK with the wrong path gets a 404; the record shows it to the developer. */
const unknownPath = {
  status: 404,
  problem: "The Tracking API has no such path: it has /v1/batch, /v1/import and /v1/ with the name of a call"
}

const forbidden = HttpServerResponse.text(Answer.bodyOf(403, "Pages of this origin may not send events here"), {
  status: 403,
  contentType: "application/json"
})

/** The CORS headers for an allowed origin; without credentials. */
const sharing = (
  origins: ReadonlySet<string>,
  request: HttpServerRequest.HttpServerRequest
): Readonly<Record<string, string>> =>
  Guard.isAllowedOrigin(origins, request)
    ? {
        "access-control-allow-origin": request.headers.origin ?? "",
        "access-control-allow-methods": "POST",
        "access-control-allow-headers": "authorization, content-type, content-encoding, x-retry-count",
        "access-control-expose-headers": "retry-after",
        vary: "Origin"
      }
    : {}

/** The write key of a header: the user of Basic, or a Bearer token. */
const keyIn = (authorization: string | undefined): string | undefined => {
  const [, scheme, value = ""] = /^(Basic|Bearer) +(\S+)$/i.exec(authorization ?? "") ?? []
  if (scheme === undefined) return undefined
  const key = scheme.toLowerCase() === "bearer" ? value : (Buffer.from(value, "base64").toString().split(":")[0] ?? "")
  return key === "" ? undefined : key
}

/** The write key of a body. */
const keyOf = (json: unknown): string | undefined =>
  Json.isData(json) && typeof json.writeKey === "string" && json.writeKey !== "" ? json.writeKey : undefined

const messagesOf = (json: unknown, type: Call.Type | undefined): ReadonlyArray<unknown> => {
  if (type !== undefined) return Json.isData(json) ? [Object.assign({ type }, withoutKey(json), { type })] : []
  return Json.isData(json) && Array.isArray(json.batch) ? json.batch.map(withoutKey) : []
}

const withoutKey = (message: unknown): unknown => {
  if (!Json.isData(message) || !Object.hasOwn(message, "writeKey")) return message
  const { writeKey: _, ...rest } = message
  return rest
}

const refusalOf = (
  key: string | undefined,
  messages: ReadonlyArray<unknown>,
  known: ReadonlySet<string> | undefined
): Journal.Incoming["refusal"] => {
  if (key === undefined) {
    return { status: 401, problem: "There is no write key: send it as Basic user, as Bearer token or as writeKey" }
  }
  if (known?.has(key) === false) return { status: 401, problem: "The write key is not known here" }
  if (messages.length === 0)
    return { status: 400, problem: "There is no message: batch must be a list that is not empty" }
  return undefined
}

const factsOf = ({ headers, method, url }: HttpServerRequest.HttpServerRequest) => ({
  method,
  path: pathOf(url),
  headers: withoutSecrets(headers)
})

const secrets = new Set(["authorization", "cookie", "proxy-authorization"])

const withoutSecrets = (headers: Readonly<Record<string, string | undefined>>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) =>
      value === undefined || secrets.has(name) ? [] : [[name, value]]
    )
  )

/** Without a query: a key could be in it. */
const pathOf = (url: string): string => url.replace(/[?#].*$/s, "")
