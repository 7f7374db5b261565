/**
 * `effect-analytics import`: a history from a file, or from stdin, in constant memory. It accounts for each line, and goes
 * on after a crash where it was.
 */

import * as Crypto from "node:crypto"
import * as Console from "effect/Console"
import * as Command from "effect/cli/Command"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import * as Analytics from "../Analytics.ts"
import type { Type } from "../Call.ts"
import * as Time from "../internal/Time.ts"
import * as Observer from "../Observer.ts"
import type * as Outcome from "../Outcome.ts"
import * as Settings from "../Settings.ts"
import { Checkpoint } from "./import/Checkpoint.ts"
import * as Files from "./import/Files.ts"
import { config, type Options } from "./import/Flags.ts"
import { Ledger } from "./import/Ledger.ts"
import * as Mapping from "./import/Mapping.ts"
import { paceOf } from "./import/Pace.ts"
import * as Progress from "./import/Progress.ts"
import * as Records from "./import/Records.ts"
import { summary } from "./import/Summary.ts"
import { adviceOn } from "./internal/Advice.ts"
import * as Connection from "./internal/Connection.ts"
import { CommandError, Findings, failed } from "./internal/Exit.ts"
import * as Input from "./internal/Input.ts"
import * as Output from "./internal/Output.ts"
import { problemsOf } from "./internal/Problems.ts"

export const importCommand = Command.make("import", config, (options) => run(options)).pipe(
  Command.withDescription("Import events from NDJSON or CSV, and go on after a crash where it stopped"),
  Command.withExamples([
    {
      command: "effect-analytics import events.ndjson.gz --rate 5000",
      description: 'Each line is a call with its type: {"type":"track","userId":"u1","event":"Signed Up"}'
    },
    {
      command:
        "effect-analytics import orders.csv --type track --map userId=customer --map event=what --map timestamp=at --map properties.total:number=amount",
      description: "Rows of CSV, with a mapping"
    },
    {
      command: "zcat *.gz | effect-analytics import - --dry-run",
      description: "Check every line, and send nothing"
    }
  ])
)

/** Records that are read and not settled, at most: what an import holds in memory. */
const maxOpen = 20_000
const saveInterval = "500 millis"
const drawInterval = "200 millis"

const run = Effect.fnUntraced(function* (options: Options) {
  const { dryRun, file: input, ids } = options
  const format = options.format ?? (/\.csv(\.gz)?$/i.test(input) ? "csv" : "ndjson")
  const mapping = Mapping.make(options.map, options.type)
  if (mapping instanceof CommandError) return yield* mapping
  const files = yield* Files.make({ ...options, input })
  const { client, endpoint, key } = yield* clientOf(options)
  const name = Input.nameOf(input)
  const settings = JSON.stringify([format, options.map, options.type, ids, endpoint, digest(key).slice(0, 16)])
  const checkpoint = yield* Effect.acquireRelease(
    openCheckpoint({ files, settings, restart: options.restart }),
    (open) => Effect.sync(() => open.close())
  )
  const { before } = checkpoint
  if (before.records > 0) {
    yield* Console.error(`resuming after ${Output.count(before.records, "line")}: ${files.checkpoint}`)
  }

  const ledger = new Ledger(before, (entry) => checkpoint.reject(entry))
  const fatal = yield* Deferred.make<never, CommandError>()
  const started = yield* Time.monotonicMillis
  let read = 0
  let skipped = 0

  // -------------------------------------------------------------------------------------------------------------------
  // Outcomes
  // -------------------------------------------------------------------------------------------------------------------

  const onOutcome = (outcome: Outcome.Outcome): void => {
    if (outcome._tag !== "Delivered" && outcome._tag !== "Dropped") return
    if (outcome._tag === "Dropped" && outcome.error.reason !== "rejected") {
      const { error } = outcome
      // What is left over at a close is sent again by the next run.
      if (error.reason !== "closed") {
        Deferred.doneUnsafe(fatal, Exit.fail(failed(`not delivered: ${error.message}`, adviceOn(error))))
      }
      return
    }
    for (const { messageId } of outcome.messages) {
      const entry = ledger.find(messageId)
      if (entry === undefined) continue
      entry.end = outcome._tag === "Delivered" ? "delivered" : "rejected"
      if (outcome._tag === "Dropped") entry.problems = [{ path: "", problem: outcome.error.message }]
    }
    ledger.advance()
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Records
  // -------------------------------------------------------------------------------------------------------------------

  const idOf = (record: Records.Record, position: number): string =>
    digest(`${key}\n${ids === "position" ? position : ""}\n${JSON.stringify(record.call)}`)

  let position = 0
  const take = Effect.fnUntraced(function* (analytics: Analytics.Service, record: Records.Record) {
    position++
    const entry = ledger.add(record.line, record.text)
    if (record.call === undefined) {
      entry.end = record.problem === undefined ? "blank" : "rejected"
      if (record.problem !== undefined) entry.problems = [{ path: "", problem: record.problem }]
      return
    }
    const messageId = record.call.messageId ?? idOf(record, position)
    const { type, ...call } = record.call
    const travelsAs = String(messageId).toWellFormed()
    ledger.travels(entry, travelsAs)
    const exit = yield* Effect.exit(analytics[type as Type]({ ...call, messageId } as never))
    if (Exit.isSuccess(exit)) return
    const { reason } = yield* Effect.flip(exit)
    if (reason._tag === "Closed") return
    ledger.stays(travelsAs)
    entry.end = "rejected"
    entry.problems = problemsOf(type as Type, call, reason)
  })

  const pace = options.rate === undefined ? Effect.void : paceOf(options.rate)

  const takeAll = Effect.gen(function* () {
    const analytics = yield* Analytics.Analytics
    const records = Records.records(input, format, mapping, (bytes) => {
      read += bytes
    })
    const all = Stream.fromAsyncIterable(records, (error) => Input.unreadableFile(input, error))
    yield* Stream.runForEach(
      all,
      Effect.fnUntraced(function* (some) {
        for (const record of some) {
          // What earlier runs have settled.
          if (position < before.records) {
            position++
            skipped = read
            continue
          }
          yield* pace
          yield* take(analytics, record)
        }
        ledger.advance()
        if (ledger.open > maxOpen) yield* analytics.flush
      })
    )
    yield* analytics.flush
    if (position < before.records) {
      return yield* failed(
        `${name} has ${position} lines, and its checkpoint knows ${before.records}`,
        "To begin again: --restart"
      )
    }
  })

  const save = Effect.try({
    try: () => checkpoint.save(ledger.counts),
    catch: (error) => unwritable("the checkpoint or the side file", error)
  })

  const now = Effect.map(Time.monotonicMillis, (time) => time - started)
  const draw = Effect.gen(function* () {
    const { records, rejected } = ledger.counts
    const state = {
      read,
      total: files.size,
      skipped,
      records,
      recordsHere: records - before.records,
      rejected,
      elapsed: yield* now
    }
    process.stderr.write(`\r${Progress.render(state)}\u001b[K`)
  })
  const isDrawn = (yield* Stdio.Stdio.use((stdio) => stdio.stderrIsTerminal)) && !(yield* Output.Json)
  const every = (interval: "500 millis" | "200 millis", effect: Effect.Effect<void, CommandError>) =>
    Effect.forever(Effect.andThen(Effect.sleep(interval), effect))

  const observer = Observer.layer((outcome) => Effect.sync(() => onOutcome(outcome)))
  yield* takeAll.pipe(
    Effect.provide(Layer.provide(client, observer)),
    Settings.catchInvalid(({ problem, setting }) => Connection.usageOf(setting, problem)),
    Effect.raceFirst(Deferred.await(fatal)),
    Effect.raceFirst(every(saveInterval, save)),
    Effect.raceFirst(isDrawn ? every(drawInterval, draw) : Effect.never),
    Effect.onExit(() => (isDrawn ? Effect.sync(() => process.stderr.write("\r\u001b[K")) : Effect.void)),
    Effect.onError(() =>
      Effect.andThen(
        Effect.ignore(save),
        Console.error(
          `stopped after ${Output.count(ledger.counts.records, "line")}${
            files.checkpoint === undefined ? "" : "; the same command goes on from there"
          }`
        )
      )
    )
  )
  ledger.advance()
  yield* save
  // The law of an import. It can't be broken; if it is, nobody must believe in the counts.
  if (ledger.open > 0) return yield* failed(`${ledger.open} lines are not accounted for: please report this`)
  yield* Effect.sync(() => checkpoint.finish())
  const { counts } = ledger
  const millis = yield* now
  const rate = Math.round(((counts.records - before.records) / Math.max(1, millis)) * 1_000)
  const rejectedTo = counts.rejected > 0 ? files.rejected : undefined
  yield* Output.result(
    {
      file: name,
      dryRun,
      lines: counts.records,
      delivered: dryRun ? 0 : counts.delivered,
      ...(dryRun ? { valid: counts.delivered } : {}),
      rejected: counts.rejected,
      blank: counts.blank,
      resumedAfter: before.records,
      milliseconds: Math.round(millis),
      linesPerSecond: rate,
      ...(rejectedTo === undefined ? {} : { rejectedFile: rejectedTo })
    },
    () => summary({ name, counts, dryRun, rejectedTo, rate, millis })
  )
  if (counts.rejected > 0) return yield* new Findings()
}, Effect.scoped)

// ---------------------------------------------------------------------------------------------------------------------
// Parts
// ---------------------------------------------------------------------------------------------------------------------

/** A one-way digest, short enough for a `messageId`. The key is in it: two sources never share an id. */
const digest = (text: string): string => Crypto.hash("sha256", text, "base64url")

const clientOf = Effect.fnUntraced(function* ({ batchSize, concurrency, connection, dryRun, maxRetries }: Options) {
  const limits = {
    batchSize,
    maxInFlight: concurrency,
    maxRetries,
    overflow: "wait",
    flushInterval: "50 millis",
    closeTimeout: "5 seconds",
    maxQueueSize: Math.max(2_000, 2 * batchSize * concurrency)
  } as const
  if (dryRun) {
    const { endpoint } = yield* Connection.read(connection)
    return { client: Analytics.layerStub(limits), endpoint, key: "" }
  }
  const options = yield* Connection.withKey(connection)
  const { endpoint } = yield* Connection.read(connection)
  return {
    client: Analytics.layerFetch({ ...options, ...limits }),
    endpoint,
    key: Redacted.value(options.writeKey)
  }
})

const openCheckpoint = (options: Parameters<typeof Checkpoint.open>[0]) =>
  Effect.try({
    try: () => Checkpoint.open(options),
    catch: (error) => (error instanceof CommandError ? error : unwritable("the checkpoint or the side file", error))
  })

const unwritable = (what: string, error: unknown): CommandError =>
  failed(Input.withCode(`${what} can't be written`, error), "Give other places with --checkpoint and --rejected")
