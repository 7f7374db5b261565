/** The build compiles the Schemas of the calls (`.ci/compile-schemas.ts`). What it publishes must say what the Schemas say. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaParser from "effect/SchemaParser"
import * as SchemaAOTCompiler from "effect/schema/SchemaAOTCompiler"
import * as Runtime from "effect/schema/SchemaCompiler/runtime"
import * as fc from "fast-check"
import * as CallCheck from "../src/Call/CallCheck.ts"
import * as Call from "../src/Call.ts"
import * as Json from "../src/internal/Json.ts"
import { anyCall } from "./calls.ts"

const schemas: ReadonlyArray<Schema.Codec<unknown>> = Object.values(CallCheck).filter(Schema.isSchema) as never
const targets = schemas.map(({ ast }) => ({ ast, operations: ["is"] as const }))

describe("compiled Schemas", () => {
  it("agree with the interpreted ones about every call", async () => {
    const alternatives = (type: Call.Type) => CallCheck.schemas[type] as ReadonlyArray<Schema.Codec<unknown>>
    const interpreted = Call.byType((type) =>
      alternatives(type).map((schema) => SchemaParser.decodeUnknownResult(schema))
    )
    // A parser looks for its compiled form once: the first call.
    for (const type of Call.types) for (const decode of interpreted[type]) decode({})

    const folder = mkdtempSync(join(tmpdir(), "compiled-"))
    try {
      const source = SchemaAOTCompiler.compile(targets).replace(/^import .*SchemaCompiler\/runtime";$/m, "")
      const file = join(folder, "compiled.mjs")
      writeFileSync(file, `let runtime; export const use = (given) => { runtime = given };\n${source}`)
      const compiled = await import(pathToFileURL(file).href)
      compiled.use((Runtime as unknown as { readonly runtime: unknown }).runtime)
      compiled.install(targets.map(({ ast }) => ast))
    } finally {
      rmSync(folder, { recursive: true })
    }
    const installed = Call.byType((type) => alternatives(type).map((schema) => SchemaParser.is(schema)))
    const seen = { valid: 0, invalid: 0 }
    for (const type of Call.types) {
      fc.assert(
        fc.property(anyCall, (given) => {
          const copied = Json.copy(given)
          const data = Json.isData(copied) ? CallCheck.withoutNulls(copied) : copied
          const expected = interpreted[type].map((decode) => Result.isSuccess(decode(data)))
          for (const isValid of expected) seen[isValid ? "valid" : "invalid"]++
          assert.deepStrictEqual(
            installed[type].map((isValid) => isValid(data)),
            expected
          )
        }),
        { numRuns: 1_000 }
      )
    }
    assert.isAbove(seen.valid, 100)
    assert.isAbove(seen.invalid, 100)
  })
})
