/** `effect-analytics group`: the group that a user belongs to. */
import * as Flag from "effect/cli/Flag"
import { optional } from "./internal/Flags.ts"
import * as SingleCall from "./internal/SingleCall.ts"

export const group = SingleCall.make("group", {
  description: "Record the company or account that a user belongs to",
  fields: { groupId: optional(Flag.String("group-id"), "The company or account") },
  data: "traits",
  examples: [
    {
      command: 'effect-analytics group --group-id acme --user-id u1 --trait name="Acme Inc"',
      description: "A user belongs to a company"
    }
  ]
})
