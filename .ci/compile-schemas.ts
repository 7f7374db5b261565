/**
 * A step of the build: compiles the Schemas of the calls ahead of time, with effect's own compiler, into the published package.
 * Source and tests run them interpreted; `test/compiled.test.ts` holds the two to one another.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Effect from "effect/Effect"
import * as Build from "effect/schema/SchemaAOTCompiler/Build"

const [out = "dist"] = process.argv.slice(2)
const root = new URL(`${out}/`, new URL("../", import.meta.url))

Build.build({
  // Others cost as much room, and are seldom run.
  modules: { "./Call/CallCheck.js": () => import(new URL("Call/CallCheck.js", root).href) },
  baseUrl: root,
  outFile: new URL("internal/compiled.js", root).pathname,
  operations: ["is"]
}).pipe(
  Effect.tap(({ schemas }) => Effect.log(`compiled ${schemas} Schemas`)),
  Effect.provide(NodeServices.layer),
  Effect.runPromise
)
