/** `check`, `debugger` and `e2e`: commands that stand between a program and an API. */
import * as Fs from "node:fs"
import * as Https from "node:https"
import type { AddressInfo } from "node:net"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { makeCertificates } from "./certificates.ts"
import { batchOf, directory, run, start, to, writeKey } from "./cli.ts"
import { peer } from "./support.ts"

const options = { timeout: 120_000 }

interface Finding {
  readonly name: string
  readonly state: string
  readonly message: string
  readonly advice?: string
}

/** Runs `check`, and answers its findings by their names. */
const check = (env: NodeJS.ProcessEnv, ...args: ReadonlyArray<string>) =>
  Effect.map(run(["check", "--json", ...args], { env }), ({ code, stderr, stdout }) => {
    assert.strictEqual(stderr, "")
    assert.notInclude(stdout, writeKey)
    const { findings, ok } = JSON.parse(stdout) as { findings: ReadonlyArray<Finding>; ok: boolean }
    assert.strictEqual(code, ok ? 0 : 3)
    return { ok, of: (name: string) => findings.find((finding) => finding.name === name) }
  })

describe("check", options, () => {
  it.live("finds nothing where all is well, and sends no event", () =>
    Effect.gen(function* () {
      const { host, received } = yield* peer()
      const { ok, of } = yield* check(to(host))
      assert.isTrue(ok)
      for (const name of ["host", "DNS", "connection", "API", "clock"]) assert.strictEqual(of(name)?.state, "ok", name)
      assert.deepStrictEqual(received.map(batchOf), [[]])
    })
  )

  it.live("sends one event on request, and names it", () =>
    Effect.gen(function* () {
      const { host, received } = yield* peer()
      const { of } = yield* check(to(host), "--send")
      const [message] = batchOf(received[0] as never)
      assert.deepInclude(message, { type: "track", event: "effect-analytics check" })
      assert.include(of("API")?.message, String(message?.messageId))
    })
  )

  it.live("knows a missing key, one from an example, and one that the API refuses", () =>
    Effect.gen(function* () {
      const { host } = yield* peer((response, { headers }) => {
        response.writeHead(headers.authorization === `Basic ${btoa("good-one:")}` ? 200 : 401).end()
      })
      const none = yield* check({ ANALYTICS_HOST: host })
      assert.deepInclude(none.of("key"), { state: "problem", message: "there is none" })
      const example = yield* check({ ...to(host), ANALYTICS_WRITE_KEY: "YOUR_WRITE_KEY" })
      assert.strictEqual(example.of("key")?.state, "warning")
      const refused = yield* check(to(host))
      assert.deepInclude(refused.of("API"), { state: "problem", message: "refuses this client (status 401)" })
      assert.match(refused.of("API")?.advice ?? "", /does not know this write key/)
      assert.isTrue((yield* check({ ...to(host), ANALYTICS_WRITE_KEY: "good-one" })).ok)
    })
  )

  it.live("knows a host that is not there, one that does not listen, and a page that is no API", () =>
    Effect.gen(function* () {
      const unknown = yield* check(to("https://no-such-host.invalid"))
      assert.match(unknown.of("DNS")?.message ?? "", /^no-such-host\.invalid: (ENOTFOUND|EAI_AGAIN)$/)
      assert.isDefined(unknown.of("DNS")?.advice)
      const closed = yield* check(to("http://127.0.0.1:1"))
      assert.deepInclude(closed.of("connection"), { state: "problem", message: "127.0.0.1:1: ECONNREFUSED" })
      const { host } = yield* peer((response) => {
        response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html>")
      })
      const page = yield* check(to(host))
      assert.match(page.of("API")?.advice ?? "", /captive portal/)
    })
  )

  it.live("knows a clock that is wrong", () =>
    Effect.gen(function* () {
      const late = new Date(Date.now() + 3_600_000).toUTCString()
      const { host } = yield* peer((response) => void response.writeHead(200, { date: late }).end())
      const { ok, of } = yield* check(to(host))
      assert.isTrue(ok)
      assert.strictEqual(of("clock")?.state, "warning")
      assert.match(of("clock")?.message ?? "", /^(1 h 0 min|59 min \d+ s|60 min 0 s) behind the API$/)
    })
  )

  it.live("knows a proxy of the environment, without its password", () =>
    Effect.gen(function* () {
      const { host } = yield* peer()
      const { of } = yield* check({ ...to(host), HTTP_PROXY: "http://u:test-password@127.0.0.1:1" })
      assert.deepInclude(of("proxy"), { state: "note", message: "requests go through 127.0.0.1:1" })
      assert.isUndefined(of("DNS"))
      const around = yield* check({ ...to(host), HTTP_PROXY: "http://127.0.0.1:1", NO_PROXY: "127.0.0.1" })
      assert.isUndefined(around.of("proxy"))
    })
  )

  it.live("reports a proxy that is no URL as wrong usage, never with its value, and only where a proxy is used", () =>
    Effect.gen(function* () {
      const env = { ...to("http://127.0.0.1:1"), HTTPS_PROXY: "1user:test-password@proxy:8080" }
      for (const [args, expected] of [
        [["check"], 2],
        [["track", "E", "--user-id", "u1"], 2],
        [["e2e", "--input", JSON.stringify({ writeKey, sequences: [] })], 1],
        [["--version"], 0]
      ] as const) {
        const { code, stderr, stdout } = yield* run(args, { env })
        assert.strictEqual(code, expected)
        assert.notInclude(stdout + stderr, "test-password")
        if (expected > 0) assert.include(stdout + stderr, "HTTPS_PROXY is not the URL of a proxy")
      }
      const { stderr } = yield* run(["check"], { env: { ...env, HTTPS_PROXY: undefined, http_proxy: "proxy.corp" } })
      assert.match(stderr, /^error: http_proxy is not the URL of a proxy\n {2}For example: http:/)
    })
  )

  it.live("knows what is wrong with a certificate, and that nobody looks at it", () =>
    Effect.gen(function* () {
      const certificates = yield* Effect.promise(makeCertificates)
      const path = yield* directory
      const authority = Path.join(path, "ca.pem")
      Fs.writeFileSync(authority, certificates.authority)
      const with_ = (name: "good" | "expired" | "otherHost" | "selfSigned", env: NodeJS.ProcessEnv = {}) =>
        Effect.gen(function* () {
          const server = yield* Effect.acquireRelease(
            Effect.callback<Https.Server>((resume) => {
              const made = Https.createServer(certificates[name], (request, response) => {
                request.resume().on("end", () => response.writeHead(200).end())
              })
              made.listen(0, "127.0.0.1", () => resume(Effect.succeed(made)))
            }),
            (made) =>
              Effect.sync(() => {
                made.close()
                made.closeAllConnections()
              })
          )
          const { port } = server.address() as AddressInfo
          return yield* check({ ...to(`https://127.0.0.1:${port}`), NODE_EXTRA_CA_CERTS: authority, ...env })
        }).pipe(Effect.scoped)
      const good = yield* with_("good")
      assert.strictEqual(good.of("TLS")?.state, "ok")
      assert.match(good.of("TLS")?.message ?? "", /^TLSv1\.\d, the certificate is valid for (29|30) days$/)
      assert.match((yield* with_("expired")).of("TLS")?.message ?? "", /CERT_HAS_EXPIRED$/)
      assert.match((yield* with_("otherHost")).of("TLS")?.advice ?? "", /for another host name/)
      assert.match((yield* with_("selfSigned")).of("TLS")?.advice ?? "", /NODE_EXTRA_CA_CERTS/)
    })
  )

  it.live("calls it a problem that nobody looks at certificates", () =>
    Effect.gen(function* () {
      const { host } = yield* peer()
      const { stdout } = yield* run(["check", "--json"], { env: { ...to(host), NODE_TLS_REJECT_UNAUTHORIZED: "0" } })
      const { findings, ok } = JSON.parse(stdout)
      assert.isFalse(ok)
      assert.match(findings.find(({ name }: Finding) => name === "TLS").message, /^NODE_TLS_REJECT_UNAUTHORIZED=0/)
    })
  )
})

describe("debugger", options, () => {
  it.live("starts the collector, prints where it is, and takes what other commands send", () =>
    Effect.gen(function* () {
      const { child, ended } = start(["debugger", "--port", "0", "--json"])
      const { host, url } = yield* Effect.promise(
        () =>
          new Promise<{ host: string; url: string }>((resolve, reject) => {
            let text = ""
            child.stdout?.on("data", (chunk) => {
              text += chunk
              if (text.endsWith("\n")) resolve(JSON.parse(text))
            })
            ended.then(({ stderr }) => reject(new Error(stderr)))
          })
      )
      assert.match(url, /^http:\/\/127\.0\.0\.1:\d+\/#\S{16,}$/)
      const page = yield* Effect.promise(async () => (await fetch(url)).text())
      assert.match(page, /<!doctype html>/i)
      const sent = yield* run(["track", "E", "--user-id", "u1", "--json"], { env: to(host) })
      assert.deepStrictEqual([sent.code, JSON.parse(sent.stdout).delivered], [0, true])
      const taken = yield* run(["debugger", "--port", new URL(host).port])
      assert.strictEqual(taken.code, 1)
      assert.match(taken.stderr, /^error: port \d+ is in use\n {2}Another debugger may be running/)
      child.kill("SIGINT")
      assert.strictEqual((yield* Effect.promise(() => ended)).code, 130)
    })
  )

  it.live("refuses to listen to the network without a token", () =>
    Effect.gen(function* () {
      const { code, stderr } = yield* run(["debugger", "--port", "0", "--bind", "0.0.0.0"])
      assert.strictEqual(code, 2)
      assert.match(stderr, /^error: --bind must be a loopback address, or there must be a token/)
    })
  )
})

describe("e2e", options, () => {
  const e2e = (input: unknown) =>
    Effect.map(run(["e2e", "--input", JSON.stringify(input)]), ({ code, stderr, stdout }) => ({
      code,
      stderr,
      answer: JSON.parse(stdout)
    }))

  it.live("sends the sequences with the settings it is given, and prints one JSON value", () =>
    Effect.gen(function* () {
      const { host, received } = yield* peer()
      const { answer, code, stderr } = yield* e2e({
        writeKey,
        apiHost: host,
        cdnHost: "http://127.0.0.1:1",
        sequences: [
          {
            delayMs: 0,
            events: [
              { type: "track", event: "a" },
              { type: "identify", userId: "u1", traits: { a: 1 } }
            ]
          },
          { delayMs: 50, events: [{ type: "page", name: "Home", anonymousId: "v1" }] }
        ],
        config: { flushAt: 1, flushInterval: 10, maxRetries: 1, timeout: 10 }
      })
      assert.deepStrictEqual([code, stderr, answer], [0, "", { success: true, sentBatches: 3 }] as never)
      const sent = received.flatMap(batchOf)
      assert.deepStrictEqual(
        sent.map(({ type }) => type),
        ["track", "identify", "page"]
      )
      assert.deepStrictEqual([sent[0]?.anonymousId, sent[1]?.anonymousId, sent[2]?.anonymousId], [
        "anonymous",
        undefined,
        "v1"
      ] as never)
    })
  )

  it.live("answers with the error, and ends with 1, where something was not delivered", () =>
    Effect.gen(function* () {
      const failing = yield* peer((response) => void response.writeHead(500).end())
      const events = [{ type: "track", event: "a", userId: "u1" }]
      const retried = yield* e2e({
        writeKey,
        apiHost: failing.host,
        sequences: [{ events }],
        config: { flushAt: 1, maxRetries: 1 }
      })
      assert.deepStrictEqual([retried.code, retried.answer.success, retried.answer.sentBatches], [1, false, 0])
      assert.match(retried.answer.error, /500/)
      assert.include(retried.stderr, "500")
      assert.strictEqual(failing.received.length, 2)
    })
  )

  it.live("closes after the timeout, in seconds", () =>
    Effect.gen(function* () {
      const silent = yield* peer(() => {})
      const { answer, code } = yield* e2e({
        writeKey,
        apiHost: silent.host,
        sequences: [{ events: [{ type: "track", event: "a", userId: "u1" }] }],
        config: { timeout: 0.2 }
      })
      assert.deepStrictEqual([code, answer.success], [1, false])
      assert.include(answer.error, "closed")
    })
  )

  it.live("answers with JSON to input that is none, to no input, and to a key that can't be", () =>
    Effect.gen(function* () {
      for (const args of [["--input", "{"], [], ["--input", '{"writeKey":"","sequences":[]}']]) {
        const { code, stdout } = yield* run(["e2e", ...args])
        const { error, sentBatches, success } = JSON.parse(stdout)
        assert.deepStrictEqual([code, success, sentBatches, typeof error], [1, false, 0, "string"])
      }
    })
  )
})
