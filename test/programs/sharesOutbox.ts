/** Another process on the same outbox: offers what it is told to, says whether that was accepted, and what it logged. */
import { once } from "node:events"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Outbox from "../../src/Outbox.ts"
import * as SqlOutbox from "../../src/SqlOutbox.ts"
import { type Line, layerLog, message } from "../support.ts"

const [file = ""] = process.argv.slice(2)
const lines: Array<Line> = []
const layer = Layer.provide(SqlOutbox.layerSqlite({ file }), layerLog(lines))

const answer = (outbox: Outbox.Outbox["Service"], event: string) =>
  Effect.map(Effect.exit(outbox.offer(message(event))), (exit) => {
    const errors = lines.splice(0).flatMap(({ level, text }) => (level === "Error" ? [text] : []))
    process.send?.({ accepted: Exit.isSuccess(exit), errors })
  })

const program = Effect.gen(function* () {
  const outbox = Context.get(yield* Layer.build(layer), Outbox.Outbox)
  process.send?.("open")
  while (true) {
    const [event] = (yield* Effect.promise(() => once(process, "message"))) as [string]
    if (event === "close") return
    yield* answer(outbox, event)
  }
})

await Effect.runPromise(Effect.scoped(program))
process.disconnect()
