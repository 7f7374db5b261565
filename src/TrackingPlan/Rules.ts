/** The rules of a plan, by what they are about. */
import type { Type } from "../Call.ts"
import type { Definition, Shape, Shapes } from "./Definition.ts"
import { Rule } from "./Rule.ts"

/** The name that stands for all that have no rule of their own. */
const others = ""

export class Rules {
  private readonly named: { readonly [type in Type]?: ReadonlyMap<string, Rule> | undefined }
  private readonly unnamed: { readonly [type in Type]?: Rule | undefined }
  readonly context: Rule | undefined

  constructor({ context, events, groupTraits, pages, screens, traits, version }: Definition) {
    const made = (shape: Shape, name: string | undefined, label: string) => {
      try {
        return new Rule(shape, name, version)
      } catch (error) {
        throw new Error(`${label}: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
      }
    }
    const one = (shape: Shape | undefined, label: string) =>
      shape === undefined ? undefined : made(shape, undefined, label)
    const many = (shapes: Shapes | undefined, label: string) =>
      shapes === undefined
        ? undefined
        : new Map(Object.entries(shapes).map(([name, shape]) => [name, made(shape, name || undefined, name || label)]))
    this.named = { track: many(events, "events"), page: many(pages, "pages"), screen: many(screens, "screens") }
    this.unnamed = { identify: one(traits, "traits"), group: one(groupTraits, "groupTraits") }
    this.context = one(context, "context")
  }

  /** The rule for a call; `undefined` if the plan says nothing of such calls. */
  find(type: Type, name: string | undefined): Rule | "unplanned" | undefined {
    const named = this.named[type]
    if (named === undefined) return this.unnamed[type]
    return (name === undefined ? undefined : named.get(name)) ?? named.get(others) ?? "unplanned"
  }

  /** Whether the plan has a rule for this name, and not only one for all others. */
  has(type: Type, name: string): boolean {
    return this.named[type]?.has(name) === true
  }

  get all(): ReadonlyArray<Rule> {
    const named = Object.values(this.named).flatMap((rules) => (rules === undefined ? [] : Array.from(rules.values())))
    return [...named, ...Object.values(this.unnamed), this.context].filter((rule) => rule !== undefined)
  }
}
