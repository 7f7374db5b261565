/** `effect-analytics check`: what is wrong between this machine and the API, and what to do about it. */
import * as Dns from "node:dns/promises"
import * as Net from "node:net"
import * as Tls from "node:tls"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Verification from "../Analytics/Verification.ts"
import * as EnvironmentProxy from "../internal/Proxy.ts"
import * as Time from "../internal/Time.ts"
import * as Transport from "../Transport.ts"
import { adviceOn } from "./internal/Advice.ts"
import * as Connection from "./internal/Connection.ts"
import { Findings } from "./internal/Exit.ts"
import * as Flags from "./internal/Flags.ts"
import * as Input from "./internal/Input.ts"
import * as Output from "./internal/Output.ts"
import * as Proxy from "./internal/Proxy.ts"

const config = {
  connection: Connection.flags,
  send: Flags.toggle(
    "send",
    'Send one event, track "effect-analytics check", to look for in the debugger of the source'
  )
}

/** One thing that was looked at. `problem` is what stands in the way; `warning` is what may. */
interface Finding {
  readonly name: string
  readonly state: "ok" | "note" | "warning" | "problem"
  readonly message: string
  readonly advice?: string | undefined
}

export const check = Command.make("check", config, (options) => run(options)).pipe(
  Command.withDescription("Find out why nothing arrives: key, host, region, clock, proxy, TLS. Exit code 3: a problem"),
  Command.withExamples([
    { command: "effect-analytics check", description: "With ANALYTICS_WRITE_KEY and ANALYTICS_HOST; sends no event" },
    {
      command: "effect-analytics check --region eu --send",
      description: "Send one event, and look for it in the debugger of the source"
    }
  ])
)

const run = Effect.fnUntraced(function* ({ connection, send }: Command.Command.Config.Infer<typeof config>) {
  const settings = yield* Connection.read(connection)
  const url = new URL(settings.endpoint)
  yield* Proxy.use
  const proxy = EnvironmentProxy.proxyFor(url)
  const isProxied = proxy !== undefined && (yield* Proxy.isUsed)
  const findings: Array<Finding> = [
    keyFinding(settings.writeKey),
    hostFinding(url, settings.region),
    ...(proxy === undefined ? [] : [proxyFinding(proxy, isProxied)]),
    ...(yield* certificateFindings)
  ]
  const reached = isProxied ? [] : yield* connectionFindings(url)
  findings.push(...reached)
  if (!reached.some(({ state }) => state === "problem")) {
    findings.push(...(yield* apiFindings(settings, send)))
  }
  const ok = !findings.some(({ state }) => state === "problem")
  yield* Output.result({ ok, endpoint: settings.endpoint, findings }, () => render(findings))
  if (!ok) return yield* new Findings()
})

const marks = { ok: "✓", note: "·", warning: "!", problem: "✗" } as const
const colors = { ok: "green", note: "dim", warning: "yellow", problem: "red" } as const

const render = (findings: ReadonlyArray<Finding>): string => {
  const width = Math.max(...findings.map(({ name }) => name.length))
  return findings
    .flatMap(({ advice, message, name, state }) => [
      `${Output.style(colors[state], marks[state])} ${Output.style("bold", name.padEnd(width))}  ${message}`,
      ...(advice === undefined ? [] : [`${" ".repeat(width + 4)}${advice}`])
    ])
    .join("\n")
}

// ---------------------------------------------------------------------------------------------------------------------
// Settings
// ---------------------------------------------------------------------------------------------------------------------

const keyFinding = (key: Redacted.Redacted<string> | undefined): Finding => {
  const name = "key"
  if (key === undefined) {
    return { name, state: "problem", message: "there is none", advice: "Set ANALYTICS_WRITE_KEY, or give --write-key" }
  }
  const { length } = Redacted.value(key)
  if (/^(your|my|test|<)|write.?key|^x+$/i.test(Redacted.value(key))) {
    return {
      name,
      state: "warning",
      message: "looks like the text of an example",
      advice: "Copy the key from the settings page of the source"
    }
  }
  return { name, state: "ok", message: `${length} characters` }
}

const hostFinding = (url: URL, region: string | undefined): Finding => ({
  name: "host",
  state: "ok",
  message: `${url.href}${region === undefined ? "" : ` (region ${region})`}`
})

const proxyFinding = (proxy: string, isUsed: boolean): Finding =>
  isUsed
    ? {
        name: "proxy",
        state: "note",
        message: `requests go through ${proxy}`,
        advice: "A program of yours uses it only with NODE_USE_ENV_PROXY=1 (Node 24 or newer) in its environment"
      }
    : {
        name: "proxy",
        state: "warning",
        message: `${proxy} is in the environment, and Node ${process.version} does not use it`,
        advice: "Use Node 24.14 or newer, or take the host into NO_PROXY"
      }

/** Whether Node looks at certificates at all. */
const certificateFindings = Effect.map(
  Proxy.variable("NODE_TLS_REJECT_UNAUTHORIZED"),
  (setting): ReadonlyArray<Finding> =>
    setting !== "0"
      ? []
      : [
          {
            name: "TLS",
            state: "problem",
            message: "NODE_TLS_REJECT_UNAUTHORIZED=0: certificates are not checked, and others can read the key",
            advice: "Remove it. An authority of your own is trusted with NODE_EXTRA_CA_CERTS=ca.pem"
          }
        ]
)

// ---------------------------------------------------------------------------------------------------------------------
// Connection
// ---------------------------------------------------------------------------------------------------------------------

const patience = 10_000
const day = 24 * 3_600_000

/** Whether the name is known, and whether there is somebody at the other end with a certificate that holds. */
const connectionFindings = Effect.fnUntraced(function* (url: URL) {
  const host = url.hostname.replace(/^\[|\]$/g, "")
  const started = yield* Time.monotonicMillis
  const looked = yield* Effect.result(attempt(() => Dns.lookup(host)))
  if (Result.isFailure(looked)) return [problem("DNS", host, looked.failure)]
  const found: Finding = {
    name: "DNS",
    state: "ok",
    message: `${host} is ${looked.success.address} (${Math.round((yield* Time.monotonicMillis) - started)} ms)`
  }
  const port = Number(url.port) || (url.protocol === "https:" ? 443 : 80)
  if (url.protocol === "http:") {
    const connected = yield* Effect.result(attempt(() => connect(Net.connect({ host, port }), "connect")))
    const name = "connection"
    if (Result.isFailure(connected)) return [found, problem(name, url.host, connected.failure)]
    return [found, { name, state: "ok", message: `port ${port} is open; plain http, without TLS` } satisfies Finding]
  }
  const shaken = yield* Effect.result(
    attempt(async () => {
      const socket = Tls.connect({ host, port, ...(Net.isIP(host) === 0 ? { servername: host } : {}) })
      return connect(socket, "secureConnect", () => ({
        protocol: socket.getProtocol() ?? "TLS",
        until: Date.parse(socket.getPeerCertificate().valid_to)
      }))
    })
  )
  if (Result.isFailure(shaken)) return [found, problem("TLS", url.host, shaken.failure)]
  const { protocol, until } = shaken.success
  const days = Math.floor((until - (yield* Clock.currentTimeMillis)) / day)
  const soon = days < 14
  return [
    found,
    {
      name: "TLS",
      state: soon ? "warning" : "ok",
      message: `${protocol}, the certificate is valid for ${Output.count(days, "day")}`,
      ...(soon ? { advice: "It ends soon: the operator of the host has to renew it" } : {})
    } satisfies Finding
  ]
})

/** Fails with the code of the error, such as `ENOTFOUND`. */
const attempt = <A>(body: () => Promise<A>): Effect.Effect<A, string> =>
  Effect.tryPromise({ try: body, catch: (error) => Input.codeOf(error) ?? "network" }).pipe(
    Effect.timeoutOrElse({ duration: patience, orElse: () => Effect.fail("timeout") })
  )

const connect = <A = void>(socket: Net.Socket, event: string, look?: () => A): Promise<A> =>
  new Promise((resolve, reject) => {
    const end = (settle: () => void) => {
      settle()
      socket.destroy()
    }
    socket.once(event, () => end(() => resolve(look?.() as A)))
    socket.once("error", (error) => end(() => reject(error)))
  })

const problem = (name: string, host: string, code: string): Finding => ({
  name,
  state: "problem",
  message: `${host}: ${code}`,
  advice: adviceOn({ detail: code })
})

// ---------------------------------------------------------------------------------------------------------------------
// API
// ---------------------------------------------------------------------------------------------------------------------

/** A batch without events is enough to see whether the API takes this key. */
const apiFindings = Effect.fnUntraced(
  function* (settings: Connection.Connection, send: boolean) {
    const writeKey = settings.writeKey ?? Redacted.make("none")
    const transport = yield* Layer.build(Transport.layer({ ...settings, writeKey })).pipe(
      Effect.mapError(({ problem, setting }) => Connection.usageOf(setting, problem))
    )
    const messages = send ? [yield* Verification.testMessage] : []
    const { clockSkew, result } = yield* Verification.attempt(Context.get(transport, Transport.Transport), messages)
    const findings: Array<Finding> = [answerFinding(result, settings, messages[0]?.messageId)]
    if (clockSkew !== undefined) findings.push(clockFinding(clockSkew))
    return findings
  },
  Effect.provide(FetchHttpClient.layer),
  Effect.scoped
)

const answerFinding = (
  answer: Transport.SendResult,
  { endpoint, host, region, writeKey }: Connection.Connection,
  messageId: string | undefined
): Finding => {
  const name = "API"
  const hasKey = writeKey !== undefined
  switch (answer._tag) {
    case "Delivered": {
      const where =
        host === undefined
          ? `Does it not appear? Segment answers ${answer.status} to a key of another region too: try --region ${region === "eu" ? "us" : "eu"}`
          : undefined
      return messageId === undefined
        ? {
            name,
            state: "ok",
            message: `${hasKey ? "takes the key" : "answers"} (status ${answer.status}); nothing was sent`,
            advice: where
          }
        : { name, state: "ok", message: `took the event ${messageId} (status ${answer.status})`, advice: where }
    }
    case "Rejected":
      return messageId === undefined
        ? {
            name,
            state: "note",
            message: `answers, and refuses a batch without events (status ${answer.status}): the key is not known to be right`,
            advice: "To send one event: --send"
          }
        : { name, state: "problem", message: `refuses the event (status ${answer.status})`, advice: adviceOn(answer) }
    case "Limited":
      return {
        name,
        state: "warning",
        message: `limits the rate: again in ${Output.duration(answer.delay)} (status ${answer.status})`,
        advice: adviceOn(answer)
      }
    case "Misconfigured":
      return {
        name,
        state: "problem",
        message: `refuses this client (${answer.status === undefined ? answer.detail : `status ${answer.status}`})`,
        advice: adviceOn(answer)
      }
    case "Transient": {
      const { detail, status } = answer
      const facts = [...(status === undefined ? [] : [`status ${status}`]), ...(detail === undefined ? [] : [detail])]
      return {
        name,
        state: "problem",
        message: `${endpoint}: ${facts.join(", ")}`,
        advice: detail?.includes("HTML")
          ? "A page answers, and no API: a captive portal, a proxy, or another --host"
          : adviceOn(answer)
      }
    }
  }
}

/** More than the seconds that the header is rounded to, and than what a slow network adds. */
const tolerated = 30_000

const clockFinding = (skew: number): Finding => {
  const name = "clock"
  const off = Math.abs(skew)
  if (off < tolerated) return { name, state: "ok", message: "agrees with the API" }
  return {
    name,
    state: "warning",
    message: `${Output.duration(off)} ${skew > 0 ? "behind" : "ahead of"} the API`,
    advice: "Timestamps that your program gives are wrong by as much. Turn on the synchronisation of the clock (NTP)"
  }
}
