/** `effect-analytics page`: a page that a user saw. */
import * as ViewCall from "./internal/ViewCall.ts"

export const page = ViewCall.make("page")
