/**
 * Simulated visitors of the shop, over real HTTP: they look around, search, sign up, buy, and now and then one of them
 * is a crawler, or pastes a whole book into a review. The same number of requests is the same visitors every time.
 */

import * as Effect from "effect/Effect"
import type * as Cookies from "effect/http/Cookies"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Random from "effect/Random"
import * as Ref from "effect/Ref"

/** One visitor: who they seem to be, and what they ask for. */
interface Visitor {
  readonly headers: Readonly<Record<string, string>>
  readonly requests: ReadonlyArray<HttpClientRequest.HttpClientRequest>
}

const get = HttpClientRequest.get
const post = (path: string, body: unknown) => HttpClientRequest.bodyJsonUnsafe(HttpClientRequest.post(path), body)

const browsers = [
  "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
  "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0",
  "TeaShop/4.2 (iPhone; iOS 18.5)"
] as const

const crawl: Visitor = {
  headers: { "user-agent": "Mozilla/5.0 (compatible; SomeBot/2.1; +https://bot.example)" },
  requests: ["/", "/products/teapot", "/products/kettle", "/products/mug"].map((path) => get(path))
}

const visitor = Effect.fnUntraced(function* (n: number): Effect.fn.Return<Visitor> {
  if (n % 20 === 1) return crawl
  const [first, second, third] = yield* Random.shuffle(["teapot", "kettle", "mug", "oolong", "sencha"])
  const browser = yield* Random.choice(browsers)
  const buys = n % 3 === 0
  const signsUp = buys || n % 4 === 0
  return {
    headers: { "user-agent": browser, "accept-language": "en-GB", "x-forwarded-for": `203.0.113.${n % 256}` },
    requests: [
      get("/"),
      get(`/products/${first}`),
      get("/search?q=e"),
      get(`/products/${second}`),
      ...(signsUp ? [post("/signup", { name: `Visitor ${n}`, email: `visitor-${n}@example.com` })] : []),
      ...(n % 12 === 0 ? [post("/company", { name: `Company ${n % 7}` })] : []),
      ...(buys ? [post("/cart", { skus: [first, third] }), post("/checkout", { skus: [first, third] })] : []),
      ...(n % 10 === 3
        ? [post("/reviews", { sku: first, text: n % 30 === 3 ? "Tea! ".repeat(9_000) : "Lovely." })]
        : []),
      ...(buys && browser.startsWith("TeaShop") ? [get("/app/orders")] : [])
    ]
  }
})

/** As many visitors as make this number of requests. */
const invite = Effect.fnUntraced(function* (requests: number) {
  const visitors: Array<Visitor> = []
  for (let left = requests; left > 0; ) {
    const next = yield* visitor(visitors.length)
    visitors.push({ ...next, requests: next.requests.slice(0, left) })
    left -= next.requests.length
  }
  return visitors
}, Random.withSeed("a small shop"))

/** Lets visitors come to the shop at `url`, and tells of every request that it has answered. */
export const visit = Effect.fnUntraced(function* (options: {
  readonly url: string
  readonly requests: number
  readonly onAnswer: () => void
}) {
  const client = HttpClient.filterStatusOk(yield* HttpClient.HttpClient)
  const visitors = yield* invite(options.requests)

  const come = Effect.fnUntraced(function* ({ headers, requests }: Visitor) {
    const jar = yield* Ref.make<ReadonlyArray<Cookies.Cookie>>([])
    const browser = client.pipe(
      HttpClient.withCookiesRef(jar),
      HttpClient.mapRequest((request) =>
        HttpClientRequest.setHeaders(HttpClientRequest.prependUrl(request, options.url), headers)
      )
    )
    for (const request of requests) {
      yield* Effect.flatMap(browser.execute(request), (response) => response.text)
      options.onAnswer()
      yield* Effect.sleep(yield* Random.nextBetween(0, 100))
    }
  })

  yield* Effect.forEach(visitors, come, { concurrency: 30, discard: true })
})
