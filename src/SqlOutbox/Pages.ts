/** What an outbox holds, read a page at a time, in constant memory. Rows that come or go meanwhile may be missing. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Database } from "./Database.ts"

/** Rows of a page, at most. */
const pageSize = 500

/** The pending messages after a place, oldest first. */
export const pending = ({ run, tables }: Database, after = 0) =>
  pages(
    after,
    (place) => run(tables.read(place, pageSize)),
    ({ seq }) => seq
  )

/** The dead letters by their keys. */
export const dead = ({ run, tables }: Database) =>
  pages(
    "",
    (key) => run(tables.pageDead(key, pageSize)),
    ({ key }) => key
  )

/** The next page begins after the last row of this one. */
const pages = <Row, Place, E>(
  first: Place,
  read: (after: Place) => Effect.Effect<ReadonlyArray<Row>, E>,
  placeOf: (row: Row) => Place
): Stream.Stream<ReadonlyArray<Row>, E> =>
  Stream.unfold(first, (after) =>
    Effect.map(read(after), (page) => {
      const last = page.at(-1)
      return last === undefined ? undefined : [page, placeOf(last)]
    })
  )

/** Deletes rows of each page, one page after the other; answers how many. */
export const sumOf = <Row, E>(
  pages: Stream.Stream<ReadonlyArray<Row>, E>,
  remove: (page: ReadonlyArray<Row>) => Effect.Effect<number, E>
): Effect.Effect<number, E> =>
  pages.pipe(
    // Others have their turn between two pages: SQLite is synchronous.
    Stream.mapEffect((page) => Effect.tap(remove(page), () => Effect.yieldNow)),
    Stream.runSum
  )
