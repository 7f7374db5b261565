/**
 * The ids that messages get when the caller gives none: UUIDs of version 7, random, and sorted by time.
 */
import * as Context from "effect/Context"

/** Makes an id at this time, in milliseconds since the epoch. */
export type MessageIds = (now: number) => string

const hex = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"))

/** Ten random bytes an id; asking the system for many at a time is what makes it cheap. */
const idsInBlock = 64

/** https://www.rfc-editor.org/rfc/rfc9562#name-uuid-version-7 */
export const makeUuids = (): MessageIds => {
  const random = new Uint8Array(10 * idsInBlock)
  let at = random.length
  let last = Number.NaN
  let prefix = ""
  const byte = () => hex[random[at++] as number] as string
  return (now) => {
    if (at === random.length) {
      crypto.getRandomValues(random)
      at = 0
    }
    if (now !== last) {
      const time = Math.max(0, now).toString(16).padStart(12, "0")
      prefix = `${time.slice(0, 8)}-${time.slice(8, 12)}-7`
      last = now
    }
    const head = byte() + byte()
    const variant = hex[((random[at++] as number) & 0x3f) | 0x80]
    return `${prefix}${head.slice(1)}-${variant}${byte()}-${byte()}${byte()}${byte()}${byte()}${byte()}${byte()}`
  }
}

/** Where ids come from. Provide another to the layer of a client, so that a test can know them beforehand. */
export const MessageIds = Context.Reference<MessageIds>("effect-analytics/MessageId/MessageIds", {
  defaultValue: makeUuids
})
