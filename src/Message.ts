/**
 * A message: a valid call, stamped and encoded once. From then on it is a text and its size.
 *
 * The Schemas of the wire (`Wire`, `Request`) describe the text for those who receive it.
 */
import * as Schema from "effect/Schema"
import { InvalidCall } from "./AnalyticsError.ts"
import * as Call from "./Call.ts"
import type * as CallTypes from "./CallTypes.ts"
import * as Json from "./internal/Json.ts"
import { limits } from "./Settings.ts"

/** The sender in the `context.library` of every message. @category constants @since 0.1.0 */
export const library = { name: "effect-analytics", version: "0.1.0" } as const

// ---------------------------------------------------------------------------------------------------------------------
// Wire
// ---------------------------------------------------------------------------------------------------------------------

const wire = <const T extends string, const Fields extends Schema.Struct.Fields>(type: T, fields: Fields) =>
  Schema.Struct({
    type: Schema.Literal(type),
    messageId: Call.MessageId,
    timestamp: Call.Iso,
    anonymousId: Schema.optionalKey(Call.NonBlank),
    ...fields,
    context: Call.Data,
    integrations: Schema.optionalKey(Call.Integrations)
  })

const subject = { userId: Schema.optionalKey(Call.NonBlank) }
const view = {
  ...subject,
  name: Schema.optionalKey(Call.NonBlank),
  category: Schema.optionalKey(Call.NonBlank),
  properties: Call.Data
}

/**
 * A message as it goes over the wire: ids are strings, times are ISO strings, everything in it is plain JSON.
 * @category schemas @since 0.1.0
 */
export const Wire = Schema.Union([
  wire("identify", { ...subject, traits: Call.Data }),
  wire("track", { ...subject, event: Call.NonBlank, properties: Call.Data }),
  wire("page", view),
  wire("screen", view),
  wire("group", { ...subject, groupId: Call.NonBlank, traits: Call.Data }),
  wire("alias", { userId: Call.NonBlank, previousId: Call.NonBlank })
])

export type Wire = CallTypes.Wire

/** The body of a request. @category schemas @since 0.1.0 */
export const Request: Schema.Struct<{
  readonly batch: Schema.$Array<typeof Wire>
  readonly writeKey: Schema.String
  readonly sentAt: typeof Call.Iso
}> = Schema.Struct({
  batch: Schema.Array(Wire),
  writeKey: Schema.String,
  sentAt: Call.Iso
})
export type Request = CallTypes.Request

// ---------------------------------------------------------------------------------------------------------------------
// Encoding
// ---------------------------------------------------------------------------------------------------------------------

/** The text as it goes over the wire, detached from a longer one that it is a part of: that one would stay in memory. */
const detach = (text: string): string => JSON.parse(JSON.stringify(text.toWellFormed()))

/**
 * @internal Adds to a valid call what the protocol asks for. `data` is a copy of the call, and becomes the message.
 */
export const stamp = (
  type: Call.Type,
  data: Call.Data,
  now: number,
  timestamp: (now: number) => string,
  messageId: (now: number) => string
): Wire => {
  const message: Record<string, unknown> = data
  message.type = type
  message.messageId = message.messageId === undefined ? messageId(now) : detach(data.messageId)
  message.timestamp ??= timestamp(now)
  message.context = { ...data.context, library }
  for (const name of Call.idFields) if (typeof message[name] === "number") message[name] = String(message[name])
  if (type === "identify" || type === "group") message.traits ??= {}
  else if (type !== "alias") message.properties ??= {}
  if (data.integrations?.all !== undefined) {
    // As old documents have it; the API knows `All`.
    const { all, ...others } = data.integrations
    message.integrations = { All: all, ...others }
  }
  return data as Wire
}

// ---------------------------------------------------------------------------------------------------------------------
// Message
// ---------------------------------------------------------------------------------------------------------------------

/**
 * @internal A hash of the user or visitor, a signed number of 32 bits by FNV-1a. Outboxes keep the order of each user by it, so that
 * all processes and releases must compute the same. (A substring could keep a long text in memory.)
 */
export const userOf = ({
  anonymousId,
  userId
}: {
  readonly userId?: string
  readonly anonymousId?: string
}): number => {
  const user = userId ?? anonymousId ?? ""
  let hash = 0x811c9dc5
  for (let at = 0; at < user.length; at++) hash = Math.imul(hash ^ user.charCodeAt(at), 0x01000193)
  return hash
}

const brand = Symbol.for("effect-analytics/Message")

/**
 * A valid call, encoded. Its content does not appear when it is printed or logged; `data` gives it.
 * @category models @since 0.1.0
 */
export class Message {
  readonly type: Call.Type
  readonly messageId: string
  /** The text that goes over the wire. */
  readonly json: string
  /** Its size in UTF-8 bytes. */
  readonly bytes: number
  /** The hash of its user or visitor, if the message was made in this process. */
  readonly user: number | undefined
  /** The time of the call, in milliseconds since 1970, if the message was made in this process. */
  readonly madeAt: number | undefined

  constructor(type: Call.Type, messageId: string, json: string, bytes: number, user?: number, madeAt?: number) {
    this.type = type
    this.messageId = messageId
    this.json = json
    this.bytes = bytes
    this.user = user
    this.madeAt = madeAt
  }

  get [brand](): true {
    return true
  }

  /** The message as plain data, a new copy each time. */
  get data(): Wire {
    return JSON.parse(this.json)
  }

  /** The message without its content: for logs. */
  toJSON(): unknown {
    return { type: this.type, messageId: this.messageId, bytes: this.bytes }
  }

  [Symbol.for("nodejs.util.inspect.custom")](): unknown {
    return this.toJSON()
  }
}

/**
 * @internal Whether a value is a message. By brand: it may come from another evaluation of this module.
 */
export const isMessage = (value: unknown): value is Message => {
  if (typeof value !== "object" || value === null || !(brand in value)) return false
  const { bytes, json, messageId } = value as Message
  return typeof json === "string" && typeof messageId === "string" && Number.isSafeInteger(bytes)
}

/** @internal Encodes, once. A message that is too large is refused. */
export const encode = (wire: Wire, now?: number): Message | InvalidCall => {
  const json = Json.stringify(wire)
  const bytes = Json.byteLength(json)
  return bytes > limits.messageBytes
    ? new InvalidCall({
        call: wire.type,
        ...(wire.type === "track" ? { event: wire.event.slice(0, 100) } : {}),
        path: [],
        problem: `the message is ${bytes} bytes, the limit is ${limits.messageBytes}`,
        size: bytes,
        limit: limits.messageBytes
      })
    : new Message(wire.type, wire.messageId, json, bytes, userOf(wire), now)
}
