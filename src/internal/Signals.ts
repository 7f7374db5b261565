/**
 * The signals that ask a process to end: SIGTERM and SIGINT.
 */

import { ignoreThrows } from "./Callback.ts"

interface Process {
  readonly pid: number
  readonly prependOnceListener: (signal: string, listener: () => void) => unknown
  readonly off: (signal: string, listener: () => void) => unknown
  readonly listenerCount: (signal: string) => number
  readonly kill: (pid: number, signal: string) => unknown
}

const signals = ["SIGTERM", "SIGINT"] as const

/**
 * Runs `end` at the first signal, and then lets the signal have its usual effect, unless the program has handlers of its own.
 * A second signal meets no handler of ours. Answers with a way to stop listening.
 */
export const onEnd = (end: () => Promise<unknown>): (() => void) => {
  const { process } = globalThis as { readonly process?: Partial<Process> }
  if (typeof process?.prependOnceListener !== "function") return () => {}
  const host = process as Process
  const listeners = signals.map((signal) => [signal, () => void finish(signal)] as const)
  const stop = () =>
    ignoreThrows(() => {
      for (const [signal, listener] of listeners) host.off(signal, listener)
    })
  const finish = async (signal: string) => {
    stop()
    // Counted before they run: a handler that runs once is gone afterwards.
    const others = host.listenerCount(signal)
    await end().catch(() => {})
    if (others === 0) host.kill(host.pid, signal)
  }
  // On the edge runtime of Next.js the function is there, and throws.
  ignoreThrows(() => {
    for (const [signal, listener] of listeners) host.prependOnceListener(signal, listener)
  })
  return stop
}
