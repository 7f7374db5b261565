/**
 * The types of the six calls and of the messages that are made of them. They name nothing of another package: the declarations
 * of the plain face consist of them. `Call` and `Message` hold the Schemas, which accept the same.
 */
import type { Data } from "./internal/Json.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Calls
// ---------------------------------------------------------------------------------------------------------------------

/**
 * The id of a user, a visitor or a group: a string that is not blank, or a whole number. Numbers become strings on the wire.
 * @category models @since 0.1.0
 */
export type Id = string | number | bigint

/** Properties, traits, context: an object of whatever JSON can hold. `Json.copy` lists what becomes of other values. */
export type { Data } from "./internal/Json.ts"

/**
 * The destinations that get a message: `{ All: false, KISSmetrics: true }`. A destination's options are an object.
 * @category models @since 0.1.0
 */
export interface Integrations {
  /** The default for all destinations that are not named. */
  readonly All?: boolean | undefined
  // biome-ignore lint/suspicious/noExplicitAny: `boolean | Data` would refuse interfaces without an index signature
  readonly [destination: string]: any
}

/**
 * A `DateTime` of Effect, by what it is made of: these types name nothing of another package.
 * @category models @since 0.1.0
 */
export interface DateTime {
  readonly _tag: "Utc" | "Zoned"
  readonly epochMilliseconds: number
}

/**
 * A point in time: a `Date`, a `DateTime` of Effect, or an ISO 8601 string such as `"2026-01-02T03:04:05Z"`.
 * @category models @since 0.1.0
 */
export type Time = Date | DateTime | string

/**
 * The names of the specification for `context`, all optional. Further names are taken as they are.
 * @category models @since 0.1.0
 */
export interface ContextFields extends Data {
  /** Whether the user is active, as opposed to a job that runs for them. */
  readonly active?: boolean | null | undefined
  /** The app: `{ name: "Shop", version: "1.2.0", build: "417" }`. */
  readonly app?: AppContext | null | undefined
  /** The campaign that brought the user: `{ name: "Spring", source: "newsletter", medium: "email" }`. */
  readonly campaign?: CampaignContext | null | undefined
  /** The device: `{ manufacturer: "Apple", model: "iPhone16,1", type: "ios" }`. */
  readonly device?: DeviceContext | null | undefined
  /** The group that the call is about, such as a company, where the user has several: `"g1"`. */
  readonly groupId?: Id | null | undefined
  /** The IP address of the user, not of your server: `"192.0.2.1"`. */
  readonly ip?: string | null | undefined
  /** The language of the user: `"en-GB"`. */
  readonly locale?: string | null | undefined
  /** Where the user is: `{ city: "Bern", country: "Switzerland" }`. */
  readonly location?: LocationContext | null | undefined
  /** The network: `{ carrier: "T-Mobile", wifi: true }`. */
  readonly network?: NetworkContext | null | undefined
  /** The operating system: `{ name: "iOS", version: "19.1" }`. */
  readonly os?: OsContext | null | undefined
  /** The page that the user sees: `{ url: "https://shop.example/cart", title: "Cart" }`. */
  readonly page?: PageContext | null | undefined
  /** How the user came: `{ type: "dataxu", id: "ABCD582CDEFFFF01919" }`. */
  readonly referrer?: ReferrerContext | null | undefined
  /** The screen of the device: `{ width: 390, height: 844, density: 3 }`. */
  readonly screen?: ScreenContext | null | undefined
  /** The time zone of the user, as in the tz database: `"Europe/Zurich"`. */
  readonly timezone?: string | null | undefined
  /** Traits of the user, for destinations that need them with each call: `{ email: "ada@example.com" }`. */
  readonly traits?: UserTraits | null | undefined
  /** The browser of the user: the header `User-Agent`. */
  readonly userAgent?: string | null | undefined
}

/** The app that a call comes from. @category models @since 0.1.0 */
export interface AppContext extends Data {
  readonly name?: string | null | undefined
  readonly version?: string | null | undefined
  readonly build?: string | number | null | undefined
  readonly namespace?: string | null | undefined
}

/**
 * The campaign that brought the user: the parameters `utm_…` of the address, without `utm_`; `utm_campaign` is `name`.
 * @category models @since 0.1.0
 */
export interface CampaignContext extends Data {
  readonly name?: string | null | undefined
  readonly source?: string | null | undefined
  readonly medium?: string | null | undefined
  readonly term?: string | null | undefined
  readonly content?: string | null | undefined
}

/** The device of the user. @category models @since 0.1.0 */
export interface DeviceContext extends Data {
  readonly id?: string | null | undefined
  readonly advertisingId?: string | null | undefined
  readonly adTrackingEnabled?: boolean | null | undefined
  readonly manufacturer?: string | null | undefined
  readonly model?: string | null | undefined
  readonly name?: string | null | undefined
  readonly type?: string | null | undefined
  readonly version?: string | null | undefined
}

/** Where the user is. @category models @since 0.1.0 */
export interface LocationContext extends Data {
  readonly city?: string | null | undefined
  readonly country?: string | null | undefined
  readonly region?: string | null | undefined
  readonly latitude?: number | string | null | undefined
  readonly longitude?: number | string | null | undefined
  readonly speed?: number | null | undefined
}

/** The network of the user's device. @category models @since 0.1.0 */
export interface NetworkContext extends Data {
  readonly bluetooth?: boolean | null | undefined
  readonly carrier?: string | null | undefined
  readonly cellular?: boolean | null | undefined
  readonly wifi?: boolean | null | undefined
}

/** The operating system of the user's device. @category models @since 0.1.0 */
export interface OsContext extends Data {
  readonly name?: string | null | undefined
  readonly version?: string | null | undefined
}

/** The page that the user sees. @category models @since 0.1.0 */
export interface PageContext extends Data {
  readonly path?: string | null | undefined
  readonly referrer?: string | null | undefined
  readonly search?: string | null | undefined
  readonly title?: string | null | undefined
  readonly url?: string | null | undefined
}

/** How the user came. @category models @since 0.1.0 */
export interface ReferrerContext extends Data {
  readonly id?: string | null | undefined
  readonly type?: string | null | undefined
  readonly name?: string | null | undefined
  readonly url?: string | null | undefined
  readonly link?: string | null | undefined
}

/** The screen of the user's device. @category models @since 0.1.0 */
export interface ScreenContext extends Data {
  readonly density?: number | null | undefined
  readonly height?: number | null | undefined
  readonly width?: number | null | undefined
}

/** A postal address, or one line of text. @category models @since 0.1.0 */
export interface Address extends Data {
  readonly city?: string | null | undefined
  readonly country?: string | null | undefined
  readonly postalCode?: string | number | null | undefined
  readonly state?: string | null | undefined
  readonly street?: string | null | undefined
}

/** The traits that the specification has for users and for groups. */
interface CommonTraits extends Data {
  /** The address: `{ city: "Bern", country: "Switzerland" }`. */
  readonly address?: Address | string | null | undefined
  /** The address of a picture: `"https://shop.example/ada.png"`. */
  readonly avatar?: string | null | undefined
  /** The time at which the account was made: a `Date`, an ISO 8601 string, or seconds since 1970. */
  readonly createdAt?: Time | number | null | undefined
  /** A description in words. */
  readonly description?: string | null | undefined
  /** The email address: `"ada@example.com"`. */
  readonly email?: string | null | undefined
  /** The id in your database: the same as `userId` or `groupId`. */
  readonly id?: Id | null | undefined
  /** The full name: `"Ada Lovelace"`. */
  readonly name?: string | null | undefined
  /** The phone number: `"+41 31 000 00 00"`. */
  readonly phone?: string | number | null | undefined
  /** The web site: `"https://ada.example"`. */
  readonly website?: string | null | undefined
}

/**
 * The names of the specification for the traits of a user, all optional. Further names are taken as they are.
 * @category models @since 0.1.0
 */
export interface UserTraits extends CommonTraits {
  /** The age in years. */
  readonly age?: number | string | null | undefined
  /** The birthday: a `Date` or an ISO 8601 string. */
  readonly birthday?: Time | null | undefined
  /** The company: `{ name: "Analytical Engines", plan: "business" }`. */
  readonly company?: Data | string | null | undefined
  /** The first name: `"Ada"`. */
  readonly firstName?: string | null | undefined
  /** The gender. */
  readonly gender?: string | null | undefined
  /** The last name: `"Lovelace"`. */
  readonly lastName?: string | null | undefined
  /** The title, such as the position in a company: `"Engineer"`. */
  readonly title?: string | null | undefined
  /** The name that the user signs in with, unique among all users: `"ada"`. */
  readonly username?: string | null | undefined
}

/**
 * The names of the specification for the traits of a group, all optional. Further names are taken as they are.
 * @category models @since 0.1.0
 */
export interface GroupTraits extends CommonTraits {
  /** The number of employees of a company. */
  readonly employees?: number | string | null | undefined
  /** The industry of a company: `"Technology"`. */
  readonly industry?: string | null | undefined
  /** The plan that the group pays for: `"enterprise"`. */
  readonly plan?: string | null | undefined
}

/**
 * The fields that all calls have. `null` in an optional field means that it is absent.
 * @category models @since 0.1.0
 */
export interface CommonFields {
  /**
   * The id by which the API removes duplicates, within about a day: 1 to 100 characters. One of your own, such as
   * `"order-4711"`, makes a call repeatable.
   * @default a UUID of version 7
   */
  readonly messageId?: string | null | undefined
  /**
   * The time of the event, for events of the past: a `Date`, a `DateTime` of Effect or an ISO 8601 string such as
   * `"2026-01-02T03:04:05Z"`, of the years 0 to 9999.
   * @default the time of the call
   */
  readonly timestamp?: Time | null | undefined
  /**
   * What is known of the circumstances: `{ ip: "192.0.2.1", userAgent: "…", page: { url: "…" } }`. The client sets `library`.
   * Counts towards the 32 KiB of a message.
   */
  readonly context?: ContextFields | null | undefined
  /**
   * The destinations that get this message: `{ All: false, KISSmetrics: true }`. A destination is a boolean, or an object of
   * its options.
   * @default all that are turned on for the source
   */
  readonly integrations?: Integrations | null | undefined
}

/** A call about a user who is known. @category models @since 0.1.0 */
export interface UserIdentity {
  /** The id of the user in your database: `"u1"`, a string that is not blank, or a whole number (a `bigint` above 2^53 - 1). */
  readonly userId: Id
  /** The id of the visitor that the user was before, such as a UUID in a cookie: a string that is not blank, or a whole number. */
  readonly anonymousId?: Id | null | undefined
}

/** A call about a visitor who has not said who they are. @category models @since 0.1.0 */
export interface VisitorIdentity {
  /** The id of the user in your database: `"u1"`, a string that is not blank, or a whole number (a `bigint` above 2^53 - 1). */
  readonly userId?: Id | null | undefined
  /** The id of the visitor, such as a UUID in a cookie: a string that is not blank, or a whole number. */
  readonly anonymousId: Id
}

/**
 * Whom a call is about: a `userId`, an `anonymousId`, or both. The compiler names it where both are missing.
 * @category models @since 0.1.0
 */
export type UserIdOrAnonymousId = UserIdentity | VisitorIdentity

export interface IdentifyFields extends CommonFields {
  /**
   * What is known of the user: `{ email: "ada@example.com", plan: "free" }`. With the rest of the message at most 32 KiB of
   * JSON.
   */
  readonly traits?: UserTraits | null | undefined
}

export interface TrackFields extends CommonFields {
  /** The name of the event: `"Order Completed"`. Not blank. */
  readonly event: string
  /** What is known of the event: `{ orderId: "4711", total: 27.5 }`. With the rest of the message at most 32 KiB of JSON. */
  readonly properties?: Data | null | undefined
}

interface ViewFields extends CommonFields {
  /** What is known of the page or screen: `{ url: "…", title: "…" }`. With the rest of the message at most 32 KiB of JSON. */
  readonly properties?: Data | null | undefined
}

/** A view with a name, and a category if it has one. @category models @since 0.1.0 */
export interface NamedViewFields extends ViewFields {
  /** The name of the page or screen, e.g. `"Pricing"`. Not blank. */
  readonly name: string
  /** The category of the page or screen, e.g. `"Docs"`. Needs a `name`. */
  readonly category?: string | null | undefined
}

/** A view without a category. @category models @since 0.1.0 */
export interface UncategorizedViewFields extends ViewFields {
  /** The name of the page or screen, e.g. `"Pricing"`. Not blank. */
  readonly name?: string | null | undefined
  /** The category of the page or screen needs a `name`. */
  readonly category?: null | undefined
}

export type PageFields = NamedViewFields | UncategorizedViewFields

export interface GroupFields extends CommonFields {
  /** The id of the group (company, account, team): `"g1"`, a string that is not blank, or a whole number. */
  readonly groupId: Id
  /**
   * What is known of the group: `{ name: "Analytical Engines", employees: 329 }`. With the rest of the message at most 32 KiB
   * of JSON.
   */
  readonly traits?: GroupTraits | null | undefined
}

export interface AliasFields extends CommonFields {
  /** The id that the user had before: `"v1"`, a string that is not blank, or a whole number. */
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

/** Who a user is: `traits`. @category models @since 0.1.0 */
export type Identify = CallByType["identify"]
/** What a user did: `event`, `properties`. @category models @since 0.1.0 */
export type Track = CallByType["track"]
/** The page that a user saw. A `category` needs a `name`. @category models @since 0.1.0 */
export type Page = CallByType["page"]
/** The screen of an app that a user saw. A `category` needs a `name`. @category models @since 0.1.0 */
export type Screen = CallByType["screen"]
/** The group (company, account) that a user belongs to: `groupId`, `traits`. @category models @since 0.1.0 */
export type Group = CallByType["group"]
/** Joins two ids of one user: `previousId`, and `userId`, the new one. @category models @since 0.1.0 */
export type Alias = CallByType["alias"]

type CallType = keyof CallByType

export type { CallType as Type }

/** A call with its type: an element of a stream of calls. @category models @since 0.1.0 */
export type Any = { readonly [T in CallType]: { readonly type: T } & CallByType[T] }[CallType]

/** A call that may leave out whom it is about, because an identity around it says so. @category models @since 0.1.0 */
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
/**
 * A message as it goes over the wire: ids are strings, times are ISO strings, everything in it is plain JSON.
 * @category models @since 0.1.0
 */
export type Wire = IdentifyWire | TrackWire | PageWire | ScreenWire | GroupWire | AliasWire

/** The body of a request. @category models @since 0.1.0 */
export interface Request {
  readonly batch: ReadonlyArray<Wire>
  readonly writeKey: string
  /** ISO 8601. */
  readonly sentAt: string
}
