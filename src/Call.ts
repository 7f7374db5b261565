/**
 * The six calls, as Schemas. They are the only rules about a call: the client, the test layers, the collector and the
 * command line check calls with them, and the types that a program sees are held to them.
 */
import * as DateTime from "effect/DateTime"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import type * as Types from "./CallTypes.ts"
import type { Type } from "./CallTypes.ts"
import { isData } from "./internal/Json.ts"
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
const neededId = Id.annotateKey({ messageMissingKey: `is missing: it must be ${id}` })

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
export const Data = Schema.ObjectKeyword.pipe(Schema.refine(isData)).annotate({ expected: "an object" })

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
const user = { ...common, userId: neededId, anonymousId: optional(Id) }
const visitor = {
  ...common,
  userId: optional(Id),
  anonymousId: Id.annotateKey({ messageMissingKey: "is missing, and so is userId: a call needs one of the two" })
}
const traits = { traits: optional(Data) }
const properties = { properties: optional(Data) }
const event = NonBlank.annotateKey({ messageMissingKey: "is missing: it must be a string that is not blank" })
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

/** Who a user is: `traits`. @category schemas @since 0.1.0 */
export const Identify = Schema.Union([Schema.Struct({ ...user, ...traits }), Schema.Struct({ ...visitor, ...traits })])
/** What a user did: `event`, `properties`. @category schemas @since 0.1.0 */
export const Track = Schema.Union([
  Schema.Struct({ ...user, ...properties, event }),
  Schema.Struct({ ...visitor, ...properties, event })
])
/** The page that a user saw. A `category` needs a `name`. @category schemas @since 0.1.0 */
export const Page = Schema.Union([
  Schema.Struct({ ...user, ...uncategorized }),
  Schema.Struct({ ...visitor, ...uncategorized }),
  Schema.Struct({ ...user, ...named }),
  Schema.Struct({ ...visitor, ...named })
])
/** The screen of an app that a user saw. A `category` needs a `name`. @category schemas @since 0.1.0 */
export const Screen: typeof Page = Page
/** The group (company, account) that a user belongs to: `groupId`, `traits`. @category schemas @since 0.1.0 */
export const Group = Schema.Union([
  Schema.Struct({ ...user, ...traits, groupId: neededId }),
  Schema.Struct({ ...visitor, ...traits, groupId: neededId })
])
/** Joins two ids of one user: `previousId`, and `userId`, the new one. @category schemas @since 0.1.0 */
export const Alias = Schema.Struct({ ...user, previousId: neededId })

/** The Schemas by the name of the call. @category constants @since 0.1.0 */
export const schemas: {
  readonly identify: typeof Identify
  readonly track: typeof Track
  readonly page: typeof Page
  readonly screen: typeof Screen
  readonly group: typeof Group
  readonly alias: typeof Alias
} = { identify: Identify, track: Track, page: Page, screen: Screen, group: Group, alias: Alias }

/**
 * @internal The alternatives of each call: of a user, and of a visitor; for views then the same with a category.
 */
export const alternatives = {
  identify: Identify.members,
  track: Track.members,
  page: Page.members,
  screen: Screen.members,
  group: Group.members,
  alias: [Alias]
} as const

/** @internal The fields that hold ids. */
export const idFields = ["userId", "anonymousId", "groupId", "previousId"]

/** @internal The name of the event, page or screen that a call is about. */
export const nameOf = ({ event, name, type }: Data): string | undefined => {
  const given = type === "track" ? event : type === "page" || type === "screen" ? name : undefined
  return typeof given === "string" ? given : undefined
}

/** @internal The field that holds the data of a call. */
export const dataKey = (type: Type): "traits" | "properties" =>
  type === "identify" || type === "group" ? "traits" : "properties"
