const { createAnalytics, withIdentity } = require("effect-analytics/plain")
const { sqlite } = require("effect-analytics/sqlite")

const main = async () => {
  const analytics = createAnalytics({ writeKey: "k", host: process.env.PEER })
  withIdentity({ userId: "u1" }, () => analytics.identified.track({ event: "Required" }))
  await analytics.close()
  const durable = createAnalytics({ writeKey: "k", host: process.env.PEER, outbox: sqlite({ directory: "outbox" }) })
  await durable.track({ userId: "u1", event: "Durable" })
  await durable.close()
}

main()
