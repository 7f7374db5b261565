/** The words that an editor shows for a call, asked of the compiler's language server. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as LanguageServer from "./languageServer.ts"

/** The words of each field in a call: the place where to look, its type, an example, and its limit or default. */
const fields: ReadonlyArray<readonly [place: string, ...words: ReadonlyArray<string>]> = [
  ["event: ", "event: string", '"Order Completed"', "Not blank"],
  ["properties: ", "properties?: Data", '{ orderId: "4711", total: 27.5 }', "32 KiB"],
  ["context: ", "context?: ContextFields", '{ ip: "192.0.2.1"', "32 KiB"],
  ["integrations: ", "integrations?: Integrations", "{ All: false, KISSmetrics: true }", "@default"],
  ["messageId: ", "messageId?: string", '"order-4711"', "1 to 100 characters", "@default"],
  ["timestamp: ", "timestamp?: Time", '"2026-01-02T03:04:05Z"', "@default"],
  ["ip: ", "ip?: string", '"192.0.2.1"'],
  ["email: ", "email?: string", '"ada@example.com"'],
  ["groupId: ", "groupId: Id", '"g1"', "not blank"],
  ["employees: ", "employees?: string | number", "employees"],
  ["previousId: ", "previousId: Id", '"v1"', "not blank"]
]

const calls = ["identify", "track", "page", "screen", "group", "alias"] as const
const named = (name: string) => `(call: ${name.charAt(0).toUpperCase()}${name.slice(1)}) =>`

const contextNames = ["app", "campaign", "device", "groupId", "ip", "locale", "location", "network", "os", "page"]
const moreContextNames = ["referrer", "screen", "timezone", "traits", "userAgent"]
const userTraits = ["address", "age", "avatar", "birthday", "company", "createdAt", "description", "email", "firstName"]
const moreUserTraits = ["gender", "id", "lastName", "name", "phone", "title", "username", "website"]
const groupTraits = [
  "address",
  "createdAt",
  "description",
  "email",
  "employees",
  "id",
  "industry",
  "name",
  "phone",
  "plan"
]

describe.each(["plain", "effect"])("in the editor, the %s face", (face) => {
  let server: Awaited<ReturnType<typeof LanguageServer.start>>
  let file: ReturnType<typeof server.open>
  beforeAll(async () => {
    server = await LanguageServer.start()
    file = server.open(`test/editor/${face}.ts`)
  }, 120_000)
  afterAll(() => server.stop())

  /** The place of a text in the file, from behind another. */
  const at = (text: string, after = "analytics.") => {
    const index = file.text.indexOf(text, file.text.indexOf(after))
    assert.isAtLeast(index, 0, text)
    const lines = file.text.slice(0, index).split("\n")
    return { line: lines.length - 1, character: lines.at(-1)?.length ?? 0 }
  }

  it.each(calls)("%s shows what it is for, an example, and its call as a named interface", async (name) => {
    const place = at(`${name}({`)
    const words = await file.hover(place)
    assert.include(words, named(name))
    assert.include(words, `\`${name}({ `)
  })

  it.each(fields)("%s shows what it is, an example and its limit", async (place, ...words) => {
    const shown = await file.hover(at(place))
    for (const word of words) assert.include(shown, word)
  })

  // In a call about a user or a visitor this server shows no words for a field that differs between the two.
  it.each(["userId", "anonymousId"])("%s shows what it is, an example and its limit", async (name) => {
    const shown = await file.hover(at(`${name}: `, "alias({"))
    assert.match(shown, name === "userId" ? /"u1".*not blank.*2\^53/ : /cookie.*not blank/)
  })

  it("context offers the names of the specification, each with its words, and takes others", async () => {
    const offered = await file.completions(at("ip: "))
    for (const name of [...contextNames, ...moreContextNames]) {
      assert.match(offered.get(name) ?? "nothing", /ContextFields\.\w+\?: .*\n.+/, name)
    }
    assert.include(await file.hover(at("plan: ", "context: {")), "plan: string")
  })

  it("traits offer the names of the specification, each with its words, and take others", async () => {
    const ofUser = await file.completions(at("email: "))
    for (const name of [...userTraits, ...moreUserTraits]) assert.match(ofUser.get(name) ?? "nothing", /\n.+/, name)
    const ofGroup = await file.completions(at("employees: "))
    for (const name of groupTraits) assert.match(ofGroup.get(name) ?? "nothing", /\n.+/, name)
    assert.isFalse(ofGroup.has("firstName"))
  })
})
