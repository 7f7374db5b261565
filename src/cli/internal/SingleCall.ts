/**
 * The command of one of the six calls: from flags, or from JSON on stdin, to one message that is sent, or shown with
 * `--dry-run`.
 */
import type * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Stdio from "effect/Stdio"
import * as Analytics from "../../Analytics.ts"
import { slipsOf } from "../../Call/Slips.ts"
import type { Type } from "../../Call.ts"
import { isData } from "../../internal/Json.ts"
import { limits } from "../../Settings.ts"
import { adviceOn } from "./Advice.ts"
import { outcomeOf } from "./Client.ts"
import * as Connection from "./Connection.ts"
import { type CommandError, Findings, failed, usage } from "./Exit.ts"
import * as Flags from "./Flags.ts"
import * as Input from "./Input.ts"
import * as Output from "./Output.ts"
import { type Problem, problemsOf } from "./Problems.ts"

type Call = Readonly<Record<string, unknown>>
type Param = Argument.Argument<string | undefined> | Flag.Flag<string | undefined>

interface Description<Fields extends { readonly [field: string]: Param }> {
  readonly description: string
  /** What the call has that others have not, by the name of the field. */
  readonly fields: Fields
  /** Whether it carries traits, or properties, or neither. */
  readonly data: "properties" | "traits" | undefined
  readonly examples: ReadonlyArray<Command.Command.Example>
}

const pairs = (name: string, description: string) =>
  Flags.optional(Flag.KeyValuePair(name).pipe(Flag.withMetavar("key=value")), description)

const jsonText = (name: string, description: string) =>
  Flags.optional(Flag.String(name).pipe(Flag.withMetavar("json")), description)

const options = {
  userId: Flags.optional(Flag.String("user-id"), "Who the call is about"),
  anonymousId: Flags.optional(Flag.String("anonymous-id"), "The visitor, where the user is not known"),
  messageId: Flags.optional(Flag.String("message-id"), "The id by which the API removes duplicates"),
  timestamp: Flags.optional(Flag.String("timestamp"), "When it happened, in ISO 8601. Default: now"),
  context: jsonText("context", "The context, as a JSON object"),
  integrations: jsonText("integrations", 'Which destinations get it, as in {"All":false,"Mixpanel":true}')
}

/** The flags of the data: `--property key=value` as often as needed, and `--properties` with JSON. */
const dataFlags = (data: "properties" | "traits" | undefined) => {
  if (data === undefined) return undefined
  const one = data === "traits" ? "trait" : "property"
  return {
    data: jsonText(data, `All ${data}, as a JSON object`),
    pairs: pairs(one, `One ${one}, as often as needed. The value is JSON if it can be, else text`)
  }
}

export const make = <const Name extends Type, Fields extends { readonly [field: string]: Param }>(
  type: Name,
  { data, description, examples, fields }: Description<Fields>
) => {
  const config = {
    fields,
    options,
    data: dataFlags(data) ?? {},
    connection: Connection.flags,
    maxRetries: Flag.Int("max-retries").pipe(
      Flag.withDefault(3),
      Flag.withDescription("Attempts after the first that failed, at most")
    ),
    dryRun: Flags.toggle("dry-run", "Send nothing: print what would be sent, and every rule that it breaks")
  }
  return Command.make(type, config, ({ connection, data: given, dryRun, fields, maxRetries, options }) =>
    Effect.gen(function* () {
      const call = yield* callOf(data, { ...fields, ...options }, given as DataFlags)
      return yield* dryRun ? rehearse(type, call, connection) : send(type, call, connection, maxRetries)
    })
  ).pipe(Command.withDescription(description), Command.withExamples(examples))
}

interface DataFlags {
  readonly data?: string | undefined
  readonly pairs?: Readonly<Record<string, string>> | undefined
}

// ---------------------------------------------------------------------------------------------------------------------
// The call
// ---------------------------------------------------------------------------------------------------------------------

const callOf = Effect.fnUntraced(function* (
  name: "properties" | "traits" | undefined,
  fields: Readonly<Record<string, unknown>>,
  data: DataFlags
): Effect.fn.Return<Call, CommandError, Stdio.Stdio> {
  const given = Object.entries(fields).filter(([, value]) => value !== undefined)
  if (given.length === 0 && data.data === undefined && data.pairs === undefined) return yield* fromStdin
  const call: Record<string, unknown> = Object.fromEntries(given)
  for (const field of ["context", "integrations"]) {
    if (call[field] !== undefined) call[field] = yield* Input.json(String(call[field]), `--${field}`)
  }
  if (name === undefined || (data.data === undefined && data.pairs === undefined)) return call
  const whole = data.data === undefined ? {} : yield* Input.json(data.data, `--${name}`)
  if (!isData(whole)) return yield* usage(`--${name} is not a JSON object`, `For example: --${name} '{"plan":"pro"}'`)
  const single = Object.entries(data.pairs ?? {}).map(([key, value]) => [key, valueOf(value)] as const)
  call[name] = { ...whole, ...Object.fromEntries(single) }
  return call
})

const fromStdin: Effect.Effect<Call, CommandError, Stdio.Stdio> = Effect.gen(function* () {
  const stdio = yield* Stdio.Stdio
  const nothing = usage("there is no call", "Give it with flags, or as a JSON object on stdin: see --help for examples")
  if (yield* stdio.stdinIsTerminal) return yield* nothing
  const text = yield* Input.stdinText
  if (text.trim() === "") return yield* nothing
  const call = yield* Input.json(text, "stdin")
  return isData(call)
    ? call
    : yield* usage("stdin is not a JSON object", "One call is one object. For many of them: effect-analytics import -")
})

const valueOf = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Sent, or shown
// ---------------------------------------------------------------------------------------------------------------------

const send = Effect.fnUntraced(function* (type: Type, call: Call, flags: Connection.Flags, maxRetries: number) {
  const connection = yield* Connection.withKey(flags)
  const outcome = yield* outcomeOf(type, call, Analytics.layerFetch({ ...connection, maxRetries }))
  switch (outcome._tag) {
    case "Delivered": {
      const { messageId } = outcome.messages[0]
      const { attempts, status } = outcome
      return yield* Output.result(
        { delivered: true, type, messageId, status, attempts },
        () => `${Output.style("green", "delivered")} ${type} ${messageId} (status ${status})`
      )
    }
    case "Dropped": {
      const { error } = outcome
      return yield* failed(`not delivered: ${error.message}`, adviceOn(error))
    }
    case "Refused": {
      const problems = problemsOf(type, call, outcome.error)
      yield* Output.result({ delivered: false, type, problems }, () =>
        [`${Output.style("red", "not sent")} ${type}`, ...problems.map(line)].join("\n")
      )
      return yield* new Findings()
    }
    case "Filtered":
      return yield* failed(`not sent: ${outcome.reason}`)
  }
})

const rehearse = Effect.fnUntraced(function* (type: Type, call: Call, flags: Connection.Flags) {
  const { endpoint } = yield* Connection.read(flags)
  const outcome = yield* outcomeOf(type, call, Analytics.layerStub())
  const message = outcome._tag === "Delivered" ? outcome.messages[0] : undefined
  const problems = outcome._tag === "Refused" ? problemsOf(type, call, outcome.error) : []
  const bytes = message?.bytes
  const warnings = slipsOf(type, call)
  const json = {
    valid: message !== undefined,
    endpoint,
    problems,
    warnings,
    ...(message === undefined ? { call } : { message: message.data, bytes, limit: limits.messageBytes })
  }
  yield* Output.result(json, () =>
    [
      ...(message === undefined
        ? [`${Output.style("red", "would be refused")}: nothing is sent`, ...problems.map(line)]
        : [
            `POST ${endpoint}`,
            JSON.stringify(message.data, undefined, 2),
            Output.style("dim", `${bytes} bytes of ${limits.messageBytes}; nothing was sent`)
          ]),
      ...warnings.map((warning) => `${Output.style("yellow", "warning:")} ${warning}`)
    ].join("\n")
  )
  if (message === undefined) return yield* new Findings()
})

const line = ({ path, problem }: Problem): string =>
  `  ${path === "" ? "" : `${Output.style("bold", path)}: `}${problem}`
