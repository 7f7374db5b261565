/** Processes that are killed: 20 times in all. `npm run crash -- --kills 200` tells the same stories for longer. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Programs } from "./crash/Actor.ts"
import { type Ending, play, type Story } from "./crash/Story.ts"
import { stories } from "./crash/stories.ts"
import { Postgres } from "./Postgres.ts"

const seed = Number(process.env.EFFECT_ANALYTICS_SEED ?? 4_711)

let programs: Programs
let server: Postgres
beforeAll(async () => {
  programs = await Programs.build()
  server = await Postgres.start()
}, 120_000)
afterAll(async () => {
  programs?.[Symbol.dispose]()
  await server?.[Symbol.asyncDispose]()
}, 60_000)

/** A fleet is smaller here: most of its time is that of processes that start. */
const small = ({ cast }: Story): Story["cast"] => ("embedded" in cast ? cast : { writer: 2, relay: 3 })

const endsWell = async (story: Story, strikes: number): Promise<Ending> => {
  const ending = await play({ ...story, cast: small(story) }, { programs, seed, server, strikes })
  const { acknowledged, bound, disorder, duplicates, lost, problems } = ending
  assert.deepStrictEqual({ lost, disorder, problems }, { lost: 0, disorder: 0, problems: [] })
  assert.isAtMost(duplicates, bound)
  assert.isAbove(acknowledged, 0)
  return ending
}

describe("what was acknowledged is delivered, in its order", { timeout: 180_000 }, () => {
  it("P1 by a process that is killed five times", () => endsWell(stories.alone, 5))

  it("P2 by two processes on one file that are killed five times", () => endsWell(stories.shared, 5))

  it("P1 by a fleet whose writers and relays are killed five times", () => endsWell(stories.fleet, 5))

  it("P1 P20 by a fleet, though its server crashes, and two processes besides", async () => {
    const { strikes } = await endsWell(stories.restarts, 3)
    assert.deepStrictEqual(strikes, { kill: 2, pause: 0, hang: 0, restart: 1, cut: 0 })
  })

  it("P1 in transactions that end as the rows of the program do, killed three times", () =>
    endsWell(stories.transactions, 3))

  it("P19 by relays that are stopped for longer than a lease, and go on as if nothing had happened", () =>
    endsWell(stories.zombies, 2))

  it("P8 by relays that hang for longer than a lease, and keep their connections to the server", () =>
    endsWell(stories.stuck, 2))

  it("P20 by a fleet whose connections to the server are cut", () => endsWell(stories.cuts, 3))

  it("P1 by a fleet with two requests in flight, killed three times", () => endsWell(stories.parallel, 3))

  it("P8 by processes on one file that hang for longer than a lease", () => endsWell(stories.hangs, 2))

  it("once each, as long as nothing happens", async () => {
    assert.strictEqual((await endsWell(stories.quiet, 3)).duplicates, 0)
  })
})
