/** TypeScript for a tracking plan that is kept elsewhere. */
export { type GenerateOptions, generate } from "./codegen/Generate.ts"
