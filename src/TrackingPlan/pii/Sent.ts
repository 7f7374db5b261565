/**
 * A Schema for data as they are sent, once marked fields were dropped or hashed: these may be missing, or be anything. All
 * else is as it was.
 */
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import { mapParts } from "./MapParts.ts"
import { isMarked } from "./Marks.ts"

export const toSent = (ast: SchemaAST.AST): SchemaAST.AST =>
  mapParts(ast, {
    object: (made, { propertySignatures }) => {
      const { annotations, context, encoding, indexSignatures } = made
      // A check of the whole may look at what is gone.
      return propertySignatures.some(({ type }) => isMarked(type))
        ? new SchemaAST.Objects(made.propertySignatures, indexSignatures, annotations, undefined, encoding, context)
        : made
    },
    field: (made, before) => (isMarked(before) ? Schema.optionalKey(Schema.make(anything(made))).ast : made),
    value: (made, before) => (isMarked(before) ? anything(made) : made)
  })

/** First what it was: a value that was kept is decoded. */
const anything = (ast: SchemaAST.AST): SchemaAST.AST => new SchemaAST.Union([ast, SchemaAST.unknown])
