/** `effect-analytics page`: a page that a user saw. */
import * as Argument from "effect/cli/Argument"
import * as Flag from "effect/cli/Flag"
import { argument, optional } from "./internal/Connection.ts"
import * as SingleCall from "./internal/SingleCall.ts"

export const page = SingleCall.make("page", {
  description: "Record a page that a user saw",
  fields: {
    name: argument(Argument.String("name"), "The name of the page"),
    category: optional(Flag.String("category"), "What kind of page it is; needs a name")
  },
  data: "properties",
  examples: [
    {
      command: "effect-analytics page Pricing --category Docs --anonymous-id v1",
      description: "A page seen by a visitor"
    }
  ]
})
