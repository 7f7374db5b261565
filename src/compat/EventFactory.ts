/**
 * Makes the event of a call, and throws a `ValidationError` where `@segment/analytics-node` does. The event holds copies of the
 * caller's objects and arrays: plugins may change it.
 */
import { makeUuids } from "../MessageId.ts"
import type {
  AliasParams,
  EventType,
  GroupParams,
  IdentifyParams,
  IntegrationsOptions,
  PageParams,
  SegmentEvent,
  TrackParams
} from "./Params.ts"
import { ValidationError } from "./ValidationError.ts"

const messageIdAt = makeUuids()

/** The id of an event that has none. */
// biome-ignore lint/plugin: plugins and listeners see the time of the call before the core does
export const makeMessageId = (now = new Date()): string => messageIdAt(now.getTime())

export const alias = ({ previousId, userId, ...params }: AliasParams): SegmentEvent =>
  checked({ ...common("alias", params), userId, previousId })

export const group = ({ groupId, traits, ...params }: GroupParams): SegmentEvent =>
  checked({ ...common("group", params), ...identityOf(params), groupId, traits: traits ?? {} })

export const identify = ({ traits, ...params }: IdentifyParams): SegmentEvent =>
  checked({ ...common("identify", params), ...identityOf(params), traits: traits ?? {} })

export const track = ({ event, properties, ...params }: TrackParams): SegmentEvent =>
  checked({ ...common("track", params), ...identityOf(params), event, properties: properties ?? {} })

export const page = ({ category, name, properties, ...params }: PageParams): SegmentEvent =>
  checked({
    ...common("page", params),
    ...identityOf(params),
    ...(category ? { category } : {}),
    ...(name ? { name } : {}),
    properties: { ...properties, ...(category ? { category } : {}) }
  })

export const screen = ({ category, name, properties, ...params }: PageParams): SegmentEvent =>
  checked({
    ...common("screen", params),
    ...identityOf(params),
    ...(category ? { category } : {}),
    ...(name ? { name } : {}),
    properties: { ...properties }
  })

// ---------------------------------------------------------------------------------------------------------------------
// Parts
// ---------------------------------------------------------------------------------------------------------------------

interface CommonParams {
  readonly context?: object | undefined
  readonly timestamp?: Date | string | undefined
  readonly integrations?: IntegrationsOptions | undefined
  readonly messageId?: string | undefined
}

const common = (type: EventType, params: CommonParams): SegmentEvent => {
  // biome-ignore lint/plugin: plugins and listeners see the time of the call before the core does
  const now = new Date()
  return {
    type,
    timestamp: params.timestamp ?? now,
    messageId: params.messageId || makeMessageId(now),
    context: { ...params.context },
    integrations: { ...params.integrations }
  }
}

const identityOf = (params: {
  readonly userId?: string | null | undefined
  readonly anonymousId?: string | null | undefined
}): Pick<SegmentEvent, "userId" | "anonymousId"> => ({
  ...(params.userId === undefined ? {} : { userId: params.userId }),
  ...(params.anonymousId === undefined ? {} : { anonymousId: params.anonymousId })
})

// ---------------------------------------------------------------------------------------------------------------------
// Checks
// ---------------------------------------------------------------------------------------------------------------------

const checked = (event: SegmentEvent): SegmentEvent => {
  const id = event.userId ?? event.anonymousId ?? event.groupId ?? event.previousId
  const identity = ".userId/anonymousId/previousId/groupId"
  if (id === undefined || id === null) throw new ValidationError(identity, "is nil")
  mustBeString(identity, id)
  mustBeString(".messageId", event.messageId)
  if (event.type === "track") {
    mustBeString(".event", event.event)
    mustBeObject(".properties", event.properties)
  }
  if (event.type === "identify" || event.type === "group") mustBeObject(".traits", event.traits)
  return copy(event) as SegmentEvent
}

const mustBeString = (field: string, value: unknown): void => {
  if (typeof value !== "string") throw new ValidationError(field, "is not a string")
}

const mustBeObject = (field: string, value: unknown): void => {
  if (Object.prototype.toString.call(value) !== "[object Object]") throw new ValidationError(field, "is not an object")
}

/** Copies plain objects and arrays, cycles included; other values stay what they are. */
const copy = (value: unknown, copies = new Map<object, unknown>()): unknown => {
  if (typeof value !== "object" || value === null) return value
  const known = copies.get(value)
  if (known !== undefined) return known
  if (Array.isArray(value)) {
    const items: Array<unknown> = []
    copies.set(value, items)
    for (const item of value) items.push(copy(item, copies))
    return items
  }
  const prototype = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) return value
  const fields: Record<string, unknown> = Object.create(prototype)
  copies.set(value, fields)
  for (const key of Object.keys(value)) {
    // A field may be called `__proto__`.
    Object.defineProperty(fields, key, {
      value: copy((value as Record<string, unknown>)[key], copies),
      configurable: true,
      enumerable: true,
      writable: true
    })
  }
  return fields
}
