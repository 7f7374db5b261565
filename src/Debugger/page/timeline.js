/** Batches on a time axis: one row a batch, its attempts as marks, the waits between them as lines. */
import { byId, counted, duration, h, size, time, toast } from "./dom.js"

/**
 * @typedef {{
 *   id: number, receivedAt: number, method: string, path: string, bytes: number, decodedBytes: number, source: string,
 *   messages: number, batch: string, attempt: number, status: number, fault?: string, delay: number, retryAfter?: number,
 *   problem?: string
 * }} Attempt
 * @typedef {{ batch: string, attempts: Array<Attempt> }} Batch
 */

const overscan = 4
const maxAttempts = 10_000
const ranges = [
  ["60000", "last minute"],
  ["300000", "last 5 minutes"],
  ["1800000", "last 30 minutes"],
  ["0", "everything"]
]

/** Faults that the page can request: what the next requests are answered with. */
const faults = [
  { text: "503", answers: [503] },
  { text: "503, five times", answers: [503, 503, 503, 503, 503] },
  { text: "429, Retry-After 5 s", answers: [{ status: 429, headers: { "retry-after": "5" } }] },
  { text: "a reset connection", answers: ["reset before"] },
  { text: "a lost answer (taken, then reset)", answers: ["reset after"] },
  { text: "no answer", answers: ["silence"] },
  { text: "200 after 5 s", answers: [{ status: 200, delay: 5_000 }] }
]

const isSuccess = (/** @type {Attempt} */ { status }) => status >= 200 && status < 300

export class Timeline {
  /** By the key of the batch, oldest first. @type {Map<string, Batch>} */
  batches = new Map()
  /** @type {Map<number, Attempt>} */
  byId = new Map()
  scheduled = false
  range = h(
    "select",
    { "aria-label": "Time range", change: () => this.schedule() },
    ...ranges.map(([value, text]) => h("option", { value }, text))
  )
  troubled = h("input", { type: "checkbox", change: () => this.schedule() })
  fault = h(
    "select",
    { "aria-label": "Answer of the next request" },
    ...faults.map(({ text }, index) => h("option", { value: String(index) }, text))
  )
  summary = h("p", { class: "summary" })
  axis = h("div", { class: "axis", "aria-hidden": "true" })
  spacer = h("div", { class: "spacer", role: "presentation" })
  box = h("div", { class: "batches", role: "list", "aria-label": "Batches, newest first", tabindex: "0" }, this.spacer)

  /** @param {(id: number) => void} onOpen opens a message of a request */
  constructor(onOpen) {
    this.onOpen = onOpen
    byId("timeline").append(
      h(
        "div",
        { class: "tools" },
        this.range,
        h("label", { class: "check" }, this.troubled, "Only batches with retries or errors"),
        h("span", { class: "space" }),
        h("label", { class: "check" }, "Answer the next request with", this.fault),
        h("button", { type: "button", id: "play", click: () => this.play() }, "Play"),
        h(
          "span",
          { class: "legend" },
          mark("ok", "taken"),
          mark("error", "error"),
          mark("line", "waiting"),
          mark("held", "answer held back"),
          mark("limit", "told to wait (Retry-After)")
        )
      ),
      this.summary,
      h("div", { class: "axis-row" }, h("span"), this.axis),
      this.box
    )
    this.box.addEventListener("scroll", () => this.schedule(), { passive: true })
    new ResizeObserver(() => this.schedule()).observe(this.box)
  }

  /** Requests the fault that is selected. */
  async play() {
    const { answers, text } = faults[Number(this.fault.value)] ?? { answers: [], text: "" }
    const { ok } = await fetch("/debugger/faults", { method: "POST", body: JSON.stringify({ answers }) })
    toast(ok ? `Next: ${text}` : "The debugger does not answer")
  }

  /** @param {Array<Attempt>} attempts */
  add(attempts) {
    for (const attempt of attempts) {
      const batch = this.batches.get(attempt.batch) ?? { batch: attempt.batch, attempts: [] }
      batch.attempts.push(attempt)
      this.batches.set(attempt.batch, batch)
      this.byId.set(attempt.id, attempt)
    }
    while (this.byId.size > maxAttempts) {
      const [oldest] = this.batches.values()
      if (oldest === undefined) break
      this.batches.delete(oldest.batch)
      for (const { id } of oldest.attempts) this.byId.delete(id)
    }
    this.schedule()
  }

  clear() {
    this.batches.clear()
    this.byId.clear()
    this.schedule()
  }

  schedule() {
    if (this.scheduled || byId("timeline").hidden) return
    this.scheduled = true
    requestAnimationFrame(() => {
      this.scheduled = false
      this.draw()
    })
  }

  draw() {
    const rowHeight = Number.parseInt(getComputedStyle(this.box).getPropertyValue("--batch"), 10) || 44
    const range = Number(this.range.value)
    const everything = Array.from(this.batches.values())
    const ends = everything.map(({ attempts }) => endOf(/** @type {Attempt} */ (attempts.at(-1))))
    const end = ends.reduce((latest, one) => Math.max(latest, one), 0)
    const firsts = everything.map(({ attempts }) => /** @type {Attempt} */ (attempts[0]).receivedAt)
    const earliest = firsts.reduce((a, b) => Math.min(a, b), end)
    const start = range === 0 ? earliest : Math.max(earliest, end - range)
    const shown = everything
      .filter(({ attempts }) => endOf(/** @type {Attempt} */ (attempts.at(-1))) >= start)
      .filter(({ attempts }) => !this.troubled.checked || attempts.length > 1 || !attempts.every(isSuccess))
      .reverse()
    const retries = shown.reduce((sum, { attempts }) => sum + attempts.length - 1, 0)
    this.summary.textContent =
      shown.length === 0
        ? this.batches.size === 0
          ? "No requests yet."
          : "No batches here: choose a longer range, or show all batches."
        : `${counted(shown.length, "batch")}, ${retries === 1 ? "1 retry" : `${retries.toLocaleString("en-US")} retries`}`
    const span = Math.max(1, end - start)
    const place = (/** @type {number} */ at) => `${Math.min(100, Math.max(0, ((at - start) / span) * 100))}%`
    this.axis.replaceChildren(
      ...(shown.length === 0 ? [] : [0, 0.25, 0.5, 0.75, 1]).map((part) => {
        const tick = h("span", {}, time(start + span * part).slice(0, span < 10_000 ? 12 : 8))
        tick.style.left = `${part * 100}%`
        return tick
      })
    )
    this.spacer.style.height = `${shown.length * rowHeight}px`
    const first = Math.max(0, Math.floor(this.box.scrollTop / rowHeight) - overscan)
    const last = Math.min(shown.length, Math.ceil((this.box.scrollTop + this.box.clientHeight) / rowHeight) + overscan)
    this.spacer.replaceChildren(
      ...shown.slice(first, last).map((batch, index) => {
        const row = this.row(batch, place)
        row.style.transform = `translateY(${(first + index) * rowHeight}px)`
        row.setAttribute("aria-posinset", String(first + index + 1))
        row.setAttribute("aria-setsize", String(shown.length))
        return row
      })
    )
  }

  /**
   * @param {Batch} batch
   * @param {(at: number) => string} place
   */
  row({ attempts }, place) {
    const first = /** @type {Attempt} */ (attempts[0])
    const last = /** @type {Attempt} */ (attempts.at(-1))
    const answers = attempts.map(answerOf).join(", ")
    const track = h("div", { class: "track" })
    attempts.forEach((attempt, index) => {
      const next = attempts[index + 1]
      const answered = attempt.receivedAt + attempt.delay
      if (attempt.delay > 0)
        track.append(bar("held", attempt.receivedAt, answered, place, `answered after ${duration(attempt.delay)}`))
      if (attempt.retryAfter !== undefined) {
        const until = answered + attempt.retryAfter
        track.append(bar("limit", answered, until, place, `told to wait ${duration(attempt.retryAfter)}`))
      }
      if (next !== undefined) {
        track.append(bar("wait", answered, next.receivedAt, place, `waited ${duration(next.receivedAt - answered)}`))
      }
    })
    for (const attempt of attempts) {
      const point = h("span", {
        class: `mark ${isSuccess(attempt) ? "ok" : "error"}`,
        title: `attempt ${attempt.attempt} at ${time(attempt.receivedAt)}: ${answerOf(attempt)}, ${size(attempt.bytes)}`
      })
      point.style.left = place(attempt.receivedAt)
      track.append(point)
    }
    const took = last.receivedAt + last.delay - first.receivedAt
    const outcome = attempts.length === 1 ? answers : `${attempts.length} attempts in ${duration(took)}: ${answers}`
    return h(
      "div",
      { class: `batch ${isSuccess(last) ? "ok" : "error"}`, role: "listitem" },
      h(
        "div",
        { class: "label" },
        last.messages === 0
          ? h("span", {}, "no message")
          : h(
              "button",
              {
                type: "button",
                class: "link",
                title: "Show a message of this batch",
                click: () => this.onOpen(last.id)
              },
              counted(last.messages, "message")
            ),
        h("span", {}, `${time(first.receivedAt)} · ${last.source || "no key"}`),
        h("span", { class: "outcome", title: last.problem ?? outcome }, last.problem ?? outcome)
      ),
      track
    )
  }
}

/** How an attempt ended, in a word. @param {Attempt} attempt */
export const answerOf = ({ fault, status }) =>
  status === 0 ? (answersWithoutStatus[fault ?? ""] ?? "no answer") : String(status)

/** @type {Record<string, string>} */
const answersWithoutStatus = { "reset before": "reset", "reset after": "taken, then reset" }

/** @param {Attempt} attempt */
const endOf = ({ delay, receivedAt, retryAfter = 0 }) => receivedAt + delay + Math.min(retryAfter, 60_000)

/**
 * @param {string} kind
 * @param {number} from
 * @param {number} to
 * @param {(at: number) => string} place
 * @param {string} title
 */
const bar = (kind, from, to, place, title) => {
  const element = h("span", { class: `bar ${kind}`, title })
  element.style.left = place(from)
  element.style.right = `calc(100% - ${place(to)})`
  return element
}

/**
 * @param {string} kind
 * @param {string} text
 */
const mark = (kind, text) => h("span", {}, h("i", { class: `key ${kind}` }), text)
