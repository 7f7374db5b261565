/** A line on a terminal that shows how far an import is, at which rate, and how long it will take. */
import { count, duration } from "../internal/Output.ts"

export interface State {
  /** Bytes of the input that were read, and that there are; the latter is not known of stdin. */
  readonly read: number
  readonly total: number | undefined
  /** Bytes that were only read to get to where an earlier run stopped. */
  readonly skipped: number
  /** Records that are settled, since the beginning and in this run. */
  readonly records: number
  readonly recordsHere: number
  readonly rejected: number
  /** Milliseconds since the start of this run. */
  readonly elapsed: number
}

const barLength = 24

/** `[=======>      ] 43 %  25,310 lines/s  12 s left  3 rejected` */
export const render = ({ elapsed, read, records, recordsHere, rejected, skipped, total }: State): string => {
  const rate = elapsed > 0 ? (recordsHere / elapsed) * 1_000 : 0
  const share = total === undefined || total === 0 ? undefined : Math.min(1, read / total)
  const left = total === undefined || read <= skipped ? undefined : (elapsed * (total - read)) / (read - skipped)
  return [
    ...(share === undefined ? [] : [`${bar(share)} ${Math.floor(share * 100)} %`]),
    count(records, "line"),
    `${Math.round(rate).toLocaleString("en")} lines/s`,
    ...(left === undefined ? [] : [`${duration(left)} left`]),
    ...(rejected === 0 ? [] : [`${rejected.toLocaleString("en")} rejected`])
  ].join("  ")
}

const bar = (share: number): string => {
  const full = Math.floor(share * barLength)
  return `[${"=".repeat(full)}${full < barLength ? `>${" ".repeat(barLength - full - 1)}` : ""}]`
}
