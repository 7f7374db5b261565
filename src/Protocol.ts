/**
 * The words, as Schemas: what can be said (six calls), and what goes over the wire (`Wire`, `Request`).
 *
 * They are the source of every rule about a call. A client checks its calls with `Message.check`, which is held to them
 * by tests: a client that calls and never decodes need not load them.
 */
import * as Schema from "effect/Schema"
import type * as Json from "./Json.ts"
import { limits } from "./Settings.ts"
import { isIso } from "./Time.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Fields
// ---------------------------------------------------------------------------------------------------------------------

const NonBlank = Schema.String.check(Schema.isPattern(/\S/, { expected: "a string that is not blank" }))

/** The id of a user, a visitor or a group. Numbers become strings on the wire. */
export const Id = Schema.Union([NonBlank, Schema.Finite])
export type Id = typeof Id.Type

/** What the API removes duplicates by, within about a day: 1 to 100 characters. */
const MessageId = Schema.String.check(Schema.isBetweenLength(1, limits.messageId))

const isTime = Schema.makeFilter(isIso, { expected: "a valid Date, a DateTime or an ISO 8601 string" })
const Iso = Schema.String.check(isTime)

/** Properties, traits, context: whatever an object can hold. See `Json.copy` for what becomes of it on the wire. */
export type Data = Json.Data
const Data = Schema.Record(Schema.String, Schema.Json) as unknown as Schema.Codec<Data>

/** Which destinations get the message: `{ All: false, KISSmetrics: true }`. A destination's options are objects. */
export type Integrations = { readonly [destination: string]: boolean | Data }
const Integrations = Schema.Record(Schema.String, Schema.Union([Schema.Boolean, Data]))

// ---------------------------------------------------------------------------------------------------------------------
// Calls
// ---------------------------------------------------------------------------------------------------------------------

// ISO 8601 has four digits for a year.
const [minimum, maximum] = [new Date("0000-01-01T00:00:00Z"), new Date("9999-12-31T23:59:59.999Z")] as const
const isCommon = Schema.makeFilter(
  ({ epochMilliseconds }: { readonly epochMilliseconds: number }) =>
    epochMilliseconds >= minimum.getTime() && epochMilliseconds <= maximum.getTime()
)
const Time = Schema.Union([
  Schema.Date.check(Schema.isBetweenDate({ minimum, maximum })),
  Schema.DateTimeUtc.check(isCommon),
  Schema.DateTimeZoned.check(isCommon),
  Iso
])

const common = {
  messageId: Schema.optional(MessageId),
  timestamp: Schema.optional(Time),
  context: Schema.optional(Data),
  integrations: Schema.optional(Integrations)
}
const user = {
  ...common,
  userId: Id.annotateKey({ messageMissingKey: "a userId is needed" }),
  anonymousId: Schema.optional(Id)
}
const visitor = {
  ...common,
  userId: Schema.optional(Schema.Undefined),
  anonymousId: Id.annotateKey({ messageMissingKey: "a userId or an anonymousId is needed" })
}
const traits = { traits: Schema.optional(Data) }
const properties = { properties: Schema.optional(Data) }
const named = {
  ...properties,
  name: NonBlank.annotateKey({ messageMissingKey: "a category needs a name" }),
  category: Schema.optional(NonBlank)
}
const unnamed = {
  ...properties,
  name: Schema.optional(Schema.Undefined),
  category: Schema.optional(Schema.Undefined)
}
const group = { ...traits, groupId: Id }
const track = { ...properties, event: NonBlank }

// Each is the list of its alternatives: a call of a user or of a visitor, a page with or without a name. Alternatives,
// and not rules about a whole, so that the compiler refuses what the API would.

/** Who a user is: `traits`. */
export const Identify = Schema.Union([Schema.Struct({ ...user, ...traits }), Schema.Struct({ ...visitor, ...traits })])
export type Identify = typeof Identify.Type
/** What a user did: `event`, `properties`. */
export const Track = Schema.Union([Schema.Struct({ ...user, ...track }), Schema.Struct({ ...visitor, ...track })])
export type Track = typeof Track.Type
/** The page a user saw. A `category` needs a `name`. */
export const Page = Schema.Union([
  Schema.Struct({ ...user, ...named }),
  Schema.Struct({ ...visitor, ...named }),
  Schema.Struct({ ...user, ...unnamed }),
  Schema.Struct({ ...visitor, ...unnamed })
])
export type Page = typeof Page.Type
/** The screen of an app a user saw. A `category` needs a `name`. */
export const Screen = Page
export type Screen = typeof Screen.Type
/** The group (company, account) a user belongs to: `groupId`, `traits`. */
export const Group = Schema.Union([Schema.Struct({ ...user, ...group }), Schema.Struct({ ...visitor, ...group })])
export type Group = typeof Group.Type
/** Joins two ids of one user: `previousId`, and `userId`, the new one. */
export const Alias = Schema.Union([Schema.Struct({ ...user, previousId: Id })])
export type Alias = typeof Alias.Type

// ---------------------------------------------------------------------------------------------------------------------
// Wire
// ---------------------------------------------------------------------------------------------------------------------

const wire = <const T extends string, const Fields extends Schema.Struct.Fields>(type: T, fields: Fields) =>
  Schema.Struct({
    type: Schema.Literal(type),
    messageId: MessageId,
    timestamp: Iso,
    userId: Schema.optionalKey(NonBlank),
    anonymousId: Schema.optionalKey(NonBlank),
    ...fields,
    context: Data,
    integrations: Schema.optionalKey(Integrations)
  })

/** A message as it goes over the wire: ids are strings, times are ISO strings, everything in it is plain JSON. */
export const Wire = Schema.Union([
  wire("identify", { traits: Data }),
  wire("track", { event: NonBlank, properties: Data }),
  wire("page", { name: Schema.optionalKey(NonBlank), category: Schema.optionalKey(NonBlank), properties: Data }),
  wire("screen", { name: Schema.optionalKey(NonBlank), category: Schema.optionalKey(NonBlank), properties: Data }),
  wire("group", { groupId: NonBlank, traits: Data }),
  wire("alias", { userId: NonBlank, previousId: NonBlank })
])
export type Wire = typeof Wire.Type

/** The body of a request. */
export const Request = Schema.Struct({
  batch: Schema.Array(Wire),
  writeKey: Schema.String,
  sentAt: Iso
})
export type Request = typeof Request.Type
