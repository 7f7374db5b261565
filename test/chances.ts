/** Chance that is seeded: the same numbers from 0 to 1 for the same seed. */
// https://en.wikipedia.org/wiki/Permuted_congruential_generator is more than tests need: a linear one will do.
export const chances = (seed: number): (() => number) => {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}
