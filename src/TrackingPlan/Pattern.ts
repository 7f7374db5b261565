/**
 * The regular expressions of JSON Schemas. They are written without a flag, and read here with the flag `u`, which refuses
 * what JavaScript otherwise lets pass: needless escapes (`\-`), lone brackets, ranges that are none (`[\w-.]`).
 */

/** The same expression, as it is legal with the flag `u`. Throws if there is none. */
export const unicode = (pattern: string): string => {
  if (problemOf(pattern, "u") === undefined) return pattern
  const problem = problemOf(pattern, "")
  const rewritten = problem === undefined ? rewrite(pattern) : pattern
  const left = problem ?? problemOf(rewritten, "u")
  if (left !== undefined) throw new Error(`the pattern ${JSON.stringify(pattern)} can't be read: ${left}`)
  return rewritten
}

const problemOf = (pattern: string, flags: string): string | undefined => {
  try {
    new RegExp(pattern, flags)
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/** An escape that means something: a character class, a control character, a number, a name, a reference. */
const escape =
  /\\(?:[dDwWsSbBfnrtv0-9]|c[A-Za-z]|x[\da-fA-F]{2}|u[\da-fA-F]{4}|u\{[\da-fA-F]+\}|[pP]\{[^}]*\}|k<[^>]*>)/y
/** An escape that takes the meaning from a character that has one. */
const literal = /\\[\^$\\.*+?()[\]{}|/]/y
const quantifier = /\{\d+(?:,\d*)?\}/y
const classEscape = /^\\(?:[dDwWsS]|[pP]\{)/

const rewrite = (pattern: string): string => {
  let at = 0
  const take = (expression: RegExp): string | undefined => {
    expression.lastIndex = at
    const [found] = expression.exec(pattern) ?? []
    if (found !== undefined) at += found.length
    return found
  }
  /** One character, or what stands for it. */
  const atom = (inClass: boolean): string => {
    const escaped = take(escape) ?? take(literal)
    if (escaped !== undefined) return escaped
    const character = pattern[at++] ?? ""
    if (character !== "\\") return character
    const next = pattern[at] ?? ""
    // A control character that is none: the backslash is one.
    if (next === "c") return "\\\\"
    at++
    return next === "-" && inClass ? "\\-" : next
  }
  const inClass = (): string => {
    let text = "["
    let before = ""
    if (pattern[at] === "^") text += pattern[at++]
    while (at < pattern.length && pattern[at] !== "]") {
      const next = atom(true)
      const isDash = next === "-" && before !== "" && pattern[at] !== "]"
      const makesNoRange = classEscape.test(before) || classEscape.test(pattern.slice(at))
      text += isDash && makesNoRange ? "\\-" : next
      before = next
    }
    at++
    return `${text}]`
  }
  let text = ""
  while (at < pattern.length) {
    const repeated = take(quantifier)
    if (repeated !== undefined) text += repeated
    else if (pattern[at] === "[") {
      at++
      text += inClass()
    } else {
      const isLone = pattern[at] === "{" || pattern[at] === "}" || pattern[at] === "]"
      text += isLone ? `\\${pattern[at++]}` : atom(false)
    }
  }
  return text
}
