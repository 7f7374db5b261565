/**
 * The bound of an outbox, by messages and by bytes: what is accepted and not settled, and the calls that wait for room.
 */
import type { Message } from "../Message.ts"

export interface Bound {
  readonly maxQueueSize: number
  readonly maxQueueBytes: number
}

/** A call that waits for room. It reserves room as soon as it is admitted. */
export interface Waiter {
  readonly admit: () => void
  readonly refuse: () => void
}

export class Capacity {
  readonly bound: Bound
  count = 0
  bytes = 0
  /** How often something was added or removed. */
  changes = 0
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

  add(count: number, bytes: number): void {
    this.changes++
    this.count += count
    this.bytes += bytes
  }

  /**
   * Makes room, and admits calls that wait for it. A message may be removed before it is added: in a database it is visible as soon
   * as it is committed. So the count may fall below zero by the messages that are being written.
   */
  remove(count: number, bytes: number): void {
    this.changes++
    this.count = Math.max(-this.reserved.count, this.count - count)
    this.bytes = Math.max(-this.reserved.bytes, this.bytes - bytes)
    this.admitWaiters()
  }

  /** Sets what is known by a count. */
  set(count: number, bytes: number): void {
    this.count = count
    this.bytes = bytes
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
