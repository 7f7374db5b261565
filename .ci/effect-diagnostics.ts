/**
 * `npm run effect-diagnostics`: what the language service of Effect finds in the whole project. It fails at an error and at a
 * warning. The tool needs a TypeScript 6, which this command installs beside it, in `.ci/effect-diagnostics`.
 */
import { spawnSync } from "node:child_process"
import * as path from "node:path"
import { installed } from "./tools.ts"

const everywhere = {
  catchUnfailableEffect: "warning",
  effectMapFlatten: "warning",
  effectMapVoid: "warning",
  effectSucceedWithVoid: "warning",
  floatingEffect: "error",
  leakingRequirements: "error",
  missingReturnYieldStar: "error",
  missingStarInYieldEffectGen: "error",
  returnEffectInGen: "error",
  runEffectInsideEffect: "warning",
  serviceNotAsClass: "warning",
  tryCatchInEffectGen: "warning",
  unnecessaryEffectGen: "warning",
  unnecessaryFailYieldableError: "warning",
  unnecessaryPipe: "warning",
  unnecessaryPipeChain: "warning"
}

/** The rules of each project: the tool knows one set for all of its files. */
const projects = {
  // Inside the library the world comes in through services, so that a test can hold it.
  src: {
    ...everywhere,
    anyUnknownInErrorContext: "warning",
    cryptoRandomUUIDInEffect: "warning",
    globalConsole: "error",
    globalConsoleInEffect: "error",
    globalFetchInEffect: "error",
    globalRandom: "error",
    globalRandomInEffect: "error",
    globalTimersInEffect: "error",
    processEnv: "error",
    processEnvInEffect: "error",
    unsafeEffectTypeAssertion: "warning"
  },
  // Tests provide layers where they are told of, and look in from outside.
  around: {
    ...everywhere,
    multipleEffectProvide: "off",
    runEffectInsideEffect: "off",
    tryCatchInEffectGen: "off"
  }
}

const folder = installed("effect-diagnostics")
const tool = path.join(folder, "node_modules/@effect/language-service/cli.js")

for (const [project, diagnosticSeverity] of Object.entries(projects)) {
  const rules = JSON.stringify({ diagnosticSeverity })
  const { status } = spawnSync(
    process.execPath,
    [
      tool,
      "diagnostics",
      "--project",
      `${project}.json`,
      "--lspconfig",
      rules,
      "--strict",
      "--severity",
      "error,warning"
    ],
    // The tool takes the TypeScript of the folder it runs in.
    { cwd: folder, stdio: "inherit" }
  )
  if (status !== 0) process.exitCode = 1
}
