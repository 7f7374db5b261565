/** Runs the programs of `test/programs`, each in a process of its own. */
import { execFile } from "node:child_process"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import * as Effect from "effect/Effect"

/** Far more than any of these takes, and far less than what a hang would. */
export const patience = 30_000

export interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program of `test/programs` as it stands, without a build, until it ends by itself. */
export const run = (name: string, ...args: ReadonlyArray<string | number>) => runWith([], name, ...args)

/** The same with options of Node. */
export const runWith = (flags: ReadonlyArray<string>, name: string, ...args: ReadonlyArray<string | number>) =>
  Effect.callback<Ended>((resume) => {
    const program = fileURLToPath(new URL(`programs/${name}.ts`, import.meta.url))
    const child = execFile(
      process.execPath,
      [...flags, program, ...args.map(String)],
      {
        timeout: patience,
        killSignal: "SIGKILL",
        env: { PATH: process.env.PATH, NODE_COMPILE_CACHE: join(tmpdir(), "effect-analytics-test-cache") }
      },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === "number" ? error.code : -1
        resume(Effect.succeed({ code, stdout, stderr }))
      }
    )
    return Effect.sync(() => void child.kill("SIGKILL"))
  })
