/** The crash stories that are told. */
import type { Story } from "./Story.ts"

const fleet = { writer: 4, relay: 4 } as const

export const stories = {
  alone: { name: "SQLite, one process", cast: { embedded: 1 }, strikes: ["kill"] },
  shared: { name: "SQLite, two processes on one directory", cast: { embedded: 2 }, strikes: ["kill"] },
  hangs: {
    name: "the same, four of them, that hang for longer than a lease",
    cast: { embedded: 4 },
    strikes: ["hang"]
  },
  fleet: { name: "PostgreSQL, 4 writers and 4 relays", cast: fleet, strikes: ["kill"] },
  parallel: {
    name: "the same, with two requests in flight",
    cast: fleet,
    strikes: ["kill"],
    maxInFlight: 2
  },
  quiet: { name: "the same, and nothing happens", cast: fleet, strikes: [], faults: { refused: 0, dropped: 0 } },
  zombies: { name: "the same, relays stopped for longer than a lease", cast: fleet, strikes: ["pause"] },
  stuck: {
    name: "the same, relays that hang for longer than a lease, with their connections open",
    cast: fleet,
    strikes: ["hang"]
  },
  cuts: {
    name: "the same, and all connections to the server cut by a proxy",
    cast: fleet,
    strikes: ["cut", "kill", "cut", "cut"]
  },
  restarts: {
    name: "the same, and the server restarted in immediate mode",
    cast: fleet,
    strikes: ["kill", "restart", "kill", "kill", "kill", "kill"]
  },
  transactions: {
    name: "PostgreSQL, calls in transactions with rows of the program",
    cast: { writer: 2, relay: 2 },
    strikes: ["kill"],
    transactional: true
  }
} as const satisfies Readonly<Record<string, Story>>
