/**
 * The memory of a collector: judges messages as they arrive, and keeps as many of them as its bounds allow, newest last,
 * with the requests that they came in.
 */
import { createHash } from "node:crypto"
import { nameOf } from "../Call.ts"
import * as Json from "../internal/Json.ts"
import { limits } from "../Settings.ts"
import type { AnyPlan } from "../TrackingPlan/check/Plan.ts"
import * as Answer from "./Answer.ts"
import { isType, judge } from "./Judge.ts"
import { PlanCoverage } from "./PlanCoverage.ts"
import { type Coverage, type Problem, Received, type Request, type Totals, type Verdict } from "./Received.ts"
import { Ring } from "./Ring.ts"

/** What is known of a request once it has been read. */
export interface Incoming
  extends Pick<Request, "receivedAt" | "method" | "path" | "headers" | "bytes" | "decodedBytes" | "source"> {
  readonly messages: ReadonlyArray<unknown>
  /** Why the request is refused as a whole, and the status of that answer. */
  readonly refusal: { readonly status: number; readonly problem: string } | undefined
}

/** The position of a reader. */
export interface Cursor {
  /** Counts how often everything changed: cleared, or judged by another plan. */
  readonly epoch: number
  readonly message: number
  readonly request: number
}

/**
 * What is new to a reader. With `reset`, everything that it has read before is outdated.
 * @category models @since 0.1.0
 */
export interface Change {
  readonly reset: boolean
  readonly requests: ReadonlyArray<Request>
  readonly messages: ReadonlyArray<Received>
}

/** How many ids are remembered to recognise duplicates: at least these, at most twice as many. */
const maxIds = 100_000
/** How many requests are kept without any of their messages. */
const maxBareRequests = 1_000

const noVerdicts: Readonly<Record<Verdict, number>> = {
  delivered: 0,
  violation: 0,
  rejected: 0,
  duplicate: 0,
  failed: 0
}

export class Journal {
  private readonly messages = new Ring<Received>()
  private readonly requests = new Ring<Request>()
  /** The `id` of the message that took a `messageId` first, in two generations: the older one is forgotten at once. */
  private ids = new Map<string, number>()
  private olderIds = new Map<string, number>()
  /** How often a batch arrived, and in which request last. */
  private readonly batches = new Map<string, { count: number; last: number }>()
  private readonly maxMessages: number
  private readonly maxBytes: number
  private plan: PlanCoverage | undefined
  private bytes = 0
  private epoch = 1
  private lastMessage = 0
  private lastRequest = 0
  private counts = { requests: 0, messages: 0, bytes: 0, verdicts: { ...noVerdicts } }

  constructor(options: {
    readonly maxMessages: number
    readonly maxBytes: number
    readonly plan: AnyPlan | undefined
  }) {
    this.maxMessages = options.maxMessages
    this.maxBytes = options.maxBytes
    this.plan = options.plan && new PlanCoverage(options.plan)
  }

  /** Records a request and its messages. Returns the answer for the client: `answer`, unless the API refuses the request. */
  enter(incoming: Incoming, answer: Answer.Response): Answer.Response {
    const texts = incoming.messages.map((message) => JSON.stringify(message))
    const sizes = texts.map(Json.byteLength)
    const refusal = incoming.refusal ?? refusalOf(incoming, sizes)
    const given =
      refusal === undefined
        ? answer
        : { ...Answer.responseOf(refusal.status), body: Answer.bodyOf(refusal.status, refusal.problem) }
    const request = this.addRequest(incoming, given, refusal?.problem)
    const shared = problemsOfBatch(incoming)
    for (const [index, message] of incoming.messages.entries()) {
      this.addMessage(request, index, message, texts[index] as string, sizes[index] as number, shared, given.taken)
    }
    this.trim()
    return given
  }

  private addRequest(incoming: Incoming, answer: Answer.Response, problem: string | undefined): Request {
    const id = ++this.lastRequest
    const batch = batchKey(incoming.messages) ?? `request ${id}`
    const known = this.batches.get(batch) ?? { count: 0, last: id }
    this.batches.set(batch, { count: known.count + 1, last: id })
    const retries = incoming.headers["x-retry-count"] ?? ""
    const { messages, refusal: _, ...facts } = incoming
    const isHonest = answer.taken === Answer.isSuccess(answer.status)
    const request: Request = {
      ...facts,
      id,
      messages: messages.length,
      batch,
      attempt: /^\d{1,6}$/.test(retries) ? Number(retries) + 1 : known.count + 1,
      status: answer.status,
      fault:
        answer.fault ??
        (isHonest ? undefined : answer.taken ? "taken, and the answer lost" : "answered, and not taken"),
      delay: answer.delay,
      retryAfter: Answer.retryAfterOf(answer.headers, incoming.receivedAt),
      problem
    }
    this.requests.push(request)
    this.counts.requests++
    this.bytes += costOf(request)
    return request
  }

  private addMessage(
    request: Request,
    index: number,
    message: unknown,
    json: string,
    size: number,
    shared: ReadonlyArray<Problem>,
    taken: boolean
  ): void {
    const data = Json.isData(message) ? message : {}
    const id = ++this.lastMessage
    const text = (value: unknown) =>
      typeof value === "string" || typeof value === "number" ? String(value) : undefined
    const messageId = text(data.messageId)
    const rejections = [...judge(message, size), ...shared]
    const first = messageId === undefined ? undefined : (this.ids.get(messageId) ?? this.olderIds.get(messageId))
    const [verdict, problems] = this.verdictOf(data, rejections, taken, first)
    if (messageId !== undefined && first === undefined && taken && rejections.length === 0) this.remember(messageId, id)
    const type = text(data.type)
    if (taken && verdict !== "rejected" && verdict !== "duplicate" && isType(type)) {
      this.plan?.count(type, nameOf(data), problems)
    }
    const sentAt = Date.parse(String(data.timestamp))
    const library = Json.isData(data.context) && Json.isData(data.context.library) ? data.context.library : {}
    this.messages.push(
      new Received({
        id,
        request: request.id,
        index,
        receivedAt: request.receivedAt,
        type,
        name: nameOf(data),
        user: text(data.userId) ?? text(data.anonymousId),
        messageId,
        size,
        latency: Number.isNaN(sentAt) ? undefined : request.receivedAt - sentAt,
        source: request.source,
        library: text(library.name) && [text(library.name), text(library.version)].filter(Boolean).join(" "),
        verdict,
        problems,
        json
      })
    )
    this.bytes += size
    this.counts.messages++
    this.counts.bytes += size
    this.counts.verdicts[verdict]++
  }

  private verdictOf(
    data: Json.Data,
    rejections: ReadonlyArray<Problem>,
    taken: boolean,
    first: number | undefined
  ): readonly [Verdict, ReadonlyArray<Problem>] {
    if (rejections.length > 0) return ["rejected", rejections]
    if (!taken) return ["failed", []]
    if (first !== undefined) {
      const problem = `has been taken before, by message ${first}`
      return ["duplicate", [{ rule: "duplicate", path: "messageId", problem }]]
    }
    const problems = isType(data.type) ? (this.plan?.problems(data.type, data) ?? []) : []
    return [problems.some(({ rule }) => rule === "plan") ? "violation" : "delivered", problems]
  }

  private remember(messageId: string, id: number): void {
    this.ids.set(messageId, id)
    if (this.ids.size < maxIds) return
    this.olderIds = this.ids
    this.ids = new Map()
  }

  private trim(): void {
    while (this.messages.size > 0 && (this.messages.size > this.maxMessages || this.bytes > this.maxBytes)) {
      this.bytes -= this.messages.shift()?.size ?? 0
    }
    const needed = this.messages.first?.request ?? Number.POSITIVE_INFINITY
    while (
      this.requests.size > this.maxMessages ||
      (this.requests.size > 1 && this.bytes > this.maxBytes) ||
      (this.requests.size > maxBareRequests && (this.requests.first?.id ?? 0) < needed)
    ) {
      const request = this.requests.shift()
      if (request === undefined) return
      this.bytes -= costOf(request)
      if (this.batches.get(request.batch)?.last === request.id) this.batches.delete(request.batch)
    }
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Reading
  // -------------------------------------------------------------------------------------------------------------------

  get allMessages(): ReadonlyArray<Received> {
    return this.messages.after(0)
  }

  get allRequests(): ReadonlyArray<Request> {
    return this.requests.after(0)
  }

  message(id: number): Received | undefined {
    return this.messages.get(id)
  }

  request(id: number): Request | undefined {
    return this.requests.get(id)
  }

  get totals(): Totals {
    return { ...this.counts, verdicts: { ...this.counts.verdicts } }
  }

  get coverage(): Coverage | undefined {
    return this.plan?.coverage
  }

  get cursor(): Cursor {
    return { epoch: this.epoch, message: this.lastMessage, request: this.lastRequest }
  }

  /** The changes after a cursor, and the next cursor. What was evicted in between is missing. */
  since(cursor: Cursor): readonly [Cursor, Change] {
    const reset = cursor.epoch !== this.epoch
    return [
      this.cursor,
      {
        reset,
        requests: this.requests.after(reset ? 0 : cursor.request),
        messages: this.messages.after(reset ? 0 : cursor.message)
      }
    ]
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Changing everything
  // -------------------------------------------------------------------------------------------------------------------

  clear(): void {
    this.epoch++
    this.messages.clear()
    this.requests.clear()
    this.ids.clear()
    this.olderIds.clear()
    this.batches.clear()
    this.bytes = 0
    this.counts = { requests: 0, messages: 0, bytes: 0, verdicts: { ...noVerdicts } }
    this.plan?.clear()
  }

  /** Checks the kept messages and all later ones against this plan. */
  loadPlan(plan: AnyPlan | undefined): void {
    this.plan = plan && new PlanCoverage(plan)
    this.epoch++
    this.messages.update((received) => this.rejudged(received))
  }

  private rejudged(received: Received): Received {
    if (received.verdict !== "delivered" && received.verdict !== "violation") return received
    const data = received.message
    const [verdict, problems] = this.verdictOf(data, [], true, undefined)
    if (isType(data.type)) this.plan?.count(data.type, received.name, problems)
    this.counts.verdicts[received.verdict]--
    this.counts.verdicts[verdict]++
    return new Received({ ...received, verdict, problems })
  }
}

/** The real API takes no message of a request that holds one that is too large, or is too large itself. */
const refusalOf = (incoming: Incoming, sizes: ReadonlyArray<number>): Incoming["refusal"] => {
  if (incoming.decodedBytes > limits.batchBytes)
    return { status: 400, problem: `The body has ${incoming.decodedBytes} bytes; the limit is ${limits.batchBytes}` }
  const large = sizes.findIndex((size) => size > limits.messageBytes)
  if (large === -1) return undefined
  return { status: 400, problem: `Message ${large} of the batch is larger than ${limits.messageBytes} bytes` }
}

/** The problems of a whole batch: every message in it has them. */
const problemsOfBatch = ({ decodedBytes, messages }: Incoming): ReadonlyArray<Problem> => [
  ...(messages.length > limits.batchSize
    ? [
        {
          rule: "batch-size" as const,
          path: "",
          problem: `is in a batch of ${messages.length} messages; the limit is ${limits.batchSize}`
        }
      ]
    : []),
  ...(decodedBytes > limits.batchBytes
    ? [
        {
          rule: "batch-bytes" as const,
          path: "",
          problem: `is in a body of ${decodedBytes} bytes; the limit is ${limits.batchBytes}`
        }
      ]
    : [])
]

/** The same key for the same messages in the same order, so that the attempts of a batch share it. */
const batchKey = (messages: ReadonlyArray<unknown>): string | undefined => {
  const ids = messages.map((message) => (Json.isData(message) ? message.messageId : undefined))
  if (ids.length === 0 || !ids.every((id) => typeof id === "string")) return undefined
  return createHash("sha256").update(ids.join("\n")).digest("base64url").slice(0, 16)
}

/** The bytes for which a request counts: its headers, and the rest of the record. */
const costOf = ({ headers }: Request): number =>
  Object.entries(headers).reduce((sum, [name, value]) => sum + name.length + value.length, 200)
