/**
 * The PostgreSQL server of a run of vitest: behind a door that is opened with every run, and costs nothing, is a server
 * that starts when somebody knocks, and ends with the run.
 */
import { randomUUID } from "node:crypto"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import type { Postgres } from "./Postgres.ts"

/** The variable that tells the workers of the run where the door is. */
export const sharedAt = "EFFECT_ANALYTICS_TEST_POSTGRES"

export default async (): Promise<() => Promise<void>> => {
  let server: Promise<Postgres> | undefined
  const start = async () => {
    const { Postgres } = await import("./Postgres.ts")
    return Postgres.start()
  }

  // What the door gives away is a superuser's password: only who has the address gets it.
  const path = `/${randomUUID()}`
  const door = Http.createServer(async (request, response) => {
    if (request.url !== path) return void response.writeHead(404).end()
    try {
      server ??= start()
      response.end((await server).url)
    } catch (error) {
      response.writeHead(500).end(error instanceof Error ? error.message : String(error))
    }
  })
  await new Promise<void>((resolve) => door.listen(0, "127.0.0.1", resolve))
  process.env[sharedAt] = `http://127.0.0.1:${(door.address() as AddressInfo).port}${path}`

  return async () => {
    door.close()
    door.closeAllConnections()
    const running = await server?.catch(() => undefined)
    await running?.[Symbol.asyncDispose]()
  }
}
