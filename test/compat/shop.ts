/** A shop behind HTTP, with the analytics that a shop has: its plugins, its metrics, its shutdown. */
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import { Analytics, type Context, type GroupTraits, type Plugin, type TrackParams } from "effect-analytics/compat"

export interface Settings {
  readonly writeKey: string
  readonly host: string
  readonly version: string
}

interface Order {
  readonly id: string
  readonly items: ReadonlyArray<{ readonly sku: string; readonly price: number; readonly quantity: number }>
  readonly coupon?: string
}

/** Adds the version of the app to every event. */
const appVersion = (version: string): Plugin => {
  const add = (ctx: Context) => {
    ctx.updateEvent("context.app", { name: "shop", version })
    return ctx
  }
  return {
    name: "App Version",
    type: "enrichment",
    version: "1.0.0",
    isLoaded: () => true,
    load: async () => {},
    track: add,
    identify: add,
    page: add,
    group: add,
    alias: add
  }
}

/** Events of people who work here are not sent. */
const withoutStaff: Plugin = {
  name: "Without Staff",
  type: "before",
  version: "1.0.0",
  isLoaded: () => true,
  load: async () => {},
  track: async (ctx) => {
    if (ctx.event.userId?.startsWith("staff-")) ctx.cancel(new Error("staff"))
    return ctx
  }
}

/** Counts what the shop operators watch. */
class Metrics {
  delivered = 0
  failed = 0
  requests = 0
  readonly reasons: Array<string> = []
}

/** Keeps a copy of all orders in a warehouse of the shop's own. */
const warehouse = (rows: Array<string>): Plugin => ({
  name: "Warehouse",
  type: "destination",
  version: "1.0.0",
  isLoaded: () => true,
  load: async () => {},
  track: async (ctx) => {
    if (ctx.event.event === "Order Completed") rows.push(String(ctx.event.properties?.order_id))
    return ctx
  }
})

export class Shop {
  readonly metrics = new Metrics()
  readonly rows: Array<string> = []
  readonly late: Array<string> = []
  readonly #analytics: Analytics
  readonly #server: Http.Server

  constructor({ host, version, writeKey }: Settings) {
    this.#analytics = new Analytics({ writeKey, host, flushAt: 20, flushInterval: 1_000, maxRetries: 3 })
    this.#analytics
      .on("error", ({ code, reason }) => {
        this.metrics.failed++
        this.metrics.reasons.push(`${code}: ${reason instanceof Error ? reason.message : String(reason)}`)
      })
      .on("http_request", () => this.metrics.requests++)
      .on("call_after_close", (event) => this.late.push(event.type))
    for (const type of ["track", "identify", "page", "group", "alias"] as const) {
      this.#analytics.on(type, () => this.metrics.delivered++)
    }
    void this.#analytics.register(appVersion(version), withoutStaff, warehouse(this.rows))
    this.#server = Http.createServer((request, response) => {
      this.#answer(request).then(
        (status) => response.writeHead(status).end(),
        () => response.writeHead(500).end()
      )
    })
  }

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve))
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async #answer(request: Http.IncomingMessage): Promise<number> {
    const url = new URL(request.url ?? "/", "http://shop")
    const visitor = String(request.headers["x-visitor"] ?? "nobody")
    const user = request.headers["x-user"]
    switch (`${request.method} ${url.pathname}`) {
      case "GET /":
        this.#analytics.page({
          anonymousId: visitor,
          name: "Home",
          properties: { url: url.href, referrer: request.headers.referer },
          context: { ip: request.socket.remoteAddress, userAgent: request.headers["user-agent"] }
        })
        return 200
      case "POST /signup": {
        const userId = `user-of-${visitor}`
        this.#analytics.alias({ userId, previousId: visitor })
        this.#analytics.identify({ userId, traits: { email: `${visitor}@example.com`, createdAt: new Date() } })
        const traits: GroupTraits = { name: "Example Inc.", employees: 20 }
        this.#analytics.group({ userId, groupId: "g1", traits })
        this.#analytics.track({ userId, event: "Signed Up", integrations: { Warehouse: false } })
        return 201
      }
      case "POST /orders":
        return this.#order(String(user), { id: "o1", items: [{ sku: "a", price: 19.9, quantity: 2 }], coupon: "X" })
      default:
        return 404
    }
  }

  /** An order is answered when its event is safe. */
  async #order(userId: string, { coupon, id, items }: Order): Promise<number> {
    const params: TrackParams = {
      userId,
      event: "Order Completed",
      messageId: `order-${id}-${userId}`,
      properties: {
        order_id: id,
        total: items.reduce((sum, { price, quantity }) => sum + price * quantity, 0),
        products: items,
        ...(coupon === undefined ? {} : { coupon })
      }
    }
    const sent = new Promise<void>((resolve, reject) =>
      this.#analytics.track(params, (error) => (error === undefined ? resolve() : reject(error)))
    )
    await this.#analytics.flush()
    return sent.then(
      () => 200,
      () => 503
    )
  }

  async stop(): Promise<void> {
    this.#server.close()
    await this.#analytics.closeAndFlush({ timeout: 5_000 })
    this.#analytics.track({ anonymousId: "shop", event: "Shop Stopped" })
  }
}
