/**
 * The warning of a process that exits with messages in memory: a line when it is too late for anything else.
 */

interface Watched {
  readonly pending: () => number
  readonly warn: (line: string) => void
}

/** Weak: a client that nobody closes and nobody holds must be collected. */
const watched = new Set<WeakRef<Watched>>()
const collected = new FinalizationRegistry<WeakRef<Watched>>((reference) => watched.delete(reference))
let isListening = false

const listen = () => {
  const { process } = globalThis as {
    readonly process?: { readonly once?: (event: "exit", listener: () => void) => unknown }
  }
  if (isListening || typeof process?.once !== "function") return
  isListening = true
  process.once("exit", () => {
    for (const reference of watched) {
      const client = reference.deref()
      const pending = client?.pending() ?? 0
      if (pending === 0) continue
      const messages = pending === 1 ? "1 message was" : `${pending} messages were`
      client?.warn(`effect-analytics: ${messages} not delivered: await close() before process.exit()`)
    }
  })
}

/** Warns if the process exits while the client has pending messages. Answers with a way to stop that; hold it with the client. */
export const watch = (client: Watched): (() => void) => {
  listen()
  const reference = new WeakRef(client)
  watched.add(reference)
  collected.register(client, reference, client)
  return () => {
    watched.delete(reference)
    collected.unregister(client)
  }
}
