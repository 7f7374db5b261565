/** The portable program as a page of a browser. What it found goes to `/report` of the server that the page is from. */
import { program } from "./program.ts"

const { peer = "", run = "" } = Object.fromEntries(new URL(import.meta.url).searchParams)
const report = (body: unknown) => fetch("/report", { method: "POST", body: JSON.stringify(body) })

await program(peer, run, { surroundings: false, userAgent: false }).then(report, (error: unknown) =>
  report([{ promise: "the program ends", problem: String(error) }])
)
