/** One client for all copies of the package in the site, on `globalThis`. */
export const register = async () => {
  if (process.env.NEXT_RUNTIME !== "nodejs") return
  const { createAnalytics } = await import("effect-analytics/planned")
  const { plan } = await import("./plan.js")
  const { PEER: host, SEGMENT_WRITE_KEY: writeKey = "" } = process.env
  globalThis.analytics = createAnalytics({ writeKey, host, plan, onError: () => {} })
}
