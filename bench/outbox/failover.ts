/**
 * How long nobody delivers when the leader dies, or hangs with its lock held and its connections open; and how soon a message of
 * a relay that stands by is with the peer.
 */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import { Postgres } from "../../test/Postgres.ts"
import { below, type Target } from "./targets.ts"
import { makeDirectory, median, type Program, start } from "./workload.ts"

type Leader = "here" | "elsewhere" | "none"

const deaths = 5
const hangs = 2
const messages = 50

/** Hears all that a program says, as it comes. */
const listen = (program: Program<Leader>) => {
  const state = { leader: "none" as Leader }
  void (async () => {
    while (true) state.leader = await program.hear()
  })().catch(() => {})
  return state
}

const measure = async (name: string, place: string): Promise<ReadonlyArray<Target>> => {
  let arrived = () => {}
  const sink = createServer((request, response) => {
    request.resume()
    arrived()
    request.on("end", () => response.writeHead(200).end(`{"success":true}`))
  })
  await new Promise<void>((resolve) => sink.listen(0, "127.0.0.1", resolve))
  const { port } = sink.address() as AddressInfo
  const begin = () => {
    const program = start<Leader>("standby.ts", [place, String(port)])
    return { program, state: listen(program) }
  }
  const until = async (one: ReturnType<typeof begin>, leader: Leader) => {
    while (one.state.leader !== leader) await sleep(2)
  }
  let leader = begin()
  await until(leader, "here")
  let standby = begin()
  await until(standby, "elsewhere")

  const latencies: Array<number> = []
  for (let n = 0; n < messages; n++) {
    const at = new Promise<void>((resolve) => {
      arrived = resolve
    })
    const from = performance.now()
    standby.program.say("write")
    await at
    latencies.push(performance.now() - from)
    await sleep(20)
  }

  const replaced = async (signal: "SIGKILL" | "SIGSTOP") => {
    // Somewhere between two looks of the relay that stands by.
    await sleep(Math.random() * 1_000)
    const from = performance.now()
    leader.program.signal(signal)
    await until(standby, "here")
    const took = performance.now() - from
    await leader.program.stop()
    leader = standby
    standby = begin()
    await until(standby, "elsewhere")
    return took
  }
  const died: Array<number> = []
  const hung: Array<number> = []
  for (let n = 0; n < deaths; n++) died.push(await replaced("SIGKILL"))
  for (let n = 0; n < hangs; n++) hung.push(await replaced("SIGSTOP"))
  await Promise.all([leader.program.stop(), standby.program.stop()])
  sink.close()
  sink.closeAllConnections()
  console.log(`\n${name}: two relays, one of them delivers; milliseconds`)
  console.table({
    "a message of the other one is with the peer": {
      median: median(latencies).toFixed(1),
      longest: Math.max(...latencies).toFixed(1)
    },
    "the leader is killed, until the other delivers": {
      median: median(died).toFixed(0),
      longest: Math.max(...died).toFixed(0)
    },
    "the leader hangs, until the other delivers": {
      median: median(hung).toFixed(0),
      longest: Math.max(...hung).toFixed(0)
    }
  })
  return [
    below(`${name}: a message of another process leaves, median`, median(latencies), 50, "ms"),
    below(`${name}: a relay that dies is replaced`, Math.max(...died), 2_000, "ms"),
    below(`${name}: a relay that hangs is replaced`, Math.max(...hung), 15_000, "ms")
  ]
}

export const failoverOnSqlite = async (): Promise<ReadonlyArray<Target>> => {
  const { directory, remove } = makeDirectory()
  const targets = await measure("SQLite", directory)
  remove()
  return targets
}

export const failoverOnPostgres = async (): Promise<ReadonlyArray<Target>> => {
  await using server = await Postgres.start({ fsync: true })
  return await measure("PostgreSQL", await server.database())
}
