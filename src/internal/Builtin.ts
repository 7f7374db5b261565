/**
 * The modules of Node, where there are any. They are looked up when they are needed: an import would fail on other runtimes.
 */

/** A module of Node by its name: `node:async_hooks`. */
export const builtin = <Module>(name: string): Module | undefined => {
  const { process } = globalThis as {
    readonly process?: { readonly getBuiltinModule?: (name: string) => Module | undefined }
  }
  try {
    return process?.getBuiltinModule?.(name)
  } catch {
    // On the edge runtime of Next.js the function is there, and throws.
    return undefined
  }
}
