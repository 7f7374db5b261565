/** A peer that takes everything, as cheaply as it can: it shares two processors with what is measured. */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"

const answer = `{"success":true}`
const headers = { "content-type": "application/json", "content-length": answer.length }
const server = createServer((request, response) => {
  request.resume()
  request.on("end", () => response.writeHead(200, headers).end(answer))
})
// A client that keeps its connection longer than the server does would meet a reset.
server.keepAliveTimeout = 60_000
server.listen(0, "127.0.0.1", () => process.send?.((server.address() as AddressInfo).port))
process.on("disconnect", () => process.exit())
