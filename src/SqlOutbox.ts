/**
 * An outbox that survives restarts: a call that returned is committed to a database, and is delivered at least once, with the
 * same `messageId`.
 *
 * `layerSqlite` needs a place for a file. `layer` uses a database of the application: SQLite, or PostgreSQL for a fleet, where
 * any number of processes write (`layerWriter`), and one of those that deliver (`layerRelay`) is at work while the others stand
 * by. Inside of `sql.withTransaction` a call is committed, or rolled back, with the rows of the caller.
 */
import * as Path from "node:path"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as SqlClient from "effect/sql/SqlClient"
import * as Analytics from "./Analytics.ts"
import { type OutboxFull, OutboxUnavailable } from "./AnalyticsError.ts"
import * as Delivery from "./Delivery.ts"
import { log } from "./internal/Log.ts"
import * as MemoryOutbox from "./MemoryOutbox.ts"
import * as Outbox from "./Outbox.ts"
import * as Settings from "./Settings.ts"
import * as Database from "./SqlOutbox/Database.ts"
import * as DatabaseSources from "./SqlOutbox/DatabaseSources.ts"
import { makeOperations, type Operations, promisesOf } from "./SqlOutbox/Operations.ts"
import type * as SqliteFile from "./SqlOutbox/SqliteFile.ts"
import * as SqlOutboxService from "./SqlOutbox/SqlOutboxService.ts"
import * as Transport from "./Transport.ts"

export type { DeadLetter, Health, Operations, Stats } from "./SqlOutbox/Operations.ts"

/** What an operator does with a durable outbox. @category services @since 0.1.0 */
export class SqlOutbox extends Context.Service<SqlOutbox, Operations>()("effect-analytics/SqlOutbox") {}

// ---------------------------------------------------------------------------------------------------------------------
// Options
// ---------------------------------------------------------------------------------------------------------------------

/** Times are milliseconds or duration strings. @category options @since 0.1.0 */
export interface CommonOptions extends Outbox.Options {
  /** Pending messages of all processes, at most. @default 1_000_000 */
  readonly maxQueueSize?: number | undefined
  /** UTF-8 bytes of them, at most; at least the size of one message, 32,768. @default 1_073_741_824 (1 GiB) */
  readonly maxQueueBytes?: number | undefined
  /**
   * Requests that may be in flight at the same time without a change of order: as many as the delivery's `maxInFlight`. The
   * messages of one user are never in two of them. @default 1
   */
  readonly maxInFlight?: number | undefined
  /** A relay whose heartbeat has stopped for this long is replaced by another one. @default "10 seconds" */
  readonly lease?: Settings.DurationInput | undefined
  /** The time between two looks into the database, where another process can't announce what it writes. @default "1 second" */
  readonly pollInterval?: Settings.DurationInput | undefined
  /** How long a call, or a look into the outbox, waits for the database. @default "5 seconds" */
  readonly commitTimeout?: Settings.DurationInput | undefined
  /**
   * An outbox belongs to the write key and the host of its first client, and others are refused. This makes it one of this
   * client, which then delivers what waits: for a key that was rotated, or a host that moved. @default false
   */
  readonly adoptDestination?: boolean | undefined
  /** Messages that are older are dropped with the reason `max-age`. @default as long as it takes */
  readonly maxAge?: Settings.DurationInput | undefined
  /** Dead letters, at most: the oldest go first. @default 10_000 */
  readonly maxDead?: number | undefined
  /** How long a dead letter is kept. @default "30 days" */
  readonly maxDeadAge?: Settings.DurationInput | undefined
  /**
   * `"memory"`: where the outbox can't be opened, messages wait in memory, and are lost with the process; it is logged as an
   * error in the log. @default fails with `OutboxUnavailable`
   */
  readonly fallback?: "memory" | undefined
}

/** An outbox in a database of the program's own. @category options @since 0.1.0 */
export interface Options extends CommonOptions {
  /**
   * What the names of its tables begin with: lower-case letters, digits and underscores. Clients with different write keys
   * need different tables. @default "analytics_outbox"
   */
  readonly table?: string | undefined
}

/**
 * An outbox in a file of its own. Clients with different write keys need different files.
 * @category options @since 0.1.0
 */
export interface SqliteOptions extends CommonOptions {
  /** Where the file `outbox.db` is to be; made if it is not there, for this user only. Give this or `file`. */
  readonly directory?: string | undefined
  /** The file itself. Several processes may share it. */
  readonly file?: string | undefined
  /** What a commit survives: `"full"` a loss of power, `"normal"` only the end of the process. @default "full" */
  readonly synchronous?: "full" | "normal" | undefined
  /**
   * Whether this process writes calls, delivers, or both. A flush of a writer resolves when everything is committed.
   * @default "both"
   */
  readonly role?: Role | undefined
  /** The size of the file, at most; then calls fail with `OutboxFull`. @default 2_147_483_648 (2 GiB) */
  readonly maxFileBytes?: number | undefined
}

type Role = SqlOutboxService.Settings["role"]

const optionalTime = (minimum: number) => Schema.optional(Settings.lengthOfTime(minimum))

const Durable = /* @__PURE__ */ Schema.Struct({
  ...Settings.Queue.fields,
  maxInFlight: Settings.Delivery.fields.maxInFlight,
  role: Schema.optional(Settings.oneOf(["both", "writer", "relay"])),
  table: Schema.optional(
    Schema.String.check(Schema.isPattern(/^[a-z_][a-z0-9_]{0,39}$/)).annotate({
      expected: "lower-case letters, digits and underscores, 40 at most"
    })
  ),
  adoptDestination: Schema.optional(Settings.Flag),
  lease: optionalTime(100),
  pollInterval: optionalTime(1),
  commitTimeout: optionalTime(1),
  maxAge: optionalTime(1),
  maxDead: Schema.optional(Settings.wholeNumber(0)),
  maxDeadAge: optionalTime(0),
  fallback: Schema.optional(Settings.oneOf(["none", "memory"]))
})

const File = /* @__PURE__ */ Schema.Struct({
  synchronous: Schema.optional(Settings.oneOf(["full", "normal"])),
  maxFileBytes: Schema.optional(Settings.wholeNumber(1024 * 1024))
})

const settings = (options: Options & CommonOptions, role: Role) => {
  const { commitTimeout, lease, maxAge, maxDeadAge, pollInterval, ...read } = Settings.read(
    Durable,
    { ...options, role },
    Settings.durableDefaults
  )
  if (read.fallback === "memory" && read.role !== "both") {
    return Settings.invalid("fallback", "is for a process that writes and delivers: a writer would never deliver it")
  }
  return {
    ...read,
    lease: Settings.toMillis(lease),
    pollInterval: Settings.toMillis(pollInterval),
    timeout: Settings.toMillis(commitTimeout),
    maxAge: maxAge === undefined ? Number.POSITIVE_INFINITY : Settings.toMillis(maxAge),
    maxDeadAge: Settings.toMillis(maxDeadAge)
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Constructor
// ---------------------------------------------------------------------------------------------------------------------

type OpenError = OutboxFull | OutboxUnavailable
type Services = Context.Context<Outbox.Outbox | SqlOutbox>

/** The outbox over the database that `source` opens. */
const make = Effect.fnUntraced(function* (
  options: Options & CommonOptions,
  role: Role,
  source: (table: string) => Effect.Effect<Database.DatabaseSource, OpenError, Scope.Scope>
): Effect.fn.Return<Services, OpenError, Scope.Scope> {
  const read = settings(options, role)
  const open = Effect.gen(function* () {
    const database = yield* Database.make(yield* source(read.table), read)
    const service = yield* SqlOutboxService.make(database, read)
    return Context.make(Outbox.Outbox, service.outbox).pipe(Context.add(SqlOutbox, makeOperations(database, service)))
  })
  if (read.fallback === "none") return yield* open
  return yield* Effect.catchTag(open, ["OutboxUnavailable", "OutboxFull"], (error) =>
    Effect.gen(function* () {
      yield* log("Error", `${error.message}: messages wait in memory, and are lost when the process ends`)
      const memory = yield* MemoryOutbox.make({ overflow: options.overflow })
      return Context.make(Outbox.Outbox, memory).pipe(Context.add(SqlOutbox, noOperations(error)))
    })
  )
})

const noOperations = (error: OutboxUnavailable | OutboxFull): Operations => {
  const fails = Effect.fail(error)
  return {
    stats: fails,
    health: () => Effect.succeed({ healthy: false, problem: error.message }),
    retryDead: fails,
    purgeDead: () => fails,
    purgeUser: () => fails,
    exportLines: () => Stream.fail(error),
    importLines: () => fails,
    removeExported: () => fails,
    pendingMessages: Stream.fail(error),
    deadLetters: Stream.fail(error)
  }
}

const sourceOfFile = Effect.fnUntraced(function* (
  options: SqliteOptions,
  startsAtOnce: boolean
): Effect.fn.Return<Database.DatabaseSource, never, Scope.Scope> {
  return yield* DatabaseSources.ofFile({ ...fileSettings(options), startsAtOnce })
})

const fileSettings = (options: SqliteOptions): Omit<SqliteFile.Settings, "startsAtOnce"> => {
  const { directory, file } = options
  if ((directory === undefined) === (file === undefined)) {
    return Settings.invalid("directory", "must be given, or file: one of the two")
  }
  const [setting, path] = file === undefined ? ["directory", directory] : ["file", file]
  if (typeof path !== "string" || path.trim() === "" || path.includes("\0")) {
    return Settings.invalid(setting, "must be a path")
  }
  return {
    file: Path.resolve(file ?? Path.join(path, "outbox.db")),
    ...Settings.read(File, options, Settings.durableDefaults)
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Layers
// ---------------------------------------------------------------------------------------------------------------------

/**
 * In a file of its own: the embedded outbox. Needs Node 22.19 or newer, and nothing installed. Several processes may share
 * it: one of them delivers the messages of all.
 *
 * ```ts
 * import * as Layer from "effect/Layer"
 * import * as Redacted from "effect/Redacted"
 * import * as Analytics from "effect-analytics/Analytics"
 * import * as SqlOutbox from "effect-analytics/SqlOutbox"
 * import * as Transport from "effect-analytics/Transport"
 *
 * export const Client = Analytics.layerNoDeps().pipe(
 *   Layer.provide(SqlOutbox.layerSqlite({ directory: "outbox" })),
 *   Layer.provide(Transport.layerFetch({ writeKey: Redacted.make("YOUR_WRITE_KEY") }))
 * )
 * ```
 * @category layers @since 0.1.0
 */
export const layerSqlite = (options: SqliteOptions): Layer.Layer<Outbox.Outbox | SqlOutbox, OpenError> =>
  layerFile(options, false)

const layerFile = (options: SqliteOptions, startsAtOnce: boolean) =>
  Layer.effectContext(make(options, options.role ?? "both", () => sourceOfFile(options, startsAtOnce)))

/**
 * A whole client over `fetch` with such an outbox: `SqlOutbox.layerSqliteClient({ writeKey, directory: "/var/lib/shop" })`. What
 * it accepted survives the process.
 * @category layers @since 0.1.0
 */
export const layerSqliteClient = (
  options: SqliteOptions & Omit<Analytics.Options, keyof Outbox.Options>
): Layer.Layer<Analytics.Analytics | Outbox.Outbox | SqlOutbox, OpenError> =>
  Analytics.layerNoDeps(options).pipe(
    Layer.provideMerge(layerSqlite(options)),
    Layer.provide(Transport.layerFetch(options))
  )

/** In the database that is provided; this process writes and delivers. @category layers @since 0.1.0 */
export const layer = (options: Options = {}): Layer.Layer<Outbox.Outbox | SqlOutbox, OpenError, SqlClient.SqlClient> =>
  layerOf(options, "both")

/**
 * In the database that is provided; this process only writes, and a relay of another one delivers. It brings a `Transport`
 * that is never used: `Analytics.layerNoDeps().pipe(Layer.provide(SqlOutbox.layerWriter()))`. A flush resolves when
 * everything is committed.
 * @category layers @since 0.1.0
 */
export const layerWriter = (
  options: Omit<Options, "fallback"> = {}
): Layer.Layer<Outbox.Outbox | SqlOutbox | Transport.Transport, OpenError, SqlClient.SqlClient> =>
  Layer.merge(layerOf(options, "writer"), Transport.layerStub)

/**
 * Delivers what others write to the database that is provided. The end of its scope is a close.
 * @category layers @since 0.1.0
 */
export const layerRelay = (
  options: Omit<Options, "fallback"> & Delivery.Options = {}
): Layer.Layer<SqlOutbox, OpenError, SqlClient.SqlClient | Transport.Transport> =>
  Layer.effect(SqlOutbox, Effect.andThen(Delivery.make(options), SqlOutbox)).pipe(
    Layer.provide(layerOf(options, "relay"))
  )

const layerOf = (options: Options, role: Role) =>
  Layer.effectContext(
    Effect.flatMap(SqlClient.SqlClient, (client) =>
      make(options, role, (table) => Effect.succeed(DatabaseSources.ofClient(client, table)))
    )
  )

/**
 * The embedded outbox for plain TypeScript: `createAnalytics({ writeKey, outbox: sqlite({ directory: "/var/lib/shop" }) })`.
 * A call of such a client answers a promise: whether the message is committed. Making the client waits for a file that
 * another process has locked, and the program with it, for 5 seconds at the most.
 * @category constructors @since 0.1.0
 */
export const sqlite = (options: SqliteOptions): Outbox.DurableSetting => ({
  layer: layerFile(options, true),
  operations: (services) => promisesOf(Context.getUnsafe(services, SqlOutbox))
})

// ---------------------------------------------------------------------------------------------------------------------
// Configuration
// ---------------------------------------------------------------------------------------------------------------------

/** An outbox whose place is a setting as well. @category options @since 0.1.0 */
export interface ConfigOptions extends Omit<CommonOptions, "fallback"> {
  /** Where messages wait. @default "memory" */
  readonly outbox?: "memory" | "sqlite" | "postgres" | undefined
  /** SQLite: where the file `outbox.db` is to be. */
  readonly directory?: string | undefined
  /** PostgreSQL: the address of the database. Needs the package `@effect/sql-pg`. */
  readonly url?: Redacted.Redacted<string> | undefined
  /** PostgreSQL: the prefix of the names of the tables. @default "analytics_outbox" */
  readonly table?: string | undefined
  /** Where it is in a database: whether this process writes calls, delivers, or both. @default "both" */
  readonly role?: Role | undefined
}

/** The outbox that the configuration chooses, with options that are read from it. @category layers @since 0.1.0 */
export const layerConfig = (
  options: Config.Wrap<ConfigOptions>
): Layer.Layer<Outbox.Outbox | SqlOutbox, Config.ConfigError | OpenError> => Settings.layerWrapped(options, layerChosen)

const layerChosen = (options: ConfigOptions): Layer.Layer<Outbox.Outbox | SqlOutbox, OpenError> => {
  const { directory, outbox, role, url, ...others } = options
  if (outbox === "sqlite") return layerSqlite({ directory, role, ...others })
  if (outbox === "postgres") {
    return Layer.provide(layerOf(others, role ?? "both"), Layer.unwrap(Effect.map(postgres, (layer) => layer(url))))
  }
  const error = new OutboxUnavailable({ problem: "is in memory" })
  return Layer.merge(MemoryOutbox.layer(others), Layer.succeed(SqlOutbox, noOperations(error)))
}

/** The client of PostgreSQL: imported when it is chosen, since the package is optional. */
const postgres = /* @__PURE__ */ Effect.suspend(() =>
  Effect.map(
    Effect.promise(() =>
      import("@effect/sql-pg/PgClient").catch(() =>
        Settings.invalid("outbox", "postgres needs the package @effect/sql-pg")
      )
    ),
    (PgClient) => (url: Redacted.Redacted<string> | undefined) =>
      PgClient.layer({ url }).pipe(
        Layer.catch(() => Layer.effectContext(new OutboxUnavailable({ problem: "has no connection to PostgreSQL" })))
      )
  )
)

const optional = <A>(config: Config.Config<A>): Config.Config<A | undefined> =>
  Config.map(Config.option(config), Option.getOrUndefined)

/**
 * The outbox that the environment chooses: `ANALYTICS_OUTBOX` (`memory`, `sqlite`, `postgres`), and if they are set
 * `ANALYTICS_OUTBOX_DIRECTORY`, `_URL`, `_TABLE`, `_ROLE`, `_LEASE`, `_MAX_AGE`, and `ANALYTICS_MAX_IN_FLIGHT`,
 * `_MAX_QUEUE_SIZE`, `_MAX_QUEUE_BYTES`, `_OVERFLOW`. For a whole client: `Analytics.layerFromConfigOver(layerFromConfig)`.
 * @category layers @since 0.1.0
 */
export const layerFromConfig: Layer.Layer<Outbox.Outbox | SqlOutbox, Config.ConfigError | OpenError> =
  /* @__PURE__ */ Layer.suspend(() =>
    layerConfig({
      outbox: optional(Config.Literals(["memory", "sqlite", "postgres"], "ANALYTICS_OUTBOX")),
      directory: optional(Config.String("ANALYTICS_OUTBOX_DIRECTORY")),
      url: optional(Config.Redacted("ANALYTICS_OUTBOX_URL")),
      table: optional(Config.String("ANALYTICS_OUTBOX_TABLE")),
      role: optional(Config.Literals(["both", "writer", "relay"], "ANALYTICS_OUTBOX_ROLE")),
      lease: optional(Config.Duration("ANALYTICS_OUTBOX_LEASE")),
      maxAge: optional(Config.Duration("ANALYTICS_OUTBOX_MAX_AGE")),
      maxInFlight: optional(Config.Int("ANALYTICS_MAX_IN_FLIGHT")),
      maxQueueSize: optional(Config.Int("ANALYTICS_MAX_QUEUE_SIZE")),
      maxQueueBytes: optional(Config.Int("ANALYTICS_MAX_QUEUE_BYTES")),
      overflow: optional(Config.Literals(["refuse", "drop-oldest", "wait"], "ANALYTICS_OVERFLOW"))
    })
  )
