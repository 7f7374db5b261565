/**
 * Listeners by the name of an event. Listeners run in the order in which they were added, at once, and what one throws reaches
 * whoever emitted the event.
 */

type Contract = { readonly [event: string]: Array<unknown> }
// biome-ignore lint/suspicious/noExplicitAny: listeners of all events are kept together
type Listener = (...args: Array<any>) => void

export class Emitter<Events extends Contract> {
  readonly #listeners = new Map<keyof Events, ReadonlyArray<Listener>>()

  /** Calls this function at each event of this name. */
  on<Name extends keyof Events>(event: Name, callback: (...args: Events[Name]) => void): this {
    this.#listeners.set(event, [...this.#listenersOf(event), callback])
    return this
  }

  /** Calls this function at the next event of this name. */
  once<Name extends keyof Events>(event: Name, callback: (...args: Events[Name]) => void): this {
    const once = (...args: Events[Name]): void => {
      this.off(event, once)
      callback.apply(this, args)
    }
    return this.on(event, once)
  }

  /** Removes a function that `on` has added. */
  off<Name extends keyof Events>(event: Name, callback: (...args: Events[Name]) => void): this {
    this.#listeners.set(
      event,
      this.#listenersOf(event).filter((listener) => listener !== callback)
    )
    return this
  }

  /** Calls the listeners of an event. */
  emit<Name extends keyof Events>(event: Name, ...args: Events[Name]): this {
    for (const listener of this.#listenersOf(event)) listener.apply(this, args)
    return this
  }

  /** @internal */
  protected hasListeners(event: keyof Events): boolean {
    return this.#listenersOf(event).length > 0
  }

  #listenersOf(event: keyof Events): ReadonlyArray<Listener> {
    return this.#listeners.get(event) ?? []
  }
}
