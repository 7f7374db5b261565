/** What an import prints at its end. */
import * as Output from "../internal/Output.ts"
import type { Counts } from "./Ledger.ts"

/** The counts of all lines, and where the rejected ones are. */
export const summary = (facts: {
  readonly name: string
  readonly counts: Counts
  readonly dryRun: boolean
  readonly rejectedTo: string | undefined
  readonly rate: number
  readonly millis: number
}): string => {
  const { counts, dryRun, millis, name, rate, rejectedTo } = facts
  const rows = [
    [counts.records, counts.records === 1 ? "line" : "lines"],
    [counts.delivered, dryRun ? "valid" : "delivered"],
    [counts.rejected, rejectedTo === undefined ? "rejected" : `rejected: see ${rejectedTo}`],
    [counts.blank, "blank"]
  ] as const
  const width = Math.max(...rows.map(([amount]) => amount.toLocaleString("en").length))
  return [
    `${Output.style("bold", dryRun ? "checked" : "imported")} ${name} in ${Output.duration(millis)} (${rate.toLocaleString("en")} lines/s)`,
    ...rows.map(([amount, what]) => `  ${amount.toLocaleString("en").padStart(width)} ${what}`)
  ].join("\n")
}
