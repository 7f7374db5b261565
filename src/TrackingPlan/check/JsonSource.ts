/** The JSON Schema of a shape that was read from JSON, and what follows from it. */
import type * as SchemaAST from "effect/SchemaAST"
import type { Shape } from "../Definition.ts"
import type * as Marks from "../pii/Marks.ts"

export interface JsonSource {
  /** The JSON Schema of what a call gives. */
  readonly schema: object
  readonly marks: () => Marks.Marks | undefined
  /** How fields are marked; empty if none is. */
  readonly policies: ReadonlySet<Marks.Policy | "default">
  /** The shape of what is sent, marked fields missing or hashed. */
  readonly sent: () => Shape
  /** How the event was written, by the format that it was read from. */
  readonly event?: { readonly format: string; readonly json: object } | undefined
}

/** The annotation that has it: of a shape that was read from JSON, and of a check by a JSON Schema. */
export const sourceKey = "effect-analytics/JsonSource"

/** Of a shape that was read from JSON. */
export const jsonSourceOf = ({ annotations }: SchemaAST.AST): JsonSource | undefined =>
  annotations?.[sourceKey] as JsonSource | undefined
