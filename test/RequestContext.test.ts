import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { InvalidSetting } from "../src/AnalyticsError.ts"
import * as Json from "../src/internal/Json.ts"
import * as RequestContext from "../src/RequestContext.ts"

const browser = {
  "user-agent": "Mozilla/5.0",
  "accept-language": "de-CH, de;q=0.9, en;q=0.8, *;q=0.5",
  referer: "https://shop.example/",
  "x-request-id": "req-1"
}
const ipOf = (headers: Record<string, string>, trust?: number | string, ip = "192.0.2.1") =>
  RequestContext.make({ trust })({ url: "/", headers, ip }).ip

describe("RequestContext", () => {
  it("reads address, browser, language, page and id", () => {
    const context = RequestContext.make()({
      url: "/cart?item=1",
      protocol: "https",
      host: "shop.example",
      headers: browser,
      ip: "203.0.113.7"
    })
    assert.deepStrictEqual(context, {
      ip: "203.0.113.7",
      userAgent: "Mozilla/5.0",
      locale: "de-CH",
      page: {
        path: "/cart",
        search: "?item=1",
        referrer: "https://shop.example/",
        url: "https://shop.example/cart?item=1"
      },
      requestId: "req-1"
    })
  })

  it("reads a Request of the web as it is", () => {
    const request = new Request("https://shop.example/cart?item=1", { headers: { ...browser, referer: "" } })
    assert.deepStrictEqual(RequestContext.make()(request), {
      userAgent: "Mozilla/5.0",
      locale: "de-CH",
      page: { path: "/cart", search: "?item=1", referrer: "", url: "https://shop.example/cart?item=1" },
      requestId: "req-1"
    })
  })

  it("leaves out what the request does not say", () => {
    assert.deepStrictEqual(RequestContext.make()({ headers: {} }), {})
  })

  describe("the address", () => {
    const spoofed = {
      "x-forwarded-for": "6.6.6.6, 198.51.100.7",
      "cf-connecting-ip": "7.7.7.7",
      forwarded: "for=8.8.8.8"
    }

    it("is the one of the connection: nobody is believed who was not named", () => {
      assert.strictEqual(ipOf(spoofed), "192.0.2.1")
      assert.strictEqual(ipOf(spoofed, 0), "192.0.2.1")
    })

    it("is what the outermost of so many proxies saw", () => {
      assert.strictEqual(ipOf(spoofed, 1), "198.51.100.7")
      assert.strictEqual(ipOf({ "x-forwarded-for": "6.6.6.6, 198.51.100.7, 10.0.0.2" }, 2), "198.51.100.7")
    })

    it("is what a proxy saw, also if a request went past the ones before it", () => {
      assert.strictEqual(ipOf({ "x-forwarded-for": "198.51.100.7" }, 3), "198.51.100.7")
      assert.strictEqual(ipOf({}, 1), "192.0.2.1")
    })

    it("is what the header of the platform says", () => {
      assert.strictEqual(ipOf(spoofed, "CF-Connecting-IP"), "7.7.7.7")
      assert.strictEqual(ipOf({}, "cf-connecting-ip"), "192.0.2.1")
    })

    it.each([
      ["198.51.100.7:4711", "198.51.100.7"],
      ["[2001:db8::1]:4711", "2001:db8::1"],
      ["[2001:db8::1]", "2001:db8::1"],
      ["2001:DB8:0:0:0:0:0:1", "2001:db8::1"],
      ["fe80::1%eth0", "fe80::1"],
      ["::ffff:198.51.100.7", "198.51.100.7"],
      [" 198.51.100.7 ", "198.51.100.7"],
      ["unknown", undefined],
      ["_hidden", undefined],
      ["198.51.100", undefined],
      ["<script>", undefined],
      ["", "192.0.2.1"]
    ])("%j is %s", (said, expected) => {
      assert.strictEqual(ipOf({ "x-forwarded-for": said }, 1), expected)
    })

    const names = ["", "x forwarded", "1", "0", "-1"]
    // What JavaScript and a file of settings can hold in the place of a number or a name.
    const others = [null, true, false, ["x-real-ip"], [1], {}]
    it.each([-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, ...names, ...others])(
      "refuses to trust %j, by the name of the setting",
      (trust) => {
        assert.throws(() => RequestContext.make({ trust: trust as number }), InvalidSetting, /trust/)
      }
    )
  })

  it.each([
    ["en", "en"],
    ["en;q=0.5, fr", "fr"],
    ["en;q=0.5,fr;q=0.5", "en"],
    ["zh-Hans-CN;q=0.9,*", "zh-Hans-CN"],
    ["en;q=0", undefined],
    ["*", undefined],
    ["<script>", undefined],
    [`en${"-abcdefgh".repeat(7)}, fr;q=0.5`, "fr"]
  ])("of the languages %j takes %s", (accepted, expected) => {
    assert.strictEqual(RequestContext.make()({ headers: { "accept-language": accepted } }).locale, expected)
  })

  describe("the page", () => {
    const pageOf = (request: Partial<RequestContext.Request>) => RequestContext.make()({ headers: {}, ...request }).page

    it("has the address as it was before a router cut it", () => {
      assert.strictEqual(pageOf({ url: "/1", originalUrl: "/items/1" })?.path, "/items/1")
    })

    it("has no url where the host is not known, and none that a path makes up", () => {
      assert.deepStrictEqual(pageOf({ url: "//evil.example/x" }), {
        path: "//evil.example/x",
        search: "",
        referrer: ""
      })
      const url = pageOf({ url: "//evil.example/x", protocol: "https", host: "shop.example" })?.url
      assert.strictEqual(url, "https://shop.example//evil.example/x")
    })

    it("has neither a password nor a fragment", () => {
      assert.strictEqual(pageOf({ url: "https://u:secret@shop.example/a#token" })?.url, "https://shop.example/a")
    })

    it.each(["a.com/y?z", "a.com?z", "a.com#z", "a.com\\y", "u:p@a.com", "a b", "a\tb", "", ":80", "a:99999", "["])(
      "has its path, and no url, when the host is %j",
      (host) => {
        const page = { path: "/cart", search: "?item=1", referrer: "" }
        assert.deepStrictEqual(pageOf({ url: "/cart?item=1", protocol: "https", host }), page)
      }
    )

    it("has no url of a protocol that is more than http or https", () => {
      for (const protocol of ["https://a.com/y?", "javascript", ""]) {
        assert.deepStrictEqual(pageOf({ url: "/x", protocol, host: "a.com" }), { path: "/x", search: "", referrer: "" })
      }
    })

    it.each(["*", "shop.example:443", "http://", "\0"])("is left out for %j", (url) => {
      assert.isUndefined(pageOf({ url }))
    })
  })

  it("takes the id that the platform has before that of the header", () => {
    assert.strictEqual(RequestContext.make()({ headers: browser, id: "own" }).requestId, "own")
    assert.isUndefined(RequestContext.make()({ headers: { "x-request-id": `${"x".repeat(129)}` } }).requestId)
    assert.isUndefined(RequestContext.make()({ headers: { "x-request-id": "a\nb" } }).requestId)
  })

  it("leaves a message more than 20,000 bytes, when every text of a request is as long as it can be", () => {
    const long = "\u0001".repeat(10_000)
    const context = RequestContext.make({ trust: 1 })({
      url: `/${"x".repeat(10_000)}?${"\\".repeat(10_000)}`,
      protocol: "https",
      host: "shop.example",
      headers: {
        "user-agent": long,
        referer: long,
        "accept-language": `en${"-abcdefgh".repeat(6)}`,
        "x-request-id": '"'.repeat(128),
        "x-forwarded-for": "2001:db8:1111:2222:3333:4444:5555:6666"
      }
    })
    assert.deepStrictEqual(Object.keys(context), ["ip", "userAgent", "locale", "page", "requestId"])
    assert.isBelow(Json.byteLength(Json.stringify(context)), 12_000)
  })

  it("whatever a request holds, answers with something small that can be sent", () => {
    const parts = ["x", "/ä", "ÿ", "\\", '"', "\u0001", "\ud800", "en;q=0.9,", "1.2.3.4,", "-a", "en-a"]
    const long = fc.constantFrom(...parts.map((part) => part.repeat(10_000)))
    const text = fc.oneof(fc.string({ unit: "binary" }), long)
    const names = ["user-agent", "accept-language", "referer", "x-request-id", "x-forwarded-for"]
    const header = fc.oneof(text, fc.array(text, { maxLength: 2 }), fc.constant(undefined))
    const headers = fc.record(Object.fromEntries(names.map((name) => [name, header])))
    const request = fc.record(
      {
        url: fc.oneof(text, fc.webUrl(), fc.webPath()),
        protocol: fc.oneof(text, fc.constantFrom("http", "https")),
        host: fc.oneof(text, fc.domain()),
        headers,
        ip: text
      },
      { requiredKeys: ["headers"] }
    )
    fc.assert(
      fc.property(request, fc.constantFrom(0, 1, "x-forwarded-for"), (request, trust) => {
        const context = RequestContext.make({ trust })(request)
        assert.notInstanceOf(Json.copy(context), Json.JsonError)
        assert.isBelow(Json.byteLength(Json.stringify(context)), 12_000)
      }),
      { numRuns: 100 }
    )
  })
})
