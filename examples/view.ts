/**
 * What a run looks like: a picture that is redrawn in place on a terminal, a line now and then where there is none, and
 * the books at the end.
 */
import { styleText } from "node:util"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Call from "effect-analytics/Call"
import type * as Outcome from "effect-analytics/Outcome"
import * as Account from "./Account.ts"

/** What there is to see. */
export interface Scene {
  readonly account: Account.Account
  readonly stats: Effect.Effect<Outcome.Stats>
  /** Where messages go, in words. */
  readonly target: string
  /** Requests to the shop. */
  readonly requests: { readonly total: number; answered: number }
}

type Style = (text: string) => string
const bold: Style = (text) => styleText("bold", text)
const dim: Style = (text) => styleText("dim", text)
const green: Style = (text) => styleText("green", text)
const yellow: Style = (text) => styleText("yellow", text)
const red: Style = (text) => styleText("red", text)
const plain: Style = (text) => text

const count = (n: number): string => n.toLocaleString("en-US")

// ---------------------------------------------------------------------------------------------------------------------
// While it runs
// ---------------------------------------------------------------------------------------------------------------------

/** Shows the scene while an effect runs, and as it is when the effect has ended. */
export const during =
  (scene: Scene) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, Exclude<R, Scope.Scope>> =>
    Effect.scoped(Effect.andThen(process.stdout.isTTY ? paint(scene) : report(scene), self))

const write = (text: string) => Effect.sync(() => void process.stdout.write(text))

/** A line at once, one every second, and one at the end: for logs. */
const report = Effect.fnUntraced(function* (scene: Scene) {
  yield* write(`${count(scene.requests.total)} requests to a small shop; its events go to ${scene.target}\n`)
  const say = Effect.flatMap(scene.stats, (stats) => write(`${line(scene, stats)}\n`))
  yield* Effect.addFinalizer(() => say)
  yield* Effect.sleep("1 second").pipe(Effect.andThen(say), Effect.forever, Effect.forkScoped)
})

const accepted = ({ account }: Scene, { delivered, pending }: Outcome.Stats) => delivered + pending + account.lost

const line = (scene: Scene, stats: Outcome.Stats): string => {
  const { account, requests } = scene
  const { delivered, dropped, inFlight, pending, rejected } = stats
  return [
    `requests ${count(requests.answered)}/${count(requests.total)}`,
    `accepted ${count(accepted(scene, stats))}`,
    `queued ${count(pending - inFlight)}`,
    `in flight ${count(inFlight)}`,
    `delivered ${count(delivered)}`,
    `dropped ${count(dropped)}`,
    `rejected ${count(rejected)}`,
    `batches ${count(account.batches)}`,
    `retries ${count(account.retries)}`
  ].join("  ")
}

const hideCursor = "\x1b[?25l"
const showCursor = "\x1b[?25h"
/** All of a frame at once where the terminal can, and long lines are cut instead of wrapped. */
const frameStart = "\x1b[?2026h\x1b[?7l"
const frameEnd = "\x1b[J\x1b[?7h\x1b[?2026l"

/** Redraws a picture in place: for terminals. */
const paint = Effect.fnUntraced(function* (scene: Scene) {
  let height = 0
  const draw = Effect.flatMap(scene.stats, (stats) => {
    const lines = picture(scene, stats, Math.max(60, Math.min(process.stdout.columns, 100)))
    const back = height === 0 ? "" : `\x1b[${height}A\r`
    height = lines.length
    return write(`${frameStart}${back}${lines.map((text) => `${text}\x1b[K\n`).join("")}${frameEnd}`)
  })
  yield* write(hideCursor)
  yield* Effect.addFinalizer(() => Effect.andThen(draw, write(showCursor)))
  yield* draw.pipe(Effect.andThen(Effect.sleep("60 millis")), Effect.forever, Effect.forkScoped)
})

const picture = (scene: Scene, stats: Outcome.Stats, columns: number): ReadonlyArray<string> => {
  const { account, requests, target } = scene
  const way: ReadonlyArray<Cell> = [
    ["accepted", accepted(scene, stats), plain],
    [" queued", stats.pending - stats.inFlight, plain],
    ["in flight", stats.inFlight, plain],
    ["delivered", stats.delivered, green]
  ]
  const aside: ReadonlyArray<Cell> = [
    ["dropped", stats.dropped, account.lost > 0 ? red : yellow],
    ["rejected", stats.rejected, yellow]
  ]
  const answers = account.answers
    .slice(-Math.floor((columns - 42) / 4))
    .map((status) => (status === 200 ? green : yellow)(status === 0 ? "---" : String(status)))
  return [
    "",
    `  ${bold("effect-analytics")}  ${dim(`a small shop  ─▶  ${target}`)}`,
    "",
    progress("requests", requests.answered, requests.total, columns),
    progress("delivered", stats.delivered, accepted(scene, stats), columns),
    "",
    `  ${names(way, "  ─▶  ")}        ${names(aside, "   ")}`,
    `  ${numbers(way, "      ")}        ${numbers(aside, "   ")}`,
    "",
    `  ${dim("batches")} ${count(account.batches)}   ${dim("retries-exhausted")} ${count(account.retries)}   ${dim("answers")} ${answers.join(" ")}`,
    ""
  ]
}

/** A name, and the number below it. */
type Cell = readonly [name: string, number: number, style: Style]

const names = (cells: ReadonlyArray<Cell>, between: string): string => dim(cells.map(([name]) => name).join(between))

const numbers = (cells: ReadonlyArray<Cell>, between: string): string =>
  cells.map(([name, n, style]) => (n === 0 ? dim : style)(count(n).padStart(name.length))).join(between)

const progress = (name: string, done: number, total: number, columns: number): string => {
  const share = `${count(done)} of ${count(total)}`.padStart(17)
  const width = Math.max(10, columns - share.length - 17)
  const full = total === 0 ? 0 : Math.floor((width * done) / total)
  return `  ${dim(name.padEnd(11))}${green("━".repeat(full))}${dim("─".repeat(width - full))}  ${share}`
}

// ---------------------------------------------------------------------------------------------------------------------
// At the end
// ---------------------------------------------------------------------------------------------------------------------

/** The books: every message, by type, and what the API says that it received. */
export const summary = (
  account: Account.Account,
  received: ReadonlyMap<string, Account.Receipt> | undefined,
  problems: ReadonlyArray<string>
): string => {
  const receipts = received && Array.from(received.values())
  /** A row, and beside it what the API says, where it is ours to ask. */
  const row = (ours: string, theirs: string) => `  ${ours}${receipts === undefined ? "" : theirs}`
  const entry = (name: string, entry: Account.Entry, type?: Call.Type) => {
    const { delivered, dropped, offered, rejected } = entry
    const same = receipts?.filter((receipt) => type === undefined || receipt.type === type) ?? []
    const again = same.reduce((sum, { times }) => sum + times - 1, 0)
    const ours = columns([offered, delivered, Account.pending(entry), dropped, rejected], [7, 12, 10, 10, 11])
    return row(name.padEnd(9) + ours, `  │${columns([same.length, again], [8, 7])}`)
  }
  const balanced = `every message is accounted for${receipts === undefined ? "" : ", and what was delivered arrived"}`
  return [
    dim(row("".padEnd(59), "the API received".padStart(18))),
    dim(row("         offered = delivered + pending + dropped + rejected", "  │  unique  again")),
    ...Call.types.map((type) => entry(type, account.byType[type], type)),
    dim(row("─".repeat(59), "─".repeat(18))),
    bold(entry("total", account.total)),
    "",
    ...Array.from(account.reasons.values(), (why) => `  ${count(why.count).padStart(6)}  ${yellow(why.said)}`),
    `  ${count(account.answers.length).padStart(6)}  requests, ${count(account.retries)} of them retries: ${answers(account)}`,
    ...Array.from(account.notes, (note) => `          ${red(note)}`),
    "",
    problems.length === 0 ? green(`  ✓ ${balanced}`) : red(problems.map((problem) => `  ✗ ${problem}`).join("\n")),
    ...(account.lost === 0 ? [] : [red(`  ✗ messages were lost: ${count(account.lost)}`)]),
    ""
  ].join("\n")
}

const columns = (values: ReadonlyArray<number>, widths: ReadonlyArray<number>): string =>
  values.map((n, i) => count(n).padStart(widths[i] ?? 0)).join("")

/** Which answers there were, and how often. */
const answers = ({ answers }: Account.Account): string =>
  Object.entries(Object.groupBy(answers, (status) => status))
    .map(([status, same]) => `${count(same?.length ?? 0)} × ${status === "0" ? "no answer" : status}`)
    .join(", ")
