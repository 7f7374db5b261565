/**
 * Evaluates modules a second time in one process, as bundles of one framework and two installed copies do. An import with the
 * query `?again` gets the package anew, over the same effect; with `?again-with-effect` effect as well.
 */
import { registerHooks } from "node:module"

registerHooks({
  resolve: (specifier, context, next) => {
    const resolved = next(specifier, context)
    const query = /[?]again(-with-effect)?$/.exec(context.parentURL ?? "")?.[0]
    if (query === undefined || resolved.url.includes("?")) return resolved
    const isPackage = resolved.url.includes("/src/") && !resolved.url.includes("/node_modules/")
    const isEffect = resolved.url.includes("/node_modules/effect/")
    const isAnew = isPackage || (isEffect && query === "?again-with-effect")
    return isAnew ? { ...resolved, url: resolved.url + query } : resolved
  }
})

/** A module of the package, evaluated again. */
export const again = {
  analytics: (): Promise<typeof import("../../src/Analytics.ts")> => load("Analytics"),
  enrichment: (): Promise<typeof import("../../src/Enrichment.ts")> => load("Enrichment"),
  observer: (): Promise<typeof import("../../src/Observer.ts")> => load("Observer"),
  plain: (): Promise<typeof import("../../src/plain.ts")> => load("plain"),
  trackingPlan: (): Promise<typeof import("../../src/TrackingPlan.ts")> => load("TrackingPlan"),
  /** The package and effect. */
  plainOfOtherEffect: (): Promise<typeof import("../../src/plain.ts")> => load("plain", "?again-with-effect"),
  redactedOfOtherEffect: async (): Promise<typeof import("effect/Redacted")> =>
    import(`${import.meta.resolve("effect/Redacted")}?again-with-effect`)
}

const load = async (name: string, query = "?again") => import(`../../src/${name}.ts${query}`)
