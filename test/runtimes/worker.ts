/** The portable program as a Cloudflare Worker, and what is different about one: nothing outlives its request. */
import * as Library from "effect-analytics"
import { type Client, createAnalytics } from "effect-analytics/plain"
import { program } from "./program.ts"

/** As `workerd.capnp` binds it. */
interface Env {
  readonly PEER: string
  /** Whether there is `AsyncLocalStorage`: with `nodejs_compat`. */
  readonly SURROUNDINGS: boolean
}

interface ExecutionContext {
  readonly waitUntil: (promise: Promise<unknown>) => void
}

// In global scope every room can be imported, and a client be made. A call is refused: there is no chance here.
const rooms = Object.keys(Library).length
const early = createAnalytics({ writeKey: "test-write-key", onError: () => {} })
const earlyCall = early.track({ userId: "u1", event: "Too early" })

let shared: Client | undefined

/** `/program/BOOK` runs the program; a `/visit/BOOK` has a client of its own; those of `/shared/BOOK` have one together. */
export default {
  async fetch(request: Request, env: Env, ctx: ExecutionContext): Promise<Response> {
    const [, route, book = ""] = new URL(request.url).pathname.split("/")
    if (route === "program") {
      return Response.json(await program(env.PEER, book, { surroundings: env.SURROUNDINGS, userAgent: true }))
    }
    const make = () => createAnalytics({ writeKey: "test-write-key", host: `${env.PEER}/${book}/200` })
    shared ??= make()
    const client = route === "shared" ? shared : make()
    client.track({ userId: "u1", event: "Visited" })
    ctx.waitUntil(route === "shared" ? client.flush() : client.close())
    return Response.json({ rooms, earlyCall })
  }
}
