/** What an editor shows over the names of `main.ts`, and what it offers inside of a call. */
import assert from "node:assert/strict"
import ts from "typescript"

const file = `${import.meta.dirname}/main.ts`
const text = ts.sys.readFile(file)
const options = {
  module: ts.ModuleKind.NodeNext,
  target: ts.ScriptTarget.ES2022,
  strict: true,
  lib: ["lib.es2022.d.ts", "lib.esnext.disposable.d.ts"],
  types: []
}
const editor = ts.createLanguageService({
  ...ts.sys,
  useCaseSensitiveFileNames: () => ts.sys.useCaseSensitiveFileNames,
  getCompilationSettings: () => options,
  getCurrentDirectory: () => import.meta.dirname,
  getDefaultLibFileName: ts.getDefaultLibFilePath,
  getScriptFileNames: () => [file],
  getScriptSnapshot: (name) => ts.ScriptSnapshot.fromString(ts.sys.readFile(name)),
  getScriptVersion: () => "1"
})

const hover = (name) => {
  const { displayParts, documentation } = editor.getQuickInfoAtPosition(file, text.lastIndexOf(name))
  return [ts.displayPartsToString(displayParts), documentation.length > 0]
}
assert.deepEqual(hover("analytics ="), ["const analytics: Client<boolean>", false])
assert.deepEqual(hover("track("), ["(property) Calls<boolean>.track: (call: Track) => boolean", true])
assert.deepEqual(hover("event:"), ["(property) TrackFields.event: string", true])
assert.deepEqual(hover("batchSize"), ["(property) DeliveryOptions.batchSize?: number | undefined", true])
assert.deepEqual(hover("flush("), ["(property) Client<boolean>.flush: (deadline?: Deadline) => Promise<Summary>", true])

const inCall = editor.getCompletionsAtPosition(file, text.indexOf(`, event:`) + 1, {})
assert.deepEqual(inCall.entries.map(({ name }) => name).sort(), [
  "anonymousId",
  "context",
  "integrations",
  "messageId",
  "properties",
  "timestamp"
])
assert.deepEqual(editor.getSemanticDiagnostics(file), [])
