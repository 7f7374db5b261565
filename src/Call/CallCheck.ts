/**
 * Checks a call: what the caller gave becomes plain data, which is held to the Schema of its type.
 */
import * as Record from "effect/Record"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import * as SchemaParser from "effect/SchemaParser"
import type { InvalidCall } from "../AnalyticsError.ts"
import * as Call from "../Call.ts"
import * as Json from "../internal/Json.ts"
import * as CallFault from "./CallFault.ts"

/** A copy of what the caller gave, as `check` takes it. */
export const read = (type: Call.Type, call: unknown): Call.Data | InvalidCall => {
  const copied = Json.copy(call)
  if (Json.isJsonError(copied)) return CallFault.refuse(type, copied, nameIn(call))
  return Json.isData(copied) ? withoutNulls(copied) : CallFault.refuse(type, CallFault.notAnObject(type, copied))
}

/** The name of the event in a call that could not be copied, if that can be read. */
const nameIn = (call: unknown): Call.Data => {
  try {
    return { event: (call as Call.Data).event }
  } catch {
    return {}
  }
}

const fields = new Set(
  Object.values(Call.alternatives).flatMap((schemas) => schemas.flatMap((schema) => Object.keys(schema.fields)))
)

/** Data without the fields of a call that are `null`: they mean the same as absent ones. The same object if there are none. */
export const withoutNulls = (data: Call.Data): Call.Data => {
  for (const name in data) {
    if (data[name] !== null || !fields.has(name)) continue
    return Object.fromEntries(Object.entries(data).filter(([field, value]) => value !== null || !fields.has(field)))
  }
  return data
}

/**
 * Finds the first thing that is wrong with a call. `data` is a copy made by `Json.copy`, without nulls (`withoutNulls`). The
 * error names the field and the type of its value, never the value.
 */
export const check = (type: Call.Type, data: Call.Data): InvalidCall | undefined => {
  const alternative = parsers[type]()[alternativeOf(type, data)]
  if (alternative === undefined || alternative.isValid(data)) return undefined
  const result = alternative.decode(data)
  return Result.isSuccess(result) ? undefined : CallFault.refuse(type, CallFault.of(result.failure, data), data)
}

/** The alternative that a call means, by the fields that are there: the error is about that one. */
const alternativeOf = (type: Call.Type, data: Call.Data): number => {
  const visitor = data.userId === undefined ? 1 : 0
  if (type === "alias") return 0
  return (type === "page" || type === "screen") && data.category !== undefined ? visitor + 2 : visitor
}

// ---------------------------------------------------------------------------------------------------------------------
// Schemas of copies
// ---------------------------------------------------------------------------------------------------------------------

/** A field that may be absent, `undefined` or `null`. */
interface OptionalField extends Schema.Top {
  readonly schema: {
    readonly members: readonly [{ readonly members: readonly [Schema.Top, ...Array<unknown>] }, unknown]
  }
}

/**
 * The Schema of a call for its copy: times are texts there, and what is absent has no key. So effect's compiler makes one short
 * function of it.
 */
const ofCopy = ({ fields }: { readonly fields: Schema.Struct.Fields }) =>
  Schema.Struct({
    ...Record.map(fields as Readonly<Record<string, Schema.Top>>, (field) =>
      SchemaAST.isOptional(field.ast)
        ? Schema.optionalKey((field as OptionalField).schema.members[0].members[0])
        : field
    ),
    timestamp: Schema.optionalKey(Call.Iso)
  })

// Exported for the compiler, which finds Schemas by their export.
export const IdentifyUser = ofCopy(Call.alternatives.identify[0])
export const IdentifyVisitor = ofCopy(Call.alternatives.identify[1])
export const TrackUser = ofCopy(Call.alternatives.track[0])
export const TrackVisitor = ofCopy(Call.alternatives.track[1])
export const ViewUser = ofCopy(Call.alternatives.page[0])
export const ViewVisitor = ofCopy(Call.alternatives.page[1])
export const CategorizedViewUser = ofCopy(Call.alternatives.page[2])
export const CategorizedViewVisitor = ofCopy(Call.alternatives.page[3])
export const GroupUser = ofCopy(Call.alternatives.group[0])
export const GroupVisitor = ofCopy(Call.alternatives.group[1])
export const Alias = ofCopy(Call.alternatives.alias[0])

const views = [ViewUser, ViewVisitor, CategorizedViewUser, CategorizedViewVisitor]
/** What calls are checked with: the alternatives of each call, for copies. */
export const schemas: { readonly [T in Call.Type]: ReadonlyArray<Schema.Top> } = {
  identify: [IdentifyUser, IdentifyVisitor],
  track: [TrackUser, TrackVisitor],
  page: views,
  screen: views,
  group: [GroupUser, GroupVisitor],
  alias: [Alias]
}

// Made when the first call is checked: by then the compiled Schemas of the published package are installed.
const parsers = Call.byType((type) => {
  let made: ReadonlyArray<ReturnType<typeof parser>> | undefined
  return () => {
    made ??= schemas[type].map(parser)
    return made
  }
})
const parser = (schema: Schema.Top) => ({
  isValid: SchemaParser.is(schema as Schema.Codec<unknown>),
  decode: SchemaParser.decodeUnknownResult(schema as Schema.Codec<unknown>)
})
