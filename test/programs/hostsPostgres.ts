/** Starts a PostgreSQL server, says where it is, and waits for a signal that it does not handle. */
import { Postgres } from "../Postgres.ts"

const { directory, pid } = await Postgres.start()
process.stdout.write(`${JSON.stringify({ directory, pid })}\n`)
setInterval(() => {}, 60_000)
