/** An authorization server on loopback that verifies what it is sent, and an API beside it that takes its tokens. */
import { generateKeyPairSync, verify } from "node:crypto"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import { assert } from "@effect/vitest"

const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 })

/** The key of the application, as its program has it. */
export const clientKey = privateKey.export({ type: "pkcs8", format: "pem" }).toString()

export const clientId = "app-1"
export const keyId = "key-1"

type Answer = { readonly status: number; readonly headers?: Record<string, string>; readonly body?: string }

export class AuthServer {
  /** The time of the server, in milliseconds. */
  now = () => Date.now()
  /** The life of a token, in seconds. */
  expiresIn = 3_600
  /** What the server and the API answer next instead of what they would. */
  readonly answers: Array<Answer> = []
  readonly apiAnswers: Array<number> = []
  /** The claims of each assertion that was good. */
  readonly claims: Array<Record<string, unknown>> = []
  /** Why an assertion was refused. */
  readonly refused: Array<string> = []
  /** The header of each request to the API, and its status. */
  readonly batches: Array<readonly [authorization: string | undefined, status: number]> = []
  readonly tokens = new Set<string>()
  url = ""
  readonly #jtis = new Set<unknown>()
  readonly #server = Http.createServer((request, response) => {
    const chunks: Array<Buffer> = []
    request.on("data", (chunk: Buffer) => chunks.push(chunk))
    request.on("end", () => {
      const body = Buffer.concat(chunks).toString()
      response.sendDate = false
      response.setHeader("date", new Date(this.now()).toUTCString())
      const {
        body: text = "",
        headers = {},
        status
      } = request.url === "/token" ? this.#token(request, body) : this.#batch(request)
      response.writeHead(status, headers).end(text)
    })
  })

  async start(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve))
    this.url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
  }

  #token(request: Http.IncomingMessage, body: string): Answer {
    const scripted = this.answers.shift()
    if (scripted !== undefined) return scripted
    try {
      assert.strictEqual(request.method, "POST")
      assert.match(request.headers["content-type"] ?? "", /^application\/x-www-form-urlencoded/)
      assert.isUndefined(request.headers.authorization)
      const { client_assertion: assertion = "", ...form } = Object.fromEntries(new URLSearchParams(body))
      assert.deepStrictEqual(form, {
        grant_type: "client_credentials",
        client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        scope: "tracking_api:write"
      })
      const [head = "", payload = "", signature = ""] = assertion.split(".")
      const signed = Buffer.from(`${head}.${payload}`)
      assert.isTrue(verify("RSA-SHA256", signed, publicKey, Buffer.from(signature, "base64url")), "signature")
      const decode = (part: string) => JSON.parse(Buffer.from(part, "base64url").toString())
      assert.deepStrictEqual(decode(head), { alg: "RS256", kid: keyId, typ: "JWT" })
      const { aud, exp, iat, iss, jti, sub, ...others } = decode(payload)
      assert.deepStrictEqual([iss, sub, aud, others], [clientId, clientId, this.url, {}])
      const now = this.now() / 1_000
      assert.isTrue(iat <= now && now < exp && exp - iat <= 60, "time")
      assert.isFalse(this.#jtis.has(jti), "jti was used before")
      this.#jtis.add(jti)
      this.claims.push({ iat, exp, jti })
    } catch (error) {
      this.refused.push(String(error))
      return { status: 400, body: `{"error":"invalid_client"}` }
    }
    const token = `token-${this.tokens.size + 1}`
    this.tokens.add(token)
    return {
      status: 200,
      body: JSON.stringify({ access_token: token, expires_in: this.expiresIn, token_type: "Bearer" })
    }
  }

  #batch({ headers: { authorization } }: Http.IncomingMessage): Answer {
    const isKnown = this.tokens.has(authorization?.replace("Bearer ", "") ?? "")
    const status = isKnown ? (this.apiAnswers.shift() ?? 200) : 401
    this.batches.push([authorization, status])
    return { status }
  }
}
