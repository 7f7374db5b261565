/** A way to a PostgreSQL server whose connections can be cut, though the server and its clients live on. */
import * as Net from "node:net"
import { setTimeout as sleep } from "node:timers/promises"

/** Milliseconds that no new connection is let through after a cut, at most. */
const outage = 300

export class Proxy {
  /** The address of the database by this way. */
  readonly address: string
  private readonly server: Net.Server
  private readonly sockets = new Set<Net.Socket>()
  private isDown = false

  private constructor(server: Net.Server, address: string) {
    this.server = server
    this.address = address
  }

  static async start(address: string): Promise<Proxy> {
    const url = new URL(address)
    const target = { host: url.hostname, port: Number(url.port) }
    const server = Net.createServer()
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    url.hostname = "127.0.0.1"
    url.port = String((server.address() as Net.AddressInfo).port)
    const proxy = new Proxy(server, url.href)
    server.on("connection", (socket) => proxy.pass(socket, Net.connect(target)))
    return proxy
  }

  private pass(client: Net.Socket, server: Net.Socket): void {
    for (const [one, other] of [
      [client, server],
      [server, client]
    ] as const) {
      this.sockets.add(one)
      one.on("error", () => {})
      one.on("close", () => {
        this.sockets.delete(one)
        other.destroy()
      })
    }
    if (this.isDown) return void client.resetAndDestroy()
    client.pipe(server)
    server.pipe(client)
  }

  /** Resets every connection, and refuses new ones for a moment. */
  async cut(): Promise<void> {
    this.isDown = true
    for (const socket of this.sockets) socket.resetAndDestroy()
    await sleep(outage)
    this.isDown = false
  }

  async stop(): Promise<void> {
    for (const socket of this.sockets) socket.destroy()
    await new Promise((resolve) => this.server.close(resolve))
  }
}
