/**
 * A collection that keeps nothing alive: values without other references leave it. Where the runtime has no weak references
 * (workerd by default), values stay until they are removed.
 */
export interface WeakCollection<A extends object> {
  /** Adds a value. Answers with a way to remove it, which holds the value. */
  readonly add: (value: A) => () => void
  /** The values that are alive. */
  readonly values: () => ReadonlyArray<A>
}

/** `onRemoved` is called after a value has left, removed or collected. */
export const make = <A extends object>(onRemoved: () => void = () => {}): WeakCollection<A> => {
  const references = new Set<{ readonly deref: () => A | undefined }>()
  const remove = (reference: { readonly deref: () => A | undefined }) => {
    if (references.delete(reference)) onRemoved()
  }
  const collected = typeof FinalizationRegistry === "undefined" ? undefined : new FinalizationRegistry(remove)
  return {
    add: (value) => {
      const reference = typeof WeakRef === "undefined" ? { deref: () => value } : new WeakRef(value)
      references.add(reference)
      collected?.register(value, reference, value)
      return () => {
        collected?.unregister(value)
        remove(reference)
      }
    },
    values: () => Array.from(references, (reference) => reference.deref()).filter((value) => value !== undefined)
  }
}
