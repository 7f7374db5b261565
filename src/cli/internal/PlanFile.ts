/**
 * A tracking plan that somebody names on the command line: JSON as Segment Protocols and RudderStack have it, or a module
 * that exports a plan. A module is run, and its plan is written as JSON by the library that is installed beside it.
 */
import { createRequire } from "node:module"
import * as Path from "node:path"
import { pathToFileURL } from "node:url"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import type * as Stdio from "effect/Stdio"
import type * as PlanJson from "../../TrackingPlan/json.ts"
import type * as TrackingPlan from "../../TrackingPlan.ts"
import { type CommandError, failed, usage } from "./Exit.ts"
import * as Input from "./Input.ts"

type AnyPlan = TrackingPlan.AnyPlan

const isModule = (path: string) => /\.[cm]?[jt]s$/.test(path)

/** The JSON of a plan; `-` is stdin. */
export const json = (path: string): Effect.Effect<unknown, CommandError, FileSystem.FileSystem | Stdio.Stdio> =>
  isModule(path)
    ? ofModule(Path.resolve(path), path)
    : Effect.flatMap(Input.text(path), (text) => Input.json(text, Input.nameOf(path)))

/** The plan itself. */
export const plan = Effect.fnUntraced(function* (path: string) {
  const found = yield* json(path)
  // Loaded when it is needed: it is large.
  const { fromJson } = yield* Effect.promise(() => import("../../TrackingPlan/json.ts"))
  return yield* reading(path, () => fromJson(found))
})

/** Runs what throws for a plan that is none. */
export const reading = <A>(path: string, read: () => A): Effect.Effect<A, CommandError> =>
  Effect.try({
    try: read,
    catch: (error) => failed(`${Input.nameOf(path)} is not a tracking plan: ${messageOf(error)}`)
  })

const ofModule = Effect.fnUntraced(function* (file: string, path: string) {
  const exports = yield* Effect.tryPromise({
    try: () => import(pathToFileURL(file).href) as Promise<Readonly<Record<string, unknown>>>,
    catch: (error) => failed(`${path} can't be loaded: ${messageOf(error)}`)
  })
  const plans = Object.entries(exports).filter((entry): entry is [string, AnyPlan] => isPlan(entry[1]))
  const [first, ...others] = plans
  if (first === undefined) {
    return yield* usage(`${path} exports no tracking plan`, "Export one: export const plan = TrackingPlan.make({ … })")
  }
  if (others.length > 0) {
    return yield* usage(
      `${path} exports several plans: ${plans.map(([name]) => name).join(", ")}`,
      "Give each a module of its own"
    )
  }
  const library = yield* Effect.tryPromise({
    try: () =>
      import(pathToFileURL(createRequire(file).resolve("effect-analytics/TrackingPlan/json")).href) as Promise<
        typeof PlanJson
      >,
    catch: () =>
      failed(
        "what reads and writes plans is not installed beside the plan",
        "Run: npm install effect-analytics effect typebox"
      )
  })
  return library.toJson(first[1]) as unknown
})

const isPlan = (value: unknown): value is AnyPlan =>
  typeof value === "object" && value !== null && "definition" in value && "layer" in value

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
