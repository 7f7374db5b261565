/** The commands of the two calls that are alike: a page, or a screen of an app, that a user saw. */
import * as Argument from "effect/cli/Argument"
import * as Flag from "effect/cli/Flag"
import { argument, optional } from "./Flags.ts"
import * as SingleCall from "./SingleCall.ts"

export const make = <const Name extends "page" | "screen">(type: Name) =>
  SingleCall.make(type, {
    description: `Record a ${type} that a user saw`,
    fields: {
      name: argument(Argument.String("name"), `The name of the ${type}`),
      category: optional(Flag.String("category"), `What kind of ${type} it is; needs a name`)
    },
    data: "properties",
    examples: [
      {
        command: `effect-analytics ${type} Pricing --category Docs --anonymous-id v1`,
        description: `A ${type} seen by a visitor`
      }
    ]
  })
