/**
 * The definition of a plan: a Schema for the data of each event, page and screen, for the traits of users and groups, and
 * for the context of every call; and the annotations of these Schemas.
 */
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import type * as Json from "../internal/Json.ts"

/**
 * A Schema of an object. A call gives its `Type` and sends its JSON form (`Schema.toCodecJson`): a `DateTime`
 * is ISO text, a `BigDecimal` its digits. It needs no services, and does not wait.
 * @category models @since 0.1.0
 */
export interface Shape extends Schema.ConstraintCodec<Json.Data, unknown> {}

/** The shapes of a plan: Schemas by the name of what they describe. @category models @since 0.1.0 */
export interface Shapes {
  readonly [name: string]: Shape
}

/** The names of shapes; of all names, if they are not known. */
export type NameIn<S> = S extends Shapes ? keyof S & string : never

/** A plan as it is written. @category models @since 0.1.0 */
export interface Definition {
  /** The name of the plan, in exports and errors. */
  readonly name?: string | undefined
  /** The version of events that have none of their own. */
  readonly version?: string | undefined
  /** The properties of `track`, by the name of the event. */
  readonly events?: Shapes | undefined
  /** The traits of `identify`. */
  readonly traits?: Shape | undefined
  /** The traits of `group`. */
  readonly groupTraits?: Shape | undefined
  /** Pages by name: properties. Left out, pages are not planned. The name `""` stands for all others. */
  readonly pages?: Shapes | undefined
  /** Screens by name: properties. Left out, screens are not planned. The name `""` stands for all others. */
  readonly screens?: Shapes | undefined
  /** The context of every call, with everything that was merged into it. Its JSON form is checked, never changed. */
  readonly context?: Shape | undefined
}

declare module "effect/Schema" {
  namespace Annotations {
    interface Annotations {
      /** The team or person to ask about this event. */
      readonly owner?: string | undefined
      /** Since when this event or field exists. */
      readonly since?: string | undefined
      /** Not for new code; a text names the replacement. The first call of a deprecated event logs a warning. */
      readonly deprecated?: boolean | string | undefined
      /** The version of this event, where it is not the plan's. */
      readonly planVersion?: string | undefined
      /** Properties that are not in the Schema are violations. @default false */
      readonly strict?: boolean | undefined
      /** Earlier names of this event or field: `diff` reports a rename. */
      readonly aliases?: ReadonlyArray<string> | undefined
      /** This field is personal. `true` means that the policy of the layer applies. */
      readonly pii?: boolean | "drop" | "hash" | "keep" | undefined
    }
  }
}

/** A struct without fields: for effect it is anything, for a plan an object. */
export const isEmpty = (ast: SchemaAST.AST): boolean =>
  SchemaAST.isObjects(ast) && ast.propertySignatures.length === 0 && ast.indexSignatures.length === 0

/** Anything with annotations: a Schema, or its AST. */
interface Annotated {
  readonly annotations?: Schema.Annotations.Annotations | undefined
  readonly checks?: ReadonlyArray<Annotated> | undefined
  readonly context?: { readonly annotations?: Schema.Annotations.Annotations | undefined } | undefined
}

const inChecks = ({ checks = [] }: Annotated): ReadonlyArray<Schema.Annotations.Annotations | undefined> =>
  checks.flatMap((check) => [...inChecks(check), check.annotations])

/** All annotations of a Schema: its own, those of its checks (effect reads the last one only), those of its key. */
export const annotationsIn = (ast: Annotated): ReadonlyArray<Schema.Annotations.Annotations> =>
  [ast.annotations, ...inChecks(ast), ast.context?.annotations].filter((one) => one !== undefined)

/** The same as one; a later one wins, but for `pii` the strictest. */
export const annotationsOf = (ast: Annotated): Schema.Annotations.Augment => {
  const all = annotationsIn(ast)
  const pii = (["drop", "hash", true, "keep"] as const).find((policy) => all.some((one) => one.pii === policy))
  return Object.assign({}, ...all, pii === undefined ? {} : { pii })
}

const baseOf = (ast: object): unknown => Object.getPrototypeOf(Object.getPrototypeOf(ast))
const base = baseOf(Schema.String.ast) as object

/**
 * Whether a Schema was made by another copy of effect. Its parts look like ours and are none: values would be refused for
 * reasons that are not true.
 */
export const isForeign = (ast: SchemaAST.AST): boolean => !Object.prototype.isPrototypeOf.call(base, ast)

/** The cure for two copies. */
export const oneEffect =
  "Install effect once: `npm ls effect` shows its copies, `npm dedupe` removes them; a bundle needs one alias for effect"
