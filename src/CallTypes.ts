/**
 * The types of the six calls and of the messages that are made of them. They name nothing of another package: the declarations
 * of the plain face consist of them. `Call` and `Message` hold the Schemas, which accept the same.
 */
import type { Data } from "./internal/Json.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Calls
// ---------------------------------------------------------------------------------------------------------------------

/** The id of a user, a visitor or a group: a string that is not blank, or a whole number. Numbers become strings on the wire. */
export type Id = string | number | bigint

/** Properties, traits, context: an object of whatever JSON can hold. `Json.copy` lists what becomes of other values. */
export type { Data } from "./internal/Json.ts"

/** The destinations that get a message: `{ All: false, KISSmetrics: true }`. A destination's options are an object. */
export interface Integrations {
  /** The default for all destinations that are not named. */
  readonly All?: boolean | undefined
  // biome-ignore lint/suspicious/noExplicitAny: `boolean | Data` would refuse interfaces without an index signature
  readonly [destination: string]: any
}

/** A `DateTime` of Effect, by what it is made of: these types name nothing of another package. */
export interface DateTime {
  readonly _tag: "Utc" | "Zoned"
  readonly epochMilliseconds: number
}

/** The fields that all calls have. `null` in an optional field means that it is absent. */
export interface CommonFields {
  /**
   * The id by which the API removes duplicates, within about a day: 1 to 100 characters.
   * @default a UUID of version 7
   */
  readonly messageId?: string | null | undefined
  /**
   * The time of the event: a `Date`, a `DateTime` or an ISO 8601 string. For events of the past.
   * @default the time of the call
   */
  readonly timestamp?: Date | DateTime | string | null | undefined
  /** What is known of the circumstances: `ip`, `userAgent`, `page`, `locale`, … `context.library` is set by the client. */
  readonly context?: Data | null | undefined
  /** The destinations that get this message: `{ All: false, KISSmetrics: true }`. */
  readonly integrations?: Integrations | null | undefined
}

/** A call about a user who is known. */
export interface UserIdentity {
  /** The id of the user in your database: a string that is not blank, or a whole number. */
  readonly userId: Id
  /** The id of the visitor that the user was before, e.g. from a cookie. */
  readonly anonymousId?: Id | null | undefined
}

/** A call about a visitor who has not said who they are. */
export interface VisitorIdentity {
  /** The id of the user in your database: a string that is not blank, or a whole number. */
  readonly userId?: Id | null | undefined
  /** The id of the visitor, e.g. from a cookie: a string that is not blank, or a whole number. */
  readonly anonymousId: Id
}

/** Whom a call is about: a `userId`, an `anonymousId`, or both. The compiler names it where both are missing. */
export type UserIdOrAnonymousId = UserIdentity | VisitorIdentity

export interface IdentifyFields extends CommonFields {
  /** What is known of the user: `email`, `name`, `plan`, … */
  readonly traits?: Data | null | undefined
}

export interface TrackFields extends CommonFields {
  /** The name of the event, e.g. `"Order Completed"`. Not blank. */
  readonly event: string
  /** What is known of the event: `{ orderId: "4711", total: 27.5 }`. */
  readonly properties?: Data | null | undefined
}

interface ViewFields extends CommonFields {
  /** What is known of the page or screen: `url`, `title`, `referrer`, … */
  readonly properties?: Data | null | undefined
}

/** A view with a name, and a category if it has one. */
export interface NamedViewFields extends ViewFields {
  /** The name of the page or screen, e.g. `"Pricing"`. Not blank. */
  readonly name: string
  /** The category of the page or screen, e.g. `"Docs"`. Needs a `name`. */
  readonly category?: string | null | undefined
}

/** A view without a category. */
export interface UncategorizedViewFields extends ViewFields {
  /** The name of the page or screen, e.g. `"Pricing"`. Not blank. */
  readonly name?: string | null | undefined
  /** The category of the page or screen needs a `name`. */
  readonly category?: null | undefined
}

export type PageFields = NamedViewFields | UncategorizedViewFields

export interface GroupFields extends CommonFields {
  /** The id of the group (company, account, team): a string that is not blank, or a whole number. */
  readonly groupId: Id
  /** What is known of the group: `name`, `employees`, `plan`, … */
  readonly traits?: Data | null | undefined
}

export interface AliasFields extends CommonFields {
  /** The id that the user had before. */
  readonly previousId: Id
}

/** The calls by name. */
interface CallByType {
  readonly identify: IdentifyFields & UserIdOrAnonymousId
  readonly track: TrackFields & UserIdOrAnonymousId
  readonly page: PageFields & UserIdOrAnonymousId
  readonly screen: PageFields & UserIdOrAnonymousId
  readonly group: GroupFields & UserIdOrAnonymousId
  readonly alias: AliasFields & UserIdentity
}

export type { CallByType as Calls }

// By their place in `CallByType`: so the messages of the compiler have the names of the parts, which say what is missing.

/** Who a user is: `traits`. */
export type Identify = CallByType["identify"]
/** What a user did: `event`, `properties`. */
export type Track = CallByType["track"]
/** The page that a user saw. A `category` needs a `name`. */
export type Page = CallByType["page"]
/** The screen of an app that a user saw. A `category` needs a `name`. */
export type Screen = CallByType["screen"]
/** The group (company, account) that a user belongs to: `groupId`, `traits`. */
export type Group = CallByType["group"]
/** Joins two ids of one user: `previousId`, and `userId`, the new one. */
export type Alias = CallByType["alias"]

type CallType = keyof CallByType

export type { CallType as Type }

/** A call with its type: an element of a stream of calls. */
export type Any = { readonly [T in CallType]: { readonly type: T } & CallByType[T] }[CallType]

/** A call that may leave out whom it is about, because an identity around it says so. */
export type WithOptionalIdentity<Call> = Call extends unknown
  ? Omit<Call, "userId" | "anonymousId"> & {
      readonly userId?: Id | null | undefined
      readonly anonymousId?: Id | null | undefined
    }
  : never

// ---------------------------------------------------------------------------------------------------------------------
// Wire
// ---------------------------------------------------------------------------------------------------------------------

interface WireFields {
  readonly messageId: string
  /** ISO 8601. */
  readonly timestamp: string
  readonly userId?: string
  readonly anonymousId?: string
  readonly context: Data
  readonly integrations?: Integrations
}
interface WireViewFields extends WireFields {
  readonly name?: string
  readonly category?: string
  readonly properties: Data
}
export interface IdentifyWire extends WireFields {
  readonly type: "identify"
  readonly traits: Data
}
export interface TrackWire extends WireFields {
  readonly type: "track"
  readonly event: string
  readonly properties: Data
}
export interface PageWire extends WireViewFields {
  readonly type: "page"
}
export interface ScreenWire extends WireViewFields {
  readonly type: "screen"
}
export interface GroupWire extends WireFields {
  readonly type: "group"
  readonly groupId: string
  readonly traits: Data
}
export interface AliasWire extends WireFields {
  readonly type: "alias"
  readonly userId: string
  readonly previousId: string
}
/** A message as it goes over the wire: ids are strings, times are ISO strings, everything in it is plain JSON. */
export type Wire = IdentifyWire | TrackWire | PageWire | ScreenWire | GroupWire | AliasWire

/** The body of a request. */
export interface Request {
  readonly batch: ReadonlyArray<Wire>
  readonly writeKey: string
  /** ISO 8601. */
  readonly sentAt: string
}
