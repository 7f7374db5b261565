/** The page: takes the stream of events apart, and connects the filters, the keys and the views. */
import { PlanView } from "./coverage.js"
import { Detail } from "./detail.js"
import { byId, copy, count, counted, h, sentence, toast, verdictWords } from "./dom.js"
import { List } from "./list.js"
import { noFilter, Rows } from "./rows.js"
import { answerOf, Timeline } from "./timeline.js"

/**
 * @typedef {import("./rows.js").Row} Row
 * @typedef {import("./rows.js").Verdict} Verdict
 * @typedef {import("./rows.js").Filter} Filter
 * @typedef {{ requests: number, messages: number, bytes: number, verdicts: Record<Verdict, number> }} Totals
 * @typedef {{
 *   reset: boolean, more: boolean, messages: Array<Row>, requests: Array<import("./timeline.js").Attempt>,
 *   totals: Totals, coverage: import("./coverage.js").Coverage | null, maxMessages: number
 * }} Change
 */

const rows = new Rows()
const detail = new Detail(
  location.origin,
  () => {
    list.selected = undefined
    list.schedule()
    byId("list").focus()
  },
  narrow
)
const list = new List(rows, (row) => detail.open(row), reasonOf)
const timeline = new Timeline(openRequest)
const plan = new PlanView((filter) => narrow({ ...noFilter, ...filter }))

/** @type {Totals} */
let totals = {
  requests: 0,
  messages: 0,
  bytes: 0,
  verdicts: { delivered: 0, rejected: 0, violation: 0, duplicate: 0, failed: 0 }
}
let paused = false
/** What arrived during a pause. @type {Array<Change>} */
let held = []

/** Why a row is not simply delivered. @param {Row} row */
function reasonOf({ problem, request, verdict }) {
  if (problem !== null) return sentence(problem)
  const attempt = timeline.byId.get(request)
  if (attempt === undefined) return ""
  if (verdict === "failed") return `${attempt.problem ?? answerOf(attempt)} (attempt ${attempt.attempt})`
  return attempt.attempt > 1 ? `attempt ${attempt.attempt}` : ""
}

// ---------------------------------------------------------------------------------------------------------------------
// Changes
// ---------------------------------------------------------------------------------------------------------------------

/** @param {Change} change */
const take = (change) => {
  if (paused) {
    // A reset replaces everything before it.
    held = change.reset ? [change] : [...held, change]
    trimHeld(change.maxMessages)
    return drawPause()
  }
  apply(change)
}

/** Bounds what a pause holds, as the list is bounded. @param {number} maxMessages */
const trimHeld = (maxMessages) => {
  let count = held.reduce((sum, { messages }) => sum + messages.length, 0)
  while (count > maxMessages && held.length > 1) {
    const [oldest, next] = /** @type {[Change, Change]} */ (held.splice(0, 2))
    held.unshift({ ...next, reset: next.reset || oldest.reset })
    count -= oldest.messages.length
  }
}

/** @param {Change} change */
const apply = (change) => {
  rows.maxMessages = change.maxMessages
  if (change.reset) {
    rows.clear()
    timeline.clear()
    list.reset()
    if (detail.shown !== undefined && change.messages.length === 0) detail.close()
  }
  timeline.add(change.requests)
  drawRefused()
  list.grow(rows.add(change.messages))
  totals = change.totals
  plan.show(change.coverage)
  drawCounts()
}

/** @type {Map<Verdict | "", { button: HTMLButtonElement, number: HTMLElement }>} */
const chips = new Map()
for (const verdict of /** @type {Array<Verdict | "">} */ ([
  "",
  "rejected",
  "violation",
  "failed",
  "duplicate",
  "delivered"
])) {
  const number = h("b", {}, "0")
  const [word, meaning] = verdict === "" ? ["All", "All messages"] : verdictWords[verdict]
  const button = h(
    "button",
    { type: "button", class: `chip ${verdict}`, title: meaning, "aria-pressed": "false", click: () => choose(verdict) },
    h("span", {}, verdict === "rejected" ? "Would be rejected" : word),
    number
  )
  chips.set(verdict, { button, number })
  byId("verdicts").append(button)
}

/** One click from the number of rejected messages to the newest of them, and why. @param {Verdict | ""} verdict */
const choose = (verdict) => {
  narrow({ verdict: rows.filter.verdict === verdict ? "" : verdict })
  const newest = rows.shown.at(-1)
  if (rows.filter.verdict !== "" && rows.filter.verdict !== "delivered" && newest !== undefined) list.select(newest.id)
}

const drawCounts = () => {
  for (const [verdict, { button, number }] of chips) {
    const n = verdict === "" ? totals.messages : totals.verdicts[verdict]
    number.textContent = count(n)
    button.classList.toggle("none", n === 0)
    button.setAttribute("aria-pressed", String(rows.filter.verdict === verdict))
  }
  const troubled = totals.verdicts.rejected + totals.verdicts.violation
  document.title = `${troubled === 0 ? "" : `(${count(troubled)}) `}effect-analytics debugger`
  drawEmpty()
}

/** Requests that were refused unread have no messages, so the list does not show them. */
const drawRefused = () => {
  const refused = Array.from(timeline.byId.values()).filter(
    ({ messages, problem }) => problem !== undefined && messages === 0
  )
  const last = refused.at(-1)
  const notice = byId("refused")
  notice.hidden = last === undefined
  const text = notice.querySelector("span")
  if (last === undefined || text === null) return
  const how =
    refused.length === 1 ? "A request was refused" : `${counted(refused.length, "request")} were refused, the last`
  text.textContent = `${how} with ${last.status} at ${last.method} ${last.path}: ${last.problem}.`
}
byId("refused")
  .querySelector("button")
  ?.addEventListener("click", () => {
    timeline.troubled.checked = true
    show("timeline")
  })

const drawEmpty = () => {
  const empty = byId("empty")
  empty.hidden = rows.shown.length > 0
  if (!empty.hidden) {
    empty.replaceChildren(...(rows.all.length > 0 ? noneFits() : noneYet()))
  }
}

const noneFits = () => [
  h("h2", {}, "No message fits"),
  h("p", {}, `${counted(rows.all.length, "message")} are here; the filters leave none.`),
  h("p", {}, h("button", { type: "button", click: () => narrow(noFilter) }, "Reset filters"))
]

const noneYet = () => [
  h("h2", {}, "No events yet"),
  h("p", {}, "Point any SDK that speaks Segment's Tracking API at this host, with any write key:"),
  h(
    "pre",
    { tabindex: "0", "aria-label": "How SDKs are pointed at the debugger" },
    `createAnalytics({ writeKey: "dev", host: "${location.origin}" })          // effect-analytics\nnew Analytics({ writeKey: "dev", host: "${location.origin}" })              // @segment/analytics-node\nnew Rudder("dev", { dataPlaneUrl: "${location.origin}" })                  // @rudderstack/rudder-sdk-node`
  ),
  h("p", {}, "or try it from a terminal:"),
  h(
    "pre",
    { tabindex: "0", "aria-label": "How curl sends an event" },
    `curl ${location.origin}/v1/track -u dev: -d '{"userId":"u1","event":"Signed Up"}'`
  )
]

// ---------------------------------------------------------------------------------------------------------------------
// Filters
// ---------------------------------------------------------------------------------------------------------------------

/** @type {Array<[keyof Filter, HTMLInputElement | HTMLSelectElement]>} */
const fields = [
  ["text", byId("search")],
  ["type", byId("filter-type")],
  ["event", byId("filter-event")],
  ["user", byId("filter-user")],
  ["source", byId("filter-source")]
]

/** @param {Partial<Filter>} change */
function narrow(change) {
  rows.narrow(change)
  for (const [name, field] of fields) {
    const value = rows.filter[name]
    if (field instanceof HTMLSelectElement && !Array.from(field.options).some((option) => option.value === value)) {
      field.append(h("option", { value }, value))
    }
    if (field.value !== value) field.value = value
  }
  byId("reset-filters").hidden = !rows.isFiltered
  list.reset()
  drawCounts()
  show("messages")
}

for (const [name, field] of fields) field.addEventListener("input", () => narrow({ [name]: field.value }))
byId("reset-filters").addEventListener("click", () => narrow(noFilter))

/**
 * Fills in the choices of a filter. It is called when the filter gets the focus.
 * @param {"type" | "name" | "user" | "source"} field
 * @param {HTMLElement} target
 * @param {string} [all]
 */
const offer = (field, target, all) => {
  const chosen = target instanceof HTMLSelectElement ? target.value : ""
  const values = rows.values(field)
  if (chosen !== "" && !values.includes(chosen)) values.push(chosen)
  target.replaceChildren(
    ...(all === undefined ? [] : [h("option", { value: "" }, all)]),
    ...values.map((value) => h("option", { value }, value))
  )
  if (target instanceof HTMLSelectElement) target.value = chosen
}
const offers = /** @type {const} */ ([
  ["filter-type", () => offer("type", byId("filter-type"), "All types")],
  ["filter-event", () => offer("name", byId("events"))],
  ["filter-user", () => offer("user", byId("users"))],
  ["filter-source", () => offer("source", byId("filter-source"), "All sources")]
])
for (const [id, gather] of offers) {
  gather()
  byId(id).addEventListener("focus", gather)
  byId(id).addEventListener("pointerdown", gather)
}

byId("more").addEventListener("click", () => {
  const open = byId("filters").classList.toggle("open")
  byId("more").setAttribute("aria-expanded", String(open))
})

// ---------------------------------------------------------------------------------------------------------------------
// Actions
// ---------------------------------------------------------------------------------------------------------------------

const drawPause = () => {
  const button = byId("pause")
  const waiting = held.reduce((sum, { messages }) => sum + messages.length, 0)
  button.textContent = paused ? `Resume${waiting === 0 ? "" : ` (${count(waiting)} new)`}` : "Pause"
  button.setAttribute("aria-pressed", String(paused))
}

const pause = () => {
  paused = !paused
  if (!paused) {
    const changes = held
    held = []
    for (const change of changes) apply(change)
  }
  drawPause()
}

const clear = async () => {
  const { ok } = await fetch("/debugger/clear", { method: "POST" })
  toast(ok ? "Cleared" : "The debugger does not answer")
}

byId("pause").addEventListener("click", pause)
byId("clear").addEventListener("click", clear)
byId("host").textContent = location.origin
byId("host").addEventListener("click", () => copy(location.origin, "the host"))

const views = ["messages", "timeline", "coverage"]

/** @param {string} view */
function show(view) {
  for (const name of views) byId(name).hidden = name !== view
  for (const tab of document.querySelectorAll("[data-view]")) {
    tab.setAttribute("aria-pressed", String(/** @type {HTMLElement} */ (tab).dataset.view === view))
  }
  if (view === "timeline") timeline.schedule()
  else list.schedule()
}

for (const tab of document.querySelectorAll("[data-view]")) {
  tab.addEventListener("click", () => show(/** @type {HTMLElement} */ (tab).dataset.view ?? ""))
}

/** Opens the first message of a request. @param {number} id */
function openRequest(id) {
  const row = rows.all.find(({ request }) => request === id)
  if (row === undefined) return toast("No message of this batch is kept")
  if (!rows.passes(row)) narrow(noFilter)
  show("messages")
  list.select(row.id)
}

// ---------------------------------------------------------------------------------------------------------------------
// Keys
// ---------------------------------------------------------------------------------------------------------------------

const keys = /** @type {HTMLDialogElement} */ (document.getElementById("keys"))
byId("help").addEventListener("click", () => keys.showModal())

const nextProblem = () => {
  const found = list.move(1, ({ verdict }) => verdict === "rejected" || verdict === "violation")
  if (!found) toast("No further message with a problem")
}

/** @type {Record<string, () => void>} */
const actions = {
  "/": () => byId("search").focus(),
  j: () => list.move(1),
  ArrowDown: () => list.move(1),
  k: () => list.move(-1),
  ArrowUp: () => list.move(-1),
  n: nextProblem,
  p: pause,
  C: clear,
  1: () => show("messages"),
  2: () => show("timeline"),
  3: () => show("coverage"),
  "?": () => keys.showModal(),
  Enter: () => detail.element.focus()
}

document.addEventListener("keydown", (event) => {
  const target = /** @type {HTMLElement} */ (event.target)
  const writes = target.matches("input:not([type=checkbox]), select, textarea")
  if (event.key === "Escape" && !keys.open) {
    if (writes) target.blur()
    else if (!detail.close() && rows.isFiltered) narrow(noFilter)
    return
  }
  if (writes || keys.open || event.ctrlKey || event.metaKey || event.altKey) return
  const moves = event.key.startsWith("Arrow") || event.key === "Enter"
  // Elsewhere, arrows scroll and Enter activates what has the focus.
  if (moves && target.id !== "list" && target !== document.body) return
  const action = Object.hasOwn(actions, event.key) ? actions[event.key] : undefined
  if (action === undefined) return
  event.preventDefault()
  action()
})

// ---------------------------------------------------------------------------------------------------------------------
// Rate
// ---------------------------------------------------------------------------------------------------------------------

const drawRate = () => {
  const now = Math.floor(Date.now() / 1_000)
  const seconds = Array.from({ length: 60 }, (_, index) => rows.rate.get(now - 60 + index) ?? 0)
  for (const second of rows.rate.keys()) if (second < now - 120) rows.rate.delete(second)
  const highest = Math.max(1, ...seconds)
  const points = seconds.map((n, index) => `${((index * 120) / 59).toFixed(1)},${(22 - (n / highest) * 20).toFixed(1)}`)
  document.getElementById("spark-line")?.setAttribute("d", `M${points.join("L")}`)
  document.getElementById("spark-area")?.setAttribute("d", `M0,24L${points.join("L")}L120,24Z`)
  const recent = seconds.slice(-5).reduce((sum, n) => sum + n, 0) / 5
  byId("rate").textContent = `${recent === 0 || recent >= 10 ? count(Math.round(recent)) : recent.toFixed(1)}/s`
}
drawRate()
setInterval(drawRate, 1_000)

// ---------------------------------------------------------------------------------------------------------------------
// Connection
// ---------------------------------------------------------------------------------------------------------------------

/** @param {"connecting" | "live" | "lost" | "refused"} state */
const drawConnection = (state) => {
  byId("connection").className = `dot ${state}`
  byId("connection").setAttribute("aria-label", state)
  byId("connection").title = state
}

const refused = () => {
  drawConnection("refused")
  const empty = byId("empty")
  empty.hidden = false
  empty.replaceChildren(
    h("h2", {}, "This page needs its token"),
    h(
      "p",
      {},
      "Open the URL that the debugger printed when it started: it ends with # and a token. Each start has a token of its own."
    )
  )
}

const connect = () => {
  drawConnection("connecting")
  const source = new EventSource("/debugger/events")
  source.addEventListener("open", () => drawConnection("live"))
  source.addEventListener("message", ({ data }) => take(JSON.parse(data)))
  source.addEventListener("error", async () => {
    drawConnection("lost")
    if (source.readyState !== EventSource.CLOSED) return
    const answer = await fetch("/debugger/session").catch(() => undefined)
    if (answer !== undefined && !answer.ok) refused()
    else setTimeout(connect, 2_000)
  })
}

const start = async () => {
  const token = location.hash.slice(1)
  if (token !== "") {
    await fetch("/debugger/session", { method: "POST", body: JSON.stringify({ token }) })
    // The token stays in the cookie, and out of the history.
    history.replaceState(null, "", location.pathname)
  }
  const { ok } = await fetch("/debugger/session")
  if (!ok) return refused()
  drawEmpty()
  connect()
}

await start()
