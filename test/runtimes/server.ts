/** The portable program as a process of Node, Bun or Deno: `server.js PEER RUN` prints the checks as JSON, and ends. */
import { program } from "./program.ts"

const [peer = "", run = ""] = process.argv.slice(2)
console.log(JSON.stringify(await program(peer, run, { surroundings: true, userAgent: true })))
