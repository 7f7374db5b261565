/** Opens an outbox as a user who may not do everything, as root may, offers it a message, and says what came of it. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Outbox from "../../src/Outbox.ts"
import * as SqlOutbox from "../../src/SqlOutbox.ts"
import { type Line, layerLog, message } from "../support.ts"

const [options = "{}"] = process.argv.slice(2)
const nobody = 65_534

if (process.getuid?.() === 0) {
  process.setgroups?.([])
  process.setgid?.(nobody)
  process.setuid?.(nobody)
}

const lines: Array<Line> = []

const program = Effect.gen(function* () {
  const layer = SqlOutbox.layerSqlite(JSON.parse(options) as SqlOutbox.SqliteOptions)
  const outbox = Context.get(yield* Layer.build(Layer.provide(layer, layerLog(lines))), Outbox.Outbox)
  yield* outbox.offer(message("event 1"))
  const { pending } = yield* outbox.counts
  return { errors: lines.filter(({ level }) => level === "Error").map(({ text }) => text), pending }
})

const said = await program.pipe(
  Effect.scoped,
  Effect.catch((error) => Effect.succeed({ error: { ...error, message: error.message } })),
  Effect.runPromise
)
process.stdout.write(JSON.stringify(said))
