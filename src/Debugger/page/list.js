/** The list: newest first, and only the rows that can be seen are elements. */
import { byId, duration, h, size, time, verdictWords } from "./dom.js"

/**
 * @typedef {import("./rows.js").Row} Row
 * @typedef {import("./rows.js").Rows} Rows
 */

const overscan = 8

export class List {
  /** @type {number | undefined} */
  selected = undefined
  box = byId("list")
  spacer = byId("spacer")
  /** Elements by the id of their message. @type {Map<number, HTMLElement>} */
  elements = new Map()
  scheduled = false
  rowHeight = 34

  /**
   * @param {Rows} rows
   * @param {(row: Row) => void} onSelect
   * @param {(row: Row) => string} reasonOf what to say of a row beside its name
   */
  constructor(rows, onSelect, reasonOf) {
    this.rows = rows
    this.reasonOf = reasonOf
    this.onSelect = onSelect
    this.measure()
    this.box.addEventListener("scroll", () => this.schedule(), { passive: true })
    this.box.addEventListener("click", (event) => {
      const row = event.target instanceof Element ? event.target.closest("[data-id]") : null
      if (row instanceof HTMLElement) this.select(Number(row.dataset.id))
    })
    new ResizeObserver(() => {
      this.measure()
      this.elements.clear()
      this.spacer.replaceChildren()
      this.schedule()
    }).observe(this.box)
  }

  measure() {
    this.rowHeight = Number.parseInt(getComputedStyle(this.box).getPropertyValue("--row"), 10) || 34
  }

  /** Draws everything anew: the filter has changed, or all messages. */
  reset() {
    this.elements.clear()
    this.spacer.replaceChildren()
    this.box.scrollTop = 0
    this.schedule()
  }

  /**
   * A reader who has scrolled down keeps the same rows in view.
   * @param {number} added
   */
  grow(added) {
    if (this.box.scrollTop > 0 && added > 0) {
      this.spacer.style.height = `${this.rows.shown.length * this.rowHeight}px`
      this.box.scrollTop += added * this.rowHeight
    }
    this.schedule()
  }

  schedule() {
    if (this.scheduled) return
    this.scheduled = true
    requestAnimationFrame(() => {
      this.scheduled = false
      this.draw()
    })
  }

  draw() {
    const { shown } = this.rows
    this.spacer.style.height = `${shown.length * this.rowHeight}px`
    const first = Math.max(0, Math.floor(this.box.scrollTop / this.rowHeight) - overscan)
    const last = Math.min(
      shown.length,
      Math.ceil((this.box.scrollTop + this.box.clientHeight) / this.rowHeight) + overscan
    )
    const wanted = new Set()
    for (let place = first; place < last; place++) {
      const row = /** @type {Row} */ (shown[shown.length - 1 - place])
      wanted.add(row.id)
      let element = this.elements.get(row.id)
      if (element === undefined) {
        element = rowElement(row, this.reasonOf(row))
        this.elements.set(row.id, element)
        this.spacer.append(element)
      }
      element.style.transform = `translateY(${place * this.rowHeight}px)`
      element.setAttribute("aria-posinset", String(place + 1))
      element.setAttribute("aria-setsize", String(shown.length))
      element.setAttribute("aria-selected", String(row.id === this.selected))
    }
    for (const [id, element] of this.elements) {
      if (wanted.has(id)) continue
      element.remove()
      this.elements.delete(id)
    }
    if (this.selected !== undefined && wanted.has(this.selected)) {
      this.box.setAttribute("aria-activedescendant", `row-${this.selected}`)
    } else this.box.removeAttribute("aria-activedescendant")
  }

  /** @param {number} id */
  select(id) {
    const row = this.rows.find(id)
    if (row === undefined) return
    this.selected = id
    this.reveal(id)
    this.schedule()
    this.onSelect(row)
  }

  /** @param {number} id */
  reveal(id) {
    const at = this.rows.shown.findIndex((row) => row.id === id)
    if (at === -1) return
    const top = (this.rows.shown.length - 1 - at) * this.rowHeight
    this.spacer.style.height = `${this.rows.shown.length * this.rowHeight}px`
    if (top < this.box.scrollTop) this.box.scrollTop = top
    else if (top + this.rowHeight > this.box.scrollTop + this.box.clientHeight) {
      this.box.scrollTop = top + this.rowHeight - this.box.clientHeight
    }
  }

  /**
   * Selects an older (1) or newer (-1) message, of those that fit.
   * @param {1 | -1} step
   * @param {(row: Row) => boolean} [fits]
   */
  move(step, fits = () => true) {
    const { shown } = this.rows
    const at = shown.findIndex(({ id }) => id === this.selected)
    let next = at === -1 ? shown.length - 1 : at - step
    while (next >= 0 && next < shown.length && !fits(/** @type {Row} */ (shown[next]))) next -= step
    const row = shown[next]
    if (row !== undefined) this.select(row.id)
    return row !== undefined
  }
}

/**
 * @param {Row} row
 * @param {string} reason
 */
const rowElement = (row, reason) => {
  const [word, meaning] = verdictWords[row.verdict]
  return h(
    "div",
    {
      class: `row ${row.verdict}`,
      role: "option",
      id: `row-${row.id}`,
      "data-id": String(row.id),
      "aria-selected": "false"
    },
    h("span", { class: "verdict", title: meaning }, word),
    h("span", { class: "time" }, time(row.receivedAt)),
    h("span", { class: "type" }, row.type ?? "?"),
    h(
      "span",
      { class: "name" },
      h("b", {}, row.name ?? ""),
      reason === "" ? undefined : h("span", { class: "reason", title: reason }, reason)
    ),
    h("span", { class: "user", title: row.user ?? "" }, row.user ?? "no user"),
    h("span", { class: "size right" }, size(row.size)),
    h("span", { class: "latency right" }, duration(row.latency)),
    h("span", { class: "source" }, row.source || "no key"),
    h("span", { class: "library" }, row.library ?? "")
  )
}
