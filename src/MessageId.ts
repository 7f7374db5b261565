/**
 * The ids that messages get when the caller gives none: UUIDs of version 7, random, and sorted by time.
 */
import * as Context from "effect/Context"

/** Makes an id at this time, in milliseconds since the epoch. @category models @since 0.1.0 */
export type MessageIds = (now: number) => string

/** What follows the time in an id, `rrr-vrrr-rrrrrrrrrrrr`, and how many are made at a time: that is what makes them cheap. */
const tail = { length: 21, dashes: [3, 8], variant: 4 } as const
const idsInBlock = 128

const digits = Array.from("0123456789abcdef", (digit) => digit.charCodeAt(0))
const dash = "-".charCodeAt(0)
const ascii = new TextDecoder()

/** https://www.rfc-editor.org/rfc/rfc9562#name-uuid-version-7 @category constructors @since 0.1.0 */
export const makeUuids = (): MessageIds => {
  const block = new Uint8Array(tail.length * idsInBlock)
  let tails = ""
  let at = block.length
  let last = Number.NaN
  let prefix = ""

  const refill = () => {
    crypto.getRandomValues(block)
    for (let start = 0; start < block.length; start += tail.length) {
      for (let place = start; place < start + tail.length; place++) {
        block[place] = digits[(block[place] as number) & 0xf] as number
      }
      const variant = start + tail.variant
      block[variant] = digits[0x8 | ((block[variant] as number) & 0x3)] as number
      for (const place of tail.dashes) block[start + place] = dash
    }
    tails = ascii.decode(block)
    at = 0
  }

  return (now) => {
    if (at === block.length) refill()
    if (now !== last) {
      const time = Math.trunc(Math.max(0, now)).toString(16).padStart(12, "0")
      prefix = `${time.slice(0, 8)}-${time.slice(8, 12)}-7`
      last = now
    }
    at += tail.length
    return prefix + tails.slice(at - tail.length, at)
  }
}

/**
 * Where ids come from. Provide another to the layer of a client, so that a test can know them beforehand.
 * @category references @since 0.1.0
 */
export const MessageIds = Context.Reference<MessageIds>("effect-analytics/MessageId/MessageIds", {
  defaultValue: makeUuids
})
