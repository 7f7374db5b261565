/**
 * The bound of a durable outbox: how much waits, as far as this process knows, and who waits for room.
 *
 * What this process writes and removes is counted as it happens; what others do is seen when the messages are counted again.
 */
import type { Message } from "../Message.ts"
import type { Size } from "./Tables.ts"

export interface Bound {
  readonly maxQueueSize: number
  readonly maxQueueBytes: number
}

/** Who waits for room. Whoever is admitted reserves it at once. */
export interface Waiter {
  readonly admit: () => void
  readonly refuse: () => void
}

const sum = (sizes: ReadonlyArray<Size>): number => sizes.reduce((bytes, size) => bytes + size.bytes, 0)

export class Backlog {
  readonly bound: Bound
  count = 0
  bytes = 0
  /** How often something was written or removed by this process. */
  changes = 0
  /** Whether the last count was not used, since something changed meanwhile. */
  isStale = false
  /** Of messages that are being written. */
  private reserved = { count: 0, bytes: 0 }
  /** Messages that wait for room, in their order. */
  private readonly waiters = new Set<{ readonly message: Message; readonly waiter: Waiter }>()

  constructor(bound: Bound) {
    this.bound = bound
  }

  /** How many messages, or bytes, are too many once this one is in; whichever bound it is. */
  excess(
    message: Message
  ): { readonly bound: keyof Bound; readonly limit: number; readonly count: number } | undefined {
    const { maxQueueBytes, maxQueueSize } = this.bound
    const count = this.count + this.reserved.count + 1 - maxQueueSize
    if (count > 0) return { bound: "maxQueueSize", limit: maxQueueSize, count }
    const bytes = this.bytes + this.reserved.bytes + message.bytes
    return bytes > maxQueueBytes ? { bound: "maxQueueBytes", limit: maxQueueBytes, count: 1 } : undefined
  }

  /** Keeps room for a message until it is written, or is not: then the answer is to be called, by whoever knows first. */
  reserve({ bytes }: Message): () => void {
    let isKept = true
    this.reserved.count++
    this.reserved.bytes += bytes
    return () => {
      if (!isKept) return
      isKept = false
      this.reserved.count--
      this.reserved.bytes -= bytes
      this.admitWaiters()
    }
  }

  added(sizes: ReadonlyArray<Size>): void {
    this.changes++
    this.count += sizes.length
    this.bytes += sum(sizes)
  }

  removed(sizes: ReadonlyArray<Size>): void {
    this.changes++
    this.put(this.count - sizes.length, this.bytes - sum(sizes))
  }

  /** What was counted in the database. */
  set(count: number, bytes: number): void {
    this.isStale = false
    this.put(count, bytes)
  }

  private put(count: number, bytes: number): void {
    this.count = Math.max(0, count)
    this.bytes = Math.max(0, bytes)
    this.admitWaiters()
  }

  get hasWaiters(): boolean {
    return this.waiters.size > 0
  }

  /** Admits a message as soon as there is room and nobody is before it; answers with the way to give up. */
  wait(message: Message, waiter: Waiter): () => void {
    const one = { message, waiter }
    this.waiters.add(one)
    return () => {
      this.waiters.delete(one)
      this.admitWaiters()
    }
  }

  refuseWaiters(): void {
    for (const { waiter } of this.waiters) waiter.refuse()
    this.waiters.clear()
  }

  private admitWaiters(): void {
    for (const one of this.waiters) {
      if (this.excess(one.message) !== undefined) return
      this.waiters.delete(one)
      one.waiter.admit()
    }
  }
}
