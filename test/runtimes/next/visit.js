import { drop, withContext, withIdentity } from "effect-analytics/plain"

/** Calls of a part of the site, with the client of instrumentation: what is accepted, refused, and the deliveries. */
export const visit = async (from) => {
  const { analytics } = globalThis
  const answers = withContext({ from }, () =>
    withIdentity({ userId: from }, () => [
      analytics.planned.track("Ordered", { from }),
      analytics.planned.track("Ordered", { from: "" }),
      analytics.identified.track({ event: "Other", context: { drop: drop("of this copy").reason } })
    ])
  )
  await analytics.flush()
  return answers.join()
}
