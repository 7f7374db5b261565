/** `effect-analytics identify`: who a user is. */
import * as SingleCall from "./internal/SingleCall.ts"

export const identify = SingleCall.make("identify", {
  description: "Record who a user is",
  fields: {},
  data: "traits",
  examples: [
    {
      command: "effect-analytics identify --user-id u1 --trait plan=pro --trait seats=3",
      description: "Set traits of a user"
    },
    {
      command: `effect-analytics identify --user-id u1 --traits '{"address":{"city":"Bonn"}}'`,
      description: "Traits that are more than text and numbers"
    }
  ]
})
