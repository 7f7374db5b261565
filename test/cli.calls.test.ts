/** The commands of the six calls, and what all commands have in common: help, JSON, exit codes, errors. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as TestConsole from "effect/testing/TestConsole"
import { cli } from "../src/cli.ts"
import { batchOf, run, to, writeKey } from "./cli.ts"
import { peer } from "./support.ts"

const options = { timeout: 120_000 }

describe("a call from flags", options, () => {
  it.live("is sent with the key and to the host of the environment", () =>
    Effect.gen(function* () {
      const { host, received } = yield* peer()
      const args = [
        "track",
        "Order Completed",
        "--user-id",
        "u1",
        "--property",
        "total=39.95",
        "--property",
        "plan=pro"
      ]
      const { code, stderr, stdout } = yield* run(args, { env: to(host) })
      assert.deepStrictEqual([code, stderr], [0, ""])
      assert.match(stdout, /^delivered track \S+ \(status 200\)\n$/)
      assert.strictEqual(received[0]?.url, "/v1/batch")
      assert.strictEqual(received[0]?.headers.authorization, `Basic ${btoa(`${writeKey}:`)}`)
      const [message] = batchOf(received[0] as never)
      assert.deepInclude(message, {
        type: "track",
        event: "Order Completed",
        userId: "u1",
        properties: { total: 39.95, plan: "pro" }
      })
    })
  )

  it.live("is each of the six, with its own fields", () =>
    Effect.gen(function* () {
      const { host, received } = yield* peer()
      const commands: ReadonlyArray<readonly [args: ReadonlyArray<string>, sent: object]> = [
        [
          ["identify", "--user-id", "u1", "--trait", "plan=pro", "--traits", '{"seats":3}'],
          { type: "identify", userId: "u1", traits: { plan: "pro", seats: 3 } }
        ],
        [
          ["page", "Pricing", "--category", "Docs", "--anonymous-id", "v1"],
          { type: "page", name: "Pricing", category: "Docs", anonymousId: "v1" }
        ],
        [["screen", "Home", "--user-id", "u1", "--timestamp", "2026-01-02"], { type: "screen", name: "Home" }],
        [["group", "--group-id", "g1", "--user-id", "u1"], { type: "group", groupId: "g1", userId: "u1" }],
        [
          ["alias", "--user-id", "u1", "--previous-id", "v1", "--integrations", '{"All":false}'],
          { type: "alias", userId: "u1", previousId: "v1", integrations: { All: false } }
        ]
      ]
      for (const [index, [args, sent]] of commands.entries()) {
        const { code, stderr } = yield* run(args, { env: to(host) })
        assert.deepStrictEqual([code, stderr], [0, ""])
        assert.deepInclude(batchOf(received[index] as never)[0], sent)
      }
    })
  )

  it.live("prefers a flag to the environment, and a region to a host in it", () =>
    Effect.gen(function* () {
      const env = to("http://127.0.0.1:1")
      const endpointWith = (...flags: ReadonlyArray<string>) =>
        Effect.map(
          run(["track", "E", "--user-id", "u1", "--dry-run", "--json", ...flags], { env }),
          ({ stdout }) => JSON.parse(stdout).endpoint
        )
      assert.strictEqual(yield* endpointWith(), "http://127.0.0.1:1/v1/batch")
      assert.strictEqual(yield* endpointWith("--host", "http://127.0.0.1:2/in"), "http://127.0.0.1:2/in/v1/batch")
      assert.strictEqual(yield* endpointWith("--region", "eu"), "https://events.eu1.segmentapis.com/v1/batch")
    })
  )
})

describe("a call from stdin", options, () => {
  it.live("is sent as it is, and answered with JSON", () =>
    Effect.gen(function* () {
      const { host, received } = yield* peer()
      const call = { userId: "u1", event: "E", messageId: "m1", context: { ip: "127.0.0.1" } }
      const { code, stdout } = yield* run(["track", "--json"], { env: to(host), stdin: JSON.stringify(call) })
      assert.strictEqual(code, 0)
      assert.deepStrictEqual(JSON.parse(stdout), {
        delivered: true,
        type: "track",
        messageId: "m1",
        status: 200,
        attempts: 1
      })
      assert.deepInclude(batchOf(received[0] as never)[0], { userId: "u1", event: "E", messageId: "m1" })
    })
  )

  it.live("that is missing, no JSON, or a list is an error that names what to type instead", () =>
    Effect.gen(function* () {
      const failure = (stdin: string) => Effect.map(run(["track"], { stdin }), ({ code, stderr }) => [code, stderr])
      assert.deepStrictEqual(yield* failure(""), [
        2,
        "error: there is no call\n  Give it with flags, or as a JSON object on stdin: see --help for examples\n"
      ])
      assert.deepStrictEqual(yield* failure("{"), [2, "error: stdin is not JSON (line 1, column 2)\n"])
      assert.deepStrictEqual(yield* failure("[1]"), [
        2,
        "error: stdin is not a JSON object\n  One call is one object. For many of them: effect-analytics import -\n"
      ])
    })
  )
})

describe("--dry-run", options, () => {
  it.live("prints what would be sent, and needs neither key nor network", () =>
    Effect.gen(function* () {
      const { code, stdout } = yield* run(["track", "E", "--user-id", "u1", "--dry-run", "--json"])
      const { endpoint, message, problems, valid } = JSON.parse(stdout)
      assert.deepStrictEqual([code, valid, problems], [0, true, []])
      assert.strictEqual(endpoint, "https://api.segment.io/v1/batch")
      assert.deepInclude(message, { type: "track", event: "E", userId: "u1" })
    })
  )

  it.live("prints every rule that the call breaks, and ends with 3", () =>
    Effect.gen(function* () {
      const call = { timestamp: "yesterday", context: 3, properties: { a: 1 } }
      const { code, stdout } = yield* run(["track", "--dry-run", "--json"], { stdin: JSON.stringify(call) })
      const { problems, valid } = JSON.parse(stdout)
      assert.deepStrictEqual([code, valid], [3, false])
      assert.deepStrictEqual(problems.map(({ path }: { path: string }) => path).sort(), [
        "anonymousId",
        "context",
        "event",
        "timestamp"
      ])
    })
  )

  it.live("warns of fields that are accepted, and were hardly meant", () =>
    Effect.gen(function* () {
      const call = { userId: "u1", event: "E", user_id: "u1" }
      const { code, stdout } = yield* run(["track", "--dry-run", "--json"], { stdin: JSON.stringify(call) })
      assert.deepStrictEqual([code, JSON.parse(stdout).warnings], [
        0,
        ["track: user_id is no field of this call (did you mean userId?)"]
      ] as never)
    })
  )

  it.live("names the size and the limit of a message that is too large", () =>
    Effect.gen(function* () {
      const call = { userId: "u1", event: "E", properties: { text: "x".repeat(40_000) } }
      const { code, stdout } = yield* run(["track", "--dry-run", "--json"], { stdin: JSON.stringify(call) })
      assert.strictEqual(code, 3)
      assert.match(JSON.parse(stdout).problems[0].problem, /4\d,?\d{3} bytes.*32,?768/)
    })
  )
})

describe("an exit code", options, () => {
  it.live("is 1 for what was not delivered, with what to do about it", () =>
    Effect.gen(function* () {
      const { host } = yield* peer((response) => void response.writeHead(401).end())
      const { code, stderr, stdout } = yield* run(["track", "E", "--user-id", "u1"], { env: to(host) })
      assert.deepStrictEqual([code, stdout], [1, ""])
      assert.match(stderr, /^error: not delivered: .*401.*\n {2}The API does not know this write key\./)
      assert.notInclude(stderr, writeKey)
    })
  )

  it.live("is 3 for a call that is refused before it is sent", () =>
    Effect.gen(function* () {
      const { host, received } = yield* peer()
      const { code, stdout } = yield* run(["track", "E"], { env: to(host) })
      assert.strictEqual(code, 3)
      assert.match(stdout, /^not sent track\n {2}anonymousId: /)
      assert.deepStrictEqual(received, [])
    })
  )

  it.live("is 2 for wrong usage, and the error names what to type instead", () =>
    Effect.gen(function* () {
      const wrong = (...args: ReadonlyArray<string>) =>
        Effect.map(run(args, { env: { ANALYTICS_WRITE_KEY: "" } }), ({ code, stderr, stdout }) => {
          assert.deepStrictEqual([code, stdout], [2, ""])
          return stderr
        })
      assert.match(yield* wrong("trak"), /Unknown subcommand "trak".*Did you mean this\?\s+track/s)
      assert.match(yield* wrong("track", "E", "--usr-id", "u1"), /--usr-id.*Did you mean this\?\s+--user-id/s)
      assert.match(yield* wrong("track", "E", "--usr-id", "u1"), /See: effect-analytics track --help/)
      assert.match(yield* wrong("track", "E", "--user-id", "u1"), /there is no write key\n {2}Set ANALYTICS_WRITE_KEY/)
      assert.match(
        yield* wrong("track", "E", "--host", "http://example.com", "--write-key", "k"),
        /--host must be https.*\n {2}For example: --host https:\/\/api\.segment\.io/
      )
      assert.match(yield* wrong("track", "E", "--properties", "3"), /--properties is not a JSON object/)
    })
  )

  it.live("of an error with --json comes with the error as JSON on stderr", () =>
    Effect.gen(function* () {
      const { code, stderr, stdout } = yield* run(["trak", "--json"])
      assert.deepStrictEqual([code, stdout], [2, ""])
      const { kind, message } = JSON.parse(stderr).error
      assert.strictEqual(kind, "usage")
      assert.include(message, "trak")
    })
  )
})

describe("help", options, () => {
  it.effect("has every command, and examples for each", () =>
    Effect.gen(function* () {
      const helpOf = (...command: ReadonlyArray<string>) =>
        Effect.gen(function* () {
          const before = (yield* TestConsole.logLines).length
          yield* Command.runWith(cli, { version: "0.0.0" })([...command, "--help"])
          return (yield* TestConsole.logLines).slice(before).join("\n")
        })
      const all = yield* helpOf()
      const commands = [
        ...["track", "identify", "page", "screen", "group", "alias", "import", "debugger", "check", "e2e"].map(
          (one) => [one]
        ),
        ...["check", "diff", "generate"].map((one) => ["plan", one]),
        ...["stats", "retry", "purge", "export"].map((one) => ["outbox", one])
      ]
      for (const command of commands) {
        assert.match(all, new RegExp(`\n {2}${command[0]} `))
        assert.match(yield* helpOf(...command), /EXAMPLES\n {2}# /, command.join(" "))
      }
    }).pipe(Effect.provide(NodeServices.layer))
  )

  it.live("is what the command alone prints", () =>
    Effect.gen(function* () {
      const { code, stdout } = yield* run([])
      assert.strictEqual(code, 0)
      assert.match(stdout, /^DESCRIPTION\n/)
      assert.strictEqual((yield* run(["plan", "diff", "--help"])).code, 0)
    })
  )

  it.live("has colours on request, never in a pipe, and not with NO_COLOR", () =>
    Effect.gen(function* () {
      const hasColors = (env: NodeJS.ProcessEnv) =>
        Effect.map(run(["track", "E", "--dry-run"], { env }), ({ stdout }) => stdout.includes("\u001b["))
      assert.isFalse(yield* hasColors({}))
      assert.isTrue(yield* hasColors({ FORCE_COLOR: "1" }))
      assert.isFalse(yield* hasColors({ NO_COLOR: "1" }))
    })
  )

  it.live("is there as completions of a shell", () =>
    Effect.gen(function* () {
      for (const shell of ["bash", "zsh", "fish"]) {
        const { code, stdout } = yield* run(["--completions", shell])
        assert.strictEqual(code, 0)
        for (const word of ["outbox", "export", "dry-run"]) assert.include(stdout, word)
      }
    })
  )
})
