/**
 * Access tokens in the place of the write key: the flow of client credentials, with an assertion that is signed by a key of the
 * program's own. A token is requested when a batch needs one, and again after half of its life.
 *
 * When no token could be had, that is a failed attempt of every batch that waited for it: they are tried again as after any other.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as Redacted from "effect/Redacted"
import * as Semaphore from "effect/Semaphore"
import { makeUuids } from "./MessageId.ts"
import * as Settings from "./Settings.ts"
import * as Transport from "./Transport.ts"

/** The application that asks for tokens, and where. @category options @since 0.1.0 */
export interface Options {
  /** The id of the OAuth application. */
  readonly clientId: string
  /** The private RSA key of the application, as PEM (PKCS#8: `-----BEGIN PRIVATE KEY-----`). */
  readonly clientKey: Redacted.Redacted<string>
  /** The id of the public key that belongs to it. */
  readonly keyId: string
  /** @default "tracking_api:write" */
  readonly scope?: string | undefined
  /** @default "https://oauth2.segment.io", or the one of the EU for a client that sends there */
  readonly authServer?: string | undefined
}

interface Token {
  readonly text: string
  /** In milliseconds since 1970. */
  readonly refreshAt: number
  readonly expiresAt: number
}

/** The time after a failed refresh until the next one, while the token is valid: in milliseconds. */
const refreshPause = 10_000
/** The pause that a 429 without `Retry-After` asks for, in milliseconds. */
const defaultPause = 5_000
/** Before the second retry of a request for a token, doubled for each after it: in milliseconds. The first comes at once. */
const firstBackoff = 200
const maxBackoff = 60_000
/** Seconds that an assertion begins before now, and those after which it ends. */
const issuedBefore = 5
const expiresAfter = 55

/**
 * What `auth` of the options of a client takes. An `InvalidSetting` tells what cannot work when the client is made.
 *
 * ```ts
 * import * as Redacted from "effect/Redacted"
 * import * as Analytics from "effect-analytics/Analytics"
 * import * as OAuth from "effect-analytics/OAuth"
 *
 * const pem = Redacted.make("-----BEGIN PRIVATE KEY-----…")
 *
 * export const Client = Analytics.layerFetch({
 *   writeKey: Redacted.make("YOUR_WRITE_KEY"),
 *   auth: OAuth.make({ clientId: "ID_OF_THE_APPLICATION", clientKey: pem, keyId: "ID_OF_THE_KEY" })
 * })
 * ```
 * @category constructors @since 0.1.0
 */
export const make = (options: Options): Transport.Auth => makeRetrying(options, 0)

/** @internal The same, with requests for a token after one whose failure may pass, in one attempt of a batch. */
export const makeRetrying = (options: Options, maxRetries: number): Transport.Auth => ({
  start: Effect.fnUntraced(function* ({ endpoint, requestTimeout }) {
    const client = yield* HttpClient.HttpClient
    const { audience, clientId, der, keyId, scope, tokenEndpoint } = yield* Effect.sync(() => read(options, endpoint))
    const jti = makeUuids()
    const semaphore = yield* Semaphore.make(1)
    let key: Awaited<ReturnType<typeof crypto.subtle.importKey>> | undefined
    let token: Token | undefined
    /** How far the clock of this machine is ahead of the server's, in milliseconds. */
    let skew = 0

    const sign = (payload: object): Promise<string> => {
      const head = encode(JSON.stringify({ alg: "RS256", kid: keyId, typ: "JWT" }))
      const signed = `${head}.${encode(JSON.stringify(payload))}`
      return (async () => {
        key ??= await crypto.subtle.importKey("pkcs8", der, algorithm, false, ["sign"])
        const signature = await crypto.subtle.sign(algorithm.name, key, encoder.encode(signed))
        return `${signed}.${base64Url(new Uint8Array(signature))}`
      })()
    }

    /** Requests a token. Fails with the end of the attempt that needs it. */
    const request: Effect.Effect<Token, Transport.SendResult> = Effect.gen(function* () {
      const usedSkew = skew
      const sentAt = yield* Clock.currentTimeMillis
      const now = Math.round((sentAt - skew) / 1_000)
      const assertion = yield* Effect.tryPromise({
        try: () =>
          sign({
            iss: clientId,
            sub: clientId,
            aud: audience,
            iat: now - issuedBefore,
            exp: now + expiresAfter,
            jti: jti(sentAt)
          }),
        catch: () => Transport.SendResult.Misconfigured({ detail: "clientKey is no RSA key that can sign" })
      })
      const form = new URLSearchParams({
        grant_type: "client_credentials",
        client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        client_assertion: assertion,
        scope
      })
      const post = HttpClientRequest.bodyText(
        HttpClientRequest.post(tokenEndpoint),
        form.toString(),
        "application/x-www-form-urlencoded"
      )
      const { body, response } = yield* client.execute(post).pipe(
        Effect.flatMap((response) => Effect.map(response.text, (body) => ({ body, response }))),
        Transport.manualRedirect,
        // A span would hold the assertion.
        Effect.provideService(HttpClient.TracerDisabledWhen, () => true),
        Effect.mapError(() => Transport.SendResult.Transient({ detail: "authorization server" })),
        Effect.timeoutOrElse({
          duration: requestTimeout,
          orElse: () => Effect.fail(Transport.SendResult.Transient({ detail: "authorization server: timeout" }))
        })
      )
      const { headers, status } = response
      const answeredAt = yield* Clock.currentTimeMillis
      const date = Date.parse(headers.date ?? "")
      if (!Number.isNaN(date)) skew = answeredAt - date
      if (status === 200) {
        const read = tokenOf(body, answeredAt)
        return read ?? (yield* Effect.fail(Transport.SendResult.Transient({ status, detail: "no access token" })))
      }
      if (status === 429) {
        const delay = Transport.retryAfterMillis(headers["retry-after"], answeredAt) ?? defaultPause
        return yield* Effect.fail(Transport.SendResult.Limited({ status, delay }))
      }
      // With a wrong clock the assertion was not valid; now the clock is known.
      const isClockWrong = Math.abs(skew - usedSkew) > issuedBefore * 1_000
      const detail = "authorization server"
      return yield* Effect.fail(
        refusals.has(status) && !isClockWrong
          ? Transport.SendResult.Misconfigured({ status, detail })
          : Transport.SendResult.Transient({ status, detail })
      )
    })

    const retried = (retries: number): Effect.Effect<Token, Transport.SendResult> =>
      Effect.catch(request, (result) => {
        if (result._tag !== "Transient" || retries >= maxRetries) return Effect.fail(result)
        const wait = retries === 0 ? 0 : Math.min(maxBackoff, firstBackoff * 2 ** (retries - 1))
        return Effect.delay(retried(retries + 1), wait)
      })

    /** How often no token could be had, and why it could not be the last time. */
    let failures = 0
    let failure: Transport.SendResult | undefined

    const renewed = Effect.tapError(retried(0), (result) =>
      Effect.sync(() => {
        failures++
        failure = result
      })
    )

    /** The token, a new one if it has to be. One request at a time: those who wait for it share its end. */
    const current: Effect.Effect<Token, Transport.SendResult> = Effect.suspend(() => {
      const failuresBefore = failures
      return Effect.gen(function* () {
        const now = yield* Clock.currentTimeMillis
        const known = token
        if (known !== undefined && now < known.refreshAt) return known
        if (known === undefined || now >= known.expiresAt) {
          if (failure !== undefined && failures > failuresBefore) return yield* Effect.fail(failure)
          token = yield* renewed
          return token
        }
        token = yield* Effect.orElseSucceed(request, () => ({ ...known, refreshAt: now + refreshPause }))
        return token
      }).pipe(semaphore.withPermits(1))
    })

    return (batch, send) =>
      Effect.matchEffect(current, {
        onFailure: Effect.succeed,
        onSuccess: (used) =>
          Effect.map(send(HttpClientRequest.setHeader(batch, "authorization", `Bearer ${used.text}`)), (result) => {
            const { status = 0 } = result as { readonly status?: number }
            if (!forgets.has(status)) return result
            if (token?.text === used.text) token = undefined
            // The API refuses the token, not the client: there will be another.
            return status === 400 ? result : Transport.SendResult.Transient({ status })
          })
      })
  })
})

/** Statuses of the authorization server that no retry changes. */
const refusals: ReadonlySet<number> = new Set([400, 401, 415])
/** Statuses of the API after which the token is not used again. */
const forgets: ReadonlySet<number> = new Set([400, 401, 403, 511])

// ---------------------------------------------------------------------------------------------------------------------
// Settings
// ---------------------------------------------------------------------------------------------------------------------

const servers = { us: "https://oauth2.segment.io", eu: "https://oauth2.eu1.segmentapis.com" } as const

const read = ({ authServer, clientId, clientKey, keyId, scope = "tracking_api:write" }: Options, endpoint: string) => {
  const isEu = new URL(endpoint).hostname.endsWith(".eu1.segmentapis.com")
  const audience = authServer ?? servers[isEu ? "eu" : "us"]
  return {
    audience,
    clientId: text("clientId", clientId),
    keyId: text("keyId", keyId),
    scope: text("scope", scope),
    der: derOf(Settings.secret("clientKey", clientKey)),
    tokenEndpoint: tokenEndpointOf(audience)
  }
}

const text = (setting: string, value: unknown): string =>
  typeof value === "string" && value.trim() !== ""
    ? value
    : Settings.invalid(setting, "must be a string that is not blank")

const tokenEndpointOf = (server: string): string => {
  try {
    return Settings.endpoint({ host: server, path: "/token" })
  } catch (error) {
    return Settings.invalid("authServer", (error as { readonly problem: string }).problem)
  }
}

/** The bytes of a key. It is never part of an error. */
const derOf = (pem: unknown): Uint8Array<ArrayBuffer> => {
  const [, base64] = /-----BEGIN PRIVATE KEY-----([A-Za-z0-9+/=\s]+)-----END PRIVATE KEY-----/.exec(String(pem)) ?? []
  if (base64 === undefined) {
    return Settings.invalid(
      "clientKey",
      "must be a private key as PEM (PKCS#8); openssl pkcs8 -topk8 -nocrypt converts others"
    )
  }
  try {
    return Uint8Array.from(atob(base64.replace(/\s/g, "")), (character) => character.charCodeAt(0))
  } catch {
    return Settings.invalid("clientKey", "must be a private key as PEM; it is not whole")
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Tokens
// ---------------------------------------------------------------------------------------------------------------------

const algorithm = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" } as const
const encoder = new TextEncoder()

const base64Url = (bytes: Uint8Array): string =>
  btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "")
const encode = (json: string): string => base64Url(encoder.encode(json))

const tokenOf = (body: string, now: number): Token | undefined => {
  try {
    const { access_token: text, expires_in: seconds } = JSON.parse(body)
    if (typeof text !== "string" || !/^[\x21-\x7e]+$/.test(text) || !(seconds > 0)) return undefined
    return { text, refreshAt: now + seconds * 500, expiresAt: now + seconds * 1_000 }
  } catch {
    return undefined
  }
}
