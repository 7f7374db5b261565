/**
 * The warning of a process that exits with messages in memory: a line when it is too late for anything else.
 */
import { ignoreThrows } from "../internal/Callback.ts"
import * as WeakCollection from "../internal/WeakCollection.ts"

interface Watched {
  readonly pending: () => number
  readonly warn: (line: string) => void
}

const watched = WeakCollection.make<Watched>()
let isListening = false

const listen = () => {
  const { process } = globalThis as {
    readonly process?: { readonly once?: (event: "exit", listener: () => void) => unknown }
  }
  if (isListening || typeof process?.once !== "function") return
  isListening = true
  // On the edge runtime of Next.js the function is there, and throws.
  ignoreThrows(() => process.once?.("exit", onExit))
}

const onExit = () => {
  for (const { pending, warn } of watched.values()) {
    const count = pending()
    const messages = count === 1 ? "1 message was" : `${count} messages were`
    if (count === 0) continue
    ignoreThrows(() => warn(`effect-analytics: ${messages} not delivered: await close() before process.exit()`))
  }
}

/** Warns if the process exits while the client has pending messages. Answers with a way to stop that: it holds the client. */
export const watch = (client: Watched): (() => void) => {
  listen()
  return watched.add(client)
}
