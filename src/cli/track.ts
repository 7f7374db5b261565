/** `effect-analytics track`: what a user did. */
import * as Argument from "effect/cli/Argument"
import { argument } from "./internal/Flags.ts"
import * as SingleCall from "./internal/SingleCall.ts"

export const track = SingleCall.make("track", {
  description: "Record what a user did",
  fields: { event: argument(Argument.String("event"), 'What happened, as in "Order Completed"') },
  data: "properties",
  examples: [
    {
      command: 'effect-analytics track "Order Completed" --user-id u1 --property total=39.95 --property currency=EUR',
      description: "Send one event"
    },
    {
      command: 'effect-analytics track "Order Completed" --dry-run',
      description: "See what would be refused, without a key and without sending"
    },
    {
      command: `echo '{"userId":"u1","event":"Order Completed"}' | effect-analytics track --json`,
      description: "JSON in, JSON out"
    }
  ]
})
