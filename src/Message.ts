/**
 * A `Message` is a call that was found valid, stamped and encoded once; from then on it is text and its size.
 *
 * The words themselves, what can be said and what goes over the wire, are Schemas: see `Protocol`.
 */
import { InvalidCall } from "./AnalyticsError.ts"
import * as Json from "./Json.ts"
import type * as Protocol from "./Protocol.ts"
import { limits } from "./Settings.ts"
import { isIso } from "./Time.ts"

/** What every message says of its sender, in `context.library`. */
export const library = { name: "effect-analytics", version: "0.1.0" } as const

// ---------------------------------------------------------------------------------------------------------------------
// Words
// ---------------------------------------------------------------------------------------------------------------------

export type { Alias, Group, Identify, Page, Request, Screen, Track } from "./Protocol.ts"
export type Data = Protocol.Data
export type Id = Protocol.Id
export type Integrations = Protocol.Integrations
export type Wire = Protocol.Wire

/** The calls by name. */
export interface Calls {
  /** Who a user is: `traits`. */
  readonly identify: Protocol.Identify
  /** What a user did: `event`, `properties`. */
  readonly track: Protocol.Track
  /** The page a user saw. A `category` needs a `name`. */
  readonly page: Protocol.Page
  /** The screen of an app a user saw. A `category` needs a `name`. */
  readonly screen: Protocol.Screen
  /** The group (company, account) a user belongs to: `groupId`, `traits`. */
  readonly group: Protocol.Group
  /** Joins two ids of one user: `previousId`, and `userId`, the new one. */
  readonly alias: Protocol.Alias
}
export type Type = keyof Calls
export const types = ["identify", "track", "page", "screen", "group", "alias"] as const satisfies ReadonlyArray<Type>

/** The same for each of the six calls. */
export const byType = <A>(make: (type: Type) => A): { readonly [T in Type]: A } => ({
  identify: make("identify"),
  track: make("track"),
  page: make("page"),
  screen: make("screen"),
  group: make("group"),
  alias: make("alias")
})

/** A call that leaves out whom it is about, because something around it says so. */
export type Anonymous<Call> = Call extends unknown
  ? Omit<Call, "userId" | "anonymousId"> & { readonly userId?: Id | undefined; readonly anonymousId?: Id | undefined }
  : never

// ---------------------------------------------------------------------------------------------------------------------
// Validation
// ---------------------------------------------------------------------------------------------------------------------

// What the Schemas of `Protocol` say of a call, in their order and in their words, for a tenth of their price: on the way
// of every message the interpreter would cost more than anything else, and in a bundle more than the rest of a client.
// A test holds the two to one another.

/** What is wrong with the value of a field, if anything is. */
type Rule = (value: unknown) => string | Json.Fault | undefined

const optional =
  (rule: Rule): Rule =>
  (value) =>
    value === undefined ? undefined : rule(value)

/** What is said where there is no such field. */
const required =
  (rule: Rule, missing = "Missing key"): Rule =>
  (value) =>
    value === undefined ? missing : rule(value)

const nonBlank =
  (expected: string): Rule =>
  (value) => {
    if (typeof value !== "string") return `Expected ${expected}`
    return /\S/.test(value) ? undefined : "Expected a string that is not blank"
  }

const id = (expected: string): Rule => {
  const text = nonBlank(expected)
  return (value) => {
    if (typeof value !== "number") return text(value)
    return Number.isFinite(value) ? undefined : "Expected a finite number"
  }
}

const messageId: Rule = (value) => {
  if (typeof value !== "string") return "Expected string | undefined"
  return value.length > 0 && value.length <= limits.messageId
    ? undefined
    : `Expected a value with a length between 1 and ${limits.messageId}`
}

const time: Rule = (value) => (isIso(value) ? undefined : "Expected a valid Date, a DateTime or an ISO 8601 string")

const object: Rule = (value) => (Json.isData(value) ? undefined : "Expected an object")

const switches: Rule = (value) => {
  if (!Json.isData(value)) return "Expected object | undefined"
  const odd = Object.keys(value).find((name) => typeof value[name] !== "boolean" && !Json.isData(value[name]))
  return odd === undefined ? undefined : new Json.Fault("Expected an object", [odd])
}

type Fields = ReadonlyArray<readonly [name: string, rule: Rule]>

const common: Fields = [
  ["messageId", optional(messageId)],
  ["timestamp", optional(time)],
  ["context", optional(object)],
  ["integrations", optional(switches)]
]
const ofUser: Fields = [
  ...common,
  ["userId", required(id("string | number"), "a userId is needed")],
  ["anonymousId", optional(id("string | number | undefined"))]
]
const ofVisitor: Fields = [
  ...common,
  ["anonymousId", required(id("string | number"), "a userId or an anonymousId is needed")]
]
const both = (fields: Fields): ReadonlyArray<Fields> => [
  [...ofUser, ...fields],
  [...ofVisitor, ...fields]
]
const properties: Fields = [["properties", optional(object)]]
const traits: Fields = [["traits", optional(object)]]
const groupId = required(id("string | number"))
const seen = [
  ...both([
    ...properties,
    ["name", required(nonBlank("string"), "a category needs a name")],
    ["category", optional(nonBlank("string | undefined"))]
  ]),
  ...both(properties)
]
const alternatives: { readonly [T in Type]: ReadonlyArray<Fields> } = {
  identify: both(traits),
  track: both([...properties, ["event", required(nonBlank("string"))]]),
  page: seen,
  screen: seen,
  group: both([...traits, ["groupId", groupId]]),
  alias: [[...ofUser, ["previousId", groupId]]]
}

/** Finds the first thing that is wrong with a call, of which `data` is a copy made by `Json.copy`; never tells the value. */
export const check = (type: Type, data: Data): InvalidCall | undefined => {
  // The alternative is chosen by what is there, and the error is about that one.
  const visitor = data.userId === undefined && type !== "alias" ? 1 : 0
  const unnamed =
    (type === "page" || type === "screen") && data.name === undefined && data.category === undefined ? 2 : 0
  for (const [name, rule] of alternatives[type][visitor + unnamed] as Fields) {
    const problem = rule(data[name])
    if (problem === undefined) continue
    return typeof problem === "string"
      ? refuse(type, new Json.Fault(problem, [name]))
      : refuse(type, new Json.Fault(problem.problem, [name, ...problem.path]))
  }
  return undefined
}

/** A call that could not be copied, or breaks a rule. */
export const refuse = (type: Type, { path, problem, size }: Json.Fault): InvalidCall =>
  new InvalidCall({ call: type, path, problem, ...(size === undefined ? {} : { size, limit: limits.messageBytes }) })

// ---------------------------------------------------------------------------------------------------------------------
// Encoding
// ---------------------------------------------------------------------------------------------------------------------

/** The same text, as it goes over the wire, and not as a part of a longer one that it would keep in memory. */
const own = (text: string): string => JSON.parse(JSON.stringify(text.toWellFormed()))

/** Puts on a valid call what the protocol wants on it. `data` is a copy, and becomes the message. */
export const stamp = (
  type: Type,
  data: Data,
  now: number,
  timestamp: (now: number) => string,
  messageId: (now: number) => string
): Wire => {
  const message: Record<string, unknown> = data
  message.type = type
  message.messageId = data.messageId === undefined ? messageId(now) : own(data.messageId)
  message.timestamp ??= timestamp(now)
  message.context = { ...data.context, library }
  if (typeof data.userId === "number") message.userId = String(data.userId)
  if (typeof data.anonymousId === "number") message.anonymousId = String(data.anonymousId)
  if (typeof data.groupId === "number") message.groupId = String(data.groupId)
  if (typeof data.previousId === "number") message.previousId = String(data.previousId)
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
 * Whom a message is about, as a number of 32 bits with a sign, by FNV-1a; a number, since a text could hold on to a longer
 * one. Outboxes keep users in order by it: every process must come to the same, and those of later releases too.
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

/** A valid call, encoded. What it holds is not shown when it is printed or logged; ask for `data`. */
export class Message {
  readonly type: Type
  readonly messageId: string
  /** The text that goes over the wire. */
  readonly json: string
  /** Its size in UTF-8 bytes. */
  readonly bytes: number
  /** A hash of whom it is about, if it was made here: what keeps one user's messages together. */
  readonly user: number | undefined

  constructor(type: Type, messageId: string, json: string, bytes: number, user?: number) {
    this.type = type
    this.messageId = messageId
    this.json = json
    this.bytes = bytes
    this.user = user
  }

  /** The message as plain data, a new copy each time. */
  get data(): Wire {
    return JSON.parse(this.json)
  }

  toJSON(): unknown {
    return { type: this.type, messageId: this.messageId, bytes: this.bytes }
  }

  [Symbol.for("nodejs.util.inspect.custom")](): unknown {
    return this.toJSON()
  }
}

/** Encodes, once. A message that is too large is refused. */
export const encode = (wire: Wire): Message | InvalidCall => {
  const json = Json.stringify(wire)
  const bytes = Json.byteLength(json)
  return bytes > limits.messageBytes
    ? new InvalidCall({
        call: wire.type,
        path: [],
        problem: `the message is ${bytes} bytes, the limit is ${limits.messageBytes}`,
        size: bytes,
        limit: limits.messageBytes
      })
    : new Message(wire.type, wire.messageId, json, bytes, userOf(wire))
}
