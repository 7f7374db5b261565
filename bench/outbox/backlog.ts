/** Half a million messages that wait for an API that is down, in a program whose heap is small. */
import type { Said } from "./heap.ts"
import { below, rate, type Target } from "./targets.ts"
import { makeDirectory, start, startSink } from "./workload.ts"

const count = 500_000
const heapMegabytes = 128
/**
 * Node 24 lets new objects have 128 MB by themselves: with a heap that is no larger, V8 takes it for full, and collects all
 * the time. Whoever makes one small makes both small.
 */
const young = "--max-semi-space-size=8"

const megabytes = (bytes: number) => bytes / 2 ** 20

export const backlogInSqlite = async (): Promise<ReadonlyArray<Target>> => {
  const { directory, remove } = makeDirectory()
  const sink = await startSink()
  const begin = performance.now()
  const program = start<Said>(
    "heap.ts",
    [directory, String(sink.port), String(count)],
    [`--max-old-space-size=${heapMegabytes}`, young]
  )
  const sizes = { rss: 0, heap: 0 }
  let said = await program.hear()
  const idle = said.rss
  const hear = async () => {
    said = await program.hear()
    sizes.rss = Math.max(sizes.rss, said.rss)
    sizes.heap = Math.max(sizes.heap, said.heap)
  }
  while (said.pending + said.delivered < count) await hear()
  const written = performance.now()
  const full = { ...sizes }
  while (said.delivered < count) await hear()
  const drained = performance.now()
  await program.stop()
  await sink.stop()
  remove()

  console.log(
    `\nSQLite, --max-old-space-size=${heapMegabytes} ${young}, ${count} messages while the API is down, then it is back`
  )
  const row = (millis: number, { heap, rss }: typeof sizes) => ({
    "messages a second": Math.round((count / millis) * 1_000),
    "RSS MB, at most": megabytes(rss).toFixed(0),
    "heap MB, at most": megabytes(heap).toFixed(0)
  })
  console.table({
    "calls, none delivered": row(written - begin, full),
    "delivered, to the last": row(drained - written, sizes)
  })
  console.log(`  RSS after the start: ${megabytes(idle).toFixed(0)} MB`)
  return [
    below(`RSS with ${count} rows waiting, a heap of ${heapMegabytes} MB`, megabytes(sizes.rss), 300, "MB"),
    rate(`Drain of ${count} rows with a heap of ${heapMegabytes} MB`, (count / (drained - written)) * 1_000, 15_000)
  ]
}
