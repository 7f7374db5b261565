/**
 * One peer with every fault: speaks enough of the Tracking API to take batches, and fails as it is told to. On loopback
 * only. `Collector` plays the faults that an HTTP server can play; this one breaks connections below HTTP: half-open ones,
 * resets inside of a request, status lines that never end, TLS.
 *
 * It keeps the books that a client cannot be trusted with: how often every `messageId` arrived, how often it was taken
 * in, and in which order the messages of a user arrived first. A message has *arrived* once its request was read to the
 * end, and is *taken* if the peer meant to answer 2xx, whether the client got to hear it or not.
 *
 * ```ts
 * await using sink = await FaultSink.start()
 * sink.respond(503, "reset after", { status: 429, headers: { "retry-after": "1" } }) // then 200, for ever
 * const analytics = createAnalytics({ writeKey: "test-write-key", host: sink.host })
 * …
 * await analytics.close()
 * sink.userOrder("u1")                                                                // ids, by first arrival
 * ```
 *
 * Needs nothing but Node, so that benchmarks and child processes can have one as well.
 */
import * as Http from "node:http"
import * as Https from "node:https"
import type { AddressInfo, Socket } from "node:net"
import * as Zlib from "node:zlib"

/** What a request gets. The script is read at the first byte of a request, so that it can end before the last one. */
export type Answer =
  /** This status, with a body of JSON that says the same. */
  | number
  /** This answer, held back for `delay` milliseconds. A 2xx that is not the API's, a portal's say, takes nothing in. */
  | {
      readonly status: number
      readonly headers?: Readonly<Record<string, string>> | undefined
      readonly body?: string | undefined
      readonly delay?: number | undefined
      readonly taken?: false | undefined
    }
  /** The connection is reset before anything is read: a new one when it opens, a kept one when the request begins. */
  | "reset before"
  /** The connection is reset in the middle of the request's body. */
  | "reset mid"
  /** The request is taken in, and the connection reset instead of an answer: what a client can't tell from a loss. */
  | "reset after"
  /** 200, and the connection is reset in the middle of the answer's body. */
  | "cut"
  /** 200, and the connection is closed right behind it, though nothing was said of that: the race of keep-alive. */
  | "close behind"
  /** The status line comes a byte at a time, and never to its end: slow-loris. */
  | "slow head"
  /** 200, and a body that comes a byte at a time, without end. */
  | "slow body"
  /** 200, and a body as fast as it goes, without end. */
  | "endless"
  /** The request is read, and never answered. */
  | "silence"

/** A message as far as the books need it. */
export interface Entry {
  readonly messageId: string
  readonly userId?: string
  readonly anonymousId?: string
  readonly event?: string
}

/** A request that was read to its end. */
export interface Arrival {
  readonly headers: Http.IncomingHttpHeaders
  readonly bytes: number
  readonly messages: ReadonlyArray<Entry>
  readonly answer: Answer
  /** The number of the connection, from 1. */
  readonly connection: number
  /** When it was read, in milliseconds since the sink was started. */
  readonly at: number
}

export interface Options {
  /** What to answer when the script is over. `silence` is for ever. @default 200 */
  readonly otherwise?: Answer | ((messages: ReadonlyArray<Entry>, bytes: number) => Answer) | undefined
  /** @default any that is free */
  readonly port?: number | undefined
  /** Speaks TLS with this certificate. */
  readonly tls?: { readonly key: string; readonly cert: string } | undefined
  /** Reads the messages in a body, after decompression. @default the `batch` of its JSON, each with a `messageId` */
  readonly read?: ((body: Buffer) => ReadonlyArray<Entry>) | undefined
  /** Keeps the requests themselves, and not only the books. Off for a soak. @default true */
  readonly remember?: boolean | undefined
}

/** How often a message arrived, and was taken in. */
export interface Count {
  arrived: number
  taken: number
}

export interface Totals {
  readonly connections: number
  readonly requests: number
  /** Messages with an id of their own that arrived. */
  readonly arrived: number
  /** Messages with an id of their own that were taken in at least once. */
  readonly taken: number
  /** Times that a message was taken in that had been before. */
  readonly duplicates: number
  /** Requests that were read to their end and that no Tracking API could read: there must be none. */
  readonly malformed: ReadonlyArray<string>
}

const takenIn = (answer: Answer): boolean => {
  if (typeof answer === "number") return answer >= 200 && answer < 300
  if (typeof answer === "object") return answer.taken !== false && answer.status >= 200 && answer.status < 300
  return answer !== "reset before" && answer !== "reset mid" && answer !== "silence" && answer !== "slow head"
}

const slowly = 20

export class FaultSink implements AsyncDisposable {
  readonly requests: Array<Arrival> = []
  readonly counts = new Map<string, Count>()
  /** Requests that went into a half-open connection. */
  swallowed = 0
  /** What is left of the script. */
  readonly script: Array<Answer> = []
  private readonly users = new Map<string, Array<string>>()
  private readonly malformed: Array<string> = []
  private readonly sockets = new Map<Socket, number>()
  private readonly dead = new WeakSet<Socket>()
  private readonly watchers = new Set<() => void>()
  private readonly startedAt = performance.now()
  private readonly server: Http.Server
  private readonly options: Options
  private connections = 0
  private read = 0
  private duplicates = 0
  private taken = 0
  private sent = 0
  private holding = false

  private constructor(options: Options) {
    this.options = options
    const answer: Http.RequestListener = (request, response) => this.receive(request, response)
    // The peer keeps connections for as long as the client likes: it closes none but on purpose.
    const keep = { keepAliveTimeout: 0, requestTimeout: 0, headersTimeout: 0 }
    this.server =
      options.tls === undefined
        ? Http.createServer(keep, answer)
        : Https.createServer({ ...keep, ...options.tls }, answer)
    this.server.on("connection", (socket: Socket) => this.connect(socket))
    this.server.on("secureConnection", (socket: Socket) => socket.on("error", () => {}))
    this.server.on("clientError", (_, socket) => void socket.destroy())
    this.server.on("tlsClientError", () => {})
  }

  /** Listens on loopback. */
  static start(options: Options = {}): Promise<FaultSink> {
    const sink = new FaultSink(options)
    return new Promise((resolve, reject) => {
      sink.server.once("error", reject)
      sink.server.listen(options.port ?? 0, "127.0.0.1", () => resolve(sink))
    })
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Faults
  // -------------------------------------------------------------------------------------------------------------------

  /** Answers the next requests like this, then as `otherwise` says. */
  respond(...answers: ReadonlyArray<Answer>): this {
    this.script.push(...answers)
    return this
  }

  /**
   * Every connection that is open becomes half-open: what comes on it is not read, nothing is answered, and it is not
   * closed either. New ones are as good as any.
   */
  blackHole(): void {
    for (const socket of this.sockets.keys()) this.dead.add(socket)
  }

  /** Until `release`, new connections are half-open: the system accepts them, and nobody reads what they say. */
  hold(): void {
    this.holding = true
  }

  release(): void {
    this.holding = false
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Books
  // -------------------------------------------------------------------------------------------------------------------

  get port(): number {
    return (this.server.address() as AddressInfo).port
  }

  /** The address of the peer, to be given to a client. */
  get host(): string {
    return `${this.options.tls === undefined ? "http" : "https"}://127.0.0.1:${this.port}`
  }

  /** The ids of a user's messages, by first arrival. */
  userOrder(user: string): ReadonlyArray<string> {
    return this.users.get(user) ?? []
  }

  /** The events of a user's messages, by first arrival. Only if requests are remembered. */
  userEvents(user: string): ReadonlyArray<string> {
    const events = new Map(this.requests.flatMap(({ messages }) => messages.map((one) => [one.messageId, one.event])))
    return this.userOrder(user).map((id) => events.get(id) ?? "")
  }

  /** The ids of the messages that were taken in at least once. */
  takenIds(): ReadonlyArray<string> {
    return Array.from(this.counts).flatMap(([id, { taken }]) => (taken > 0 ? [id] : []))
  }

  totals(): Totals {
    return {
      connections: this.connections,
      requests: this.read,
      arrived: this.counts.size,
      taken: this.taken,
      duplicates: this.duplicates,
      malformed: this.malformed
    }
  }

  /** Resolves when something is so: looked at whenever something happens. */
  until(condition: (sink: FaultSink) => boolean): Promise<void> {
    return new Promise((resolve) => {
      const watcher = () => {
        if (!condition(this)) return
        this.watchers.delete(watcher)
        resolve()
      }
      this.watchers.add(watcher)
      watcher()
    })
  }

  /** Connections that are open. */
  get open(): number {
    return this.sockets.size
  }

  /** Bytes of all answers. */
  get bytesSent(): number {
    return Array.from(this.sockets.keys()).reduce((sum, { bytesWritten }) => sum + bytesWritten, this.sent)
  }

  /** Breaks every connection and stops listening. */
  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()))
    for (const socket of this.sockets.keys()) socket.destroy()
    await closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  // -------------------------------------------------------------------------------------------------------------------
  // The peer
  // -------------------------------------------------------------------------------------------------------------------

  private look(): void {
    for (const watcher of this.watchers) watcher()
  }

  private connect(socket: Socket): void {
    const number = ++this.connections
    this.sockets.set(socket, number)
    socket.on("error", () => {})
    socket.on("close", () => {
      this.sockets.delete(socket)
      this.sent += socket.bytesWritten
      this.look()
    })
    if (this.script[0] === "reset before") {
      this.script.shift()
      socket.resetAndDestroy()
    } else if (this.holding) this.dead.add(socket)
    this.look()
  }

  private receive(request: Http.IncomingMessage, response: Http.ServerResponse): void {
    const socket = rawOf(request.socket)
    if (this.dead.has(socket)) {
      this.swallowed++
      return this.look()
    }
    const scripted = this.script.shift()
    if (scripted === "reset before") return void socket.resetAndDestroy()
    if (scripted === "reset mid") return void request.once("data", () => socket.resetAndDestroy())
    const chunks: Array<Buffer> = []
    request.on("error", () => {})
    request.on("data", (chunk: Buffer) => chunks.push(chunk))
    request.on("end", () => {
      const body = Buffer.concat(chunks)
      const messages = this.parse(request.headers, body)
      const { otherwise = 200 } = this.options
      const answer = scripted ?? (typeof otherwise === "function" ? otherwise(messages, body.byteLength) : otherwise)
      this.enter(request.headers, messages, body.byteLength, answer, this.sockets.get(socket) ?? 0)
      this.reply(answer, response, socket)
      this.look()
    })
  }

  private parse(headers: Http.IncomingHttpHeaders, body: Buffer): ReadonlyArray<Entry> {
    try {
      const text = headers["content-encoding"] === "gzip" ? Zlib.gunzipSync(body) : body
      return (this.options.read ?? readBatch)(text)
    } catch (error) {
      this.malformed.push(String(error))
      return []
    }
  }

  private enter(
    headers: Http.IncomingHttpHeaders,
    messages: ReadonlyArray<Entry>,
    bytes: number,
    answer: Answer,
    connection: number
  ): void {
    this.read++
    const taken = takenIn(answer)
    for (const { anonymousId, messageId, userId } of messages) {
      const count = this.counts.get(messageId) ?? { arrived: 0, taken: 0 }
      if (count.arrived++ === 0) {
        this.counts.set(messageId, count)
        const user = userId ?? anonymousId ?? ""
        const order = this.users.get(user)
        if (order === undefined) this.users.set(user, [messageId])
        else order.push(messageId)
      }
      if (!taken) continue
      if (count.taken++ === 0) this.taken++
      else this.duplicates++
    }
    if (this.options.remember === false) return
    this.requests.push({ headers, messages, bytes, answer, connection, at: performance.now() - this.startedAt })
  }

  private reply(answer: Answer, response: Http.ServerResponse, socket: Socket): void {
    if (typeof answer === "number") return this.say(response, { status: answer })
    if (typeof answer === "object") {
      if (answer.delay === undefined) return this.say(response, answer)
      const timer = setTimeout(() => this.say(response, answer), answer.delay)
      return void response.once("close", () => clearTimeout(timer))
    }
    switch (answer) {
      case "reset before":
      case "reset mid":
      case "reset after":
        return void socket.resetAndDestroy()
      case "cut":
        response.writeHead(200, { "content-type": "application/json", "content-length": "1000" })
        return void response.write(`{"success":`, () => socket.resetAndDestroy())
      case "close behind":
        response.on("finish", () => socket.end())
        return this.say(response, { status: 200 })
      case "slow head":
        socket.write("HTTP/1.1 200 OK\r\nx-padding: ")
        return this.drip(socket, () => socket.write("x"))
      case "slow body":
        response.writeHead(200, { "content-type": "application/json" })
        return this.drip(socket, () => response.write(" "))
      case "endless": {
        response.writeHead(200, { "content-type": "text/plain" })
        const more = () => {
          while (!socket.destroyed && response.write("x".repeat(8_192)));
          if (!socket.destroyed) response.once("drain", more)
        }
        return more()
      }
      case "silence":
        return
    }
  }

  private say(response: Http.ServerResponse, answer: Exclude<Answer, number | string>): void {
    const { body, headers, status } = answer
    const text = status === 204 || status === 304 ? undefined : (body ?? `{"success":${status < 300}}`)
    const length = text === undefined ? {} : { "content-length": Buffer.byteLength(text) }
    response.writeHead(status, { "content-type": "application/json", ...length, ...headers })
    response.end(text)
  }

  private drip(socket: Socket, drop: () => void): void {
    const timer = setInterval(drop, slowly)
    socket.once("close", () => clearInterval(timer))
  }
}

const readBatch = (body: Buffer): ReadonlyArray<Entry> => {
  const parsed: { readonly batch?: unknown } = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body))
  if (!Array.isArray(parsed.batch) || parsed.batch.length === 0) throw new Error("no batch")
  for (const one of parsed.batch) {
    if (typeof one?.messageId !== "string") throw new Error("a message without an id")
  }
  return parsed.batch
}

/** The connection under a TLS connection: what can be reset. */
const rawOf = (socket: Socket): Socket => (socket as Socket & { readonly _parent?: Socket | null })._parent ?? socket
