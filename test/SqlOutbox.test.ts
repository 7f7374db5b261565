import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as SqlOutbox from "../src/SqlOutbox.ts"
import { breathe } from "./support.ts"
import { outboxSuite } from "./outboxSuite.ts"

outboxSuite("SQLite", (options) =>
  SqlOutbox.layerSqlite({ directory: mkdtempSync(join(tmpdir(), "effect-analytics-")), ...options }),
  { full: "OutboxFull", lasting: true, breathe }
)
