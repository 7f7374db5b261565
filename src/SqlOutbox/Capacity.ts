/**
 * The bound of a durable outbox: the messages that are pending, as far as this process knows, and the calls that wait for room.
 *
 * Messages of this process are counted as they are written and deleted, those of others when the table is counted again.
 */
import type { Message } from "../Message.ts"
import type { Size } from "./Tables.ts"

export interface Bound {
  readonly maxQueueSize: number
  readonly maxQueueBytes: number
}

/** A call that waits for room. It reserves room as soon as it is admitted. */
export interface Waiter {
  readonly admit: () => void
  readonly refuse: () => void
}

const sum = (sizes: ReadonlyArray<Size>): number => sizes.reduce((bytes, size) => bytes + size.bytes, 0)

export class Capacity {
  readonly bound: Bound
  count = 0
  bytes = 0
  /** How often this process has written or deleted something. */
  changes = 0
  /** Whether the last count was void, since something changed meanwhile. */
  isStale = false
  /** Messages that are being written. */
  private reserved = { count: 0, bytes: 0 }
  /** Messages that wait for room, in their order. */
  private readonly waiters = new Set<{ readonly message: Message; readonly waiter: Waiter }>()

  constructor(bound: Bound) {
    this.bound = bound
  }

  /** The bound that this message would exceed, and by how many messages. */
  excess(
    message: Message
  ): { readonly bound: keyof Bound; readonly limit: number; readonly count: number } | undefined {
    const { maxQueueBytes, maxQueueSize } = this.bound
    const count = this.count + this.reserved.count + 1 - maxQueueSize
    if (count > 0) return { bound: "maxQueueSize", limit: maxQueueSize, count }
    const bytes = this.bytes + this.reserved.bytes + message.bytes
    return bytes > maxQueueBytes ? { bound: "maxQueueBytes", limit: maxQueueBytes, count: 1 } : undefined
  }

  /** Keeps room for a message until the answer is called: when it is written, or can't be. */
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

  /** Sets what was counted in the database. */
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

  /** Admits a message in its turn, as soon as there is room; answers with the way to give up. */
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
