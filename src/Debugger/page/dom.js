/** Elements and words. Whatever comes from an event goes through `textContent`: there is no other way in. */

/**
 * An element with attributes and children; text stays text.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, string | boolean | ((event: Event) => void) | undefined>} [attributes]
 * @param {...(Node | string | undefined)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export const h = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value)
    else if (value === true) element.setAttribute(name, "")
    else if (value !== false && value !== undefined) element.setAttribute(name, value)
  }
  for (const child of children) if (child !== undefined) element.append(child)
  return element
}

/**
 * The element of the page with this id.
 * @template {HTMLElement} [E=HTMLElement]
 * @param {string} id
 * @returns {E}
 */
export const byId = (id) => /** @type {E} */ (document.getElementById(id))

/** @param {number} n */
export const count = (n) => n.toLocaleString("en-US")

/**
 * @param {number} n
 * @param {string} noun
 */
export const counted = (n, noun) => `${count(n)} ${noun}${n === 1 ? "" : noun.endsWith("h") ? "es" : "s"}`

/** @param {number} bytes */
export const size = (bytes) => (bytes < 1_000 ? `${bytes} B` : `${(bytes / 1_000).toFixed(bytes < 10_000 ? 1 : 0)} kB`)

/** @param {number | undefined} millis */
export const duration = (millis) => {
  if (millis === undefined) return "–"
  const abs = Math.abs(millis)
  const sign = millis < 0 ? "−" : ""
  if (abs < 1_000) return `${sign}${Math.round(abs)} ms`
  if (abs < 60_000) return `${sign}${(abs / 1_000).toFixed(1)} s`
  if (abs < 3_600_000) return `${sign}${Math.round(abs / 60_000)} min`
  return abs < 48 * 3_600_000 ? `${sign}${Math.round(abs / 3_600_000)} h` : `${sign}${Math.round(abs / 86_400_000)} d`
}

/** @param {number} at */
export const time = (at) => {
  const date = new Date(at)
  const two = (/** @type {number} */ n) => String(n).padStart(2, "0")
  const millis = String(date.getMilliseconds()).padStart(3, "0")
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${millis}`
}

/** The words for verdicts, and what they mean. */
export const verdictWords = {
  delivered: ["Delivered", "Taken by the API, and nothing is wrong"],
  rejected: ["Rejected", "The real API would drop this message"],
  violation: ["Violation", "Taken by the API, and breaks the tracking plan"],
  duplicate: ["Duplicate", "The API has taken this messageId before, and drops it"],
  failed: ["Failed", "The request was answered with an error: the client has to send it again"]
}

/** A problem and its place as a sentence. @param {{ path: string, problem: string }} problem */
export const sentence = ({ path, problem }) =>
  `${path || "the message"}${/^[a-z]/.test(problem) ? " " : ": "}${problem}`

/** @param {string} text */
export const toast = (text) => {
  const status = byId("status")
  status.textContent = text
  status.classList.add("shown")
  window.clearTimeout(Number(status.dataset.timer))
  status.dataset.timer = String(window.setTimeout(() => status.classList.remove("shown"), 2_500))
}

/**
 * @param {string} text
 * @param {string} what
 */
export const copy = async (text, what) => {
  try {
    await navigator.clipboard.writeText(text)
    toast(`Copied ${what}`)
  } catch {
    toast("The browser does not let this page copy")
  }
}
