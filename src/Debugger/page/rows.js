/** The messages that the page knows, and those of them that pass the filters. */

/**
 * @typedef {"delivered" | "violation" | "rejected" | "duplicate" | "failed"} Verdict
 * @typedef {{ rule: string, path: string, problem: string }} Problem
 * @typedef {{
 *   id: number, request: number, index: number, receivedAt: number, type?: string, name?: string, user?: string,
 *   messageId?: string, size: number, latency?: number, source: string, library?: string, verdict: Verdict,
 *   problem: Problem | null
 * }} Row
 * @typedef {{ text: string, verdict: Verdict | "", type: string, event: string, user: string, source: string }} Filter
 */

/** @type {Filter} */
export const noFilter = { text: "", verdict: "", type: "", event: "", user: "", source: "" }

/** @param {Row} row */
const haystack = ({ library = "", messageId = "", name = "", problem, source, type = "", user = "" }) =>
  `${type} ${name} ${user} ${messageId} ${library} ${source} ${problem?.path ?? ""} ${problem?.problem ?? ""}`.toLowerCase()

export class Rows {
  /** Oldest first. @type {Array<Row>} */
  all = []
  /** Those that pass the filter, oldest first. @type {Array<Row>} */
  shown = []
  /** @type {Filter} */
  filter = noFilter
  maxMessages = 10_000
  /** How many messages arrived in each second. @type {Map<number, number>} */
  rate = new Map()

  /**
   * Adds what arrived; answers how many of it are shown.
   * @param {Array<Row>} rows
   */
  add(rows) {
    const before = this.shown.length
    for (const row of rows) {
      this.all.push(row)
      if (this.passes(row)) this.shown.push(row)
      const second = Math.floor(row.receivedAt / 1_000)
      this.rate.set(second, (this.rate.get(second) ?? 0) + 1)
    }
    const added = this.shown.length - before
    const excess = this.all.length - this.maxMessages
    if (excess > 0) {
      const last = /** @type {Row} */ (this.all[excess - 1]).id
      this.all.splice(0, excess)
      const first = this.shown.findIndex(({ id }) => id > last)
      this.shown.splice(0, first === -1 ? this.shown.length : first)
    }
    return added
  }

  clear() {
    this.all = []
    this.shown = []
    this.rate.clear()
  }

  /** @param {Partial<Filter>} change */
  narrow(change) {
    this.filter = { ...this.filter, ...change }
    this.shown = this.all.filter((row) => this.passes(row))
  }

  get isFiltered() {
    return Object.values(this.filter).some((value) => value !== "")
  }

  /** @param {Row} row */
  passes(row) {
    const { event, source, text, type, user, verdict } = this.filter
    if (verdict !== "" && row.verdict !== verdict) return false
    if (type !== "" && row.type !== type) return false
    if (source !== "" && row.source !== source) return false
    if (event !== "" && !(row.name ?? "").toLowerCase().includes(event.toLowerCase())) return false
    if (user !== "" && !(row.user ?? "").toLowerCase().includes(user.toLowerCase())) return false
    if (text === "") return true
    const searched = haystack(row)
    return text
      .toLowerCase()
      .split(/\s+/)
      .every((word) => searched.includes(word))
  }

  /**
   * The different values of a field, most frequent first.
   * @param {"type" | "name" | "user" | "source"} field
   */
  values(field) {
    /** @type {Map<string, number>} */
    const counts = new Map()
    for (const { [field]: value } of this.all) if (value) counts.set(value, (counts.get(value) ?? 0) + 1)
    return Array.from(counts)
      .sort(([, a], [, b]) => b - a)
      .slice(0, 200)
      .map(([value]) => value)
  }

  /** @param {number} id */
  find(id) {
    return this.all.find((row) => row.id === id)
  }
}
