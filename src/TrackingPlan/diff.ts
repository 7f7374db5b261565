/**
 * The changes between two tracking plans, and whom they break: callers or consumers of the data. With
 * a report in Markdown for a pull request. Plans and the JSON of plans compare with each other.
 */
export type { Broken } from "./diff/Comparison.ts"
export { type Change, type Difference, diff, toMarkdown } from "./diff/Diff.ts"
