/**
 * A Schema for data as they are sent, once marked fields were dropped or hashed: these may be missing, or be anything. All
 * else is as it was.
 */
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import { isMarked } from "./Privacy.ts"

export const sentOf = (ast: SchemaAST.AST, known = new Map<SchemaAST.AST, SchemaAST.AST>()): SchemaAST.AST => {
  const before = known.get(ast)
  if (before !== undefined) return before
  // What is suspended refers to this one while it is being made.
  known.set(ast, new SchemaAST.Suspend(() => made))
  const made = changed(ast, (one) => sentOf(one, known))
  known.set(ast, made)
  return made
}

const changed = (ast: SchemaAST.AST, inside: (ast: SchemaAST.AST) => SchemaAST.AST): SchemaAST.AST => {
  const value = (one: SchemaAST.AST) => (isMarked(one) ? anything(inside(one)) : inside(one))
  const { annotations, checks, context, encoding } = ast
  switch (ast._tag) {
    case "Objects": {
      const fields = ast.propertySignatures.map(({ name, type }) => {
        const field = value(type)
        return new SchemaAST.PropertySignature(name, isMarked(type) ? optional(field) : field)
      })
      const rest = ast.indexSignatures.map(
        ({ parameter, type }) => new SchemaAST.IndexSignature(parameter, value(type))
      )
      // A check of the whole may look at what is gone.
      const isSame = !ast.propertySignatures.some(({ type }) => isMarked(type))
      return new SchemaAST.Objects(fields, rest, annotations, isSame ? checks : undefined, encoding, context)
    }
    case "Arrays": {
      const [elements, rest] = [ast.elements.map(value), ast.rest.map(value)]
      return new SchemaAST.Arrays(ast.isMutable, elements, rest, annotations, checks, encoding, context)
    }
    case "Union":
      return new SchemaAST.Union(ast.types.map(inside), ast.options, annotations, checks, encoding, context)
    case "Suspend":
      return new SchemaAST.Suspend(() => inside(ast.thunk()), annotations, undefined, encoding, context)
    default:
      return ast
  }
}

const optional = (ast: SchemaAST.AST): SchemaAST.AST => Schema.optionalKey(Schema.make(ast)).ast

/** First what it was: a value that was kept is decoded. */
const anything = (ast: SchemaAST.AST): SchemaAST.AST => new SchemaAST.Union([ast, SchemaAST.unknown])
