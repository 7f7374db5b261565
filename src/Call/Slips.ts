/** Likely mistakes in a valid call: fields that it does not have, and ids such as the text "undefined". */
import * as Call from "../Call.ts"

const known = Call.byType(
  (type) =>
    new Set([
      ...["type", "channel", "version", "sentAt", "receivedAt", "originalTimestamp"],
      ...Call.alternatives[type].flatMap((schema) => Object.keys(schema.fields))
    ])
)
const textsOfNothing = new Set(["undefined", "null", "NaN", "[object Object]"])
const none: ReadonlyArray<string> = []

/** The slips in a call, each in a line. */
export const slipsOf = (type: Call.Type, data: Call.Data): ReadonlyArray<string> => {
  let slips = none
  const fields = known[type]
  for (const name in data) {
    if (!fields.has(name) && !name.startsWith("_")) {
      const meant = meantBy(name)
      slips = [
        ...slips,
        `${type}: ${name.slice(0, 100)} is no field of this call${meant === undefined ? "" : ` (did you mean ${meant}?)`}`
      ]
    }
  }
  for (const name of Call.idFields) {
    const value = data[name]
    if (typeof value === "string" && textsOfNothing.has(value))
      slips = [...slips, `${type}: ${name} is the text "${value}"`]
  }
  return slips
}

/** Names of fields as other SDKs and databases write them: `user_id`, `userID`, `UserId`. */
const normalize = (name: string) => name.replace(/[^a-zA-Z]/g, "").toLowerCase()
const fieldNames = new Map(
  [...Call.idFields, "event", "messageId", "timestamp", "name", "category"].map((name) => [normalize(name), name])
)
fieldNames.set("eventname", "event")

/** The field that a name most likely means, if it is none itself. */
export const meantBy = (name: string): string | undefined => {
  const meant = fieldNames.get(normalize(name))
  return meant === name ? undefined : meant
}
