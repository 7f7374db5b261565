/**
 * The words: what can be said (six calls), and what goes over the wire (`Wire`, `Request`), as Schemas.
 *
 * A `Message` is a call that was found valid, stamped and encoded once; from then on it is text and its size.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaParser from "effect/SchemaParser"
import { InvalidCall } from "./AnalyticsError.ts"
import * as Json from "./Json.ts"
import { limits } from "./Settings.ts"

/** What every message says of its sender, in `context.library`. */
export const library = { name: "effect-analytics", version: "0.1.0" } as const

// ---------------------------------------------------------------------------------------------------------------------
// Fields
// ---------------------------------------------------------------------------------------------------------------------

/** Marks what a bundler may leave out where nobody uses it: the schemas for peers and tests are no part of a client. */
const lazily = <A>(make: () => A): A => make()

const NonBlank = Schema.String.check(Schema.isPattern(/\S/, { expected: "a string that is not blank" }))

/** The id of a user, a visitor or a group. Numbers become strings on the wire. */
export const Id = Schema.Union([NonBlank, Schema.Finite])
export type Id = typeof Id.Type

/** What the API removes duplicates by, within about a day: 1 to 100 characters. */
const MessageId = Schema.String.check(Schema.isBetweenLength(1, limits.messageId))

const isoDate = /^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d(:?\d\d)?)?)?$/i
const isIso = (text: unknown) => {
  if (typeof text !== "string" || !isoDate.test(text) || Number.isNaN(Date.parse(text))) return false
  // `Date.parse` takes the 30th of February for the 2nd of March.
  const lastOfMonth = new Date(Date.UTC(Number(text.slice(0, 4)), Number(text.slice(5, 7)), 0))
  return Number(text.slice(8, 10)) <= lastOfMonth.getUTCDate()
}
const isTime = Schema.makeFilter(isIso, { expected: "a valid Date, a DateTime or an ISO 8601 string" })
const Iso = Schema.String.check(isTime)

/** Properties, traits, context: whatever an object can hold. See `Json.copy` for what becomes of it on the wire. */
export type Data = Json.Data
const Data = /* @__PURE__ */ Schema.Record(Schema.String, Schema.Json) as unknown as Schema.Codec<Data>

// For copies: what is in them needs no second look.
const Opaque = Schema.Unknown.check(Schema.makeFilter(Json.isData, { expected: "an object" }))
const Time = Schema.Unknown.check(isTime)

/** Which destinations get the message: `{ All: false, KISSmetrics: true }`. A destination's options are objects. */
export type Integrations = { readonly [destination: string]: boolean | Data }
const Integrations = /* @__PURE__ */ lazily(() => Schema.Record(Schema.String, Schema.Union([Schema.Boolean, Data])))
const Switches = Schema.Record(Schema.String, Schema.Union([Schema.Boolean, Opaque]))

// ---------------------------------------------------------------------------------------------------------------------
// Calls
// ---------------------------------------------------------------------------------------------------------------------

/**
 * The six calls, each as the list of its alternatives: a call of a user or of a visitor, a page with or without a name.
 * Alternatives, and not rules about a whole, so that the compiler refuses what the API would.
 */
const alternatives = <D extends Schema.Constraint, I extends Schema.Constraint, T extends Schema.Constraint>(
  data: D,
  integrations: I,
  time: T
) => {
  const common = {
    messageId: Schema.optional(MessageId),
    timestamp: Schema.optional(time),
    context: Schema.optional(data),
    integrations: Schema.optional(integrations)
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
  const traits = { traits: Schema.optional(data) }
  const properties = { properties: Schema.optional(data) }
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
  const seen = [
    Schema.Struct({ ...user, ...named }),
    Schema.Struct({ ...visitor, ...named }),
    Schema.Struct({ ...user, ...unnamed }),
    Schema.Struct({ ...visitor, ...unnamed })
  ] as const
  const group = { ...traits, groupId: Id }
  const track = { ...properties, event: NonBlank }
  return {
    identify: [Schema.Struct({ ...user, ...traits }), Schema.Struct({ ...visitor, ...traits })],
    track: [Schema.Struct({ ...user, ...track }), Schema.Struct({ ...visitor, ...track })],
    page: seen,
    screen: seen,
    group: [Schema.Struct({ ...user, ...group }), Schema.Struct({ ...visitor, ...group })],
    alias: [Schema.Struct({ ...user, previousId: Id })]
  } as const
}

const said = () => {
  // ISO 8601 has four digits for a year.
  const [minimum, maximum] = [new Date("0000-01-01T00:00:00Z"), new Date("9999-12-31T23:59:59.999Z")] as const
  const isCommon = Schema.makeFilter(
    ({ epochMilliseconds }: { readonly epochMilliseconds: number }) =>
      epochMilliseconds >= minimum.getTime() && epochMilliseconds <= maximum.getTime()
  )
  const time = Schema.Union([
    Schema.Date.check(Schema.isBetweenDate({ minimum, maximum })),
    Schema.DateTimeUtc.check(isCommon),
    Schema.DateTimeZoned.check(isCommon),
    Iso
  ])
  return alternatives(Data, Integrations, time)
}

/** Who a user is: `traits`. */
export const Identify = /* @__PURE__ */ lazily(() => Schema.Union(said().identify))
export type Identify = typeof Identify.Type
/** What a user did: `event`, `properties`. */
export const Track = /* @__PURE__ */ lazily(() => Schema.Union(said().track))
export type Track = typeof Track.Type
/** The page a user saw. A `category` needs a `name`. */
export const Page = /* @__PURE__ */ lazily(() => Schema.Union(said().page))
export type Page = typeof Page.Type
/** The screen of an app a user saw. A `category` needs a `name`. */
export const Screen = /* @__PURE__ */ lazily(() => Schema.Union(said().screen))
export type Screen = typeof Screen.Type
/** The group (company, account) a user belongs to: `groupId`, `traits`. */
export const Group = /* @__PURE__ */ lazily(() => Schema.Union(said().group))
export type Group = typeof Group.Type
/** Joins two ids of one user: `previousId`, and `userId`, the new one. */
export const Alias = /* @__PURE__ */ lazily(() => Schema.Union(said().alias))
export type Alias = typeof Alias.Type

/** The calls by name. */
export interface Calls {
  readonly identify: Identify
  readonly track: Track
  readonly page: Page
  readonly screen: Screen
  readonly group: Group
  readonly alias: Alias
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

const parsers = (() => {
  const schemas = alternatives(Opaque, Switches, Time)
  const parse = (alternative: Schema.Codec<unknown, unknown>) => SchemaParser.decodeUnknownResult(alternative)
  return Object.fromEntries(types.map((type) => [type, schemas[type].map(parse)])) as unknown as {
    readonly [K in Type]: ReadonlyArray<(input: unknown) => Result.Result<unknown, SchemaIssue.Issue>>
  }
})()

/** Finds what is wrong with a call, of which `data` is a copy made by `Json.copy`. */
export const check = (type: Type, data: Data): InvalidCall | undefined => {
  // The alternative is chosen by what is there: one is tried, and the error is about that one.
  const user = data.userId !== undefined ? 0 : 1
  const unnamed =
    (type === "page" || type === "screen") && data.name === undefined && data.category === undefined ? 2 : 0
  const parse = parsers[type][Math.min(user + unnamed, parsers[type].length - 1)]
  const result = parse?.(data)
  return result === undefined || Result.isSuccess(result) ? undefined : explain(type, result.failure)
}

const format = SchemaIssue.makeFormatterDefault()

/** A call that could not be copied. */
export const refuse = (type: Type, { path, problem, size }: Json.Fault): InvalidCall =>
  new InvalidCall({ call: type, path, problem, ...(size === undefined ? {} : { size, limit: limits.messageBytes }) })

/** The first thing that is wrong, and where; never the value. */
const explain = (type: Type, issue: SchemaIssue.Issue): InvalidCall => {
  const path: Array<string | number> = []
  let at = issue
  while (true) {
    if (at._tag === "Pointer") path.push(...at.path.map((key) => (typeof key === "number" ? key : String(key))))
    const inner = at._tag === "Pointer" || at._tag === "Encoding" ? at.issue : "issues" in at ? at.issues[0] : undefined
    if (inner === undefined) return new InvalidCall({ call: type, path, problem: format(at) })
    at = inner
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Wire
// ---------------------------------------------------------------------------------------------------------------------

const wire = <const T extends Type, const Fields extends Schema.Struct.Fields>(type: T, fields: Fields) =>
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
export const Wire = /* @__PURE__ */ lazily(() =>
  Schema.Union([
    wire("identify", { traits: Data }),
    wire("track", { event: NonBlank, properties: Data }),
    wire("page", { name: Schema.optionalKey(NonBlank), category: Schema.optionalKey(NonBlank), properties: Data }),
    wire("screen", { name: Schema.optionalKey(NonBlank), category: Schema.optionalKey(NonBlank), properties: Data }),
    wire("group", { groupId: NonBlank, traits: Data }),
    wire("alias", { userId: NonBlank, previousId: NonBlank })
  ])
)
export type Wire = typeof Wire.Type

/** The body of a request. */
export const Request = /* @__PURE__ */ lazily(() =>
  Schema.Struct({
    batch: Schema.Array(Wire),
    writeKey: Schema.String,
    sentAt: Iso
  })
)
export type Request = typeof Request.Type

/** The same text, as it goes over the wire, and not as a part of a longer one that it would keep in memory. */
const own = (text: string): string => JSON.parse(JSON.stringify(text.toWellFormed()))

/** Puts on a valid call what the protocol wants on it. `data` is a copy, and not used after. */
export const stamp = (type: Type, data: Data, timestamp: () => string, messageId: () => string): Wire => {
  const message: Record<string, unknown> = {
    type,
    messageId: data.messageId ?? messageId(),
    timestamp: data.timestamp ?? timestamp(),
    ...data,
    context: { ...data.context, library }
  }
  message.type = type
  if (data.messageId !== undefined) message.messageId = own(data.messageId)
  for (const id of ["userId", "anonymousId", "groupId", "previousId"]) {
    if (typeof message[id] === "number") message[id] = String(message[id])
  }
  if (type === "identify" || type === "group") message.traits ??= {}
  else if (type !== "alias") message.properties ??= {}
  if (data.integrations?.all !== undefined) {
    // As old documents have it; the API knows `All`.
    const { all, ...others } = data.integrations
    message.integrations = { All: all, ...others }
  }
  return message as unknown as Wire
}

// ---------------------------------------------------------------------------------------------------------------------
// Message
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Whom a message is about, as a number of 32 bits, by FNV-1a; a number, since a text could hold on to a longer one. Outboxes
 * keep users in order by it: every process must come to the same, and those of later releases too.
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
  return hash >>> 0
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
