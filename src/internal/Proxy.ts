/** The proxy that the environment has for an address: Node's `fetch` uses it if it is told to. */

/** A variable of the environment, in a runtime that has one. */
const variable = (name: string): string | undefined =>
  (globalThis as { readonly process?: { readonly env?: Readonly<Record<string, string>> } }).process?.env?.[name]

/** The name of the variable that has a proxy for this address. */
const variableFor = (url: URL): string | undefined => {
  const excluded = (variable("no_proxy") ?? variable("NO_PROXY") ?? "").split(/[\s,]+/)
  const isExcluded = excluded.some(
    (name) => name === "*" || name === url.hostname || (name.startsWith(".") && url.hostname.endsWith(name))
  )
  if (isExcluded) return undefined
  const lower = `${url.protocol.slice(0, -1)}_proxy`
  return [lower, lower.toUpperCase()].find((one) => (variable(one) ?? "") !== "")
}

/** The host of the proxy for this address; the name of the variable where it is no URL: a password may be in it. */
export const proxyFor = (url: URL): string | undefined => {
  const name = variableFor(url)
  if (name === undefined) return undefined
  const value = variable(name) ?? ""
  return isProxy(value) ? new URL(value).host : `the value of ${name}`
}

/** Whether a value is the URL of a proxy. */
export const isProxy = (value: string): boolean => URL.canParse(value) && /^https?:$/.test(new URL(value).protocol)

let used = false
/** Remembers that the program itself has told `fetch` to use the proxy. */
export const setUsed = (): void => {
  used = true
}

/** Whether Node's `fetch` was told to use the proxy of the environment. */
export const isUsed = (): boolean => used || variable("NODE_USE_ENV_PROXY") === "1"

/** For an address that was not reached: that there is a proxy for it, which is not used. */
export const hintFor = (url: URL): string | undefined => {
  const name = isUsed() ? undefined : variableFor(url)
  return name === undefined ? undefined : `${name} is set, and Node's fetch uses it only with NODE_USE_ENV_PROXY=1`
}
