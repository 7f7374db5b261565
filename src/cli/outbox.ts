/** `effect-analytics outbox`: what an operator does with a durable outbox. */
import * as Command from "effect/cli/Command"
import { exportMessages } from "./outbox/export.ts"
import { importMessages } from "./outbox/import.ts"
import { purge } from "./outbox/purge.ts"
import { retry } from "./outbox/retry.ts"
import { stats } from "./outbox/stats.ts"

export const outbox = Command.make("outbox").pipe(
  Command.withDescription("Look into a durable outbox, and put it in order"),
  Command.withSubcommands([stats, retry, purge, exportMessages, importMessages])
)
