/**
 * The signals that ask a process to end: SIGTERM and SIGINT.
 *
 * All clients of a process share one listener a signal, those of other evaluations of the package included: the signal has
 * its usual effect when the last of them has closed.
 */
import { ignoreThrows } from "../internal/Callback.ts"

interface Process {
  readonly pid: number
  readonly prependOnceListener: (signal: string, listener: () => void) => unknown
  readonly off: (signal: string, listener: () => void) => unknown
  readonly listenerCount: (signal: string) => number
  readonly kill: (pid: number, signal: string) => unknown
}

type End = () => Promise<unknown>

const signals = ["SIGTERM", "SIGINT"] as const

interface Shared {
  /** What runs at a signal. */
  readonly ends: Set<End>
  stopListening: (() => void) | undefined
}

const key = Symbol.for("effect-analytics/Signals/1")

const shared = (): Shared => {
  const holder = globalThis as { [key]?: Shared }
  holder[key] ??= { ends: new Set(), stopListening: undefined }
  return holder[key]
}

/**
 * Runs `end` at the first signal, and then lets the signal have its usual effect, unless the program has handlers of its own.
 * A second signal meets no handler of ours. Answers with a way to stop listening.
 */
export const onEnd = (end: End): (() => void) => {
  const all = shared()
  const one: End = () => end()
  all.ends.add(one)
  all.stopListening ??= listen(all)
  return () => {
    all.ends.delete(one)
    if (all.ends.size > 0) return
    all.stopListening?.()
    all.stopListening = undefined
  }
}

const listen = (all: Shared): (() => void) => {
  const { process } = globalThis as { readonly process?: Partial<Process> }
  if (typeof process?.prependOnceListener !== "function") return () => {}
  const host = process as Process
  const finish = async (signal: string) => {
    const ends = Array.from(all.ends)
    all.ends.clear()
    all.stopListening = undefined
    stop()
    // Counted before they run: a handler that runs once is gone afterwards.
    const others = host.listenerCount(signal)
    await Promise.allSettled(ends.map((end) => end()))
    if (others === 0) host.kill(host.pid, signal)
  }
  const listeners = signals.map((signal) => [signal, () => void finish(signal)] as const)
  const stop = () =>
    ignoreThrows(() => {
      for (const [signal, listener] of listeners) host.off(signal, listener)
    })
  // On the edge runtime of Next.js the function is there, and throws.
  ignoreThrows(() => {
    for (const [signal, listener] of listeners) host.prependOnceListener(signal, listener)
  })
  return stop
}
