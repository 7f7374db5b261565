/**
 * The call context of plain programs, carried across `await` by `AsyncLocalStorage`.
 *
 * There is one storage in a process, under a registered symbol: the package may be evaluated more than once (bundles of one
 * framework, ESM beside CommonJS), and a context given through one evaluation reaches the clients of all.
 */
import type { CallContext } from "../Enrichment.ts"
import { builtin } from "../internal/Builtin.ts"
import { JsonError } from "../internal/Json.ts"

/** A call context; `isCallback` if a callback of a client runs in it. */
export interface StoredContext extends CallContext {
  readonly isCallback?: boolean | undefined
}

interface Storage {
  readonly getStore: () => StoredContext | undefined
  readonly run: <A>(context: StoredContext, body: () => A) => A
}

/** Evaluations that agree on this version share what is stored. */
const version = 1
const key = Symbol.for("effect-analytics/CallStorage")

interface Shared {
  readonly version: number
  readonly storage: Storage
}

const emptyContext: CallContext = { identity: undefined, context: {} }

const shared = (): Shared | undefined => (globalThis as { readonly [key]?: Shared })[key]

const incompatible =
  "two incompatible versions of effect-analytics are loaded in this process: install one (npm ls effect-analytics)"

/** The call context in scope. Calls in a context of an incompatible version fail: it would be lost in silence. */
export const current = (): StoredContext => {
  const found = shared()
  const stored = found?.storage.getStore()
  if (stored === undefined) return emptyContext
  return found?.version === version
    ? stored
    : { identity: undefined, context: new JsonError(`cannot be read: ${incompatible}`, ["context"]) }
}

/** Runs a function with a changed call context. Throws where there is no `AsyncLocalStorage`. */
export const run = <A>(change: (outer: StoredContext) => StoredContext, body: () => A): A =>
  open().run(change(current()), body)

/** Runs a callback of a client: calls that it makes, also after an `await`, are known as such where that is possible. */
export const runCallback = (body: () => void): void => {
  const found = shared()
  if (found === undefined ? constructorOf() === undefined : found.version !== version) return body()
  run((outer) => ({ ...outer, isCallback: true }), body)
}

const open = (): Storage => {
  const found = shared()
  if (found !== undefined) {
    if (found.version === version) return found.storage
    throw new Error(incompatible)
  }
  const AsyncLocalStorage = constructorOf()
  if (AsyncLocalStorage === undefined) {
    throw new Error("withContext and withIdentity need AsyncLocalStorage, which this runtime does not have")
  }
  const storage = new AsyncLocalStorage()
  Object.defineProperty(globalThis, key, { value: { version, storage } satisfies Shared })
  return storage
}

/** Node's own, or the global one of edge runtimes. */
const constructorOf = (): (new () => Storage) | undefined => {
  const { AsyncLocalStorage } = globalThis as { readonly AsyncLocalStorage?: new () => Storage }
  return (
    builtin<{ readonly AsyncLocalStorage: new () => Storage }>("node:async_hooks")?.AsyncLocalStorage ??
    AsyncLocalStorage
  )
}
