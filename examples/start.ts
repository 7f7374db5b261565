/**
 * The main job, live: visitors use a shop over HTTP, the shop tells analytics, and analytics delivers. Without a write
 * key everything goes to a collector on loopback, whose page shows every event, and nothing leaves the machine.
 */
import { createServer } from "node:http"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Console from "effect/Console"
import * as Context from "effect/Context"
import * as CliError from "effect/cli/CliError"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Analytics from "effect-analytics/Analytics"
import { library } from "effect-analytics/Message"
import * as Account from "./Account.ts"
import * as LocalApi from "./LocalApi.ts"
import * as Shop from "./Shop.ts"
import * as View from "./view.ts"
import * as Visitors from "./visitors.ts"

const flags = {
  writeKey: Flag.Redacted("write-key").pipe(
    Flag.withDescription("Send to the real API with this key, instead of to a local one"),
    Flag.optional
  ),
  host: Flag.String("host").pipe(Flag.withDescription("Where the real API is, if not at Segment's"), Flag.optional),
  region: Flag.Literals("region", ["us", "eu"]).pipe(Flag.withDescription("Segment's region"), Flag.optional),
  requests: Flag.Int("requests").pipe(
    Flag.withDescription("How many requests the visitors make"),
    Flag.withSchema(Schema.Int.check(Schema.isGreaterThan(0))),
    Flag.withDefault(2_000)
  ),
  port: Flag.Int("port").pipe(
    Flag.withDescription("The port of the debugger; any that is free, if left out"),
    Flag.withDefault(0)
  ),
  keepOpen: Flag.Boolean("keep-open").pipe(
    Flag.withDescription("Leave the debugger open at the end, until Ctrl-C"),
    Flag.withDefault(false)
  )
}

type Options = Command.Command.Config.Infer<typeof flags>

/** Where messages go: to the API that the options name, or to one of our own, which ends with the scope. */
const findApi = Effect.fnUntraced(function* ({ host, keepOpen, port, region, writeKey }: Options) {
  if (Option.isSome(writeKey)) {
    if (keepOpen) return yield* new CliError.UserError({ cause: "--keep-open has no meaning beside --write-key" })
    return {
      address: { writeKey: writeKey.value, host: Option.getOrUndefined(host), region: Option.getOrUndefined(region) },
      name: Option.getOrElse(host, () => "Segment"),
      page: undefined,
      received: Effect.undefined
    }
  }
  if (Option.isSome(host) || Option.isSome(region)) {
    return yield* new CliError.UserError({ cause: "--host and --region need a --write-key" })
  }
  const { page, received, url, writeKey: key } = yield* LocalApi.start({ port })
  return { address: { writeKey: key, host: url, region: undefined }, name: url, page, received }
})

const run = Effect.fnUntraced(
  function* (options: Options) {
    const { address, name, page, received } = yield* findApi(options)
    if (page !== undefined) yield* Console.log(`Watch every event: ${page}`)
    const account = new Account.Account()
    const client = yield* Layer.build(
      Account.layer(
        account,
        Analytics.layer({ ...address, transform: Shop.withoutCrawlers, closeTimeout: "10 seconds" })
      )
    )
    const { close, stats } = Context.get(client, Analytics.Analytics)
    const requests = { total: options.requests, answered: 0 }

    const visit = Effect.gen(function* () {
      const server = yield* HttpServer.HttpServer
      const url = HttpServer.formatAddress(server.address)
      yield* Visitors.visit({ url, requests: requests.total, onAnswer: () => requests.answered++ })
    })
    const server = NodeHttpServer.layer(createServer, { host: "127.0.0.1", port: 0, gracefulShutdownTimeout: 1_000 })

    yield* visit.pipe(
      Effect.provide(Layer.provideMerge(Shop.layer, server)),
      Effect.provideContext(client),
      // The shop is shut by now, after Ctrl-C as well, and says no more.
      Effect.onExit(() => close),
      View.during({ account, stats, requests, target: name }),
      Effect.onExit(() =>
        Effect.gen(function* () {
          const receipts = yield* received
          const problems = account.problems(yield* stats, receipts)
          yield* Console.log(View.summary(account, receipts, problems))
          if (problems.length > 0 || account.lost > 0) process.exitCode = 1
        })
      )
    )
    if (!options.keepOpen) return
    yield* Console.log(`The debugger stays open, Ctrl-C ends it: ${page}`)
    return yield* Effect.never
  },
  Effect.scoped,
  Effect.provide(FetchHttpClient.layer),
  // A setting that cannot work is a defect; here the settings are what somebody has typed.
  Effect.catchDefect((cause) => Effect.fail(new CliError.UserError({ cause })))
)

const start = Command.make("npm start --", flags, run).pipe(
  Command.withDescription(
    "A small shop, its visitors, and where every event goes. Without a write key nothing leaves this machine."
  )
)

start.pipe(Command.run({ version: library.version }), Effect.provide(NodeServices.layer), NodeRuntime.runMain)
