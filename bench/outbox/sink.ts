/**
 * A peer that takes everything, as cheaply as it can: it shares two processors with what is measured. It answers after so many
 * milliseconds, if it is told to.
 */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"

const delay = Number(process.argv[2] ?? 0)
const answer = `{"success":true}`
const headers = { "content-type": "application/json", "content-length": answer.length }
const server = createServer((request, response) => {
  const respond = () => void response.writeHead(200, headers).end(answer)
  // A round trip counts from the first byte.
  const begun = performance.now()
  request.resume()
  request.on("end", () => {
    const wait = delay - (performance.now() - begun)
    if (wait <= 0) respond()
    else setTimeout(respond, wait)
  })
})
// A client that keeps its connection longer than the server does would meet a reset.
server.keepAliveTimeout = 60_000
server.listen(0, "127.0.0.1", () => process.send?.((server.address() as AddressInfo).port))
process.on("disconnect", () => process.exit())
