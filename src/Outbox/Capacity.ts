/**
 * The bound of an outbox, by messages and by bytes: what is accepted and not settled, and the calls that wait for room.
 */
import * as Effect from "effect/Effect"
import { Closed } from "../AnalyticsError.ts"
import type { Message } from "../Message.ts"

export interface Bound {
  readonly maxQueueSize: number
  readonly maxQueueBytes: number
}

/** A call that waits for room. It takes the room as soon as it is admitted. */
interface Waiter {
  readonly message: Message
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
  private readonly waiters = new Set<Waiter>()
  private isClosed = false

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

  /** Keeps room for a message until the returned function is called: when it is written, or can't be. */
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

  /** Whether messages are being written. */
  get isWriting(): boolean {
    return this.reserved.count > 0
  }

  get hasWaiters(): boolean {
    return this.waiters.size > 0
  }

  /**
   * Waits in turn until there is room for a message, and takes it at once by `admit`. It is the only part of an offer that can be
   * interrupted: after it the message may be there.
   */
  awaitRoom<A>(message: Message, admit: () => A): Effect.Effect<A, Closed> {
    return Effect.callback<A, Closed>((resume) => {
      const waiter = {
        message,
        admit: () => resume(Effect.succeed(admit())),
        refuse: () => resume(Effect.fail(new Closed()))
      }
      this.waiters.add(waiter)
      // A fiber may have been suspended since the caller has looked.
      if (this.isClosed) this.refuseWaiters()
      else this.admitWaiters()
      return Effect.sync(() => {
        this.waiters.delete(waiter)
        this.admitWaiters()
      })
    }).pipe(Effect.interruptible)
  }

  /** Refuses the calls that wait, and all that would. */
  refuseWaiters(): void {
    this.isClosed = true
    for (const waiter of this.waiters) waiter.refuse()
    this.waiters.clear()
  }

  private admitWaiters(): void {
    for (const waiter of this.waiters) {
      if (this.excess(waiter.message) !== undefined) return
      this.waiters.delete(waiter)
      waiter.admit()
    }
  }
}
