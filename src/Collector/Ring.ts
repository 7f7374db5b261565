/** A queue of things with consecutive ids: the newest is added, the oldest removed, any found by its id. */
export class Ring<A extends { readonly id: number }> {
  private items: Array<A | undefined> = []
  private head = 0

  get size(): number {
    return this.items.length - this.head
  }

  get first(): A | undefined {
    return this.items[this.head]
  }

  get(id: number): A | undefined {
    const first = this.first
    return first === undefined || id < first.id ? undefined : this.items[this.head + id - first.id]
  }

  push(item: A): void {
    this.items.push(item)
  }

  shift(): A | undefined {
    const item = this.items[this.head]
    if (item === undefined) return undefined
    this.items[this.head++] = undefined
    if (this.head > 1_024 && this.head * 2 > this.items.length) {
      this.items = this.items.slice(this.head)
      this.head = 0
    }
    return item
  }

  /** Those with a larger id, oldest first. */
  after(id: number): ReadonlyArray<A> {
    const first = this.first
    if (first === undefined) return []
    return this.items.slice(this.head + Math.max(0, id + 1 - first.id)) as ReadonlyArray<A>
  }

  /** Puts another item in the place of each. */
  update(change: (item: A) => A): void {
    for (let index = this.head; index < this.items.length; index++) this.items[index] = change(this.items[index] as A)
  }

  clear(): void {
    this.items = []
    this.head = 0
  }
}
