/** The two places of an outbox: a file of its own, and a database of the application. */
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as Queue from "effect/Queue"
import * as Reactivity from "effect/reactivity/Reactivity"
import type * as Scope from "effect/Scope"
import type { SqlClient } from "effect/sql/SqlClient"
import { LockTimeoutError, SqlError } from "effect/sql/SqlError"
import { log } from "../internal/Log.ts"
import type { DatabaseSource } from "./Database.ts"
import * as LeaderLock from "./LeaderLock.ts"
import * as SqliteClient from "./SqliteClient.ts"
import * as SqliteFile from "./SqliteFile.ts"

/** What `@effect/sql-pg` adds to a client. */
interface Notifications {
  readonly listen: (channel: string) => Effect.Effect<Queue.Dequeue<unknown, SqlError>, SqlError, Scope.Scope>
  readonly notify: (channel: string, payload: string) => Effect.Effect<void, SqlError>
}

const hasNotifications = (client: object): client is Notifications => "listen" in client && "notify" in client

/** A database of the application, which maintains it. Writes are announced by PostgreSQL's `NOTIFY`, if the client can. */
export const ofClient = (client: SqlClient, table: string): DatabaseSource => {
  const channel = `${table}_written`
  return {
    client,
    lock: client.onDialectOrElse({ pg: () => LeaderLock.advisory(client, table), orElse: () => LeaderLock.none }),
    replaced: () => false,
    isFull: () => false,
    startsAtOnce: false,
    started: () => {},
    overwrite: () => Effect.void,
    scrub: Effect.void,
    maintain: () => {},
    ...(hasNotifications(client)
      ? {
          listen: (callback) =>
            Effect.scoped(
              Effect.flatMap(client.listen(channel), (queue) => {
                // Something may have been written before.
                callback()
                return Effect.forever(Effect.map(Queue.take(queue), callback))
              })
            ),
          notify: client.notify(channel, "")
        }
      : {})
  }
}

/** A file of the outbox's own. The writes of other processes are seen by the file system, and by `PRAGMA data_version`. */
export const ofFile = Effect.fnUntraced(function* (
  settings: SqliteFile.Settings
): Effect.fn.Return<DatabaseSource, never, Scope.Scope> {
  const context = yield* Effect.context<never>()
  const file = new SqliteFile.SqliteFile(settings, (line) => Effect.runSyncWith(context)(log("Error", line)))
  yield* Effect.addFinalizer(() => Effect.sync(() => file.end()))
  const client = yield* Effect.provide(SqliteClient.make(file), Reactivity.layer)
  return {
    client,
    lock: LeaderLock.file(file),
    replaced: () => file.replaced(),
    isFull: () => file.isFull(),
    startsAtOnce: settings.startsAtOnce,
    started: () => file.started(),
    overwrite: (isOn) => client.unsafe(`PRAGMA secure_delete = ${isOn ? "ON" : "OFF"}`),
    scrub: scrub(client, file),
    maintain: () => file.maintain(),
    listen: (callback) => watch(settings.file, () => file.hasChanged() && callback())
  }
})

/** Copies are in SQLite's log, and in the file from when messages were moved between pages, or delivered. */
const scrub = Effect.fnUntraced(function* (client: SqlClient, file: SqliteFile.SqliteFile) {
  if (file.isRewritable()) yield* client`VACUUM`
  const [log] = yield* client<{ busy: number }>`PRAGMA wal_checkpoint(TRUNCATE)`
  if (log?.busy === 0) return
  // Another process reads: tried again, as any statement that waits for a lock.
  return yield* new SqlError({ reason: new LockTimeoutError({ cause: undefined, operation: "checkpoint" }) })
})

/** Milliseconds between looks after a write to SQLite's log: the commit is visible once the log is on the disk. */
const waits = [5, 10, 20, 30, 30, 30]

/** Looks after every write to the log of a file, by whichever process. Ends if the file system can't watch any more. */
const watch = Effect.fnUntraced(function* (file: string, look: () => void) {
  const written = Latch.makeUnsafe()
  const ended = yield* Deferred.make<void>()
  yield* Effect.acquireRelease(
    Effect.sync(() =>
      Fs.watch(Path.dirname(file), { persistent: false }, (_, name) => {
        if (name === `${Path.basename(file)}-wal`) written.openUnsafe()
      }).on("error", () => Deferred.doneUnsafe(ended, Exit.void))
    ),
    (watcher) => Effect.sync(() => watcher.close())
  )
  const looks = Effect.gen(function* () {
    yield* written.await
    written.closeUnsafe()
    for (const wait of waits) {
      yield* Effect.sleep(wait)
      look()
      if (written.isOpen()) return
    }
  })
  look()
  yield* Effect.raceFirst(Effect.forever(looks), Deferred.await(ended))
}, Effect.scoped)
