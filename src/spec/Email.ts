/**
 * The email events of Segment's Spec, with their documented properties and types. The Spec requires no property.
 *
 * Whom an email was sent to is in the context: `context.traits.email`.
 * https://www.twilio.com/docs/segment/connections/spec/email
 */
import * as Schema from "effect/Schema"
import * as TrackingPlan from "../TrackingPlan.ts"

const text = Schema.optionalKey(Schema.String)

const email = { email_id: text, email_subject: text, campaign_id: text, campaign_name: text }

/** An event, and what happened. */
const event = <const Fields extends Schema.Struct.Fields>(description: string, fields: Fields) =>
  Schema.Struct(fields).annotate({ description })

/** The events, with their properties. @category schemas @since 0.1.0 */
export const events = {
  /** A mail server said that an email can't be delivered. */
  "Email Bounced": event("A mail server said that an email can't be delivered.", email),
  /** A mail server said that it has an email. */
  "Email Delivered": event("A mail server said that it has an email.", email),
  /** The recipient clicked on a link in an email. */
  "Email Link Clicked": event("The recipient clicked on a link in an email.", {
    ...email,
    link_id: text,
    link_url: text
  }),
  /** The recipient marked an email as spam. */
  "Email Marked as Spam": event("The recipient marked an email as spam.", email),
  /** The recipient opened an email. */
  "Email Opened": event("The recipient opened an email.", email),
  /** The recipient wants no more of these emails. */
  Unsubscribed: event("The recipient wants no more of these emails.", { ...email, list_id: text, list_name: text })
}

/** The context that the events have. @category schemas @since 0.1.0 */
export const context = Schema.Struct({
  /** The address of the computer on which the email was opened. */
  ip: text.annotate({ description: "The address of the computer on which the email was opened." }),
  user_agent: text,
  /** About the recipient. */
  traits: Schema.optionalKey(Schema.Struct({ email: text })).annotate({ description: "About the recipient." })
})

/** The plan of the events. @category plans @since 0.1.0 */
export const plan: TrackingPlan.Plan<{
  readonly name: "Email"
  readonly events: typeof events
  readonly context: typeof context
}> = TrackingPlan.make({ name: "Email", events, context })
