/**
 * The official JSON Schema Test Suite, run through the check of plans from JSON: its required tests of draft-07 and 2020-12, as
 * they are in commit 44401e0 of json-schema-org/JSON-Schema-Test-Suite (August 2026), with their licence in `test/fixtures`.
 *
 * `node test/jsonSchemaSuite.ts` prints what is right, wrong and refused.
 */
import { readFileSync } from "node:fs"
import * as Schema from "effect/Schema"
import * as PlanJson from "../src/TrackingPlan/json.ts"

interface Group {
  readonly description: string
  readonly schema: boolean | { readonly $schema?: string }
  readonly tests: ReadonlyArray<{ readonly description: string; readonly data: unknown; readonly valid: boolean }>
}

export interface Figures {
  readonly right: number
  readonly wrong: ReadonlyArray<string>
  /** Schemas that refer to another document, with the error; and how many tests they have. */
  readonly refused: ReadonlyArray<readonly [error: string, tests: number]>
}

export const drafts = {
  draft7: "http://json-schema.org/draft-07/schema#",
  "draft2020-12": "https://json-schema.org/draft/2020-12/schema"
} as const

/** A test whose schema is told by another document which keywords count needs that document. */
const needsMetaschema = ({ schema }: Group): boolean => /localhost:1234/.test(JSON.stringify(schema))

const suite: { readonly [Draft in keyof typeof drafts]: { readonly [file: string]: ReadonlyArray<Group> } } =
  JSON.parse(readFileSync(new URL("fixtures/jsonSchemaSuite.json", import.meta.url), "utf8"))

export const runSuite = (draft: keyof typeof drafts): Figures => {
  const groups = Object.entries(suite[draft]).flatMap(([file, groups]) => groups.map((group) => [file, group] as const))
  let right = 0
  const [wrong, refused] = [[] as Array<string>, [] as Array<readonly [string, number]>]
  for (const [file, group] of groups) {
    const schema = typeof group.schema === "boolean" ? group.schema : { $schema: drafts[draft], ...group.schema }
    const name = `${file}: ${group.description}`
    try {
      const is = Schema.is(Schema.Unknown.check(PlanJson.conforms(schema)))
      for (const { data, description, valid } of group.tests) {
        if (is(data) === valid) right++
        else if (needsMetaschema(group)) refused.push([`${name}: needs another document`, 1])
        else wrong.push(`${name}: ${description}`)
      }
    } catch (error) {
      refused.push([`${name}: ${(error as Error).message}`, group.tests.length])
    }
  }
  return { right, wrong, refused }
}

if (process.argv[1] === import.meta.filename) {
  for (const draft of Object.keys(drafts) as Array<keyof typeof drafts>) {
    const { refused, right, wrong } = runSuite(draft)
    const count = refused.reduce((sum, [, tests]) => sum + tests, 0)
    process.stdout.write(`${draft}: ${right} right, ${wrong.length} wrong, ${count} refused\n`)
    for (const name of wrong) process.stdout.write(`  wrong: ${name}\n`)
    for (const [error] of refused) process.stdout.write(`  refused: ${error}\n`)
    if (wrong.length > 0) process.exitCode = 1
  }
}
