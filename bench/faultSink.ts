/** A `FaultSink` in a process of its own: says where it is, takes a script, and tells what is in its books. */
import { type Answer, FaultSink } from "../test/FaultSink.ts"

const sink = await FaultSink.start({ remember: false })

process.on(
  "message",
  (message: { readonly script?: ReadonlyArray<Answer>; readonly books?: ReadonlyArray<string> }) => {
    for (const answer of message.script ?? []) sink.respond(answer)
    const { books } = message
    process.send?.(
      books === undefined
        ? null
        : { totals: sink.totals(), taken: sink.takenIds(), orders: books.map((user) => sink.userOrder(user)) }
    )
  }
)
process.on("disconnect", () => process.exit())
process.send?.(sink.host)
