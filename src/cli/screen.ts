/** `effect-analytics screen`: a screen that a user saw. */
import * as Argument from "effect/cli/Argument"
import * as Flag from "effect/cli/Flag"
import { argument, optional } from "./internal/Connection.ts"
import * as SingleCall from "./internal/SingleCall.ts"

export const screen = SingleCall.make("screen", {
  description: "Record a screen that a user saw",
  fields: {
    name: argument(Argument.String("name"), "The name of the screen"),
    category: optional(Flag.String("category"), "What kind of screen it is; needs a name")
  },
  data: "properties",
  examples: [
    {
      command: "effect-analytics screen Pricing --category Docs --anonymous-id v1",
      description: "A screen seen by a visitor"
    }
  ]
})
