/**
 * Tracking plans as JSON: read from and written to the formats of Segment Protocols, RudderStack, Avo, Amplitude and single
 * JSON Schemas (draft-07 and 2020-12).
 *
 * This entry needs the package `typebox`, an optional peer, whose validator checks calls by a plan from JSON.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { make, type Plan } from "./check/Plan.ts"
import type { Definition } from "./Definition.ts"
import { type InvalidPlan, type ReadDefinition, type ReadOptions, readPlan, readSchemas } from "./json/Reader.ts"

export {
  conforms,
  type Dialect,
  fromJsonSchema,
  type JsonSchemaOptions,
  toJsonSchema,
  typed
} from "./json/JsonShape.ts"
export { InvalidPlan, type ReadOptions } from "./json/Reader.ts"
export type { ValidatorOptions } from "./json/Validator.ts"
export { type EventJson, type PlanJson, type PlanJsonOptions, toJson, toSchemas } from "./json/Writer.ts"

/**
 * A plan that was read: its calls take any event, and are checked when the program runs.
 * @category models @since 0.1.0
 */
export interface ReadPlan extends Plan<Definition> {
  /** The events that cannot be read. Their calls are planned, and not checked; the layer logs a warning for each. */
  readonly problems: ReadonlyArray<InvalidPlan>
}

/**
 * Reads a plan: of Segment (Config API: `rules.events`; Public API: a list of rules), RudderStack (`rules.events` with
 * `eventType`), Avo (`events` with `rules`), Amplitude (`events` and `properties`, the responses of its Taxonomy API). Of an
 * event with several versions the newest.
 *
 * Throws an `InvalidPlan` for what is no plan, and with `strict: true` for the first event that cannot be read. The patterns
 * in it run on the data of calls: read plans only from sources that you trust.
 * @category constructors @since 0.1.0
 */
export const fromJson = (json: unknown, options?: ReadOptions): ReadPlan => withProblems(readPlan(json, options))

/**
 * Reads a folder of JSON Schemas, each of the properties of one event: `{ "order-completed.json": { title: "Order
 * Completed", … } }`. The name of the event is the title, or the name of the file. Throws as `fromJson` does.
 * @category constructors @since 0.1.0
 */
export const fromSchemas = (schemas: { readonly [file: string]: unknown }, options?: ReadOptions): ReadPlan =>
  withProblems(readSchemas(schemas, options))

const withProblems = ({ definition, problems }: ReadDefinition): ReadPlan => {
  const plan = make(definition)
  if (problems.length === 0) return { ...plan, problems }
  const warn = Effect.forEach(
    problems,
    ({ message }) => Effect.logWarning(`The tracking plan cannot be read at ${message}`),
    {
      discard: true
    }
  )
  return {
    ...plan,
    problems,
    layer: (policies) =>
      Layer.unwrap(Effect.as(Effect.annotateLogs(warn, { module: "effect-analytics" }), plan.layer(policies)))
  }
}
