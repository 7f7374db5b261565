/** The detail of one message: why, what, and the request that it came in. */
import { byId, copy, count, counted, duration, h, size, time, verdictWords } from "./dom.js"

/**
 * @typedef {import("./rows.js").Row} Row
 * @typedef {import("./rows.js").Problem} Problem
 * @typedef {import("./timeline.js").Attempt & { headers: Record<string, string> }} Request
 * @typedef {Row & { json: string, problems: Array<Problem> }} Message
 */

/** JSON beyond this many characters is cut on the page, not in what is copied. */
const maxShown = 100_000

export class Detail {
  element = byId("detail")
  /** @type {number | undefined} */
  shown = undefined

  /**
   * @param {string} host
   * @param {() => void} onClose
   * @param {(filter: Partial<import("./rows.js").Filter>) => void} onFilter
   */
  constructor(host, onClose, onFilter) {
    this.host = host
    this.onClose = onClose
    this.onFilter = onFilter
  }

  close() {
    if (this.element.hidden) return false
    this.element.hidden = true
    this.shown = undefined
    document.body.classList.remove("with-detail")
    this.onClose()
    return true
  }

  /** @param {Row} row */
  async open(row) {
    this.shown = row.id
    const response = await fetch(`/debugger/messages/${row.id}`)
    // Another one may have been selected in the meantime.
    if (this.shown !== row.id) return
    this.element.hidden = false
    document.body.classList.add("with-detail")
    if (!response.ok) {
      const { problem } = await response.json()
      return this.element.replaceChildren(h("p", { class: "empty" }, problem))
    }
    const { message, request } = await response.json()
    if (this.shown !== row.id) return
    this.element.replaceChildren(...this.parts(message, request))
    this.element.scrollTop = 0
  }

  /**
   * @param {Message} message
   * @param {Request | null} request
   */
  parts(message, request) {
    const [word, meaning] = verdictWords[message.verdict]
    const given = JSON.parse(message.json)
    const by = (/** @type {string} */ value, /** @type {Partial<import("./rows.js").Filter>} */ filter) =>
      h(
        "button",
        { type: "button", class: "link", title: "Show only these", click: () => this.onFilter(filter) },
        value
      )
    /** @param {Array<[string, Node | string | undefined]>} facts */
    const facts = (facts) =>
      h(
        "dl",
        {},
        ...facts.flatMap(([name, value]) => (value === undefined ? [] : [h("dt", {}, name), h("dd", {}, value)]))
      )
    return [
      h(
        "div",
        { class: "detail-top" },
        h("span", { class: `pill ${message.verdict}` }, word),
        h("h2", {}, `${message.type ?? "no type"}${message.name ? ` “${message.name}”` : ""}`),
        h(
          "button",
          { type: "button", class: "close", "aria-label": "Close the detail", click: () => this.close() },
          "×"
        )
      ),
      h("p", { class: "meaning" }, `${meaning}.`),
      message.problems.length === 0
        ? undefined
        : h(
            "ul",
            { class: `problems ${message.verdict}` },
            ...message.problems.map(({ path, problem, rule }) =>
              h(
                "li",
                {},
                h("code", {}, path === "" ? "the message" : path),
                h("span", {}, problem),
                h("small", {}, `rule: ${rule}`)
              )
            )
          ),
      h(
        "div",
        { class: "actions" },
        h(
          "button",
          { type: "button", click: () => copy(asTypeScript(given), "the TypeScript call") },
          "Copy as TypeScript"
        ),
        h(
          "button",
          { type: "button", click: () => copy(asCurl(given, this.host), "the curl command") },
          "Copy as curl"
        ),
        h("button", { type: "button", click: () => copy(JSON.stringify(given, null, 2), "the JSON") }, "Copy JSON")
      ),
      facts([
        ["User", message.user === undefined ? "none" : by(message.user, { user: message.user })],
        ["Message id", message.messageId ?? "none: the API makes one"],
        ["Arrived", time(message.receivedAt)],
        ["Latency", `${duration(message.latency)} from its timestamp to its arrival`],
        ["Size", `${count(message.size)} bytes of 32,768`],
        ["Source", message.source === "" ? "no write key" : by(message.source, { source: message.source })],
        ["Library", message.library ?? "not named"]
      ]),
      h("h3", {}, "Message"),
      json(given, message.problems),
      ...(request === null ? [] : this.requestParts(message, request, facts))
    ].filter((part) => part !== undefined)
  }

  /**
   * @param {Message} message
   * @param {Request} request
   * @param {(facts: Array<[string, Node | string | undefined]>) => HTMLElement} facts
   */
  requestParts(message, request, facts) {
    const decoded = request.decodedBytes === request.bytes ? "" : `, ${size(request.decodedBytes)} after decompression`
    const answer = request.status === 0 ? (request.fault ?? "none") : String(request.status)
    return [
      h("h3", {}, "Request"),
      facts([
        ["Request", `${request.method} ${request.path}`],
        ["Batch", `message ${message.index + 1} of ${request.messages}`],
        ["Attempt", String(request.attempt)],
        ["Body", `${size(request.bytes)}${decoded}`],
        ["Answer", `${answer}${request.delay > 0 ? `, after ${duration(request.delay)}` : ""}`],
        ["Fault", request.status === 0 ? undefined : request.fault],
        ["Retry after", request.retryAfter === undefined ? undefined : duration(request.retryAfter)],
        ["Refused", request.problem]
      ]),
      h(
        "details",
        {},
        h("summary", {}, `${counted(Object.keys(request.headers).length, "header")}, without the key`),
        facts(Object.entries(request.headers))
      )
    ]
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// JSON
// ---------------------------------------------------------------------------------------------------------------------

/**
 * JSON with its problems marked where they are: at the field, or at what should hold it.
 * @param {unknown} value
 * @param {Array<Problem>} problems
 */
const json = (value, problems) => {
  const pre = h("pre", { class: "json", tabindex: "0", "aria-label": "The JSON of the message" })
  const open = problems.filter(({ path }) => path !== "")
  let length = 0
  /**
   * @param {unknown} value
   * @param {string} path
   * @param {number} depth
   * @param {string} before
   * @param {string} after
   */
  const write = (value, path, depth, before, after) => {
    if (length > maxShown) return
    const ownProblems = open.filter((problem) => problem.path === path)
    const indent = "  ".repeat(depth)
    /** @param {string} text */
    const line = (text, kind = "", marks = ownProblems) => {
      length += text.length
      const element = h("span", { class: `line${marks.length > 0 ? " marked" : ""}` })
      element.append(
        indent,
        before === "" ? "" : h("i", {}, before),
        kind === "" ? text : h("span", { class: kind }, text)
      )
      for (const { problem } of marks) element.append(h("em", {}, `  ← ${problem}`))
      pre.append(element)
    }
    if (typeof value !== "object" || value === null) return line(`${JSON.stringify(value)}${after}`, typeof value)
    const [start, end] = Array.isArray(value) ? ["[", "]"] : ["{", "}"]
    const entries = Object.entries(value)
    const missing = open.filter((problem) => parentOf(problem.path) === path && !has(value, problem.path))
    if (entries.length === 0 && missing.length === 0) return line(`${start}${end}${after}`)
    line(start)
    for (const problem of missing) {
      const text = `${"  ".repeat(depth + 1)}${lastOf(problem.path)}`
      pre.append(h("span", { class: "line marked missing" }, text, h("em", {}, `  ← ${problem.problem}`)))
    }
    entries.forEach(([key, field], index) => {
      const name = Array.isArray(value) ? "" : `${JSON.stringify(key)}: `
      write(
        field,
        pathTo(path, Array.isArray(value) ? Number(key) : key),
        depth + 1,
        name,
        index === entries.length - 1 ? "" : ","
      )
    })
    pre.append(h("span", { class: "line" }, `${indent}${end}${after}`))
  }
  write(value, "", 0, "", "")
  if (length > maxShown) pre.append(h("em", {}, "… the rest is left out here; copy the JSON to see it all"))
  return pre
}

/**
 * The path of what is at a key, as the server writes it: `properties.items[0]["unit price"]`.
 * @param {string} path
 * @param {string | number} key
 */
const pathTo = (path, key) => {
  if (typeof key === "number") return `${path}[${key}]`
  if (!/^(\*|[\p{ID_Start}$_][\p{ID_Continue}$]*)$/u.test(key)) return `${path}[${JSON.stringify(key)}]`
  return path === "" ? key : `${path}.${key}`
}
/** @param {string} path */
const parentOf = (path) => path.replace(/(\.[^.[\]"]*|\[\d+\]|\["(\\.|[^"\\])*"\]|^[^.[\]"]*)$/, "")
/** @param {string} path */
const lastOf = (path) => {
  const last = path.slice(parentOf(path).length)
  return last.startsWith("[") ? String(JSON.parse(last.slice(1, -1))) : last.replace(/^\./, "")
}
/**
 * @param {object} value
 * @param {string} path
 */
const has = (value, path) => Object.hasOwn(value, lastOf(path))

// ---------------------------------------------------------------------------------------------------------------------
// Copies
// ---------------------------------------------------------------------------------------------------------------------

/** What a client adds by itself. */
const added = new Set(["type", "messageId", "sentAt", "receivedAt", "originalTimestamp", "_metadata", "writeKey"])

/** @param {unknown} given */
export const asTypeScript = (given) => {
  const message = /** @type {Record<string, unknown>} */ (typeof given === "object" && given !== null ? given : {})
  const call = Object.fromEntries(
    Object.entries(message).flatMap(([key, value]) => {
      if (added.has(key) || value === null) return []
      if (key !== "context" || typeof value !== "object") return [[key, value]]
      const { library: _, ...context } = /** @type {Record<string, unknown>} */ (value)
      return Object.keys(context).length === 0 ? [] : [[key, context]]
    })
  )
  const method = /^[a-z]+$/.test(String(message.type)) ? message.type : "track"
  return `analytics.${method}(${literal(call, "")})`
}

/**
 * A value as TypeScript writes it.
 * @param {unknown} value
 * @param {string} indent
 * @returns {string}
 */
const literal = (value, indent) => {
  // Two line separators of JSON text end a line in older JavaScript.
  if (typeof value !== "object" || value === null) {
    return JSON.stringify(value).replaceAll("\u2028", "\\u2028").replaceAll("\u2029", "\\u2029")
  }
  const inner = `${indent}  `
  const items = Array.isArray(value)
    ? value.map((item) => literal(item, inner))
    : Object.entries(value).map(([key, item]) => `${keyOf(key)}: ${literal(item, inner)}`)
  const [start, end] = Array.isArray(value) ? ["[", "]"] : ["{", "}"]
  if (items.length === 0) return start + end
  const line = Array.isArray(value) ? `[${items.join(", ")}]` : `{ ${items.join(", ")} }`
  if (line.length + indent.length < 80 && !line.includes("\n")) return line
  return `${start}\n${items.map((item) => inner + item).join(",\n")}\n${indent}${end}`
}

/** @param {string} key */
const keyOf = (key) => (/^[A-Za-z_$][\w$]*$/.test(key) && key !== "__proto__" ? key : `[${literal(key, "")}]`)

/**
 * @param {unknown} given
 * @param {string} host
 */
export const asCurl = (given, host) => {
  const body = JSON.stringify({ batch: [given] }).replaceAll("'", "'\\''")
  return `curl '${host}/v1/batch' -u "$WRITE_KEY:" -H 'content-type: application/json' -d '${body}'`
}
