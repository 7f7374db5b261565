/** Two evaluations of the package meet in one process. Prints what each meeting has led to, and the messages on the wire. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Analytics from "../../src/Analytics.ts"
import type * as Message from "../../src/Message.ts"
import { type Client, createAnalytics, type Settings } from "../../src/plain.ts"
import * as Planned from "../../src/planned.ts"
import { again } from "./again.ts"

const [analytics, enrichment, observer, plain, trackingPlan] = await Promise.all([
  again.analytics(),
  again.enrichment(),
  again.observer(),
  again.plain(),
  again.trackingPlan()
])

const wire: Array<Message.Wire> = []
globalThis.fetch = async (_url, init) => {
  wire.push(...JSON.parse(await new Response(init?.body).text()).batch)
  return new Response(`{"success":true}`)
}
const sent = () =>
  wire.splice(0).map((message) => ({
    type: message.type,
    id: typeof message.messageId,
    user: message.userId,
    context: Object.keys(message.context).sort()
  }))

const plan = trackingPlan.make({ events: { Order: Schema.Struct({ id: Schema.NonEmptyString }) } })
const circular: Record<string, unknown> = {}
circular.self = circular
const silent = observer.layer(() => Effect.void)
const options = { writeKey: Redacted.make("test-write-key") }

/** The programs of the Effect face: the runtime is of the one evaluation, what it meets is of the other. */
const effects = async () => {
  const dropping = Layer.provide(Analytics.layerFetch({ ...options, transform: () => plain.drop("noise") }), silent)
  const outcomeOf = <E>(exit: Exit.Exit<unknown, E>) =>
    Exit.isSuccess(exit)
      ? "accepted"
      : ((Cause.squash(exit.cause) as { readonly reason?: { readonly _tag?: string } }).reason?._tag ?? "defect")
  const runtime = ManagedRuntime.make(Layer.provide(Analytics.layerFetch(options), silent))
  const run = async (program: Effect.Effect<unknown, unknown, Analytics.Analytics>) =>
    outcomeOf(await runtime.runPromiseExit(program))
  const track = analytics.track({ userId: "u1", event: "Signed Up" })
  const answers = {
    violation: await run(plan.track("Order", { id: "" }, { userId: "u1" })),
    planned: await run(plan.track("Order", { id: "o1" }, { userId: "u1" })),
    layer: await run(
      Effect.provide(Analytics.track({ userId: "u1", event: "Order", properties: { id: "" } }), plan.layer())
    ),
    circular: await run(enrichment.withContext(track, circular)),
    context: await run(enrichment.withContext(track, { ip: "203.0.113.7" })),
    identity: await run(
      enrichment.withIdentity(Analytics.identified.track({ event: "Signed Up" }), { anonymousId: "v1", userId: "u2" })
    ),
    flush: await run(analytics.flush),
    flushWithin: await run(analytics.flushWithin("1 second")),
    stats: await runtime.runPromise(Analytics.Analytics.use(({ stats }) => stats))
  }
  const other = ManagedRuntime.make(dropping)
  const dropped = await other.runPromise(
    Effect.andThen(
      analytics.track({ userId: "u1", event: "Signed Up" }),
      Analytics.Analytics.use(({ stats }) => stats)
    )
  )
  await runtime.dispose()
  await other.dispose()
  return { ...answers, dropped, sent: sent() }
}

/** The same of the plain face. */
const plains = async () => {
  const reasons: Array<string> = []
  const onError: Settings["onError"] = ({ reason }) => reasons.push(reason)
  const settings = { writeKey: "test-write-key", onError }
  const client = Planned.createAnalytics({ ...settings, plan })
  const dropping = createAnalytics({ ...settings, transform: () => plain.drop("noise") })
  const track = (target: Client) => target.track({ userId: "u1", event: "Signed Up" })
  const answers = {
    violation: client.planned.track("Order", { id: "" }, { userId: "u1" }),
    planned: client.planned.track("Order", { id: "o1" }, { userId: "u1" }),
    circular: plain.withContext(circular, () => track(client)),
    context: plain.withContext({ ip: "203.0.113.7" }, () => track(client)),
    identity: plain.withIdentity({ anonymousId: "v1", userId: "u2" }, () =>
      client.identified.track({ event: "Signed Up" })
    ),
    drop: track(dropping),
    dropped: dropping.stats().dropped
  }
  await client.close()
  await dropping.close()
  return { ...answers, reasons, sent: sent() }
}

/** Observers of two evaluations, each of which calls the client of the other. */
const observers = async () => {
  let calls = 0
  const refused = { userId: "", event: "Refused" }
  const first: Client = createAnalytics({
    writeKey: "test-write-key",
    onError: () => {
      calls++
      second.track(refused)
    }
  })
  const second: Client = plain.createAnalytics({
    writeKey: "test-write-key",
    onError: () => {
      calls++
      first.track(refused)
    },
    logger: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }
  })
  first.track(refused)
  const rejected = first.stats().rejected + second.stats().rejected
  await first.close()
  await second.close()
  return { calls, rejected }
}

/** Evaluations that do not understand each other. */
const incompatible = async () => {
  const submitter = Symbol.for("effect-analytics/Submitter")
  const storage = Symbol.for("effect-analytics/CallStorage")
  const reasons: Array<string> = []
  const inside = { current: undefined as object | undefined }
  Object.defineProperty(globalThis, storage, {
    value: { version: 2, storage: { getStore: () => inside.current, run: (_: unknown, body: () => unknown) => body() } }
  })
  const client = createAnalytics({ writeKey: "test-write-key", onError: ({ message }) => reasons.push(message) })
  const outside = client.track({ userId: "u1", event: "Outside" })
  inside.current = { of: "another version" }
  const within = client.track({ userId: "u1", event: "Inside" })
  inside.current = undefined
  await client.close()
  const messageOf = (body: () => unknown) => {
    try {
      body()
      return "nothing"
    } catch (error) {
      return String(error)
    }
  }
  const layerOther = Layer.effect(
    Analytics.Analytics,
    Effect.map(Analytics.Analytics, (made) => Object.defineProperty({ ...made }, submitter, { value: { version: 2 } }))
  )
  const meeting = await Effect.runPromiseExit(
    Effect.provide(
      plan.track("Order", { id: "o1" }, { userId: "u1" }),
      Layer.provide(layerOther, Analytics.layerStub())
    )
  )
  return {
    outside,
    within,
    reasons,
    withContext: messageOf(() => plain.withContext({}, () => {})),
    plan: Exit.isSuccess(meeting) ? "nothing" : String(Cause.squash(meeting.cause))
  }
}

/** Two copies of effect. */
const effectCopies = async () => {
  const other = await again.redactedOfOtherEffect()
  const exit = await Effect.runPromiseExit(
    Effect.scoped(Layer.build(Analytics.layerFetch({ writeKey: other.make("test-write-key") as Redacted.Redacted })))
  )
  const plainOfOther = await again.plainOfOtherEffect()
  const client = plainOfOther.createAnalytics({ writeKey: "test-write-key" })
  client.track({ userId: "u1", event: "Signed Up" })
  const { withContext } = await import("../../src/plain.ts")
  withContext({ ip: "203.0.113.7" }, () => client.track({ userId: "u1", event: "With Context" }))
  await client.close()
  return {
    redacted: Exit.isSuccess(exit) ? "nothing" : String(Cause.squash(exit.cause)),
    sent: sent()
  }
}

const scenarios = { effects, plains, observers, incompatible, effectCopies }
const name = process.argv[2] as keyof typeof scenarios
process.stdout.write(JSON.stringify(await scenarios[name]()))
