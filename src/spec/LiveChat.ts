/**
 * The live chat events of Segment's Spec, with their documented properties and types. The Spec requires no property.
 *
 * https://www.twilio.com/docs/segment/connections/spec/live-chat
 */
import * as Schema from "effect/Schema"
import * as TrackingPlan from "../TrackingPlan.ts"

const text = Schema.optionalKey(Schema.String)

const conversation = {
  agent_id: text,
  agent_name: text,
  agent_username: text,
  conversation_id: text,
  /** In seconds. */
  conversation_duration: Schema.optionalKey(Schema.Finite).annotate({ description: "In seconds." }),
  message_id: text,
  /** In the examples of the Spec, and not in its lists of properties. */
  message_body: text.annotate({ description: "In the examples of the Spec, and not in its lists of properties." })
}

/** An event, and what happened. */
const event = <const Fields extends Schema.Struct.Fields>(description: string, fields: Fields) =>
  Schema.Struct(fields).annotate({ description })

/** The events, with their properties. @category schemas @since 0.1.0 */
export const events = {
  /** A customer sent the first message. */
  "Live Chat Conversation Started": event("A customer sent the first message.", conversation),
  /** The customer or the agent said that they are done. */
  "Live Chat Conversation Ended": event("The customer or the agent said that they are done.", conversation),
  /** The customer sent a message. */
  "Live Chat Message Sent": event("The customer sent a message.", conversation),
  /** The customer got a message from the agent. */
  "Live Chat Message Received": event("The customer got a message from the agent.", conversation)
}

/** The plan of the events. @category plans @since 0.1.0 */
export const plan: TrackingPlan.Plan<{ readonly name: "Live Chat"; readonly events: typeof events }> =
  TrackingPlan.make({ name: "Live Chat", events })
