/**
 * The events of accounts and their users of Segment's Spec for B2B SaaS, with their documented properties and types.
 *
 * The Spec requires no property, and so nothing here does. The id of the account is in the context: `context.groupId`.
 * https://www.twilio.com/docs/segment/connections/spec/b2b-saas
 */
import * as Schema from "effect/Schema"
import * as TrackingPlan from "../TrackingPlan.ts"

const text = Schema.optionalKey(Schema.String)
const time = Schema.optionalKey(Schema.DateTimeUtc)

const account = { account_name: text }

const trial = { trial_start_date: time, trial_end_date: time, trial_plan_name: text }

/** An event, and what happened. */
const event = <const Fields extends Schema.Struct.Fields>(description: string, fields: Fields) =>
  Schema.Struct(fields).annotate({ description })

/** The events, with their properties. @category schemas @since 0.1.0 */
export const events = {
  /** An account was created. */
  "Account Created": event("An account was created.", account),
  /** An account was deleted. */
  "Account Deleted": event("An account was deleted.", account),
  /** A user signed up. */
  "Signed Up": event("A user signed up.", {
    /** How: `invited`, `organic`. */
    type: text.annotate({ description: "How: `invited`, `organic`." }),
    first_name: text,
    last_name: text,
    email: text,
    phone: text,
    username: text,
    title: text
  }),
  /** A user signed in. */
  "Signed In": event("A user signed in.", { username: text }),
  /** A user signed out. */
  "Signed Out": event("A user signed out.", { username: text }),
  /** A user invited another. */
  "Invite Sent": event("A user invited another.", {
    invitee_email: text,
    invitee_first_name: text,
    invitee_last_name: text,
    /** What the invited user will be allowed to do. */
    invitee_role: text.annotate({ description: "What the invited user will be allowed to do." })
  }),
  /** A user was added to an account. */
  "Account Added User": event("A user was added to an account.", {
    /** What the user is allowed to do. */
    role: text.annotate({ description: "What the user is allowed to do." })
  }),
  /** A user was removed from an account. */
  "Account Removed User": event("A user was removed from an account.", {}),
  /** A trial started. */
  "Trial Started": event("A trial started.", trial),
  /** A trial ended. */
  "Trial Ended": event("A trial ended.", trial)
}

/** The context that the events have. @category schemas @since 0.1.0 */
export const context = Schema.Struct({
  /** The id of the account. */
  groupId: text.annotate({ description: "The id of the account." })
})

/** The plan of the events. @category plans @since 0.1.0 */
export const plan: TrackingPlan.Plan<{
  readonly name: "B2B SaaS"
  readonly events: typeof events
  readonly context: typeof context
}> = TrackingPlan.make({ name: "B2B SaaS", events, context })
