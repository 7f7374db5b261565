/**
 * The durable outbox that an operator names: a file of SQLite, or a database of PostgreSQL. It has to be there: nothing is
 * created, and nothing is delivered from here.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as SqlClient from "effect/sql/SqlClient"
import * as Observer from "../../Observer.ts"
import * as SqlOutbox from "../../SqlOutbox.ts"
import { type CommandError, failed, usage } from "./Exit.ts"
import { optional } from "./Flags.ts"

export const flags = {
  outbox: optional(
    Flag.Redacted("outbox").pipe(Flag.withMetavar("file|url")),
    "The outbox.db, its directory, or postgres://user@host/database (ANALYTICS_OUTBOX: safer for a password)"
  ),
  table: optional(
    Flag.String("table"),
    "PostgreSQL: what the tables are called (ANALYTICS_OUTBOX_TABLE). Default: analytics_outbox"
  )
}

export interface Flags {
  readonly outbox: Redacted.Redacted<string> | undefined
  readonly table: string | undefined
}

/** The upkeep is left to the relays. */
const pollInterval = "1 day"

/** What an operator can do with the outbox, for as long as the scope lasts. */
export const open = Effect.fnUntraced(function* (
  given: Flags
): Effect.fn.Return<SqlOutbox.Operations & { readonly name: string }, CommandError, Scope.Scope> {
  const outbox = given.outbox ?? (yield* known)
  if (outbox === undefined) {
    return yield* usage(
      "there is no outbox",
      "Give --outbox ./outbox/outbox.db or --outbox postgres://…, or set ANALYTICS_OUTBOX"
    )
  }
  const where = Redacted.value(outbox)
  if (/^postgres(ql)?:/.test(where)) {
    return yield* openPostgres(
      outbox,
      given.table ?? Option.getOrElse(yield* tableOfEnvironment, () => "analytics_outbox")
    )
  }
  const file = yield* fileOf(where)
  const layer = SqlOutbox.layerSqlite({ file, role: "writer", pollInterval })
  return yield* operationsOf(file, layer)
})

const tableOfEnvironment = Effect.orDie(Config.option(Config.String("ANALYTICS_OUTBOX_TABLE")))

const variable = (name: string) => Effect.map(Effect.orDie(Config.option(Config.Redacted(name))), Option.getOrUndefined)

/** The outbox of the environment: a place, or a kind whose place is in a variable of its own, as a client reads them. */
const known = Effect.gen(function* () {
  const outbox = yield* variable("ANALYTICS_OUTBOX")
  const kind = outbox === undefined ? "" : Redacted.value(outbox)
  if (kind === "sqlite") return yield* variable("ANALYTICS_OUTBOX_DIRECTORY")
  return kind === "postgres" ? yield* variable("ANALYTICS_OUTBOX_URL") : outbox
})

const operationsOf = (name: string, layer: ReturnType<typeof SqlOutbox.layerSqlite>) =>
  // What an operator deletes on purpose is no loss that has to be reported.
  Effect.map(Effect.mapError(Layer.build(Layer.provide(layer, quiet)), problemOf), (services) => ({
    ...Context.get(services, SqlOutbox.SqlOutbox),
    name
  }))

const quiet = Observer.layer(() => Effect.void)

/** What stands in the way of an operator. */
export const problemOf = (error: { readonly message: string }): CommandError => failed(error.message)

// ---------------------------------------------------------------------------------------------------------------------
// SQLite
// ---------------------------------------------------------------------------------------------------------------------

/** The file of an outbox. One that is something else is left alone: opened as an outbox, it would be set aside. */
const fileOf = Effect.fnUntraced(function* (where: string): Effect.fn.Return<string, CommandError> {
  const found = Fs.statSync(where, { throwIfNoEntry: false })
  const file = Path.resolve(found?.isDirectory() ? Path.join(where, "outbox.db") : where)
  if (!Fs.existsSync(file)) return yield* failed(`${file} is not there`)
  // Loaded when it is needed: Node 22 prints a warning about it.
  const { DatabaseSync } = yield* Effect.promise(() => import("node:sqlite"))
  const isOutbox = yield* Effect.try({
    try: () => {
      const database = new DatabaseSync(file, { readOnly: true })
      const table = database.prepare("SELECT 1 FROM sqlite_master WHERE name = 'analytics_outbox'").get()
      database.close()
      return table !== undefined
    },
    catch: (error) => failed(`${file} can't be read as an outbox: ${(error as Error).message}`)
  })
  return isOutbox ? file : yield* failed(`${file} holds no outbox`)
})

// ---------------------------------------------------------------------------------------------------------------------
// PostgreSQL
// ---------------------------------------------------------------------------------------------------------------------

const openPostgres = Effect.fnUntraced(function* (url: Redacted.Redacted<string>, table: string) {
  // Loaded when it is needed: it is a quarter of the program.
  const { layer } = yield* Effect.promise(() => import("@effect/sql-pg/PgClient"))
  const address = Redacted.value(url)
  const name = URL.canParse(address) ? `${new URL(address).host}${new URL(address).pathname}` : "the database"
  const client = yield* Effect.mapError(Layer.build(layer({ url })), ({ reason }) =>
    failed(
      `${name} can't be reached (${reason._tag})`,
      "Look at the host, the port, the user and the password of the URL"
    )
  )
  const sql = Context.get(client, SqlClient.SqlClient)
  const [found] = yield* Effect.mapError(
    sql<{ there: boolean }>`SELECT to_regclass(${table}) IS NOT NULL AS there`,
    ({ reason }) => failed(`${name} can't be read (${reason._tag})`)
  )
  if (found?.there !== true) {
    return yield* failed(`${name} holds no outbox called ${table}`, "Give the name of its tables with --table")
  }
  return yield* operationsOf(
    name,
    Layer.provide(SqlOutbox.layerWriter({ table, pollInterval }), Layer.succeed(SqlClient.SqlClient, sql))
  )
})
