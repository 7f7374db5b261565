/**
 * The six calls, as Schemas. They are the only rules about a call: the client, the test layers, the collector and the
 * command line check calls with them, and the types that a program sees are held to them.
 */

import * as DateTime from "effect/DateTime"
import * as Record from "effect/Record"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import type * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaParser from "effect/SchemaParser"
import * as SchemaTransformation from "effect/SchemaTransformation"
import { InvalidCall } from "./AnalyticsError.ts"
import type * as Types from "./CallTypes.ts"
import type { Type } from "./CallTypes.ts"
import { firstProblem, typeOf } from "./internal/Issue.ts"
import * as Json from "./internal/Json.ts"
import { isIso } from "./internal/Time.ts"
import { limits } from "./Settings.ts"

export type {
  AliasFields,
  Any,
  Calls,
  CommonFields,
  ContextFields,
  GroupFields,
  GroupTraits,
  IdentifyFields,
  NamedViewFields,
  PageFields,
  TrackFields,
  Type,
  UncategorizedViewFields,
  UserIdentity,
  UserIdOrAnonymousId,
  UserTraits,
  VisitorIdentity,
  WithOptionalIdentity
} from "./CallTypes.ts"

// The Schemas below have the same names.
export type Id = Types.Id
export type Data = Types.Data
export type Integrations = Types.Integrations
export type Identify = Types.Identify
export type Track = Types.Track
export type Page = Types.Page
export type Screen = Types.Screen
export type Group = Types.Group
export type Alias = Types.Alias

/** The types of calls. @category constants @since 0.1.0 */
export const types = ["identify", "track", "page", "screen", "group", "alias"] as const satisfies ReadonlyArray<Type>

/** The same for each of the six calls. @category checking @since 0.1.0 */
export const byType = <A>(make: (type: Type) => A): { readonly [T in Type]: A } => ({
  identify: make("identify"),
  track: make("track"),
  page: make("page"),
  screen: make("screen"),
  group: make("group"),
  alias: make("alias")
})

// ---------------------------------------------------------------------------------------------------------------------
// Fields
// ---------------------------------------------------------------------------------------------------------------------

/** A text with something in it. @category schemas @since 0.1.0 */
export const NonBlank = Schema.String.check(Schema.isPattern(/\S/)).annotate({ expected: "a string that is not blank" })

const SafeInteger = Schema.Number.check(Schema.makeFilter(Number.isSafeInteger))

const id = "a string that is not blank, or a whole number up to 2^53 - 1 (write larger ones as strings)"
/** The Schema of `Id`. @category schemas @since 0.1.0 */
export const Id = Schema.Union([NonBlank, SafeInteger, Schema.BigInt]).annotate({ expected: id })

/**
 * The id by which the API removes duplicates, within about a day: 1 to 100 characters.
 * @category schemas @since 0.1.0
 */
export const MessageId = Schema.String.check(Schema.isBetweenLength(1, limits.messageId)).annotate({
  expected: `a string of 1 to ${limits.messageId} characters`
})

const time = "a Date, a DateTime or an ISO 8601 string"
/** A time as ISO 8601 writes it. @category schemas @since 0.1.0 */
export const Iso = Schema.String.check(Schema.makeFilter(isIso)).annotate({ expected: time })

// ISO 8601 has four digits for a year.
const [minimum, maximum] = [new Date("0000-01-01T00:00:00Z"), new Date("9999-12-31T23:59:59.999Z")] as const
const hasFourDigitYear = Schema.makeFilter(
  ({ epochMilliseconds }: { readonly epochMilliseconds: number }) =>
    epochMilliseconds >= minimum.getTime() && epochMilliseconds <= maximum.getTime()
)
const Time = Schema.Union([
  Iso,
  Schema.Date.check(Schema.isBetweenDate({ minimum, maximum })),
  // Not the Schemas of effect: they bring the reading of time zones into every bundle.
  Schema.declare(DateTime.isDateTime, {
    toCodecArbitrary: () => Schema.link<DateTime.DateTime>()(Schema.Never, SchemaTransformation.passthrough() as never)
  }).check(hasFourDigitYear)
]).annotate({ expected: time })

/**
 * The Schema of `Data`. It does not look inside: a copy that `Json.copy` made holds nothing but JSON.
 * @category schemas @since 0.1.0
 */
export const Data = Schema.ObjectKeyword.pipe(Schema.refine(Json.isData)).annotate({ expected: "an object" })

/** The Schema of `Integrations`. @category schemas @since 0.1.0 */
export const Integrations = Schema.Record(
  Schema.String,
  Schema.Union([Schema.Boolean, Data]).annotate({ expected: "true, false or an object" })
).annotate({ expected: "an object" })

const optional = <S extends Schema.Top>(schema: S) => Schema.optional(Schema.NullOr(schema))

const common = {
  messageId: optional(MessageId),
  timestamp: optional(Time),
  context: optional(Data),
  integrations: optional(Integrations)
}
const noIdentity = "is missing, and so is userId: a call needs one of the two"
const user = { ...common, userId: Id, anonymousId: optional(Id) }
const visitor = { ...common, userId: optional(Id), anonymousId: Id.annotateKey({ messageMissingKey: noIdentity }) }
const traits = { traits: optional(Data) }
const properties = { properties: optional(Data) }
const named = {
  ...properties,
  name: NonBlank.annotateKey({ messageMissingKey: "is missing: a category needs a name" }),
  category: optional(NonBlank)
}
const uncategorized = { ...properties, name: optional(NonBlank), category: optional(Schema.Never) }

// ---------------------------------------------------------------------------------------------------------------------
// Calls
// ---------------------------------------------------------------------------------------------------------------------

// Each Schema is the union of its alternatives: a call about a user or a visitor, a view with or without a category. So the
// compiler refuses the same calls, and generated examples need no filter.

const identifyUser = Schema.Struct({ ...user, ...traits })
const identifyVisitor = Schema.Struct({ ...visitor, ...traits })
const trackUser = Schema.Struct({ ...user, ...properties, event: NonBlank })
const trackVisitor = Schema.Struct({ ...visitor, ...properties, event: NonBlank })
const viewUser = Schema.Struct({ ...user, ...uncategorized })
const viewVisitor = Schema.Struct({ ...visitor, ...uncategorized })
const categorizedViewUser = Schema.Struct({ ...user, ...named })
const categorizedViewVisitor = Schema.Struct({ ...visitor, ...named })
const groupUser = Schema.Struct({ ...user, ...traits, groupId: Id })
const groupVisitor = Schema.Struct({ ...visitor, ...traits, groupId: Id })
const aliasUser = Schema.Struct({ ...user, previousId: Id })

/** Who a user is: `traits`. @category schemas @since 0.1.0 */
export const Identify = Schema.Union([identifyUser, identifyVisitor])
/** What a user did: `event`, `properties`. @category schemas @since 0.1.0 */
export const Track = Schema.Union([trackUser, trackVisitor])
/** The page that a user saw. A `category` needs a `name`. @category schemas @since 0.1.0 */
export const Page = Schema.Union([viewUser, viewVisitor, categorizedViewUser, categorizedViewVisitor])
/** The screen of an app that a user saw. A `category` needs a `name`. @category schemas @since 0.1.0 */
export const Screen: typeof Page = Page
/** The group (company, account) that a user belongs to: `groupId`, `traits`. @category schemas @since 0.1.0 */
export const Group = Schema.Union([groupUser, groupVisitor])
/** Joins two ids of one user: `previousId`, and `userId`, the new one. @category schemas @since 0.1.0 */
export const Alias = aliasUser

/** The Schemas by the name of the call. @category constants @since 0.1.0 */
export const schemas: {
  readonly identify: typeof Identify
  readonly track: typeof Track
  readonly page: typeof Page
  readonly screen: typeof Screen
  readonly group: typeof Group
  readonly alias: typeof Alias
} = { identify: Identify, track: Track, page: Page, screen: Screen, group: Group, alias: Alias }

// ---------------------------------------------------------------------------------------------------------------------
// Check
// ---------------------------------------------------------------------------------------------------------------------

/** The alternatives of each call: of a user, of a visitor; then, for views, the same with a category. */
const alternatives = {
  identify: [identifyUser, identifyVisitor],
  track: [trackUser, trackVisitor],
  page: Page.members,
  screen: Page.members,
  group: [groupUser, groupVisitor],
  alias: [aliasUser]
} as const

type OptionalField = ReturnType<typeof optional<Schema.Top>>

/**
 * For a copy that `Json.copy` made, without nulls: times are texts there, and what is absent has no key. So the compiler makes
 * one short function of it.
 */
const ofCopy = ({ fields }: { readonly fields: Schema.Struct.Fields }) =>
  Schema.Struct({
    ...Record.map(fields as Readonly<Record<string, Schema.Top>>, (field) =>
      SchemaAST.isOptional(field.ast)
        ? Schema.optionalKey((field as OptionalField).schema.members[0].members[0])
        : field
    ),
    timestamp: Schema.optionalKey(Iso)
  })

// Exported for the compiler alone: it finds Schemas by their export.
/** @internal */
export const IdentifyUserCopy = ofCopy(identifyUser)
/** @internal */
export const IdentifyVisitorCopy = ofCopy(identifyVisitor)
/** @internal */
export const TrackUserCopy = ofCopy(trackUser)
/** @internal */
export const TrackVisitorCopy = ofCopy(trackVisitor)
/** @internal */
export const ViewUserCopy = ofCopy(viewUser)
/** @internal */
export const ViewVisitorCopy = ofCopy(viewVisitor)
/** @internal */
export const CategorizedViewUserCopy = ofCopy(categorizedViewUser)
/** @internal */
export const CategorizedViewVisitorCopy = ofCopy(categorizedViewVisitor)
/** @internal */
export const GroupUserCopy = ofCopy(groupUser)
/** @internal */
export const GroupVisitorCopy = ofCopy(groupVisitor)
/** @internal */
export const AliasCopy = ofCopy(aliasUser)

const viewCopies = [ViewUserCopy, ViewVisitorCopy, CategorizedViewUserCopy, CategorizedViewVisitorCopy]
/** @internal What calls are checked with: the alternatives of each call, for copies. */
export const copies: { readonly [T in Type]: ReadonlyArray<Schema.Top> } = {
  identify: [IdentifyUserCopy, IdentifyVisitorCopy],
  track: [TrackUserCopy, TrackVisitorCopy],
  page: viewCopies,
  screen: viewCopies,
  group: [GroupUserCopy, GroupVisitorCopy],
  alias: [AliasCopy]
}

// Made when the first call is checked: by then the compiled Schemas of the published package are installed.
const parsers = byType((type) => {
  let made: ReadonlyArray<ReturnType<typeof parser>> | undefined
  return () => {
    made ??= copies[type].map(parser)
    return made
  }
})
const parser = (schema: Schema.Top) => ({
  isValid: SchemaParser.is(schema as Schema.Codec<unknown>),
  decode: SchemaParser.decodeUnknownResult(schema as Schema.Codec<unknown>)
})

const optionalFields = new Set([
  "userId",
  "anonymousId",
  "messageId",
  "timestamp",
  "context",
  "integrations",
  "properties",
  "traits",
  "name",
  "category"
])

/**
 * Data without the optional fields that are `null`: they mean the same as absent ones. The same object if there are none.
 * @category combinators @since 0.1.0
 */
export const withoutNulls = (data: Data): Data => {
  for (const name in data) {
    if (data[name] !== null || !optionalFields.has(name)) continue
    return Object.fromEntries(
      Object.entries(data).filter(([field, value]) => value !== null || !optionalFields.has(field))
    )
  }
  return data
}

/** The alternative that a call means, by the fields that are there: the error is about that one. */
const alternativeOf = (type: Type, data: Data): number => {
  const visitor = data.userId === undefined ? 1 : 0
  if (type === "alias") return 0
  return (type === "page" || type === "screen") && data.category !== undefined ? visitor + 2 : visitor
}

/**
 * Finds the first thing that is wrong with a call. `data` is a copy made by `Json.copy`, without nulls (`withoutNulls`). The error names the field and the
 * type of its value, never the value.
 * @category checking @since 0.1.0
 */
export const check = (type: Type, data: Data): InvalidCall | undefined => {
  const alternative = parsers[type]()[alternativeOf(type, data)]
  if (alternative === undefined || alternative.isValid(data)) return undefined
  const result = alternative.decode(data)
  return Result.isSuccess(result) ? undefined : refuse(type, errorOf(result.failure, data), data)
}

/** The error of a call that cannot be sent. @category checking @since 0.1.0 */
export const refuse = (type: Type, { path, problem, size }: Json.JsonError, data?: Data): InvalidCall =>
  new InvalidCall({
    call: type,
    path,
    problem: problem + hintOf(path, problem, data),
    ...(typeof data?.event === "string" && type === "track" && path[0] !== "event"
      ? { event: data.event.slice(0, 100) }
      : {}),
    ...(size === undefined ? {} : { size, limit: limits.messageBytes })
  })

/**
 * The error of a call that is no object: mostly one with the arguments of another SDK.
 * @category checking @since 0.1.0
 */
export const notAnObject = (type: Type, value: unknown): Json.JsonError =>
  new Json.JsonError(`the call must be one object, ${examples[type]}; it is ${typeOf(value)}`, [])

const examples: { readonly [T in Type]: string } = {
  identify: "{ userId, traits }",
  track: "{ userId, event, properties }",
  page: "{ userId, name, properties }",
  screen: "{ userId, name, properties }",
  group: "{ userId, groupId, traits }",
  alias: "{ userId, previousId }"
}

// ---------------------------------------------------------------------------------------------------------------------
// Slips
// ---------------------------------------------------------------------------------------------------------------------

const known = byType(
  (type) =>
    new Set([
      ...["type", "channel", "version", "sentAt", "receivedAt", "originalTimestamp"],
      ...alternatives[type].flatMap((schema) => Object.keys(schema.fields))
    ])
)
const ids = ["userId", "anonymousId", "groupId", "previousId"]
const textsOfNothing = new Set(["undefined", "null", "NaN", "[object Object]"])
const noSlips: ReadonlyArray<string> = []

/** Fields and ids that are accepted, but were hardly meant. @category checking @since 0.1.0 */
export const slipsOf = (type: Type, data: Data): ReadonlyArray<string> => {
  let slips = noSlips
  const fields = known[type]
  for (const name in data) {
    if (!fields.has(name) && !name.startsWith("_")) {
      const meant = meantBy(name)
      slips = [
        ...slips,
        `${type}: ${name} is no field of this call${meant === undefined ? "" : ` (did you mean ${meant}?)`}`
      ]
    }
  }
  for (const name of ids) {
    const value = data[name]
    if (typeof value === "string" && textsOfNothing.has(value))
      slips = [...slips, `${type}: ${name} is the text "${value}"`]
  }
  return slips
}

// ---------------------------------------------------------------------------------------------------------------------
// Words of errors
// ---------------------------------------------------------------------------------------------------------------------

/** The first field that is wrong, in words. */
const errorOf = (issue: SchemaIssue.Issue, data: Data): Json.JsonError => {
  const { expected, isMissing, path, value } = firstProblem(issue, data)
  // A value of the caller's that has no JSON form is `null` in the copy.
  if (isMissing || (value === null && path.length === 1)) {
    return new Json.JsonError((isMissing ? expected : undefined) ?? missing(String(path.at(-1))), path)
  }
  return new Json.JsonError(
    `must be ${expected ?? "another value"}; it is ${typeOf(value)}${timeHint(path, value)}`,
    path
  )
}

const missing = (field: string): string => {
  if (field === "anonymousId") return noIdentity
  if (field === "name") return "is missing: a category needs a name"
  return field === "event" ? "is missing: it must be a string that is not blank" : `is missing: it must be ${id}`
}

/** Later than this, in milliseconds since 1970, is a number of milliseconds; earlier, of seconds. */
const firstMillis = 100_000_000_000

const timeHint = (path: ReadonlyArray<string | number>, value: unknown): string => {
  if (path[0] !== "timestamp") return ""
  if (typeof value === "string") return " that is no such time"
  if (typeof value !== "number") return ""
  return Math.abs(value) < firstMillis ? " (seconds? use new Date(1000 * …))" : " (milliseconds? use new Date(…))"
}

/** Names of fields as other SDKs and databases write them: `user_id`, `userID`, `UserId`. */
const normalize = (name: string) => name.replace(/[^a-zA-Z]/g, "").toLowerCase()
const fieldNames = new Map(
  ["userId", "anonymousId", "previousId", "groupId", "event", "messageId", "timestamp", "name", "category"].map(
    (name) => [normalize(name), name]
  )
)
fieldNames.set("eventname", "event")

/** The field that a name most likely means, if it is none itself. @category checking @since 0.1.0 */
export const meantBy = (name: string): string | undefined => {
  const meant = fieldNames.get(normalize(name))
  return meant === name ? undefined : meant
}

const hintOf = (path: ReadonlyArray<string | number>, problem: string, data: Data | undefined): string => {
  if (data === undefined || !problem.startsWith("is missing")) return ""
  const wanted = path[0] === "anonymousId" ? ["anonymousId", "userId"] : [path[0]]
  const slip = Object.keys(data).find((name) => wanted.includes(meantBy(name)))
  return slip === undefined ? "" : ` (did you mean ${meantBy(slip)} by ${slip}?)`
}

/** @internal The name of the event, page or screen that a call is about. */
export const nameOf = ({ event, name, type }: Data): string | undefined => {
  const given = type === "track" ? event : type === "page" || type === "screen" ? name : undefined
  return typeof given === "string" ? given : undefined
}

/** @internal The field that holds the data of a call. */
export const dataKey = (type: Type): "traits" | "properties" =>
  type === "identify" || type === "group" ? "traits" : "properties"
