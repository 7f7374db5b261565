/**
 * The HTTP client of the program, a function like `fetch` or an object with `makeRequest`, as a `fetch` of the core.
 */

/** A function like `fetch`. @category models @since 0.1.0 */
export type HTTPFetchFn = (url: string, requestInit: HTTPFetchRequest) => Promise<HTTPResponse>

/** The second argument of `fetch`. @category models @since 0.1.0 */
export interface HTTPFetchRequest {
  headers: Record<string, string>
  body: string
  method: HTTPClientRequest["method"]
  // biome-ignore lint/suspicious/noExplicitAny: the signal of whatever implementation of fetch
  signal: any
}

/** Headers as `fetch` has them. */
interface HTTPHeaders {
  get: (key: string) => string | null
  has: (key: string) => boolean
  // biome-ignore lint/suspicious/noExplicitAny: values of whatever implementation of fetch
  entries: () => IterableIterator<[string, any]>
}

/** The parts of a response that are read. @category models @since 0.1.0 */
export interface HTTPResponse {
  // biome-ignore lint/suspicious/noExplicitAny: values of whatever HTTP client
  headers?: Record<string, any> | HTTPHeaders
  /** The body. */
  text?: () => Promise<string>
  status: number
  statusText: string
}

/** A request, always a POST. @category models @since 0.1.0 */
export interface HTTPClientRequest {
  url: string
  method: "POST"
  headers: Record<string, string>
  body: string
  /** The longest time until the response, in milliseconds. */
  httpRequestTimeout: number
}

/** An HTTP client. @category models @since 0.1.0 */
export interface HTTPClient {
  /** Makes a request. What it rejects with is tried again. */
  makeRequest(options: HTTPClientRequest): Promise<HTTPResponse>
}

/**
 * The client over a function like `fetch`. @default `globalThis.fetch` as it is when a request is sent
 * @category models @since 0.1.0
 */
export class FetchHTTPClient implements HTTPClient {
  readonly #fetch: HTTPFetchFn

  constructor(fetchFn?: HTTPFetchFn) {
    this.#fetch = fetchFn ?? globalFetch
  }

  /** Makes a request, within `httpRequestTimeout`. */
  makeRequest({ httpRequestTimeout, ...request }: HTTPClientRequest): Promise<HTTPResponse> {
    const { url } = request
    return this.#fetch(url, { ...request, signal: AbortSignal.timeout(httpRequestTimeout) })
  }
}

// The core has a transport of its own; this is for programs that make requests with this class.
const globalFetch: HTTPFetchFn = (url, init) => globalThis.fetch(url, init)

/** A request and a response as the listeners of `http_request` and `http_response` get them: without the write key. */
export interface Exchange {
  readonly onRequest: (request: { url: string; method: string; headers: Record<string, string>; body: string }) => void
  readonly onResponse: (response: {
    status: number
    statusText: string
    url: string
    body: string
    headers: Record<string, string>
  }) => void
}

/** A `fetch` of the core over the HTTP client of the program. */
export const fetchOver = (
  client: HTTPFetchFn | HTTPClient | undefined,
  httpRequestTimeout: number,
  exchange?: Exchange
): typeof globalThis.fetch => {
  const send = async (request: Omit<HTTPClientRequest, "httpRequestTimeout">, init: RequestInit | undefined) => {
    if (client === undefined) return globalThis.fetch(request.url, { ...init, ...request })
    if (typeof client !== "function") return client.makeRequest({ ...request, httpRequestTimeout })
    const { url, ...rest } = request
    return client(url, { ...rest, signal: init?.signal, redirect: init?.redirect } as HTTPFetchRequest)
  }
  return async (input, init) => {
    const headers: Record<string, string> = {}
    for (const [name, value] of new Headers(init?.headers)) headers[spellings[name] ?? name] = value
    const request = { url: String(input), method: "POST" as const, headers, body: String(init?.body) }
    const shown = exchange === undefined ? undefined : withoutKey(request)
    if (shown !== undefined) exchange?.onRequest(shown)
    const response = await send(request, init)
    if (shown !== undefined) {
      exchange?.onResponse({
        status: response.status,
        statusText: response.statusText,
        url: shown.url,
        body: shown.body,
        headers: recordOf(response.headers)
      })
    }
    return response instanceof Response ? response : toResponse(response)
  }
}

/** As HTTP clients of programs know these headers. */
const spellings: Readonly<Record<string, string>> = {
  authorization: "Authorization",
  "content-type": "Content-Type",
  "user-agent": "User-Agent",
  "x-retry-count": "X-Retry-Count"
}

const withoutKey = ({ body, headers, ...request }: Omit<HTTPClientRequest, "httpRequestTimeout">) => ({
  ...request,
  headers: "Authorization" in headers ? { ...headers, Authorization: "[redacted]" } : { ...headers },
  // The key is the second of the three fields; what is in the batch before it is escaped.
  body: body.replace(/"writeKey":"[^"]*","sentAt":"[^"]*"}$/, (end) =>
    end.replace(/^"writeKey":"[^"]*"/, '"writeKey":"[redacted]"')
  )
})

const recordOf = (headers: HTTPResponse["headers"]): Record<string, string> => {
  if (headers === undefined || headers === null) return {}
  const entries = typeof headers.entries === "function" ? (headers as HTTPHeaders).entries() : Object.entries(headers)
  return Object.fromEntries(Array.from(entries, ([name, value]) => [String(name).toLowerCase(), String(value)]))
}

const toResponse = async (given: HTTPResponse): Promise<Response> => {
  const headers = new Headers(recordOf(given.headers))
  // The text is not compressed any more.
  for (const name of ["content-encoding", "content-length"]) headers.delete(name)
  const response = new Response(typeof given.text === "function" ? await given.text() : "", { headers })
  // A `Response` is not made with any status.
  return Object.defineProperty(response, "status", { value: given.status })
}
