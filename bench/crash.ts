/**
 * Crash stories, told until chance has struck so many times in each: `npm run crash -- --kills 200`. The chance is seeded,
 * and the seed printed (`--seed`); `--only fleet` tells one of them. Servers and peers are on loopback, and end with it.
 *
 * Prints one table. Fails if an acknowledged message was lost, if a user's messages arrived in another order than they
 * were acknowledged in, if more came twice than can be explained, or if a database was not sound and empty at the end.
 */
import * as Os from "node:os"
import { parseArgs } from "node:util"
import { Programs } from "../test/crash/Actor.ts"
import { type Ending, isGood, play } from "../test/crash/Story.ts"
import { stories } from "../test/crash/stories.ts"

const { values } = parseArgs({
  options: {
    kills: { type: "string", default: "20" },
    seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 31)) },
    only: { type: "string", multiple: true, default: Object.keys(stories) }
  }
})
const strikes = Number(values.kills)
const seed = Number(values.seed)
if (!Number.isInteger(strikes) || strikes < 1) throw new Error("--kills must be a whole number from 1")
if (!Number.isInteger(seed)) throw new Error("--seed must be a whole number")
const unknown = values.only.filter((name) => !Object.hasOwn(stories, name))
if (unknown.length > 0) throw new Error(`--only ${unknown[0]}: the stories are ${Object.keys(stories).join(", ")}`)

const columns = ["story", "strikes", "acknowledged", "lost", "duplicates", "bound", "out of order", "messages/s"]
const row = (cells: ReadonlyArray<string | number>) => `| ${cells.join(" | ")} |`

const struck = ({ cut, hang, kill, pause, restart }: Ending["strikes"]) =>
  [
    [kill, "kills"],
    [pause, "pauses"],
    [hang, "hangs"],
    [restart, "restarts"],
    [cut, "cuts"]
  ]
    .flatMap(([count, what]) => (count === 0 ? [] : [`${count} ${what}`]))
    .join(", ") || "none"

console.log(`seed ${seed}, ${strikes} strikes in each story\n`)
console.log(row(columns))
console.log(row(columns.map(() => "---")))

using programs = await Programs.build()
const endings: Array<Ending> = []
for (const [name, story] of Object.entries(stories)) {
  if (!values.only.includes(name)) continue
  const ending = await play(story, { programs, seed, strikes })
  endings.push(ending)
  const { acknowledged, bound, disorder, duplicates, lost, rate } = ending
  console.log(row([story.name, struck(ending.strikes), acknowledged, lost, duplicates, bound, disorder, rate]))
}
const engines = new Set(endings.map(({ engine }) => engine))
const machine = `${Os.cpus().length} cores of ${Os.cpus()[0]?.model}, ${Os.type()}`
console.log(`\nNode ${process.version}, ${[...engines].join(", ")}; ${machine}`)
for (const { problems, story } of endings) for (const problem of problems) console.log(`${story}: ${problem}`)
const bad = endings.filter((ending) => !isGood(ending))
console.log(bad.length === 0 ? "nothing is lost, and everything in its order" : `${bad.length} stories ended badly`)
process.exitCode = bad.length > 0 ? 1 : 0
