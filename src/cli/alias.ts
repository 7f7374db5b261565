/** `effect-analytics alias`: two ids of one user. */
import * as Flag from "effect/cli/Flag"
import { optional } from "./internal/Flags.ts"
import * as SingleCall from "./internal/SingleCall.ts"

export const alias = SingleCall.make("alias", {
  description: "Join two ids of one user",
  fields: { previousId: optional(Flag.String("previous-id"), "The id that the user had before") },
  data: undefined,
  examples: [
    {
      command: "effect-analytics alias --user-id u1 --previous-id v1",
      description: "The visitor v1 is the user u1"
    }
  ]
})
