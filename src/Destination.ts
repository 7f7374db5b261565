/**
 * Backends that speak the Tracking API: where they are, and what they need. Each is options for a layer:
 * `Analytics.layerFetch({ ...Destination.rudderstack({ writeKey, dataPlaneUrl }), maxQueueSize: 1_000 })`, or one of several:
 * `Analytics.layerFanOut`.
 *
 * All of them take 32 KiB in a message and 500 KB in a request (RudderStack takes more), and know a key by Basic authorization.
 */
import type * as Redacted from "effect/Redacted"
import type * as Settings from "./Settings.ts"
import type * as Transport from "./Transport.ts"

/** A backend: its name in `integrations`, and the options of its transport. @category models @since 0.1.0 */
export interface Destination extends Transport.Options {
  readonly name: string
}

interface Key {
  readonly writeKey: Redacted.Redacted<string>
}

/**
 * Segment. `All: false` in the `integrations` of a call is about what is behind it, and does not switch it off.
 *
 * ```ts
 * import * as Redacted from "effect/Redacted"
 * import * as Analytics from "effect-analytics/Analytics"
 * import * as Destination from "effect-analytics/Destination"
 *
 * const segment = Destination.segment({ writeKey: Redacted.make("YOUR_WRITE_KEY"), region: "eu" })
 *
 * export const Client = Analytics.layerFetch({ ...segment, maxQueueSize: 1_000 })
 * ```
 * @category constructors @since 0.1.0
 */
export const segment = ({
  region = "us",
  writeKey
}: Key & {
  /** Where the workspace is. @default "us" */
  readonly region?: Settings.Region | undefined
}): Destination => ({ name: "Segment.io", writeKey, region })

/** RudderStack, at the address of a data plane. @category constructors @since 0.1.0 */
export const rudderstack = ({ dataPlaneUrl, writeKey }: Key & { readonly dataPlaneUrl: string }): Destination => ({
  name: "RudderStack",
  writeKey,
  host: dataPlaneUrl
})

/**
 * Customer.io, in its strict mode: without it, calls that are not valid are answered 200.
 * @category constructors @since 0.1.0
 */
export const customerio = ({
  region = "us",
  writeKey
}: Key & {
  /** Where the account is. @default "us" */
  readonly region?: Settings.Region | undefined
}): Destination => ({
  name: "Customer.io",
  writeKey,
  host: region === "eu" ? "https://cdp-eu.customer.io" : "https://cdp.customer.io",
  headers: { "x-strict-mode": "1" }
})

/** Hightouch Events. @category constructors @since 0.1.0 */
export const hightouch = ({
  host = "https://us-east-1.hightouch-events.com",
  writeKey
}: Key & {
  /** The host of the region. @default "https://us-east-1.hightouch-events.com" */
  readonly host?: string | undefined
}): Destination => ({ name: "Hightouch", writeKey, host })

/** Jitsu, at the address of an installation. The write key is `keyId:secret`. @category constructors @since 0.1.0 */
export const jitsu = ({ host, writeKey }: Key & { readonly host: string }): Destination => ({
  name: "Jitsu",
  writeKey,
  host
})
