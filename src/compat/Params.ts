/**
 * The parameters of the six methods, and the event that is made of them, under the names that the types of
 * `@segment/analytics-node` have.
 */

/** Destinations that get an event: `{ All: false, Mixpanel: true }`. A destination's options are an object. */
export type IntegrationsOptions = {
  All?: boolean | undefined
  [integration: string]: boolean | Record<string, unknown> | undefined
}

// biome-ignore lint/suspicious/noExplicitAny: whatever JSON can hold
type Anything = any

/** Properties of an event. */
type EventProperties = Record<string, Anything>

/** The circumstances of an event. */
interface ExtraContext {
  active?: boolean | undefined
  ip?: string | undefined
  locale?: string | undefined
  location?:
    | {
        city?: string | undefined
        country?: string | undefined
        latitude?: string | undefined
        longitude?: string | undefined
        region?: string | undefined
        speed?: number | undefined
      }
    | undefined
  page?:
    | {
        path?: string | undefined
        referrer?: string | undefined
        search?: string | undefined
        title?: string | undefined
        url?: string | undefined
      }
    | undefined
  userAgent?: string | undefined
  /** Set by the client. */
  library?: { name: string; version: string } | undefined
  traits?: UserTraits | GroupTraits | undefined
  campaign?: { name: string; source: string; medium: string; [key: string]: string } | undefined
  [key: string]: Anything
}

interface Address {
  city?: string | null | undefined
  country?: string | null | undefined
  postalCode?: string | null | undefined
  state?: string | null | undefined
  street?: string | null | undefined
}

interface CommonTraits {
  address?: Address | null | undefined
  avatar?: string | null | undefined
  createdAt?: Date | string | null | undefined
  description?: string | null | undefined
  email?: string | null | undefined
  id?: string | number | null | undefined
  industry?: string | null | undefined
  name?: string | null | undefined
  phone?: string | number | null | undefined
  plan?: string | null | undefined
  website?: string | null | undefined
}

/** What is known of a user. @category models @since 0.1.0 */
export interface UserTraits extends CommonTraits {
  age?: number | null | undefined
  birthday?: Date | string | null | undefined
  company?:
    | {
        name?: string | null | undefined
        id?: string | number | null | undefined
        industry?: string | null | undefined
        employee_count?: number | null | undefined
        plan?: string | null | undefined
      }
    | null
    | undefined
  firstName?: string | null | undefined
  gender?: string | null | undefined
  lastName?: string | null | undefined
  title?: string | null | undefined
  username?: string | null | undefined
  [trait: string]: Anything
}

/** What is known of a group. @category models @since 0.1.0 */
export interface GroupTraits extends CommonTraits {
  employees?: string | number | null | undefined
  [trait: string]: Anything
}

interface CommonParams {
  context?: ExtraContext | undefined
  /** The time of the event. @default the time of the call */
  timestamp?: Date | string | undefined
  integrations?: IntegrationsOptions | undefined
  /** The id by which the API removes duplicates. @default a UUID */
  messageId?: string | undefined
}

/** A `userId`, an `anonymousId`, or both. */
type Identity =
  | { userId: string; anonymousId?: string | undefined }
  | { userId?: string | undefined; anonymousId: string }

/** The argument of `alias`. @category models @since 0.1.0 */
export type AliasParams = CommonParams & {
  /** The new id of the user. */
  userId: string
  /** The id that the user had before. */
  previousId: string
}
/** The argument of `group`. @category models @since 0.1.0 */
export type GroupParams = CommonParams & { groupId: string; traits?: GroupTraits | undefined } & Identity
/** The argument of `identify`. @category models @since 0.1.0 */
export type IdentifyParams = CommonParams & { traits?: UserTraits | undefined } & Identity
/** The argument of `page` and `screen`. @category models @since 0.1.0 */
export type PageParams = CommonParams & {
  category?: string | undefined
  name?: string | undefined
  properties?: EventProperties | undefined
} & Identity
/** The argument of `track`. @category models @since 0.1.0 */
export type TrackParams = CommonParams & { event: string; properties?: EventProperties | undefined } & Identity

/** The types of events. */
export type EventType = "track" | "page" | "identify" | "group" | "alias" | "screen"

/** An event on its way through the plugins. */
export interface SegmentEvent {
  type: EventType
  messageId?: string | undefined
  timestamp?: Date | string | undefined
  userId?: string | null | undefined
  anonymousId?: string | null | undefined
  groupId?: string | null | undefined
  previousId?: string | null | undefined
  event?: string | undefined
  name?: string | undefined
  category?: string | undefined
  properties?: EventProperties | undefined
  traits?: UserTraits | GroupTraits | undefined
  context?: ExtraContext | undefined
  integrations?: IntegrationsOptions | undefined
}

/** The settings of `flush`. */
export type FlushParams = {
  /** The longest time until the promise resolves, in milliseconds. @default no limit */
  timeout?: number | undefined
  /** Takes no more events. @default false */
  close?: boolean | undefined
}

/** The settings of `closeAndFlush`. */
export type CloseAndFlushParams = Pick<FlushParams, "timeout">
