/**
 * The books of a run. Somebody counts at every seam of the client: what is said (`Analytics`), how each request is
 * answered (`HttpClient`), and what becomes of every message (`Observer.Observer`); at the end the three must agree.
 */
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Analytics from "effect-analytics/Analytics"
import type { AnalyticsError } from "effect-analytics/AnalyticsError"
import * as Call from "effect-analytics/Call"
import * as Observer from "effect-analytics/Observer"
import type * as Outcome from "effect-analytics/Outcome"

/** What arrived under one `messageId`, and how often. */
export interface Receipt {
  readonly type: string
  times: number
}

/** What became of what was offered. */
export interface Entry {
  offered: number
  delivered: number
  dropped: number
  rejected: number
}

const entry = (): Entry => ({ offered: 0, delivered: 0, dropped: 0, rejected: 0 })

/** Offered, and nothing became of it yet. */
export const pending = ({ delivered, dropped, offered, rejected }: Entry): number =>
  offered - delivered - dropped - rejected

export class Account {
  readonly byType: Readonly<Record<Call.Type, Entry>> = {
    identify: entry(),
    track: entry(),
    page: entry(),
    screen: entry(),
    group: entry(),
    alias: entry()
  }
  readonly delivered = new Set<string>()
  /** Why messages were not delivered: how many, and what was said of the last one. */
  readonly reasons = new Map<string, { readonly count: number; readonly said: string }>()
  /** The status of every answer to a request, in order; 0 if there was none. */
  readonly answers: Array<number> = []
  /** What the client logged. */
  readonly notes = new Set<string>()
  batches = 0
  retries = 0
  /** Messages lost against our will. */
  lost = 0

  get total(): Entry {
    const total = entry()
    for (const one of Object.values(this.byType)) {
      total.offered += one.offered
      total.delivered += one.delivered
      total.dropped += one.dropped
      total.rejected += one.rejected
    }
    return total
  }

  observe(outcome: Outcome.Outcome): void {
    switch (outcome._tag) {
      case "Refused":
        this.byType[outcome.call].rejected++
        return this.explain(outcome.error._tag, 1, `rejected: ${outcome.error.message}`)
      case "Filtered":
        this.byType[outcome.call].dropped++
        return this.explain(outcome.reason, 1, `dropped: ${outcome.reason}`)
      case "Delivered":
        this.batches++
        for (const { messageId, type } of outcome.messages) {
          this.byType[type].delivered++
          this.delivered.add(messageId)
        }
        return
      case "Dropped":
        this.lost += outcome.messages.length
        for (const { type } of outcome.messages) this.byType[type].dropped++
        return this.explain(outcome.error.reason, outcome.messages.length, `dropped: ${outcome.error.message}`)
    }
  }

  private explain(reason: string, count: number, said: string): void {
    this.reasons.set(reason, { count: count + (this.reasons.get(reason)?.count ?? 0), said })
  }

  /** What does not add up, if anything, once the client is closed. */
  problems(stats: Outcome.Stats, received: ReadonlyMap<string, Receipt> | undefined): ReadonlyArray<string> {
    const { total } = this
    const missing = Array.from(this.delivered).filter((id) => received?.has(id) === false)
    return [
      ...Call.types.flatMap((type) => {
        const open = pending(this.byType[type])
        return open === 0 ? [] : [`${type}: nothing is known of ${open} messages`]
      }),
      ...(["offered", "delivered", "dropped", "rejected"] as const).flatMap((fate) =>
        total[fate] === stats[fate] ? [] : [`${fate}: ${total[fate]} were told, the client counts ${stats[fate]}`]
      ),
      ...(stats.pending === 0 ? [] : [`${stats.pending} messages are still pending`]),
      ...(missing.length === 0 ? [] : [`${missing.length} messages were delivered and never arrived`])
    ]
  }
}

/** The client of `Analytics.layer`, with somebody who counts at every seam. */
export const layer = <E>(account: Account, client: Layer.Layer<Analytics.Analytics, E, HttpClient.HttpClient>) =>
  Layer.effect(Analytics.Analytics, counting(account)).pipe(
    Layer.provide(client),
    Layer.provide([
      Observer.layer((outcome) => Effect.sync(() => account.observe(outcome))),
      Layer.effect(HttpClient.HttpClient, Effect.map(HttpClient.HttpClient, watched(account))),
      Logger.layer([Logger.make(({ message }) => void account.notes.add(String(message)))])
    ])
  )

/** The same service, which counts what it is offered. */
const counting = Effect.fnUntraced(function* (account: Account) {
  const analytics = yield* Analytics.Analytics
  const counted =
    <Call>(type: Call.Type, say: (call: Call) => Effect.Effect<void, AnalyticsError>) =>
    (call: Call) =>
      Effect.uninterruptible(
        Effect.suspend(() => {
          account.byType[type].offered++
          return say(call)
        })
      )
  const calls: Analytics.Calls = {
    identify: counted("identify", analytics.identify),
    track: counted("track", analytics.track),
    page: counted("page", analytics.page),
    screen: counted("screen", analytics.screen),
    group: counted("group", analytics.group),
    alias: counted("alias", analytics.alias)
  }
  return Analytics.Analytics.of({ ...analytics, ...calls })
})

/** The same HTTP client, which counts requests and remembers answers. */
const watched = (account: Account) => (client: HttpClient.HttpClient) =>
  client.pipe(
    HttpClient.tapRequest(({ headers }) =>
      Effect.sync(() => {
        if (headers["x-retry-count"] !== undefined) account.retries++
      })
    ),
    HttpClient.tap(({ status }) => Effect.sync(() => account.answers.push(status))),
    HttpClient.tapError(() => Effect.sync(() => account.answers.push(0)))
  )
