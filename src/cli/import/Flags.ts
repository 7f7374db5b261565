/** The flags of `effect-analytics import`. */
import * as Argument from "effect/cli/Argument"
import type * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { types } from "../../Call.ts"
import * as Connection from "../internal/Connection.ts"
import { optional, toggle } from "../internal/Flags.ts"

const atLeastOne = (flag: Flag.Flag<number>) =>
  Flag.filter(
    flag,
    (value) => value >= 1,
    (value) => `Expected: a whole number from 1, got ${value}`
  )

export const config = {
  file: Argument.String("file").pipe(Argument.withDescription("The file; - is stdin. It may be compressed with gzip")),
  format: optional(Flag.Literals("format", ["ndjson", "csv"]), "Default: csv for a file named .csv, else ndjson"),
  map: optional(
    Flag.KeyValuePair("map").pipe(Flag.withMetavar("field=column")),
    "Where a column goes, as in properties.total:number=amount; kinds: text, number, boolean, json. Default: as it is named"
  ),
  type: optional(Flag.Literals("type", types), "The call of lines without a type"),
  ids: Flag.Literals("ids", ["content", "position"]).pipe(
    Flag.withDefault("content"),
    Flag.withDescription(
      "What a messageId is derived from, where a line has none; position: equal lines are different events"
    )
  ),
  rate: optional(atLeastOne(Flag.Int("rate")), "Lines per second, at most"),
  concurrency: atLeastOne(Flag.Int("concurrency")).pipe(
    Flag.withDefault(4),
    Flag.withDescription("Requests at the same time; 1 keeps the order of the file (default 4)")
  ),
  batchSize: atLeastOne(Flag.Int("batch-size")).pipe(
    Flag.withDefault(500),
    Flag.withDescription("Messages in a request, at most (default 500)")
  ),
  maxRetries: Flag.Int("max-retries").pipe(
    Flag.withDefault(10),
    Flag.withDescription("Attempts after the first that failed, at most (default 10)")
  ),
  checkpoint: optional(
    Flag.String("checkpoint"),
    "Where to keep how far it is. Default: FILE.checkpoint; none for stdin and pipes"
  ),
  restart: toggle("restart", "Begin at the beginning, and ignore the checkpoint"),
  rejected: optional(
    Flag.String("rejected"),
    "Where rejected lines go, with their reasons, in place of what is there. Default: FILE.rejected.ndjson"
  ),
  dryRun: toggle("dry-run", "Send nothing: check every line. Rejected lines go to FILE.rejected.ndjson.dry-run"),
  connection: Connection.flags
}

export type Options = Command.Command.Config.Infer<typeof config>
