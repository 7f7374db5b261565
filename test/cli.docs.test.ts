/** README.md, docs/cli.md and docs/troubleshooting.md: their transcripts are what the commands print today. */
import { readFileSync } from "node:fs"
import { assert, it } from "@effect/vitest"
import { fileOf, pages, withTranscripts } from "../.ci/cli-docs.ts"

it.each(pages)("the transcripts in %s are what the commands print", { timeout: 120_000 }, async (page) => {
  const text = readFileSync(fileOf(page), "utf8")
  assert.isAtLeast(Array.from(text.matchAll(/^```console$/gm)).length, page === "README.md" ? 1 : 8)
  assert.strictEqual(await withTranscripts(text), text)
})
