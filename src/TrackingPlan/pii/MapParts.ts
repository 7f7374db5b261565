/** A Schema from another one, with some of its parts changed at every depth; what has another form on the wire stays. */
import * as SchemaAST from "effect/SchemaAST"

/** Each is given a part whose own parts are changed already, and what it was before. */
export interface Change {
  readonly object: (made: SchemaAST.Objects, before: SchemaAST.Objects) => SchemaAST.AST
  /** The field of an object. */
  readonly field: (made: SchemaAST.AST, before: SchemaAST.AST) => SchemaAST.AST
  /** An element of an array, a value of a record. */
  readonly value: (made: SchemaAST.AST, before: SchemaAST.AST) => SchemaAST.AST
}

export const mapParts = (
  ast: SchemaAST.AST,
  change: Change,
  known = new Map<SchemaAST.AST, SchemaAST.AST>()
): SchemaAST.AST => {
  const before = known.get(ast)
  if (before !== undefined) return before
  // A suspended Schema may refer to this one while it is being made.
  known.set(ast, new SchemaAST.Suspend(() => made))
  const made = mapInside(ast, change, (one) => mapParts(one, change, known))
  known.set(ast, made)
  return made
}

const mapInside = (
  ast: SchemaAST.AST,
  change: Change,
  inside: (ast: SchemaAST.AST) => SchemaAST.AST
): SchemaAST.AST => {
  const value = (one: SchemaAST.AST) => change.value(inside(one), one)
  const { annotations, checks, context, encoding } = ast
  switch (ast._tag) {
    case "Objects": {
      const fields = ast.propertySignatures.map(
        ({ name, type }) => new SchemaAST.PropertySignature(name, change.field(inside(type), type))
      )
      const rest = ast.indexSignatures.map(
        ({ parameter, type }) => new SchemaAST.IndexSignature(parameter, value(type))
      )
      return change.object(new SchemaAST.Objects(fields, rest, annotations, checks, encoding, context), ast)
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
