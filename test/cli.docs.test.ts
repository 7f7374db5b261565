/** docs/cli.md: its transcripts are what the commands print today. */
import { readFileSync } from "node:fs"
import { assert, it } from "@effect/vitest"
import { file, withTranscripts } from "../.ci/cli-docs.ts"

it("the transcripts in docs/cli.md are what the commands print", { timeout: 120_000 }, async () => {
  const text = readFileSync(file, "utf8")
  assert.isAtLeast(Array.from(text.matchAll(/^```console$/gm)).length, 8)
  assert.strictEqual(await withTranscripts(text), text)
})
