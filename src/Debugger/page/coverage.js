/** A tracking plan: loaded from a file, and how much of it was seen. */
import { byId, counted, h, toast } from "./dom.js"

/**
 * @typedef {{ type: string, name: string, seen: number, violations: number }} Seen
 * @typedef {{ name?: string, planned: Array<Seen>, unplanned: Array<Seen> }} Coverage
 */

export class PlanView {
  /** @type {Coverage | null} */
  coverage = null
  drawn = ""
  file = h("input", {
    type: "file",
    accept: ".json,application/json",
    id: "plan-file",
    class: "file",
    change: () => this.load()
  })
  content = h("div", { class: "coverage" })

  /** @param {(filter: Partial<import("./rows.js").Filter>) => void} onFilter */
  constructor(onFilter) {
    this.onFilter = onFilter
    byId("coverage").append(
      h(
        "div",
        { class: "tools" },
        h("label", { class: "button", for: "plan-file" }, "Load a plan"),
        this.file,
        h(
          "button",
          { type: "button", id: "plan-remove", hidden: true, click: () => this.send("null", "The plan is removed") },
          "Remove the plan"
        )
      ),
      this.content
    )
    this.draw()
  }

  /** @param {Coverage | null} coverage */
  show(coverage) {
    const text = JSON.stringify(coverage)
    if (text === this.drawn) return
    this.drawn = text
    this.coverage = coverage
    this.draw()
  }

  async load() {
    const [file] = this.file.files ?? []
    if (file === undefined) return
    await this.send(await file.text(), `Loaded ${file.name}`)
    this.file.value = ""
  }

  /**
   * @param {string} body
   * @param {string} done
   */
  async send(body, done) {
    const response = await fetch("/debugger/plan", { method: "POST", body })
    toast(response.ok ? done : `The plan cannot be used: ${(await response.json()).problem}`)
  }

  draw() {
    byId("plan-remove")?.toggleAttribute("hidden", this.coverage === null)
    if (this.coverage === null) {
      return this.content.replaceChildren(
        h(
          "div",
          { class: "empty" },
          h("h2", {}, "No tracking plan"),
          h(
            "p",
            {},
            "Load a plan as JSON (Segment Protocols or RudderStack): every message is then checked against it, and this page shows which planned events were seen, and which events are not in the plan."
          ),
          h("p", {}, "A program gives its plan with the option ", h("code", {}, "plan"), " of the debugger.")
        )
      )
    }
    const { name, planned, unplanned } = this.coverage
    const seen = planned.filter((one) => one.seen > 0).length
    const broken = planned.filter((one) => one.violations > 0).length
    const meter = h("meter", {
      min: "0",
      max: String(Math.max(1, planned.length)),
      value: String(seen),
      "aria-label": "Planned events seen"
    })
    this.content.replaceChildren(
      h("h2", {}, name ?? "The tracking plan"),
      h(
        "p",
        { class: "summary" },
        `${seen} of ${counted(planned.length, "planned event")} seen, ${broken} with violations, ${unplanned.length} not in the plan`
      ),
      meter,
      h(
        "div",
        { class: "tables" },
        this.table(
          "Not seen yet",
          planned.filter((one) => one.seen === 0),
          "All planned events were seen."
        ),
        this.table(
          "Seen",
          planned.filter((one) => one.seen > 0),
          "Nothing yet."
        ),
        this.table("Not in the plan", unplanned, "Everything that was seen is planned.")
      )
    )
  }

  /**
   * @param {string} title
   * @param {Array<Seen>} rows
   * @param {string} nothing
   */
  table(title, rows, nothing) {
    const sorted = [...rows].sort(
      (a, b) => b.violations - a.violations || b.seen - a.seen || a.name.localeCompare(b.name)
    )
    const head = h(
      "tr",
      {},
      ...["Event", "Type", "Seen", "Violations"].map((text, at) =>
        h("th", { scope: "col", class: at > 1 ? "right" : "" }, text)
      )
    )
    const body = sorted.map((one) =>
      h(
        "tr",
        { class: one.violations > 0 ? "broken" : "" },
        h(
          "td",
          {},
          one.seen === 0
            ? one.name || one.type
            : h(
                "button",
                {
                  type: "button",
                  class: "link",
                  title: "Show these messages",
                  click: () =>
                    this.onFilter({ type: one.type, event: one.name, verdict: one.violations > 0 ? "violation" : "" })
                },
                one.name || one.type
              )
        ),
        h("td", {}, one.type),
        h("td", { class: "right" }, one.seen.toLocaleString("en-US")),
        h("td", { class: "right" }, one.violations.toLocaleString("en-US"))
      )
    )
    return h(
      "section",
      {},
      h("h3", {}, `${title} (${rows.length})`),
      rows.length === 0
        ? h("p", { class: "quiet" }, nothing)
        : h("table", {}, h("thead", {}, head), h("tbody", {}, ...body))
    )
  }
}
