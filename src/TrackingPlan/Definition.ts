/**
 * What a plan is made of: a Schema for the data of each event, page and screen, for the traits of users and groups, and
 * for the context of every call; and the annotations that say more about them.
 */
import type * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import type * as Json from "../internal/Json.ts"

/**
 * A Schema of an object. What is given has its `Type`, what is sent is its JSON form (`Schema.toCodecJson`): a `DateTime`
 * is ISO text, a `BigDecimal` its digits. It needs no services, and does not wait.
 */
export interface Shape extends Schema.ConstraintCodec<Json.Data, unknown> {}

export interface Shapes {
  readonly [name: string]: Shape
}

/** The names of shapes; of all names, if they are not known. */
export type NameIn<S> = S extends Shapes ? keyof S & string : never

export interface Definition {
  /** What the plan is called, in exports and errors. */
  readonly name?: string | undefined
  /** The version of events that have none of their own. */
  readonly version?: string | undefined
  /** What users do, by the name of the event: properties. */
  readonly events?: Shapes | undefined
  /** What is known of a user: `identify`. */
  readonly traits?: Shape | undefined
  /** What is known of a group: `group`. */
  readonly groupTraits?: Shape | undefined
  /** Pages by name: properties. Left out, pages are not planned. The name `""` stands for all others. */
  readonly pages?: Shapes | undefined
  /** Screens by name: properties. Left out, screens are not planned. The name `""` stands for all others. */
  readonly screens?: Shapes | undefined
  /** What the context of every call must hold, whoever put it there. Its JSON form is checked, never changed. */
  readonly context?: Shape | undefined
}

declare module "effect/Schema" {
  namespace Annotations {
    interface Annotations {
      /** Whom to ask about this event. */
      readonly owner?: string | undefined
      /** Since when this event or field exists. */
      readonly since?: string | undefined
      /** Not to be used in new code; a text says what to use. The first call of a deprecated event logs a warning. */
      readonly deprecated?: boolean | string | undefined
      /** The version of this event, where it is not the plan's. */
      readonly planVersion?: string | undefined
      /** Properties that are not in the Schema are violations. @default false */
      readonly strict?: boolean | undefined
      /** This field says who someone is. `true` leaves it to the policy of the layer what becomes of it. */
      readonly pii?: boolean | "drop" | "hash" | "keep" | undefined
    }
  }
}

/** A struct without fields: for effect it is anything, for a plan an object. */
export const isEmpty = (ast: SchemaAST.AST): boolean =>
  SchemaAST.isObjects(ast) && ast.propertySignatures.length === 0 && ast.indexSignatures.length === 0

/** What has annotations: a Schema, or effect's description of one. */
interface Annotated {
  readonly annotations?: Schema.Annotations.Annotations | undefined
  readonly checks?: ReadonlyArray<Annotated> | undefined
  readonly context?: { readonly annotations?: Schema.Annotations.Annotations | undefined } | undefined
}

const inChecks = ({ checks = [] }: Annotated): ReadonlyArray<Schema.Annotations.Annotations | undefined> =>
  checks.flatMap((check) => [...inChecks(check), check.annotations])

/** All that is said of a Schema: by itself, by its checks (effect looks at the last one only), by the key that has it. */
export const annotationsIn = (ast: Annotated): ReadonlyArray<Schema.Annotations.Annotations> =>
  [ast.annotations, ...inChecks(ast), ast.context?.annotations].filter((one) => one !== undefined)

/** The same as one; what is said later wins, but for `pii` the strictest. */
export const annotationsOf = (ast: Annotated): Schema.Annotations.Augment => {
  const all = annotationsIn(ast)
  const pii = (["drop", "hash", true, "keep"] as const).find((policy) => all.some((one) => one.pii === policy))
  return Object.assign({}, ...all, pii === undefined ? {} : { pii })
}
