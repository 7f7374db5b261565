/** Everybody who takes part in `npm run bench:peers`, each set to batches of 100 and to a queue that has room for all. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { type Event, type FloorClient, floorFetch, floorHttp } from "../floor.ts"

/** Makes the calls; `times`, if there are any, gets the microseconds of each from `from` on. */
export type Say = (events: ReadonlyArray<Event>, times?: Float64Array, from?: number) => void | Promise<void>

interface Options {
  /** Where the sink is, such as `http://127.0.0.1:4000`. */
  readonly host: string
  readonly maxInFlight: number
}

export interface Client {
  readonly name: string
  /** What is installed for it, and the least that a program says to use it: for the bundle and the import. */
  readonly package?: string
  readonly program?: string
  /** The other packages that it needs, where `package` does not depend on them. */
  readonly beside?: ReadonlyArray<string>
  readonly entry?: string
  /** Requests at the same time where the scenario leaves it to the client. */
  readonly maxInFlight: number
  readonly start: (options: Options) => Promise<Say>
}

/** Calls that are answered at once. */
const sync =
  (track: (event: Event) => unknown): Say =>
  (events, times, from = 0) => {
    for (const [index, event] of events.entries()) {
      const start = performance.now()
      track(event)
      if (times !== undefined) times[from + index] = (performance.now() - start) * 1_000
    }
  }

/** What is built: the same that is installed from the registry. */
const built = (module: string): string => new URL(`../../dist/${module}.js`, import.meta.url).href

const room = { maxQueueSize: 1_000_000, maxQueueBytes: 2 ** 31, batchSize: 100 }
const floor = (make: (url: string, maxInFlight: number) => FloorClient) => async (options: Options) =>
  sync(make(`${options.host}/v1/batch`, options.maxInFlight).track)

const plain =
  (module: string) =>
  async ({ host, maxInFlight }: Options): Promise<Say> => {
    const { createAnalytics }: typeof import("../../src/plain.ts") = await import(module)
    const analytics = createAnalytics({ writeKey: "bench", host, maxInFlight, ...room })
    return sync(analytics.track)
  }

/** The plain client: as it is published, and from the modules that it is bundled of. */
const plainClient = (name: string, entry: string, beside: ReadonlyArray<string>): Client => ({
  name,
  package: "effect-analytics",
  beside,
  program: `import { createAnalytics } from ${JSON.stringify(new URL(entry).pathname)}; globalThis.it = createAnalytics({ writeKey: "k" }).track`,
  entry,
  maxInFlight: 1,
  start: plain(entry)
})

type Http = "fetch" | "undici" | "node:http"

const inEffect =
  (http: Http) =>
  async ({ host, maxInFlight }: Options): Promise<Say> => {
    const Redacted = await import("effect/Redacted")
    const Analytics: typeof import("../../src/Analytics.ts") = await import(built("Analytics"))
    const options = { writeKey: Redacted.make("bench"), host, maxInFlight, ...room }
    const layer =
      http === "fetch" ? Analytics.layerFetch(options) : Layer.provide(Analytics.layer(options), await layerOf(http))
    const services = await Effect.runPromise(Layer.buildWithScope(layer, Scope.makeUnsafe()))
    const analytics = Context.get(services, Analytics.Analytics)
    return (events, times, from = 0) =>
      Effect.runPromiseWith(services)(
        Effect.gen(function* () {
          for (const [index, event] of events.entries()) {
            const start = performance.now()
            yield* analytics.track(event)
            if (times !== undefined) times[from + index] = (performance.now() - start) * 1_000
          }
        })
      )
  }

const layerOf = async (http: Exclude<Http, "fetch">) => {
  const client = await import("@effect/platform-node/NodeHttpClient")
  // The agent of `node:http` opens a connection for each request if nobody tells it not to.
  return http === "undici" ? client.layerUndici : client.layerNodeHttpOptions({ keepAlive: true })
}

// The parts of the others that are used here; they are installed when the benchmark is run.
interface Tracks {
  readonly track: (call: object) => void
}
type Make = new (key: string, options: object) => Tracks

const segment = async ({ host }: Options): Promise<Say> => {
  const name = "@segment/analytics-node"
  const { Analytics }: { readonly Analytics: new (options: object) => Tracks } = await import(name)
  const analytics = new Analytics({
    writeKey: "bench",
    host,
    path: "/v1/batch",
    maxEventsInBatch: 100,
    flushInterval: 1_000
  })
  return sync((event) => analytics.track(event))
}

const legacy = async ({ host }: Options): Promise<Say> => {
  const name = "analytics-node"
  const { default: Analytics }: { readonly default: Make } = await import(name)
  const analytics = new Analytics("bench", { host, flushAt: 100, flushInterval: 1_000, errorHandler: () => {} })
  return sync((event) => analytics.track(event))
}

const posthog = async ({ host }: Options): Promise<Say> => {
  const name = "posthog-node"
  const { PostHog }: { readonly PostHog: new (key: string, options: object) => { capture: (call: object) => void } } =
    await import(name)
  const client = new PostHog("bench", {
    host,
    flushAt: 100,
    maxBatchSize: 100,
    maxQueueSize: 1_000_000,
    flushInterval: 1_000,
    disableCompression: true
  })
  return sync(({ context, event, properties, userId }) =>
    client.capture({ distinctId: userId, event, properties: { ...properties, ...context } })
  )
}

const rudder = async ({ host }: Options): Promise<Say> => {
  const name = "@rudderstack/rudder-sdk-node"
  const { default: imported }: { readonly default: Make | { readonly default: Make } } = await import(name)
  const Analytics = "default" in imported ? imported.default : imported
  const analytics = new Analytics("bench", {
    dataPlaneUrl: host,
    flushAt: 100,
    flushInterval: 1_000,
    maxInternalQueueSize: 1_000_000,
    gzip: false,
    logLevel: "error",
    errorHandler: () => {}
  })
  return sync((event) => analytics.track(event))
}

const amplitude = async ({ host }: Options): Promise<Say> => {
  const name = "@amplitude/analytics-node"
  const {
    createInstance
  }: {
    readonly createInstance: () => Tracks & {
      readonly init: (key: string, options: object) => { readonly promise: Promise<void> }
    }
  } = await import(name)
  const client = createInstance()
  await client.init("bench", { serverUrl: host, flushQueueSize: 100, flushIntervalMillis: 1_000, logLevel: 0 }).promise
  return sync(({ context, event, properties, userId }) =>
    client.track({ event_type: event, user_id: userId, event_properties: properties, ip: context.ip })
  )
}

const peer = (name: string, program: string, start: Client["start"]): Client => ({
  name,
  package: name,
  program: `import ${program}`,
  entry: name,
  maxInFlight: 1,
  start
})

export const clients: ReadonlyArray<Client> = [
  { name: "floor: node:http", maxInFlight: 4, start: floor(floorHttp) },
  { name: "floor: fetch", maxInFlight: 1, start: floor(floorFetch) },
  plainClient("effect-analytics, plain", built("bundled/plain"), []),
  plainClient("effect-analytics, plain, as CommonJS", built("bundled/plain").replace(/js$/, "cjs"), []),
  plainClient("effect-analytics, plain, from its modules", built("plain"), ["effect"]),
  {
    name: "effect-analytics, Effect over fetch",
    package: "effect-analytics",
    beside: ["effect"],
    program: `import { layerFetch } from ${JSON.stringify(new URL(built("Analytics")).pathname)}; globalThis.it = layerFetch`,
    entry: built("Analytics"),
    maxInFlight: 1,
    start: inEffect("fetch")
  },
  { name: "effect-analytics, Effect over undici", maxInFlight: 4, start: inEffect("undici") },
  { name: "effect-analytics, Effect over node:http", maxInFlight: 4, start: inEffect("node:http") },
  peer(
    "@segment/analytics-node",
    `{ Analytics } from "@segment/analytics-node"; globalThis.it = new Analytics({ writeKey: "k" })`,
    segment
  ),
  peer("posthog-node", `{ PostHog } from "posthog-node"; globalThis.it = new PostHog("k")`, posthog),
  peer("analytics-node", `Analytics from "analytics-node"; globalThis.it = new Analytics("k")`, legacy),
  peer(
    "@rudderstack/rudder-sdk-node",
    `Analytics from "@rudderstack/rudder-sdk-node"; globalThis.it = new Analytics("k")`,
    rudder
  ),
  peer("@amplitude/analytics-node", `{ init } from "@amplitude/analytics-node"; globalThis.it = init("k")`, amplitude)
]
