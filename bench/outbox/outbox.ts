/**
 * What durability costs, and how fast what waits goes: `npm run bench:outbox`, or single parts of it by their names:
 * `npm run bench:outbox -- writes drain distance failover stall backlog sqlite postgres`. Everything is measured in turns with a raw driver
 * that does the same work, in the same run. Medians; ratios mean more than numbers.
 */

import { backlogInSqlite } from "./backlog.ts"
import { distanceFromPostgres, distanceFromSqlite } from "./distance.ts"
import { drainPostgres, drainSqlite } from "./drain.ts"
import { failoverOnPostgres, failoverOnSqlite } from "./failover.ts"
import { stallOnSqlite } from "./stall.ts"
import { report, type Target } from "./targets.ts"
import { writesToPostgres, writesToSqlite } from "./writes.ts"

const parts: ReadonlyArray<readonly [name: string, database: string, run: () => Promise<ReadonlyArray<Target>>]> = [
  ["writes", "sqlite", writesToSqlite],
  ["writes", "postgres", writesToPostgres],
  ["drain", "sqlite", drainSqlite],
  ["drain", "postgres", drainPostgres],
  ["distance", "sqlite", distanceFromSqlite],
  ["distance", "postgres", distanceFromPostgres],
  ["failover", "sqlite", failoverOnSqlite],
  ["failover", "postgres", failoverOnPostgres],
  ["stall", "sqlite", stallOnSqlite],
  ["backlog", "sqlite", backlogInSqlite]
]

const chosen = process.argv.slice(2)
const unknown = chosen.filter((word) => !parts.some(([name, database]) => [name, database].includes(word)))
if (unknown.length > 0) throw new Error(`There is no part called ${unknown.join(", ")}`)
/** What is not chosen between is all chosen. */
const isChosen = (word: string, all: ReadonlyArray<string>) =>
  chosen.includes(word) || !all.some((other) => chosen.includes(other))

console.log(`Node ${process.version}, ${process.arch}`)
const targets: Array<Target> = []
for (const [name, database, run] of parts) {
  const names = parts.map(([one]) => one)
  const databases = parts.map(([, one]) => one)
  if (isChosen(name, names) && isChosen(database, databases)) targets.push(...(await run()))
}
report(targets)
