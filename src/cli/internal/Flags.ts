/** Kinds of flags and arguments that several commands have. */
import * as Argument from "effect/cli/Argument"
import * as Flag from "effect/cli/Flag"
import * as Option from "effect/Option"

/** A flag that is on or off, and off when it is left out. */
export const toggle = (name: string, description: string): Flag.Flag<boolean> =>
  Flag.Boolean(name).pipe(Flag.withoutNegation, Flag.withDefault(false), Flag.withDescription(description))

/** A flag that may be left out. */
export const optional = <A>(flag: Flag.Flag<A>, description: string): Flag.Flag<A | undefined> =>
  flag.pipe(Flag.withDescription(description), Flag.optional, Flag.map(Option.getOrUndefined))

/** An argument that may be left out. */
export const argument = <A>(given: Argument.Argument<A>, description: string): Argument.Argument<A | undefined> =>
  given.pipe(Argument.withDescription(description), Argument.optional, Argument.map(Option.getOrUndefined))
