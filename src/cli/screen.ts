/** `effect-analytics screen`: a screen that a user saw. */
import * as ViewCall from "./internal/ViewCall.ts"

export const screen = ViewCall.make("screen")
