/**
 * The examples in docstrings, as programs that the compiler can judge: every block is one, and every call in backticks is part of
 * the one of the face of its module.
 */
import { readdirSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

const source = fileURLToPath(new URL("../src", import.meta.url))

const block = /^```\w*\n([\s\S]*?)^```$/gm

const docstringsIn = (file: string): ReadonlyArray<string> =>
  Array.from(readFileSync(`${source}/${file}`, "utf8").matchAll(/\/\*\*([\s\S]*?)\*\//g), ([, comment = ""]) =>
    comment.replace(/^ *\* ?/gm, "")
  )

/** The blocks in the docstrings of a module. */
const blocksIn = (file: string): ReadonlyArray<string> =>
  docstringsIn(file).flatMap((docstring) => Array.from(docstring.matchAll(block), ([, code = ""]) => code))

/** The calls in the docstrings of a module. */
const examplesIn = (file: string): ReadonlyArray<string> =>
  docstringsIn(file).flatMap((docstring) =>
    Array.from(
      docstring
        .replace(block, "")
        .replaceAll("\n", " ")
        .matchAll(/`([^`]+)`/g),
      ([, code = ""]) => code.trim()
    ).filter((code) => /^(?!Effect)[\w.]+\(.*[{"[].*\)$/s.test(code))
  )

/** An example with something in the place of what it leaves out. */
const whole = (example: string): string =>
  example
    .replace(/… \}/g, "...({} as any) }")
    .replace(/…\]/g, "...([] as Array<never>)]")
    .replace(/…\)/g, "undefined as never)")

const inPlain = /^(plain\/|plain\.|compat\/|jsonPlan|sqlite\.)/
const inPlanned = /^(planned|plannedTest)\./

const program = (prelude: string, examples: ReadonlyArray<string>) =>
  `${prelude}\nexport const examples = Effect.gen(function* () {\n  yield* Effect.void\n${examples
    .map((example) => `  void (${whole(example)})`)
    .join("\n")}\n})\n`

const plain = `import * as Effect from "effect/Effect"
import { createAnalytics, type Client } from "effect-analytics/plain"
import { fromJson } from "effect-analytics/jsonPlan"
import { sqlite } from "effect-analytics/sqlite"
import type { Context } from "effect-analytics/compat"
declare const client: Client
declare const context: Context
export declare const writeKey: string, directory: string, json: object
const { alias, group, identify, page, screen, track } = client
const updateEvent = context.updateEvent.bind(context)
export { alias, createAnalytics, fromJson, group, identify, page, screen, sqlite, track, updateEvent }`

const planned = `import * as Effect from "effect/Effect"
import { createAnalytics } from "effect-analytics/planned"
import * as SqlOutbox from "effect-analytics/SqlOutbox"
import * as TrackingPlan from "effect-analytics/TrackingPlan"
import * as Schema from "effect/Schema"
const { sqlite } = SqlOutbox
export declare const directory: string, writeKey: string, orderId: string, total: number, userId: string
export const plan = TrackingPlan.make({ events: { "Order Completed": Schema.Struct({ orderId: Schema.String, total: Schema.Finite }) } })
const { planned } = createAnalytics({ writeKey: "k", plan })
export { createAnalytics, planned, sqlite }`

const effect = `import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as Analytics from "effect-analytics/Analytics"
import * as Collector from "effect-analytics/Collector"
import * as Debugger from "effect-analytics/Debugger"
import * as Destination from "effect-analytics/Destination"
import * as Enrichment from "effect-analytics/Enrichment"
import * as OAuth from "effect-analytics/OAuth"
import { createAnalytics as createPlain } from "effect-analytics/planned"
import * as RequestMiddleware from "effect-analytics/RequestMiddleware"
import * as SqlOutbox from "effect-analytics/SqlOutbox"
import * as TrackingPlan from "effect-analytics/TrackingPlan"
import * as Transform from "effect-analytics/Transform"
import { createAnalytics as create } from "effect-analytics/plain"
export declare const options: Analytics.Options, writeKey: Redacted.Redacted<string>, clientKey: Redacted.Redacted<string>
export declare const dataPlaneUrl: string, ip: string, userAgent: string, clientId: string, keyId: string
export declare const rows: Stream.Stream<{ readonly userId: string; readonly event: string }>
export class Marketing extends Context.Service<Marketing, Analytics.Service>()("Marketing") {}
const { alias, group, identify, layerConfig, page, screen, track } = Analytics
const { withContext } = Enrichment
const { redact } = Transform
const { sqlite } = SqlOutbox
const tracking = Transform.makeSwitch("no consent")
const plan = TrackingPlan.make({ events: {} })
const createAnalytics = (settings: object) => [create, createPlain, settings]
export { alias, Collector, Config, createAnalytics, Debugger, Destination, group, HttpRouter, identify, Layer, layerConfig, OAuth, page, plan, redact, RequestMiddleware, screen, sqlite, Stream, track, tracking, withContext }`

const files = readdirSync(source, { recursive: true, encoding: "utf8" }).filter(
  (file) => file.endsWith(".ts") && !/^(cli|internal)\//.test(file)
)

/** The blocks of all modules. */
export const blocks = (): ReadonlyArray<{ readonly name: string; readonly code: string }> =>
  files.flatMap((file) => blocksIn(file).map((code, at) => ({ name: `${file.replace(/\W/g, "-")}-${at}`, code })))

/** A program for each face. */
export const programs = (): ReadonlyArray<{ readonly name: string; readonly code: string; readonly count: number }> => {
  const of = (name: string, prelude: string, isOf: (file: string) => boolean) => {
    const examples = files.filter(isOf).flatMap(examplesIn)
    return { name, code: program(prelude, examples), count: examples.length }
  }
  return [
    of("plain", plain, (file) => inPlain.test(file)),
    of("planned", planned, (file) => inPlanned.test(file)),
    of("effect", effect, (file) => !inPlain.test(file) && !inPlanned.test(file))
  ]
}
