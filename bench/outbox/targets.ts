/** What was promised, and whether it holds in this run. */

export interface Target {
  readonly promise: string
  readonly measured: string
  readonly holds: boolean
}

const percent = (part: number): string => `${(part * 100).toFixed(0)} %`
const perSecond = (rate: number): string => `${Math.round(rate).toLocaleString("en-US")}/s`

/** At least this part of something else. */
export const part = (promise: string, measured: number, least: number): Target => ({
  promise: `${promise} ≥ ${percent(least)}`,
  measured: percent(measured),
  holds: measured >= least
})

export const rate = (promise: string, measured: number, least: number): Target => ({
  promise: `${promise} ≥ ${perSecond(least)}`,
  measured: perSecond(measured),
  holds: measured >= least
})

export const below = (promise: string, measured: number, most: number, unit: string): Target => ({
  promise: `${promise} < ${most} ${unit}`,
  measured: `${measured.toFixed(1)} ${unit}`,
  holds: measured < most
})

export const report = (targets: ReadonlyArray<Target>): void => {
  console.log("\nTargets")
  for (const { holds, measured, promise } of targets)
    console.log(`  ${holds ? "holds " : "MISSED"}  ${promise}: ${measured}`)
}
